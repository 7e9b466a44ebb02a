use super::*;
use crate::detect::tests::{NOON, Rig, TestLine};
use crate::detect::{Anomaly, Finding};
use crate::event::Level;

fn at(seconds: f64) -> EventTime {
    EventTime::from_micros(((NOON + seconds) * 1e6) as i64)
}

fn anomaly(seconds: f64, detector: &str, severity: Severity) -> Finding {
    let id = FindingId::of_window(detector, "billing", "", at(seconds), severity as u32);
    Finding::Anomaly(Box::new(Anomaly {
        id,
        detector: detector.to_owned(),
        service: "billing".to_owned(),
        subject: "s".to_owned(),
        severity,
        time: at(seconds),
        window: None,
        headline: format!("{detector} at {seconds}"),
        value: 1.0,
        bound: 0.0,
        unit: "lines".to_owned(),
        reasons: Vec::new(),
        evidence: Vec::new(),
    }))
}

struct Desk {
    book: AlertBook,
    out: Vec<AlertChange>,
}

impl Desk {
    fn new() -> Self {
        Self::with(AlertSettings { audiences: vec![Audience::new("web")], ..AlertSettings::default() })
    }

    fn with(settings: AlertSettings) -> Self {
        settings.check().unwrap();
        Self { book: AlertBook::new(settings), out: Vec::new() }
    }

    fn find(&mut self, seconds: f64, detector: &str, severity: Severity) {
        self.book.push(&anomaly(seconds, detector, severity), &mut self.out);
    }

    /// Ticks where event time is the clock's.
    fn tick(&mut self, seconds: f64) {
        self.book.tick(at(seconds), &|_| Some(at(seconds)), &mut self.out);
    }

    /// The clock alone moves; the lines' time stays at the beginning.
    fn clock_shows(&mut self, seconds: f64) {
        self.book.tick(at(seconds), &|_| Some(at(0.0)), &mut self.out);
    }

    fn run(&mut self, from: u32, to: u32) {
        (from..to).for_each(|second| self.tick(f64::from(second)));
    }

    /// Cause, revision and who was told, of each record.
    fn records(&self) -> Vec<(Cause, u32, usize)> {
        self.out.iter().map(|change| (change.cause, change.alert.revision, change.notify.len())).collect()
    }
}

#[test]
fn six_error_lines_are_one_alert_and_one_notification() {
    let mut rig = Rig::new();
    let mut desk = Desk::new();
    desk.book =
        AlertBook::new(AlertSettings { audiences: vec![Audience::new("web")], ..AlertSettings::default() });
    desk.tick(9.0);
    for second in [10, 10, 10, 11, 12, 12] {
        rig.push(&TestLine::new(NOON + f64::from(second), "billing_api", Level::Error, "charge failed"));
        rig.found.drain(..).for_each(|finding| desk.book.push(&finding, &mut desk.out));
        desk.tick(f64::from(second));
    }
    assert!(desk.out.is_empty(), "within group_wait");
    desk.tick(13.0);
    assert_eq!(desk.records(), [(Cause::Opened, 1, 1)]);
    assert!(desk.out[0].alert.message.contains("error burst"));
    assert_eq!((desk.out[0].alert.count, desk.out[0].alert.evidence.len()), (1, 2));
    desk.run(14, 400);
    assert_eq!(desk.records(), [(Cause::Opened, 1, 1), (Cause::Resolved, 2, 0)]);
}

#[test]
fn anomalies_of_all_detectors_join_and_a_graver_one_is_told() {
    let mut desk = Desk::new();
    desk.tick(0.0);
    desk.find(0.0, "odd_line", Severity::Info);
    desk.run(1, 5);
    desk.find(5.0, "volume", Severity::Warning);
    desk.run(5, 10);
    desk.find(10.0, "volume", Severity::Warning);
    desk.run(10, 20);
    desk.find(20.0, "error_rate", Severity::Critical);
    desk.run(20, 30);
    assert_eq!(desk.records(), [(Cause::Opened, 1, 0), (Cause::Graver, 2, 1), (Cause::Graver, 3, 1)]);
    let alert = &desk.out[2].alert;
    assert_eq!((alert.count, alert.detector.as_str(), alert.parts.len()), (4, "error_rate", 3));
    let first: FindingId = alert.id;
    assert!(desk.out.iter().all(|change| change.alert.id == first));
}

#[test]
fn a_clock_that_was_a_day_ahead_and_comes_back_mutes_nothing() {
    let mut desk = Desk::new();
    desk.tick(0.0);
    desk.find(0.0, "error_burst", Severity::Error);
    desk.run(1, 5);
    desk.clock_shows(90_000.0);
    desk.find(5.0, "error_rate", Severity::Critical);
    let kept = desk.book.snapshot();
    // It comes back while the process runs, or while it does not.
    for restarts in [false, true] {
        let mut desk = Desk::new();
        desk.book.restore(kept.clone()).unwrap();
        if restarts {
            desk.book.begin(at(6.0));
        }
        desk.run(6, 400);
        assert_eq!(desk.records(), [(Cause::Graver, 3, 1), (Cause::Resolved, 4, 0)], "restarts: {restarts}");
        desk.find(400.0, "error_burst", Severity::Error);
        desk.run(400, 410);
        assert_eq!(desk.records().last(), Some(&(Cause::Opened, 1, 1)), "restarts: {restarts}");
    }
}

#[test]
fn a_clock_that_was_ahead_gives_no_second_budget_and_no_early_or_late_repeat() {
    let mut desk = Desk::with(AlertSettings {
        budget_per_day: 1.0,
        repeat_interval_s: 60.0,
        audiences: vec![Audience::new("web")],
        ..AlertSettings::default()
    });
    desk.tick(0.0);
    desk.clock_shows(90_000.0);
    desk.find(0.0, "odd_line", Severity::Warning);
    desk.clock_shows(90_001.0);
    assert_eq!(desk.records().last(), Some(&(Cause::Opened, 1, 1)));
    desk.run(10, 80);
    assert_eq!(desk.records().last(), Some(&(Cause::Repeat, 2, 1)), "a minute after it came back");
    desk.run(80, 400);
    desk.out.clear();
    desk.find(500.0, "odd_line", Severity::Warning);
    desk.run(500, 510);
    assert_eq!((desk.records(), desk.out[0].held_back), (vec![(Cause::Opened, 1, 0)], true));
}

#[test]
fn every_incident_of_a_backlog_is_told() {
    let pager = Audience { send_resolved: true, ..Audience::new("pager") };
    let mut desk = Desk::with(AlertSettings { audiences: vec![pager], ..AlertSettings::default() });
    desk.book.begin(at(0.0));
    for minutes in [-50.0, -33.0, -17.0, 0.0] {
        desk.find(minutes * 60.0, "error_burst", Severity::Error);
    }
    desk.run(0, 3);
    let (opened, resolved) = ((Cause::Opened, 1, 1), (Cause::Resolved, 2, 1));
    assert_eq!(desk.records(), [opened, resolved, opened, resolved, opened, resolved, opened]);
    assert_eq!(desk.book.counters().notified, 7);
}

#[test]
fn an_incident_of_a_backlog_keeps_to_silences_and_the_budget() {
    let mut desk = Desk::with(AlertSettings {
        budget_per_day: 1.0,
        audiences: vec![Audience::new("web")],
        ..AlertSettings::default()
    });
    desk.book.begin(at(0.0));
    for minutes in [-50.0, -33.0, -17.0] {
        desk.find(minutes * 60.0, "odd_line", Severity::Warning);
    }
    let filter = "service == \"billing\"".to_owned();
    let until = at(100.0);
    desk.book.silence(Silence { id: "s".to_owned(), filter, until, comment: String::new() }).unwrap();
    desk.find(0.0, "error_burst", Severity::Error);
    let opened: Vec<(usize, bool, Status)> = (desk.out.iter())
        .filter(|change| change.cause == Cause::Opened)
        .map(|change| (change.notify.len(), change.held_back, change.alert.status))
        .collect();
    assert_eq!(opened, [(1, false, Status::Firing), (0, true, Status::Firing), (0, false, Status::Muted)]);
    desk.out.clear();
    desk.tick(43_200.0);
    let notice = desk.out.iter().find(|change| change.cause == Cause::Notice).unwrap();
    assert!(notice.alert.message.contains("on 2023-11-20"), "{}", notice.alert.message);
}

#[test]
fn what_ends_before_the_wait_is_over_is_told() {
    let mut desk = Desk::with(AlertSettings {
        group_wait_s: 60.0,
        resolve_after_s: 10.0,
        audiences: vec![Audience::new("web")],
        ..AlertSettings::default()
    });
    desk.tick(0.0);
    for second in [0, 20, 40] {
        desk.find(f64::from(second), "error_burst", Severity::Error);
        // It got graver, and that waits too.
        desk.find(f64::from(second), "error_rate", Severity::Critical);
        desk.run(second + 1, second + 20);
    }
    let told: usize = desk.out.iter().map(|change| change.notify.len()).sum();
    assert_eq!(told, 2);
    desk.run(60, 120);
    assert_eq!(desk.out.iter().filter(|change| change.cause == Cause::Opened).count(), 3);
    assert!(desk.out.iter().all(|change| change.alert.severity == Severity::Critical));
}

#[test]
fn an_alert_resolves_after_five_minutes_and_the_next_is_another_one() {
    let mut desk = Desk::new();
    desk.tick(0.0);
    desk.find(0.0, "error_burst", Severity::Error);
    desk.run(1, 330);
    assert_eq!(desk.records().len(), 1);
    desk.tick(330.0);
    assert_eq!(desk.out[1].alert.resolved_at, Some(at(300.0)));
    desk.find(340.0, "error_burst", Severity::Error);
    desk.run(340, 350);
    assert_eq!(desk.out[2].cause, Cause::Opened);
    assert_ne!(desk.out[2].alert.id, desk.out[0].alert.id);
}

#[test]
fn an_anomaly_within_five_minutes_or_a_condition_that_holds_keeps_it_open() {
    let mut desk = Desk::new();
    desk.tick(0.0);
    desk.find(0.0, "error_burst", Severity::Error);
    desk.run(1, 300);
    desk.find(300.0, "error_burst", Severity::Error);
    desk.run(300, 590);
    let holds = Finding::Holds { detector: "x".to_owned(), service: "billing".to_owned(), time: at(590.0) };
    desk.book.push(&holds, &mut desk.out);
    desk.run(590, 900);
    assert_eq!(desk.records(), [(Cause::Opened, 1, 1)]);
    desk.run(900, 930);
    assert_eq!(desk.records()[1].0, Cause::Resolved);
}

#[test]
fn a_late_clock_does_not_resolve_but_a_late_anomaly_after_the_end_opens_anew() {
    let mut desk = Desk::new();
    desk.tick(0.0);
    desk.find(0.0, "error_burst", Severity::Error);
    // The service's lines are an hour behind the clock.
    (1..3_600).for_each(|second| desk.book.tick(at(f64::from(second)), &|_| Some(at(1.0)), &mut desk.out));
    assert_eq!(desk.records().len(), 1);
    desk.find(301.0, "error_burst", Severity::Error);
    assert_eq!(desk.records()[1].0, Cause::Resolved);
    assert_eq!(desk.book.open().count(), 1);
}

#[test]
fn an_audience_hears_again_after_four_hours_and_of_the_end_where_it_asks() {
    let pager = Audience { send_resolved: true, ..Audience::new("pager") };
    let grave = Audience { least_severity: Severity::Critical, ..Audience::new("grave") };
    let other = Audience { services: vec!["auth".to_owned()], ..Audience::new("other") };
    let audiences = vec![Audience::new("web"), pager, grave, other];
    let mut desk = Desk::with(AlertSettings { audiences, ..AlertSettings::default() });
    desk.tick(0.0);
    desk.find(0.0, "missing_heartbeat", Severity::Error);
    for second in (10..15_000).step_by(10) {
        let holds = Finding::Holds {
            detector: "x".to_owned(),
            service: "billing".to_owned(),
            time: at(f64::from(second)),
        };
        desk.book.push(&holds, &mut desk.out);
        desk.tick(f64::from(second));
    }
    desk.run(15_000, 15_400);
    assert_eq!(desk.records(), [(Cause::Opened, 1, 2), (Cause::Repeat, 2, 2), (Cause::Resolved, 3, 1)]);
    assert_eq!(desk.out[2].notify, ["pager"]);
    assert_eq!(desk.book.counters().notified, 5);
}

#[test]
fn the_budget_caps_odd_lines_alone_and_one_notice_tells_the_rest() {
    let settings = AlertSettings {
        budget_per_day: 2.0,
        audiences: vec![Audience::new("web")],
        ..AlertSettings::default()
    };
    let mut desk = Desk::with(settings);
    desk.tick(0.0);
    for index in 0..5u32 {
        let start = index * 600;
        desk.find(f64::from(start), "odd_line", Severity::Warning);
        desk.run(start, start + 600);
    }
    let told = desk.out.iter().filter(|change| !change.notify.is_empty()).count();
    assert_eq!((told, desk.book.held_back_today()), (2, 3));
    assert_eq!(desk.out.iter().filter(|change| change.held_back).count(), 3);
    desk.find(3_000.0, "odd_line", Severity::Warning);
    desk.run(3_000, 3_010);
    desk.find(3_010.0, "volume", Severity::Warning);
    desk.run(3_010, 3_020);
    assert_eq!(desk.out.last().unwrap().notify, ["web"], "it does not rest on odd lines alone any more");
    desk.tick(43_200.0);
    let notice = desk.out.iter().find(|change| change.cause == Cause::Notice).unwrap();
    assert!(notice.alert.message.starts_with("4 more alerts on 2023-11-20"), "{}", notice.alert.message);
    assert_eq!(notice.notify, ["web"]);
}

#[test]
fn a_silence_mutes_until_it_expires() {
    let mut desk = Desk::new();
    desk.tick(0.0);
    let silence = Silence {
        id: "deploy".to_owned(),
        filter: "service == \"billing\" && attributes.detector == \"error_burst\"".to_owned(),
        until: at(100.0),
        comment: String::new(),
    };
    desk.book.silence(silence.clone()).unwrap();
    assert!(desk.book.silence(Silence { filter: "service ==".to_owned(), ..silence }).is_err());
    desk.find(0.0, "error_burst", Severity::Error);
    desk.run(1, 100);
    assert_eq!(desk.records(), [(Cause::Opened, 1, 0)]);
    assert_eq!(desk.out[0].alert.status, Status::Muted);
    desk.run(100, 110);
    assert_eq!(desk.records()[1], (Cause::Unmuted, 2, 1));
    assert_eq!(desk.out[1].alert.status, Status::Firing);
    assert!(desk.book.silences().is_empty());
}

#[test]
fn a_silence_over_a_flood_of_alerts_is_held_against_some_at_a_time_and_not_again_where_nothing_changed() {
    let mut desk = Desk::new();
    for service in 0..5_000 {
        let Finding::Anomaly(mut anomaly) = anomaly(0.0, "error_burst", Severity::Error) else { continue };
        anomaly.service = format!("s{service}");
        anomaly.id = FindingId::of_window("error_burst", &anomaly.service, "", at(0.0), 0);
        desk.book.push(&Finding::Anomaly(anomaly), &mut desk.out);
    }
    desk.run(0, 3);
    assert_eq!(desk.out.len(), 5_000);
    let (filter, until) = ("severity >= WARN".to_owned(), at(1e6));
    desk.book.silence(Silence { id: "s".to_owned(), filter, until, comment: String::new() }).unwrap();
    let muted = |desk: &Desk| desk.out.iter().filter(|change| change.cause == Cause::Muted).count();
    for (second, expected) in [(3.0, 2_000), (4.0, 4_000), (5.0, 5_000), (6.0, 5_000)] {
        desk.tick(second);
        assert_eq!(muted(&desk), expected, "at {second} s");
    }
    assert_eq!(desk.book.looks, 2_000, "nothing changed, so nothing was looked at");
}

#[test]
fn a_silence_over_an_open_alert_is_on_record_and_nobody_is_told() {
    let mut desk = Desk::new();
    desk.tick(0.0);
    desk.find(0.0, "error_burst", Severity::Error);
    desk.run(1, 5);
    let until = at(50.0);
    let filter = "service == \"billing\"".to_owned();
    desk.book.silence(Silence { id: "s".to_owned(), filter, until, comment: String::new() }).unwrap();
    desk.run(5, 10);
    assert_eq!(desk.records(), [(Cause::Opened, 1, 1), (Cause::Muted, 2, 0)]);
    assert_eq!(desk.out[1].alert.status, Status::Muted);
    assert!(desk.book.unsilence("s"));
    desk.run(10, 12);
    assert_eq!(desk.records()[2], (Cause::Unmuted, 3, 0), "told before, and no graver since");
    desk.run(12, 700);
    assert_eq!(desk.records()[3].0, Cause::Resolved);
    let written: Vec<EventTime> = desk.out.iter().map(|change| change.at).collect();
    assert_eq!(written, [1.0, 5.0, 10.0, 330.0].map(at), "each when it was written");
}

#[test]
fn a_condition_that_is_normal_keeps_no_alert_open() {
    let holds =
        Finding::Holds { detector: "volume".to_owned(), service: "billing".to_owned(), time: at(290.0) };
    for (subject, is_over) in [("s", true), ("", true), ("other", false)] {
        let mut desk = Desk::new();
        desk.find(0.0, "volume", Severity::Warning);
        desk.book.normal(Normal {
            detector: "volume".to_owned(),
            service: "billing".to_owned(),
            subject: subject.to_owned(),
        });
        desk.book.push(&holds, &mut desk.out);
        desk.run(1, 400);
        assert_eq!(desk.book.open().count() == 0, is_over, "{subject}");
    }
}

#[test]
fn what_is_normal_joins_no_alert_until_that_is_undone() {
    let mut desk = Desk::new();
    let normal =
        Normal { detector: "volume".to_owned(), service: "billing".to_owned(), subject: "s".to_owned() };
    assert!(desk.book.normal(normal.clone()));
    desk.find(0.0, "volume", Severity::Warning);
    assert_eq!((desk.book.open().count(), desk.book.counters().normal), (0, 1));
    assert_eq!(desk.book.normals().collect::<Vec<_>>(), [&normal]);
    assert!(desk.book.undo_normal(&normal) && !desk.book.undo_normal(&normal));
    desk.find(0.0, "volume", Severity::Warning);
    assert_eq!(desk.book.open().count(), 1);
}

#[test]
fn the_same_anomaly_twice_counts_once() {
    let mut desk = Desk::new();
    desk.find(0.0, "volume", Severity::Warning);
    desk.find(0.0, "volume", Severity::Warning);
    assert_eq!(desk.book.open().next().unwrap().count, 1);
    assert_eq!(desk.book.counters().repeated, 1);
}

#[test]
fn what_an_alert_keeps_is_bounded() {
    let mut desk = Desk::new();
    for index in 0..2_000 {
        let Finding::Anomaly(mut anomaly) = anomaly(f64::from(index) / 10.0, "odd_line", Severity::Info)
        else {
            continue;
        };
        anomaly.subject = format!("pattern {index}");
        anomaly.headline = "x".repeat(100_000);
        anomaly.reasons = vec!["y".repeat(100_000) + &index.to_string()];
        anomaly.evidence = vec![Evidence {
            time: anomaly.time,
            level: None,
            message: format!("{index}"),
            score: f64::from(index % 700) / 1e3,
            percentile: 0.0,
            source: Source::Stdin { line: index as u64 },
        }];
        desk.book.push(&Finding::Anomaly(anomaly), &mut desk.out);
    }
    let alert = desk.book.open().next().unwrap();
    assert_eq!((alert.count, alert.parts.len(), alert.further), (2_000, 16, 1_984));
    let messages: Vec<&str> = alert.evidence.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(messages, ["0", "699", "1999"]);
    // The last line of the gravest stays, whatever comes after it.
    for (index, detector, severity) in [
        (2_000_u32, "error_burst", Severity::Error),
        (2_001, "odd_line", Severity::Info),
        (2_002, "odd_line", Severity::Error),
    ] {
        let Finding::Anomaly(mut anomaly) = anomaly(f64::from(index) / 10.0, detector, severity) else {
            continue;
        };
        anomaly.evidence = ["a", "b"]
            .map(|letter| Evidence {
                time: anomaly.time,
                level: None,
                message: format!("{index}{letter}"),
                score: 0.1,
                percentile: 0.0,
                source: Source::Stdin { line: u64::from(index) * 10 + u64::from(letter == "b") },
            })
            .to_vec();
        desk.book.push(&Finding::Anomaly(anomaly), &mut desk.out);
    }
    let alert = desk.book.open().next().unwrap();
    let messages: Vec<&str> = alert.evidence.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(messages, ["0", "699", "2000b", "2002b"]);
    assert!(serde_json::to_vec(alert).unwrap().len() < 64_000);
}

#[test]
fn a_restart_at_any_place_gives_the_same_records() {
    let script = |desk: &mut Desk, second: u32| {
        if second.is_multiple_of(97) {
            desk.find(f64::from(second), "odd_line", Severity::Warning);
        }
        if second % 401 == 5 {
            desk.find(f64::from(second), "error_rate", Severity::Critical);
        }
        desk.tick(f64::from(second));
    };
    let mut whole = Desk::new();
    (0..2_000).for_each(|second| script(&mut whole, second));
    for cut in [0, 1, 97, 500, 1_999] {
        let mut first = Desk::new();
        (0..cut).for_each(|second| script(&mut first, second));
        let bytes = serde_json::to_vec(&first.book.snapshot()).unwrap();
        let mut second = Desk::new();
        second.book.restore(serde_json::from_slice(&bytes).unwrap()).unwrap();
        (cut..2_000).for_each(|at| script(&mut second, at));
        let records: Vec<AlertChange> = first.out.into_iter().chain(second.out).collect();
        assert_eq!(records, whole.out, "cut at {cut}");
    }
}

#[test]
fn wrong_settings_are_all_named() {
    let settings = AlertSettings {
        resolve_after_s: f64::NAN,
        budget_per_day: -1.0,
        audiences: vec![Audience::new("a"), Audience::new("a"), Audience::new("")],
        ..AlertSettings::default()
    };
    let errors: Vec<String> = settings.check().unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 4);
    assert!(errors[0].contains("`resolve_after_s` is NaN; allowed are 10 to 86400 s"), "{}", errors[0]);
}
