//! Grants that an admin narrows, shortens, freezes and thaws: when the command has returned it is so on every replica,
//! and it stays so whatever Redis shows and whoever freezes, dies or starts (promise 2, for what is left of a grant).

use std::thread;

use serde_json::Value;

use crate::people::{People, SCOPE, refused, words};
use crate::scene::{SOON, Said, Scene, assert_unavailable, measured, pause, said, timed};
use crate::support::actors::Token;
use crate::support::browser;
use crate::support::cli::CliOutput;
use crate::support::deployment::{Deployment, Plan};
use crate::support::redis::RedisOptions;
use crate::support::wait;

fn edit(deployment: &Deployment, token: &Token, edit: &[&str]) -> CliOutput {
    let arguments = [&["token", edit[0], token.grant_id()], &edit[1..], &["--yes"]].concat();
    deployment.cli(&arguments).success()
}

/// What a replica tells about an active token.
fn claims(scene: &Scene, replica: usize, token: &Token) -> Value {
    scene.api.introspect(scene.replica(replica), token).0
}

/// Tokens of which each is restricted in another way.
struct Edited {
    narrowed: Token,
    shortened: Token,
    frozen: Token,
    thawed: Token,
    spared: Token,
    /// The end that the shortened one was given.
    end: Value,
}

impl Edited {
    fn of(scene: &Scene) -> Self {
        let [narrowed, shortened, frozen, thawed, spared] = [(); 5].map(|()| scene.live_token());
        let edit = |token, what: &[&str]| edit(&scene.deployment, token, what);
        edit(&narrowed, &["narrow", "--scope", "notes:read"]);
        edit(&shortened, &["shorten", "--ends-in", "10m"]);
        edit(&frozen, &["freeze"]);
        edit(&thawed, &["freeze"]);
        edit(&thawed, &["thaw"]);
        let end = claims(scene, 0, &shortened)["exp"].clone();
        assert!(
            end.as_i64() < claims(scene, 0, &spared)["exp"].as_i64(),
            "ten minutes are less than fifteen"
        );
        let edited = Self { narrowed, shortened, frozen, thawed, spared, end };
        edited.hold(scene);
        edited
    }

    /// Fails unless every replica says of each what holds.
    #[track_caller]
    fn hold(&self, scene: &Scene) {
        for replica in 0..scene.deployment.replicas().count() {
            assert_eq!(claims(scene, replica, &self.narrowed)["scope"], "notes:read");
            assert_eq!(claims(scene, replica, &self.shortened)["exp"], self.end);
            assert_eq!(scene.ask(replica, &self.frozen), Said::Inactive);
            for whole in [&self.thawed, &self.spared] {
                assert_eq!(claims(scene, replica, whole)["scope"], SCOPE);
            }
        }
    }
}

#[test]
fn an_edit_is_true_on_every_replica_when_its_command_returns() {
    const ROUNDS: usize = 6;
    let people = People::of(Plan::scaled(2));
    let scene = &people.scene;
    for round in 0..ROUNDS {
        let app = people.apps()[round % 2];
        let first = people.log_in(app);
        let edit = |what: &[&str]| edit(&scene.deployment, &first.access, what);
        edit(&["narrow", "--scope", "notes:read"]);
        for replica in [0, 1] {
            assert_eq!(claims(scene, replica, &first.access)["scope"], "notes:read");
        }
        let second = app.refresh(people.replica(round % 2), &first.refresh);
        assert_eq!(words(&second.scope), ["notes:read"], "its client is told");
        edit(&["freeze"]);
        for tokens in [&first, &second] {
            scene.everywhere(&tokens.access, Said::Inactive);
        }
        for server in scene.deployment.replicas() {
            assert_unavailable(&app.refreshing(server, &second.refresh, &[]).send());
        }
        edit(&["thaw"]);
        for tokens in [&first, &second] {
            scene.everywhere(&tokens.access, Said::Active);
        }
        let third = app.refresh(people.replica((round + 1) % 2), &second.refresh);
        edit(&["shorten", "--ends-in", "2s"]);
        wait::until_true("the grant ends", SOON, || scene.ask(0, &third.access) == Said::Inactive);
        // The two replicas have one clock.
        scene.everywhere(&third.access, Said::Inactive);
        for server in scene.deployment.replicas() {
            refused(&app.refreshing(server, &third.refresh, &[]).send());
        }
        assert_eq!(people.audit(&first.access), [""; 0], "none of this is theft");
    }
}

#[test]
fn whatever_redis_shows_restrictions_hold() {
    let scene =
        Scene::of(Plan::scaled(2).redis(RedisOptions { appendonly: true, ..RedisOptions::default() }));
    let early = scene.live_token();
    let dump = scene.deployment.redis().dump();
    let edited = Edited::of(&scene);
    edit(&scene.deployment, &early, &["freeze"]);
    // From before the edits: it has the early one, and no other.
    scene.deployment.redis().restore(&dump);
    for (replica, server) in scene.deployment.replicas().enumerate() {
        wait::until_true("a replica recovers by itself", SOON, || {
            let said = scene.ask(replica, &early);
            assert_ne!(said, Said::Active, "it is frozen");
            said == Said::Inactive && server.is_ready()
        });
    }
    scene.everywhere(&edited.spared, Said::Inactive);
    // Emptied; and an id that Redis does not have is thawed all the same.
    scene.deployment.redis().command(&["FLUSHALL"]);
    edit(&scene.deployment, &early, &["thaw"]);
    scene.everywhere(&early, Said::Inactive);
    scene.deployment.redis().restore(&dump);
    scene.wait_for_recovery(&early);
}

#[test]
fn restrictions_are_known_to_replicas_that_were_killed_or_start_later() {
    let mut scene = Scene::of(Plan::scaled(2).own_postgres());
    let edited = Edited::of(&scene);
    scene.replica(1).kill();
    scene.replica(1).restart();
    edited.hold(&scene);
    scene.deployment.add_replica();
    edited.hold(&scene);
    for server in scene.deployment.replicas() {
        server.kill();
    }
    scene.deployment.postgres().restart();
    for server in scene.deployment.replicas() {
        server.restart();
    }
    edited.hold(&scene);
    edit(&scene.deployment, &edited.frozen, &["thaw"]);
    scene.everywhere(&edited.frozen, Said::Active);
}

#[test]
fn the_embedded_default_keeps_restrictions_when_it_is_killed() {
    let scene = Scene::of(Plan::embedded().lease("2s"));
    let edited = Edited::of(&scene);
    for _ in 0..2 {
        scene.replica(0).kill();
        scene.replica(0).restart();
        edited.hold(&scene);
    }
    // With nobody running a command edits all the same, once the lease of the dead one is over.
    scene.replica(0).kill();
    edit(&scene.deployment, &edited.frozen, &["thaw"]);
    scene.replica(0).restart();
    scene.everywhere(&edited.frozen, Said::Active);
}

#[test]
fn a_replica_that_was_frozen_past_its_lease_answers_nothing_from_before_an_edit() {
    let scene = Scene::of(Plan::scaled(2).lease("2s"));
    for edits in [&["freeze"][..], &["narrow", "--scope", "notes:read"]] {
        let token = scene.live_token();
        scene.replica(1).freeze();
        let (output, took) = timed(|| edit(&scene.deployment, &token, edits));
        measured(&format!("{}: acknowledged in {took:?} with a lease of 2 s", edits[0]));
        assert!(output.stderr.contains("waiting for"), "who has not confirmed is named: {output:?}");
        // Questions that the kernel has taken and the frozen replica has not: its first answers.
        let is_true = |answer: &crate::support::http::Response| match said(answer) {
            Said::Unavailable => true,
            Said::Inactive => edits[0] == "freeze",
            _ => edits[0] == "narrow" && answer.json()["scope"] == "notes:read",
        };
        thread::scope(|scope| {
            let ask = || scene.api.introspect_request(scene.replica(1), token.as_str()).send();
            let asking: Vec<_> = (0..24).map(|_| scope.spawn(ask)).collect();
            pause(100);
            scene.replica(1).thaw();
            for answer in asking {
                let answer = answer.join().expect("an answer after the thaw");
                assert!(is_true(&answer), "{}", answer.text());
            }
        });
        scene.replica(1).wait_until_ready(true, SOON);
        assert!(is_true(&scene.api.introspect_request(scene.replica(1), token.as_str()).send()));
    }
}

#[test]
fn no_refresh_gets_around_an_edit_that_it_races_with() {
    const ROUNDS: u64 = 20;
    let people = People::of(Plan::scaled(2));
    let (scene, app) = (&people.scene, &people.server_side);
    let mut came_first = 0;
    for round in 0..ROUNDS {
        let first = people.log_in(app);
        let freeze = round % 2 == 0;
        let what: &[&str] = if freeze { &["freeze"] } else { &["narrow", "--scope", "notes:read"] };
        let answer = thread::scope(|scope| {
            let refresh = scope.spawn(|| {
                // From before the command has begun to after it has ended.
                pause(10 * round);
                app.refreshing(people.replica(1), &first.refresh, &[]).send()
            });
            edit(&scene.deployment, &first.access, what);
            refresh.join().expect("an answer")
        });
        if freeze {
            if answer.status == 200 {
                came_first += 1;
                scene.everywhere(&browser::tokens(&answer).access, Said::Inactive);
            } else {
                assert_unavailable(&answer);
            }
            edit(&scene.deployment, &first.access, &["thaw"]);
        }
        // Whether or not it was answered, its client goes on from where it was.
        let tokens = app.refresh(people.replica(0), &first.refresh);
        assert_eq!(words(&tokens.scope) == ["notes:read"], !freeze);
        for replica in [0, 1] {
            let expected = if freeze { SCOPE } else { "notes:read" };
            assert_eq!(claims(scene, replica, &tokens.access)["scope"], expected);
        }
        assert_eq!(people.audit(&first.access), [""; 0]);
    }
    measured(&format!("{ROUNDS} races; of {} with a freeze {came_first} refreshes came first", ROUNDS / 2));
}
