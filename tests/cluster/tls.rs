//! TLS on the main listener: from files, and read again when they change.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::deployment::Plan;
use crate::support::wait;
use crate::support::{scratch, symbolon};

/// Writes a new certificate and its key; returns the certificate.
fn write_certificate(directory: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    // The key first: a server that looks in between keeps the old pair.
    fs::write(directory.join("key.pem"), signing_key.serialize_pem()).unwrap();
    fs::write(directory.join("cert.pem"), cert.pem()).unwrap();
    cert.der().clone()
}

/// Asks over TLS, trusting exactly this certificate.
fn get(server: &symbolon::Server, path: &str, trusted: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).map_err(std::io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
    let stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut stream = StreamOwned::new(connection, stream);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

#[test]
fn x36_the_certificate_is_served_and_replaced_without_a_restart() {
    let directory = scratch::directory("tls");
    let first = write_certificate(directory.path());
    let file = |name: &str| directory.path().join(name).display().to_string();
    let deployment = Plan::embedded().start();
    let plain = deployment.replica(0);
    let config = symbolon::ServerConfig::serve()
        .env("SYMBOLON_DATA_DIR", file("data"))
        .env("SYMBOLON_TLS_CERT", file("cert.pem"))
        .env("SYMBOLON_TLS_KEY", file("key.pem"))
        .wait_for(symbolon::WaitFor::Spawn);
    let server = symbolon::Server::start(&config);
    wait::until_true("it answers over TLS", Duration::from_secs(10), || {
        get(&server, "/readyz", &first).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    });
    let metadata = get(&server, "/.well-known/oauth-authorization-server", &first).unwrap();
    let issuer = format!("\"issuer\":\"https://{}\"", server.address());
    assert!(metadata.contains(&issuer), "the issuer is https by itself: {metadata}");
    assert!(get(plain, "/readyz", &first).is_err(), "a plain listener speaks no TLS");

    let second = write_certificate(directory.path());
    wait::until_true("the new certificate is served", Duration::from_secs(10), || {
        get(&server, "/readyz", &second).is_ok()
    });
    assert!(get(&server, "/readyz", &first).is_err(), "the old one is not served any more");

    // Half a certificate changes nothing.
    fs::write(directory.path().join("cert.pem"), "-----BEGIN CERTIFICATE-----\nMIIB").unwrap();
    wait::until_true("it is refused", Duration::from_secs(10), || {
        server.stderr().contains("the TLS certificate is not replaced")
    });
    assert!(get(&server, "/readyz", &second).is_ok(), "the last good one serves on");
}
