//! Secrets travel over TLS, on this machine, or from a proxy that is trusted to have taken TLS off (G2).

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::expect::{json_200, refused};
use crate::support::actors::Client;
use crate::support::cli;
use crate::support::http::{Request, get};
use crate::support::symbolon::{Server, ServerConfig, WaitFor};
use crate::support::{ports, wait};

const ISSUER: &str = "https://auth.example";

/// An address of this machine that is not loopback, if it has one. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // A documentation address (RFC 5737): only the route to it is looked up.
    socket.connect(("203.0.113.1", 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// A server on all addresses, and where it is reached from outside.
struct Exposed {
    server: Server,
    client: Client,
    outside: SocketAddr,
    inside: SocketAddr,
}

impl Exposed {
    fn start(address: IpAddr, trusted_proxies: &str) -> Self {
        let port = ports::free_port();
        let config = ServerConfig::serve()
            .argument("--listen")
            .argument(&format!("0.0.0.0:{port}"))
            .env("SYMBOLON_ISSUER", ISSUER)
            .env("SYMBOLON_TRUSTED_PROXIES", trusted_proxies)
            .wait_for(WaitFor::Spawn);
        let server = Server::start(&config);
        let inside = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        wait::until_true("the server is ready", Duration::from_secs(20), || {
            let probe =
                Request::get(format!("http://{inside}/readyz")).limit(Duration::from_secs(2)).try_send();
            probe.is_ok_and(|answer| answer.status == 200)
        });
        let create = |arguments: &[&str]| cli::cli(server.environment(), arguments).success().json();
        create(&["resource-server", "create", "a", "--identifier", "urn:a", "--scope", "a:use", "--json"]);
        let made =
            create(&["client", "create", "c", "--grant", "client_credentials", "--scope", "a:use", "--json"]);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let client = Client { id: text("client_id"), secret: text("client_secret") };
        Self { server, client, outside: SocketAddr::from((address, port)), inside }
    }

    fn mint(&self, at: SocketAddr, header: Option<(&str, &str)>) -> crate::support::http::Response {
        let request = Request::post(format!("http://{at}/token")).basic(&self.client.id, &self.client.secret);
        let request = request.form(&[("grant_type", "client_credentials")]);
        match header {
            Some((name, value)) => request.header(name, value).send(),
            None => request.send(),
        }
    }
}

#[test]
fn g2_plain_http_from_another_machine_is_refused() {
    let Some(address) = own_address() else {
        eprintln!("skipped: this machine has only loopback addresses");
        return;
    };
    let exposed = Exposed::start(address, "");
    json_200(exposed.mint(exposed.inside, None));
    refused(&exposed.mint(exposed.outside, None), 400, "invalid_request");
    for path in ["/introspect", "/revoke"] {
        let request = Request::post(format!("http://{}{path}", exposed.outside)).form(&[("token", "x")]);
        refused(&request.send(), 400, "invalid_request");
    }
    // Whoever writes headers cannot pretend to have come another way.
    for header in [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "proto=https;for=127.0.0.1"),
        ("host", "localhost"),
        ("x-real-ip", "127.0.0.1"),
        ("front-end-https", "on"),
    ] {
        refused(&exposed.mint(exposed.outside, Some(header)), 400, "invalid_request");
    }
    // Metadata that somebody on the way may rewrite would send secrets elsewhere.
    for path in ["/.well-known/oauth-authorization-server", "/openapi.json"] {
        refused(&get(&format!("http://{}{path}", exposed.outside)), 400, "invalid_request");
    }
    for path in ["/authorize", "/login", "/consent"] {
        let page = get(&format!("http://{}{path}", exposed.outside));
        assert_eq!(page.status, 400, "{path}");
        assert!(page.text().contains("Use https.") && page.header("set-cookie").is_none(), "{}", page.text());
        let sent =
            Request::post(format!("http://{}{path}", exposed.outside)).form(&[("password", "x")]).send();
        assert!(matches!(sent.status, 400 | 405) && sent.header("set-cookie").is_none(), "{path}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(
            get(&format!("http://{}{path}", exposed.outside)).status,
            200,
            "{path}: a probe holds no secret"
        );
    }
    let refused_secret = &exposed.client.secret;
    assert!(!exposed.server.stderr().contains(refused_secret));
}

#[test]
fn g2_plain_http_from_a_trusted_proxy_is_answered() {
    let Some(address) = own_address() else {
        eprintln!("skipped: this machine has only loopback addresses");
        return;
    };
    let exposed = Exposed::start(address, &format!("10.99.0.0/16, {address}"));
    json_200(exposed.mint(exposed.outside, None));
    // Trusted to have taken TLS off; the issuer is still the configured one.
    json_200(exposed.mint(exposed.outside, Some(("x-forwarded-host", "evil.example"))));
    let metadata = format!("http://{}/.well-known/oauth-authorization-server", exposed.outside);
    assert_eq!(get(&metadata).json()["issuer"], ISSUER);
    let elsewhere = Exposed::start(address, "10.99.0.0/16");
    refused(&elsewhere.mint(elsewhere.outside, None), 400, "invalid_request");
}

#[test]
fn g2_an_issuer_off_this_machine_is_https() {
    for issuer in [
        "http://auth.example",
        "ftp://auth.example",
        "https://auth.example?x",
        "https://auth.example#x",
        "auth.example",
    ] {
        let environment = [("SYMBOLON_ISSUER".to_owned(), issuer.to_owned())].into();
        let checked = cli::cli(&environment, &["config", "check"]);
        assert_ne!(checked.status, Some(0), "{issuer}");
        assert!(
            checked.stderr.contains("SYMBOLON_ISSUER") && checked.stderr.trim_end().lines().count() == 1,
            "{}",
            checked.stderr
        );
    }
    let exposed = [("SYMBOLON_LISTEN".to_owned(), "0.0.0.0:0".to_owned())].into();
    let checked = cli::cli(&exposed, &["config", "check"]);
    assert_ne!(checked.status, Some(0), "listening everywhere needs an issuer");
}
