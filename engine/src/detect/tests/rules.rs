//! Each rule at its boundary.

use rstest::rstest;

use super::*;

#[rstest]
#[case(5, 0)]
#[case(6, 1)]
#[case(30, 1)]
fn an_error_burst_is_more_than_five_errors_in_one_window(#[case] errors: usize, #[case] found: usize) {
    let mut rig = Rig::only(&["error_burst"]);
    for index in 0..errors {
        rig.say(
            NOON + 0.1 * index as f64,
            "billing_api",
            if index % 2 == 0 { Level::Error } else { Level::Fatal },
        );
        rig.say(NOON + 0.1 * index as f64, "billing_api", Level::Warn);
    }
    assert_eq!(rig.anomalies().len(), found);
}

#[test]
fn six_errors_at_12_00_10_to_12_are_one_burst_told_at_the_sixth() {
    let mut rig = Rig::new();
    for (index, second) in [10, 10, 10, 11, 12, 12].into_iter().enumerate() {
        assert!(rig.found.is_empty(), "told at line {index}");
        rig.say(NOON + f64::from(second), "billing_api", Level::Error);
    }
    let found = rig.anomalies();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].detector.as_str(), found[0].service.as_str()), ("error_burst", "billing_api"));
    assert!(found[0].headline.contains("burst"));
    assert_eq!((found[0].value, found[0].severity), (6.0, Severity::Error));
    assert_eq!(found[0].evidence.len(), 2, "the first, which is the oddest, and the last");
    rig.tick(NOON + 13.0);
    rig.tick(NOON + 200.0);
    assert_eq!(rig.counts(), BTreeMap::from([("error_burst".to_owned(), 1)]));
}

#[test]
fn six_errors_across_two_windows_are_no_burst() {
    let mut rig = Rig::only(&["error_burst"]);
    for second in [3.0, 4.0, 4.9, 5.0, 6.0, 7.0] {
        rig.say(NOON + second, "billing_api", Level::Error);
    }
    assert!(rig.found.is_empty());
}

/// Lines within one second, of which some are errors, and what closes their windows.
fn rate(errors: usize, lines: usize) -> Rig {
    let mut rig = Rig::only(&["error_rate"]);
    for index in 0..lines {
        rig.say(NOON + 1.0, "a", if index < errors { Level::Error } else { Level::Info });
    }
    rig.say(NOON + 120.0, "a", Level::Info);
    rig
}

#[rstest]
#[case(6, 20, None)]
#[case(7, 20, Some(Severity::Error))]
#[case(19, 19, None)]
#[case(16, 20, Some(Severity::Error))]
#[case(17, 20, Some(Severity::Critical))]
fn an_error_rate_is_more_than_thirty_percent_of_twenty_lines(
    #[case] errors: usize,
    #[case] lines: usize,
    #[case] expected: Option<Severity>,
) {
    let rig = rate(errors, lines);
    let severities: Vec<Severity> = rig.anomalies().iter().map(|anomaly| anomaly.severity).collect();
    assert_eq!(severities, Vec::from_iter(expected));
    let holds = rig.found.len() - severities.len();
    assert_eq!(holds, if expected.is_some() { 11 } else { 0 }, "it is looked at twelve times a minute");
}

#[rstest]
#[case(1, 20, 30_001.0, 0)]
#[case(2, 20, 30_001.0, 1)]
#[case(2, 20, 30_000.0, 0)]
#[case(19, 19, 90_000.0, 0)]
#[case(1, 99, 60_001.0, 1)]
#[case(1, 100, 60_001.0, 0)]
fn slow_is_a_twentieth_over_30_s_or_a_hundredth_over_60_s(
    #[case] slow: usize,
    #[case] all: usize,
    #[case] duration_ms: f64,
    #[case] found: usize,
) {
    let mut rig = Rig::only(&["slow_responses"]);
    for index in 0..all {
        let duration = if index < slow { duration_ms } else { 40.0 };
        let line =
            TestLine::new(NOON + 1.0, "a", Level::Info, "done").with("duration_ms", &duration.to_string());
        rig.push(&line);
    }
    rig.say(NOON + 60.0, "a", Level::Info);
    assert_eq!(rig.anomalies().len(), found);
}

fn transaction(time_s: f64, phase: &str) -> TestLine {
    TestLine::new(NOON + time_s, "bpm", Level::Info, "approval")
        .with("transaction_id", "t-1")
        .with("process", "approval")
        .with("phase", phase)
}

#[rstest]
#[case(Some(300.0), 0)]
#[case(Some(301.0), 0)]
#[case(Some(320.0), 1)]
#[case(None, 1)]
fn a_transaction_must_end_within_five_minutes(#[case] end_s: Option<f64>, #[case] found: usize) {
    let mut rig = Rig::only(&["transaction_timeout"]);
    rig.push(&transaction(0.0, "started"));
    if let Some(end_s) = end_s.filter(|end_s| *end_s <= 310.0) {
        rig.push(&transaction(end_s, "completed"));
    }
    rig.say(NOON + 316.0, "bpm", Level::Info);
    if let Some(end_s) = end_s.filter(|end_s| *end_s > 310.0) {
        rig.push(&transaction(end_s, "completed"));
    }
    rig.say(NOON + 900.0, "bpm", Level::Info);
    assert_eq!(rig.anomalies().len(), found);
    assert!(rig.anomalies().iter().all(|anomaly| anomaly.headline.contains("t-1")));
}

#[test]
fn an_end_that_overtakes_its_start_is_an_end() {
    let mut rig = Rig::only(&["transaction_timeout"]);
    rig.push(&transaction(3.0, "completed"));
    rig.push(&transaction(0.0, "started"));
    rig.say(NOON + 900.0, "bpm", Level::Info);
    assert!(rig.found.is_empty());
}

#[test]
fn timeouts_of_one_name_within_a_minute_are_one_anomaly() {
    let mut rig = Rig::only(&["transaction_timeout"]);
    for index in 0..50 {
        let mut line = transaction(0.0, "started");
        line.event.attributes[0].1 = format!("t-{index}");
        rig.push(&line);
    }
    rig.say(NOON + 900.0, "bpm", Level::Info);
    assert_eq!((rig.anomalies().len(), rig.found.len()), (1, 50));
}

#[rstest]
#[case("Deadlock found when writing invoice", 5, 0)]
#[case("Deadlock found when writing invoice", 6, 1)]
#[case("disk full", 30, 0)]
fn database_errors_are_named_when_there_are_more_than_five(
    #[case] message: &str,
    #[case] lines: usize,
    #[case] found: usize,
) {
    let mut rig = Rig::only(&["error_class"]);
    for _ in 0..lines {
        rig.push(&TestLine::new(NOON + 1.0, "a", Level::Error, message));
    }
    rig.say(NOON + 120.0, "a", Level::Info);
    let found_ones = rig.anomalies();
    assert_eq!(found_ones.len(), found);
    assert!(found_ones.iter().all(|anomaly| anomaly.subject == "database errors"));
}

#[rstest]
#[case(0.7, None)]
#[case(0.71, Some(Severity::Info))]
#[case(0.9, Some(Severity::Info))]
#[case(0.91, Some(Severity::Warning))]
fn an_odd_line_scores_above_the_threshold(#[case] score: f64, #[case] expected: Option<Severity>) {
    let mut rig = Rig::new();
    rig.push(&TestLine { score, ..TestLine::new(NOON, "a", Level::Info, "x") });
    assert_eq!(rig.anomalies().iter().map(|anomaly| anomaly.severity).next(), expected);
}

#[test]
fn a_late_line_can_still_be_odd() {
    let mut rig = Rig::new();
    rig.say(NOON, "a", Level::Info);
    rig.push(&TestLine { score: 0.8, ..TestLine::new(NOON - 3_600.0, "a", Level::Info, "x") });
    assert_eq!(rig.counts().get("odd_line"), Some(&1));
    assert_eq!(rig.bank.counters().late, 1);
}

#[test]
fn a_new_pattern_is_told_once_per_service_and_a_flood_is_cut() {
    let mut rig = Rig::new();
    let line = |service: &str, message: &str| TestLine {
        known_pattern: false,
        ..TestLine::new(NOON, service, Level::Info, message)
    };
    for number in 0..5 {
        rig.push(&line("a", &format!("moved {number} boxes")));
    }
    rig.push(&line("b", "moved 9 boxes"));
    assert_eq!(rig.anomalies().len(), 2);
    for number in 0..200u32 {
        let letters = |n: u32| char::from(b'a' + (n % 26) as u8);
        rig.push(&line("c", &format!("word{}{} here", letters(number / 26), letters(number))));
    }
    let of_c = rig.anomalies().iter().filter(|anomaly| anomaly.service == "c").count();
    assert_eq!(of_c, 100);
    assert_eq!(rig.bank.held_back().find(|(name, _)| *name == "new_pattern"), Some(("new_pattern", 100)));
}

/// Sixty ordinary steps from gateway to billing of 10 ms, then some slow ones.
fn steps(slow: usize, slow_ms: f64, others: usize) -> Rig {
    let mut rig = Rig::only(&["slow_step"]);
    let mut trace = 0;
    let mut step = |rig: &mut Rig, time: f64, ms: f64| {
        trace += 1;
        let id = format!("trace-{trace}");
        rig.push(&TestLine::new(time, "gateway", Level::Info, "in").with("trace_id", &id));
        rig.push(&TestLine::new(time + ms / 1e3, "billing", Level::Info, "booked").with("trace_id", &id));
    };
    for index in 0..60 {
        step(&mut rig, NOON + f64::from(index), 10.0);
    }
    for index in 0..slow {
        step(&mut rig, NOON + 200.0 + index as f64, slow_ms);
    }
    for index in 0..others {
        step(&mut rig, NOON + 200.0 + (index % 5) as f64, 10.0);
    }
    rig.say(NOON + 400.0, "billing", Level::Info);
    rig
}

#[rstest]
#[case(4, 200.0, 0, 0)]
#[case(5, 200.0, 0, 1)]
#[case(5, 200.0, 20, 0)]
#[case(5, 55.0, 0, 0)]
fn slow_steps_are_five_and_a_fifth_of_all(
    #[case] slow: usize,
    #[case] slow_ms: f64,
    #[case] others: usize,
    #[case] found: usize,
) {
    let rig = steps(slow, slow_ms, others);
    assert_eq!(rig.anomalies().len(), found);
    assert!(rig.anomalies().iter().all(|anomaly| anomaly.service == "billing"));
}
