//! Raw records on their way from a source to the pipeline, and the word that they arrived.

use std::sync::Arc;

use bytes::Bytes;
use engine::decode::Rejected;
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

/// A micro-batch: what crosses threads.
pub struct Batch {
    /// Records in the order of their source.
    pub records: Vec<Record>,
    /// How far the streams of the records go in it; empty where nothing learns.
    pub cuts: Vec<Cut>,
    /// The one arrow back.
    pub ack: Ack,
}

/// Where sources and servers hand in batches; bounded, so a full one makes them wait.
pub type Intake = mpsc::Sender<Batch>;
