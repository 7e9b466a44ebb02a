//! Real servers and clients for the tests, each on free ports of the loopback address and gone with its test.
//! Never a stand-in for one, and never part of a program that is shipped.

#[cfg(feature = "servers")]
pub mod alertmanager;
pub mod browser;
#[cfg(feature = "servers")]
pub mod connect;
#[cfg(feature = "servers")]
pub mod kafka;
#[cfg(feature = "servers")]
pub mod mail;
pub mod plot;
pub mod port;
#[cfg(feature = "servers")]
pub mod postgres;
pub mod process;
#[cfg(feature = "servers")]
pub mod python;
#[cfg(feature = "servers")]
pub mod rsyslog;
pub mod tools;
pub mod workdir;

pub use port::free_port;
pub use tools::{long_tests, seeds};
