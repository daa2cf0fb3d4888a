//! People: how somebody proves who they are.

pub mod passwords;
pub mod throttle;
