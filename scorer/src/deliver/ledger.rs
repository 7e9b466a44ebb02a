//! What became of each delivery, kept: results for whoever wants to know, dead letters for being sent again. Decides
//! nothing; a dead letter is durable before its record is settled.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::kafka::{Message, Producer};
use jiff::Timestamp;
use notify::AlertRecord;
use serde::{Deserialize, Serialize};

use super::metrics::SinkMetrics;
use crate::board::Board;

/// Version of the shapes of results and dead letters.
pub const SCHEMA: u32 = 1;

/// What became of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// The receiver will never take it: a dead letter.
    Refused,
    /// It failed and is tried again.
    Retried,
    /// It failed for too long: a dead letter.
    Dead,
}

impl Verdict {
    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Retried => "retried",
            Self::Dead => "dead",
        }
    }
}

/// One attempt, as it is told to `SINK_RESULTS_TOPIC` and the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SinkResult {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The sink.
    pub sink: String,
    /// The alert.
    pub alert_id: String,
    /// Which of its records.
    pub revision: u32,
    /// The alert's service.
    pub service: String,
    /// What became of it.
    pub result: Verdict,
    /// Attempts so far, this one included.
    pub attempt: u32,
    /// What the receiver said, where it was not delivered.
    pub detail: Option<String>,
    /// How long the attempt took.
    pub duration_ms: u64,
    /// When it ended.
    pub at: Timestamp,
}

/// A record that a sink gave up on, with all that sending it again takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The sink.
    pub sink: String,
    /// Why.
    pub reason: String,
    /// Attempts that were made.
    pub attempts: u32,
    /// When it was given up.
    pub at: Timestamp,
    /// The record.
    pub record: AlertRecord,
}

/// A place that results and dead letters are kept in.
pub trait Keep: Send {
    /// Keeps results durably.
    ///
    /// # Errors
    /// They were not all kept; keeping them again is safe.
    fn results(&mut self, results: &[SinkResult]) -> Result<(), String>;

    /// Keeps dead letters durably.
    ///
    /// # Errors
    /// They were not all kept; keeping them again is safe.
    fn dead_letters(&mut self, letters: &[DeadLetter]) -> Result<(), String>;
}

/// Results that wait for a place that cannot take them; the oldest go first.
const MOST_RESULTS: usize = 1_000;
/// After a failure the places are left alone for so long.
const PAUSE: Duration = Duration::from_secs(5);

/// The results and dead letters of one sink on their way to the places that keep them.
pub struct Ledger {
    sink: String,
    keeps: Vec<Box<dyn Keep>>,
    results: VecDeque<SinkResult>,
    letters: Vec<DeadLetter>,
    not_before: Option<Duration>,
    metrics: SinkMetrics,
    board: Board,
}

impl Ledger {
    /// Keeps in all of `keeps`.
    pub fn new(sink: &str, keeps: Vec<Box<dyn Keep>>, metrics: SinkMetrics) -> Self {
        let (results, letters) = (VecDeque::new(), Vec::new());
        Self {
            sink: sink.to_owned(),
            keeps,
            results,
            letters,
            not_before: None,
            metrics,
            board: Board::default(),
        }
    }

    /// Results are shown on this board too.
    #[must_use]
    pub fn shown_on(self, board: &Board) -> Self {
        Self { board: board.clone(), ..self }
    }

    /// Takes a result.
    pub fn result(&mut self, result: SinkResult) {
        self.board.outcome(result.clone());
        if self.keeps.is_empty() {
            return;
        }
        if self.results.len() >= MOST_RESULTS {
            self.results.pop_front();
            self.metrics.result_lost(&self.sink);
        }
        self.results.push_back(result);
    }

    /// Takes a dead letter.
    pub fn dead_letter(&mut self, letter: DeadLetter) {
        self.letters.push(letter);
    }

    /// Dead letters that are not kept yet; until then nothing behind them may be settled.
    pub fn unkept(&self) -> usize {
        self.letters.len()
    }

    /// Keeps what there is; `true` when no dead letter is left.
    pub fn keep(&mut self, now: Duration) -> bool {
        if self.not_before.is_some_and(|at| now < at) {
            return self.letters.is_empty();
        }
        self.not_before = None;
        if let Err(why) = self.try_keep() {
            self.not_before = Some(now + PAUSE);
            let (letters, results) = (self.letters.len(), self.results.len());
            tracing::warn!(
                sink = self.sink,
                letters,
                results,
                "what became of deliveries could not be kept, tried again: {why}"
            );
        }
        self.letters.is_empty()
    }

    fn try_keep(&mut self) -> Result<(), String> {
        if !self.letters.is_empty() {
            fault::here("before dead letter");
            for keep in &mut self.keeps {
                keep.dead_letters(&self.letters)?;
            }
            fault::here("dead letter kept");
            self.letters.clear();
        }
        if !self.results.is_empty() {
            let results = self.results.make_contiguous();
            for keep in &mut self.keeps {
                keep.results(results)?;
            }
            self.results.clear();
        }
        Ok(())
    }
}

/// Kafka as a place: a topic for each kind, where it is set.
pub struct Topics {
    /// Shared by all sinks.
    pub producer: Arc<Mutex<Producer>>,
    /// Topic of the results.
    pub results: Option<String>,
    /// Topic of the dead letters.
    pub dead_letters: Option<String>,
}

/// Longest wait for the brokers' confirmation.
const CONFIRMATION: Duration = Duration::from_secs(3);

impl Topics {
    fn produce<T: Serialize>(
        &self,
        topic: Option<&str>,
        items: &[T],
        key: fn(&T) -> &str,
    ) -> Result<(), String> {
        let Some(topic) = topic else { return Ok(()) };
        let payloads: Result<Vec<Vec<u8>>, _> = items.iter().map(serde_json::to_vec).collect();
        let payloads = payloads.map_err(|error| format!("cannot be written as JSON: {error}"))?;
        let batch: Vec<Message<'_>> = items
            .iter()
            .zip(&payloads)
            .map(|(item, payload)| Message { topic, key: key(item).as_bytes(), payload })
            .collect();
        let since = Instant::now();
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        producer
            .deliver(&batch, &|| since.elapsed() >= CONFIRMATION)
            .map_err(|undelivered| format!("topic {topic}: {}", undelivered.why))
    }
}

impl Keep for Topics {
    fn results(&mut self, results: &[SinkResult]) -> Result<(), String> {
        self.produce(self.results.as_deref(), results, |result| &result.alert_id)
    }

    fn dead_letters(&mut self, letters: &[DeadLetter]) -> Result<(), String> {
        self.produce(self.dead_letters.as_deref(), letters, |letter| &letter.record.id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    const DOCUMENT: &str = include_str!("../../../docs/delivery.md");

    fn record() -> AlertRecord {
        serde_json::from_value(super::super::desk::tests::record("a", &["slack"])).unwrap()
    }

    fn result() -> Value {
        let result = SinkResult {
            schema: SCHEMA,
            sink: "slack".to_owned(),
            alert_id: "a".to_owned(),
            revision: 1,
            service: "billing".to_owned(),
            result: Verdict::Refused,
            attempt: 1,
            detail: None,
            duration_ms: 1,
            at: Timestamp::UNIX_EPOCH,
        };
        serde_json::to_value(result).unwrap()
    }

    fn letter() -> Value {
        let (sink, reason) = ("slack".to_owned(), "HTTP 400".to_owned());
        let at = Timestamp::UNIX_EPOCH;
        serde_json::to_value(DeadLetter { schema: SCHEMA, sink, reason, attempts: 1, at, record: record() })
            .unwrap()
    }

    #[rstest]
    #[case("## What became of it", result())]
    #[case("## Dead letters of sinks", letter())]
    fn the_document_lists_exactly_the_fields_of_what_is_kept(#[case] heading: &str, #[case] written: Value) {
        let section = DOCUMENT.split(heading).nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let documented: BTreeSet<&str> =
            section.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0)).collect();
        let written: BTreeSet<&str> = written.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(documented, written);
        assert!(section.contains(&format!("now {SCHEMA} ")));
    }

    #[test]
    fn a_result_is_told_in_the_word_of_its_metric() {
        for verdict in [Verdict::Delivered, Verdict::Refused, Verdict::Retried, Verdict::Dead] {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.as_str());
        }
    }
}
