//! An hour of web accesses, its end, clocks that are wrong, and the file.

use super::*;

const NOW: i64 = 1_767_323_045_000_000;
const SECOND: i64 = 1_000_000;

fn at(seconds: i64) -> EventTime {
    EventTime::from_micros(NOW + seconds * SECOND)
}

fn access<'a>(ip: &'a str, url: &'a str, status: u16) -> WebAccess<'a> {
    WebAccess { ip, method: "GET", url, status }
}

fn ips(report: &Report) -> Vec<(&str, u64)> {
    report.top_ips.iter().map(|top| (top.ip.as_str(), top.count)).collect()
}

#[test]
fn the_busiest_addresses_pages_and_the_newest_errors_are_told() {
    let mut window = Window::new(500);
    for (ip, url, status) in [
        ("10.0.0.1", "/", 200),
        ("10.0.0.2", "/pay", 503),
        ("10.0.0.1", "/pay", 499),
        ("10.0.0.1", "/pay", 500),
        ("", "/", 200),
    ] {
        window.add(&access(ip, url, status), at(0), at(1));
    }
    let report = window.report(at(2));
    assert_eq!(
        serde_json::to_string(&report).unwrap(),
        r#"{"top_ips":[{"ip":"10.0.0.1","count":3},{"ip":"10.0.0.2","count":1}],"#.to_owned()
            + r#""top_urls":[{"url":"/pay","count":3},{"url":"/","count":2}],"#
            + r#""errors":[{"status":500,"ip":"10.0.0.1","url":"/pay"},"#
            + r#"{"status":503,"ip":"10.0.0.2","url":"/pay"}]}"#
    );
}

#[test]
fn what_is_more_than_an_hour_old_is_gone_with_and_without_new_events() {
    let mut window = Window::new(500);
    window.add(&access("old", "/", 500), at(0), at(0));
    window.add(&access("new", "/", 200), at(1_800), at(1_800));
    assert_eq!(ips(&window.report(at(3_500))), [("new", 1), ("old", 1)]);
    assert_eq!(ips(&window.report(at(3_700))), [("new", 1)]);
    assert!(window.report(at(3_700)).errors.is_empty());
    assert_eq!(window.report(at(6_000)), Report::default());
    window.add(&access("late", "/", 200), at(10), at(6_001));
    assert_eq!(window.report(at(6_001)), Report::default());
}

#[test]
fn the_hour_of_an_old_recording_is_its_own() {
    let mut window = Window::new(500);
    let year = 365 * 86_400;
    window.add(&access("first", "/", 200), at(-year), at(0));
    window.add(&access("second", "/", 200), at(-year + 1_800), at(1));
    assert_eq!(ips(&window.report(at(2))), [("first", 1), ("second", 1)]);
    window.add(&access("third", "/", 200), at(-year + 4_000), at(3));
    assert_eq!(ips(&window.report(at(4))), [("second", 1), ("third", 1)]);
}

#[test]
fn a_clock_a_year_ahead_pushes_nobody_out() {
    let mut window = Window::new(500);
    window.add(&access("right", "/", 200), at(0), at(0));
    window.add(&access("ahead", "/", 200), at(365 * 86_400), at(1));
    window.add(&access("right", "/", 200), at(2), at(2));
    assert_eq!(ips(&window.report(at(3))), [("right", 2), ("ahead", 1)]);
}

#[test]
fn errors_names_and_lists_are_bounded() {
    let mut window = Window::new(500);
    let long = "x".repeat(100_000);
    for number in 0..300 {
        window.add(&access(&format!("{number}{long}"), &long, 500), at(number), at(number));
    }
    let report = window.report(at(300));
    assert_eq!((report.errors.len(), report.top_ips.len(), report.top_urls.len()), (ERRORS, TOP, 1));
    assert!(report.errors[0].ip.starts_with("299"));
    assert!(report.errors.iter().all(|error| error.ip.len() == IP_BYTES && error.url.len() == URL_BYTES));
}

#[test]
fn the_file_is_replaced_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results").join("summary.json");
    let mut window = Window::new(500);
    write(&path, &window.report(at(0))).unwrap();
    let first = std::fs::File::open(&path).unwrap();
    window.add(&access("10.0.0.1", "/", 200), at(0), at(0));
    write(&path, &window.report(at(0))).unwrap();
    // Who has the first one open still reads the whole of it.
    let text = std::io::read_to_string(first).unwrap();
    assert_eq!(text, "{\"top_ips\":[],\"top_urls\":[],\"errors\":[]}\n");
    assert!(std::fs::read_to_string(&path).unwrap().contains("10.0.0.1"));
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}
