//! What operators start: the image, the compose file and the load balancer's configuration.
//!
//! Tests run where there is no container engine. So [`compose`] reads the files and finds whatever in them the code or
//! the repository does not know, and the others run the same topology as plain processes: the very script that makes the
//! secrets ([`stage`]), the very flags of Redis, the very configuration of haproxy, two and three replicas.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has to stop, and it measures and waits in real time"
)]

#[path = "../support/mod.rs"]
mod support;

mod balancer;
mod compose;
mod dockerfile;
mod faults;
mod files;
mod health;
mod hostile;
mod load;
mod rolling;
mod secrets;
mod slow;
mod stage;
