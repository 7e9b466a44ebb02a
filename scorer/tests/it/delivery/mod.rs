//! From the outbox to receivers: real Kafka, real HTTP, a real Alertmanager, a real mail server, and their faults.

mod burst;
pub mod hook;
mod outbox;
mod receivers;
mod replay;
mod stored;

use serde_json::{Value, json};
use testkit::kafka::{Broker, NewRecord, Record};

use crate::rig::Scorer;

/// An alert's record; only what the tests look at differs.
pub fn record(id: &str, revision: u32, notify: &[&str]) -> Value {
    json!({
        "schema": 1, "id": id, "revision": revision, "cause": "opened", "status": "firing", "severity": "error",
        "service": "billing_api", "detector": "error_burst", "message": "6 ERROR lines in 5 s",
        "first_seen": "2026-01-02T12:00:10Z", "last_seen": "2026-01-02T12:00:12Z", "resolved_at": null,
        "recorded_at": "2026-01-02T12:00:13Z", "count": 6, "score": 0.75, "reasons": ["more than 5 in a window"], "parts": [],
        "evidence": [{"timestamp": "2026-01-02T12:00:12Z", "level": "ERROR", "message": "card refused", "score": 0.75,
                      "percentile": 99.5, "source": {"kind": "kafka", "topic": "logs", "partition": 0, "offset": 5}}],
        "source": {"kind": "kafka", "topic": "logs", "partition": 0, "offset": 5}, "model": "0123", "link": null,
        "notify": notify, "held_back": false,
    })
}

/// The topics of one test.
pub struct Topics {
    pub broker: &'static Broker,
    pub logs: String,
    pub alerts: String,
    pub results: String,
    pub dead_letters: String,
}

impl Topics {
    pub fn new(partitions: u16) -> Self {
        let broker = Broker::shared().unwrap();
        let topic = |name, partitions| broker.unique_topic(name, partitions).unwrap();
        Self {
            broker,
            logs: topic("logs", 1),
            alerts: topic("alerts", partitions),
            results: topic("sink-results", 1),
            dead_letters: topic("sink-dead-letters", 1),
        }
    }

    /// What every program of the test is told.
    pub fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = vec![
            "--kafka-bootstrap-servers",
            self.broker.bootstrap(),
            "--log-topic",
            &self.logs,
            "--kafka-group-id",
            &self.logs,
            "--alert-topic",
            &self.alerts,
            "--sink-results-topic",
            &self.results,
            "--sink-dead-letter-topic",
            &self.dead_letters,
            // A killed scorer's partitions are given away after this long.
            "--kafka-property",
            "session.timeout.ms=6000",
        ];
        arguments.extend(more);
        arguments
    }

    pub fn start(&self, more: &[&str]) -> Scorer {
        Scorer::start("delivery", &self.arguments(more))
    }

    pub fn write(&self, records: &[Value]) {
        let records = records
            .iter()
            .map(|record| NewRecord::keyed(record["id"].as_str().unwrap(), record.to_string().into_bytes()));
        self.broker.produce_records(&self.alerts, records).unwrap();
    }

    /// Waits until the group of `sink` has committed everything that is written by now.
    pub fn wait_settled(&self, scorer: &mut Scorer, sink: &str) {
        let ends: Vec<i64> = self.broker.end_offsets(&self.alerts).unwrap();
        let group = format!("{}-sink-{sink}", self.logs);
        scorer.wait("all settled", |_| {
            let committed = self.broker.committed(&group, &self.alerts).unwrap();
            ends.iter().zip(&committed).all(|(end, committed)| *end == 0 || *committed >= Some(*end))
        });
    }

    pub fn results(&self) -> Vec<Value> {
        self.broker.read_all(&self.results).unwrap().iter().map(|record| record.json().unwrap()).collect()
    }

    pub fn dead_letters(&self) -> Vec<Record> {
        self.broker.read_all(&self.dead_letters).unwrap()
    }
}
