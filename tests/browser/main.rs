//! The hosted pages in a real browser: Debian's Chromium, driven by Playwright, and a client whose
//! OAuth is a library that nobody here wrote (openid-client). Each page is looked at by axe-core, on a phone and a desktop, light and
//! dark.
//!
//! The steps are in `walk.mjs`. `UPDATE_SCREENSHOTS=1 cargo test --test browser` renews the pictures in `docs/screenshots`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has to stop, and says where"
)]

#[path = "../support/mod.rs"]
mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::symbolon::{Server, ServerConfig};
use crate::support::{cli, ports, wait};

const USER: &str = "mira@example.com";
const PASSWORD: &str = "correct horse battery staple";
const SCOPE: &str = "notes:read notes:write";

/// Where the pictures in the documentation are.
const PICTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/screenshots");

/// Where pictures are wanted, if they are.
fn pictures() -> Option<&'static str> {
    std::env::var_os("UPDATE_SCREENSHOTS").map(|_| PICTURES)
}

/// Runs one of the scripts in Node.js, and fails with all that it said.
#[track_caller]
fn run(script: &str, told: &Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    assert!(
        folder.join("node_modules").is_dir(),
        "Playwright, axe-core and openid-client are not installed: run scripts/setup"
    );
    let mut node = Command::new("node")
        .arg(folder.join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node starts");
    node.stdin.take().expect("a pipe").write_all(told.to_string().as_bytes()).expect("node reads");
    let output = node.wait_with_output().expect("node ends");
    let [said, complained] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{script}: {}\n{said}\n{complained}", output.status);
    print!("{said}");
}

#[test]
fn a_user_goes_the_whole_way_in_a_browser_and_a_client_with_an_oauth_library() {
    let deployment = Deployment::embedded();
    let redirect_uri = format!("http://127.0.0.1:{}/callback", ports::free_port());
    let words = ["notes:read=Read your notes", "notes:write=Write and delete your notes"];
    let words = words.map(|words| ["--scope-description", words]).concat();
    let api = deployment.resource_server_with("Notes API", "https://notes.example", SCOPE, &words);
    let client = deployment.client_with(
        "Notes for teams",
        SCOPE,
        &["--grant", "authorization_code", "--grant", "refresh_token", "--redirect-uri", &redirect_uri],
    );
    let create = ["user", "create", USER, "--password-stdin", "--json"];
    cli::cli_with_stdin(deployment.environment(), &create, PASSWORD).success();
    let told = json!({
        "issuer": deployment.replica(0).url(""),
        "client": { "id": client.id, "secret": client.secret, "name": "Notes for teams" },
        "api": { "id": api.id, "secret": api.secret },
        "user": { "name": USER, "password": PASSWORD },
        "redirectUri": redirect_uri,
        "scope": SCOPE,
        "pictures": pictures(),
    });
    run("walk.mjs", &told);
}

#[test]
fn the_quickstart_walks_through_the_flow_in_the_browser() {
    let server = Server::start(&ServerConfig::quickstart().argument("--json"));
    wait::until_true("it says who takes part", Duration::from_secs(5), || server.stdout().ends_with('\n'));
    let demo: Value = serde_json::from_str(&server.stdout()).expect("one JSON document");
    let told = json!({
        "url": demo["url"],
        "user": demo["user"],
        "password": demo["user_password"],
        "pictures": pictures(),
    });
    run("demo.mjs", &told);
}
