//! People: how somebody proves who they are.

pub mod browser;
pub mod login;
pub mod passwords;
pub mod sessions;
pub mod throttle;
