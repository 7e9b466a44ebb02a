//! Where findings and dead letters go. A sink returns only when what it was given is durable; it never drops
//! anything. Adding one: its file, and a line in [`REGISTRY`].

mod deadletter;
mod file;
mod kafka;
mod store;

use std::time::Duration;

use ::store::LogRow;

pub use deadletter::{DeadLetter, Sampler, cut};

use crate::config::Settings;
use crate::metrics::{Health, Metrics};

/// What kind of record it is: each kind has its own topic and file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A finding.
    Anomaly,
    /// A record of an alert.
    Alert,
    /// A scored line for the detectors.
    Relayed,
    /// A record that could not be read.
    DeadLetter,
    /// Log lines to keep.
    Logs,
}

/// One record on its way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// What it is.
    pub kind: Kind,
    /// Records of one key stay in order.
    pub key: String,
    /// One JSON object without a line end.
    pub json: Vec<u8>,
    /// Instead of `json`: lines to keep.
    pub logs: Vec<LogRow>,
}

impl Outgoing {
    /// A record in JSON.
    pub const fn json(kind: Kind, key: String, json: Vec<u8>) -> Self {
        Self { kind, key, json, logs: Vec::new() }
    }

    /// Lines to keep.
    pub const fn logs(logs: Vec<LogRow>) -> Self {
        Self { kind: Kind::Logs, key: String::new(), json: Vec::new(), logs }
    }
}

/// Why some records could not be delivered.
#[derive(Debug)]
pub struct Undelivered {
    /// Their places in what was given, in order.
    pub indices: Vec<usize>,
    /// What is wrong and what to do about it.
    pub why: String,
}

/// A place that records go to.
pub trait Sink: Send {
    /// For messages and health.
    fn name(&self) -> &'static str;

    /// Whether it wants records of this kind.
    fn takes(&self, kind: Kind) -> bool;

    /// Delivers records and returns when they are durable. `give_up` is asked while it waits.
    ///
    /// # Errors
    /// Those that are not durable; trying them again is safe.
    fn deliver(&mut self, records: &[&Outgoing], give_up: &dyn Fn() -> bool) -> Result<(), Undelivered>;
}

/// Makes a sink, where the settings ask for it.
type Make = fn(&Around<'_>) -> anyhow::Result<Option<Box<dyn Sink>>>;

/// What a sink is made from.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// All settings.
    pub settings: &'a Settings,
    /// Counters.
    pub metrics: &'a Metrics,
    /// Readiness.
    pub health: &'a Health,
}

/// Every sink.
const REGISTRY: &[Make] = &[kafka::make, file::make, store::make];

/// The sinks that the settings ask for.
///
/// # Errors
/// A file or the store cannot be opened, librdkafka refuses the configuration.
pub fn all(around: &Around<'_>) -> anyhow::Result<Vec<Box<dyn Sink>>> {
    REGISTRY.iter().filter_map(|make| make(around).transpose()).collect()
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// All sinks, each tried until it has everything.
pub struct Delivery {
    sinks: Vec<Box<dyn Sink>>,
    health: Health,
    metrics: Metrics,
}

impl Delivery {
    /// Delivers to `sinks`.
    pub fn new(sinks: Vec<Box<dyn Sink>>, health: Health, metrics: Metrics) -> Self {
        Self { sinks, health, metrics }
    }

    /// Delivers to every sink that takes a record's kind; `true` when all of it is durable, `false` when `give_up`
    /// said so first.
    pub fn deliver(&mut self, records: &[Outgoing], give_up: &dyn Fn() -> bool) -> bool {
        let Self { sinks, health, metrics } = self;
        sinks.iter_mut().all(|sink| {
            let left = records.iter().filter(|record| sink.takes(record.kind)).collect();
            deliver_to(sink.as_mut(), left, give_up, health, metrics)
        })
    }
}

fn deliver_to(
    sink: &mut dyn Sink,
    mut left: Vec<&Outgoing>,
    give_up: &dyn Fn() -> bool,
    health: &Health,
    metrics: &Metrics,
) -> bool {
    let mut pause = FIRST_PAUSE;
    let part = sink.name();
    let mut failed = false;
    while !left.is_empty() {
        match sink.deliver(&left, give_up) {
            Ok(()) => left.clear(),
            Err(undelivered) => {
                left = undelivered.indices.iter().filter_map(|index| left.get(*index).copied()).collect();
                if give_up() {
                    tracing::error!(sink = part, records = left.len(), "not delivered: {}", undelivered.why);
                    return false;
                }
                failed = true;
                metrics.delivery_retries.inc();
                health.not_ready(part, undelivered.why.as_str());
                tracing::warn!(
                    sink = part,
                    records = left.len(),
                    "not delivered, tried again until it works: {}",
                    undelivered.why
                );
                std::thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    if failed {
        tracing::info!(sink = part, "delivers again");
        health.ready(part);
    }
    true
}
