//! The health checks of the compose file say what is so, and nothing that is started shows a secret.

use std::process::Command;

use crate::files::Compose;
use crate::secrets::READERS;
use crate::stage::Stage;
use crate::support::cli;
use crate::support::psql;
use crate::support::symbolon::Server;

/// Runs a health check of a store as Docker would, on the port that it has here.
fn is_healthy(check: &[String], port: u16) -> bool {
    let mut command = match check.split_first().expect("there is a health check") {
        (kind, [line]) if kind == "CMD-SHELL" => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &line.replace("redis-cli ", &format!("redis-cli -p {port} "))]);
            shell
        }
        (_, words) => {
            let mut command = Command::new(psql::program(&words[0]));
            command.args(&words[1..]).arg(format!("--port={port}"));
            command
        }
    };
    command.output().expect("a health check starts").status.success()
}

fn replica_is_healthy(compose: &Compose, server: &Server) -> bool {
    let check = compose.healthcheck("replica-1");
    let arguments: Vec<&str> = check.iter().skip(2).map(String::as_str).collect();
    cli::cli(server.environment(), &arguments).status == Some(0)
}

#[test]
fn what_answers_is_healthy_and_what_does_not_is_not() {
    let stage = Stage::with(1);
    let compose = Compose::read();
    let redis = || is_healthy(&compose.healthcheck("redis"), stage.redis.port());
    let postgres = || is_healthy(&compose.healthcheck("postgres"), stage.postgres.port());
    let replica = || replica_is_healthy(&compose, &stage.replicas[0]);
    assert!(redis() && postgres() && replica());
    // The user that may be asked for health may do nothing else.
    let port = stage.redis.port().to_string();
    let read = ["-p", &port, "--user", "health", "--pass", "health", "get", "symbolon:witness"];
    let answer = Command::new("redis-cli").args(read).output().expect("redis-cli starts");
    assert!(String::from_utf8_lossy(&answer.stdout).contains("NOPERM"), "{answer:?}");

    stage.redis.kill();
    assert!(!redis() && postgres());
    stage.redis.restart();
    stage.postgres.kill();
    assert!(redis() && !postgres());
    stage.replicas[0].kill();
    assert!(!replica());
}

#[test]
fn no_secret_is_in_what_the_replicas_and_the_load_balancer_write() {
    let stage = Stage::start(2, &[("SYMBOLON_LOG", "trace")], |configuration| configuration);
    let token = stage.app.mint(&stage.replicas[0]);
    stage.api.introspect(&stage.replicas[1], &token);
    stage.app.revoke(&stage.replicas[1], &token);
    let password = |url: &str| url.split([':', '@']).nth(2).unwrap().to_owned();
    let [symbolon, _, postgres] = READERS;
    let secrets = [
        stage.secrets.read(symbolon, "token_key").trim().to_owned(),
        password(&stage.secrets.read(symbolon, "redis_url")),
        stage.secrets.read(postgres, "password"),
        token.as_str().to_owned(),
        stage.app.secret.clone(),
        stage.api.secret.clone(),
    ];
    let written: Vec<String> = stage.replicas.iter().map(Server::stderr).collect();
    assert!(written.iter().all(|log| log.contains("TRACE")), "all is written down");
    for (number, secret) in secrets.iter().enumerate() {
        let shown = written.iter().chain([&stage.balancer.log()]).any(|log| log.contains(secret.as_str()));
        assert!(!shown, "secret {number} is shown");
    }
}
