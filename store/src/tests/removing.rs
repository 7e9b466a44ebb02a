//! What is too old or too much goes, the right things first.

use rstest::rstest;

use super::*;
use crate::{LogFilter, Page, Removed, Retention, Store};

const DAY: i64 = 86_400;
const UNBOUNDED: Retention = Retention { days: 90, most_bytes: u64::MAX };

fn remaining(place: &Place, table: &str, rows: u32) {
    // Fails with a division by zero where the number is another one.
    place.by_hand(&format!(
        "CREATE TABLE IF NOT EXISTS seen (fine BIGINT CHECK (fine = 1)); \
         INSERT INTO seen SELECT COUNT(*) - {rows} + 1 FROM {table}"
    ));
}

fn all(store: &mut dyn Store, now: EventTime, retention: &Retention) -> Removed {
    let mut total = Removed::default();
    loop {
        let step = store.maintain(now, retention).unwrap();
        total.expired += step.expired;
        total.displaced += step.displaced;
        if !step.more {
            return total;
        }
    }
}

fn everything(now: EventTime, first: u32) -> Rows {
    Rows {
        now,
        logs: (first..first + 5).map(log).collect(),
        anomalies: (first..first + 5).map(anomaly).collect(),
        alerts: vec![alert(first, 1), alert(first, 3)],
    }
}

#[rstest]
fn what_was_written_longer_ago_than_the_retention_goes(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let place = Place::new(which);
    let mut store = place.handle();
    store.write(&everything(at(0), 0)).unwrap();
    store.write(&everything(at(10 * DAY), 100)).unwrap();
    assert_eq!(all(store.as_mut(), at(90 * DAY), &UNBOUNDED), Removed::default());
    let removed = all(store.as_mut(), at(90 * DAY + 1), &UNBOUNDED);
    assert_eq!(removed, Removed { expired: 5 + 5 + 2 + 1, displaced: 0, more: false });
    for (table, rows) in [("logs", 5), ("anomalies", 5), ("alert_records", 2), ("alerts", 1)] {
        remaining(&place, table, rows);
    }
    assert_eq!(store.last_logs(&LogFilter::default(), &Page::first(1)).unwrap()[0].id, log(104).id);
}

#[rstest]
fn lines_of_long_ago_stay_as_long_as_any_other(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let place = Place::new(which);
    let mut store = place.handle();
    let old = LogRow { time: at(-900 * DAY), ..log(1) };
    store.write(&rows([old])).unwrap();
    assert_eq!(all(store.as_mut(), at(DAY), &UNBOUNDED).expired, 0);
}

#[rstest]
fn a_large_table_is_emptied_in_small_steps(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let place = Place::new(which);
    let mut store = place.handle();
    store.write(&rows((0..4_500).map(log))).unwrap();
    let step = store.maintain(at(100 * DAY), &UNBOUNDED).unwrap();
    assert_eq!(step, Removed { expired: 2_000, displaced: 0, more: true });
    assert_eq!(all(store.as_mut(), at(100 * DAY), &UNBOUNDED).expired, 2_500);
}

#[test]
fn above_the_cap_the_oldest_lines_go_first_and_alerts_stay() {
    let place = Place::new(Which::Embedded);
    let mut store = place.handle();
    let long = |number: u32| LogRow { message: "x".repeat(400), ..log(number) };
    store.write(&everything(at(0), 50_000)).unwrap();
    let floor = store.usage().unwrap().bytes;
    store.write(&rows((0..9_000).map(long))).unwrap();
    let full = store.usage().unwrap().bytes;
    let retention = Retention { days: 90, most_bytes: full / 2 };
    let removed = all(store.as_mut(), at(0), &retention);
    assert!(removed.displaced >= 4_000, "{removed:?}");
    assert!(store.usage().unwrap().bytes <= retention.most_bytes);
    let newest = LogFilter { service: Some("orders".to_owned()), family: None };
    let lines = store.last_logs(&newest, &Page::first(1_000)).unwrap();
    assert!(lines.iter().any(|line| line.id == log(8_999).id));
    remaining(&place, "anomalies", 5);
    remaining(&place, "alerts", 1);
    // What was freed is used again: the file does not grow.
    store.write(&rows((10_000..13_000).map(long))).unwrap();
    assert!(store.usage().unwrap().bytes < full);
    // Far below what alerts need, lines and anomalies go, and alerts that a sink has still to deliver stay.
    store.settle("slack", 1).unwrap();
    all(store.as_mut(), at(0), &Retention { days: 90, most_bytes: floor / 100 });
    remaining(&place, "logs", 0);
    remaining(&place, "anomalies", 0);
    remaining(&place, "alert_records", 1);
}

#[test]
fn many_alerts_leave_log_lines_half_of_the_room() {
    let place = Place::new(Which::Embedded);
    let mut store = place.handle();
    store.write(&rows((0..3_000).map(log))).unwrap();
    let long = |number: u32| {
        let alert = alert(number, 3);
        AlertRow { record: format!("{{\"text\": \"{}\"}}", "x".repeat(2_000)), ..alert }
    };
    for first in (0..3_000).step_by(500) {
        let alerts = (first..first + 500).map(long).collect();
        store.write(&Rows { now: at(0), alerts, ..Rows::default() }).unwrap();
    }
    let before = store.usage().unwrap().bytes;
    let retention = Retention { days: 90, most_bytes: before / 2 };
    let removed = all(store.as_mut(), at(0), &retention);
    assert!(store.usage().unwrap().bytes <= retention.most_bytes, "{removed:?}");
    remaining(&place, "logs", 3_000);
    assert!(store.alert(&long(2_999).id).unwrap().is_some_and(|newest| newest.records.len() == 1));
    assert!(store.alert(&long(0).id).unwrap().is_none_or(|oldest| oldest.records.is_empty()));
}
