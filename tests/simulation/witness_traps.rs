//! Traps of the witness as fixed schedules: the grant store lies about the past.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use symbolon::changes::{Entry, WitnessError};
use symbolon::domain::clock::Timestamp;
use symbolon::domain::position::ChangeNumber;

use crate::broken::Broken;
use crate::grants::{LAG, MEMORY};
use crate::script::{Store, acknowledged, ask_all, fails_with, first_grant, holds_with, revoke};
use crate::time::LEASE;
use crate::world::{Kind, World};

fn witness(world: &World) -> ChangeNumber {
    world.shared.store.state().witness().map(|position| position.number).unwrap_or_default()
}

fn floor(world: &World, machine: usize) -> ChangeNumber {
    let process = world.machines[machine].process.as_ref();
    let newest = process.and_then(|process| process.published.newest());
    newest.map(|newest| newest.memory_floor).unwrap_or_default()
}

/// Revokes the first grant; returns when that is acknowledged and the witness has passed it.
fn revoke_and_pass(world: &mut World) -> Result<(), String> {
    let command_line = world.command_line();
    revoke(world, command_line);
    world.run_until("the acknowledgement", acknowledged)?;
    world.run_until("the witness", |world| witness(world) >= ChangeNumber::new(1))
}

fn forgotten(world: &mut World) -> Result<(), String> {
    world.run_until("that it is forgotten", |world| {
        world.replicas().all(|machine| floor(world, machine) >= ChangeNumber::new(1))
    })
}

fn stall_everywhere(world: &mut World, kind: Kind, time: Duration) {
    for machine in world.replicas() {
        world.stall(machine, kind, time);
    }
}

/// An old dump brings the record back, long after the revocation was forgotten.
fn old_dump(world: &mut World) -> Result<(), String> {
    world.shared.store.state().dump();
    revoke_and_pass(world)?;
    forgotten(world)?;
    stall_everywhere(world, Kind::Witness, LEASE);
    world.shared.store.state().restore();
    let grant = first_grant(world).id;
    assert!(world.shared.store.state().holds(&grant));
    for _ in 0..10 {
        for machine in world.replicas() {
            ask_all(world, machine)?;
        }
    }
    world.run_until("that all serve again", World::all_serve_at_the_head)?;
    world.run_until("that it is deleted again", |world| !world.shared.store.state().holds(&grant))
}

#[test]
fn an_old_dump_is_restored() {
    holds_with(Store::Lies, old_dump);
    fails_with(Store::Lies, old_dump, Broken::BehindIsServed);
}

/// A failover, under open connections, loses a deletion that was made a moment ago.
fn lost_deletion(world: &mut World) -> Result<(), String> {
    world.run_for(LAG)?;
    revoke_and_pass(world)?;
    world.run_for(LAG * 3 / 5)?;
    stall_everywhere(world, Kind::Witness, LAG);
    world.shared.store.state().fail_over(|_| 0);
    let end = world.now() + u64::try_from((MEMORY * 2).as_micros()).unwrap_or(0);
    while world.now() < end {
        for machine in world.replicas() {
            ask_all(world, machine)?;
        }
    }
    Ok(())
}

#[test]
fn a_failover_loses_a_deletion() {
    holds_with(Store::Lies, lost_deletion);
    fails_with(Store::Lies, lost_deletion, Broken::NoMemory);
}

/// The same while every replica is frozen for longer than its memory: when they are thawed, what they saw of
/// the witness is old, and the time that has passed since says nothing.
fn lost_while_all_are_frozen(world: &mut World) -> Result<(), String> {
    world.run_for(LAG)?;
    revoke_and_pass(world)?;
    world.run_for(LAG / 2)?;
    for machine in world.replicas() {
        world.freeze(machine, MEMORY * 2);
    }
    world.shared.store.state().fail_over(|_| 0);
    world.pass(MEMORY * 2 + LEASE);
    // The lease is renewed, and memory pruned, before anybody looks at the store.
    stall_everywhere(world, Kind::Witness, LEASE);
    stall_everywhere(world, Kind::Link, LEASE);
    for _ in 0..60 {
        for machine in world.replicas() {
            let Some(process) = world.machines[machine].process.clone() else { continue };
            let grant = first_grant(world);
            world.spawn(machine, Kind::Request, Arc::clone(&process).introspect(grant));
        }
        world.run_for(LEASE / 100)?;
    }
    Ok(())
}

#[test]
fn a_failover_loses_a_deletion_while_all_are_frozen() {
    holds_with(Store::Lies, lost_while_all_are_frozen);
}

/// Everything is flushed, by mistake or by the operator.
fn flushed(world: &mut World) -> Result<(), String> {
    revoke_and_pass(world)?;
    forgotten(world)?;
    world.shared.store.state().flush();
    for machine in world.replicas() {
        ask_all(world, machine)?;
    }
    world.run_until("that the witness is back", |world| witness(world) >= ChangeNumber::new(1))?;
    world.run_until("that all serve again", World::all_serve_at_the_head)
}

#[test]
fn the_store_is_flushed() {
    holds_with(Store::Lies, flushed);
}

/// The witness moves in pages, by several movers at once, and one is frozen in between: nothing is passed that is
/// not deleted.
fn two_movers(world: &mut World) -> Result<(), String> {
    stall_everywhere(world, Kind::Witness, LEASE);
    let process = world.machines[world.command_line()].process.clone().unwrap();
    let grants = world.shared.checker.grants();
    for grant in &grants {
        world.spawn(process.machine, Kind::Change, Arc::clone(&process).revoke(grant.id));
    }
    world.run_until("a move", |world| (0..4).any(|machine| world.shared.store.awaits(machine, "advance")))?;
    world.freeze(0, LEASE / 2);
    let head = |world: &World| world.shared.sql.state().position().number;
    world.run_until("that all is passed", move |world| {
        let store = world.shared.store.state();
        let passed = store.witness().map(|position| position.number).unwrap_or_default();
        let revoked = world.shared.sql.state().load().revoked;
        let left = |grant: &&crate::checker::Grant| {
            revoked.number(&grant.id).is_some_and(|number| number <= passed) && store.holds(&grant.id)
        };
        assert!(grants.iter().all(|grant| !left(&grant)), "passed, and not deleted");
        acknowledged(world) && passed.get() >= 4
    })?;
    assert!(head(world).get() >= 4);
    Ok(())
}

#[test]
fn two_movers_at_once() {
    holds_with(Store::Lies, two_movers);
}

/// Whoever moved the witness dies with it, and everybody else too.
fn movers_die(world: &mut World) -> Result<(), String> {
    revoke_and_pass(world)?;
    for machine in 0..world.machines.len() {
        world.kill(machine);
        world.start(machine);
    }
    forgotten(world)?;
    for machine in world.replicas() {
        ask_all(world, machine)?;
    }
    Ok(())
}

#[test]
fn whoever_moved_the_witness_dies() {
    holds_with(Store::Lies, movers_die);
    fails_with(Store::Lies, movers_die, Broken::DeletionsAfterTheWitness);
}

/// SQL falls back to a state without the revocation: the witness knows better, and nobody who starts serves.
fn commits_are_lost(world: &mut World) -> Result<(), String> {
    revoke_and_pass(world)?;
    for machine in world.replicas() {
        world.kill(machine);
    }
    world.shared.sql.state().rows.clear();
    for machine in world.replicas() {
        world.start(machine);
    }
    let end = world.now() + u64::try_from((LEASE * 2).as_micros()).unwrap_or(0);
    world.run_until("that time passes, and nobody serves", |world| {
        assert!(!world.replicas().any(|machine| world.serves(machine)), "served, though SQL lost commits");
        world.now() >= end
    })
}

#[test]
fn nobody_serves_when_sql_has_lost_commits() {
    holds_with(Store::Lies, commits_are_lost);
}

/// SQL loses a commit under a process that has proven the witness by it, and goes on with another history.
fn another_history(world: &mut World) -> Result<(), String> {
    revoke_and_pass(world)?;
    let process = world.machines[0].process.clone().unwrap();
    let verdict = Arc::new(Mutex::new(None));
    {
        let mut sql = world.shared.sql.state();
        let entry = sql.rows.pop().unwrap().entry;
        let reason = Some("another history".to_owned());
        sql.record(vec![Entry { reason, ..entry }], Timestamp::default());
    }
    let said = Arc::clone(&verdict);
    world.spawn(0, Kind::Request, async move {
        *said.lock().unwrap() = Some(process.mover.catch_up().await);
    });
    let said = Arc::clone(&verdict);
    world.run_until("a verdict", move |_| said.lock().unwrap().is_some())?;
    let verdict = verdict.lock().unwrap().take();
    assert!(matches!(verdict, Some(Err(WitnessError::SqlLostCommits { .. }))), "{verdict:?}");
    Ok(())
}

#[test]
fn another_history_is_noticed_though_the_witness_was_proven() {
    holds_with(Store::Lies, another_history);
}
