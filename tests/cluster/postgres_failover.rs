//! PostgreSQL fails over for real: a primary with a streaming standby, behind one service address.
//!
//! A synchronous standby has every commit, so the replicas find it by themselves and nothing is lost. An asynchronous
//! one may lack commits: that is noticed, nobody serves from it, and `symbolon recover` makes an end of everything
//! from before. That last one is the drill of `docs/OPERATIONS.md`; it prints what an operator types and sees.

use std::time::Duration;

use crate::scene::{SOON, Said, Scene, ask, assert_alive, measured, readiness, timed, try_mint};
use crate::support::actors::Token;
use crate::support::cli::{self, CliOutput};
use crate::support::deployment::Plan;
use crate::support::postgres::PostgresServer;
use crate::support::proxy::Proxy;
use crate::support::symbolon::WaitFor;
use crate::support::wait;

const STANDBY: &str = "standby";
const LEASE: Duration = Duration::from_secs(3);

/// Two replicas whose way to PostgreSQL can be led to the standby, as a service address is.
struct Pair {
    scene: Scene,
    /// What the standby hears the primary through.
    stream: Proxy,
    standby: PostgresServer,
}

impl Pair {
    fn start() -> Self {
        let plan = Plan::scaled(2).proxied().own_postgres().lease("3s").env("SYMBOLON_REVOKE_WAIT", "8s");
        let scene = Scene::of(plan);
        let primary = scene.deployment.postgres();
        let stream = Proxy::to(primary.address());
        let standby = primary.standby(STANDBY, stream.address());
        Self { scene, stream, standby }
    }

    /// The primary dies, the standby is promoted, and the service address leads to it.
    fn fail_over(&self) {
        let deployment = &self.scene.deployment;
        deployment.postgres().kill();
        self.standby.promote();
        for index in [0, 1] {
            deployment.sql_path(index).retarget(self.standby.address());
        }
    }

    /// The command line, through the service address.
    fn cli(&self, arguments: &[&str]) -> CliOutput {
        let deployment = &self.scene.deployment;
        let mut environment = deployment.environment().clone();
        let direct = &environment["SYMBOLON_DATABASE_URL"];
        let through = deployment.sql_path(0).url(direct);
        environment.insert("SYMBOLON_DATABASE_URL".to_owned(), through);
        cli::cli(&environment, arguments)
    }

    fn replicas_that_are_ready(&self) -> usize {
        self.scene.deployment.replicas().filter(|server| server.is_ready()).count()
    }
}

/// Each of these was acknowledged before the failover.
fn revoked(scene: &Scene, count: usize) -> Vec<Token> {
    let tokens: Vec<Token> = (0..count).map(|_| scene.app.mint(scene.replica(0))).collect();
    for (index, token) in tokens.iter().enumerate() {
        scene.app.revoke(scene.replica(index % 2), token);
    }
    tokens
}

#[test]
fn a_failover_to_a_synchronous_standby_loses_nothing_and_needs_nobody() {
    let pair = Pair::start();
    let scene = &pair.scene;
    scene.deployment.postgres().commit_waits_for(STANDBY);
    let live = scene.live_token();
    let dead = revoked(scene, 10);
    // The standby is cut off, so this commit hangs, and dies with the primary.
    let hanging = scene.live_token();
    pair.stream.stall();
    let request = scene.app.revoke_request(scene.replica(0), hanging.as_str());
    let (answer, took) = std::thread::scope(|scope| {
        let revoking = scope.spawn(|| timed(|| request.limit(4 * SOON).send()));
        std::thread::sleep(Duration::from_secs(1));
        assert!(!revoking.is_finished(), "the commit waits for the standby");
        assert_ne!(scene.ask(1, &live), Said::Inactive);
        pair.fail_over();
        revoking.join().expect("the revocation is answered")
    });
    assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
    let ((), recovered) = timed(|| scene.wait_for_recovery(&live));
    for token in &dead {
        scene.everywhere(token, Said::Inactive);
    }
    if answer.status == 200 {
        scene.everywhere(&hanging, Said::Inactive);
    } else {
        assert!(answer.text().contains("recorded"), "{}", answer.text());
        wait::until_true("asking again succeeds", SOON, || scene.revoke(1, &hanging).status == 200);
        scene.everywhere(&hanging, Said::Inactive);
    }
    for token in revoked(scene, 4) {
        scene.everywhere(&token, Said::Inactive);
    }
    measured(&format!(
        "{} acknowledged revocations, 0 lost; the one under way answered {} after {took:.1?}; \
         both replicas ready {recovered:.1?} after the standby took over",
        dead.len(),
        answer.status
    ));
}

/// Prints a drill as an operator would see it.
struct Transcript(String);

impl Transcript {
    fn note(&mut self, text: &str) {
        self.0.extend(["\n# ", text, "\n"]);
    }

    fn saw(&mut self, command: &str, output: &str) {
        self.0.extend(["$ ", command, "\n", output.trim_end(), "\n"]);
    }

    fn run(&mut self, pair: &Pair, arguments: &[&str]) -> CliOutput {
        let output = pair.cli(arguments);
        let quoted: Vec<String> = arguments
            .iter()
            .map(|word| if word.contains(' ') { format!("'{word}'") } else { (*word).to_owned() })
            .collect();
        let seen = format!("{}{}", output.stderr, output.stdout);
        self.saw(&format!("symbolon {}", quoted.join(" ")), &seen);
        if let Some(status @ 1..) = output.status {
            self.0.extend(["(exit ", &status.to_string(), ")\n"]);
        }
        output
    }

    fn readiness(&mut self, scene: &Scene, index: usize) {
        let seen = readiness(scene.replica(index));
        let command = format!("curl 'http://replica-{}:9080/readyz?verbose'", index + 1);
        self.saw(&command, &format!("HTTP {}\n{}", seen.status, seen.text()));
    }

    fn introspection(&mut self, scene: &Scene, index: usize, name: &str, token: &Token) {
        let seen = scene.api.introspect_str(scene.replica(index), token.as_str());
        let command =
            format!("curl -u \"$API\" -d token=\"${name}\" https://replica-{}/introspect", index + 1);
        self.saw(&command, &format!("HTTP {}\n{}", seen.status, seen.text()));
    }
}

#[test]
fn the_failover_drill_a_lagging_standby_is_noticed_and_recovered_from() {
    let pair = Pair::start();
    let (scene, mut drill) = (&pair.scene, Transcript(String::new()));
    let kept = scene.live_token();
    let lost = scene.live_token();
    drill.note(
        "Two replicas are ready. PostgreSQL has an asynchronous standby, which is now cut off from it.",
    );
    drill.readiness(scene, 0);
    pair.stream.refuse();
    drill.note("A token is revoked, and every replica confirms. The standby does not hear of it.");
    drill
        .run(&pair, &["token", "revoke", lost.grant_id(), "--yes", "--reason", "seen in a public repository"])
        .success();
    drill.introspection(scene, 0, "LEAKED", &lost);
    drill.note("The primary dies; the standby is promoted, and the service address leads to it.");
    let ((), failed_over) = timed(|| pair.fail_over());
    let ((), noticed) = timed(|| {
        for server in scene.deployment.replicas() {
            wait::until_true("the loss is noticed", LEASE + SOON, || {
                for token in [&lost, &kept] {
                    let said = ask(&scene.api, server, token);
                    assert!(token == &kept || said != Said::Active, "what was acknowledged was taken back");
                    assert!(token == &lost || said != Said::Inactive, "a live token is called inactive");
                }
                let ready = readiness(server);
                ready.status == 503 && ready.text().contains("symbolon recover")
            });
        }
    });
    for index in [0, 1] {
        wait::until_true("the lease ends", LEASE + SOON, || scene.ask(index, &kept) == Said::Unavailable);
    }
    drill.note("Both replicas have seen a change that this database lacks. Their leases end, and they answer nobody.");
    drill.readiness(scene, 0);
    drill.readiness(scene, 1);
    drill.introspection(scene, 1, "LEAKED", &lost);
    for (index, server) in scene.deployment.replicas().enumerate() {
        assert!(try_mint(&scene.app, server).is_none());
        assert_alive(server);
        assert!(server.stderr().contains("symbolon recover"), "the log says it too");
        let log = server.stderr();
        let line = log.lines().rfind(|line| line.contains("symbolon recover")).unwrap_or_default();
        drill.saw(&format!("journalctl -u symbolon  # replica {}", index + 1), line);
    }
    drill.note("What was acknowledged cannot be known any more, so everything from before has to end.");
    drill.run(&pair, &["recover"]).expect_status(2);
    let ((), took) = timed(|| {
        drill.run(&pair, &["recover", "--yes", "--reason", "failover to a standby that lagged"]).success();
        wait::until_true("both replicas are ready", SOON, || pair.replicas_that_are_ready() == 2);
    });
    drill.readiness(scene, 0);
    drill.note(
        "Every token from before is dead, the live ones too; clients ask for new ones, and those work.",
    );
    for (name, token) in [("LEAKED", &lost), ("KEPT", &kept)] {
        drill.introspection(scene, 0, name, token);
        scene.everywhere(token, Said::Inactive);
    }
    let new = scene.live_token();
    drill.introspection(scene, 1, "NEW", &new);
    drill
        .run(&pair, &["token", "revoke", new.grant_id(), "--yes", "--reason", "the drill is over"])
        .success();
    drill.introspection(scene, 0, "NEW", &new);
    println!("{}", drill.0);
    measured(&format!(
        "failover took {failed_over:.1?}; noticed by both replicas within {noticed:.1?}; \
         ready {took:.1?} after `symbolon recover` was typed"
    ));
}

#[test]
fn a_replica_that_starts_over_a_lagging_standby_is_warned_by_the_witness() {
    let pair = Pair::start();
    let scene = &pair.scene;
    let kept = scene.live_token();
    pair.stream.refuse();
    let lost = revoked(scene, 1).remove(0);
    for server in scene.deployment.replicas() {
        server.kill();
    }
    pair.fail_over();
    for server in scene.deployment.replicas() {
        server.restart_until(WaitFor::Liveness);
        wait::until_true("the witness betrays the loss", SOON, || {
            for token in [&lost, &kept] {
                let said = ask(&scene.api, server, token);
                assert!(matches!(said, Said::Unavailable | Said::Nothing), "{said:?} before recover");
            }
            readiness(server).text().contains("symbolon recover")
        });
    }
    pair.cli(&["recover", "--yes"]).success();
    let ((), took) = timed(|| {
        wait::until_true("both replicas are ready", SOON, || pair.replicas_that_are_ready() == 2);
    });
    for token in [&lost, &kept] {
        scene.everywhere(token, Said::Inactive);
    }
    measured(&format!("both refused to serve until `recover`, and were ready {took:.1?} after it"));
}
