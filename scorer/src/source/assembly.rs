//! Cuts a source's records into batches, by count, bytes and age, and hands them to the pipeline without ever
//! blocking the thread that reads: a full pipeline makes the batch wait here.

use std::hash::Hash;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;

use super::positions::{Mark, Shared};
use crate::config::BatchSettings;
use crate::record::{Batch, Intake, Record};

/// The batch that is being filled, and the one that waits for room.
pub struct Assembly<K> {
    settings: BatchSettings,
    intake: Intake,
    positions: Shared<K>,
    records: Vec<(Record, K)>,
    bytes: usize,
    marks: Vec<Mark<K>>,
    since: Option<Instant>,
    waiting: Option<Batch>,
}

/// The pipeline has ended; nothing can be handed in any more.
#[derive(Debug)]
pub struct Ended;

impl<K: Clone + Eq + Hash + Send + 'static> Assembly<K> {
    /// Nothing assembled yet.
    pub fn new(settings: BatchSettings, intake: Intake, positions: Shared<K>) -> Self {
        Self {
            settings,
            intake,
            positions,
            records: Vec::new(),
            bytes: 0,
            marks: Vec::new(),
            since: None,
            waiting: None,
        }
    }

    /// Adds a record of a stream.
    pub fn push(&mut self, key: K, record: Record, now: Instant) {
        self.bytes += record.body.bytes().len();
        self.records.push((record, key));
        self.since.get_or_insert(now);
    }

    /// Notes how far a stream may move once everything pushed so far is delivered.
    pub fn mark(&mut self, mark: Mark<K>) {
        match self.marks.iter_mut().find(|known| known.key == mark.key) {
            Some(known) => *known = mark,
            None => self.marks.push(mark),
        }
    }

    /// Whether the batch is to be handed over now.
    pub fn due(&self, now: Instant) -> bool {
        self.records.len() >= self.settings.size
            || self.bytes >= self.settings.bytes
            || self.since.is_some_and(|since| now.duration_since(since) >= self.settings.wait)
    }

    /// How long until `due`, at most `limit`.
    pub fn wait(&self, now: Instant, limit: Duration) -> Duration {
        match self.since {
            Some(since) => (since + self.settings.wait).saturating_duration_since(now).min(limit),
            None => limit,
        }
    }

    /// Whether a batch waits for room in the pipeline.
    pub fn is_blocked(&self) -> bool {
        self.waiting.is_some()
    }

    /// Hands the batch over, without the records of streams that were taken away meanwhile. A full pipeline makes
    /// it wait: see [`Assembly::retry`].
    ///
    /// # Errors
    /// The pipeline has ended.
    pub fn hand_over(&mut self) -> Result<(), Ended> {
        if self.waiting.is_some() {
            return self.retry().map(drop);
        }
        let mut marks = std::mem::take(&mut self.marks);
        marks.retain(|mark| self.positions.generation(&mark.key) == Some(mark.generation));
        let records = std::mem::take(&mut self.records);
        let records: Vec<Record> = records
            .into_iter()
            .filter(|(_, key)| marks.iter().any(|mark| mark.key == *key))
            .map(|(record, _)| record)
            .collect();
        self.bytes = 0;
        self.since = None;
        if marks.is_empty() {
            return Ok(());
        }
        let ack = self.positions.sent(marks);
        self.waiting = Some(Batch { records, ack });
        self.retry().map(drop)
    }

    /// Tries again to hand over the batch that waits; `true` when none waits any more.
    ///
    /// # Errors
    /// The pipeline has ended.
    pub fn retry(&mut self) -> Result<bool, Ended> {
        let Some(batch) = self.waiting.take() else { return Ok(true) };
        match self.intake.try_send(batch) {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(batch)) => {
                self.waiting = Some(batch);
                Ok(false)
            }
            Err(TrySendError::Closed(_)) => Err(Ended),
        }
    }

    /// Forgets the batch that is being filled; it is read again after a restart. One that waits for room stays.
    pub fn discard(&mut self) {
        self.records.clear();
        self.marks.clear();
        self.bytes = 0;
        self.since = None;
    }
}
