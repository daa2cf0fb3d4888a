//! Well-known traps of the feed, as fixed schedules.

use std::time::Duration;

use symbolon::changes::KillScope;

use crate::broken::Broken;
use crate::request::client;
use crate::script::{acknowledged, ask_all, fails, holds, look_around, revoke, until_sent};
use crate::server::Fate;
use crate::time::LEASE;
use crate::world::{Kind, World};

/// Machine 0 is frozen once it has sent `what`; the change must wait for it, for a lease at most; when it is
/// thawed it must not answer by what it knew.
fn frozen_at(world: &mut World, what: &'static str) -> Result<(), String> {
    ask_all(world, 0)?;
    until_sent(world, 0, what)?;
    world.freeze(0, LEASE * 20);
    let command_line = world.command_line();
    revoke(world, command_line);
    let begun = world.now();
    world.run_until("the acknowledgement", acknowledged)?;
    assert!(world.now() - begun < 3_000_000, "a frozen replica delays an acknowledgement by a lease at most");
    world.freeze(0, Duration::ZERO);
    ask_all(world, 0)?;
    world.run_until("that all serve again", World::all_serve_at_the_head)?;
    ask_all(world, 0)
}

#[test]
fn frozen_between_the_read_and_the_commit_of_a_renewal() {
    holds(|world| frozen_at(world, "commit-renewal"));
    fails(|world| frozen_at(world, "commit-renewal"), Broken::CachedClock);
}

#[test]
fn frozen_before_the_read_of_a_renewal() {
    holds(|world| frozen_at(world, "read"));
}

/// The lease task alone is starved: workers go on, and the change waits for their lease.
fn starved(world: &mut World) -> Result<(), String> {
    world.stall(0, Kind::Lease, LEASE * 20);
    let command_line = world.command_line();
    revoke(world, command_line);
    while !acknowledged(world) {
        ask_all(world, 0)?;
    }
    ask_all(world, 0)
}

#[test]
fn the_lease_task_is_starved() {
    holds(starved);
}

/// A replica with the slowest clock, renewed a moment ago, and an acknowledger with the fastest.
fn slow_clock(world: &mut World) -> Result<(), String> {
    let command_line = world.command_line();
    world.machines[0].clock.per_mille = 950;
    world.machines[command_line].clock.per_mille = 1050;
    for machine in [0, command_line] {
        world.machines[machine].lease = LEASE;
        world.kill(machine);
        world.start(machine);
    }
    // Its earlier row is forgotten; only the new one is waited for.
    world.shared.sql.state().replicas.clear();
    world.run_until("that all serve", World::all_serve_at_the_head)?;
    until_sent(world, 0, "commit-renewal")?;
    world.run_until("the commit", |world| !world.shared.sql.awaits(0, "commit-renewal"))?;
    world.run_for(LEASE / 100)?;
    world.stall(0, Kind::Lease, LEASE * 50);
    revoke(world, command_line);
    while !acknowledged(world) {
        ask_all(world, 0)?;
    }
    ask_all(world, 0)
}

#[test]
fn a_slow_clock_measures_a_longer_lease() {
    holds(slow_clock);
    fails(slow_clock, Broken::WaitAsShortAsTheLease);
}

/// The commit is held up for longer than a lease; a renewal comes just before it.
fn commit_held_up(world: &mut World) -> Result<(), String> {
    let command_line = world.command_line();
    revoke(world, command_line);
    until_sent(world, command_line, "commit-change")?;
    world.shared.sql.hold(command_line, true);
    world.run_for(LEASE * 6 / 5)?;
    world.shared.sql.hold(command_line, false);
    world.stall(0, Kind::Lease, LEASE * 50);
    while !acknowledged(world) {
        ask_all(world, 0)?;
    }
    ask_all(world, 0)
}

#[test]
fn a_commit_is_held_up_for_longer_than_a_lease() {
    holds(commit_held_up);
    fails(commit_held_up, Broken::CountsFromBeforeTheCommit);
}

/// The renewal is committed and its answer lost: the row says more than the lease, never less.
fn answer_lost(world: &mut World) -> Result<(), String> {
    let command_line = world.command_line();
    revoke(world, command_line);
    until_sent(world, 0, "commit-renewal")?;
    world.shared.sql.settle(0, || Fate::AnswerLost);
    world.run_until("the acknowledgement", acknowledged)?;
    ask_all(world, 0)?;
    world.run_until("that all serve again", World::all_serve_at_the_head)
}

#[test]
fn the_answer_of_a_renewal_is_lost() {
    holds(answer_lost);
}

/// A row is deleted while its owner is frozen; the owner is thawed, and a change follows.
fn deleted_while_frozen(world: &mut World) -> Result<(), String> {
    world.freeze(0, LEASE * 50);
    let rows = |world: &World| world.shared.sql.state().replicas.len();
    let all = rows(world);
    while rows(world) == all {
        look_around(world, 1)?;
        world.run_for(LEASE / 2)?;
    }
    let command_line = world.command_line();
    revoke(world, command_line);
    world.run_until("the acknowledgement", acknowledged)?;
    world.freeze(0, Duration::ZERO);
    ask_all(world, 0)?;
    // Its first renewals find no row; it must not serve by them.
    for _ in 0..20 {
        world.run_for(LEASE / 50)?;
        ask_all(world, 0)?;
    }
    world.run_until("that all serve again", World::all_serve_at_the_head)
}

#[test]
fn a_row_is_deleted_while_its_owner_is_frozen() {
    holds(deleted_while_frozen);
}

/// The owner of a deleted row is thawed, and renews once: what then?
fn renewed_without_a_row(world: &mut World) -> Result<(), String> {
    world.freeze(0, LEASE * 50);
    let rows = |world: &World| world.shared.sql.state().replicas.len();
    let all = rows(world);
    while rows(world) == all {
        look_around(world, 1)?;
        world.run_for(LEASE / 2)?;
    }
    world.freeze(0, Duration::ZERO);
    world.run_for(LEASE / 5)?;
    world.stall(0, Kind::Lease, LEASE * 50);
    let command_line = world.command_line();
    revoke(world, command_line);
    while !acknowledged(world) {
        ask_all(world, 0)?;
    }
    ask_all(world, 0)
}

#[test]
fn a_renewal_finds_no_row() {
    holds(renewed_without_a_row);
    fails(renewed_without_a_row, Broken::NoRowIsConfirmed);
}

/// No commit of a renewal arrives any more: the row falls silent and is deleted.
fn commits_never_arrive(world: &mut World) -> Result<(), String> {
    let rows = |world: &World| world.shared.sql.state().replicas.len();
    let all = rows(world);
    while rows(world) == all {
        until_sent(world, 0, "commit-renewal")?;
        world.shared.sql.settle(0, || Fate::NeverArrived);
        if world.shared.rng.percent(20) {
            look_around(world, 1)?;
        }
    }
    world.stall(0, Kind::Lease, LEASE * 50);
    let command_line = world.command_line();
    revoke(world, command_line);
    while !acknowledged(world) {
        ask_all(world, 0)?;
    }
    ask_all(world, 0)
}

#[test]
fn the_commits_of_renewals_never_arrive() {
    holds(commits_never_arrive);
    fails(commits_never_arrive, Broken::FailureIsConfirmed);
}

/// The deleter has seen a beat stand still; the owner renews before the deletion arrives.
fn renewed_before_the_deletion(world: &mut World) -> Result<(), String> {
    world.stall(0, Kind::Lease, LEASE * 2);
    world.run_for(LEASE / 10)?;
    look_around(world, 1)?;
    world.run_for(LEASE * 13 / 10)?;
    let process = world.machines[1].process.clone().unwrap();
    process.looks.store(true, std::sync::atomic::Ordering::Relaxed);
    until_sent(world, 1, "evict")?;
    world.freeze(1, LEASE * 50);
    world.shared.sql.hold(1, true);
    world.run_until("that it serves again", |world| world.serves(0))?;
    world.stall(0, Kind::Lease, LEASE * 50);
    world.shared.sql.hold(1, false);
    world.run_until("the deletion", |world| !world.shared.sql.awaits(1, "evict"))?;
    world.freeze(1, Duration::ZERO);
    let command_line = world.command_line();
    revoke(world, command_line);
    while !acknowledged(world) {
        ask_all(world, 0)?;
    }
    ask_all(world, 0)
}

#[test]
fn a_renewal_comes_before_the_deletion_of_a_silent_row() {
    holds(renewed_before_the_deletion);
    fails(renewed_before_the_deletion, Broken::EvictIgnoresTheBeat);
}

/// A crash of SQL between two looks of the deleter: would it restore an old beat, a live lease would lose its
/// row.
fn crash_between_two_looks(world: &mut World) -> Result<(), String> {
    look_around(world, 1)?;
    // Under the broken rule: the last checkpoint is as old as the deleter's look.
    world.shared.sql.state().make_durable();
    let beat = |world: &World| world.shared.sql.state().replicas.values().map(|row| row.beat).sum::<u64>();
    let seen = beat(world);
    world.run_for(LEASE * 6 / 5)?;
    world.run_until("more renewals", |world| beat(world) > seen + 2)?;
    world.run_until("that all serve", World::all_serve_at_the_head)?;
    for machine in world.replicas() {
        if machine != 1 {
            world.stall(machine, Kind::Lease, LEASE * 50);
        }
    }
    world.crash_sql();
    look_around(world, 1)?;
    let command_line = world.command_line();
    revoke(world, command_line);
    while !acknowledged(world) {
        ask_all(world, 0)?;
    }
    ask_all(world, 0)
}

#[test]
fn sql_crashes_between_two_looks_at_a_beat() {
    holds(crash_between_two_looks);
    fails(crash_between_two_looks, Broken::NotDurable);
}

/// A replica that joins between the commit and the acknowledgement is waited for, or has loaded the change.
fn join_before_the_acknowledgement(world: &mut World) -> Result<(), String> {
    let command_line = world.command_line();
    // The command line reads the rows while there are none.
    for machine in world.replicas() {
        world.kill(machine);
    }
    world.shared.sql.state().replicas.clear();
    let process = world.machines[command_line].process.clone().unwrap();
    world.spawn(command_line, Kind::Change, process.kill(KillScope::Client(client(1))));
    world.run_until("the acknowledgement", acknowledged)?;
    world.start(0);
    world.run_until("that it serves", |world| world.serves(0))?;
    world.stall(0, Kind::Lease, LEASE * 50);
    revoke(world, command_line);
    while !acknowledged(world) {
        ask_all(world, 0)?;
    }
    ask_all(world, 0)
}

#[test]
fn a_replica_joins_between_two_acknowledgements() {
    holds(join_before_the_acknowledgement);
    fails(join_before_the_acknowledgement, Broken::StaleRead);
}

/// The row is inserted after the change was acknowledged, by a replica that loaded before its commit.
fn loaded_before_the_commit(world: &mut World) -> Result<(), String> {
    world.kill(0);
    world.start(0);
    until_sent(world, 0, "insert")?;
    world.freeze(0, LEASE * 50);
    world.shared.sql.hold(0, true);
    let command_line = world.command_line();
    revoke(world, command_line);
    world.run_until("the acknowledgement", acknowledged)?;
    world.shared.sql.hold(0, false);
    world.freeze(0, Duration::ZERO);
    while !world.serves(0) {
        ask_all(world, 0)?;
        world.run_for(LEASE / 100)?;
    }
    ask_all(world, 0)
}

#[test]
fn a_replica_that_loaded_before_the_commit_inserts_its_row_after_the_acknowledgement() {
    holds(loaded_before_the_commit);
}

/// Killed with its renewal on the way, and started again.
fn killed_mid_renewal(world: &mut World) -> Result<(), String> {
    let command_line = world.command_line();
    until_sent(world, 0, "commit-renewal")?;
    revoke(world, command_line);
    world.kill(0);
    world.start(0);
    while !acknowledged(world) {
        ask_all(world, 0)?;
    }
    ask_all(world, 0)?;
    world.run_until("that all serve again", World::all_serve_at_the_head)
}

#[test]
fn a_replica_is_killed_mid_renewal() {
    holds(killed_mid_renewal);
}

/// Whoever acknowledges is frozen after its commit returned, and goes on much later.
fn acknowledger_frozen(world: &mut World) -> Result<(), String> {
    let command_line = world.command_line();
    world.stall(0, Kind::Lease, LEASE * 50);
    revoke(world, command_line);
    until_sent(world, command_line, "replicas")?;
    world.freeze(command_line, LEASE * 5);
    for _ in 0..20 {
        world.run_for(LEASE / 5)?;
        ask_all(world, 0)?;
    }
    world.stall(0, Kind::Lease, Duration::ZERO);
    world.run_until("the acknowledgement", acknowledged)?;
    ask_all(world, 0)?;
    world.run_until("that all serve again", World::all_serve_at_the_head)
}

#[test]
fn the_acknowledger_is_frozen() {
    holds(acknowledger_frozen);
}
