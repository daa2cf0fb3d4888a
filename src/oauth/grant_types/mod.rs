//! The ways to obtain a token, one file each.

pub mod client_credentials;
