//! Rules that compare with what is usual, at their boundary.

use rstest::rstest;

use super::*;

const DAY: f64 = 86_400.0;

/// Lines at an even pace for some minutes.
fn pace(rig: &mut Rig, from_s: f64, minutes: u32, per_minute: u32, service: &str) {
    for minute in 0..minutes {
        for line in 0..per_minute {
            let offset = f64::from(minute) * 60.0 + f64::from(line) * 60.0 / f64::from(per_minute);
            rig.say(from_s + offset, service, Level::Info);
        }
    }
}

#[rstest]
#[case(20, 60, 0)]
#[case(20, 61, 1)]
#[case(30, 10, 0)]
#[case(30, 9, 1)]
#[case(3, 30, 0)]
fn volume_is_three_times_or_a_third_of_the_last_hour(
    #[case] usual: u32,
    #[case] now: u32,
    #[case] found: usize,
) {
    let mut rig = Rig::only(&["volume"]);
    pace(&mut rig, NOON, 70, usual, "a");
    pace(&mut rig, NOON + 4_200.0, 8, now, "a");
    let found_ones = rig.anomalies();
    assert_eq!(found_ones.len(), found, "{found_ones:?}");
    assert!(found_ones.iter().all(|anomaly| anomaly.headline.contains("the last hour")));
}

#[test]
fn after_a_week_volume_is_that_of_the_hour_of_the_week() {
    let mut rig = Rig::only(&["volume"]);
    // Ten times the traffic in one hour of each day.
    let per_minute = |hour: u32| if hour % 24 == 3 { 100 } else { 10 };
    for hour in 0..7 * 24 + 4 {
        if hour == 7 * 24 {
            rig.found.clear();
            let needs: Vec<String> = rig.bank.warming(10).into_iter().map(|warming| warming.needs).collect();
            assert!(needs[0].contains("minutes more of history; until then"), "{needs:?}");
        }
        pace(&mut rig, NOON + f64::from(hour) * 3_600.0, 60, per_minute(hour), "a");
    }
    assert!(rig.anomalies().is_empty(), "{:?}", rig.anomalies());
    assert!(rig.bank.warming(10).is_empty());
    pace(&mut rig, NOON + 7.0 * DAY + 4.0 * 3_600.0 + 1_800.0, 8, 100, "a");
    assert_eq!(rig.anomalies().len(), 1);
    assert!(rig.anomalies()[0].headline.contains("this hour of the week"));
}

#[test]
fn a_service_that_falls_silent_is_no_low_volume() {
    let mut rig = Rig::only(&["volume"]);
    pace(&mut rig, NOON, 120, 60, "a");
    (0..3_600).for_each(|second| rig.tick(NOON + 7_200.0 + f64::from(second)));
    assert!(rig.found.is_empty());
}

/// A day of payments of which a tenth fails, then five minutes in which some do.
fn payments(failures: u32, all: u32) -> Rig {
    let mut rig = Rig::only(&["failure_spike"]);
    let mut pay = |time: f64, failed: bool| {
        let line = TestLine::new(time, "payments", Level::Info, "charge")
            .with("operation", "charge")
            .with("outcome", if failed { "failure" } else { "success" });
        rig.push(&line);
    };
    for index in 0..(86_700 / 30) {
        pay(NOON + f64::from(index) * 30.0, index % 10 == 0);
    }
    let start = NOON + 86_700.0;
    for index in 0..all {
        pay(
            start + f64::from(index) * 290.0 / f64::from(all),
            (index + 1) * failures / all > index * failures / all,
        );
    }
    pay(start + 330.0, false);
    rig
}

#[rstest]
#[case(40, 200, 0)]
#[case(52, 200, 1)]
#[case(19, 19, 0)]
#[case(20, 20, 1)]
fn a_failure_spike_is_twice_the_usual_share_of_twenty_transactions(
    #[case] failures: u32,
    #[case] all: u32,
    #[case] found: usize,
) {
    let rig = payments(failures, all);
    assert_eq!(rig.anomalies().len(), found, "{:?}", rig.anomalies());
    assert!(rig.anomalies().iter().all(|anomaly| anomaly.subject == "charge"));
}

/// Half an hour of answers that take 100 ms, then some that take longer.
fn answers(minutes: u32, ms: f64) -> Rig {
    let mut rig = Rig::only(&["degradation"]);
    for index in 0..(30 + minutes) * 12 {
        let time = f64::from(index) * 5.0;
        let duration = if time < 1_800.0 { 100.0 } else { ms };
        let line =
            TestLine::new(NOON + time, "a", Level::Info, "done").with("duration_ms", &duration.to_string());
        rig.push(&line);
    }
    rig
}

#[rstest]
#[case(8, 150.0, 0)]
#[case(8, 151.0, 1)]
#[case(3, 300.0, 1)]
#[case(3, 151.0, 0)]
fn degradation_is_half_as_long_again(#[case] minutes: u32, #[case] ms: f64, #[case] found: usize) {
    let rig = answers(minutes, ms);
    assert_eq!(rig.anomalies().len(), found, "{:?}", rig.anomalies());
}

#[test]
fn what_stays_slow_rises_no_more() {
    let rig = answers(60, 200.0);
    assert_eq!(rig.anomalies().len(), 1);
    let last = rig.found.iter().filter_map(|finding| match finding {
        Finding::Holds { time, .. } => Some(time.as_micros()),
        Finding::Anomaly(_) => None,
    });
    assert!(last.max().unwrap() < micros(NOON + 1_800.0 + 900.0));
}

/// A service that spoke for an hour and a half, once every so many seconds, then was silent.
fn silence(every_s: f64, seconds: u32, caught_up: bool) -> Rig {
    let mut rig = Rig::only(&["missing_heartbeat"]);
    let mut time = NOON;
    while time < NOON + 5_400.0 {
        rig.tick(time);
        rig.say(time, "a", Level::Info);
        time += every_s;
    }
    let last = time - every_s;
    (1..=seconds).for_each(|second| rig.tick_as(last + f64::from(second), caught_up));
    rig
}

#[rstest]
#[case(1.0, 300, None)]
#[case(1.0, 301, Some(Severity::Critical))]
#[case(30.0, 301, Some(Severity::Error))]
#[case(120.0, 600, None)]
#[case(120.0, 601, Some(Severity::Error))]
fn a_heartbeat_is_missing_after_five_minutes_or_five_periods(
    #[case] every_s: f64,
    #[case] seconds: u32,
    #[case] expected: Option<Severity>,
) {
    let rig = silence(every_s, seconds, true);
    let severities: Vec<Severity> = rig.anomalies().iter().map(|anomaly| anomaly.severity).collect();
    assert_eq!(severities, Vec::from_iter(expected));
}

#[test]
fn no_heartbeat_is_missing_while_the_input_is_down() {
    assert!(silence(1.0, 3_600, false).found.is_empty());
}

#[test]
fn a_missing_heartbeat_holds_until_the_service_is_retired() {
    let rig = silence(1.0, 90_000, true);
    assert_eq!(rig.anomalies().len(), 1);
    let last = rig.found.iter().filter_map(|finding| match finding {
        Finding::Holds { time, .. } => Some(time.as_micros() - micros(NOON + 5_399.0)),
        Finding::Anomaly(_) => None,
    });
    let held = last.max().unwrap();
    assert!((micros(DAY * 0.9)..=micros(DAY)).contains(&held), "{held}");
}

#[test]
fn a_process_that_was_stopped_heard_nobody_and_that_is_no_silence() {
    let mut rig = silence(1.0, 1, true);
    rig.tick(NOON + 5_400.0 + 3_600.0);
    assert!(rig.anomalies().is_empty(), "{:?}", rig.found);
    (1..400).for_each(|second| rig.tick(NOON + 9_000.0 + f64::from(second)));
    assert_eq!(rig.anomalies().len(), 1, "the silence from then on is one");
}

#[test]
fn a_service_that_is_silent_every_night_is_told_at_most_on_the_first() {
    let mut rig = Rig::only(&["missing_heartbeat"]);
    for second in 0..5 * 86_400 {
        let time = NOON + f64::from(second);
        if second % 86_400 < 43_200 && second % 5 == 0 {
            rig.say(time, "office", Level::Info);
        }
        rig.tick(time);
    }
    assert_eq!(rig.anomalies().len(), 1);
    assert!(rig.anomalies()[0].time.as_micros() < micros(NOON + DAY));
}

#[test]
fn a_pattern_that_came_every_minute_and_stopped_is_told() {
    let mut rig = Rig::only(&["missing_heartbeat"]);
    for second in 0..8_000 {
        let time = NOON + f64::from(second);
        rig.tick(time);
        rig.say(time, "a", Level::Info);
        if second % 60 == 0 && second < 7_000 {
            rig.push(&TestLine::new(time, "a", Level::Info, "heartbeat 7 ok"));
        }
    }
    let found = rig.anomalies();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].subject.as_str(), found[0].severity), ("heartbeat <num> ok", Severity::Warning));
}
