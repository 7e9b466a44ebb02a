//! Raw records on their way from a source to the pipeline, and the word that they arrived.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use engine::decode::Rejected;
use engine::detect::{Source, Text};
use engine::event::{EventTime, LogEvent};
use engine::id::{Coordinates, FindingId};
use tokio::sync::mpsc;

use crate::state::Cut;

/// Where a record came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A Kafka record.
    Kafka {
        /// The cluster's own id.
        cluster: Arc<str>,
        /// Topic name.
        topic: Arc<str>,
        /// Partition number.
        partition: i32,
        /// Offset in the partition.
        offset: i64,
    },
    /// A line of a followed file.
    File {
        /// Device and inode.
        identity: Arc<str>,
        /// Path as given or found.
        path: Arc<str>,
        /// Byte offset of the line's first byte.
        offset: u64,
    },
    /// A line of standard input, counted from 1.
    Stdin {
        /// Line number.
        line: u64,
    },
    /// Pushed by a peer (OTLP, gRPC).
    Pushed,
}

impl Origin {
    /// The coordinates that ids are made of.
    pub fn coordinates(&self) -> Coordinates<'_> {
        match self {
            Self::Kafka { cluster, topic, partition, offset } => {
                Coordinates::Kafka { cluster, topic, partition: *partition, offset: *offset }
            }
            Self::File { identity, offset, .. } => Coordinates::File { identity, offset: *offset },
            Self::Stdin { line } => Coordinates::Stdin { line: *line },
            Self::Pushed => Coordinates::Pushed,
        }
    }
}

impl From<Origin> for Source {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Kafka { cluster, topic, partition, offset } => {
                Self::Kafka { cluster: Text(cluster), topic: Text(topic), partition, offset }
            }
            Origin::File { identity, path, offset } => {
                Self::File { identity: Text(identity), path: Text(path), offset }
            }
            Origin::Stdin { line } => Self::Stdin { line },
            Origin::Pushed => Self::Pushed,
        }
    }
}

/// What a record holds.
#[derive(Clone, Debug)]
pub enum Body {
    /// Bytes still to be decoded.
    Raw(Bytes),
    /// Bytes still to be decoded, joined from several lines.
    Joined {
        /// All lines.
        bytes: Bytes,
        /// Length of the first one: how many more were joined to it depends on when they came, and an id must not.
        first_line: usize,
    },
    /// An event that came decoded (OTLP), with the bytes that its id is made of.
    Decoded {
        /// The event.
        event: Box<LogEvent>,
        /// The encoded record.
        bytes: Bytes,
    },
    /// A record that its server could not read (OTLP): to be counted and dead-lettered like any other.
    Rejected {
        /// Why.
        rejected: Rejected,
        /// The encoded record.
        bytes: Bytes,
    },
}

impl Body {
    /// The bytes that were read and that a dead letter shows.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Raw(bytes)
            | Self::Joined { bytes, .. }
            | Self::Decoded { bytes, .. }
            | Self::Rejected { bytes, .. } => bytes,
        }
    }

    /// The bytes that the id is made of.
    fn identifying_bytes(&self) -> &[u8] {
        match self {
            Self::Joined { bytes, first_line } => bytes.get(..*first_line).unwrap_or(bytes),
            other => other.bytes(),
        }
    }
}

/// One record as its source read it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where it came from.
    pub origin: Origin,
    /// The transport's time.
    pub transport_time: EventTime,
    /// A service known from outside (file name, folder).
    pub service: Option<Arc<str>>,
    /// Its content.
    pub body: Body,
}

impl Record {
    /// The id of what `detector` finds in this record's event number `index`: the same after every restart, so
    /// the time that a line happened to be read at has no part in it.
    pub fn finding_id(&self, detector: &str, index: u32) -> FindingId {
        let time = match self.origin {
            Origin::Kafka { .. } => self.transport_time,
            Origin::File { .. } | Origin::Stdin { .. } | Origin::Pushed => EventTime::default(),
        };
        FindingId::of_record(detector, self.origin.coordinates(), time, index, self.body.identifying_bytes())
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Events that got a score.
    pub scored: u64,
    /// Records that could not be read; each is a dead letter.
    pub rejected: u64,
    /// The first rejection's reason, for a peer's error message.
    pub first_rejection: Option<String>,
}

/// Called once, after everything that follows from a batch is durable; dropped uncalled when it is not.
pub type Ack = Box<dyn FnOnce(Outcome) + Send>;

/// A partition of a topic, as every record of it tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaStream {
    /// The cluster's own id.
    pub cluster: Arc<str>,
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition number.
    pub partition: i32,
}

impl KafkaStream {
    /// Whether it is of this very topic, by address.
    fn is_of(&self, cluster: &Arc<str>, topic: &Arc<str>) -> bool {
        Arc::ptr_eq(&self.topic, topic) && Arc::ptr_eq(&self.cluster, cluster)
    }
}

/// A Kafka record of which only what scoring needs is kept beside the others: most are ordinary, and no [`Record`]
/// is ever made of them.
#[derive(Clone, Copy, Debug)]
struct Compact {
    stream: u32,
    start: usize,
    end: usize,
    offset: i64,
    transport_time: EventTime,
}

#[derive(Clone, Debug)]
enum Entry {
    Compact(Compact),
    /// The place in `Records::whole`.
    Whole(usize),
}

/// The records of a batch, in the order of their source.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// The bytes of compact records, one after the other.
    bytes: Vec<u8>,
    streams: Vec<KafkaStream>,
    whole: Vec<Record>,
    order: Vec<Entry>,
}

impl Records {
    /// Room for as many records and bytes as `other` holds.
    pub fn as_roomy_as(other: &Self) -> Self {
        Self {
            bytes: Vec::with_capacity(other.bytes.len() + other.bytes.len() / 8),
            order: Vec::with_capacity(other.order.len()),
            ..Self::default()
        }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.order.len()
    }

    /// Appends a record.
    pub fn push(&mut self, record: Record) {
        self.order.push(Entry::Whole(self.whole.len()));
        self.whole.push(record);
    }

    /// The number of a stream, for [`Records::push_compact`].
    pub fn stream(&mut self, stream: &KafkaStream) -> u32 {
        let found = self.streams.iter().position(|known| known == stream);
        let number = found.unwrap_or_else(|| {
            self.streams.push(stream.clone());
            self.streams.len() - 1
        });
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// Appends a Kafka record.
    pub fn push_compact(&mut self, stream: u32, offset: i64, transport_time: EventTime, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let end = self.bytes.len();
        self.order.push(Entry::Compact(Compact { stream, start, end, offset, transport_time }));
    }

    /// A record of its own, which is not appended.
    pub fn record_of(&self, stream: u32, offset: i64, transport_time: EventTime, bytes: &[u8]) -> Record {
        Record {
            origin: self.origin_of(stream, offset),
            transport_time,
            service: None,
            body: Body::Raw(Bytes::copy_from_slice(bytes)),
        }
    }

    fn origin_of(&self, stream: u32, offset: i64) -> Origin {
        let KafkaStream { cluster, topic, partition } = self.streams[stream as usize].clone();
        Origin::Kafka { cluster, topic, partition, offset }
    }

    /// Keeps the records whose number `keep` says so of.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut number = 0;
        self.order.retain(|_| {
            number += 1;
            keep(number - 1)
        });
    }

    /// What decoding needs of each, in order.
    pub fn iter(&self) -> impl Iterator<Item = Borrowed<'_>> {
        self.order.iter().map(|entry| match entry {
            Entry::Compact(compact) => Borrowed(Inner::Compact(self, *compact)),
            Entry::Whole(place) => Borrowed(Inner::Whole(&self.whole[*place])),
        })
    }

    /// Each as a record of its own.
    #[cfg(test)]
    pub fn into_vec(self) -> Vec<Record> {
        self.iter().map(|record| record.to_record().into_owned()).collect()
    }
}

impl FromIterator<Record> for Records {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut all = Self::default();
        records.into_iter().for_each(|record| all.push(record));
        all
    }
}

/// A record inside of its batch.
#[derive(Clone, Copy, Debug)]
pub struct Borrowed<'b>(Inner<'b>);

#[derive(Clone, Copy, Debug)]
enum Inner<'b> {
    Whole(&'b Record),
    Compact(&'b Records, Compact),
}

impl<'b> Borrowed<'b> {
    /// The transport's time.
    pub const fn transport_time(&self) -> EventTime {
        match self.0 {
            Inner::Whole(record) => record.transport_time,
            Inner::Compact(_, compact) => compact.transport_time,
        }
    }

    /// Where it came from.
    pub fn origin(&self) -> Origin {
        match self.0 {
            Inner::Whole(record) => record.origin.clone(),
            Inner::Compact(records, compact) => records.origin_of(compact.stream, compact.offset),
        }
    }

    /// Writes where it came from over `origin`; that of the same topic or file is only moved on.
    pub fn origin_over(&self, origin: &mut Origin) {
        match (self.0, &mut *origin) {
            (Inner::Compact(records, compact), Origin::Kafka { cluster, topic, partition, offset })
                if records.streams[compact.stream as usize].is_of(cluster, topic) =>
            {
                *partition = records.streams[compact.stream as usize].partition;
                *offset = compact.offset;
            }
            (_, origin) => *origin = self.origin(),
        }
    }

    /// Its topic and partition, where it came from Kafka.
    pub fn partition(&self) -> Option<(&'b str, i32)> {
        match self.0 {
            Inner::Whole(Record { origin: Origin::Kafka { topic, partition, .. }, .. }) => {
                Some((topic, *partition))
            }
            Inner::Whole(_) => None,
            Inner::Compact(records, compact) => {
                let stream = &records.streams[compact.stream as usize];
                Some((&stream.topic, stream.partition))
            }
        }
    }

    /// The event or the rejection, where the record came with one.
    pub const fn body(&self) -> Option<&'b Body> {
        match self.0 {
            Inner::Whole(record) => Some(&record.body),
            Inner::Compact(..) => None,
        }
    }

    /// A service known from outside.
    pub fn service(self) -> Option<&'b str> {
        match self.0 {
            Inner::Whole(record) => record.service.as_deref(),
            Inner::Compact(..) => None,
        }
    }

    /// The bytes that were read.
    pub fn bytes(self) -> &'b [u8] {
        match self.0 {
            Inner::Whole(record) => record.body.bytes(),
            Inner::Compact(records, compact) => &records.bytes[compact.start..compact.end],
        }
    }

    /// The record by itself: for the few of which something is kept.
    pub fn to_record(self) -> Cow<'b, Record> {
        let (records, compact) = match self.0 {
            Inner::Whole(record) => return Cow::Borrowed(record),
            Inner::Compact(records, compact) => (records, compact),
        };
        Cow::Owned(records.record_of(compact.stream, compact.offset, compact.transport_time, self.bytes()))
    }
}

/// A micro-batch: what crosses threads.
pub struct Batch {
    /// Records in the order of their source.
    pub records: Records,
    /// How far the streams of the records go in it; empty where nothing learns.
    pub cuts: Vec<Cut>,
    /// The one arrow back.
    pub ack: Ack,
}

/// Where sources and servers hand in batches; bounded, so a full one makes them wait.
pub type Intake = mpsc::Sender<Batch>;
