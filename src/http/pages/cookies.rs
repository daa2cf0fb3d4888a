//! The two cookies.
//!
//! They are read here and not by actix's parser, to which one malformed cookie, of whatever else lives on this host,
//! spoils them all. `__Host-` makes browsers refuse them from any other host and over plain http: no sister domain can
//! plant one.

use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use super::error::PageError;

/// The login session.
pub const SESSION: &str = "__Host-symbolon-session";
/// Random bits, so that a login form belongs to one browser before anybody is logged in there.
pub const LOGIN: &str = "__Host-symbolon-login";

/// The value of a cookie.
pub fn read<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r [u8]> {
    let lines = request.headers().get_all(header::COOKIE);
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';')).find_map(|pair| {
        let (found, value) = pair.trim_ascii().split_at_checked(name.len())?;
        (found == name.as_bytes()).then(|| value.strip_prefix(b"=")).flatten()
    })
}

/// Sets a cookie, until the browser is closed or for as long as this.
///
/// # Errors
/// When the value cannot stand in a header: those that we make can.
pub fn set(
    response: &mut HttpResponse,
    name: &str,
    value: &str,
    lifetime: Option<Duration>,
) -> Result<(), PageError> {
    // Lax and not Strict: `/authorize` is where other sites lead to.
    let mut cookie = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax");
    if let Some(lifetime) = lifetime {
        cookie = format!("{cookie}; Max-Age={}", lifetime.as_secs());
    }
    let mut cookie = HeaderValue::try_from(cookie).map_err(PageError::unrenderable)?;
    cookie.set_sensitive(true);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn x13_a_cookie_is_found_among_whatever_else_the_browser_sends() {
        for (lines, expected) in [
            (&["__Host-symbolon-session=x"][..], Some("x")),
            (&["a; b=; =c;__Host-symbolon-session=x;d"], Some("x")),
            (&["a=b", "c=d; __Host-symbolon-session=x"], Some("x")),
            (&["__Host-symbolon-session=a=b"], Some("a=b")),
            (&["__Host-symbolon-session="], Some("")),
            (&["__Host-symbolon-session"], None),
            (&["__Host-symbolon-session2=x"], None),
            (&["x__Host-symbolon-session=x"], None),
            (&["__host-symbolon-session=x"], None),
            (&["a=__Host-symbolon-session=x"], None),
            (&[], None),
        ] {
            let request = lines
                .iter()
                .fold(TestRequest::default(), |request, line| request.append_header((header::COOKIE, *line)))
                .to_http_request();
            assert_eq!(read(&request, SESSION), expected.map(str::as_bytes), "{lines:?}");
        }
    }

    #[test]
    fn x13_a_cookie_is_for_this_host_alone_and_for_no_script() {
        let mut response = HttpResponse::Ok().finish();
        set(&mut response, SESSION, "x", Some(Duration::from_secs(60))).unwrap();
        set(&mut response, LOGIN, "y", None).unwrap();
        let values: Vec<_> = response.headers().get_all(header::SET_COOKIE).collect();
        assert_eq!(
            values,
            [
                "__Host-symbolon-session=x; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60",
                "__Host-symbolon-login=y; Path=/; Secure; HttpOnly; SameSite=Lax",
            ]
        );
        set(&mut response, SESSION, "\r\nx: y", None).unwrap_err();
    }
}
