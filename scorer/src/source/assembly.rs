//! Joins a source's lines to records and cuts these into batches, by count, bytes and age. Hands them to the
//! pipeline without ever blocking the thread that reads: a full pipeline makes the batch wait here.

mod joining;

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::event::EventTime;
use tokio::sync::mpsc::error::TrySendError;

use super::positions::{Mark, Shared};
use crate::config::{BatchSettings, Settings};
use crate::record::{Batch, Intake, KafkaStream, Record, Records};
use crate::state::{Cut, Place, Stream};
use joining::{Joining, Line};

/// The batch that is being filled, and the one that waits for room.
pub struct Assembly<K> {
    settings: BatchSettings,
    intake: Intake,
    positions: Shared<K>,
    records: Records,
    /// The number in `streams` of each record's stream.
    stream_of: Vec<u32>,
    streams: Vec<(K, u64)>,
    bytes: usize,
    /// The longest of the records lately.
    longest: usize,
    /// Up to where each stream was read, whether its records are in the batch or still wait for their end.
    read: Vec<Mark<K>>,
    joining: Option<Joining<K>>,
    since: Option<Instant>,
    waiting: Option<Batch>,
    naming: Option<Naming<K>>,
}

/// Names what is learnt of a key: the stream and its member.
type Naming<K> = Box<dyn Fn(&K) -> (Stream, Arc<str>) + Send>;
/// A stream whose records are being added.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    read: usize,
    stream: u32,
    compact: u32,
}

/// A Kafka record as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its time.
    pub time: EventTime,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The pipeline has ended; nothing can be handed in any more.
#[derive(Debug)]
pub struct Ended;

impl<K: Clone + Eq + Hash + Send + 'static> Assembly<K> {
    /// Nothing assembled yet.
    pub fn new(settings: &Settings, intake: Intake, positions: Shared<K>) -> Self {
        Self {
            settings: settings.batch,
            joining: settings.multiline.map(Joining::new),
            intake,
            positions,
            records: Records::default(),
            stream_of: Vec::new(),
            streams: Vec::new(),
            bytes: 0,
            longest: 0,
            read: Vec::new(),
            since: None,
            waiting: None,
            naming: None,
        }
    }

    /// Batches tell how far they go in each stream, because something is learnt of them.
    pub fn with_cuts(mut self, naming: impl Fn(&K) -> (Stream, Arc<str>) + Send + 'static) -> Self {
        self.naming = Some(Box::new(naming));
        self
    }

    /// Passes over a line that is in what was learnt, and so were its findings delivered.
    pub fn pass_over(&mut self, mark: Mark<K>, now: Instant) {
        self.note(mark);
        self.since.get_or_insert(now);
    }

    fn note(&mut self, mark: Mark<K>) -> usize {
        match self.read.iter().position(|read| read.key == mark.key) {
            Some(place) => {
                self.read[place] = mark;
                place
            }
            None => {
                self.read.push(mark);
                self.read.len() - 1
            }
        }
    }

    /// Adds a line that was read. `source` names what it may be joined by: lines of one source only. `mark` is its
    /// stream, and the position behind it.
    pub fn push(
        &mut self,
        source: &dyn Fn() -> String,
        start: u64,
        mark: Mark<K>,
        record: Record,
        now: Instant,
    ) {
        self.note(mark.clone());
        match self.joining.take() {
            None => self.add(record, mark, now),
            Some(mut joining) => {
                let line = Line { record, mark, start };
                joining.push(source, line, now, &mut |record, mark| self.add(record, mark, now));
                self.joining = Some(joining);
            }
        }
    }

    /// Begins to add records of a Kafka partition by [`Assembly::push_of`]; good until the batch is handed over.
    /// `mark.end` is the position of the first of them.
    pub fn open(&mut self, mark: &Mark<K>, stream: &KafkaStream) -> Open {
        let read = self.note(mark.clone());
        let number = self.number_of(mark);
        Open { read, stream: number, compact: self.records.stream(stream) }
    }

    /// As [`Assembly::push`], for a record of a stream that was opened: keeps no more of it than is needed.
    pub fn push_of(&mut self, open: Open, source: &dyn Fn() -> String, line: &Arrived<'_>, now: Instant) {
        let mark = &mut self.read[open.read];
        mark.end = u64::try_from(line.offset).unwrap_or_default() + 1;
        if self.joining.as_ref().is_none_or(|joining| joining.passes(line.bytes)) {
            self.note_size(line.bytes.len(), now);
            self.stream_of.push(open.stream);
            self.records.push_compact(open.compact, line.offset, line.time, line.bytes);
            return;
        }
        let mark = mark.clone();
        let record = self.records.record_of(open.compact, line.offset, line.time, line.bytes);
        self.push(source, mark.end - 1, mark, record, now);
    }

    /// How many more records the batch takes, as far as their lengths can be foretold; at least one.
    pub fn room(&mut self) -> usize {
        let by_count = self.settings.size.saturating_sub(self.records.len());
        let by_bytes = self.settings.bytes.saturating_sub(self.bytes) / self.longest.max(1);
        self.longest -= self.longest / 8;
        by_count.min(by_bytes).max(1)
    }

    fn note_size(&mut self, bytes: usize, now: Instant) {
        self.bytes += bytes;
        self.longest = self.longest.max(bytes);
        self.since.get_or_insert(now);
    }

    fn number_of(&mut self, mark: &Mark<K>) -> u32 {
        let same = |(key, generation): &(K, u64)| *generation == mark.generation && *key == mark.key;
        let place = self.streams.iter().position(same).unwrap_or_else(|| {
            self.streams.push((mark.key.clone(), mark.generation));
            self.streams.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// Lets time pass for records that wait for their next line.
    pub fn tick(&mut self, now: Instant) {
        if let Some(mut joining) = self.joining.take() {
            joining.tick(now, &mut |record, mark| self.add(record, mark, now));
            self.joining = Some(joining);
        }
    }

    /// The input has ended: what waits for its next line is whole.
    pub fn end(&mut self, now: Instant) {
        if let Some(mut joining) = self.joining.take() {
            joining.end(&mut |record, mark| self.add(record, mark, now));
        }
    }

    fn add(&mut self, record: Record, mark: Mark<K>, now: Instant) {
        self.note_size(record.body.bytes().len(), now);
        let number = self.number_of(&mark);
        self.stream_of.push(number);
        self.records.push(record);
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

    /// Whether something of a stream was read and not yet handed over.
    pub fn holds(&self, key: &K) -> bool {
        self.read.iter().any(|read| read.key == *key)
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
        let (marks, cuts) = self.take_marks();
        let is_current = |(key, generation): &(K, u64)| self.positions.generation(key) == Some(*generation);
        let current: Vec<bool> = self.streams.iter().map(is_current).collect();
        let emptied = Records::as_roomy_as(&self.records);
        let mut records = std::mem::replace(&mut self.records, emptied);
        if current.contains(&false) {
            records.retain(|number| current[self.stream_of[number] as usize]);
        }
        self.stream_of.clear();
        self.streams.clear();
        self.bytes = 0;
        self.since = None;
        if marks.is_empty() {
            return Ok(());
        }
        let ack = self.positions.sent(marks);
        self.waiting = Some(Batch { records, cuts, ack });
        self.retry().map(drop)
    }

    /// How far each stream may move once the batch is delivered: not over a record that still waits for its end.
    fn take_marks(&mut self) -> (Vec<Mark<K>>, Vec<Cut>) {
        let mut marks = self.read.clone();
        marks.retain(|mark| self.positions.generation(&mark.key) == Some(mark.generation));
        let mut cuts = Vec::new();
        for mark in &mut marks {
            let read_to = mark.end;
            if let Some(start) = self.joining.as_ref().and_then(|joining| joining.first_waiting(mark)) {
                mark.end = mark.end.min(start);
            }
            if let Some(naming) = &self.naming {
                let waiting =
                    self.joining.as_ref().map_or_else(Vec::new, |joining| joining.waiting_lines(mark));
                let place = Place { end: mark.end, ahead: between(&waiting, mark.end, read_to) };
                let (stream, member) = naming(&mark.key);
                // Members of an input have generations of their own; the input as a whole is never given away.
                let generation = match stream {
                    Stream::Partition(..) => mark.generation,
                    Stream::Input(_) => 0,
                };
                cuts.push(Cut { stream, generation, member, place });
            }
        }
        // A stream without a line in waiting is not named again until something of it is read.
        let waiting = |mark: &Mark<K>| {
            self.joining.as_ref().is_some_and(|joining| joining.first_waiting(mark).is_some())
        };
        self.read.retain(waiting);
        (marks, cuts)
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
        self.records = Records::default();
        self.stream_of.clear();
        self.streams.clear();
        self.read.clear();
        self.joining = None;
        self.bytes = 0;
        self.since = None;
    }
}

/// What of `from..to` lies outside of `lines`, which ascend.
fn between(lines: &[(u64, u64)], from: u64, to: u64) -> Vec<(u64, u64)> {
    let mut at = from;
    let mut pieces = Vec::new();
    for (start, end) in lines.iter().copied().chain([(to, to)]) {
        if at < start {
            pieces.push((at, start));
        }
        at = at.max(end);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use engine::decode::multiline::JoinSettings;
    use tokio::sync::mpsc;

    use super::*;
    use crate::record::{Body, Origin, Outcome};

    const WAIT: Duration = Duration::from_millis(100);

    struct Rig {
        assembly: Assembly<&'static str>,
        batches: mpsc::Receiver<Batch>,
        positions: Shared<&'static str>,
        start: Instant,
        read: u64,
    }

    impl Rig {
        fn new(size: usize) -> Self {
            let (intake, batches) = mpsc::channel(1);
            let positions = Shared::default();
            positions.assign("p");
            let assembly = Assembly {
                settings: BatchSettings { size, wait: WAIT, bytes: 1 << 20 },
                joining: Some(Joining::new(JoinSettings::default())),
                intake,
                positions: positions.clone(),
                records: Records::default(),
                stream_of: Vec::new(),
                streams: Vec::new(),
                bytes: 0,
                longest: 0,
                read: Vec::new(),
                since: None,
                waiting: None,
                naming: Some(Box::new(|key| (Stream::input(key), "".into()))),
            };
            Self { assembly, batches, positions, start: Instant::now(), read: 0 }
        }

        fn push(&mut self, text: &'static str) {
            self.push_from("p", text);
        }

        fn push_from(&mut self, source: &str, text: &'static str) {
            self.read += 1;
            let record = Record {
                origin: Origin::Stdin { line: self.read },
                transport_time: EventTime::default(),
                service: None,
                body: Body::Raw(Bytes::from_static(text.as_bytes())),
            };
            let generation = self.positions.generation(&"p").unwrap_or_default();
            let mark = Mark { key: "p", generation, end: self.read };
            self.assembly.push(&|| source.to_owned(), self.read - 1, mark, record, self.start);
        }

        /// Hands over, acknowledges, and tells the records' texts.
        fn deliver(&mut self) -> Vec<String> {
            self.assembly.hand_over().unwrap();
            let Ok(batch) = self.batches.try_recv() else { return Vec::new() };
            (batch.ack)(Outcome::default());
            batch.records.iter().map(|record| String::from_utf8_lossy(record.bytes()).into_owned()).collect()
        }
    }

    #[test]
    fn a_batch_is_due_by_count_or_age() {
        let mut rig = Rig::new(2);
        rig.push("{}");
        assert!(!rig.assembly.due(rig.start));
        assert!(rig.assembly.due(rig.start + WAIT));
        rig.push("{}");
        assert!(rig.assembly.due(rig.start));
    }

    #[test]
    fn a_record_that_waits_for_its_end_holds_the_position_back() {
        let mut rig = Rig::new(10);
        rig.push("{}");
        rig.push("2026-01-05T12:00:00Z ERROR boom");
        rig.push("    at a.b.C(C.java:1)");
        assert_eq!(rig.deliver(), ["{}"]);
        assert_eq!(rig.positions.position(&"p"), Some(1));
        rig.assembly.tick(rig.start + Duration::from_secs(2));
        assert_eq!(rig.deliver(), ["2026-01-05T12:00:00Z ERROR boom\n    at a.b.C(C.java:1)"]);
        assert_eq!(rig.positions.position(&"p"), Some(3));
    }

    #[test]
    fn a_cut_names_what_came_while_an_earlier_line_waits() {
        let mut rig = Rig::new(10);
        let cut = |rig: &mut Rig| {
            rig.assembly.hand_over().unwrap();
            let batch = rig.batches.try_recv().unwrap();
            let Cut { place, .. } = batch.cuts.into_iter().next().unwrap();
            (place.end, place.ahead)
        };
        rig.push("{}");
        rig.push("2026-01-05T12:00:00Z ERROR boom");
        rig.push("    at a.b.C(C.java:1)");
        assert_eq!(cut(&mut rig), (1, vec![]));
        rig.push_from("other", "{}");
        rig.push_from("other", "{}");
        rig.push("    at a.b.D(D.java:2)");
        rig.push_from("other", "{}");
        assert_eq!(cut(&mut rig), (1, vec![(3, 5), (6, 7)]));
        rig.assembly.tick(rig.start + Duration::from_secs(2));
        assert_eq!(cut(&mut rig), (7, vec![]));
    }

    #[test]
    fn a_full_pipeline_makes_the_batch_wait_and_loses_nothing() {
        let mut rig = Rig::new(1);
        rig.push("{1}");
        rig.assembly.hand_over().unwrap();
        rig.push("{2}");
        rig.assembly.hand_over().unwrap();
        assert!(rig.assembly.is_blocked());
        assert!(!rig.assembly.retry().unwrap());
        (rig.batches.try_recv().unwrap().ack)(Outcome::default());
        assert!(rig.assembly.retry().unwrap());
        (rig.batches.try_recv().unwrap().ack)(Outcome::default());
        assert_eq!(rig.positions.position(&"p"), Some(2));
    }

    #[test]
    fn records_of_a_stream_that_was_taken_away_are_not_handed_over() {
        let mut rig = Rig::new(10);
        rig.push("{1}");
        rig.push("text that waits");
        rig.positions.revoke(&"p");
        assert_eq!(rig.deliver(), [""; 0]);
        rig.positions.assign("p");
        rig.push("{3}");
        rig.assembly.tick(rig.start + Duration::from_secs(2));
        assert_eq!(rig.deliver(), ["{3}"]);
        assert_eq!(rig.positions.position(&"p"), Some(3));
    }
}
