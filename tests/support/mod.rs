//! The harness that the tests stand on: real servers, real stores, and verbs.
//!
//! It speaks to Symbolon only as the outside world does: HTTP, the command line, signals. Every process it starts
//! dies with the test process, however that ends.
//!
//! | module | what it gives |
//! |---|---|
//! | [`deployment`], [`actors`] | a whole installation, embedded or scaled out, with clients and resource servers |
//! | [`symbolon`], [`cli`] | one server process; the command line |
//! | [`redis`], [`postgres`] | the stores as real processes that can be killed, frozen and set back in time |
//! | [`proxy`], [`tripwire`] | a network path between a server and its store that can be cut, or that kills at a step |
//! | [`faketime`] | a wall clock of one process that is wrong, and that jumps |
//! | [`browser`] | a browser, users, and apps that they log in for |
//! | [`cases`] | a runtime for tests that use the server as a library |
//! | [`http`], [`wire`] | requests, answers, and raw bytes on a socket |
//! | [`smuggling`] | requests that two servers in a row may understand differently |
//! | [`authority`] | certificates |
//! | [`process`], [`scratch`], [`ports`], [`wait`], [`html`], [`resp`], [`psql`], [`encoding`], [`splitmix`] | what the others are made of |

#![allow(dead_code, reason = "each test binary uses a part of the harness")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on has to stop, and says where"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "the harness measures and waits in real time; the server is told the time"
)]

pub mod actors;
pub mod authority;
pub mod browser;
pub mod cases;
pub mod cli;
pub mod deployment;
pub mod encoding;
pub mod faketime;
pub mod html;
pub mod http;
pub mod leaks;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod psql;
pub mod redis;
pub mod resp;
pub mod scratch;
pub mod smuggling;
pub mod splitmix;
pub mod symbolon;
pub mod tripwire;
pub mod wait;
pub mod wire;
