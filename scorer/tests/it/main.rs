//! The scorer as a process, with real files, pipes, servers and clients around it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod alerts;
mod backfill;
mod backtest;
mod browser;
mod clients;
mod control;
mod delivery;
mod demo;
mod deploy;
mod faults;
mod files;
mod flood;
mod kafka;
mod learning;
mod readme;
mod rig;
mod scan;
mod settings;
mod shippers;
mod soak;
mod stdin;
mod store;
mod summary;
