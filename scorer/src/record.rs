//! Raw records on their way from a source to the pipeline, and the word that they arrived.

use std::sync::Arc;

use bytes::Bytes;
use engine::event::EventTime;
use engine::id::Coordinates;

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

/// One record as its source read it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where it came from.
    pub origin: Origin,
    /// The transport's time.
    pub transport_time: EventTime,
    /// A service known from outside (file name, folder).
    pub service: Option<Arc<str>>,
    /// The record's bytes.
    pub payload: Bytes,
}

/// Called once, after everything that follows from a batch is durable; dropped uncalled when it is not.
pub type Ack = Box<dyn FnOnce() + Send>;

/// A micro-batch: what crosses threads.
pub struct Batch {
    /// Records in the order of their source.
    pub records: Vec<Record>,
    /// The one arrow back.
    pub ack: Ack,
}
