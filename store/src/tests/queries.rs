//! What people ask of the store.

use rstest::rstest;

use super::*;
use crate::{AlertFilter, AnomalyFilter, LogFilter, Page, ScoreBucket, SeverityCount, Store};

fn filled(which: Which) -> (Place, Box<dyn Store>) {
    let place = Place::new(which);
    let mut store = place.handle();
    let all = Rows {
        now: at(0),
        logs: (0..10).map(log).collect(),
        anomalies: (0..8).map(anomaly).collect(),
        alerts: vec![alert(1, 1), alert(2, 1), alert(2, 3), alert(3, 1)],
    };
    store.write(&all).unwrap();
    (place, store)
}

fn service(name: &str) -> LogFilter {
    LogFilter { service: Some(name.to_owned()), family: None }
}

#[rstest]
fn pages_of_lines_follow_each_other(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let (_place, mut store) = filled(which);
    // All at one time: the number decides.
    store.write(&rows((20..30).map(|number| LogRow { time: at(500), ..log(number) }))).unwrap();
    let mut seen = Vec::new();
    let mut page = Page::first(3);
    loop {
        let lines = store.last_logs(&LogFilter::default(), &page).unwrap();
        let Some(last) = lines.last() else { break };
        page = Page::after(last.key(), 3);
        seen.extend(lines.into_iter().map(|line| line.id));
    }
    let expected: Vec<String> = (20..30).rev().chain((0..10).rev()).map(|number| log(number).id).collect();
    assert_eq!(seen, expected);
}

#[rstest]
fn lines_are_those_of_a_service_and_of_a_family(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let (_place, mut store) = filled(which);
    let mut numbers = |filter: &LogFilter| -> Vec<u32> {
        let lines = store.last_logs(filter, &Page::first(100)).unwrap();
        lines.iter().map(|line| u32::from_str_radix(&line.id, 16).unwrap()).collect()
    };
    assert_eq!(numbers(&service("billing")), [8, 6, 4, 2, 0]);
    let family = LogFilter { service: None, family: Some("software_logs".to_owned()) };
    assert_eq!(numbers(&family), [4, 3, 2, 1, 0]);
    let both = LogFilter { service: Some("orders".to_owned()), ..family };
    assert_eq!(numbers(&both), [3, 1]);
    assert!(numbers(&service("' OR 1=1 --")).is_empty());
}

#[rstest]
fn lines_around_a_time_include_its_start_and_not_its_end(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let (_place, mut store) = filled(which);
    let mut numbers = |filter: &LogFilter, page: &Page| -> Vec<u32> {
        let lines = store.logs_between(filter, at(2), at(7), page).unwrap();
        lines.iter().map(|line| u32::from_str_radix(&line.id, 16).unwrap()).collect()
    };
    assert_eq!(numbers(&LogFilter::default(), &Page::first(100)), [2, 3, 4, 5, 6]);
    assert_eq!(numbers(&service("orders"), &Page::first(100)), [3, 5]);
    let family = LogFilter { service: None, family: Some("audit".to_owned()) };
    assert_eq!(numbers(&family, &Page::first(100)), [5, 6]);
    assert_eq!(numbers(&LogFilter { service: Some("orders".into()), ..family }, &Page::first(9)), [5]);
    let first = store.logs_between(&LogFilter::default(), at(2), at(7), &Page::first(2)).unwrap();
    let key = first.last().unwrap().key();
    let next = store.logs_between(&LogFilter::default(), at(2), at(7), &Page::after(key, 100)).unwrap();
    assert_eq!(next.iter().map(|line| line.log_timestamp).collect::<Vec<_>>(), [at(4), at(5), at(6)]);
}

#[rstest]
fn no_answer_has_more_than_1000_rows(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let place = Place::new(which);
    let mut store = place.handle();
    store.write(&rows((0..1_200).map(log))).unwrap();
    let lines = store.last_logs(&LogFilter::default(), &Page::first(usize::MAX)).unwrap();
    assert_eq!(lines.len(), 1_000);
}

#[rstest]
fn anomalies_come_newest_first(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let (_place, mut store) = filled(which);
    let first = store.last_anomalies(&AnomalyFilter::default(), &Page::first(2)).unwrap();
    let details: Vec<&str> = first.iter().map(|found| found.details.as_str()).collect();
    assert_eq!(details, ["anomaly 7", "anomaly 6"]);
    let filter = AnomalyFilter { service: Some("billing".to_owned()) };
    let page = Page::after(first[1].key(), 10);
    let rest = store.last_anomalies(&filter, &page).unwrap();
    let details: Vec<&str> = rest.iter().map(|found| found.details.as_str()).collect();
    assert_eq!(details, ["anomaly 4", "anomaly 0"]);
    assert_eq!(store.anomaly("none").unwrap(), None);
}

#[rstest]
fn anomalies_are_counted_by_severity_and_type(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let (_place, mut store) = filled(which);
    let count = |severity: &str, anomaly_type: &str, anomalies| SeverityCount {
        severity: severity.to_owned(),
        anomaly_type: anomaly_type.to_owned(),
        anomalies,
    };
    // 2 to 7: critical odd_line 2, info error_burst 3, warning odd_line 4, critical error_burst 5, info odd_line 6,
    // warning error_burst 7.
    assert_eq!(
        store.severity_by_type(at(2)).unwrap(),
        [
            count("critical", "error_burst", 1),
            count("critical", "odd_line", 1),
            count("info", "error_burst", 1),
            count("info", "odd_line", 1),
            count("warning", "error_burst", 1),
            count("warning", "odd_line", 1),
        ]
    );
    assert_eq!(store.severity_by_type(at(0)).unwrap()[0].anomalies, 2);
    assert!(store.severity_by_type(at(100)).unwrap().is_empty());
}

#[rstest]
fn services_with_most_anomalies_come_first(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let (_place, mut store) = filled(which);
    let top = store.top_services(at(1), 10).unwrap();
    assert_eq!(top.len(), 2);
    assert_eq!((top[0].affected_service.as_str(), top[0].anomalies), ("orders", 6));
    assert_eq!((top[1].affected_service.as_str(), top[1].anomalies), ("billing", 1));
    assert_eq!(top[0].last_detected_at, at(7));
    assert!((top[0].max_score - 0.9).abs() < 1e-12);
    assert_eq!(store.top_services(at(1), 1).unwrap().len(), 1);
}

#[rstest]
fn scores_are_counted_in_tenths(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let (_place, mut store) = filled(which);
    let buckets = store.score_histogram(at(1)).unwrap();
    assert_eq!(buckets.iter().map(|bucket| bucket.lines).collect::<Vec<_>>(), [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(buckets[9], ScoreBucket { from: 0.9, lines: 1 });
}

#[rstest]
fn alerts_are_those_of_a_status(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let (_place, mut store) = filled(which);
    let ids = |found: Vec<crate::AlertSummary>| -> Vec<String> {
        found.into_iter().map(|alert| alert.message).collect()
    };
    let first = store.alerts(&AlertFilter::default(), &Page::first(2)).unwrap();
    let page = Page::after(first[1].key(), 10);
    assert_eq!(ids(first), ["alert 2", "alert 3"]);
    assert_eq!(ids(store.alerts(&AlertFilter::default(), &page).unwrap()), ["alert 1"]);
    let firing = AlertFilter { status: Some("firing".to_owned()) };
    assert_eq!(ids(store.alerts(&firing, &Page::first(10)).unwrap()), ["alert 3", "alert 1"]);
    assert_eq!(store.alert("none").unwrap(), None);
}
