//! What the dashboard searches for.

use rstest::rstest;

use super::*;
use crate::database::Database;
use crate::postgres::Postgres;
use crate::sqlite::Sqlite;
use crate::{
    AlertSearch, AnomalySearch, Found, LogSearch, Page, PageKey, SinkResult, StoredAnomaly, StoredLog,
};

fn numbers(found: &Found<StoredLog>) -> Vec<u32> {
    found.rows.iter().map(|line| u32::from_str_radix(&line.id, 16).unwrap()).collect()
}

fn filled(which: Which) -> (Place, Box<dyn Store>) {
    let place = Place::new(which);
    let mut store = place.handle();
    let all = Rows {
        now: at(0),
        logs: (0..20).map(log).collect(),
        anomalies: (0..8).map(anomaly).collect(),
        alerts: vec![alert(1, 1), alert(2, 1), alert(2, 3), alert(3, 1)],
    };
    store.write(&all).unwrap();
    (place, store)
}

#[rstest]
fn each_filter_leaves_out_what_it_says_and_all_together_too(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let (_place, mut store) = filled(which);
    let mut find = |search: LogSearch| numbers(&store.search_logs(&search, &Page::first(100)).unwrap());
    assert_eq!(find(LogSearch::default()), (0..20).rev().collect::<Vec<_>>());
    let service = LogSearch { service: Some("orders".to_owned()), ..LogSearch::default() };
    assert_eq!(find(service.clone()), [19, 17, 15, 13, 11, 9, 7, 5, 3, 1]);
    let level = LogSearch { level: Some(Level::Error), ..LogSearch::default() };
    assert_eq!(find(level), [17, 14, 11, 8, 5, 2]);
    assert_eq!(find(LogSearch { least_score: 0.95, ..LogSearch::default() }), [19, 9]);
    assert_eq!(find(LogSearch { text: "LINE 1".to_owned(), ..LogSearch::default() }).len(), 11);
    let time = LogSearch { from: Some(at(3)), until: Some(at(6)), ..LogSearch::default() };
    assert_eq!(find(time), [5, 4, 3], "the start is in it, the end is not");
    let all = LogSearch {
        level: Some(Level::Error),
        text: "1".to_owned(),
        least_score: 0.1,
        from: Some(at(6)),
        until: Some(at(15)),
        ..service
    };
    assert_eq!(find(all), [11]);
    let empty = LogSearch { from: Some(at(6)), until: Some(at(2)), ..LogSearch::default() };
    assert!(find(empty).is_empty());
}

#[rstest]
fn what_is_looked_for_stands_for_itself_alone(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let place = Place::new(which);
    let mut store = place.handle();
    let messages =
        ["100% done", "100 done", "a_b", "axb", r"c:\temp", "it's", "'; DROP TABLE logs; --", "nul\0nul"];
    store
        .write(&rows(
            messages
                .iter()
                .zip(0..)
                .map(|(message, number)| LogRow { message: (*message).to_owned(), ..log(number) }),
        ))
        .unwrap();
    for (text, expected) in [
        ("0%", vec![0]),
        ("a_b", vec![2]),
        ("A_B", vec![2]),
        (r":\t", vec![4]),
        ("'", vec![6, 5]),
        ("'; drop table logs; --", vec![6]),
        ("nul\0", vec![7]),
        ("%", vec![0]),
        ("nothing", vec![]),
    ] {
        let search = LogSearch { text: text.to_owned(), ..LogSearch::default() };
        assert_eq!(numbers(&store.search_logs(&search, &Page::first(10)).unwrap()), expected, "{text}");
    }
    let search = LogSearch { service: Some("' OR 1=1 --".to_owned()), ..LogSearch::default() };
    assert!(store.search_logs(&search, &Page::first(10)).unwrap().rows.is_empty());
}

/// All pages of a search that looks at so many rows at a time; how many answers were cut short.
fn all_pages(which: Which, search: &LogSearch, most: usize, looked_at: usize) -> (Vec<u32>, usize) {
    let (place, _store) = filled(which);
    let (mut page, mut seen, mut cut) = (Page::first(most), Vec::new(), 0);
    for _ in 0..50 {
        let found = match &place.settings {
            StoreSettings::Embedded { path } => {
                Database::new(Sqlite::new(path.clone())).find_logs(search, &page, looked_at)
            }
            StoreSettings::Postgres(url) => {
                Database::new(Postgres::new(url).unwrap()).find_logs(search, &page, looked_at)
            }
        };
        let found = found.unwrap();
        assert!(found.rows.len() <= most);
        seen.extend(numbers(&found));
        cut += usize::from(found.is_cut_short);
        let Some(next) = found.next else { return (seen, cut) };
        page = Page::after(next, most);
    }
    panic!("the pages never end: {seen:?}");
}

#[rstest]
fn a_search_that_is_cut_short_goes_on_where_it_ended(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
    #[values(1, 3, 5, 100)] most: usize,
    #[values(1, 4, 20, 100)] looked_at: usize,
) {
    let rare = LogSearch { least_score: 0.95, ..LogSearch::default() };
    let (seen, cut) = all_pages(which, &rare, most, looked_at);
    assert_eq!(seen, [19, 9]);
    assert_eq!(cut > 0, looked_at <= 20 && (looked_at < 20 || most > 2), "{cut}");
    let of_service = LogSearch { service: Some("orders".to_owned()), text: "line".to_owned(), ..rare };
    assert_eq!(all_pages(which, &of_service, most, looked_at).0, [19, 9]);
    let between = LogSearch { from: Some(at(4)), until: Some(at(13)), ..LogSearch::default() };
    assert_eq!(all_pages(which, &between, most, looked_at).0, (4..13).rev().collect::<Vec<_>>());
}

#[rstest]
fn anomalies_are_those_of_a_service_a_severity_a_detector_and_a_score(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let (_place, mut store) = filled(which);
    let mut find = |search: AnomalySearch| -> Vec<String> {
        let found = store.search_anomalies(&search, &Page::first(100)).unwrap();
        found.rows.into_iter().map(|found: StoredAnomaly| found.details).collect()
    };
    assert_eq!(find(AnomalySearch::default()).len(), 8);
    let of = |name: &str| Some(name.to_owned());
    let search = AnomalySearch { service: of("billing"), ..AnomalySearch::default() };
    assert_eq!(find(search), ["anomaly 4", "anomaly 0"]);
    let search = AnomalySearch { severity: of("critical"), ..AnomalySearch::default() };
    assert_eq!(find(search), ["anomaly 5", "anomaly 2"]);
    let search = AnomalySearch { detector: of("odd_line"), from: Some(at(3)), ..AnomalySearch::default() };
    assert_eq!(find(search), ["anomaly 6", "anomaly 4"]);
    assert!(find(AnomalySearch { least_score: 0.91, ..AnomalySearch::default() }).is_empty());
    let odd = store.oddness("odd_line", at(1), 2).unwrap();
    let odd: Vec<_> = odd.iter().map(|one| (one.time, one.service.as_str(), one.score)).collect();
    assert_eq!(odd, [(at(6), "orders", 0.9), (at(4), "billing", 0.9)]);
    assert_eq!(store.oldest(at(0)).unwrap(), Some(at(0)));
    assert_eq!(store.oldest(at(3)).unwrap(), Some(at(3)));
    assert_eq!(store.oldest(at(100_000)).unwrap(), None);
}

#[rstest]
fn alerts_are_found_by_status_severity_service_and_text_as_their_newest_record(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let (_place, mut store) = filled(which);
    let mut find = |search: AlertSearch, page: Page| -> (Vec<String>, Option<PageKey>) {
        let found = store.search_alerts(&search, &page).unwrap();
        (found.rows.into_iter().map(|alert| alert.record).collect(), found.next)
    };
    let record = |number: u32, revision: i64| alert(number, revision).record;
    let (all, next) = find(AlertSearch::default(), Page::first(100));
    assert_eq!((all, next), (vec![record(2, 3), record(3, 1), record(1, 1)], None));
    let of = |name: &str| Some(name.to_owned());
    let firing = AlertSearch { status: of("firing"), ..AlertSearch::default() };
    assert_eq!(find(firing.clone(), Page::first(100)).0, [record(3, 1), record(1, 1)]);
    let (first, next) = find(firing.clone(), Page::first(1));
    assert_eq!(first, [record(3, 1)]);
    assert_eq!(find(firing, Page::after(next.unwrap(), 1)).0, [record(1, 1)]);
    let text = AlertSearch {
        text: "ALERT 2".to_owned(),
        severity: of("error"),
        service: of("billing"),
        ..AlertSearch::default()
    };
    assert_eq!(find(text.clone(), Page::first(9)).0, [record(2, 3)]);
    assert!(find(AlertSearch { severity: of("info"), ..text }, Page::first(9)).0.is_empty());
    for (text, found) in [("BILL", 3), ("error_Burst", 3), ("orders", 0), ("errorxburst", 0)] {
        let named = AlertSearch { text: text.to_owned(), ..AlertSearch::default() };
        assert_eq!(find(named, Page::first(9)).0.len(), found, "{text}");
    }
}

#[rstest]
fn what_became_of_an_alerts_deliveries_comes_in_order(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let place = Place::new(which);
    let mut store = place.handle();
    let result = |revision: i64, status: Option<u16>| SinkResult {
        sink: "slack".to_owned(),
        alert_id: "a".to_owned(),
        revision,
        outcome: "delivered".to_owned(),
        status,
        detail: String::new(),
        at: at(revision),
    };
    for one in [result(1, Some(200)), result(2, None), result(3, Some(503))] {
        store.sink_result(&one).unwrap();
    }
    store.sink_result(&SinkResult { alert_id: "b".to_owned(), ..result(9, None) }).unwrap();
    assert_eq!(store.sink_results("a", 2).unwrap(), [result(2, None), result(3, Some(503))]);
    assert!(store.sink_results("none", 9).unwrap().is_empty());
}

#[test]
fn a_search_reads_an_index_within_its_time() {
    let place = Place::new(Which::Embedded);
    place.handle().prepare().unwrap();
    let StoreSettings::Embedded { path } = &place.settings else { unreachable!() };
    let connection = rusqlite::Connection::open(path).unwrap();
    for (sql, index) in crate::search::statements() {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let count = plan.parameter_count();
        let values = rusqlite::params_from_iter((0..count).map(|_| "1"));
        let rows: Vec<String> =
            plan.query_map(values, |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        let reads = rows.iter().find(|row| row.contains(index)).unwrap_or_else(|| panic!("{sql}: {rows:?}"));
        assert!(reads.starts_with("SEARCH") && reads.contains(['<', '>']), "{sql}: {rows:?}");
        assert!(
            !rows.iter().any(|row| row.starts_with("SCAN logs") || row.starts_with("SCAN a")),
            "{rows:?}"
        );
    }
}
