//! Rules of the engine as a whole, seen from outside.

mod artifact;
mod events;
mod forest;
mod model;
