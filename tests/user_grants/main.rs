//! What users give clients: codes and refresh tokens, by the protocol's own functions over a real store of grants,
//! with several replicas of one feed.
//!
//! | module | what it shows |
//! |---|---|
//! | [`authorize`] | which requests are shown to a user, and where the others are answered |
//! | [`code`] | redeeming a code: once, by its client, with its verifier; a replay kills |
//! | [`refresh`] | the table of the chain: rotation, retry, reuse |
//! | [`account`] | what users see and end of their own |
//! | [`password_change`] | what another password ends, and who may choose one |
//! | [`visitors`] | who is in front of a page, on every replica |
//! | [`faults`] | the same when the store lost a rotation, and when the token key is rotated |
//! | [`requests`] | what a client asks for |
//! | [`world`] | the replicas, and verbs |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has to stop, and says where"
)]
#![allow(clippy::disallowed_methods, reason = "the cases wait in real time; the servers are told the time")]

#[path = "../support/mod.rs"]
mod support;

mod account;
mod authorize;
mod code;
mod faults;
mod password_change;
mod refresh;
mod requests;
mod visitors;
mod world;

use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// No case takes this long; one that does hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where replicas and stores run: on several threads, as in the server.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("threads can be started")
    })
}

/// Runs one case.
fn run(case: impl Future<Output = ()>) {
    runtime().block_on(async {
        tokio::time::timeout(PATIENCE, case).await.expect("the case ends");
    });
}

/// A test for each case on each store of grants.
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        mod redis {
            $(#[test]
            fn $case() {
                crate::run(super::$case(crate::world::Kind::Redis));
            })*
        }

        mod sqlite {
            $(#[test]
            fn $case() {
                crate::run(super::$case(crate::world::Kind::Sqlite));
            })*
        }
    };
}
pub(crate) use cases;
