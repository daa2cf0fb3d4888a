//! A run in which everything happens by chance; and its end, when all has to be well again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use symbolon::changes::{Change, KillScope};
use symbolon::domain::position::ChangeNumber;

use crate::Shared;
use crate::broken::Broken;
use crate::process::Process;
use crate::request::client;
use crate::rng::Rng;
use crate::time::LEASE;
use crate::world::{Kind, World};

/// What may befall a run.
#[derive(Clone, Copy)]
pub struct Menu {
    pub steps: u64,
    /// Freezes, kills, cuts, lost answers, crashes of SQL.
    pub faults: bool,
    /// The grant store fails over, is restored or flushed.
    pub store_lies: bool,
    pub mints: bool,
    /// How many changes at most.
    pub changes: u64,
}

impl Menu {
    pub const ALL: Self = Self { steps: 3000, faults: true, store_lies: true, mints: true, changes: 20 };
}

/// How often each thing befalls this run: some never, so that others come in long rows.
struct Theme {
    faults: [u64; 8],
    /// In a thousand steps.
    fault_rate: u64,
    lies: [u64; 4],
    lie_rate: u64,
}

impl Theme {
    fn new(rng: &Rng, menu: Menu) -> Self {
        let weights = |weight: &mut u64| *weight = if rng.percent(50) { 0 } else { rng.below(8) };
        let mut theme = Self {
            faults: [0; 8],
            fault_rate: if menu.faults { [3, 8, 20][rng.index(3)] } else { 0 },
            lies: [0; 4],
            lie_rate: if menu.store_lies { [2, 5][rng.index(2)] } else { 0 },
        };
        theme.faults.iter_mut().for_each(weights);
        theme.lies.iter_mut().for_each(weights);
        theme
    }
}

fn weighted(rng: &Rng, weights: &[u64]) -> usize {
    let mut dice = rng.below(weights.iter().sum());
    for (at, weight) in weights.iter().enumerate() {
        if dice < *weight {
            return at;
        }
        dice -= weight;
    }
    0
}

/// What a run came to.
#[derive(Default, Debug, Clone, Copy)]
pub struct Tally {
    pub micros: u64,
    pub steps: u64,
    pub live_answers: u64,
    pub acknowledged: u64,
}

/// Runs one seed.
///
/// # Errors
/// What went wrong.
pub fn run(seed: u64, broken: Option<Broken>, menu: Menu, aloud: bool) -> Result<Tally, String> {
    let mut shared = Shared::new(seed, broken, aloud);
    shared.finds_all = !menu.store_lies && shared.rng.percent(60);
    let mut world = World::new(shared);
    world.run_until("that all serve", World::all_serve_at_the_head)?;
    world.losses = if menu.faults { [0, 2, 10][world.shared.rng.index(3)] } else { 0 };
    let theme = Theme::new(&world.shared.rng, menu);
    let mut changes = 0;
    for _ in 0..menu.steps {
        let rng = Arc::clone(&world.shared.rng);
        if rng.percent(8) {
            request(&mut world, menu, &mut changes);
        }
        if rng.below(1000) < theme.fault_rate {
            fault(&mut world, &theme);
        }
        if rng.below(1000) < theme.lie_rate {
            lie(&mut world, &theme);
        }
        if rng.below(1000) < 8 {
            start_again(&mut world);
        }
        world.step();
        if let Some(violation) = world.shared.checker.violation() {
            return Err(violation);
        }
    }
    end_well(&mut world)?;
    Ok(Tally {
        micros: world.now(),
        steps: world.steps,
        live_answers: world.shared.checker.live_answers(),
        acknowledged: world.shared.checker.acknowledged_changes().len() as u64,
    })
}

fn serving(world: &World) -> Option<Arc<Process>> {
    let machine = world.shared.rng.index(world.replicas().len());
    let process = world.machines[machine].process.clone()?;
    let taken = process.is(Broken::DeleteBeforeDrain) || !process.leaving.load(Ordering::Relaxed);
    taken.then_some(process)
}

fn request(world: &mut World, menu: Menu, changes: &mut u64) {
    let rng = Arc::clone(&world.shared.rng);
    let Some(process) = serving(world) else { return };
    let machine = process.machine;
    let ended = world.shared.checker.ended_grants();
    let grants = if ended.is_empty() || rng.percent(30) { world.shared.checker.grants() } else { ended };
    let Some(grant) = rng.pick(&grants).cloned() else { return };
    match rng.below(20) {
        0..14 => world.spawn(machine, Kind::Request, process.introspect(grant)),
        14 | 15 if menu.mints => world.spawn(machine, Kind::Request, process.mint(client(rng.below(2)))),
        16 | 17 if *changes < menu.changes => {
            *changes += 1;
            // Now and then the command line makes the change.
            let command_line = world.machines[world.command_line()].process.clone();
            let writer = if rng.percent(40) { command_line } else { Some(process) };
            let Some(writer) = writer else { return };
            let machine = writer.machine;
            match rng.below(12) {
                0..8 => world.spawn(machine, Kind::Change, writer.revoke(grant.id)),
                8..11 => world.spawn(machine, Kind::Change, writer.kill(KillScope::Client(grant.client))),
                _ => world.spawn(machine, Kind::Change, writer.kill(KillScope::Everything)),
            }
        }
        18 => {
            let known = {
                let sql = world.shared.sql.state();
                rng.pick(&sql.rows).map(|row| (row.number, row.entry.change.clone()))
            };
            if let Some((number, change)) = known {
                world.spawn(machine, Kind::Change, process.take_over(number, change));
            }
        }
        _ => {}
    }
}

fn up_to(world: &World, longest: Duration) -> Duration {
    let micros = u64::try_from(longest.as_micros()).unwrap_or(0);
    Duration::from_micros(world.shared.rng.below(micros))
}

fn fault(world: &mut World, theme: &Theme) {
    let rng = Arc::clone(&world.shared.rng);
    let machine = rng.index(world.machines.len());
    let time = up_to(world, LEASE * 2);
    match weighted(&rng, &theme.faults) {
        0 => world.freeze(machine, time),
        1 => {
            let time = up_to(world, LEASE * 8);
            world.freeze(machine, time);
        }
        2 => world.stall(machine, Kind::Lease, time.mul_f64(0.75)),
        3 => {
            let kind = [Kind::Witness, Kind::Link, Kind::Commits, Kind::Change][rng.index(4)];
            world.stall(machine, kind, time.mul_f64(0.75));
        }
        4 => world.cut_off(machine, time),
        5 if rng.percent(50) => world.kill(machine),
        5 => world.leave(machine),
        6 => world.crash_sql(),
        _ => world.pass(time / 4),
    }
}

fn start_again(world: &mut World) {
    for machine in 0..world.machines.len() {
        if world.machines[machine].process.is_none() {
            world.start(machine);
        }
    }
}

fn lie(world: &mut World, theme: &Theme) {
    let rng = Arc::clone(&world.shared.rng);
    let lie = weighted(&rng, &theme.lies);
    world.shared.note(|| format!("store: {}", ["fails over", "dump", "restore", "flush"][lie]));
    let mut store = world.shared.store.state();
    match lie {
        0 => store.fail_over(|states| rng.index(states)),
        1 => store.dump(),
        2 => store.restore(),
        _ => store.flush(),
    }
}

/// The faults stop: everybody serves at the head again, every change is acknowledged, nothing acknowledged is
/// lost.
fn end_well(world: &mut World) -> Result<(), String> {
    world.shared.note(|| "the faults stop".to_owned());
    world.heal();
    for machine in world.replicas() {
        let leaving = |process: &Arc<Process>| process.leaving.load(Ordering::Relaxed);
        if world.machines[machine].process.as_ref().is_some_and(leaving) {
            world.kill(machine);
        }
    }
    start_again(world);
    let well = |world: &World| world.all_serve_at_the_head() && !world.has(Kind::Change);
    let begun = world.now();
    world.run_until("that all is well", well)?;
    let took = Duration::from_micros(world.now() - begun);
    if took > LEASE * 4 {
        return Err(format!("it took {took:?} until all was well"));
    }
    for (number, change) in world.shared.checker.acknowledged_changes() {
        check_kept(world, number, &change)?;
    }
    for machine in world.replicas() {
        let Some(process) = world.machines[machine].process.clone() else { continue };
        for grant in world.shared.checker.grants() {
            world.spawn(machine, Kind::Request, Arc::clone(&process).introspect(grant));
        }
    }
    world.run_until("the last answers", |world| !world.has(Kind::Request))
}

fn check_kept(world: &World, number: ChangeNumber, change: &Change) -> Result<(), String> {
    let sql = world.shared.sql.state();
    let kept = sql.rows.iter().find(|row| row.number == number);
    if kept.is_some_and(|row| row.entry.change == *change) {
        Ok(())
    } else {
        Err(format!("change {number}, {change:?}, was acknowledged and SQL has {kept:?}"))
    }
}
