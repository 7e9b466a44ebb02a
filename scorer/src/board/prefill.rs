//! What the board shows of the time before this process, out of the store: the last day's findings and the newest
//! alerts. Lines are counted from the start of the process on: the store need not have them all.

use std::sync::Arc;

use ::store::{AlertSearch, AnomalySearch, Page, Store};
use engine::detect::Severity;
use engine::event::EventTime;

use super::{Board, Total, now};

const DAY: i64 = 86_400;
/// Findings and alerts that are read.
const MOST_FINDINGS: usize = 10_000;
const MOST_ALERTS: usize = 500;

/// Reads the store. Findings are placed at their event time; those of the process itself, from `started` on, are
/// counted as they come.
///
/// # Errors
/// The store cannot be read; what was read is shown.
pub fn prefill(board: &Board, store: &mut dyn Store, started: i64) -> ::store::Result<()> {
    let mut page = Page::first(MOST_ALERTS);
    let found = store.search_alerts(&AlertSearch::default(), &page)?;
    for alert in found.rows.iter().rev() {
        match serde_json::from_str(&alert.record) {
            Ok(record) => board.alert(Arc::new(record)),
            Err(error) => tracing::warn!(id = alert.id, %error, "a record of an alert cannot be read"),
        }
    }
    let from = Some(EventTime::from_micros((started - DAY) * 1_000_000));
    let search = AnomalySearch { from, ..AnomalySearch::default() };
    page = Page::first(::store::query::MOST_ROWS);
    for _ in 0..MOST_FINDINGS / ::store::query::MOST_ROWS {
        let found = store.search_anomalies(&search, &page)?;
        let mut lanes = board.lanes();
        for finding in &found.rows {
            let at = finding.detected_at.as_micros().div_euclid(1_000_000);
            if let Ok(severity) = finding.severity.parse::<Severity>()
                && at < started
            {
                let mut total = Total::default();
                total.found[severity as usize] = 1;
                lanes.add(&finding.affected_service, at, now(), &total);
            }
        }
        drop(lanes);
        let Some(next) = found.next else { break };
        page = Page::after(next, ::store::query::MOST_ROWS);
    }
    Ok(())
}
