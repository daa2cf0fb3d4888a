//! One run: threads that ask, one that breaks things, and in the end a look at every token on every replica.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::{Duration, Instant};

use crate::dump_history;
use crate::faults::Breaker;
use crate::history::{Answer, History, Setup};
use crate::requests::Worker;
use crate::world::{Held, World};

const THREADS: u16 = 8;
/// How long a token may be asked for in the end until there is an answer.
const IN_THE_END: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(50);

/// Runs what the set-up says and returns what happened.
pub fn run(setup: &Setup) -> History {
    let world = World::start(setup.clone());
    let done = catch_unwind(AssertUnwindSafe(|| {
        storm(&world);
        world.begin_sweep();
        sweep(&world);
    }));
    let history = world.history();
    if let Err(panic) = done {
        println!("what happened until then: {}", dump_history(&history).display());
        resume_unwind(panic);
    }
    history
}

fn storm(world: &World) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let _off = CallOff(world);
                Worker::new(world, thread).work();
            });
        }
        let _off = CallOff(world);
        Breaker::new(world).rage(world.setup.operations);
        while !world.is_over() && world.operations() < world.setup.operations {
            thread::sleep(AGAIN);
        }
        world.call_off();
    });
}

/// What nobody knows the fate of is revoked once more, which is safe; then every replica is asked for every token.
fn sweep(world: &World) {
    spread(world, &world.in_limbo(), |worker, held| {
        until_answered(|| worker.revoke_again(held) == Answer::Done);
    });
    spread(world, &world.every_token(), |worker, held| {
        for replica in 0..world.setup.replicas {
            until_answered(|| {
                matches!(worker.introspect(held, replica), Answer::Active(_) | Answer::Inactive)
            });
        }
    });
}

fn spread(world: &World, tokens: &[Held], ask: impl Fn(&Worker<'_>, &Held) + Sync) {
    let (share, ask) = (tokens.len().div_ceil(usize::from(THREADS)).max(1), &ask);
    thread::scope(|scope| {
        for (part, thread) in tokens.chunks(share).zip(THREADS..) {
            scope.spawn(move || {
                let worker = Worker::new(world, thread);
                for held in part {
                    ask(&worker, held);
                }
            });
        }
    });
}

/// Gives up when it takes too long; the checker counts who got no answer.
fn until_answered(mut answered: impl FnMut() -> bool) {
    let began = Instant::now();
    while !answered() && began.elapsed() < IN_THE_END {
        thread::sleep(AGAIN);
    }
}

/// One that fails ends the run, for the others wait for its end.
struct CallOff<'w>(&'w World);

impl Drop for CallOff<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.call_off();
        }
    }
}
