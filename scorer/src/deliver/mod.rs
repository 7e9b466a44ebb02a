//! From the outbox to the receivers of alerts: one worker for each sink that is set, none of which waits for another
//! or makes scoring wait. Decides nothing about alerts: a record names the sinks that are to be told.

mod desk;
mod ledger;
mod metrics;
mod outbox;
pub mod replay;
mod stored;
mod topic;
mod worker;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::kafka::Producer;
use anyhow::Context as _;
use notify::Receiver;
use notify::dispatch::Limits;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub use ledger::SinkResult;
#[cfg(test)]
pub use ledger::Verdict;
pub use metrics::SinkMetrics;

use crate::board::Board;
use crate::config::{Settings, SinkSettings};
use crate::metrics::Health;
use desk::Desk;
use ledger::{Keep, Ledger, Topics};
use outbox::Outbox;
use stored::{StoreKeep, StoreOutbox};
use topic::TopicOutbox;
use worker::{Stop, Worker};

/// The running workers.
#[derive(Debug, Default)]
pub struct Deliveries {
    stop: Stop,
    ended: Vec<oneshot::Receiver<()>>,
}

/// Starts a worker for every sink that is set.
///
/// # Errors
/// A sink or its outbox cannot be made from the settings.
pub fn start(
    settings: &Settings,
    metrics: &SinkMetrics,
    health: &Health,
    board: &Board,
    runtime: &Handle,
) -> anyhow::Result<Deliveries> {
    let mut deliveries = Deliveries::default();
    let sinks = &settings.sinks;
    if sinks.all.is_empty() {
        return Ok(deliveries);
    }
    let producer = producer(settings)?;
    let limits = Limits { retry_for: sinks.retry_for, ..Limits::default() };
    for (number, sink) in sinks.all.iter().enumerate() {
        let name = &sink.audience.name;
        let outbox = outbox(settings, sink)?;
        let receiver = {
            let _within = runtime.enter();
            Receiver::new(sink, sinks.timeout)
                .map_err(|why| anyhow::anyhow!("the sink {name} cannot be made: {why}"))?
        };
        let ledger = Ledger::new(name, keeps(settings, producer.as_ref())?, metrics.clone()).shown_on(board);
        let seed = u64::from(std::process::id()) << 8 | number as u64;
        let desk = Desk::new(name, outbox, ledger, metrics.clone(), limits, seed);
        let worker = Worker::new(name, desk, receiver, runtime.clone(), deliveries.stop.clone());
        deliveries.ended.push(worker.start(health.clone())?);
        tracing::info!(sink = name, "alerts are told to the sink");
    }
    Ok(deliveries)
}

/// A producer where something of the sinks goes to Kafka.
fn producer(settings: &Settings) -> anyhow::Result<Option<Arc<Mutex<Producer>>>> {
    let output = &settings.output;
    let wanted = output.sink_results_topic.is_some() || output.sink_dead_letter_topic.is_some();
    if !settings.kafka.in_use || !wanted {
        return Ok(None);
    }
    let producer = Producer::new(&settings.kafka.client)
        .context("the Kafka producer of the sinks' results cannot be made from the settings")?;
    Ok(Some(Arc::new(Mutex::new(producer))))
}

fn outbox(settings: &Settings, sink: &SinkSettings) -> anyhow::Result<Box<dyn Outbox>> {
    let name = &sink.audience.name;
    if let Some(topic) = settings.outbox_topic() {
        let outbox = TopicOutbox::join(&settings.kafka, topic, name)
            .map_err(|why| anyhow::anyhow!("the sink {name} cannot read ALERT_TOPIC {topic}: {why}"))?;
        return Ok(Box::new(outbox));
    }
    let store = settings.store.as_ref().context("the settings name nothing that keeps alerts for sinks")?;
    Ok(Box::new(StoreOutbox::new(::store::open(&store.place)?, name)))
}

fn keeps(settings: &Settings, producer: Option<&Arc<Mutex<Producer>>>) -> anyhow::Result<Vec<Box<dyn Keep>>> {
    let mut keeps: Vec<Box<dyn Keep>> = Vec::new();
    if let Some(producer) = producer {
        keeps.push(Box::new(Topics {
            producer: Arc::clone(producer),
            results: settings.output.sink_results_topic.clone(),
            dead_letters: settings.output.sink_dead_letter_topic.clone(),
        }));
    }
    if let Some(store) = &settings.store {
        let dead_letters = dead_letter_topic(settings).is_none();
        keeps.push(Box::new(StoreKeep { store: ::store::open(&store.place)?, dead_letters }));
    }
    Ok(keeps)
}

/// The topic of the dead letters; without one they are in the store.
fn dead_letter_topic(settings: &Settings) -> Option<&str> {
    settings.output.sink_dead_letter_topic.as_deref().filter(|_| settings.kafka.in_use)
}

/// Longest time that requests under way, and records that are there already, get at the end.
const GRACE: Duration = Duration::from_secs(5);

impl Deliveries {
    /// Sends what is there already and ends the workers, within a few seconds and before `deadline`; what is left is
    /// sent at the next start.
    pub async fn stop(self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now()) / 2;
        self.stop.at(Instant::now() + GRACE.min(left));
        for ended in self.ended {
            // An error means that the worker is gone.
            let _ = tokio::time::timeout_at(deadline.into(), ended).await;
        }
    }
}
