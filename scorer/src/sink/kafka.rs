//! Anomalies, records of alerts and dead letters to their Kafka topics, with `acks=all` and idempotence. Never creates a topic itself.

use std::time::{Duration, Instant};

use ::kafka::{Message, Producer};
use anyhow::Context as _;

use super::{Around, Kind, Outgoing, Sink, Undelivered};

/// After this long without a confirmation the wait is told.
const TELL_AFTER: Duration = Duration::from_secs(10);

struct KafkaSink {
    producer: Producer,
    topics: Topics,
}

struct Topics {
    anomalies: Option<String>,
    alerts: Option<String>,
    relayed: Option<String>,
    dead_letters: Option<String>,
}

/// The sink, where Kafka takes part and a topic is set.
///
/// # Errors
/// librdkafka refuses the configuration.
pub fn make(around: &Around<'_>) -> anyhow::Result<Option<Box<dyn Sink>>> {
    let settings = around.settings;
    let anomalies = settings.output.anomaly_topic.clone();
    let alerts = settings.output.alert_topic.clone();
    let dead_letters = settings.output.dead_letter_topic.clone();
    if !settings.kafka.in_use || (anomalies.is_none() && alerts.is_none() && dead_letters.is_none()) {
        return Ok(None);
    }
    let producer = Producer::new(&settings.kafka.client)
        .context("the Kafka producer cannot be made from the settings")?;
    Ok(Some(Box::new(KafkaSink {
        producer,
        topics: Topics { anomalies, alerts, relayed: settings.kafka.detect_topic.clone(), dead_letters },
    })))
}

impl Topics {
    fn of(&self, kind: Kind) -> Option<&str> {
        match kind {
            Kind::Anomaly => self.anomalies.as_deref(),
            Kind::Alert => self.alerts.as_deref(),
            Kind::Relayed => self.relayed.as_deref(),
            Kind::DeadLetter => self.dead_letters.as_deref(),
            Kind::Logs => None,
        }
    }
}

impl Sink for KafkaSink {
    fn name(&self) -> &'static str {
        "kafka output"
    }

    fn takes(&self, kind: Kind) -> bool {
        self.topics.of(kind).is_some()
    }

    fn deliver(&mut self, records: &[&Outgoing], give_up: &dyn Fn() -> bool) -> Result<(), Undelivered> {
        let Self { producer, topics } = self;
        let batch: Vec<Message<'_>> = records
            .iter()
            .map(|record| Message {
                topic: topics.of(record.kind).unwrap_or_default(),
                key: record.key.as_bytes(),
                payload: &record.json,
            })
            .collect();
        let waiting = Waiting::new(records.len());
        producer
            .deliver(&batch, &|| {
                fault::here("awaiting reports");
                waiting.tell();
                give_up()
            })
            .map_err(|undelivered| Undelivered { indices: undelivered.indices, why: undelivered.why })
    }
}

/// Says in the log that a delivery takes long: librdkafka tries again by itself for minutes.
struct Waiting {
    records: usize,
    since: std::cell::Cell<Instant>,
}

impl Waiting {
    fn new(records: usize) -> Self {
        Self { records, since: std::cell::Cell::new(Instant::now()) }
    }

    fn tell(&self) {
        if self.since.get().elapsed() >= TELL_AFTER {
            self.since.set(Instant::now());
            tracing::warn!(
                records = self.records,
                "Kafka has not confirmed the findings yet; nothing is lost, reading goes on when it does"
            );
        }
    }
}
