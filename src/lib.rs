//! Symbolon, a stateful OAuth 2.0 authorization server.

pub mod admin;
pub mod changes;
pub mod cli;
pub mod config;
pub mod directory;
pub mod domain;
pub mod grants;
pub mod http;
pub mod oauth;
pub mod sql;
pub mod startup;
pub mod telemetry;
