//! A process dies between each two things that it does: a replica that mints, a replica that revokes, a command that
//! changes a client. The stores are reached through a [`Tripwire`] that lets 0, 1, 2, … messages pass and then kills,
//! until the work is done without a death.
//!
//! Whatever was acknowledged holds everywhere; whatever was not is done or not done, on both replicas alike; asking
//! again succeeds; the survivor's acknowledgements are late by a lease at most.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::scene::{PROMISED, SOON, Said, Scene, ask, measured, timed};
use crate::support::actors::{Client, Token};
use crate::support::cli::{CliOutput, RunningCli};
use crate::support::deployment::Plan;
use crate::support::http::{Request, Response};
use crate::support::proxy::Proxy;
use crate::support::redis::RedisOptions;
use crate::support::symbolon::Environment;
use crate::support::tripwire::Tripwire;
use crate::support::wait;

const LEASE: Duration = Duration::from_secs(1);
/// Far more than any of these takes: the work never ends if this is reached.
const MOST_STEPS: usize = 400;

/// Two replicas; the first one's messages, on every path, are counted.
struct Stage {
    scene: Scene,
    wire: Arc<Tripwire>,
    front: Proxy,
}

impl Stage {
    fn new() -> Self {
        let redis = RedisOptions { appendonly: true, ..RedisOptions::default() };
        let plan = Plan::scaled(2).proxied().redis(redis).lease("1s").env("SYMBOLON_REVOKE_WAIT", "8s");
        let scene = Scene::of(plan);
        let (wire, front) = (Tripwire::new(), Proxy::to(scene.replica(0).address()));
        wire.watch("HTTP", &front);
        wire.watch("Redis", scene.deployment.redis_path(0));
        wire.watch("SQL", scene.deployment.sql_path(0));
        Self { scene, wire, front }
    }

    /// Sends a request to the first replica, which dies after so many messages; the answer if there was one, and
    /// what it died of.
    fn send(&self, messages: usize, path: &str, form: &[(&str, &str)]) -> (Option<Response>, Option<String>) {
        let app = &self.scene.app;
        let url = format!("http://{}{path}", self.front.address());
        let request = Request::post(url).form(form).basic(&app.id, &app.secret).limit(SOON);
        self.wire.arm(self.scene.replica(0).id(), messages);
        let answer = request.try_send().ok();
        (answer, self.wire.disarm())
    }

    fn bring_back(&self) {
        self.scene.replica(0).kill();
        self.scene.replica(0).restart();
    }
}

/// What both replicas say of a token once both know something.
#[track_caller]
fn agreed(scene: &Scene, token: &Token) -> Said {
    wait::until("both replicas say the same of a token", SOON, || {
        let [first, second] = [0, 1].map(|index| scene.ask(index, token));
        (first == second && matches!(first, Said::Active | Said::Inactive)).then_some(first)
    })
}

/// Numbers without a hole, and nobody left who is not there.
fn is_clean(scene: &Scene) {
    let database = scene.deployment.database();
    let holes = "SELECT max(number) - min(number) + 1 - count(*), \
                 (SELECT number FROM feed) - max(number) FROM changes";
    assert_eq!(database.execute(holes), "0|0", "the numbers have a hole");
    wait::until_true("the rows of the dead are gone", SOON, || {
        database.execute("SELECT count(*) FROM replicas") == "2"
    });
}

fn is_recorded(scene: &Scene, token: &Token) -> bool {
    let query = format!(
        "SELECT count(*) FROM changes WHERE kind = 'revoke-grant' AND target = '{}'",
        token.grant_id()
    );
    scene.deployment.database().execute(&query) == "1"
}

#[test]
fn a_replica_killed_at_each_step_of_a_mint_leaves_nothing_that_anybody_could_use() {
    let stage = Stage::new();
    let scene = &stage.scene;
    let records = || scene.deployment.redis().command(&["DBSIZE"]).integer();
    let mut minted = vec![scene.live_token()];
    wait::until_true("the witness is there", SOON, || records() == 2);
    let (mut deaths, mut orphans) = (Vec::new(), 0);
    for messages in 0..MOST_STEPS {
        let before = records();
        let (answer, death) = stage.send(messages, "/token", &[("grant_type", "client_credentials")]);
        let token = answer.filter(|answer| answer.status == 200).map(|answer| crate::scene::minted(&answer));
        let kept = records() - before;
        assert!(kept <= 1 && kept >= i64::from(token.is_some()), "{kept} records of one mint");
        orphans += kept - i64::from(token.is_some());
        minted.extend(token.clone());
        let Some(death) = death else {
            assert!(token.is_some(), "nobody was killed, and there is no token");
            break;
        };
        deaths.push(death);
        assert_ne!(scene.ask(1, &minted[0]), Said::Inactive, "on the survivor");
        stage.bring_back();
        minted.push(scene.app.mint(scene.replica(0)));
        for token in &minted {
            assert_eq!(agreed(scene, token), Said::Active, "{deaths:?}");
        }
    }
    assert!(deaths.len() >= 4, "HTTP and Redis, there and back: {deaths:?}");
    is_clean(scene);
    // What was kept for nobody ends with everything else of the client.
    scene.deployment.cli(&["revoke", "--client", &scene.app.id, "--yes"]).success();
    for token in &minted {
        assert_eq!(agreed(scene, token), Said::Inactive);
    }
    measured(&format!(
        "{} kill points; {} tokens handed out, all good; {orphans} records kept that nobody holds",
        deaths.len(),
        minted.len()
    ));
}

/// What the deaths during revocations came to.
#[derive(Default)]
struct Revocations {
    deaths: usize,
    recorded: usize,
    acknowledged: usize,
    /// The survivor's latest acknowledgement.
    latest: Duration,
}

/// Every second step, from this one on.
fn killed_while_revoking(first: usize) -> Revocations {
    let stage = Stage::new();
    let scene = &stage.scene;
    let mut seen = Revocations::default();
    for messages in (first..MOST_STEPS).step_by(2) {
        let [dying, other, live] = [(); 3].map(|()| scene.app.mint(scene.replica(1)));
        let (answer, death) = stage.send(messages, "/revoke", &[("token", dying.as_str())]);
        let is_acknowledged = answer.is_some_and(|answer| answer.status == 200);
        assert!(!is_acknowledged || scene.ask(1, &dying) != Said::Active, "acknowledged: {death:?}");
        seen.acknowledged += usize::from(is_acknowledged);
        let Some(death) = death else {
            assert!(is_acknowledged, "nobody was killed, and it is not acknowledged");
            break;
        };
        // Whatever the dead one held or was about to write, the survivor's word comes a lease late at most.
        let (answer, took) = timed(|| scene.revoke(1, &other));
        answer.expect_status(200);
        seen.latest = seen.latest.max(took);
        assert!(took < Duration::from_secs(1) + LEASE + PROMISED, "{death}: acknowledged after {took:?}");
        stage.bring_back();
        assert_eq!(agreed(scene, &other), Said::Inactive);
        assert_eq!(agreed(scene, &live), Said::Active);
        let is_recorded = is_recorded(scene, &dying);
        seen.recorded += usize::from(is_recorded);
        assert_eq!(agreed(scene, &dying) == Said::Inactive, is_recorded, "{death}");
        assert!(is_recorded || !is_acknowledged, "{death}: acknowledged, and not recorded");
        // Whoever had no answer asks again, here or there.
        scene.app.revoke(scene.replica(messages / 2 % 2), &dying);
        scene.everywhere(&dying, Said::Inactive);
        seen.deaths += 1;
    }
    is_clean(scene);
    seen
}

#[test]
fn a_replica_killed_at_each_step_of_a_revocation_leaves_it_done_or_not_done_everywhere() {
    // Most of it is waiting for leases of the dead, so two stages play it together.
    let [even, odd] = thread::scope(|scope| {
        let playing = [0, 1].map(|first| scope.spawn(move || killed_while_revoking(first)));
        playing.map(|stage| stage.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let (deaths, recorded) = (even.deaths + odd.deaths, even.recorded + odd.recorded);
    assert!(deaths >= 12, "a record, a commit, an acknowledgement: {deaths} deaths");
    assert!(recorded > 0 && recorded < deaths, "{recorded} of {deaths} were recorded");
    measured(&format!(
        "{deaths} kill points; {recorded} recorded, {} acknowledged; \
         the survivor's next acknowledgement after {:.1?} at most (lease {LEASE:?})",
        even.acknowledged + odd.acknowledged,
        even.latest.max(odd.latest)
    ));
}

/// A command that is killed after 0, 1, 2, … of its messages.
struct Commands {
    scene: Scene,
    wire: Arc<Tripwire>,
    environment: Environment,
    _paths: [Proxy; 2],
    deaths: usize,
}

impl Commands {
    fn new() -> Self {
        let scene = Scene::of(Plan::scaled(2).lease("2s"));
        let deployment = &scene.deployment;
        let paths = [deployment.redis().address(), deployment.postgres().address()].map(Proxy::to);
        let wire = Tripwire::new();
        let mut environment = deployment.environment().clone();
        for (path, name) in paths.iter().zip(["SYMBOLON_REDIS_URL", "SYMBOLON_DATABASE_URL"]) {
            wire.watch(name, path);
            let through = path.url(&environment[name]);
            environment.insert(name.to_owned(), through);
        }
        Self { scene, wire, environment, _paths: paths, deaths: 0 }
    }

    /// Runs a command to its end or its death.
    fn run(&self, messages: usize, arguments: &[&str]) -> (CliOutput, Option<String>) {
        // Its first message waits until it is known who is to die.
        let running = self.wire.arm_while(messages, || {
            let running = RunningCli::start(&self.environment, arguments, "");
            (running.id(), running)
        });
        let output = running.finish();
        (output, self.wire.disarm())
    }

    /// Kills the command at each step; `check` is told whether it said that it succeeded, after each.
    fn at_each_step(&mut self, arguments: &[&str], check: impl Fn(&Scene, bool, &str)) {
        let mut deaths = 0;
        for messages in 0..MOST_STEPS {
            let (output, death) = self.run(messages, arguments);
            let succeeded = output.status == Some(0);
            let Some(death) = death else {
                output.success();
                check(&self.scene, true, "nobody died");
                break;
            };
            deaths += 1;
            check(&self.scene, succeeded, &format!("{arguments:?} died at message {messages}: {death}"));
        }
        println!("{}: {deaths} kill points", arguments[..2].join(" "));
        assert!(deaths >= 12, "connecting, a change, a commit: {deaths} kill points");
        self.deaths += deaths;
    }
}

/// The client as SQL has it.
fn shown(scene: &Scene, client: &Client) -> serde_json::Value {
    scene.deployment.cli(&["client", "show", &client.id, "--json"]).success().json()
}

/// The scope that a replica gives, once it gives one.
fn scope_at(scene: &Scene, replica: usize, client: &Client) -> Option<String> {
    let answer = client.token_request(scene.replica(replica), &[]).limit(PROMISED).try_send().ok()?;
    (answer.status == 200).then(|| answer.json()["scope"].as_str().expect("a scope").to_owned())
}

#[test]
fn a_command_killed_at_each_step_of_a_client_change_leaves_it_done_or_not_done_everywhere() {
    let mut commands = Commands::new();
    let (wide, narrow) = ("notes:read notes:write", "notes:read");
    let app = commands.scene.app.clone();
    commands.at_each_step(
        &["client", "update", &app.id, "--scope", narrow, "--json"],
        |scene, succeeded, why| {
            let scope = shown(scene, &app)["scope"].as_str().expect("a scope").to_owned();
            assert!(!succeeded || scope == narrow, "{why}");
            for replica in [0, 1] {
                assert!(!succeeded || scope_at(scene, replica, &app).is_none_or(|at| at == narrow), "{why}");
                wait::until_true("the replicas follow", SOON, || {
                    scope_at(scene, replica, &app).as_ref() == Some(&scope)
                });
            }
            scene.deployment.cli(&["client", "update", &app.id, "--scope", wide]).success();
        },
    );
    commands.at_each_step(&["client", "disable", &app.id, "--json"], |scene, succeeded, why| {
        let is_enabled = shown(scene, &app)["enabled"] == true;
        assert!(!succeeded || !is_enabled, "{why}");
        scene.deployment.cli(&["client", "disable", &app.id]).success();
        scene.deployment.cli(&["client", "enable", &app.id]).success();
    });
    let scene = &commands.scene;
    scene.live_token();
    is_clean(scene);
    measured(&format!("{} kill points in two commands; every retry succeeded", commands.deaths));
}

#[test]
fn a_command_killed_at_each_step_of_a_kill_leaves_it_done_or_not_done_everywhere() {
    let mut commands = Commands::new();
    let client = commands.scene.app.clone();
    let token = std::cell::RefCell::new(commands.scene.live_token());
    let recorded = std::cell::Cell::new(0);
    commands.at_each_step(&["revoke", "--client", &client.id, "--yes"], |scene, succeeded, why| {
        let killed = token.borrow().clone();
        for server in scene.deployment.replicas() {
            assert!(!succeeded || ask(&scene.api, server, &killed) != Said::Active, "{why}");
        }
        let kill = "SELECT count(*) FROM changes WHERE kind LIKE 'kill%'";
        let kills: usize = scene.deployment.database().execute(kill).parse().expect("a count");
        let is_new = kills > recorded.replace(kills);
        assert_eq!(agreed(scene, &killed) == Said::Inactive, is_new, "{why}");
        if is_new {
            *token.borrow_mut() = scene.live_token();
        }
    });
    let scene = &commands.scene;
    is_clean(scene);
    measured(&format!("{} kill points; {} of them after the commit", commands.deaths, recorded.get() - 1));
}

#[test]
fn a_command_killed_at_each_step_of_a_freeze_leaves_the_grant_frozen_or_not_everywhere() {
    let mut commands = Commands::new();
    let token = commands.scene.live_token();
    let frozen = std::cell::Cell::new(0);
    commands.at_each_step(&["token", "freeze", token.grant_id(), "--yes"], |scene, succeeded, why| {
        for server in scene.deployment.replicas() {
            assert!(!succeeded || ask(&scene.api, server, &token) != Said::Active, "{why}");
        }
        let count = |query: &str| scene.deployment.database().execute(query);
        let is_frozen = count("SELECT count(*) FROM restrictions WHERE thawed_at IS NULL") == "1";
        let changes = "SELECT count(*) FILTER (WHERE kind = 'freeze-grant') \
                       - count(*) FILTER (WHERE kind = 'thaw-grant') FROM changes";
        assert_eq!(count(changes) == "1", is_frozen, "the change and what it did are one: {why}");
        let expected = if is_frozen { Said::Inactive } else { Said::Active };
        wait::until_true("both replicas say what SQL says", SOON, || {
            (0..2).all(|replica| scene.ask(replica, &token) == expected)
        });
        if is_frozen {
            frozen.set(frozen.get() + 1);
            scene.deployment.cli(&["token", "thaw", token.grant_id()]).success();
        }
        scene.everywhere(&token, Said::Active);
    });
    is_clean(&commands.scene);
    measured(&format!("{} kill points; {} of them after the commit", commands.deaths, frozen.get() - 1));
}
