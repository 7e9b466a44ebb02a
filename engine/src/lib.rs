//! The pure heart of Isolog: bytes become events, events become scores, scores become reasons.
//! It does no I/O and never reads a clock, the environment or a random source that was not passed in.

pub mod alert;
pub mod artifact;
pub mod decode;
pub mod detect;
pub mod event;
pub mod features;
pub mod filter;
pub mod forest;
pub mod id;
pub mod learnt;
pub mod metrics;
pub mod model;
pub mod redact;
pub mod suspect;
pub mod terminal;
