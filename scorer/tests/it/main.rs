//! The scorer as a process, with real servers and clients around it.

mod shippers;
mod support;
