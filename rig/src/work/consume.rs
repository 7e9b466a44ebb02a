//! `rig consume`: reads a topic as the scorer's source does and drops every message: what the scorer's work on top
//! of it is measured against.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kafka::ClientSettings;
use kafka::batch::{BatchConsumer, Forwarding, MOST};
use kafka::rdkafka::ClientContext;
use kafka::rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use serde::{Deserialize, Serialize};

use crate::measure::own_cpu_s;

/// Arguments of `rig consume`.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Brokers
    #[arg(long)]
    bootstrap: String,
    /// Topic
    #[arg(long)]
    topic: String,
    /// Consumer group
    #[arg(long)]
    group: String,
    /// Messages to read
    #[arg(long)]
    messages: u64,
}

/// What reading cost from the first message to the last.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Consumed {
    /// Messages.
    pub messages: u64,
    /// User and system time, s.
    pub cpu_s: f64,
    /// Sum of the lengths, so that the payloads are looked at.
    pub bytes: u64,
}

/// Longest silence of the broker.
const SILENCE: Duration = Duration::from_secs(60);

/// Lets messages come in batches, as the scorer's source does.
struct Batches(Forwarding);

impl ClientContext for Batches {}

impl ConsumerContext for Batches {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            self.0.forward(consumer, partitions);
        }
    }
}

/// Reads and tells.
///
/// # Errors
/// The topic cannot be read to the given number.
pub fn run(arguments: &Arguments) -> Result<()> {
    let settings = ClientSettings { bootstrap_servers: arguments.bootstrap.clone(), properties: Vec::new() };
    let mut config = settings.consumer_config(&arguments.group, "earliest");
    // As the scorer's source sets them.
    config.set("statistics.interval.ms", "1000").set("queued.max.messages.kbytes", "16384");
    config.set("fetch.max.bytes", "8388608").set("session.timeout.ms", "45000");
    config.set("fetch.queue.backoff.ms", "20");
    let forwarding = Forwarding::default();
    let consumer = BatchConsumer::new(&config, Batches(forwarding.clone()), forwarding)?;
    consumer.subscribe(&[&arguments.topic])?;
    let (mut messages, mut bytes, mut from) = (0_u64, 0_u64, None);
    let mut heard = Instant::now();
    while messages < arguments.messages {
        ensure!(heard.elapsed() < SILENCE, "the broker was silent after {messages} messages");
        // Rebalances and statistics; messages come by the batch.
        if let Some(Err(error)) = consumer.poll(Duration::ZERO) {
            return Err(error.into());
        }
        let mut failed = None;
        let taken = consumer.take(MOST, Duration::from_millis(50), |message| match message {
            Ok(message) => bytes += message.payload().len() as u64,
            Err(error) => failed = Some(error),
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        if taken > 0 {
            heard = Instant::now();
            if from.is_none() {
                from = Some(own_cpu_s()?);
            }
        }
        messages += taken as u64;
    }
    let from = from.unwrap_or_default();
    let consumed = Consumed { messages, cpu_s: own_cpu_s()? - from, bytes };
    println!("{}", serde_json::to_string(&consumed)?);
    Ok(())
}
