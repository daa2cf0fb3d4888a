//! The ways to obtain a token, one file each.

pub mod authorization_code;
pub mod client_credentials;
mod issuing;
pub mod refresh_token;
