//! `healthcheck`: what an image without a shell asks itself.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use super::support::cli::CliOutput;
use super::support::deployment::Deployment;
use super::support::ports;
use super::support::symbolon::Server;
use super::{Place, error_line};

fn healthcheck(server: &Server, further: &[&str]) -> CliOutput {
    super::support::cli::cli(server.environment(), &[&["healthcheck"], further].concat())
}

#[test]
fn a_server_that_is_ready_is_healthy_in_one_line() {
    let deployment = Deployment::embedded();
    let server = deployment.replica(0);
    for (arguments, says) in [(&[][..], "ready"), (&["--live"], "alive")] {
        let output = healthcheck(server, arguments).success();
        assert_eq!((output.stdout, output.stderr), (format!("{says}\n"), String::new()));
        let document = healthcheck(server, &[arguments, &["--json"]].concat()).success().json();
        assert_eq!(document, serde_json::json!({ "status": says }));
    }
    // As the image's variables say it: on every address.
    let port = server.environment()["SYMBOLON_MANAGEMENT_LISTEN"].rsplit_once(':').unwrap().1.to_owned();
    let everywhere = Place::new().env("SYMBOLON_MANAGEMENT_LISTEN", format!("0.0.0.0:{port}"));
    everywhere.cli(&["healthcheck"]).success();
}

#[test]
fn a_replica_without_its_store_is_alive_and_not_ready_and_says_why() {
    let deployment = Deployment::scaled(1);
    let server = deployment.replica(0);
    healthcheck(server, &[]).success();
    deployment.redis().kill();
    server.wait_until_ready(false, Duration::from_secs(5));
    let line = error_line(healthcheck(server, &[]), 1);
    assert!(line.starts_with("not ready: redis failed: "), "{line}");
    error_line(healthcheck(server, &["--json"]), 1);
    healthcheck(server, &["--live"]).success();
}

#[test]
fn a_server_that_is_not_there_is_not_healthy() {
    let nobody = ports::free_address().to_string();
    let place = Place::new().env("SYMBOLON_MANAGEMENT_LISTEN", nobody.as_str());
    for (arguments, says) in [(&[][..], "not ready"), (&["--live"], "not alive")] {
        let line = error_line(place.cli(&[&["healthcheck"], arguments].concat()), 1);
        assert!(line.starts_with(says) && line.contains(&nobody), "{line}");
    }
    error_line(place.cli(&["healthcheck", "--management-listen", "here"]), 2);
    assert!(!place.path().join("data").exists(), "asking makes nothing");
}

#[test]
fn whoever_answers_something_else_or_nothing_is_not_healthy() {
    for (answer, says) in [
        (Some("SSH-2.0-OpenSSH_9.2\r\n"), "no management listener"),
        (Some("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "no management listener"),
        (None, "silent for 3s"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let other = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            if let Some(answer) = answer {
                stream.write_all(answer.as_bytes()).unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
            }
            // Until the other side has gone.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let place = Place::new().env("SYMBOLON_MANAGEMENT_LISTEN", address);
        let line = error_line(place.cli(&["healthcheck"]), 1);
        assert!(line.contains(says), "{line}");
        other.join().unwrap();
    }
}
