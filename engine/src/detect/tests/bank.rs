//! The bank as a whole: time, caps, settings, documentation, snapshots that cannot be used.

use std::collections::BTreeSet;

use super::*;

#[test]
fn names_titles_and_docs_of_the_list_are_there_and_unique() {
    let names: BTreeSet<&str> = REGISTRY.iter().map(|entry| entry.name).collect();
    assert_eq!(names.len(), REGISTRY.len());
    for entry in REGISTRY {
        assert!(entry.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", entry.name);
        assert!(entry.doc.len() > 100 && entry.doc.ends_with('.'), "{}", entry.name);
        assert!(!entry.title.is_empty());
        let knobs: BTreeSet<&str> = entry.knobs.iter().map(|knob| knob.name).collect();
        assert_eq!(knobs.len(), entry.knobs.len());
        for knob in entry.knobs {
            assert!(knob.least <= knob.default && knob.default <= knob.most, "{}.{}", entry.name, knob.name);
            assert!(knob.doc.trim().ends_with('.') && !knob.unit.is_empty(), "{}.{}", entry.name, knob.name);
            for (ending, unit) in [("_ms", "ms"), ("_s", "s")] {
                assert_eq!(knob.name.ends_with(ending), knob.unit == unit, "{}.{}", entry.name, knob.name);
            }
        }
    }
}

#[test]
fn a_detector_that_is_off_says_nothing_and_one_service_can_differ() {
    let mut settings = Settings::default();
    settings.set(None, "error_burst", "enabled", Value::Switch(false)).unwrap();
    settings.set(Some("b"), "error_burst", "enabled", Value::Switch(true)).unwrap();
    settings.set(Some("b"), "error_burst", "more_than", Value::Number(2.0)).unwrap();
    let mut rig = Rig::with(settings);
    for service in ["a", "b"] {
        (0..10).for_each(|_| rig.say(NOON, service, Level::Error));
    }
    let bursts: Vec<(String, f64)> = rig
        .anomalies()
        .iter()
        .filter(|anomaly| anomaly.detector == "error_burst")
        .map(|anomaly| (anomaly.service.clone(), anomaly.value))
        .collect();
    assert_eq!(bursts, [("b".to_owned(), 3.0)]);
}

#[test]
fn windows_of_a_silent_service_close_by_ticks_after_thirty_seconds() {
    let mut rig = Rig::only(&["error_rate"]);
    rig.tick(NOON);
    (0..25).for_each(|_| rig.say(NOON, "a", Level::Error));
    (1..30).for_each(|second| rig.tick(NOON + f64::from(second)));
    assert!(rig.found.is_empty());
    (30..34).for_each(|second| rig.tick(NOON + f64::from(second)));
    assert_eq!(rig.anomalies().len(), 1);
}

#[test]
fn a_wrong_clock_closes_no_windows() {
    let mut rig = Rig::only(&["error_burst", "error_rate"]);
    rig.tick(NOON);
    (0..4).for_each(|_| rig.say(NOON, "a", Level::Error));
    rig.say(NOON + 31_536_000.0, "b", Level::Info);
    rig.say(NOON + 31_536_000.0, "a", Level::Info);
    (0..2).for_each(|_| rig.say(NOON + 1.0, "a", Level::Error));
    assert_eq!(rig.counts(), BTreeMap::from([("error_burst".to_owned(), 1)]));
    assert_eq!(rig.bank.counters(), Counters { future: 2, ..Counters::default() });
    assert_eq!(rig.bank.event_time(), Some(EventTime::from_micros(micros(NOON + 1.0))));
}

#[test]
fn a_wrong_clock_in_a_backlog_blinds_no_service() {
    const YEAR: f64 = 31_536_000.0;
    let mut rig = Rig::only(&["error_burst"]);
    // As a stream begins.
    rig.tick_as(NOON, false);
    rig.say(NOON + YEAR, "first", Level::Info);
    for service in ["first", "later"] {
        rig.say(NOON - 3_600.0, service, Level::Info);
    }
    rig.say(NOON + YEAR, "later", Level::Info);
    for service in ["first", "later"] {
        (0..6).for_each(|_| rig.say(NOON - 3_600.0, service, Level::Error));
    }
    assert_eq!(rig.counts(), BTreeMap::from([("error_burst".to_owned(), 2)]));
    assert_eq!(rig.bank.counters(), Counters { future: 2, ..Counters::default() });
    assert_eq!(rig.bank.event_time(), Some(EventTime::from_micros(micros(NOON - 3_600.0))));
}

#[test]
fn a_service_whose_lines_were_ahead_is_seen_again_when_the_clock_comes_back_or_is_restored() {
    for restored in [false, true] {
        let mut rig = Rig::only(&["error_burst"]);
        if restored {
            // No clock was known: any time was believed.
            rig.say(NOON + 1e7, "a", Level::Info);
            let kept = rig.bank.snapshot().unwrap();
            rig = Rig::only(&["error_burst"]);
            rig.bank.restore(&kept).unwrap();
        } else {
            rig.tick(NOON + 1e7);
            rig.say(NOON + 1e7, "a", Level::Info);
        }
        rig.tick_as(NOON, false);
        assert_eq!(rig.bank.set_back(), u64::from(!restored));
        (0..6).for_each(|_| rig.say(NOON - 60.0, "a", Level::Error));
        assert_eq!((rig.anomalies().len(), rig.bank.counters().late), (1, 0), "restored: {restored}");
        assert_eq!(rig.bank.event_time(), Some(EventTime::from_micros(micros(NOON - 60.0))));
    }
}

#[test]
fn a_line_ten_seconds_late_counts_and_a_later_one_is_counted_as_late() {
    let mut rig = Rig::only(&["error_burst"]);
    rig.say(NOON + 14.0, "a", Level::Info);
    (0..6).for_each(|_| rig.say(NOON + 4.0, "a", Level::Error));
    assert_eq!(rig.anomalies().len(), 1);
    (0..6).for_each(|_| rig.say(NOON + 3.9, "a", Level::Error));
    assert_eq!((rig.anomalies().len(), rig.bank.counters().late), (1, 6));
}

#[test]
fn services_beyond_the_cap_share_a_state_and_old_places_are_used_again() {
    let mut settings = Settings::default();
    settings.set(None, STREAM, "most_services", Value::Number(10.0)).unwrap();
    let mut rig = Rig::with(settings);
    for service in 0..1_000 {
        rig.tick(NOON);
        rig.say(NOON, &format!("s{service}"), Level::Error);
    }
    assert_eq!((rig.bank.services(), rig.bank.counters().beyond_cap), (10, 990));
    assert!(rig.anomalies().iter().any(|anomaly| anomaly.service == OTHER));
    (0..=30_000).for_each(|step| rig.tick(NOON + 3.0 * f64::from(step)));
    rig.found.clear();
    (0..6).for_each(|_| rig.say(NOON + 90_000.0, "new", Level::Error));
    assert_eq!(rig.anomalies()[0].service, "new");
    assert_eq!(rig.bank.services(), 10);
}

#[test]
fn history_fills_baselines_and_tells_nothing() {
    let mut rig = Rig::only(&["volume", "error_burst"]);
    let mut history = Rig::only(&["volume", "error_burst"]);
    for second in 0..3_900u32 {
        let line = TestLine::new(NOON + f64::from(second), "a", Level::Error, "x");
        let origin = Numbered(second.into());
        for _ in 0..10 {
            history.bank.learn(&Seen {
                event: &line.event,
                score: 0.0,
                percentile: 0.0,
                pattern: 1,
                known_pattern: true,
                origin: &origin,
            });
        }
    }
    rig.bank.restore(&history.bank.snapshot().unwrap()).unwrap();
    for second in 0..400 {
        rig.say(NOON + 3_900.0 + f64::from(second), "a", Level::Info);
    }
    assert_eq!(rig.counts(), BTreeMap::from([("volume".to_owned(), 1)]));
}

#[test]
fn a_snapshot_that_cannot_be_read_is_refused_and_changes_nothing() {
    let mut rig = Rig::only(&["error_burst"]);
    (0..5).for_each(|_| rig.say(NOON, "a", Level::Error));
    let good = rig.bank.snapshot().unwrap();
    let mut bad = good.clone();
    bad.version = 99;
    assert!(rig.bank.restore(&bad).unwrap_err().to_string().contains("version 99"));
    let mut torn = good.clone();
    torn.detectors.get_mut("error_burst").unwrap().1.truncate(7);
    assert!(rig.bank.restore(&torn).unwrap_err().to_string().contains("error_burst"));
    let mut torn = good;
    torn.stream.truncate(3);
    assert!(rig.bank.restore(&torn).unwrap_err().to_string().contains("the stream"));
    rig.say(NOON, "a", Level::Error);
    assert_eq!(rig.anomalies().len(), 1);
}

/// Renew the page with `UPDATE_DOCS=1 cargo test -p engine documented`.
#[test]
fn detectors_are_documented_as_the_code_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/detectors.md");
    let page = docs::page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page, "renew docs/detectors.md: see above this test");
}
