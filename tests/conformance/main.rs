//! What the standards ask of an authorization server, asked of the real binary over HTTP.
//!
//! The name of each test begins with the row of `docs/RFC-COVERAGE.md` that it proves; one test checks that table.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to stop, and says where"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests measure and wait in real time; the server is told the time"
)]

#[path = "../support/mod.rs"]
mod support;

mod account;
mod account_unavailable;
mod account_world;
mod code_flow;
mod coverage;
mod cross_origin;
mod expect;
mod fault_table;
mod forge;
mod guesses;
mod hostile_forms;
mod hostile_headers;
mod hostile_sockets;
mod live;
mod live_secrets;
mod monitor;
mod pages;
mod pages_forms;
mod pages_unavailable;
mod password_page;
mod rfc6749_authorize;
mod rfc6749_clients;
mod rfc6749_code;
mod rfc6749_token;
mod rfc7009_revocation;
mod rfc7662_inactive;
mod rfc7662_introspection;
mod rfc8414_metadata;
mod rfc8707_resource;
mod secrets;
mod store_commands;
mod timing;
mod transport;
mod world;

use support::wire;
