//! What sinks count. Counts only; decides nothing.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// One sink.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SinkLabel {
    /// Its name.
    pub sink: String,
}

/// One sink and what became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SinkResultLabel {
    /// The sink's name.
    pub sink: String,
    /// `delivered`, `refused`, `retried`, `dead`, or `unreadable`.
    pub result: &'static str,
}

/// Counters and gauges of the sinks; a clone counts into the same ones.
#[derive(Clone, Debug, Default)]
pub struct SinkMetrics {
    deliveries: Family<SinkResultLabel, Counter>,
    circuit_open: Family<SinkLabel, Gauge>,
    waiting: Family<SinkLabel, Gauge>,
    oldest_age_seconds: Family<SinkLabel, Gauge<f64, AtomicU64>>,
    results_lost: Family<SinkLabel, Counter>,
}

impl SinkMetrics {
    /// Puts them into a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "sink_deliveries",
            "Attempts to tell a sink of an alert, by what became of them",
            self.deliveries.clone(),
        );
        registry.register(
            "sink_circuit_open",
            "1 while a sink is left alone because it failed several times in a row",
            self.circuit_open.clone(),
        );
        registry.register(
            "sink_waiting_alerts",
            "Records of alerts that a sink holds and has not settled",
            self.waiting.clone(),
        );
        registry.register_with_unit(
            "sink_oldest_undelivered_age",
            "Since the oldest record that a sink holds was written; 0 where it holds none",
            Unit::Seconds,
            self.oldest_age_seconds.clone(),
        );
        registry.register(
            "sink_results_lost",
            "Results of deliveries that could not be kept anywhere",
            self.results_lost.clone(),
        );
    }

    /// A sink that is set shows up at once.
    pub fn show(&self, sink: &str) {
        for result in ["delivered", "refused", "retried", "dead"] {
            drop(self.deliveries.get_or_create(&SinkResultLabel { sink: sink.to_owned(), result }));
        }
        self.state(sink, false, 0, 0.0);
    }

    /// Counts an attempt.
    pub fn count(&self, sink: &str, result: &'static str) {
        self.deliveries.get_or_create(&SinkResultLabel { sink: sink.to_owned(), result }).inc();
    }

    /// How a sink is doing.
    pub fn state(&self, sink: &str, open: bool, waiting: usize, oldest_age_seconds: f64) {
        let label = SinkLabel { sink: sink.to_owned() };
        self.circuit_open.get_or_create(&label).set(i64::from(open));
        self.waiting.get_or_create(&label).set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.oldest_age_seconds.get_or_create(&label).set(oldest_age_seconds);
    }

    /// Counts a result that nobody keeps.
    pub fn result_lost(&self, sink: &str) {
        self.results_lost.get_or_create(&SinkLabel { sink: sink.to_owned() }).inc();
    }
}
