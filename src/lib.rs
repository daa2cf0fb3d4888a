//! Symbolon, a stateful OAuth 2.0 authorization server.

pub mod changes;
pub mod directory;
pub mod domain;
pub mod grants;
pub mod sql;
