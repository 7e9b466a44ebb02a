//! The servers of the test kit do what the tests of the programs rely on.

mod clients;
mod kafka;
