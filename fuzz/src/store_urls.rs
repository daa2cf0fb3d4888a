//! URLs of stores, which hold passwords.

use symbolon::grants::redis::RedisUrl;
use symbolon::sql::DatabaseUrl;

/// Stands where a password may stand, and is looked for in all that is shown.
const PASSWORD: &str = "hunter2hunter2";

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let with_password = text.replace('*', PASSWORD);
    for text in [text, &with_password] {
        database(text);
        // With TLS the system's certificates would be read each time, and nothing else is different.
        redis(&text.replacen("rediss://", "redis://", 1));
    }
}

/// Whether the password stands before the host, and nowhere else: not even when a parser drops tabs and line ends, or
/// undoes escapes.
fn is_in_its_place(text: &str) -> bool {
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'\\')) {
        return false;
    }
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let password = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
    password.is_some_and(|(user, password)| password == PASSWORD && !user.contains(PASSWORD))
        && text.matches(PASSWORD).count() == 1
}

fn shows_no_password(text: &str, shown: &str) {
    assert!(!is_in_its_place(text) || !shown.contains(PASSWORD), "{shown}");
}

fn database(text: &str) {
    match DatabaseUrl::parse(text, None) {
        Ok(DatabaseUrl::Postgres(url)) => {
            assert!(text.starts_with("postgres"));
            shows_no_password(text, &format!("{url:?}"));
            let _ = url.is_local();
            assert!(!is_in_its_place(text) || url.has_password(), "{url:?} lost its password");
            assert!(!url.offers_tls() || text.contains("sslmode"), "TLS by itself");
        }
        Ok(DatabaseUrl::Sqlite(path)) => assert!(text.ends_with(&*path.to_string_lossy())),
        Ok(DatabaseUrl::SqliteGrants(_)) => panic!("no URL means the embedded grants"),
        Err(why) => assert!(!why.contains(PASSWORD) && !why.contains('\n'), "{why}"),
    }
}

fn redis(text: &str) {
    match RedisUrl::parse(text, None) {
        Ok(url) => {
            assert!(text.starts_with("redis://"));
            shows_no_password(text, &format!("{url:?}"));
            let _ = url.is_local();
            assert!(!url.has_tls());
            assert!(!is_in_its_place(text) || url.has_password(), "{url:?} lost its password");
        }
        Err(why) => assert!(!why.contains(PASSWORD) && !why.contains('\n'), "{why}"),
    }
}
