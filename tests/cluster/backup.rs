//! Backups of the embedded default, taken beside a server that serves, and restored over one that was killed: what was
//! there is there again, and of what was issued before nothing lives, whether or not the backup has heard of its end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tempfile::TempDir;

use crate::people::{log_in, refused};
use crate::scene::{SOON, Said, Scene, ask, measured, pause, timed, try_mint};
use crate::support::actors::Token;
use crate::support::cli::{self, CliOutput, RunningCli};
use crate::support::deployment::Plan;
use crate::support::leaks::Secrets;
use crate::support::process::Signal;
use crate::support::symbolon::{Environment, Server, ServerConfig, WaitFor};
use crate::support::{process, scratch, wait};

/// An embedded installation, and a place for its backups.
struct Shop {
    scene: Scene,
    shelf: TempDir,
}

impl Shop {
    fn open() -> Self {
        Self { scene: Scene::of(Plan::embedded()), shelf: scratch::directory("backup") }
    }

    fn server(&self) -> &Server {
        self.scene.replica(0)
    }

    fn data(&self, name: &str) -> PathBuf {
        self.scene.deployment.data_dir().join(name)
    }

    /// Where a backup of this name is, and the same as an argument.
    fn place(&self, name: &str) -> (PathBuf, String) {
        let path = self.shelf.path().join(name);
        (path.clone(), path.display().to_string())
    }

    #[track_caller]
    fn back_up(&self, name: &str) -> PathBuf {
        let (path, argument) = self.place(name);
        self.scene.deployment.cli(&["backup", &argument]).success();
        path
    }

    fn restore(&self, backup: &Path, further: &[&str]) -> CliOutput {
        let backup = backup.display().to_string();
        self.scene.deployment.cli(&[&["restore", &backup], further].concat())
    }

    /// The names of all clients.
    #[track_caller]
    fn clients(&self) -> CliOutput {
        self.scene.deployment.cli(&["client", "list"])
    }

    #[track_caller]
    fn is_dead(&self, tokens: &[Token]) {
        for token in tokens {
            assert_eq!(ask(&self.scene.api, self.server(), token), Said::Inactive, "{}", token.grant_id());
        }
    }

    /// What is new is good, and can be ended.
    #[track_caller]
    fn works(&self) {
        let new = self.scene.live_token();
        self.scene.app.revoke(self.server(), &new);
        self.is_dead(&[new]);
    }
}

/// The one line of a command that refused.
#[track_caller]
fn refusal(output: CliOutput, status: i32) -> String {
    let output = output.expect_status(status);
    assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 1), "{output:?}");
    output.stderr
}

#[test]
fn nothing_that_was_issued_before_a_restore_lives_after_it_and_whoever_was_there_is_there() {
    let shop = Shop::open();
    let (server, scene, deployment) = (shop.server(), &shop.scene, &shop.scene.deployment);
    let (mira, notes) = (deployment.user("mira"), deployment.app("notes", "notes:read notes:write", &[]));
    let session = log_in(&mira, &notes, [server, server]);
    let mut old = vec![scene.live_token(), scene.live_token(), session.access.clone()];
    scene.app.revoke(server, &old[0]);
    let backup = shop.back_up("before");
    // Acknowledged, and the backup has not heard of it.
    scene.app.revoke(server, &old[1]);
    shop.is_dead(&old[..2]);
    old.push(scene.live_token());
    deployment.client("later", "notes:read");
    server.kill();
    let restored = shop.restore(&backup, &["--replace", "--yes", "--reason", "the disk died", "--json"]);
    let restored = restored.success().json();
    server.restart();
    shop.is_dead(&old);
    refused(&notes.refreshing(server, &session.refresh, &[]).send());
    shop.works();
    log_in(&mira, &notes, [server, server]);
    assert!(!shop.clients().success().stdout.contains("later"), "it was made after the backup");
    // What was there before is kept, not lost.
    let aside = PathBuf::from(restored["set_aside"].as_str().expect("the files were put aside"));
    assert!(aside.starts_with(deployment.data_dir()) && aside.join("symbolon.sqlite3").exists());
    assert!(restored["change"].as_u64() > restored["backup_change"].as_u64(), "{restored}");
    measured(&format!("{} tokens from before, 0 alive", old.len()));
}

#[test]
fn a_backup_that_is_taken_under_load_is_one_moment_of_the_server() {
    let shop = Shop::open();
    let (server, scene) = (shop.server(), &shop.scene);
    let over = AtomicBool::new(false);
    let (minted, backups) = thread::scope(|scope| {
        let working = scope.spawn(|| {
            let mut minted = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let token = scene.app.mint(server);
                if minted.len() % 2 == 0 {
                    scene.app.revoke(server, &token);
                }
                minted.push(token);
            }
            minted
        });
        let backups: Vec<PathBuf> = (0..4)
            .map(|round| {
                pause(100);
                shop.back_up(&format!("round-{round}"))
            })
            .collect();
        over.store(true, Ordering::Relaxed);
        (working.join().expect("nobody is disturbed by a backup"), backups)
    });
    server.kill();
    for backup in &backups {
        shop.restore(backup, &["--replace", "--yes"]).success();
        server.restart();
        shop.is_dead(&minted);
        shop.works();
        server.kill();
    }
    assert!(minted.len() > 20, "nothing happened meanwhile");
    measured(&format!(
        "4 backups during {} mints, {} of them revoked; 0 alive after each",
        minted.len(),
        minted.len() / 2
    ));
}

#[test]
fn a_backup_is_restored_on_a_machine_that_has_nothing_not_even_the_token_key() {
    let shop = Shop::open();
    let old = shop.scene.live_token();
    let backup = shop.back_up("to-move");
    let elsewhere = scratch::directory("elsewhere");
    let data = elsewhere.path().join("data");
    let environment = Environment::from([("SYMBOLON_DATA_DIR".to_owned(), data.display().to_string())]);
    let restored = cli::cli(&environment, &["restore", &backup.display().to_string(), "--yes", "--json"]);
    assert!(restored.success().json()["set_aside"].is_null());
    assert!(!data.join("token.key").exists());
    // It is not asked for a key that nobody has.
    let server = Server::start(&ServerConfig::serve().envs(&environment));
    assert_eq!(ask(&shop.scene.api, &server, &old), Said::Inactive);
    let new = try_mint(&shop.scene.app, &server).expect("a token");
    assert_eq!(ask(&shop.scene.api, &server, &new), Said::Active);
    // A server that goes on beside it is another installation by now.
    assert_eq!(ask(&shop.scene.api, shop.server(), &old), Said::Active);
    assert_eq!(ask(&shop.scene.api, shop.server(), &new), Said::Inactive);
}

#[test]
fn the_files_of_a_backup_that_are_copied_by_hand_are_answered_from_by_nobody_until_recover() {
    let shop = Shop::open();
    let scene = &shop.scene;
    let (kept, revoked) = (scene.live_token(), scene.live_token());
    let backup = shop.back_up("copied");
    scene.app.revoke(shop.server(), &revoked);
    shop.server().terminate();
    for name in ["symbolon.sqlite3", "grants.sqlite3"] {
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(shop.data(&format!("{name}{suffix}"))).ok();
        }
        fs::copy(backup.join(name), shop.data(name)).expect("a file can be copied");
    }
    let config = ServerConfig::serve().envs(scene.deployment.environment()).wait_for(WaitFor::Liveness);
    let server = Server::start(&config);
    wait::until_true("it says what to do", SOON, || server.stderr().contains("symbolon recover"));
    for token in [&kept, &revoked] {
        assert_eq!(ask(&scene.api, &server, token), Said::Unavailable, "{}", token.grant_id());
    }
    assert!(try_mint(&scene.app, &server).is_none());
    scene.deployment.cli(&["recover", "--yes"]).success();
    server.wait_until_ready(true, SOON);
    for token in [&kept, &revoked] {
        assert_eq!(ask(&scene.api, &server, token), Said::Inactive, "{}", token.grant_id());
    }
    assert!(try_mint(&scene.app, &server).is_some());
}

/// What may befall a backup, and what is then said.
type Harm = (&'static str, fn(&Path), &'static str);

const HARMS: [Harm; 6] = [
    ("a bit of the feed", |backup| flip(&backup.join("symbolon.sqlite3")), "SHA-256"),
    ("a bit of the grants", |backup| flip(&backup.join("grants.sqlite3")), "SHA-256"),
    ("the end of the feed", |backup| cut(&backup.join("symbolon.sqlite3")), "SHA-256"),
    ("the whole of the grants", |backup| remove(&backup.join("grants.sqlite3")), "grants.sqlite3"),
    ("the end of the manifest", |backup| cut(&backup.join("backup.json")), "not the manifest"),
    ("the whole of the manifest", |backup| remove(&backup.join("backup.json")), "no complete backup"),
];

fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("it can be written");
}

fn cut(path: &Path) {
    let bytes = fs::read(path).expect("it can be read");
    fs::write(path, &bytes[..bytes.len() - 1000.min(bytes.len() / 2)]).expect("it can be written");
}

fn remove(path: &Path) {
    fs::remove_file(path).expect("it can be removed");
}

#[test]
fn a_backup_that_was_torn_altered_or_cut_short_is_refused_and_nothing_is_touched() {
    let shop = Shop::open();
    let live = shop.scene.live_token();
    let backups = HARMS.map(|(what, harm, says)| {
        let backup = shop.back_up(&what.replace(' ', "-"));
        harm(&backup);
        (what, backup, says)
    });
    shop.server().terminate();
    for (what, backup, says) in backups {
        for further in [&["--dry-run", "--replace"][..], &["--yes", "--replace"]] {
            let said = refusal(shop.restore(&backup, further), 1);
            assert!(said.contains(says) && said.contains(&backup.display().to_string()), "{what}: {said}");
        }
    }
    shop.server().restart();
    assert_eq!(ask(&shop.scene.api, shop.server(), &live), Said::Active);
    let left =
        fs::read_dir(shop.data("")).expect("the data directory").map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("re")).collect();
    assert!(left.is_empty(), "something was left behind: {left:?}");
}

#[test]
fn a_restore_over_a_running_server_or_into_what_is_not_empty_is_refused() {
    let shop = Shop::open();
    let live = shop.scene.live_token();
    let backup = shop.back_up("one");
    for further in [&["--yes", "--replace"][..], &["--dry-run"]] {
        let said = refusal(shop.restore(&backup, further), 2);
        assert!(said.contains("SYMBOLON_DATA_DIR") && said.contains("serves already"), "{said}");
    }
    assert_eq!(ask(&shop.scene.api, shop.server(), &live), Said::Active);
    shop.server().terminate();
    for further in [&["--yes"][..], &["--dry-run"]] {
        let said = refusal(shop.restore(&backup, further), 1);
        assert!(said.contains("--replace"), "{said}");
    }
    let said = refusal(shop.restore(&backup, &["--replace"]), 2);
    assert!(said.contains("--yes"), "{said}");
    let dry = shop.restore(&backup, &["--replace", "--dry-run"]).success().stdout;
    assert!(dry.starts_with("the backup is whole; would restore "), "{dry}");
    shop.server().restart();
    assert_eq!(ask(&shop.scene.api, shop.server(), &live), Said::Active, "nothing was done");
}

#[test]
fn a_backup_is_for_its_owner_alone_holds_no_secret_and_overwrites_nothing() {
    let shop = Shop::open();
    let (token, key) = (shop.scene.live_token(), fs::read_to_string(shop.data("token.key")).expect("a key"));
    let backup = shop.back_up("private");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&backup), 0o700);
    let mut secrets = Secrets::default();
    secrets.add("the token key", key.trim());
    secrets.add("a token's secret", &token.as_str()[21..]);
    let mut names = Vec::new();
    for entry in fs::read_dir(&backup).expect("the backup") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        secrets.look_in_file("a backup", &path);
        names.push(path.file_name().expect("a name").to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(names, ["backup.json", "grants.sqlite3", "symbolon.sqlite3"]);
    let before = fs::read(backup.join("backup.json")).expect("the manifest");
    let again = shop.scene.deployment.cli(&["backup", &backup.display().to_string()]);
    assert!(refusal(again, 1).contains("cannot make"));
    assert_eq!(fs::read(backup.join("backup.json")).expect("the manifest"), before);
    // One that cannot be finished leaves nothing that looks like one.
    let nowhere = shop.shelf.path().join("not/there");
    refusal(shop.scene.deployment.cli(&["backup", &nowhere.display().to_string()]), 1);
    assert!(!nowhere.exists());
}

/// What somebody finds who looks into a directory: names and lengths.
fn found(directory: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<_> =
        entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.len()))).collect();
    found.sort();
    found
}

/// Takes a backup, step by step, and kills it when something else is found in its directory for the `nth` time; whether
/// it came to that before it was done.
fn is_killed_at(shop: &Shop, backup: &Path, nth: usize) -> bool {
    let argument = backup.display().to_string();
    let mut taking = RunningCli::start(shop.scene.deployment.environment(), &["backup", &argument], "");
    while !backup.exists() && !taking.has_ended() {
        thread::yield_now();
    }
    let (mut last, mut changes) = (Vec::new(), 0);
    let is_done = loop {
        taking.freeze();
        let now = found(backup);
        changes += usize::from(now != last);
        let is_done = backup.join("backup.json").exists();
        if is_done || changes == nth || taking.has_ended() {
            break is_done;
        }
        last = now;
        taking.thaw();
    };
    taking.signal(Signal::KILL);
    taking.finish();
    !is_done
}

#[test]
fn of_a_backup_that_is_killed_at_any_moment_nobody_is_served() {
    let shop = Shop::open();
    let (scene, kept) = (&shop.scene, shop.scene.live_token());
    let (mut fresh, mut refused) = (0, 0);
    for round in 0..32 {
        let (left, _) = shop.place(&format!("killed-{round}"));
        // It takes milliseconds: some are done before anybody has looked so often.
        if !is_killed_at(&shop, &left, 1 + round % 8) {
            continue;
        }
        let said = refusal(shop.restore(&left, &["--dry-run", "--replace"]), 1);
        assert!(said.contains("no complete backup"), "{said}");
        // As somebody might who takes what is left for an installation.
        fs::copy(shop.data("token.key"), left.join("token.key")).expect("the key can be copied");
        let place = Environment::from([("SYMBOLON_DATA_DIR".to_owned(), left.display().to_string())]);
        let config = ServerConfig::serve().envs(&place).wait_for(WaitFor::Liveness);
        let server = Server::start(&config);
        wait::until_true("it serves, or says what to do", SOON, || {
            server.is_ready() || server.stderr().contains("symbolon recover")
        });
        let answer = scene.api.introspect_request(&server, kept.as_str()).send();
        match answer.status {
            // It knows nobody: an installation of its own.
            401 => fresh += 1,
            503 => refused += 1,
            status => panic!("{status} after kill {round}, of {:?}: {}", found(&left), answer.text()),
        }
    }
    assert!(fresh + refused > 0, "it was always done before anybody could look");
    assert_eq!(ask(&scene.api, shop.server(), &kept), Said::Active, "the server itself goes on");
    measured(&format!("{} kills: {fresh} left nothing to serve, {refused} nobody served", fresh + refused));
}

#[test]
fn a_restore_that_is_killed_at_any_moment_leaves_the_old_or_the_new_or_nobody_served() {
    let shop = Shop::open();
    let (deployment, live) = (&shop.scene.deployment, shop.scene.live_token());
    let backup = shop.back_up("killed").display().to_string();
    deployment.client("later", "notes:read");
    shop.server().terminate();
    // How long a whole one takes, in a place of its own.
    let elsewhere = scratch::directory("elsewhere");
    let place = elsewhere.path().join("data").display().to_string();
    let whole = Environment::from([("SYMBOLON_DATA_DIR".to_owned(), place)]);
    let (_, took) = timed(|| cli::cli(&whole, &["restore", &backup, "--yes"]).success());
    let (mut old, mut new, mut refused) = (0, 0, 0);
    let kills = 24;
    for round in 0..kills {
        let restore =
            RunningCli::start(deployment.environment(), &["restore", &backup, "--replace", "--yes"], "");
        thread::sleep(took.mul_f64(f64::from(round) / f64::from(kills)));
        process::kill_at_once(restore.id());
        restore.finish();
        let seen = shop.clients();
        match seen.status {
            Some(0) if seen.stdout.contains("later") => old += 1,
            Some(0) if seen.stdout.contains("app") => {
                new += 1;
                deployment.client("later", "notes:read");
            }
            _ => {
                assert!(refusal(seen, 2).contains("cut short"));
                refused += 1;
            }
        }
    }
    shop.restore(Path::new(&backup), &["--replace", "--yes"]).success();
    shop.server().restart();
    shop.is_dead(&[live]);
    shop.works();
    measured(&format!(
        "{kills} kills within {took:.0?}: {old} left the old, {new} the new, {refused} nobody served"
    ));
}

#[test]
fn where_a_restore_was_cut_short_nobody_serves_until_it_is_run_again() {
    let shop = Shop::open();
    let live = shop.scene.live_token();
    let backup = shop.back_up("again");
    shop.server().terminate();
    // As a power failure in the middle leaves it: one file has its place, the other has not.
    fs::write(shop.data("restore-under-way"), "").expect("a file can be made");
    remove(&shop.data("grants.sqlite3"));
    for command in [&["client", "list"][..], &["serve"], &["quickstart"], &["recover", "--yes"]] {
        let said = refusal(shop.scene.deployment.cli(command), 2);
        assert!(
            said.contains("SYMBOLON_DATA_DIR") && said.contains("symbolon restore"),
            "{command:?}: {said}"
        );
    }
    assert!(refusal(shop.restore(&backup, &["--yes"]), 1).contains("--replace"));
    shop.restore(&backup, &["--yes", "--replace"]).success();
    shop.server().restart();
    shop.is_dead(&[live]);
    shop.works();
    assert!(!shop.data("restore-under-way").exists() && !shop.data("restore-draft").exists());
}
