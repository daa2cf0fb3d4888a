//! Fixed schedules: what happens is scripted, only what does not matter is left to chance. Where a rule can be
//! broken, a script also shows that it catches that.

use crate::Shared;
use crate::broken::Broken;
use crate::checker::Grant;
use crate::world::{Kind, World};
use std::sync::Arc;

/// How many ways of what does not matter are tried.
const WAYS: u64 = 40;

pub type Script = fn(&mut World) -> Result<(), String>;

/// Where the grant store has no part in it, what is dead the feed alone says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Store {
    HasNoPart,
    Lies,
}

pub fn play(script: Script, store: Store, broken: Option<Broken>, seed: u64) -> Result<(), String> {
    let mut shared = Shared::new(seed, broken, crate::number("SYMBOLON_SIMULATION_SEED") == Some(seed));
    shared.finds_all = store == Store::HasNoPart;
    // Rows are looked at when the script says so.
    shared.looks_around = 0;
    let mut world = World::new(shared);
    world.run_until("that all serve", World::all_serve_at_the_head)?;
    script(&mut world)?;
    world.shared.checker.violation().map_or(Ok(()), Err)
}

pub fn holds(script: Script) {
    holds_with(Store::HasNoPart, script);
}

pub fn holds_with(store: Store, script: Script) {
    for seed in 0..WAYS {
        if let Err(violation) = play(script, store, None, seed) {
            panic!("seed {seed}: {violation}");
        }
    }
}

pub fn fails(script: Script, broken: Broken) {
    fails_with(Store::HasNoPart, script, broken);
}

pub fn fails_with(store: Store, script: Script, broken: Broken) {
    let violation = (0..WAYS).find_map(|seed| play(script, store, Some(broken), seed).err());
    let violation = violation.unwrap_or_else(|| panic!("{broken:?} was not noticed"));
    assert!(violation.contains("acknowledged"), "{broken:?}: {violation}");
}

/// Introspections of every grant, on this machine, while it runs on.
pub fn ask_all(world: &mut World, machine: usize) -> Result<(), String> {
    let Some(process) = world.machines[machine].process.clone() else { return Ok(()) };
    for grant in world.shared.checker.grants() {
        world.spawn(machine, Kind::Request, Arc::clone(&process).introspect(grant));
    }
    world.run_until("the answers", |world| !world.has(Kind::Request))
}

pub fn first_grant(world: &World) -> Grant {
    world.shared.checker.grants().remove(0)
}

/// Machine `writer` revokes the first grant, in the background.
pub fn revoke(world: &mut World, writer: usize) {
    let grant = first_grant(world).id;
    let process = world.machines[writer].process.clone().unwrap();
    world.spawn(writer, Kind::Change, process.revoke(grant));
}

pub fn acknowledged(world: &World) -> bool {
    !world.has(Kind::Change)
}

/// Runs until this machine's statement has been sent, and no step further.
pub fn until_sent(world: &mut World, machine: usize, what: &'static str) -> Result<(), String> {
    world.run_until(what, move |world| world.shared.sql.awaits(machine, what))
}

/// Machine `deleter` looks at all rows, now, with a process of its own.
pub fn look_around(world: &mut World, deleter: usize) -> Result<(), String> {
    let process = world.machines[deleter].process.clone().unwrap();
    process.looks.store(true, std::sync::atomic::Ordering::Relaxed);
    let looked =
        |process: &crate::process::Process| !process.looks.load(std::sync::atomic::Ordering::Relaxed);
    world.run_until("that it looks", move |_| looked(&process))
}
