//! The harness keeps what it promises to the other tests: a fault that it injects is really there, and gone after.

mod support;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::http::{self, Request};
use support::leaks::{self, Secrets};
use support::postgres::{PostgresOptions, PostgresServer};
use support::process::{self, Farewell};
use support::proxy::{Direction, Fate, Proxy};
use support::redis::{RedisOptions, RedisServer};
use support::resp::{Reply, RespClient};
use support::symbolon::{Environment, Server, ServerConfig};
use support::tripwire::Tripwire;
use support::{cli, encoding, ports, scratch, wait};

/// Long enough for an answer on loopback, short enough to wait for one that must not come.
const SHORT: Duration = Duration::from_secs(1);

#[test]
fn redis_restarts_on_its_port_with_its_keys_and_loses_them_when_killed() {
    let redis = RedisServer::start();
    redis.command(&["SET", "colour", "blue"]);
    redis.restart();
    assert_eq!(redis.command(&["GET", "colour"]).text(), "blue");
    redis.command(&["SET", "colour", "green"]);
    redis.kill();
    assert!(redis.client().is_err());
    redis.restart();
    assert_eq!(redis.command(&["GET", "colour"]).text(), "blue");
}

#[test]
fn redis_goes_back_to_an_older_dump_with_its_append_only_file() {
    let redis = RedisServer::start_with(RedisOptions { appendonly: true, ..RedisOptions::default() });
    redis.command(&["SET", "colour", "blue"]);
    let dump = redis.dump();
    redis.command(&["SET", "colour", "green"]);
    redis.kill();
    redis.restart();
    assert_eq!(redis.command(&["GET", "colour"]).text(), "green");
    redis.restore(&dump);
    assert_eq!(redis.command(&["GET", "colour"]).text(), "blue");
    redis.kill();
    redis.restart();
    assert_eq!(redis.command(&["GET", "colour"]).text(), "blue");
}

#[test]
fn redis_lets_in_only_its_user_and_counts_commands() {
    let user = Some(("symbolon".to_owned(), "secret".to_owned()));
    let redis = RedisServer::start_with(RedisOptions { user, ..RedisOptions::default() });
    assert_eq!(redis.url(), format!("redis://symbolon:secret@127.0.0.1:{}", redis.port()));
    let mut stranger = RespClient::connect(redis.address(), None, SHORT).expect("anybody may connect");
    assert!(stranger.command(&["GET", "colour"]).expect("an answer").text().starts_with("NOAUTH"));
    redis.command(&["CONFIG", "RESETSTAT"]);
    assert_eq!(redis.command(&["GET", "colour"]), Reply::Nil);
    assert_eq!(redis.command_calls().get("get"), Some(&1));
}

#[test]
fn a_frozen_redis_answers_after_the_thaw() {
    let redis = RedisServer::start();
    let mut client = RespClient::connect(redis.address(), None, SHORT).expect("it listens");
    redis.freeze();
    assert!(client.command(&["PING"]).is_err());
    redis.thaw();
    assert_eq!(redis.command(&["PING"]).text(), "PONG");
}

#[test]
fn postgres_restarts_freezes_and_goes_back_to_a_backup() {
    let postgres = PostgresServer::start();
    let database = postgres.database();
    database.execute("CREATE TABLE t (n int)");
    database.execute("INSERT INTO t VALUES (1)");
    let backup = postgres.backup();
    database.execute("INSERT INTO t VALUES (2)");
    postgres.kill();
    postgres.restart();
    assert_eq!(database.execute("SELECT count(*) FROM t"), "2", "a commit outlives a kill");
    postgres.freeze();
    let silence =
        http::raw(postgres.address(), &[0, 0, 0, 8, 4, 210, 22, 47], SHORT).expect("the kernel accepts");
    assert!(silence.is_empty(), "a frozen server says nothing");
    postgres.thaw();
    postgres.restore(&backup);
    assert_eq!(database.execute("SELECT count(*) FROM t"), "1", "the backup is older than the second row");
}

#[test]
fn postgres_can_ask_for_the_password() {
    let postgres = PostgresServer::start_with(PostgresOptions {
        check_password: true,
        fsync: false,
        settings: vec!["max_connections=17".to_owned()],
        ..PostgresOptions::default()
    });
    assert_eq!(postgres.execute("SHOW max_connections"), "17");
    assert_eq!(postgres.execute("SHOW fsync"), "off");
    assert_eq!(
        postgres.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules WHERE type = 'host'"),
        "scram-sha-256"
    );
}

#[test]
fn every_test_has_a_database_of_its_own() {
    let (one, other) = (PostgresServer::shared().database(), PostgresServer::shared().database());
    one.execute("CREATE TABLE t (n int)");
    other.execute("CREATE TABLE t (n int)");
    let name = one.name().to_owned();
    drop(one);
    let left = PostgresServer::shared()
        .execute(&format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'"));
    assert_eq!(left, "0");
}

#[test]
fn a_proxy_stalls_cuts_refuses_and_passes_again() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.address());
    assert_eq!(proxy.url(&redis.url()), format!("redis://{}", proxy.address()));
    let connect = || RespClient::connect(proxy.address(), None, SHORT);

    let mut client = connect().expect("it passes");
    assert_eq!(client.command(&["PING"]).expect("it passes").text(), "PONG");

    proxy.stall();
    assert!(client.command(&["INCR", "n"]).is_err(), "nothing comes back");
    let mut late = connect().expect("a stalled path still accepts");
    assert!(late.command(&["INCR", "n"]).is_err());
    assert_eq!(redis.command(&["GET", "n"]), Reply::Nil, "nothing went through");
    proxy.pass();
    wait::until_true("what was held back is delivered", 10 * SHORT, || {
        redis.command(&["GET", "n"]) == Reply::Bulk(b"2".to_vec())
    });

    let mut client = connect().expect("it passes again");
    assert_eq!(client.command(&["PING"]).expect("it passes again").text(), "PONG");
    proxy.reset();
    assert!(client.command(&["PING"]).is_err(), "the connection was cut");
    assert!(connect().and_then(|mut client| client.command(&["PING"])).is_err(), "a new one is cut too");

    proxy.refuse();
    wait::until_true("nobody listens", 10 * SHORT, || {
        connect().err().map(|error| error.kind()) == Some(io::ErrorKind::ConnectionRefused)
    });

    proxy.pass();
    proxy.latency(Duration::from_millis(20));
    assert_eq!(connect().and_then(|mut client| client.command(&["PING"])).expect("it passes").text(), "PONG");
}

#[test]
fn a_watchdog_ends_what_a_dead_test_process_leaves_behind() {
    let directory = scratch::directory("watchdog");
    fs::write(directory.path().join("left"), "behind").expect("a file can be made");
    let mut left = Command::new("sleep").arg("600").spawn().expect("sleep starts");
    // The end of standard input is what a watchdog sees when the test process is gone.
    let mut watchdog = process::watchdog(left.id(), Farewell::Kill, Some(directory.path()), Stdio::null());
    assert!(!left.wait().expect("a child can be waited for").success());
    assert!(watchdog.wait().is_ok());
    assert!(!directory.path().exists());
}

#[test]
fn forms_and_credentials_are_encoded_as_the_standards_say() {
    assert_eq!(encoding::form(&[("a b", "ü&=+~"), ("c", "x-y_z.*")]), "a+b=%C3%BC%26%3D%2B%7E&c=x-y_z.*");
    assert_eq!(encoding::base64(b""), "");
    assert_eq!(encoding::base64(b"f"), "Zg==");
    assert_eq!(encoding::base64(b"fo"), "Zm8=");
    assert_eq!(encoding::base64(b"foobar"), "Zm9vYmFy");
    // RFC 6749 §2.3.1 encodes before RFC 7617 joins, so a colon in a secret is no separator.
    assert_eq!(encoding::basic("a", "b:c"), format!("Basic {}", encoding::base64(b"a:b%3Ac")));
}

#[test]
fn nobody_listens_on_a_free_port() {
    let address = ports::free_address();
    assert!(Request::get(format!("http://{address}/")).try_send().is_err());
    assert!(http::raw(address, b"", SHORT).is_err());
}

#[test]
fn a_standby_follows_is_waited_for_and_takes_over() {
    let primary = PostgresServer::start();
    let path = Proxy::to(primary.address());
    let standby = primary.standby("second", path.address());
    primary.execute("CREATE TABLE t (n int)");
    primary.commit_waits_for("second");
    primary.execute("INSERT INTO t VALUES (1)");
    assert_eq!(standby.execute("SELECT n FROM t"), "1", "the commit waited for it");
    primary.commit_waits_for("");
    path.stall();
    primary.execute("INSERT INTO t VALUES (2)");
    primary.kill();
    standby.promote();
    standby.execute("INSERT INTO t VALUES (3)");
    assert_eq!(standby.execute("SELECT n FROM t ORDER BY n"), "1\n3", "it was cut off before the second row");
}

#[test]
fn a_proxy_leads_elsewhere_and_tampers_with_what_passes() {
    let (first, second) = (RedisServer::start(), RedisServer::start());
    first.command(&["SET", "colour", "blue"]);
    second.command(&["SET", "colour", "green"]);
    let proxy = Proxy::to(first.address());
    let connect = || RespClient::connect(proxy.address(), None, SHORT).expect("it listens");
    let mut client = connect();
    assert_eq!(client.command(&["GET", "colour"]).expect("an answer").text(), "blue");
    proxy.retarget(second.address());
    assert!(client.command(&["GET", "colour"]).is_err(), "the old connection is cut");
    assert_eq!(connect().command(&["GET", "colour"]).expect("an answer").text(), "green");
    proxy.filter(|direction, piece| match direction {
        Direction::Request => Fate::Pass,
        Direction::Answer => Fate::Cut(piece[..3].to_vec()),
    });
    assert!(connect().command(&["GET", "colour"]).is_err(), "half an answer is none");
    let wire = Tripwire::new();
    wire.watch("redis", &proxy);
    let mut sleeper = Command::new("sleep").arg("60").spawn().expect("sleep starts");
    wire.arm(sleeper.id(), 1);
    assert!(connect().command(&["SET", "colour", "red"]).is_err(), "the answer is the second message");
    assert!(wire.disarm().is_some_and(|step| step.contains("Answer")));
    assert!(!sleeper.wait().expect("it ended").success(), "it was killed");
    assert_eq!(second.command(&["GET", "colour"]).text(), "red", "the command was the first message");
}

/// Checksummed as the server does it, and nobody's.
const TOKEN: &str = "sya_4fR2k9QxT0bLm7cPz8sJ4000000000000000000000000000002p5Fdd";

/// A search that finds nothing proves something only if it would find what is there.
#[test]
fn a_secret_is_found_however_it_is_written() {
    let basic = encoding::basic("cl_app", TOKEN);
    let basic = basic.strip_prefix("Basic ").unwrap();
    let hexadecimal: String = TOKEN.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    for (text, how) in [
        (format!("token=\"{TOKEN}\""), "a token or a secret: "),
        (format!("{:?}", TOKEN.as_bytes()), "as a list of numbers: "),
        (format!("{:?}", format!("x{TOKEN}x").as_bytes()), "as a list of numbers: "),
        (hexadecimal.clone(), "as hexadecimal digits: "),
        (hexadecimal.to_uppercase(), "as hexadecimal digits: "),
        (format!("authorization: Basic {basic}"), "as base64: "),
        (encoding::base64(TOKEN.as_bytes()), "as base64: "),
        (encoding::base64(format!("a{TOKEN}").as_bytes()), "as base64: "),
        (encoding::base64(format!("ab{TOKEN}").as_bytes()), "as base64: "),
    ] {
        for text in [text.clone(), format!("[TRACE] {text}\n[TRACE] next\n")] {
            let found = Secrets::default().find(text.as_bytes());
            let found = found.unwrap_or_else(|| panic!("not found: {text}"));
            assert!(found.contains(how), "{text}: {found}");
        }
    }
}

#[test]
fn what_only_looks_like_a_secret_is_none() {
    let nearly = TOKEN.replace('4', "5");
    let short = &TOKEN[..TOKEN.len() - 1];
    for text in [
        &nearly,
        short,
        "sya_",
        "system",
        &encoding::base64(nearly.as_bytes()),
        &format!("{:?}", short.as_bytes()),
    ] {
        assert_eq!(Secrets::default().find(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn what_the_environment_holds_is_found_by_name() {
    let key = encoding::random_token_key();
    let environment = Environment::from([
        ("SYMBOLON_TOKEN_KEY".to_owned(), format!("{key},{}", encoding::random_token_key())),
        ("SYMBOLON_REDIS_URL".to_owned(), "redis://user:short@127.0.0.1".to_owned()),
        ("SYMBOLON_DATABASE_URL".to_owned(), "postgres://user:a-long-password@127.0.0.1/db".to_owned()),
    ]);
    let secrets = Secrets::of(&environment);
    for text in [
        key.trim_end_matches('='),
        "\"a-long-password\"",
        "redis://user:short@127.0.0.1",
        &encoding::base64(b"a-long-password"),
    ] {
        assert!(secrets.find(text.as_bytes()).is_some(), "{text}");
    }
    assert_eq!(secrets.find(b"redis://127.0.0.1 is short of memory"), None);
}

#[test]
fn a_large_file_is_searched_across_its_parts() {
    let directory = scratch::directory("leaks");
    let path = directory.path().join("log");
    let text = [vec![b'.'; leaks::PART - 30], TOKEN.as_bytes().to_vec(), vec![b'.'; 2000]].concat();
    fs::write(&path, &text).unwrap();
    let length = Secrets::default().look_in_file_from("a place", &path, text.len() as u64);
    assert_eq!(length, text.len() as u64);
    let found = std::panic::catch_unwind(|| Secrets::default().look_in_files("a place", directory.path()));
    assert!(found.is_err(), "nothing was found");
}

#[test]
#[should_panic(expected = "the server's stderr holds a token or a secret")]
fn a_server_that_wrote_a_secret_fails_its_test() {
    let server = Server::start(&ServerConfig::serve());
    server.look_for_secrets();
    let mut log = OpenOptions::new().append(true).open(server.log("stderr")).unwrap();
    writeln!(log, "[TRACE] token={TOKEN}").unwrap();
}

#[test]
#[should_panic(expected = "standard output of a command holds a token or a secret")]
fn a_command_that_shows_a_secret_fails_its_test() {
    let directory = scratch::directory("leak");
    let data = directory.path().join("data").display().to_string();
    let environment = Environment::from([("SYMBOLON_DATA_DIR".to_owned(), data)]);
    // It may, but is not recognised behind a flag.
    cli::cli(&environment, &["--json", "client", "create", "app", "--grant", "client_credentials"]);
}
