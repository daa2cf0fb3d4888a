//! The contracts of the stores: the same cases on every implementation.
//!
//! | contract | implementations | cases |
//! |---|---|---|
//! | grant store | Redis, SQLite | [`grants`], [`redis_faults`], [`redis_access`] |
//! | walking through it | Redis, SQLite | [`walks`] |
//! | logging in | PostgreSQL with Redis, SQLite | [`login`] |
//! | login sessions | Redis, SQLite | [`login_sessions`] |
//! | failures to log in | Redis, SQLite | [`throttle`] |
//! | witness | Redis, SQLite | [`witness`] |
//! | change feed | PostgreSQL, SQLite | [`feed_recording`], [`feed_loading`], [`feed_leases`], [`feed_history`], [`restrictions`], [`feed_waking`], [`feed_faults`] |
//! | last introspected | PostgreSQL, SQLite | [`introspected`] |
//! | audit | PostgreSQL, SQLite | [`audit`] |
//! | schema | PostgreSQL, SQLite | [`migrations`] |
//! | directory | PostgreSQL, SQLite | [`directory`], [`directory_view`], [`people`], [`consents`] |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to stop, and says where"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "the cases measure and wait in real time; the stores are told the time"
)]

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod clock;
mod consents;
mod databases;
mod directory;
mod directory_view;
mod feed_faults;
mod feed_history;
mod feed_leases;
mod feed_loading;
mod feed_recording;
mod feed_waking;
mod grants;
mod introspected;
mod login;
mod login_sessions;
mod migrations;
mod people;
mod redis_access;
mod redis_faults;
mod restrictions;
mod stores;
mod throttle;
mod walks;
mod witness;

use std::time::{Duration, Instant};

use support::cases::{run, runtime};

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// What `probe` found, or a panic that names `what` when it found nothing within `limit`.
async fn eventually<T>(what: &str, limit: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// A test for each case on each implementation: `cases!(Kind: module = Variant, … => { case, … })`.
macro_rules! cases {
    ($kind:ident: $($module:ident = $variant:ident),+ => $cases:tt) => {
        $( $crate::cases!(@ $kind $module $variant $cases); )+
    };
    (@ $kind:ident $module:ident $variant:ident { $($case:ident),+ $(,)? }) => {
        mod $module {
            $(
                #[test]
                fn $case() {
                    $crate::run(super::$case(super::$kind::$variant));
                }
            )+
        }
    };
}
use cases;
