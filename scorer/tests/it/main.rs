//! The scorer as a process, with real servers and clients around it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod readme;
mod shippers;
mod support;
