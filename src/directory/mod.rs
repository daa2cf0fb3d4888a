//! The directory: clients, resource servers, users and roles, in SQL and in every replica's memory.
//!
//! A replica holds all of it but users, as the view that the change feed keeps exact: a change to the
//! directory is committed together with its row in the feed, and a replica reads what was changed
//! in the same transaction in which it reads that row. So no request waits for SQL, an SQL outage
//! is ridden out, and there is no cache to invalidate. Users, of whom there may be millions, are
//! read when needed, and forgotten when a row names them.

pub mod clients;
pub mod consents;
pub mod credentials;
pub mod introspected;
pub mod resource_servers;
pub mod roles;
pub mod scope_descriptions;
mod user_cache;
pub mod users;
mod view;

pub use self::clients::{Client, GrantType, RETRY_WINDOW};
pub use self::consents::Consent;
pub use self::credentials::Credentials;
pub use self::resource_servers::ResourceServer;
pub use self::roles::Role;
pub use self::scope_descriptions::ScopeDescriptions;
pub use self::user_cache::{Remembered, UserCache, Users, UsersUnavailable};
pub use self::users::{Entitlements, User, UserFacts};
pub use self::view::{DirectoryProjection, DirectoryView};

/// What a replica knows: the feed's snapshot with the directory in it.
pub type Snapshot = crate::changes::Snapshot<DirectoryView>;
/// The feed of a replica that knows the directory.
pub type ChangeFeed = crate::changes::ChangeFeed<DirectoryView>;
