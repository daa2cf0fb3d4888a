//! Symbolon: a stateful OAuth 2.0 authorization server. It issues opaque tokens, keeps them in
//! Redis, and answers introspection; what was revoked is known to every replica before the
//! revocation is answered.
//!
//! The modules, in the direction in which a request flows. Imports go only this way, down to
//! [`domain`]; `tests/architecture.rs` holds it. `docs/ARCHITECTURE.md` walks through them.
//!
//! ```text
//! request ─▶ http ─▶ oauth │ identity │ admin ─▶ grants │ changes │ directory ─▶ Redis │ sql
//!            parse   decide                      remember
//! ```

// What an admin may do: clients, resource servers, finding and killing tokens.
pub mod admin;
// The change feed: who learns of a revocation, when, and how that is known.
pub mod changes;
// The command line: one file for each group of commands.
pub mod cli;
// Settings: the only reader of the environment.
pub mod config;
// Clients and resource servers, in SQL and in every replica's memory.
pub mod directory;
// The nouns: token strings, identifiers, scope, clocks. No I/O.
pub mod domain;
// Grant records and the stores that keep them: Redis and SQLite.
pub mod grants;
// All that knows actix-web: the route table, request parsing, the one renderer of errors.
pub mod http;
// How people prove who they are, and stay logged in: passwords, throttling, login sessions.
pub mod identity;
// The protocol: token, introspection, revocation, metadata; one file an endpoint or grant type.
pub mod oauth;
// SQL: connections, transactions, schema, migrations.
pub mod sql;
// The composition root: opens stores and puts the parts together.
pub mod startup;
// Log lines and metrics.
pub mod telemetry;
