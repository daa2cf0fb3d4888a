//! Token keys by list: a replica that lacks a key under which live tokens may exist is not ready, and keys are
//! rotated one replica at a time with nobody noticing.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::scene::{PROMISED, SOON, Said, Scene, ask, assert_alive, measured, readiness, try_mint};
use crate::support::actors::Token;
use crate::support::browser::Browser;
use crate::support::deployment::Plan;
use crate::support::encoding;
use crate::support::scratch;
use crate::support::symbolon::{Server, ServerConfig, WaitFor};
use crate::support::wait;

/// A replica whose keys are in a file of its own, so that a restart finds what was written there meanwhile.
struct Keyed {
    file: PathBuf,
    server: Server,
}

impl Keyed {
    fn start(scene: &Scene, file: PathBuf, keys: &[&str], wait_for: WaitFor) -> Self {
        fs::write(&file, keys.join("\n")).expect("the key file can be written");
        let mut environment = scene.deployment.environment().clone();
        environment.remove("SYMBOLON_TOKEN_KEY");
        environment.insert("SYMBOLON_TOKEN_KEY_FILE".to_owned(), file.display().to_string());
        environment.insert("SYMBOLON_DRAIN_DELAY".to_owned(), "1s".to_owned());
        let server = Server::start(&ServerConfig::serve().envs(&environment).wait_for(wait_for));
        Self { file, server }
    }

    fn restart_with(&self, keys: &[&str]) {
        fs::write(&self.file, keys.join("\n")).expect("the key file can be written");
        self.server.restart();
    }
}

/// What SQL has on record.
fn fingerprints(scene: &Scene) -> Vec<String> {
    let rows =
        scene.deployment.database().execute("SELECT fingerprint FROM token_keys ORDER BY last_used_at");
    rows.lines().map(str::to_owned).collect()
}

#[test]
fn a_replica_without_a_needed_key_is_not_ready_and_names_the_fingerprint() {
    let scene = Scene::of(Plan::scaled(1));
    let token = scene.live_token();
    let needed = fingerprints(&scene);
    assert_eq!(needed.len(), 1, "{needed:?}");
    let directory = scratch::directory("keys");
    let foreign = encoding::random_token_key();
    let other = Keyed::start(&scene, directory.path().join("key"), &[&foreign], WaitFor::Liveness);
    wait::until_true("the missing key is named", SOON, || {
        let ready = readiness(&other.server);
        ready.status == 503 && ready.text().contains(&needed[0])
    });
    let ready = readiness(&other.server).text();
    assert!(ready.contains("SYMBOLON_TOKEN_KEY"), "what would be right is said: {ready}");
    assert!(!ready.contains(&foreign) && !other.server.stderr().contains(&foreign), "a key is shown");
    assert_alive(&other.server);
    // The token is good, and this replica cannot know it: saying inactive would be a lie.
    assert_eq!(ask(&scene.api, &other.server, &token), Said::Unavailable);
    assert!(try_mint(&scene.app, &other.server).is_none());
    assert_eq!(scene.ask(0, &token), Said::Active);
    // Nobody waits for it, and its key is not one that others now need.
    scene.app.revoke(scene.replica(0), &token);
    assert_eq!(fingerprints(&scene), needed);
    let own = scene.deployment.environment()["SYMBOLON_TOKEN_KEY"].clone();
    other.restart_with_needed(&own, &foreign);
    other.server.wait_until_ready(true, SOON);
}

impl Keyed {
    /// The needed key is current and the other one held: nothing that anybody else lacks.
    fn restart_with_needed(&self, needed: &str, held: &str) {
        self.restart_with(&[needed, held]);
    }
}

#[test]
fn a_new_key_that_a_running_replica_lacks_takes_it_out_of_service_before_a_token_is_made_under_it() {
    let scene = Scene::of(Plan::scaled(1).lease("3s"));
    let old = scene.deployment.environment()["SYMBOLON_TOKEN_KEY"].clone();
    let new = encoding::random_token_key();
    let directory = scratch::directory("keys");
    // The mistake: the new key is put first before every replica holds it.
    let hasty = Keyed::start(&scene, directory.path().join("key"), &[&new, &old], WaitFor::Readiness);
    let token = scene.app.mint(&hasty.server);
    assert_eq!(ask(&scene.api, &hasty.server, &token), Said::Active);
    wait::until_true("the one without the key is out of service and says why", SOON, || {
        let said = scene.ask(0, &token);
        let ready = readiness(scene.replica(0));
        ready.status == 503
            && said == Said::Unavailable
            && fingerprints(&scene).iter().any(|fingerprint| ready.text().contains(fingerprint))
    });
    assert_alive(scene.replica(0));
}

#[test]
fn keys_are_rotated_one_replica_at_a_time_under_load_and_no_request_fails() {
    // A replica of the plan's own would hold the old key only: this one has none.
    let scene = {
        let deployment = Plan::scaled(0).start();
        let api = deployment.resource_server("api", "https://api.example", "notes:read notes:write");
        let app = deployment.client("app", "notes:read");
        Scene { deployment, api, app }
    };
    let (old, new) = (encoding::random_token_key(), encoding::random_token_key());
    let directory = scratch::directory("keys");
    let start = |name: &str| Keyed::start(&scene, directory.path().join(name), &[&old], WaitFor::Readiness);
    let replicas = [start("first"), start("second")];
    let before = scene.app.mint(&replicas[0].server);
    let revoked = scene.app.mint(&replicas[1].server);
    scene.app.revoke(&replicas[0].server, &revoked);
    let (over, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
    // On the replica that is not being restarted: one that retries elsewhere.
    let somewhere = |what: &str, request: &dyn Fn(&Server) -> bool| {
        let done = replicas.iter().any(|replica| request(&replica.server));
        assert!(done, "{what} failed on both replicas");
    };
    let load = || {
        let mut minted: Vec<Token> = vec![before.clone()];
        while !over.load(Ordering::Relaxed) {
            let turn = turns.fetch_add(1, Ordering::Relaxed);
            let server = &replicas[turn % 2].server;
            let mut token = try_mint(&scene.app, server);
            token = token.or_else(|| try_mint(&scene.app, &replicas[(turn + 1) % 2].server));
            minted.push(token.unwrap_or_else(|| panic!("turn {turn}: a mint failed on both replicas")));
            for token in [&minted[0], &minted[turn % minted.len()], &minted[minted.len() - 1]] {
                somewhere("an introspection", &|server| match ask(&scene.api, server, token) {
                    Said::Active => true,
                    Said::Inactive => panic!("turn {turn}: a live token is called inactive"),
                    Said::Nothing | Said::Unavailable => false,
                });
            }
            for replica in &replicas {
                assert_ne!(ask(&scene.api, &replica.server, &revoked), Said::Active);
            }
        }
    };
    thread::scope(|scope| {
        let loads = [scope.spawn(load), scope.spawn(load)];
        let steps: [&[&str]; 2] = [&[&old, &new], &[&new, &old]];
        for keys in steps {
            for replica in &replicas {
                replica.restart_with(keys);
            }
        }
        over.store(true, Ordering::Relaxed);
        for load in loads {
            load.join().expect("no request failed");
        }
    });
    measured(&format!("{} rounds of load", turns.into_inner()));
    assert_eq!(fingerprints(&scene).len(), 2);
    for replica in &replicas {
        assert_eq!(ask(&scene.api, &replica.server, &before), Said::Active, "an old token lives on");
        assert_eq!(ask(&scene.api, &replica.server, &revoked), Said::Inactive);
        let ready = readiness(&replica.server);
        assert_eq!(ready.status, 200, "{}", ready.text());
    }
    // Dropping the old key while its tokens live is refused in the same words as ever.
    let hasty = Keyed::start(&scene, directory.path().join("third"), &[&new], WaitFor::Liveness);
    assert!(wait::stays_true(PROMISED, || !hasty.server.is_ready()), "live tokens exist under the old key");
    assert!(
        fingerprints(&scene).iter().any(|fingerprint| readiness(&hasty.server).text().contains(fingerprint))
    );
}

/// Forms, login sessions, codes and chains outlive the key that they were made under, while it is held.
#[test]
fn a_key_that_is_rotated_between_any_two_pages_makes_nobody_begin_again() {
    let directory = scratch::directory("keys");
    let file = directory.path().join("key");
    let mut keys = vec![encoding::random_token_key()];
    fs::write(&file, &keys[0]).expect("the key file can be written");
    let deployment = Plan::embedded().env("SYMBOLON_TOKEN_KEY_FILE", file.display().to_string()).start();
    let (server, mut browser) = (deployment.replica(0), Browser::new());
    let mut rotate = || {
        keys.insert(0, encoding::random_token_key());
        fs::write(&file, keys.join("\n")).expect("the key file can be written");
        server.restart();
    };
    let notes = deployment.resource_server("notes", "https://notes.example", "notes:read");
    let (mira, app) = (deployment.user("mira"), deployment.app("app", "notes:read", &[]));
    // With a proof that the login was made for it, which is then older than the key.
    let ask = app.ask().with("prompt", "login consent");
    let login = browser.open(server, &ask.address()).page();
    rotate();
    let consent = browser.log_in(server, &login, &mira).page();
    assert_eq!(consent.path(), "/consent");
    rotate();
    let answer = browser.submit(server, &consent, &[], Some(("decision", "allow"))).left();
    rotate();
    let first = app.redeem(server, &ask, &answer);
    rotate();
    let second = app.refresh(server, &first.refresh);
    assert!(notes.introspect(server, &second.access).active());
    let logout = browser.open(server, "/logout").page();
    rotate();
    let done = browser.submit(server, &logout, &[], Some(("from", "everywhere"))).page();
    assert!(done.response.text().contains("You are logged out"), "{}", done.response.text());
    assert!(!notes.introspect(server, &second.access).active());
}
