//! Incidents: which kind befalls which service when and how strongly, and the lines that some of them add.

use engine::event::{EventTime, Level, LogEvent, TimeSource};
use rand::Rng;

use super::service::{Family, Service, event};
use super::{DAY, DayParams, HOUR, SECOND, flow};

/// Kinds of incidents: the names of the detectors that should find them.
pub const KINDS: &[&str] = &[
    "odd_line",
    "new_pattern",
    "error_burst",
    "error_rate",
    "failure_spike",
    "missing_heartbeat",
    "slow_responses",
    "transaction_timeout",
    "volume",
    "degradation",
    "error_class",
    "slow_step",
    "odd_session",
];

/// One labelled incident of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Injection {
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// The service.
    pub service: String,
    /// When it begins.
    pub start: EventTime,
    /// When it ends.
    pub end: EventTime,
    /// Times the bound of the kind's rule: 1.2 or 3; 0 for a service that is retired.
    pub strength: f64,
    /// Downwards instead of up (volume).
    pub is_low: bool,
    /// Counts within the kind.
    pub number: usize,
}

impl Injection {
    fn seconds(kind: &str, strength: f64) -> i64 {
        match kind {
            "error_rate" | "slow_step" => 300,
            "failure_spike" => 1_200,
            "missing_heartbeat" => (300.0 * strength) as i64,
            "slow_responses" => 600,
            "transaction_timeout" => (300.0 * strength) as i64,
            "volume" => 1_200,
            "degradation" => 1_200,
            "error_class" => 40,
            "odd_session" => flow::LONGEST_S,
            _ => 5,
        }
    }

    /// Id of the one case that is odd, for the kind `odd_session`.
    pub fn session(&self) -> Option<String> {
        (self.kind == "odd_session").then(|| flow::odd_id(self.number))
    }
}

fn suits(kind: &str, family: Family) -> bool {
    match kind {
        "error_rate" | "failure_spike" => family == Family::Audit,
        "slow_responses" | "degradation" => family == Family::Performance,
        "transaction_timeout" => family == Family::Bpm,
        "slow_step" => family == Family::Step,
        "odd_session" => family == Family::Flow,
        _ => family == Family::Plain,
    }
}

/// Incidents at random, never two of one service in neighbouring hours.
///
/// `flow_rng` places those of cases, so that they change nothing of the others.
pub(super) fn plan<R: Rng>(
    params: &DayParams,
    services: &[Service],
    rng: &mut R,
    flow_rng: &mut R,
) -> Vec<Injection> {
    let start = params.start.as_micros();
    let mut taken = std::collections::BTreeSet::new();
    let mut all = Vec::new();
    for kind in KINDS {
        let rng = if *kind == "odd_session" { &mut *flow_rng } else { &mut *rng };
        let suited: Vec<usize> =
            (0..services.len()).filter(|index| suits(kind, services[*index].family)).collect();
        // What is compared with the week before comes after it.
        let first = if matches!(*kind, "volume" | "failure_spike") { 8 * 24 } else { 30 };
        let last = i64::from(params.days) * 24 - 2;
        for number in 0..params.per_kind {
            let (service, hour) = loop {
                let service = suited[rng.gen_range(0..suited.len())];
                let hour = rng.gen_range(first..last);
                if (-1..=1).all(|off| !taken.contains(&(service, hour + off))) {
                    break (service, hour);
                }
            };
            taken.insert((service, hour));
            let strength = if number.is_multiple_of(2) { 1.2 } else { 3.0 };
            let begin = start + hour * HOUR + rng.gen_range(60..900) * SECOND;
            // Within one window of five seconds.
            let begin = begin.div_euclid(5 * SECOND) * 5 * SECOND;
            all.push(Injection {
                kind,
                service: services[service].name.clone(),
                start: EventTime::from_micros(begin),
                end: EventTime::from_micros(begin + Injection::seconds(kind, strength) * SECOND),
                strength,
                is_low: number % 4 >= 2,
                number,
            });
        }
    }
    for service in services.iter().filter(|service| service.family == Family::Retired) {
        all.push(Injection {
            kind: "missing_heartbeat",
            service: service.name.clone(),
            start: EventTime::from_micros(start + 11 * DAY),
            end: EventTime::from_micros(start + 12 * DAY),
            strength: 0.0,
            is_low: true,
            number: 0,
        });
    }
    all.sort_by(|a, b| (a.start, &a.service).cmp(&(b.start, &b.service)));
    all
}

/// The lines that an incident adds to what its service says.
pub(super) fn extra_lines(injection: &Injection, rng: &mut impl Rng) -> Vec<LogEvent> {
    let start = injection.start.as_micros();
    let span = injection.end.as_micros() - start;
    let count = (5.0 * injection.strength).round() as i64;
    let lines = |level, make: &mut dyn FnMut() -> String| {
        (0..count)
            .map(|line| {
                event(start + span * (line * 2 + 1) / (count * 2 + 2), &injection.service, level, make())
            })
            .collect()
    };
    match injection.kind {
        "error_burst" => {
            let number = rng.gen_range(1_000..9_000);
            lines(Level::Error, &mut || format!("Request {number} failed: remote side closed"))
        }
        "error_class" if injection.is_low => lines(Level::Error, &mut || {
            "Deadlock found when trying to get lock; transaction rolled back".to_owned()
        }),
        "error_class" => {
            let user = rng.gen_range(1_000..9_000);
            lines(Level::Warn, &mut || format!("Failed login for user {user}, attempt 3"))
        }
        "odd_line" => vec![event(start, &injection.service, Level::Error, odd(injection.number))],
        "odd_session" => flow::odd(injection, rng),
        "new_pattern" => vec![event(start, &injection.service, Level::Info, fresh(injection.number))],
        "transaction_timeout" => {
            let id = format!("late-{}", injection.number);
            let phase = |time, phase: &str| LogEvent {
                timestamp: EventTime::from_micros(time),
                time_source: TimeSource::Record,
                service: injection.service.clone(),
                level: Some(Level::Info),
                message: format!("Approval {phase}"),
                attributes: [("transaction_id", id.as_str()), ("process", "approval"), ("phase", phase)]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
            };
            vec![phase(start, "started"), phase(injection.end.as_micros(), "completed")]
        }
        _ => Vec::new(),
    }
}

const ODD: [&str; 12] = [
    "segmentation fault at address 0xdeadbeef in libcrypto",
    "kernel oops: unable to handle paging request",
    "xmrig miner started with pool stratum",
    "panic: index out of range, goroutine dump follows",
    "certificate of vault expired, refusing handshake",
    "disk sda reports unrecoverable read fault, remounting readonly",
    "java.lang.OutOfMemoryError: Metaspace exhausted, heap histogram written",
    "clock jumped backwards, lease of leader invalid",
    "checksum mismatch, quarantining corrupted segment",
    "split brain suspected, two primaries claim epoch",
    "unexpected reboot by watchdog, last gasp telemetry lost",
    "privilege escalation attempt: setuid binary outside whitelist",
];

const SUBJECTS: [&str; 12] = [
    "kettle", "garden", "lantern", "violin", "harbour", "meadow", "copper", "saddle", "thimble", "orchard",
    "pebble", "walnut",
];

/// A line of words that no ordinary line has.
fn odd(number: usize) -> String {
    let subject = SUBJECTS[number / ODD.len() % SUBJECTS.len()];
    format!("{} ({subject})", ODD[number % ODD.len()])
}

/// A harmless sentence that was never said before.
fn fresh(number: usize) -> String {
    let (a, b) = (SUBJECTS[number % SUBJECTS.len()], SUBJECTS[number / SUBJECTS.len() % SUBJECTS.len()]);
    format!("Switched {a} policy over to {b} mode")
}
