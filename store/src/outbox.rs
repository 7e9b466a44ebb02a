//! What became of deliveries.

use engine::event::EventTime;

/// What became of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkResult {
    /// The sink.
    pub sink: String,
    /// The alert.
    pub alert_id: String,
    /// Which of its records.
    pub revision: i64,
    /// In one word, such as `delivered`, `refused`.
    pub outcome: String,
    /// HTTP status of the answer, where there was one.
    pub status: Option<u16>,
    /// What the receiver said, bounded, without secrets.
    pub detail: String,
    /// When.
    pub at: EventTime,
}

/// A record that a sink gave up on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The sink.
    pub sink: String,
    /// The alert.
    pub alert_id: String,
    /// Which of its records.
    pub revision: i64,
    /// Why it was given up.
    pub reason: String,
    /// When.
    pub at: EventTime,
    /// The alert record, JSON.
    pub record: String,
}

/// A dead letter as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDeadLetter {
    /// Its number, for paging and forgetting.
    pub number: i64,
    /// What was given up.
    pub letter: DeadLetter,
}
