//! Counters and gauges of the process, and what makes it ready and live. Counts only; decides nothing.

mod store;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::deliver::SinkMetrics;
pub use store::{StoreMetrics, TableLabel};

/// Why a record was not scored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// See `engine::decode::RejectReason`.
    pub reason: String,
}

/// Which detector found something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DetectorLabel {
    /// Name of the detector.
    pub detector: String,
}

/// Which detector made an alert as grave as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AlertLabel {
    /// Name of the detector.
    pub detector: String,
    /// `info`, `warning`, `error` or `critical`.
    pub severity: &'static str,
}

impl DetectorLabel {
    /// Of this detector.
    pub fn of(detector: &str) -> Self {
        Self { detector: detector.to_owned() }
    }
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PartitionLabel {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
}

/// A model, by digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ModelLabel {
    /// Digest of the model.
    pub digest: String,
}

/// A stream that something is learnt of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StreamLabel {
    /// Topic and partition, or the input's name.
    pub stream: String,
}

/// What became of a kind of thing, as `ok` or `failed`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    /// `ok`, `failed`, or what else the metric names.
    pub result: &'static str,
}

/// Every metric; a clone counts into the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Lines that got a score.
    pub lines_scored: Counter,
    /// Lines that gRPC callers were told the score of.
    pub grpc_lines_scored: Counter,
    /// Lines of gRPC callers that could not be read.
    pub grpc_lines_rejected: Counter,
    /// Lines whose score was in a table of recent lines.
    pub score_table_hits: Counter,
    /// Lines whose score was not, while there is a table.
    pub score_table_misses: Counter,
    /// Records that were not scored, by reason.
    pub lines_rejected: Family<ReasonLabel, Counter>,
    /// Findings by detector.
    pub anomalies: Family<DetectorLabel, Counter>,
    /// Alerts that were opened or got graver, by the detector and the severity of that.
    pub alerts: Family<AlertLabel, Counter>,
    /// Alerts that the daily budget held back.
    pub alerts_held_back: Counter,
    /// Alerts that a silence covered, when they began or later.
    pub alerts_muted: Counter,
    /// Silences that are in force.
    pub silences: Gauge,
    /// Decisions by which anomalies are called normal.
    pub normals: Gauge,
    /// Findings that detectors left untold, by detector.
    pub findings_held_back: Family<DetectorLabel, Counter>,
    /// Lines that detectors did not use, by why: `late`, `future`, `beyond_cap`.
    pub lines_not_detected: Family<ReasonLabel, Counter>,
    /// Services that detectors keep a state of, by stream.
    pub detected_services: Gauge,
    /// How often the system clock was set back by more than five seconds.
    pub clock_set_back: Counter,
    /// Records read but not committed, by partition.
    pub consumer_lag_lines: Family<PartitionLabel, Gauge>,
    /// The sum of them, for the pages; no metric of its own.
    pub lag_lines: Gauge,
    /// From a batch's arrival to its acknowledgement, in seconds.
    pub batch_duration_seconds: Histogram,
    /// Batches that are waiting or in work.
    pub batches_in_flight: Gauge,
    /// Batches whose results could not be delivered at the first try.
    pub delivery_retries: Counter,
    /// Rebalances of the consumer group.
    pub rebalances: Counter,
    /// Model loads by result.
    pub model_loads: Family<ResultLabel, Counter>,
    /// The model in use: 1 at its digest.
    pub model_in_use: Family<ModelLabel, Gauge>,
    /// Snapshots of what is learnt, by result: `ok`, `failed`, and `partial` of those that left something out.
    pub state_snapshots: Family<ResultLabel, Counter>,
    /// Bytes of the last snapshot of a stream.
    pub state_snapshot_bytes: Family<StreamLabel, Gauge>,
    /// Seconds since the last durable snapshot of a stream, 0 where it holds everything.
    pub state_snapshot_age_seconds: Family<StreamLabel, Gauge<f64, AtomicU64>>,
    /// Streams that began, by what became of their snapshots: `ok`, `damaged`, `refused`.
    pub state_restores: Family<ResultLabel, Counter>,
    /// Time that a restored snapshot took, in seconds.
    pub state_restore_seconds: Histogram,
    /// What sinks of alerts do.
    pub sinks: SinkMetrics,
    /// Writes of `summary.json`, by result.
    pub summary_writes: Family<ResultLabel, Counter>,
    /// Of the store.
    pub store: StoreMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("isolog");
        let batch_duration_seconds = Histogram::new(exponential_buckets(0.001, 2.0, 14));
        let metrics = Self {
            registry: Arc::default(),
            lines_scored: Counter::default(),
            grpc_lines_scored: Counter::default(),
            grpc_lines_rejected: Counter::default(),
            score_table_hits: Counter::default(),
            score_table_misses: Counter::default(),
            lines_rejected: Family::default(),
            anomalies: Family::default(),
            alerts: Family::default(),
            alerts_held_back: Counter::default(),
            alerts_muted: Counter::default(),
            silences: Gauge::default(),
            normals: Gauge::default(),
            findings_held_back: Family::default(),
            lines_not_detected: Family::default(),
            detected_services: Gauge::default(),
            clock_set_back: Counter::default(),
            consumer_lag_lines: Family::default(),
            lag_lines: Gauge::default(),
            batch_duration_seconds,
            batches_in_flight: Gauge::default(),
            delivery_retries: Counter::default(),
            rebalances: Counter::default(),
            model_loads: Family::default(),
            model_in_use: Family::default(),
            state_snapshots: Family::default(),
            state_snapshot_bytes: Family::default(),
            state_snapshot_age_seconds: Family::default(),
            state_restores: Family::default(),
            state_restore_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 18)),
            sinks: SinkMetrics::default(),
            summary_writes: Family::default(),
            store: StoreMetrics::default(),
        };
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the program", build);
        registry.register("lines_scored", "Lines that got a score", metrics.lines_scored.clone());
        metrics.register_grpc(&mut registry);
        registry.register(
            "score_table_hits",
            "Lines whose score was in a table of recent lines",
            metrics.score_table_hits.clone(),
        );
        registry.register(
            "score_table_misses",
            "Lines whose score was not in the table of recent lines",
            metrics.score_table_misses.clone(),
        );
        registry.register("lines_rejected", "Records that were not scored", metrics.lines_rejected.clone());
        registry.register("anomalies", "Findings", metrics.anomalies.clone());
        registry.register("alerts", "Alerts that were opened or got graver", metrics.alerts.clone());
        registry.register(
            "alerts_held_back",
            "Alerts that the daily budget held back",
            metrics.alerts_held_back.clone(),
        );
        registry.register("alerts_muted", "Alerts that a silence covered", metrics.alerts_muted.clone());
        registry.register("silences", "Silences that are in force", metrics.silences.clone());
        registry.register(
            "normals",
            "Decisions in force by which anomalies are called normal",
            metrics.normals.clone(),
        );
        registry.register(
            "findings_held_back",
            "Findings that a detector left untold because there were too many of them",
            metrics.findings_held_back.clone(),
        );
        registry.register(
            "lines_not_detected",
            "Lines that detectors did not use: late, ahead of the clock, or of services beyond the cap (these share one state)",
            metrics.lines_not_detected.clone(),
        );
        registry.register(
            "detected_services",
            "Services that detectors keep a state of",
            metrics.detected_services.clone(),
        );
        registry.register(
            "consumer_lag_lines",
            "Records of a partition that are not yet committed",
            metrics.consumer_lag_lines.clone(),
        );
        registry.register_with_unit(
            "batch_duration",
            "From a batch's arrival to its acknowledgement",
            Unit::Seconds,
            metrics.batch_duration_seconds.clone(),
        );
        registry.register("batches_in_flight", "Batches in work", metrics.batches_in_flight.clone());
        registry.register(
            "delivery_retries",
            "Deliveries that failed and were tried again",
            metrics.delivery_retries.clone(),
        );
        registry.register("rebalances", "Rebalances of the consumer group", metrics.rebalances.clone());
        registry.register("model_loads", "Attempts to load the model", metrics.model_loads.clone());
        registry.register(
            "model_in_use",
            "1 at the digest of the model in use",
            metrics.model_in_use.clone(),
        );
        metrics.register_state(&mut registry);
        metrics.sinks.register(&mut registry);
        registry.register("summary_writes", "Writes of the web summary", metrics.summary_writes.clone());
        metrics.store.register(&mut registry);
        Self { registry: Arc::new(registry), ..metrics }
    }
}

impl Metrics {
    fn register_grpc(&self, registry: &mut Registry) {
        registry.register(
            "grpc_lines_scored",
            "Lines that gRPC callers were told the score of",
            self.grpc_lines_scored.clone(),
        );
        registry.register(
            "grpc_lines_rejected",
            "Lines of gRPC callers that could not be read",
            self.grpc_lines_rejected.clone(),
        );
    }

    fn register_state(&self, registry: &mut Registry) {
        registry.register(
            "clock_set_back",
            "How often the system clock was set back by more than five seconds",
            self.clock_set_back.clone(),
        );
        registry.register(
            "state_snapshots",
            "Snapshots of what is learnt while running: ok, failed, and partial where something was too large to be kept",
            self.state_snapshots.clone(),
        );
        registry.register_with_unit(
            "state_snapshot",
            "Size of the last snapshot of a stream",
            Unit::Bytes,
            self.state_snapshot_bytes.clone(),
        );
        registry.register_with_unit(
            "state_snapshot_age",
            "Since the last durable snapshot of a stream; 0 where it holds everything",
            Unit::Seconds,
            self.state_snapshot_age_seconds.clone(),
        );
        registry.register(
            "state_restores",
            "Snapshots that were restored (ok), damaged, or refused by their source",
            self.state_restores.clone(),
        );
        registry.register_with_unit(
            "state_restore",
            "From the beginning of a stream to what was learnt being restored",
            Unit::Seconds,
            self.state_restore_seconds.clone(),
        );
    }

    /// All metrics in the OpenMetrics text format.
    pub fn render(&self) -> String {
        let mut out = String::new();
        if let Err(error) = text::encode(&mut out, &self.registry) {
            tracing::error!(%error, "metrics could not be written");
        }
        out
    }
}

/// What is wrong with a part of the process, if anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Condition {
    not_ready: Option<String>,
    not_live: Option<String>,
}

/// What makes the process ready and live: each part tells its own condition under its own name.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, Condition>>>);

impl Health {
    /// The part works.
    pub fn ready(&self, part: &str) {
        self.change(part, |condition| condition.not_ready = None);
    }

    /// The part does not work yet, or not at the moment; `why` is what a person reads at `/readyz`.
    pub fn not_ready(&self, part: &str, why: impl Into<String>) {
        let why = why.into();
        self.change(part, |condition| condition.not_ready = Some(why));
    }

    /// The part makes progress.
    pub fn live(&self, part: &str) {
        self.change(part, |condition| condition.not_live = None);
    }

    /// The part hangs; only a restart helps.
    pub fn not_live(&self, part: &str, why: impl Into<String>) {
        let why = why.into();
        self.change(part, |condition| condition.not_live = Some(why));
    }

    /// What keeps the process from being ready: part and reason; empty when it is.
    pub fn why_not_ready(&self) -> Vec<(String, String)> {
        self.collect(|condition| condition.not_ready.clone())
    }

    /// What hangs: part and reason; empty when nothing does.
    pub fn why_not_live(&self) -> Vec<(String, String)> {
        self.collect(|condition| condition.not_live.clone())
    }

    fn change(&self, part: &str, change: impl FnOnce(&mut Condition)) {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(parts.entry(part.to_owned()).or_default());
    }

    fn collect(&self, why: impl Fn(&Condition) -> Option<String>) -> Vec<(String, String)> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().filter_map(|(part, condition)| Some((part.clone(), why(condition)?))).collect()
    }
}
