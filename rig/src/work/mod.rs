//! The work that is measured: each a program of its own, so that the kernel accounts it alone.

pub mod consume;
pub mod full;
pub mod grow;
pub mod hashing;
pub mod imported;
pub mod messages;
