//! The embedded default on a disk without room: what cannot be kept is refused with 503, what is answered is true,
//! nothing that was acknowledged is lost, and when there is room again the server goes on by itself.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::scene::{
    PROMISED, SOON, Said, ask, assert_alive, assert_unavailable, measured, pause, readiness, timed, try_mint,
};
use crate::support::actors::{Client, ResourceServer, Token};
use crate::support::symbolon::{Server, ServerConfig, Symbolon, under};
use crate::support::{scratch, wait};

const LEASE: Duration = Duration::from_secs(4);

/// Mounts a small file system over a directory that nobody else sees, and becomes the server.
const MOUNT: &str = r#"mount -t tmpfs -o size=8m,mode=700 none "$0" && exec "$@""#;
/// Writing past a limit is an error then, and no death.
const IGNORE: &str = r#"trap '' XFSZ; exec "$0" "$@""#;

/// How a disk is made to have no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    /// A file system of 8 MiB in a mount namespace of the server's own.
    Small,
    /// The kernel's limit on the length of files: every write fails. Works without privileges.
    Forbidden,
}

struct Installation {
    disk: Disk,
    server: Server,
    directory: TempDir,
    api: ResourceServer,
    app: Client,
}

impl Installation {
    fn on(disk: Disk) -> Self {
        let directory = scratch::directory("disk");
        let place = directory.path().display().to_string();
        let lease = format!("{}s", LEASE.as_secs());
        let config = ServerConfig::serve().env("SYMBOLON_DATA_DIR", &place).env("SYMBOLON_LEASE", lease);
        let server = Server::start(&match disk {
            Disk::Small => config.under(&["unshare", "--mount", "sh", "-c", MOUNT, &place]),
            Disk::Forbidden => config.under(&["sh", "-c", IGNORE]),
        });
        let (api, app) = register(&server, disk);
        Self { disk, server, directory, api, app }
    }

    fn ballast(&self) -> PathBuf {
        seen_from_here(&self.server, self.directory.path()).join("ballast")
    }

    fn fill(&self) {
        match self.disk {
            Disk::Forbidden => self.limit("1"),
            Disk::Small => {
                let mut file = File::create(self.ballast()).expect("there is room for a name");
                // Down to the last byte.
                for size in [64 * 1024, 4096, 1] {
                    while file.write_all(&vec![b'x'; size]).is_ok() {}
                }
            }
        }
    }

    fn free(&self) {
        match self.disk {
            Disk::Forbidden => self.limit("unlimited"),
            Disk::Small => fs::remove_file(self.ballast()).expect("the ballast is there"),
        }
    }

    fn limit(&self, bytes: &str) {
        let status = Command::new("prlimit")
            .args(["--pid", &self.server.id().to_string(), &format!("--fsize={bytes}:unlimited")])
            .status();
        assert!(status.expect("prlimit starts").success());
    }

    fn ask(&self, token: &Token) -> Said {
        ask(&self.api, &self.server, token)
    }
}

/// A directory of the server's, which may be mounted for it alone.
fn seen_from_here(server: &Server, directory: &Path) -> PathBuf {
    let root = PathBuf::from(format!("/proc/{}/root", server.id()));
    root.join(directory.strip_prefix("/").expect("an absolute path"))
}

fn register(server: &Server, disk: Disk) -> (ResourceServer, Client) {
    let api =
        ["resource-server", "create", "api", "--identifier", "https://api.example", "--scope", "notes:read"];
    let app = ["client", "create", "app", "--grant", "client_credentials", "--scope", "notes:read"];
    // Where the server is, files are what they are for it.
    let beside = ["nsenter".to_owned(), "--mount".to_owned(), format!("--target={}", server.id())];
    let made = |arguments: &[&str]| {
        let command = Symbolon::command(server.environment(), &[arguments, &["--json"]].concat());
        let output =
            if disk == Disk::Small { under(&beside, &command) } else { command }.output().expect("it starts");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("a document")
    };
    let (api, app) = (made(&api), made(&app));
    let text = |document: &serde_json::Value, member: &str| document[member].as_str().unwrap().to_owned();
    (
        ResourceServer { id: text(&api, "resource_server_id"), secret: text(&api, "resource_server_secret") },
        Client { id: text(&app, "client_id"), secret: text(&app, "client_secret") },
    )
}

fn may_mount() -> bool {
    let tried = Command::new("unshare")
        .args(["--mount", "mount", "-t", "tmpfs", "none", "/mnt"])
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

/// What happened while there was no room.
#[derive(Debug, Default)]
struct Tally {
    minted: usize,
    mints_refused: usize,
    revoked: usize,
    revocations_refused: usize,
    active: usize,
    unavailable: usize,
}

fn survives(disk: Disk) {
    let here = Installation::on(disk);
    let (server, app) = (&here.server, &here.app);
    let mut live: Vec<Token> = (0..20).map(|_| app.mint(server)).collect();
    let mut dying: Vec<Token> = (0..20).map(|_| app.mint(server)).collect();
    let mut dead: Vec<Token> = (0..5).map(|_| app.mint(server)).collect();
    for token in &dead {
        app.revoke(server, token);
    }
    here.fill();
    let mut seen = Tally::default();
    let mut limbo = Vec::new();
    let mut told = false;
    for turn in 0.. {
        match try_mint(app, server) {
            Some(token) => {
                seen.minted += 1;
                live.push(token);
            }
            None => seen.mints_refused += 1,
        }
        if let Some(token) = dying.pop() {
            let answer = app.revoke_request(server, token.as_str()).send();
            if answer.status == 200 {
                seen.revoked += 1;
                dead.push(token);
            } else {
                assert_unavailable(&answer);
                seen.revocations_refused += 1;
                limbo.push(token);
            }
        }
        for token in dead.iter().skip(turn % 5).step_by(5) {
            assert_ne!(here.ask(token), Said::Active, "acknowledged");
        }
        match here.ask(&live[turn % live.len()]) {
            Said::Active => seen.active += 1,
            Said::Unavailable => seen.unavailable += 1,
            other => panic!("{other:?} of a live token"),
        }
        assert_alive(server);
        let ready = readiness(server);
        told |= ready.status == 503 && (ready.text().contains("full") || ready.text().contains("I/O"));
        if told && dying.is_empty() {
            break;
        }
        assert!(turn < 2000, "{seen:?}: {}", ready.text());
        pause(20);
    }
    assert!(seen.mints_refused > 0 && seen.revocations_refused > 0, "there was room: {seen:?}");
    assert!(seen.active > 0, "nothing was answered: {seen:?}");
    let why = readiness(server).text();
    println!("{disk:?}: {seen:?}\n{why}");
    here.free();
    let ((), recovered) = timed(|| server.wait_until_ready(true, SOON));
    let check = |when: &str| {
        for token in &live {
            assert_eq!(here.ask(token), Said::Active, "{when}: minted and never revoked");
        }
        for token in &dead {
            assert_eq!(here.ask(token), Said::Inactive, "{when}: acknowledged");
        }
    };
    check("with room again");
    for token in &limbo {
        wait::until_true("asking again succeeds", SOON, || {
            app.revoke_request(server, token.as_str())
                .limit(PROMISED)
                .try_send()
                .is_ok_and(|answer| answer.status == 200)
        });
        assert_eq!(here.ask(token), Said::Inactive);
    }
    app.mint(server);
    if disk == Disk::Forbidden {
        // The small file system goes with its process; what is on this one can be started from.
        server.kill();
        server.restart();
        check("after a kill");
    }
    measured(&format!(
        "{disk:?}: {} mints and {} revocations refused with 503, {} and {} kept; {} true answers, {} were 503; \
         ready {recovered:.1?} after there was room; 0 acknowledged things lost",
        seen.mints_refused,
        seen.revocations_refused,
        seen.minted,
        seen.revoked,
        seen.active,
        seen.unavailable
    ));
}

#[test]
fn a_full_disk_refuses_what_it_cannot_keep_and_is_recovered_from() {
    if may_mount() {
        survives(Disk::Small);
    } else {
        eprintln!("SKIPPED: this user may not mount a file system, so no disk can be made full here");
    }
}

#[test]
fn a_disk_that_takes_no_writes_refuses_what_it_cannot_keep_and_is_recovered_from() {
    survives(Disk::Forbidden);
}
