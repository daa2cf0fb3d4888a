//! The composition root: the only place that names concrete stores and puts the parts together.

mod admission;
pub mod backup;
mod health;
mod limits;
mod observed;
mod people;
pub mod quickstart;
mod replica;
mod serve;
mod sightings;
mod stores;
mod warnings;

pub use self::limits::leave_no_core;
pub use self::people::password_policy;
pub use self::serve::{Announce, LONGEST_STOP, Mode, ServeError, StopSignals, run};
pub use self::stores::{GrantBackend, Stores, check, existing_token_keys, lock_data_dir};
pub use self::warnings::warnings;
