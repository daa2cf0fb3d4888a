//! The nouns, under everything: token strings, identifiers, scopes, passwords, clocks. Nothing here does I/O.

pub mod base62;
pub mod bonds;
pub mod calendar;
pub mod clock;
pub mod duration;
pub mod entropy;
pub mod identifier;
pub mod login_name;
pub mod origin;
pub mod party;
pub mod password;
pub mod pkce;
pub mod position;
pub mod redirect_uri;
pub mod scope;
pub mod secret;
pub mod store;
pub mod token;
pub mod token_key;
