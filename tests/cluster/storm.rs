//! Everything is killed with SIGKILL at random moments while tokens are minted, introspected and revoked, clients
//! killed and changed. Whatever was acknowledged holds, then and after everything was started again.
//!
//! Each worker has clients of its own, so it knows what each of their tokens may be: what it was told is dead is
//! asked for by all workers; what it was told is alive is asked for by itself.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::scene::{SOON, Said, Scene, measured, minted, pause, said};
use crate::support::actors::{Client, Token};
use crate::support::deployment::Plan;
use crate::support::http::{Request, Response};
use crate::support::redis::RedisOptions;
use crate::support::wait;

const WORKERS: u64 = 3;
const STORM: Duration = Duration::from_secs(20);
/// Longer than a revocation waits.
const PATIENCE: Duration = Duration::from_secs(6);

/// `SplitMix64`: enough to choose by, and the same again for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).expect("a side fits")
    }
}

/// What all workers know.
#[derive(Default)]
struct Ledger {
    over: AtomicBool,
    dead: Mutex<Vec<Token>>,
}

impl Ledger {
    fn bury(&self, tokens: impl IntoIterator<Item = Token>) {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).extend(tokens);
    }

    fn any_dead(&self, dice: &mut Dice) -> Option<Token> {
        let dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        (!dead.is_empty()).then(|| dead[dice.roll(dead.len())].clone())
    }
}

/// One worker, and what it was told.
struct Worker<'a> {
    scene: &'a Scene,
    ledger: &'a Ledger,
    dice: Dice,
    /// Its tokens are revoked one by one, never all at once.
    steady: Client,
    steady_tokens: Vec<Token>,
    /// This one is killed and changed.
    shaken: Client,
    shaken_tokens: Vec<Token>,
    /// What `shaken` may use at most; `None` while that is not known.
    shaken_scope: Option<&'static str>,
    /// Asked for and not acknowledged: may be either.
    limbo: Vec<Token>,
    tally: Tally,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    minted: usize,
    revoked: usize,
    killed: usize,
    changed: usize,
    asked: usize,
    refused: usize,
}

impl Worker<'_> {
    fn work(&mut self) {
        while !self.ledger.over.load(Ordering::Relaxed) {
            match self.dice.roll(150) {
                0..50 => self.mint(),
                50..65 => self.revoke(),
                65..100 => self.ask_for_the_dead(),
                100..140 => self.ask_for_the_living(),
                140..147 => self.ask_again_for_limbo(),
                147..149 => self.change(),
                _ => self.kill(),
            }
        }
    }

    fn send(&mut self, request: impl FnOnce(&Scene, usize) -> Request) -> Option<Response> {
        let replica = self.dice.roll(2);
        let answer = request(self.scene, replica).limit(PATIENCE).try_send().ok();
        // Nobody there, or 503: the storm is outside. Any other refusal is a fault of the server's.
        let answer = answer.filter(|answer| {
            assert!(matches!(answer.status, 200 | 503), "{} {}", answer.status, answer.text());
            answer.status == 200
        });
        if answer.is_none() {
            self.tally.refused += 1;
            pause(20);
        }
        answer
    }

    fn mint(&mut self) {
        let shaken = self.dice.roll(2) == 0;
        let client = if shaken { self.shaken.clone() } else { self.steady.clone() };
        let Some(answer) = self.send(|scene, replica| client.token_request(scene.replica(replica), &[]))
        else {
            return;
        };
        let token = minted(&answer);
        if shaken {
            self.shaken_tokens.push(token);
        } else {
            self.steady_tokens.push(token);
        }
        self.tally.minted += 1;
    }

    fn revoke(&mut self) {
        if self.steady_tokens.len() < 3 {
            return;
        }
        let index = self.dice.roll(self.steady_tokens.len());
        let token = self.steady_tokens.swap_remove(index);
        self.revoke_this(token);
    }

    fn revoke_this(&mut self, token: Token) {
        let (owner, by_owner) = (self.steady.clone(), self.dice.roll(2) == 0);
        let answer = self.send(|scene, replica| match by_owner {
            true => owner.revoke_request(scene.replica(replica), token.as_str()),
            false => scene.api.revoke_request(scene.replica(replica), token.as_str()),
        });
        if answer.is_none() {
            self.limbo.push(token);
            return;
        }
        for replica in [0, 1, 0, 1] {
            self.expect_dead(replica, &token);
        }
        self.ledger.bury([token]);
        self.tally.revoked += 1;
    }

    fn expect_dead(&mut self, replica: usize, token: &Token) {
        self.tally.asked += 1;
        let said = self.scene.ask(replica, token);
        assert_ne!(said, Said::Active, "{} is dead by an acknowledgement", token.grant_id());
    }

    fn ask_for_the_dead(&mut self) {
        let Some(token) = self.ledger.any_dead(&mut self.dice) else { return };
        let replica = self.dice.roll(2);
        self.expect_dead(replica, &token);
    }

    fn ask_for_the_living(&mut self) {
        let shaken = self.dice.roll(2) == 0;
        let tokens = if shaken { &self.shaken_tokens } else { &self.steady_tokens };
        if tokens.is_empty() {
            return;
        }
        let token = tokens[self.dice.roll(tokens.len())].clone();
        let Some(answer) =
            self.send(|scene, replica| scene.api.introspect_request(scene.replica(replica), token.as_str()))
        else {
            return;
        };
        self.tally.asked += 1;
        // Of a client that is being changed, a token may have no scope left; never one that was taken away.
        let scope = answer.json()["scope"].as_str().unwrap_or_default().to_owned();
        if !shaken {
            assert_eq!(said(&answer), Said::Active, "{} was minted and lives", token.grant_id());
        } else if let Some(most) = self.shaken_scope {
            let within =
                scope.split(' ').all(|word| word.is_empty() || most.split(' ').any(|other| other == word));
            assert!(within, "{scope:?} is more than {most:?}, to which the client was changed");
        }
    }

    fn ask_again_for_limbo(&mut self) {
        if let Some(token) = self.limbo.pop() {
            self.revoke_this(token);
        }
    }

    fn change(&mut self) {
        let scope = ["notes:read", "notes:write", "notes:read notes:write"][self.dice.roll(3)];
        self.shaken_scope = None;
        let output = self.scene.deployment.cli(&["client", "update", &self.shaken.id, "--scope", scope]);
        if output.status == Some(0) {
            self.shaken_scope = Some(scope);
            self.tally.changed += 1;
        }
    }

    fn kill(&mut self) {
        let doomed = std::mem::take(&mut self.shaken_tokens);
        let output = self.scene.deployment.cli(&["revoke", "--client", &self.shaken.id, "--yes"]);
        if output.status == Some(0) {
            for token in &doomed {
                let replica = self.dice.roll(2);
                self.expect_dead(replica, token);
            }
            self.ledger.bury(doomed);
            self.tally.killed += 1;
        }
        // Else they may be either, and nothing is claimed of them.
    }
}

/// Kills and starts again, one thing or everything, until the storm is over.
fn rage(scene: &Scene, dice: &mut Dice, ledger: &Ledger) -> Vec<&'static str> {
    let (begun, mut done) = (Instant::now(), Vec::new());
    let (redis, postgres) = (scene.deployment.redis(), scene.deployment.postgres());
    while begun.elapsed() < STORM {
        pause(300 + dice.roll(900) as u64);
        let out = dice.roll(700) as u64;
        let kind = dice.roll(6);
        match kind {
            0 | 1 => {
                scene.replica(kind).kill();
                pause(out);
                scene.replica(kind).restart();
            }
            2 => {
                redis.kill();
                pause(out);
                redis.restart();
            }
            3 => {
                postgres.kill();
                pause(out);
                postgres.restart();
            }
            4 => {
                scene.replica(0).freeze();
                pause(4 * out);
                scene.replica(0).thaw();
            }
            _ => {
                // In an order that differs each time.
                let order = dice.roll(4);
                for step in 0..4 {
                    match (order + step) % 4 {
                        2 => redis.kill(),
                        3 => postgres.kill(),
                        replica => scene.replica(replica).kill(),
                    }
                }
                pause(out);
                redis.restart();
                postgres.restart();
                scene.replica(0).restart();
                scene.replica(1).restart();
            }
        }
        done.push(["replica 0", "replica 1", "Redis", "PostgreSQL", "freeze", "everything"][kind]);
    }
    ledger.over.store(true, Ordering::Relaxed);
    done
}

#[test]
fn whatever_was_acknowledged_in_a_storm_of_kills_holds_after_it() {
    let given = std::env::var("STORM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("STORM_SEED={seed}");
    let redis = RedisOptions { appendonly: true, ..RedisOptions::default() };
    let plan = Plan::scaled(2).redis(redis).own_postgres().lease("2s").env("SYMBOLON_REVOKE_WAIT", "4s");
    let scene = Scene::of(plan);
    let ledger = Ledger::default();
    let both = "notes:read notes:write";
    let mut workers: Vec<Worker<'_>> = (0..WORKERS)
        .map(|number| Worker {
            scene: &scene,
            ledger: &ledger,
            dice: Dice(seed ^ (number + 1)),
            steady: scene.deployment.client(&format!("steady-{number}"), both),
            steady_tokens: Vec::new(),
            shaken: scene.deployment.client(&format!("shaken-{number}"), both),
            shaken_tokens: Vec::new(),
            shaken_scope: Some(both),
            limbo: Vec::new(),
            tally: Tally::default(),
        })
        .collect();
    let done = thread::scope(|scope| {
        let working: Vec<_> = workers
            .iter_mut()
            .map(|worker| {
                scope.spawn(|| {
                    // One that fails calls the storm off, for the others wait for its end.
                    let _off = CallOff(worker.ledger);
                    worker.work();
                })
            })
            .collect();
        let done = rage(&scene, &mut Dice(seed), &ledger);
        for worker in working {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        done
    });
    println!("killed: {}", done.join(", "));
    for server in scene.deployment.replicas() {
        server.wait_until_ready(true, SOON);
    }
    let dead = ledger.dead.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for token in &dead {
        scene.everywhere(token, Said::Inactive);
    }
    let mut alive = 0;
    for worker in &workers {
        println!("{:?}, {} in limbo", worker.tally, worker.limbo.len());
        for token in &worker.steady_tokens {
            scene.everywhere(token, Said::Active);
            alive += 1;
        }
    }
    measured(&format!("{} dead, {alive} alive", dead.len()));
    assert!(dead.len() > 20 && alive > 5, "the storm let nothing happen");
    // What is in limbo can be asked for again, and is dead then.
    for worker in &mut workers {
        for token in std::mem::take(&mut worker.limbo) {
            wait::until_true("asking again succeeds", SOON, || {
                scene.api.revoke_request(scene.replica(0), token.as_str()).send().status == 200
            });
            scene.everywhere(&token, Said::Inactive);
        }
    }
}

struct CallOff<'a>(&'a Ledger);

impl Drop for CallOff<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.over.store(true, Ordering::Relaxed);
        }
    }
}
