//! Rows go in once and come out as they were.

use rstest::rstest;

use super::*;
use crate::{AlertFilter, AnomalyFilter, LogFilter, Page, Written};

#[rstest]
fn what_is_written_comes_back(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let place = Place::new(which);
    let mut store = place.handle();
    let all = Rows {
        now: at(0),
        logs: (0..7).map(log).collect(),
        anomalies: (0..3).map(anomaly).collect(),
        alerts: vec![alert(1, 1)],
    };
    let written = store.write(&all).unwrap();
    assert_eq!(written, Written { logs: 7, anomalies: 3, alerts: 1 });
    let mut again = place.handle();
    let logs = again.last_logs(&LogFilter::default(), &Page::first(100)).unwrap();
    for (stored, row) in logs.iter().rev().zip(&all.logs) {
        assert_eq!(stored.id, row.id);
        assert_eq!(stored.log_timestamp, row.time);
        assert_eq!(stored.service, row.service);
        assert_eq!(stored.level, row.level);
        assert_eq!(stored.message, row.message);
        assert_eq!(stored.score.to_bits(), row.score.to_bits());
        assert_eq!(stored.family, row.family);
        assert_eq!(stored.source, row.source);
    }
    assert_eq!(logs.len(), 7);
    let found = again.anomaly(&all.anomalies[1].id).unwrap().unwrap();
    assert_eq!(found.record, all.anomalies[1].record);
    assert_eq!(found.detected_at, all.anomalies[1].time);
    let found = again.alert(&all.alerts[0].id).unwrap().unwrap();
    assert_eq!(found.records, [all.alerts[0].record.clone()]);
    assert_eq!(found.summary.last_seen, all.alerts[0].last_seen);
    assert_eq!(found.summary.resolved_at, None);
}

#[rstest]
fn a_second_delivery_changes_nothing(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let place = Place::new(which);
    let mut store = place.handle();
    let all = Rows {
        now: at(0),
        logs: (0..7).map(log).collect(),
        anomalies: (0..3).map(anomaly).collect(),
        alerts: vec![alert(1, 1), alert(1, 2)],
    };
    store.write(&all).unwrap();
    let more = Rows { logs: (5..9).map(log).collect(), ..all };
    assert_eq!(store.write(&more).unwrap(), Written { logs: 2, anomalies: 0, alerts: 0 });
    assert_eq!(store.last_logs(&LogFilter::default(), &Page::first(100)).unwrap().len(), 9);
    assert_eq!(store.last_anomalies(&AnomalyFilter::default(), &Page::first(100)).unwrap().len(), 3);
    assert_eq!(store.alerts(&AlertFilter::default(), &Page::first(100)).unwrap().len(), 1);
    assert_eq!(store.outbox_after(0, 100).unwrap().len(), 2);
}

#[rstest]
fn an_older_record_of_an_alert_does_not_undo_a_newer_one(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let place = Place::new(which);
    let mut store = place.handle();
    store.write(&alerts([alert(1, 3)])).unwrap();
    store.write(&alerts([alert(1, 1)])).unwrap();
    let found = store.alert(&alert(1, 1).id).unwrap().unwrap();
    assert_eq!(found.summary.revision, 3);
    assert_eq!(found.summary.status, "resolved");
    assert_eq!(found.summary.resolved_at, Some(at(900)));
    assert_eq!(found.records, [alert(1, 1).record, alert(1, 3).record]);
}

#[rstest]
fn text_that_a_database_could_choke_on_goes_in(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let place = Place::new(which);
    let mut store = place.handle();
    let mut odd = log(1);
    odd.message = "nul \0 quote ' \" \\ ; DROP TABLE logs; -- $1 \u{feff}\u{202e}".to_owned();
    odd.service = "s".repeat(100_000);
    odd.time = EventTime::from_micros(i64::MIN);
    let mut late = log(2);
    late.time = EventTime::from_micros(i64::MAX);
    late.service = "a\0b".to_owned();
    let mut big = alert(7, 1);
    big.record = format!("{{\"evidence\":\"{}\\u0000\"}}", "x".repeat(10 << 20));
    let all = Rows { now: at(0), logs: vec![odd, late], anomalies: Vec::new(), alerts: vec![big.clone()] };
    store.write(&all).unwrap();
    let logs = store.last_logs(&LogFilter::default(), &Page::first(10)).unwrap();
    assert_eq!(logs[0].log_timestamp.to_string(), "9999-12-30T00:00:00Z");
    assert_eq!(logs[1].log_timestamp.to_string(), "0001-01-01T00:00:00Z");
    assert_eq!(logs[1].message, "nul \u{2400} quote ' \" \\ ; DROP TABLE logs; -- $1 \u{feff}\u{202e}");
    assert_eq!(logs[1].service.len(), 512);
    let by_name = LogFilter { service: Some("a\0b".to_owned()), family: None };
    assert_eq!(store.last_logs(&by_name, &Page::first(10)).unwrap().len(), 1);
    assert_eq!(store.outbox_after(0, 1).unwrap()[0].1, big.record.as_bytes());
}

#[rstest]
fn nothing_of_a_batch_that_fails_is_there(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let place = Place::new(which);
    let mut store = place.handle();
    store.prepare().unwrap();
    place.by_hand("DROP TABLE alerts");
    let all = Rows {
        now: at(0),
        logs: (0..7).map(log).collect(),
        anomalies: vec![anomaly(1)],
        alerts: vec![alert(1, 1)],
    };
    let error = store.write(&all).unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert!(error.to_string().contains("alerts"), "{error}");
    assert!(store.last_logs(&LogFilter::default(), &Page::first(10)).unwrap().is_empty());
    assert!(store.outbox_after(0, 10).unwrap().is_empty());
    assert_eq!(store.write(&rows([log(1)])).unwrap().logs, 1);
}
