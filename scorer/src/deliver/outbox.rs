//! Where a sink reads the alerts that it is to tell of, in order, and keeps how far it is. Each sink has an outbox of
//! its own, so that none waits for another. Decides nothing about a record.

use std::time::Duration;

use notify::dispatch::{Position, Progress};

/// One record of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Where it stands.
    pub position: Position,
    /// An alert record, JSON; empty where the place holds nothing.
    pub json: Vec<u8>,
    /// When it was written, in milliseconds since the Unix epoch, where that is known.
    pub written_ms: Option<i64>,
}

/// What happened in an outbox, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A record came.
    Taken(Taken),
    /// Another process has this partition now; what is held of it is its business.
    Gone(i32),
}

/// The records of one sink.
pub trait Outbox: Send {
    /// Waits at most `wait` for something to happen and returns at most about `most` records; with 0 it only does
    /// what keeps it alive.
    ///
    /// # Errors
    /// What is wrong and what to do about it; asking again is right.
    fn poll(&mut self, most: usize, wait: Duration) -> Result<Vec<Event>, String>;

    /// How far the sink is: what is settled is not needed again.
    ///
    /// # Errors
    /// It could not be kept; repeating is safe.
    fn settle(&mut self, progress: &[Progress]) -> Result<(), String>;

    /// The last call: what was settled is kept before it returns.
    ///
    /// # Errors
    /// It could not be kept: some records come again at the next start.
    fn close(&mut self) -> Result<(), String>;
}
