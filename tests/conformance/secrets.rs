//! No token and no secret is anywhere but with its owner (X23, X4).

use std::os::unix::process::ExitStatusExt as _;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::monitor::Monitor;
use crate::support::actors::{Client, ResourceServer};
use crate::support::cli;
use crate::support::deployment::{Deployment, Plan};
use crate::support::encoding::{base64, basic};
use crate::support::http::{self, Request};
use crate::support::leaks::Secrets;
use crate::support::process::Signal;
use crate::support::symbolon::{Server, ServerConfig};

/// Does everything that handles a secret, well and badly.
fn exercise(deployment: &Deployment, secrets: &mut Secrets) {
    let server = deployment.replica(0);
    let notes = deployment.resource_server("notes", "https://notes.example", "notes:read");
    let app = deployment.client("app", "notes:read");
    let brought = "brought-along-secret-0123456789-abcdefghij";
    let create = [
        "client",
        "create",
        "own",
        "--grant",
        "client_credentials",
        "--scope",
        "notes:read",
        "--client-id",
        "own",
        "--secret-stdin",
        "--json",
    ];
    cli::cli_with_stdin(deployment.environment(), &create, &format!("{brought}\n")).success();
    let own = Client { id: "own".to_owned(), secret: brought.to_owned() };
    for (what, id, secret) in [
        ("the client's secret", &app.id, &app.secret),
        ("the resource server's secret", &notes.id, &notes.secret),
        ("the brought secret", &own.id, &own.secret),
    ] {
        secrets.add(what, secret);
        secrets.add(&format!("{what}, Basic"), &basic(id, secret)["Basic ".len()..]);
    }
    let wrong = "wrong-secret-that-somebody-typed-0001";
    secrets.add("a wrong secret", wrong);
    secrets.add("a wrong secret, Basic", &basic(&app.id, wrong)["Basic ".len()..]);
    mint_and_revoke(deployment, &app, &own, &notes, secrets);
    for (path, field) in [("/token", "grant_type"), ("/introspect", "token"), ("/revoke", "token")] {
        let url = server.url(path);
        let form = [(field, "client_credentials"), ("client_id", app.id.as_str()), ("client_secret", wrong)];
        Request::post(&url).basic(&app.id, wrong).form(&form[..1]).send();
        Request::post(&url).form(&form).send();
        Request::post(format!("{url}?client_secret={}", app.secret)).form(&form[..1]).send();
        Request::get(format!("{url}?token={}", app.secret)).basic(&app.id, &app.secret).send();
        Request::post(&url)
            .header("authorization", &format!("Bearer {}", app.secret))
            .form(&form[..1])
            .send();
        Request::post(&url)
            .header("authorization", &format!("Basic {}!", base64(app.secret.as_bytes())))
            .form(&form[..1])
            .send();
        Request::post(&url)
            .basic(&app.id, &app.secret)
            .header("content-type", "application/json")
            .body(format!("{{\"client_secret\":\"{}\"}}", app.secret))
            .send();
        Request::post(&url)
            .basic(&app.id, &app.secret)
            .form(&[("client_secret", &app.secret), ("client_secret", &app.secret)])
            .send();
        let malformed = format!(
            "POST {path}?{0} HTTP/1.1\r\nHost: x\r\nAuthorization: {1}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{0}",
            app.secret,
            basic(&app.id, &app.secret)
        );
        http::raw(server.address(), malformed.as_bytes(), std::time::Duration::from_millis(300)).ok();
        let folded = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization : {}\r\n\r\n",
            basic(&app.id, &app.secret)
        );
        http::raw(server.address(), folded.as_bytes(), std::time::Duration::from_millis(300)).ok();
    }
    for what in [["client", "rotate-secret", "app"], ["resource-server", "rotate-secret", "notes"]] {
        let rotated =
            deployment.cli(&[what[0], what[1], what[2], "--overlap", "1h", "--json"]).success().json();
        for name in ["client_secret", "resource_server_secret"] {
            if let Some(secret) = rotated[name].as_str() {
                secrets.add("a rotated secret", secret);
            }
        }
    }
}

fn mint_and_revoke(
    deployment: &Deployment,
    app: &Client,
    own: &Client,
    notes: &ResourceServer,
    secrets: &mut Secrets,
) {
    let server = deployment.replica(0);
    for turn in 0..6 {
        let client = if turn % 2 == 0 { app } else { own };
        let token = client.mint(server);
        secrets.add("a token", token.as_str());
        // Enough of a token to guess the rest would be too much as well.
        secrets.add("the secret part of a token", &token.as_str()[21..]);
        assert!(notes.introspect(server, &token).active());
        notes.introspect_str(server, &token.as_str()[..59]);
        Request::get(server.url(&format!("/introspect?token={}", token.0))).send();
        Request::get(server.url(&format!("/{}", token.0)))
            .header("authorization", &format!("Bearer {}", token.0))
            .send();
        match turn {
            0 | 1 => client.revoke(server, &token),
            2 => notes.revoke(server, &token),
            3 => {
                own.revoke_request(server, &token.0).send();
                let revoked = cli::cli_with_stdin(
                    deployment.environment(),
                    &["token", "revoke", "-", "--yes", "--json"],
                    &token.0,
                );
                let shown = revoked.success();
                secrets.look_in("the command line", (shown.stdout + &shown.stderr).as_bytes());
                let inspected =
                    deployment.cli(&["token", "inspect", &token.0, "--as", &notes.id, "--json"]).success();
                secrets.look_in("the command line", (inspected.stdout + &inspected.stderr).as_bytes());
            }
            4 => {
                // What is refused is audited too, and so is a token that stands where a name belongs.
                assert_eq!(own.revoke_request(server, &token.0).send().status, 400);
                deployment.cli(&["user", "disable", &token.0]).expect_status(1);
            }
            _ => {}
        }
    }
}

/// The server's own words, on both listeners.
fn look_at_servers(deployment: &Deployment, secrets: &Secrets) {
    for server in deployment.replicas() {
        secrets.look_in("/metrics", &http::get(&server.management_url("/metrics")).expect_status(200).body);
        secrets.look_in("/readyz", &http::get(&server.url("/readyz?verbose")).body);
        assert!(server.stderr().len() > 10_000, "the log is at its most detailed");
        secrets.look_in("standard error", server.stderr().as_bytes());
        secrets.look_in("standard output", server.stdout().as_bytes());
    }
    let audit = deployment.cli(&["audit", "export"]).success().stdout;
    assert!(["\"refused\"", "revoke-grant", "rotate-client-secret"].iter().all(|what| audit.contains(what)));
    secrets.look_in("the audit", audit.as_bytes());
}

#[test]
fn x23_no_secret_leaves_an_embedded_installation() {
    let deployment = Plan::embedded().env("SYMBOLON_LOG", "trace").env("SYMBOLON_LOG_FORMAT", "json").start();
    let mut secrets = Secrets::default();
    exercise(&deployment, &mut secrets);
    look_at_servers(&deployment, &secrets);
    for line in deployment.replica(0).stderr().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    assert!(secrets.look_in_files("the data directory", &deployment.data_dir()) >= 2);
    deployment.replica(0).terminate();
    secrets.look_in("the log of the stop", deployment.replica(0).stderr().as_bytes());
    assert!(secrets.look_in_files("the data directory after the stop", &deployment.data_dir()) >= 2);
}

#[test]
fn x23_no_secret_leaves_a_scaled_installation() {
    let deployment = Plan::scaled(1).env("SYMBOLON_LOG", "trace").env("SYMBOLON_LOG_FORMAT", "text").start();
    let mut secrets = Secrets::default();
    secrets.add("the token key", &deployment.environment()["SYMBOLON_TOKEN_KEY"]);
    let monitor = Monitor::start(deployment.redis());
    exercise(&deployment, &mut secrets);
    look_at_servers(&deployment, &secrets);
    let seen = monitor.finish();
    assert!(seen.contains("\"g:"), "the records were made meanwhile");
    secrets.look_in("Redis, as commands", seen.as_bytes());
    let redis = deployment.redis();
    for key in redis.command(&["KEYS", "*"]).array() {
        secrets.look_in("a key of Redis", key.bytes());
        let value = redis.command(&[b"DUMP".as_slice(), key.bytes()]);
        secrets.look_in("a value of Redis", value.bytes());
    }
    redis.dump();
    assert!(secrets.look_in_files("the dump of Redis", redis.directory()) >= 2);
    let tables = deployment.database().execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
    assert!(tables.lines().count() >= 6, "{tables}");
    for table in tables.lines() {
        let rows = deployment.database().execute(&format!("SELECT * FROM {table} AS row"));
        secrets.look_in(&format!("the table {table}"), rows.as_bytes());
        let bytes = deployment
            .database()
            .execute(&format!("SELECT encode(convert_to(row::text, 'UTF8'), 'escape') FROM {table} AS row"));
        secrets.look_in(&format!("the table {table}"), bytes.as_bytes());
    }
}

/// What is masked when the configuration is shown.
#[test]
fn x23_the_configuration_is_shown_without_its_secrets() {
    let deployment = crate::world::scaled();
    let shown = deployment.deployment.cli(&["config", "check"]).success();
    let key = &deployment.deployment.environment()["SYMBOLON_TOKEN_KEY"];
    assert!(!shown.stdout.contains(key.as_str()) && !shown.stderr.contains(key.as_str()));
    assert!(shown.stdout.contains("********"), "{}", shown.stdout);
}

/// A crash leaves no file with tokens and keys in it, whatever the limits were that the server was started under.
#[test]
fn x23_a_server_that_crashes_leaves_no_core() {
    let allowed = getrlimit(Resource::Core);
    setrlimit(Resource::Core, Rlimit { current: allowed.maximum, maximum: allowed.maximum }).unwrap();
    assert_ne!(allowed.maximum, Some(0), "the test proves nothing where no process may leave a core");
    let server = Server::start(&ServerConfig::serve());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>(), ["1", "1", "bytes"]);
    let ending = server.end_with(Signal::ABORT);
    assert_eq!((ending.status.signal(), ending.status.core_dumped()), (Some(6), false));
}
