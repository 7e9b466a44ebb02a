//! Which log lines the store keeps: all, or those that are an anomaly and those of the same service around a graver
//! one. For the latter a few lines of each service wait in a ring, bounded; what leaves it unneeded is forgotten.
//! Decides nothing about a line.

#[cfg(test)]
mod tests;

use engine::alert::News;
use engine::detect::Severity;
use engine::event::{EventTime, Level, LogEvent, TimeSource};
use engine::id::FindingId;
use foldhash::fast::RandomState as Foldhash;
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;
use prometheus_client::metrics::counter::Counter;
use store::LogRow;

use crate::config::{ContextLines, KeptLogs, Settings};
use crate::metrics::Metrics;
use crate::record::{Borrowed, Origin};
use crate::sink::{Outgoing, cut};

/// The name that lines' ids are made of, as those of anomalies are of their detectors'.
const LINE: &str = "line";
/// Digits of the digest behind a place: enough to tell apart what stood at one place at different times.
const DIGITS: usize = 12;
/// Longest place in an id.
const SOURCE_BYTES: usize = 400;

/// What may wait: beyond it, services that were silent for longest are forgotten. Twice as much is held at most.
const MOST_SERVICES: usize = 10_000;
const MOST_BYTES: usize = 32 << 20;
/// What a service takes beside its name and messages, about.
const RING_BYTES: usize = 1_024;

/// The lines that are kept of what is scored.
pub struct Kept {
    /// What is kept around an anomaly; `None` for all lines.
    context: Option<Context>,
    message_bytes: usize,
    rows: Vec<LogRow>,
}

impl Kept {
    /// What the settings ask for; `None` where no line is kept.
    pub fn new(settings: &Settings, metrics: &Metrics) -> Option<Self> {
        let context = match settings.store.as_ref()?.logs {
            KeptLogs::None => return None,
            KeptLogs::All => None,
            KeptLogs::Context(around) => Some(Context::new(around, metrics.store.context_forgotten.clone())),
        };
        Some(Self { context, message_bytes: settings.output.message_bytes, rows: Vec::new() })
    }

    /// A scored line: event number `index` of its record.
    pub fn line(&mut self, record: Borrowed<'_>, index: u32, event: &LogEvent, score: f64) {
        let message = cut(&event.message, self.message_bytes);
        match &mut self.context {
            Some(context) => context.line(record, index, event, message, score, &mut self.rows),
            None => {
                let mut line = Line::default();
                line.put(record, index, event, message, score);
                self.rows.push(line.row(&event.service));
            }
        }
    }

    /// Something was found of this service: its newest line is kept, and with what is grave enough those before it
    /// and those that follow.
    pub fn found(&mut self, service: &str, severity: Severity) {
        if let Some(context) = &mut self.context {
            context.found(service, severity, &mut self.rows);
        }
    }

    /// As [`Kept::found`] for all anomalies in `news`.
    pub fn found_all(&mut self, news: &News) {
        for anomaly in &news.anomalies {
            self.found(&anomaly.service, anomaly.severity);
        }
    }

    /// The lines to keep since the last time, where there are any.
    pub fn take(&mut self) -> Option<Outgoing> {
        (!self.rows.is_empty()).then(|| Outgoing::logs(std::mem::take(&mut self.rows)))
    }
}

/// Services in two generations: one that is seen comes to the young one, and when that is full the old one is
/// forgotten.
struct Context {
    around: ContextLines,
    young: HashMap<String, Ring, Foldhash>,
    old: HashMap<String, Ring, Foldhash>,
    /// Of names and messages in the young one.
    bytes: usize,
    most_services: usize,
    most_bytes: usize,
    forgotten: Counter,
}

impl Context {
    fn new(around: ContextLines, forgotten: Counter) -> Self {
        Self {
            around,
            young: HashMap::default(),
            old: HashMap::default(),
            bytes: 0,
            most_services: MOST_SERVICES,
            most_bytes: MOST_BYTES,
            forgotten,
        }
    }

    fn line(
        &mut self,
        record: Borrowed<'_>,
        index: u32,
        event: &LogEvent,
        message: &str,
        score: f64,
        rows: &mut Vec<LogRow>,
    ) {
        let ring = match self.young.entry_ref(event.service.as_str()) {
            EntryRef::Occupied(entry) => entry.into_mut(),
            EntryRef::Vacant(entry) => {
                let ring = self.old.remove(event.service.as_str());
                let ring = ring
                    .unwrap_or_else(|| Ring { bytes: RING_BYTES + event.service.len(), ..Ring::default() });
                self.bytes += ring.bytes;
                entry.insert(ring)
            }
        };
        let before = ring.bytes;
        let line = ring.next(self.around.lines + 1);
        let room = line.message.capacity();
        line.put(record, index, event, message, score);
        let grown = line.message.capacity().saturating_sub(room);
        if ring.after > 0 {
            ring.after -= 1;
            ring.flush(&event.service, rows);
        }
        ring.bytes += grown;
        self.bytes += ring.bytes - before;
        if self.young.len() >= self.most_services || self.bytes >= self.most_bytes {
            self.age();
        }
    }

    fn found(&mut self, service: &str, severity: Severity, rows: &mut Vec<LogRow>) {
        let ring = match self.young.get_mut(service) {
            Some(ring) => Some(ring),
            None => self.old.get_mut(service),
        };
        let Some(ring) = ring else { return };
        if severity < self.around.severity {
            ring.flush_newest(service, rows);
            return;
        }
        ring.flush(service, rows);
        ring.after = self.around.lines;
    }

    fn age(&mut self) {
        let forgotten = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        self.forgotten.inc_by(forgotten.len() as u64);
        self.bytes = 0;
    }
}

/// The last lines of a service.
#[derive(Default)]
struct Ring {
    lines: Vec<Line>,
    /// Place of the oldest line, once there are as many as there may be.
    oldest: usize,
    /// So many lines are still to be kept as they come.
    after: usize,
    /// Room of name and messages.
    bytes: usize,
}

impl Ring {
    /// The place of the next line.
    fn next(&mut self, most: usize) -> &mut Line {
        if self.lines.len() < most {
            self.lines.push(Line::default());
            let last = self.lines.len() - 1;
            return &mut self.lines[last];
        }
        let place = self.oldest;
        self.oldest = (self.oldest + 1) % most;
        &mut self.lines[place]
    }

    /// Gives the newest line, where it waits.
    fn flush_newest(&mut self, service: &str, rows: &mut Vec<LogRow>) {
        let newest = self.oldest.checked_sub(1).unwrap_or(self.lines.len().saturating_sub(1));
        if let Some(line) = self.lines.get_mut(newest).filter(|line| line.waits) {
            line.waits = false;
            rows.push(line.row(service));
        }
    }

    /// Gives the lines that wait, oldest first; each leaves once.
    fn flush(&mut self, service: &str, rows: &mut Vec<LogRow>) {
        let (newer, older) = self.lines.split_at_mut(self.oldest);
        for line in older.iter_mut().chain(newer) {
            if std::mem::take(&mut line.waits) {
                rows.push(line.row(service));
            }
        }
    }
}

/// A line that waits.
struct Line {
    waits: bool,
    message: String,
    time: EventTime,
    /// Whether the time is the line's own, and so the same at each reading.
    has_time: bool,
    level: Option<Level>,
    score: f64,
    origin: Origin,
    index: u32,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            waits: false,
            message: String::new(),
            time: EventTime::default(),
            has_time: false,
            level: None,
            score: 0.0,
            origin: Origin::Pushed,
            index: 0,
        }
    }
}

impl Line {
    fn put(&mut self, record: Borrowed<'_>, index: u32, event: &LogEvent, message: &str, score: f64) {
        self.waits = true;
        self.message.clear();
        self.message.push_str(message);
        self.time = event.timestamp;
        self.has_time = event.time_source == TimeSource::Record;
        self.level = event.level;
        self.score = score;
        self.index = index;
        record.origin_over(&mut self.origin);
    }

    fn row(&self, service: &str) -> LogRow {
        // The message is part of the id, and so is the line's own time: a file's place may be that of an earlier
        // file, and what was pushed has no place at all.
        let time = if self.has_time { self.time } else { EventTime::default() };
        let (place, message) = (self.origin.coordinates(), self.message.as_bytes());
        let digest = FindingId::of_record(LINE, place, time, self.index, message).to_string();
        let source = source(&self.origin, self.index);
        LogRow {
            id: id(&self.origin, &source, digest),
            time: self.time,
            service: service.to_owned(),
            level: self.level,
            message: self.message.clone(),
            score: self.score,
            family: family(&self.origin).to_owned(),
            source,
        }
    }
}

/// A place that is known comes first in the id: lines that follow each other then lie side by side in the store's
/// index, which takes a third of the time that scattered ones take.
fn id(origin: &Origin, source: &str, digest: String) -> String {
    match digest.get(..DIGITS) {
        Some(start) if *origin != Origin::Pushed && source.len() <= SOURCE_BYTES => {
            format!("{source}~{start}")
        }
        _ => digest,
    }
}

/// The stream that a line belongs to: its topic, its file's folder, or how it came in.
fn family(origin: &Origin) -> &str {
    match origin {
        Origin::Kafka { topic, .. } => topic,
        Origin::File { path, .. } => {
            let folder = std::path::Path::new(&**path).parent().and_then(std::path::Path::file_name);
            folder.and_then(std::ffi::OsStr::to_str).unwrap_or("file")
        }
        Origin::Stdin { .. } => "stdin",
        Origin::Pushed => "pushed",
    }
}

fn source(origin: &Origin, index: u32) -> String {
    let place = match origin {
        Origin::Kafka { topic, partition, offset, .. } => format!("{topic}/{partition}/{offset}"),
        Origin::File { path, offset, .. } => format!("{path}:{offset}"),
        Origin::Stdin { line } => format!("stdin:{line}"),
        Origin::Pushed => "pushed".to_owned(),
    };
    if index == 0 { place } else { format!("{place}#{index}") }
}
