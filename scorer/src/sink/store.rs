//! Log lines, anomalies and alerts into the store, and its upkeep. Decides neither what is kept of a line nor what is
//! an alert.

mod rows;
mod upkeep;

use ::store::{Retention, Rows, Store, Written};
use anyhow::Context as _;
use engine::event::EventTime;

use super::{Around, Kind, Outgoing, Sink, Undelivered};
use crate::metrics::{Metrics, ResultLabel, TableLabel};

use upkeep::Upkeep;

/// After so many bytes of rows the size is looked at.
const LOOK_AFTER: usize = 4 << 20;

struct StoreSink {
    store: Box<dyn Store>,
    retention: Retention,
    metrics: Metrics,
    /// Bytes of rows since the size was looked at.
    written: usize,
    _upkeep: Upkeep,
}

/// The sink, where there is a store. One that cannot be reached yet is waited for when there is something to write.
///
/// # Errors
/// The store cannot be opened, or its tables are of a newer program.
pub fn make(around: &Around<'_>) -> anyhow::Result<Option<Box<dyn Sink>>> {
    let Some(settings) = &around.settings.store else { return Ok(None) };
    let mut store = ::store::open(&settings.place)?;
    match store.prepare() {
        Ok(()) => {}
        Err(error) if error.is_transient() => tracing::warn!("{error}; it is waited for"),
        Err(error) => return Err(error).context("the store cannot be used"),
    }
    tracing::info!(logs = ?settings.logs, days = settings.retention.days, "{} keeps what is found", store.describe());
    let metrics = around.metrics.clone();
    let _upkeep = Upkeep::start(
        ::store::open(&settings.place)?,
        settings.retention,
        metrics.clone(),
        around.health.clone(),
    )?;
    Ok(Some(Box::new(StoreSink { store, retention: settings.retention, metrics, written: 0, _upkeep })))
}

impl StoreSink {
    fn count(&self, written: Written) {
        for (table, rows) in
            [("logs", written.logs), ("anomalies", written.anomalies), ("alert_records", written.alerts)]
        {
            if rows > 0 {
                self.metrics.store.rows.get_or_create(&TableLabel { table }).inc_by(rows);
            }
        }
    }

    /// Keeps the size within its bounds while much is written; what fails here is tried again by the upkeep.
    fn look(&mut self) {
        if self.written >= LOOK_AFTER {
            self.written = 0;
            if let Err(error) = upkeep::round(self.store.as_mut(), self.retention, &self.metrics) {
                tracing::warn!("{error}");
            }
        }
    }
}

impl Sink for StoreSink {
    fn name(&self) -> &'static str {
        "store"
    }

    fn takes(&self, kind: Kind) -> bool {
        match kind {
            Kind::Anomaly | Kind::Alert | Kind::Logs => true,
            Kind::DeadLetter | Kind::Relayed => false,
        }
    }

    fn deliver(&mut self, records: &[&Outgoing], _give_up: &dyn Fn() -> bool) -> Result<(), Undelivered> {
        let mut rows = Rows { now: now(), ..Rows::default() };
        for record in records {
            self.written += rows::add(record, &mut rows);
        }
        match self.store.write(&rows) {
            Ok(written) => {
                self.metrics.store.writes.get_or_create(&ResultLabel { result: "ok" }).inc();
                self.count(written);
                self.look();
                Ok(())
            }
            Err(error) => {
                self.metrics.store.writes.get_or_create(&ResultLabel { result: "failed" }).inc();
                Err(Undelivered { indices: (0..records.len()).collect(), why: error.to_string() })
            }
        }
    }
}

fn now() -> EventTime {
    EventTime::from_micros(jiff::Timestamp::now().as_microsecond())
}
