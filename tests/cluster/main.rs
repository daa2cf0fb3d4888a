//! Replicas, restarts and faults: real server processes over a real redis-server and a real PostgreSQL.
//!
//! Every file states what is promised (STANDARDS S1–S11) and breaks something while it looks. Asking has four
//! outcomes ([`scene::Said`]): anything else, a 500 above all, fails whichever test sees it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has to stop, and it measures and waits in real time"
)]

#[path = "../support/mod.rs"]
mod support;

mod backup;
mod backup_pair;
mod clocks;
mod edits;
mod embedded;
mod finding;
mod full_disk;
mod killed_at_each_step;
mod killing_lists;
mod old_data;
mod people;
mod postgres_failover;
mod postgres_tls;
mod redis_failover;
mod redis_faults;
mod redis_tampered;
mod refresh;
mod refresh_faults;
mod refresh_killed;
mod refresh_theft;
mod revocation_faults;
mod scene;
mod slow_commits;
mod sql_faults;
mod stop;
mod tls;
mod token_keys;
mod two_replicas;
