//! The record of one finding as it leaves the process, and the feed of recent ones. The fields are documented in
//! `docs/anomaly-record.md`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use engine::detect::{Severity, Source};
use engine::event::{Level, LogEvent};
use engine::id::FindingId;
use engine::model::{Explanation, Reason, Score};
use engine::terminal::on_one_line;
use serde::Serialize;
use tokio::sync::broadcast;

use crate::live::Loaded;
use crate::record::{Origin, Record};
use crate::sink::{Kind, Outgoing, cut};

/// Version of the record's shape; it rises when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;
/// The detector that finds single lines whose score is above the threshold.
pub const ODD_LINE: &str = "odd_line";

/// One finding.
#[derive(Clone, Debug, Serialize)]
pub struct AnomalyRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// A function of the record that caused it: a second delivery has the same one.
    pub id: FindingId,
    /// [`ODD_LINE`].
    pub detector: &'static str,
    /// Service of the line; empty where the line names none.
    pub service: String,
    /// Level of the line, in capitals.
    pub level: Option<&'static str>,
    /// `warning` above the score of the budget, else `info`.
    pub severity: &'static str,
    /// Time of the line, RFC 3339 in UTC.
    pub timestamp: String,
    /// In [0, 1], greater is odder.
    pub score: f64,
    /// Share of the training lines that score lower, in percent.
    pub percentile: f64,
    /// The forest's own score, in [0, 1].
    pub forest: f64,
    /// Mean of the three largest word surprisals, in nats.
    pub surprisal: f64,
    /// The score above which a line is an anomaly.
    pub threshold: f64,
    /// The line's text, secrets taken out, at most `MESSAGE_BYTES` long.
    pub message: String,
    /// Whether `message` was cut.
    pub message_cut: bool,
    /// Why the line is odd, largest contribution first.
    pub reasons: Vec<Reason>,
    /// The line's masked pattern.
    pub pattern: String,
    /// Training lines with that very pattern.
    pub pattern_seen: u64,
    /// The nearest pattern that training saw often.
    pub nearest_pattern: Option<String>,
    /// Where the record came from.
    pub source: SourceField,
    /// Digest of the model that scored the line.
    pub model: String,
}

/// Longest service, word or pattern in a record, in bytes; longer ones are cut.
const NAME_BYTES: usize = 1_024;

/// How grave an odd line of this score is.
pub fn severity(score: Score, loaded: &Loaded) -> Severity {
    if loaded.warning_score.is_some_and(|least| score.score > least) {
        Severity::Warning
    } else {
        Severity::Info
    }
}

impl AnomalyRecord {
    /// An odd line: `event` of `record`, whose secrets were taken out.
    pub fn odd_line(
        id: FindingId,
        record: &Record,
        event: &LogEvent,
        score: Score,
        explanation: Explanation,
        loaded: &Loaded,
        message_bytes: usize,
    ) -> Self {
        let short = |text: &str| cut(text, NAME_BYTES).to_owned();
        let message = cut(&event.message, message_bytes);
        let reasons = explanation.reasons.into_iter();
        Self {
            schema: SCHEMA,
            id,
            detector: ODD_LINE,
            service: short(&event.service),
            level: event.level.map(Level::as_str),
            severity: severity(score, loaded).as_str(),
            timestamp: event.timestamp.to_string(),
            score: score.score,
            percentile: score.percentile,
            forest: score.forest,
            surprisal: score.surprisal,
            threshold: loaded.threshold.score,
            message: message.to_owned(),
            message_cut: message.len() < event.message.len(),
            reasons: reasons.map(|reason| Reason { word: short(&reason.word), ..reason }).collect(),
            pattern: short(&explanation.pattern),
            pattern_seen: explanation.pattern_seen,
            nearest_pattern: explanation.nearest_pattern.as_deref().map(short),
            source: SourceField::from(&record.origin),
            model: loaded.model.digest().to_owned(),
        }
    }

    /// One structured line in the program's own log.
    pub fn log(&self) {
        let why: Vec<&str> = self.reasons.iter().take(3).map(|reason| reason.word.as_str()).collect();
        tracing::warn!(
            target: "anomaly",
            id = %self.id,
            detector = self.detector,
            service = self.service,
            level = self.level.unwrap_or_default(),
            timestamp = self.timestamp,
            score = format_args!("{:.4}", self.score),
            percentile = format_args!("{:.2}", self.percentile),
            why = why.join(", "),
            message = on_one_line(cut(&self.message, 500)),
        );
    }

    /// The record that leaves the process, keyed by service.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn outgoing(&self) -> serde_json::Result<Outgoing> {
        let json = serde_json::to_vec(self)?;
        Ok(Outgoing::json(Kind::Anomaly, self.service.clone(), json))
    }
}

/// Where a record came from, as written.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SourceField {
    /// A Kafka record.
    Kafka {
        /// The cluster's own id.
        cluster: String,
        /// Topic name.
        topic: String,
        /// Partition number.
        partition: i32,
        /// Offset in the partition.
        offset: i64,
    },
    /// A line of a file.
    File {
        /// Path as found.
        path: String,
        /// Device and inode.
        identity: String,
        /// Byte offset of the line's first byte.
        offset: u64,
    },
    /// A line of standard input.
    Stdin {
        /// Line number, from 1.
        line: u64,
    },
    /// Pushed by a peer.
    Pushed,
}

impl From<&Source> for SourceField {
    fn from(source: &Source) -> Self {
        match source {
            Source::Kafka { cluster, topic, partition, offset } => Self::Kafka {
                cluster: cluster.0.to_string(),
                topic: topic.0.to_string(),
                partition: *partition,
                offset: *offset,
            },
            Source::File { identity, path, offset } => {
                Self::File { path: path.0.to_string(), identity: identity.0.to_string(), offset: *offset }
            }
            Source::Stdin { line } => Self::Stdin { line: *line },
            Source::Pushed => Self::Pushed,
        }
    }
}

impl From<&Origin> for SourceField {
    fn from(origin: &Origin) -> Self {
        Self::from(&Source::from(origin.clone()))
    }
}

const RECENT: usize = 500;
const FEED_CAPACITY: usize = 1_024;

/// Records as they happen, for whoever shows them; a slow subscriber loses the oldest.
#[derive(Debug)]
pub struct Feed<T> {
    sender: broadcast::Sender<Arc<T>>,
    recent: Arc<Mutex<VecDeque<Arc<T>>>>,
}

/// Odd lines.
pub type AnomalyFeed = Feed<AnomalyRecord>;

impl<T> Default for Feed<T> {
    fn default() -> Self {
        Self { sender: broadcast::channel(FEED_CAPACITY).0, recent: Arc::default() }
    }
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), recent: Arc::clone(&self.recent) }
    }
}

impl<T> Feed<T> {
    /// Shows a record to all subscribers.
    pub fn publish(&self, record: Arc<T>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(Arc::clone(&record));
        // An error means that nobody listens.
        let _ = self.sender.send(record);
    }

    /// Records from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<T>> {
        self.sender.subscribe()
    }

    /// The newest records, oldest first, at most 500.
    pub fn recent(&self) -> Vec<Arc<T>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use engine::event::EventTime;
    use engine::model::ReasonKind;
    use serde_json::Value;

    use super::*;

    const DOCUMENT: &str = include_str!("../../docs/anomaly-record.md");

    fn record(origin: &Origin) -> AnomalyRecord {
        let reason = Reason { kind: ReasonKind::RareWord, word: "w".to_owned(), contribution: 1.0, seen: 0 };
        AnomalyRecord {
            schema: SCHEMA,
            id: FindingId::of_record(ODD_LINE, origin.coordinates(), EventTime::default(), 0, b"x"),
            detector: ODD_LINE,
            service: "billing".to_owned(),
            level: Some("ERROR"),
            severity: "info",
            timestamp: EventTime::default().to_string(),
            score: 0.9,
            percentile: 99.0,
            forest: 0.6,
            surprisal: 7.0,
            threshold: 0.5,
            message: "x".to_owned(),
            message_cut: false,
            reasons: vec![reason],
            pattern: "x".to_owned(),
            pattern_seen: 0,
            nearest_pattern: None,
            source: SourceField::from(origin),
            model: "d".to_owned(),
        }
    }

    fn origins() -> [Origin; 4] {
        [
            Origin::Kafka { cluster: "c".into(), topic: "t".into(), partition: 0, offset: 1 },
            Origin::File { identity: "1:2".into(), path: "a.log".into(), offset: 3 },
            Origin::Stdin { line: 1 },
            Origin::Pushed,
        ]
    }

    pub(crate) fn fields(prefix: &str, value: &Value, out: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                for (name, inner) in object {
                    let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                    out.insert(path.clone());
                    fields(&path, inner, out);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| fields(&format!("{prefix}[]"), item, out)),
            _ => {}
        }
    }

    #[test]
    fn the_document_lists_exactly_the_fields_of_a_record() {
        let mut written = BTreeSet::new();
        for origin in origins() {
            let outgoing = record(&origin).outgoing().unwrap();
            fields("", &serde_json::from_slice(&outgoing.json).unwrap(), &mut written);
        }
        let table = DOCUMENT.split("# What other detectors find").next().unwrap();
        let documented: BTreeSet<String> = table
            .lines()
            .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
            .collect();
        assert_eq!(documented, written);
        assert!(table.contains(&format!("now {SCHEMA} ")));
        assert!(table.contains(&format!("At most {} reasons", engine::model::MOST_REASONS)));
    }

    #[test]
    fn the_key_is_the_service() {
        assert_eq!(record(&Origin::Pushed).outgoing().unwrap().key, "billing");
    }

    #[test]
    fn a_late_subscriber_still_gets_the_recent_ones() {
        let feed = AnomalyFeed::default();
        for line in 0..600 {
            feed.publish(Arc::new(record(&Origin::Stdin { line })));
        }
        assert_eq!(feed.recent().len(), RECENT);
        assert_eq!(feed.subscribe().try_recv().unwrap_err(), broadcast::error::TryRecvError::Empty);
    }
}
