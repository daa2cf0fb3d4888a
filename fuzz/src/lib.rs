//! What must hold for every input from outside, whoever made it: one module a parser, one function each.
//!
//! The targets under `fuzz_targets` hand them what libFuzzer invents; `tests/fuzz.rs` hands them, in every run of the
//! tests, what it makes itself out of the seeds and words beside them.

pub mod configuration;
pub mod credentials;
pub mod form;
pub mod grant_record;
pub mod parameters;
pub mod peer;
mod request;
pub mod store_urls;
pub mod token_keys;
pub mod token_string;
