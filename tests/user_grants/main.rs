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
//! | [`restricted`] | grants that an admin narrows, shortens, freezes and thaws |
//! | [`requests`] | what a client asks for |
//! | [`gate`] | a store at which a request can be held back |
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
mod gate;
mod password_change;
mod refresh;
mod requests;
mod restricted;
mod visitors;
mod world;

use support::cases::{run, runtime};

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
