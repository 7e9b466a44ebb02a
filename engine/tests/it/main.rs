//! Rules of the engine as a whole, seen from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod artifact;
mod decode;
mod events;
mod explained;
mod flood;
mod forest;
mod fuzz_corpus;
mod model;
mod online;
mod recent;
mod session;
mod threads;
