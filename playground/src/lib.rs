//! The engine on one web page: a simulated log grows, each line is decoded, scored and watched by the detectors, and
//! alerts are told, by the same code as in `scorer`. Pure, as the engine is: seed and times are arguments.
//!
//! Compiled to WebAssembly it exports three functions ([`exports`]); everything goes through JSON texts
//! ([`Flow::ask`]). `cargo xtask playground` makes `playground/index.html` of it.

#[cfg(target_family = "wasm")]
mod exports;
mod flow;
mod history;
mod told;

pub use flow::{Ask, Flow};
pub use history::train;
pub use told::Answer;

/// The model inside the page, as [`train`] makes it.
pub const MODEL: &[u8] = include_bytes!("../model.isolog");
