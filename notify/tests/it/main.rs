//! Receivers over real HTTP that refuse what the published rules of the real ones refuse.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod receivers;
mod rules;
mod server;
mod tls;
