//! Answers of Redis that break off, or that are no answers: whoever waits for one gets 503, nobody gets a wrong one,
//! and the connection is made anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::scene::{Said, Scene, assert_alive, measured, pause, try_mint};
use crate::support::deployment::Plan;
use crate::support::proxy::{Direction, Fate, Proxy};

/// What becomes of an answer.
type Spoil = fn(&[u8]) -> Fate;

/// How many answers pass between two that are tampered with.
const BETWEEN: usize = 16;

/// Tampers with every sixteenth answer; counts them.
fn tamper(path: &Proxy, spoil: Spoil) -> Arc<AtomicUsize> {
    let spoiled = Arc::new(AtomicUsize::new(0));
    let (count, passed) = (Arc::clone(&spoiled), AtomicUsize::new(0));
    path.filter(move |direction, piece| {
        if direction == Direction::Request || passed.fetch_add(1, Ordering::Relaxed) % BETWEEN != BETWEEN - 1
        {
            return Fate::Pass;
        }
        count.fetch_add(1, Ordering::Relaxed);
        spoil(piece)
    });
    spoiled
}

#[derive(Debug, Default)]
struct Seen {
    active: AtomicUsize,
    inactive: AtomicUsize,
    unavailable: AtomicUsize,
}

/// Many requests at once, so that answers are pipelined and one piece holds several.
fn under_load(scene: &Scene, spoil: Spoil) -> (usize, Seen) {
    let live = scene.live_token();
    // The feed knows that it is dead, and Redis that it is gone.
    let dead = scene.live_token();
    scene.app.revoke(scene.replica(1), &dead);
    let spoiled = tamper(scene.deployment.redis_path(0), spoil);
    let (over, seen) = (AtomicBool::new(false), Seen::default());
    thread::scope(|scope| {
        for worker in 0..8 {
            let (over, seen, live, dead) = (&over, &seen, &live, &dead);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let (token, truth) =
                        if worker % 4 == 0 { (dead, Said::Inactive) } else { (live, Said::Active) };
                    match scene.ask(0, token) {
                        Said::Unavailable => seen.unavailable.fetch_add(1, Ordering::Relaxed),
                        said => {
                            assert_eq!(said, truth, "a spoiled answer was believed");
                            if truth == Said::Active { &seen.active } else { &seen.inactive }
                                .fetch_add(1, Ordering::Relaxed)
                        }
                    };
                    if worker == 1 {
                        try_mint(&scene.app, scene.replica(0));
                    }
                }
            });
        }
        pause(1500);
        over.store(true, Ordering::Relaxed);
    });
    assert_alive(scene.replica(0));
    scene.deployment.redis_path(0).filter(|_, _| Fate::Pass);
    scene.wait_for_recovery(&live);
    scene.everywhere(&dead, Said::Inactive);
    (spoiled.load(Ordering::Relaxed), seen)
}

#[test]
fn answers_that_break_off_or_make_no_sense_are_503_and_never_believed() {
    let scene = Scene::of(Plan::scaled(2).proxied());
    let faults: [(&str, Spoil); 5] = [
        ("reset between two answers", |_| Fate::Cut(Vec::new())),
        ("reset in the middle of an answer", |piece| Fate::Cut(piece[..piece.len() / 2].to_vec())),
        ("garbage instead of an answer", |piece| Fate::Replace(vec![0xfe; piece.len()])),
        ("a length that never comes", |_| Fate::Replace(b"$1000000\r\nhalf".to_vec())),
        ("one error in the place of all that a piece holds", |_| {
            Fate::Replace(b"-WHATEVER went wrong\r\n".to_vec())
        }),
    ];
    let (mut total, mut lines) = (0, Vec::new());
    for (name, spoil) in faults {
        let (spoiled, seen) = under_load(&scene, spoil);
        assert!(spoiled > 0, "{name}: nothing was tampered with");
        println!("{name}: {spoiled} times, {seen:?}");
        total += spoiled;
        lines.push(seen);
    }
    let sum = |of: fn(&Seen) -> &AtomicUsize| {
        lines.iter().map(|seen| of(seen).load(Ordering::Relaxed)).sum::<usize>()
    };
    let (active, inactive) = (sum(|seen| &seen.active), sum(|seen| &seen.inactive));
    measured(&format!(
        "5 ways, {total} spoiled answers among {} requests: {} were 503, 0 wrong",
        active + inactive + sum(|seen| &seen.unavailable),
        sum(|seen| &seen.unavailable)
    ));
    assert!(active > 100 && inactive > 10, "nothing was answered between the faults");
}
