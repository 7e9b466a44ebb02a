//! Lines that wait for the next one: a stack trace comes line by line and is one record. The engine says what
//! belongs together; this room keeps where the lines came from, so that no position passes a waiting one.

use std::collections::BTreeMap;
use std::time::Instant;

use engine::decode::multiline::{JoinSettings, Joined, Joiner};
use engine::event::EventTime;

use crate::record::{Body, Record};
use crate::source::positions::Mark;

/// A line as it was read.
pub struct Line<K> {
    /// The line as a record.
    pub record: Record,
    /// Its stream, and the position behind it.
    pub mark: Mark<K>,
    /// Its own position.
    pub start: u64,
}

/// Lines of all sources of a thread.
pub struct Joining<K> {
    joiner: Joiner<u64>,
    /// First lines of the records that wait, by number.
    waiting: BTreeMap<u64, Line<K>>,
    /// Where the further lines of a record that waits begin and end, by the number of its first.
    further: BTreeMap<u64, Vec<(u64, u64)>>,
    number: u64,
    began: Instant,
    max_bytes: usize,
}

impl<K: Clone + Eq> Joining<K> {
    /// Nothing waits.
    pub fn new(settings: JoinSettings) -> Self {
        Self {
            joiner: Joiner::new(settings),
            waiting: BTreeMap::new(),
            further: BTreeMap::new(),
            number: 0,
            began: Instant::now(),
            max_bytes: settings.max_bytes,
        }
    }

    /// Takes a line and passes on every record that is whole by it.
    pub fn push(
        &mut self,
        source: &dyn Fn() -> String,
        line: Line<K>,
        now: Instant,
        out: &mut dyn FnMut(Record, Mark<K>),
    ) {
        if self.is_whole(line.record.body.bytes()) {
            if !self.waiting.is_empty() {
                let mut joined = Vec::new();
                // The generation keeps lines from before a rebalance apart from those after it.
                self.joiner.flush_source(&named(source, &line.mark), &mut joined);
                self.pass_on(joined, out);
            }
            return out(line.record, line.mark);
        }
        self.number += 1;
        let bytes = line.record.body.bytes().clone();
        let (number, name) = (self.number, named(source, &line.mark));
        let mut joined = Vec::new();
        self.joiner.push(&name, &bytes, number, self.time(now), &mut joined);
        // Only a record's first line is kept with its origin; the others have become part of the joiner's text.
        let waits_in = self.joiner.pending().find(|(source, _)| *source == name).map(|(_, first)| first);
        if waits_in == Some(number) || joined.iter().any(|record| record.first == number) {
            self.waiting.insert(number, line);
        } else if let Some(first) = waits_in {
            self.further.entry(first).or_default().push((line.start, line.mark.end));
        }
        self.pass_on(joined, out);
    }

    /// Passes on the records whose source was silent for long enough.
    pub fn tick(&mut self, now: Instant, out: &mut dyn FnMut(Record, Mark<K>)) {
        if self.waiting.is_empty() {
            return;
        }
        let mut joined = Vec::new();
        self.joiner.tick(self.time(now), &mut joined);
        self.pass_on(joined, out);
    }

    /// Passes everything on.
    pub fn end(&mut self, out: &mut dyn FnMut(Record, Mark<K>)) {
        let mut joined = Vec::new();
        self.joiner.flush(&mut joined);
        self.pass_on(joined, out);
    }

    /// The first position of a stream whose record waits.
    pub fn first_waiting(&self, mark: &Mark<K>) -> Option<u64> {
        let of_stream =
            |line: &&Line<K>| line.mark.key == mark.key && line.mark.generation == mark.generation;
        self.waiting.values().filter(of_stream).map(|line| line.start).min()
    }

    /// Where the lines of a stream that wait begin and end, ascending.
    pub fn waiting_lines(&self, mark: &Mark<K>) -> Vec<(u64, u64)> {
        let mut lines = Vec::new();
        for (number, line) in &self.waiting {
            if line.mark.key == mark.key && line.mark.generation == mark.generation {
                lines.push((line.start, line.mark.end));
                lines.extend(self.further.get(number).into_iter().flatten());
            }
        }
        lines.sort_unstable();
        lines
    }

    /// Whether a line is a record by itself and ends none: it need not be pushed.
    pub fn passes(&self, line: &[u8]) -> bool {
        self.waiting.is_empty() && self.is_whole(line)
    }

    /// A JSON object on one line is a record by itself and need not wait, nor does what is too long to be joined.
    fn is_whole(&self, line: &[u8]) -> bool {
        (line.first() == Some(&b'{') && line.last() == Some(&b'}')) || line.len() > self.max_bytes
    }

    fn time(&self, now: Instant) -> EventTime {
        let micros = now.saturating_duration_since(self.began).as_micros();
        EventTime::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    fn pass_on(&mut self, joined: Vec<Joined<u64>>, out: &mut dyn FnMut(Record, Mark<K>)) {
        for record in joined {
            self.further.remove(&record.first);
            let Some(line) = self.waiting.remove(&record.first) else { continue };
            let body = match record.lines {
                1 => line.record.body,
                _ => Body::Joined { first_line: line.record.body.bytes().len(), bytes: record.record.into() },
            };
            out(Record { body, ..line.record }, line.mark);
        }
    }
}

fn named<K>(source: &dyn Fn() -> String, mark: &Mark<K>) -> String {
    format!("{}#{}", source(), mark.generation)
}
