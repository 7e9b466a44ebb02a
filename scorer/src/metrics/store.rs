//! What the store takes in, gives up and holds.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::{ReasonLabel, ResultLabel};

/// A table of the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TableLabel {
    /// `logs`, `anomalies` or `alert_records`.
    pub table: &'static str,
}

/// Every metric of the store.
#[derive(Clone, Debug, Default)]
pub struct StoreMetrics {
    /// Rows that were new, by table.
    pub rows: Family<TableLabel, Counter>,
    /// Rows that were removed, by why: `expired`, `displaced`.
    pub removed: Family<ReasonLabel, Counter>,
    /// Writes by result.
    pub writes: Family<ResultLabel, Counter>,
    /// Rounds of removing what is too old or too much that failed.
    pub upkeep_failures: Counter,
    /// Bytes in use.
    pub bytes: Gauge,
    /// Services whose lines that wait for an anomaly were forgotten, because there were too many.
    pub context_forgotten: Counter,
}

impl StoreMetrics {
    /// Adds them to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("store_rows", "Rows that were written and new", self.rows.clone());
        registry.register(
            "store_rows_removed",
            "Rows that were removed, as too old (expired) or too much (displaced)",
            self.removed.clone(),
        );
        registry.register("store_writes", "Writes to the store", self.writes.clone());
        registry.register(
            "store_upkeep_failures",
            "Rounds of removing what is too old or too much that failed",
            self.upkeep_failures.clone(),
        );
        registry.register_with_unit(
            "store_size",
            "What the store holds, with its indexes",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register(
            "store_context_forgotten",
            "Services whose last lines were forgotten before an anomaly could ask for them",
            self.context_forgotten.clone(),
        );
    }
}
