//! Streams that ask for more than there is: services without end, patterns without end, a clock that is wrong.

use engine::alert::{AlertChange, AlertSettings, Audience, Cause, News, Watch, WatchSettings};
use engine::detect::{Origin, Seen, Source, Text, Thresholds, Tick};
use engine::event::{EventTime, Level, LogEvent};
use engine::id::FindingId;
use engine::learnt::Learnt as _;

const SECOND: i64 = 1_000_000;
/// Noon of a UTC day, in seconds.
const NOON: i64 = 1_800_014_400;
/// Services that have a state of their own, by default.
const CAP: usize = 10_000;

/// The service whose clock is wrong.
const AHEAD: &str = "ahead";

struct Line(u64);

impl Origin for Line {
    fn finding_id(&self, detector: &str) -> FindingId {
        FindingId::of_record(detector, self.source().coordinates(), EventTime::default(), 0, b"x")
    }

    fn source(&self) -> Source {
        Source::File { identity: Text::from("1:2"), path: Text::from("a.log"), offset: self.0 }
    }
}

struct Stream {
    watch: Watch,
    news: News,
    lines: u64,
}

impl Stream {
    fn new() -> Self {
        let alerts = AlertSettings { audiences: vec![Audience::new("webhook")], ..AlertSettings::default() };
        let mut watch = Watch::new(&WatchSettings { alerts, ..WatchSettings::default() });
        watch.set_thresholds(Thresholds { odd: 0.6, warning: 0.9 });
        Self { watch, news: News::default(), lines: 0 }
    }

    /// A line of a service at a second; `score` above 0.6 is odd, `pattern` 0 is known to training.
    fn line(&mut self, service: &str, second: i64, level: Level, score: f64, pattern: u64) {
        // Other services' lines stand in another file.
        self.lines += u64::from(service != AHEAD);
        let event = LogEvent {
            timestamp: EventTime::from_micros(second * SECOND),
            service: service.into(),
            level: Some(level),
            message: format!("message of kind {pattern}"),
            ..LogEvent::default()
        };
        let seen = Seen {
            event: &event,
            score,
            percentile: 100.0 * score,
            pattern,
            known_pattern: pattern == 0,
            origin: &Line(self.lines),
        };
        self.watch.line(&seen, &mut |_| {}, &mut self.news);
    }

    fn tick(&mut self, second: i64) {
        let now = EventTime::from_micros(second * SECOND);
        self.watch.tick(Tick { now, caught_up: true }, &mut self.news);
    }

    fn told(&self) -> impl Iterator<Item = &AlertChange> {
        self.news.changes.iter().filter(|change| !change.notify.is_empty())
    }
}

#[test]
fn a_million_services_share_what_the_cap_leaves() {
    let mut stream = Stream::new();
    for number in 0..1_000_000_u64 {
        stream.line(&format!("service-{number}"), NOON + number as i64 / 10_000, Level::Error, 0.95, 0);
        stream.news.anomalies.clear();
        stream.news.changes.clear();
    }
    stream.tick(NOON + 102);
    let bank = stream.watch.detectors();
    assert_eq!(bank.services(), CAP);
    assert_eq!(bank.counters().beyond_cap, 1_000_000 - CAP as u64);
    assert!(stream.watch.alerts().open().count() <= CAP + 1);
    let mut snapshot = Vec::new();
    stream.watch.snapshot(&mut snapshot);
    let per_service = snapshot.len() / CAP;
    assert!((1..32 * 1024).contains(&per_service), "{per_service} bytes a service");
    let mut again = Stream::new();
    again.watch.restore(&snapshot).unwrap();
    assert_eq!(again.watch.detectors().services(), CAP);
}

#[test]
fn a_service_whose_clock_is_a_year_ahead_disturbs_nobody() {
    let run = |with_the_wrong_clock: bool| {
        let mut stream = Stream::new();
        for second in 0..1_200 {
            let now = NOON + second;
            stream.tick(now);
            stream.line("billing", now, Level::Info, 0.3, 0);
            if (600..603).contains(&second) {
                (0..4).for_each(|_| stream.line("billing", now, Level::Error, 0.3, 0));
            }
            if with_the_wrong_clock {
                stream.line(AHEAD, now + 366 * 86_400, Level::Info, 0.3, 0);
            }
        }
        let future = stream.watch.detectors().counters().future;
        assert_eq!(future, if with_the_wrong_clock { 1_200 } else { 0 });
        let of_billing = |change: &AlertChange| change.alert.service == "billing";
        stream.news.changes.into_iter().filter(of_billing).collect::<Vec<_>>()
    };
    let undisturbed = run(false);
    let causes: Vec<Cause> = undisturbed.iter().map(|change| change.cause).collect();
    assert_eq!(causes, [Cause::Opened, Cause::Resolved]);
    assert_eq!(run(true), undisturbed);
}

#[test]
fn an_hour_of_new_patterns_stays_within_the_budget_and_the_notice_tells_the_rest() {
    let mut stream = Stream::new();
    let services: Vec<String> = (0..40).map(|number| format!("service-{number}")).collect();
    let mut pattern = 1;
    for second in 0..3_600 {
        stream.tick(NOON + second);
        // Each is silent long enough in between for its alert to be resolved.
        let service = &services[(second / 90) as usize];
        for _ in 0..5 {
            stream.line(service, NOON + second, Level::Info, 0.95, pattern);
            pattern += 1;
        }
    }
    assert_eq!(stream.told().count(), 10);
    let held_back = stream.watch.alerts().counters().held_back;
    assert_eq!(held_back, 30);
    // Until the day is over.
    for second in (3_600..13 * 3_600).step_by(60) {
        stream.tick(NOON + second);
    }
    let notices: Vec<&AlertChange> = stream.told().filter(|change| change.cause == Cause::Notice).collect();
    assert_eq!(notices.len(), 1);
    assert!(notices[0].alert.message.starts_with("30 more alerts"), "{}", notices[0].alert.message);
}
