//! The change feed: one sequence, one truth.
//!
//! Everything that can make a token mean less, or something else, is a numbered row in one SQL
//! sequence. Read on in this order:
//!
//! - [`change`]: what a row says, and how rows are chained; [`entry`]: who asks for it, and why.
//! - [`snapshot`], [`revoked`], [`restricted`]: what a replica knows, as one immutable value.
//! - [`store`]: what the feed needs of SQL, one transaction a method; [`sql_feed`] has them.
//! - [`replica`]: the lease (join, renew, leave), driven by [`tail`]; [`published`] shows its state.
//! - [`sequence`]: recording changes; [`acknowledge`]: knowing that they are known.
//! - [`audit`]: who did what, for people; written with the changes.
//! - [`witness`]: the mark in the grant store, and what it betrays.
//! - [`feed`]: the handle with which the rest of the server uses all this.

mod acknowledge;
pub mod audit;
mod change;
mod entry;
mod feed;
mod published;
mod replica;
mod restricted;
mod revoked;
mod sequence;
mod snapshot;
mod sql_feed;
mod store;
mod tail;
mod witness;

pub use self::acknowledge::{Acknowledgement, Acknowledger, Recorded, Standing};
pub use self::change::{Change, Edit, KillScope, RecordedChange};
pub use self::entry::{Actor, Author, Entry};
pub use self::feed::{ChangeFeed, NoLease};
pub use self::published::Published;
pub use self::replica::{Replica, ReplicaParts, WitnessPassed};
pub use self::restricted::{RestrictedGrants, Restrictions};
pub use self::revoked::RevokedGrants;
pub use self::sequence::Sequence;
pub use self::snapshot::{CannotApply, Kills, Snapshot};
pub use self::sql_feed::{
    Projection, SqlFeed, lock_sequence, newest_kill, record_in, record_longest_lifetime, recover,
};
pub use self::store::{
    FeedError, FeedStore, Head, History, Incarnation, Publish, Recorder, Renewal, ReplicaRow, Replicas,
    RevocationPage,
};
pub use self::tail::{LeaseStatus, ReloadRequest, Tail, TailHandle, wake_on_changes};
pub use self::witness::{WitnessError, WitnessMover};
pub use crate::domain::bonds::Bonds;
