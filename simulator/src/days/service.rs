//! The company's services: how often each speaks at which hour, and what it says.

use engine::event::{EventTime, Level, LogEvent, TimeSource};
use rand::Rng;

use super::{DAY, HOUR, Injection, SECOND, flow};

/// What a service is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Says what it does.
    Plain,
    /// Audit: operations with an outcome, a tenth of which fails.
    Audit,
    /// BPM: transactions that start and end.
    Bpm,
    /// Performance tracking: operations with a duration.
    Performance,
    /// First of a chain of three services that each request passes; its lines speak for all three.
    Edge,
    /// Second or third of that chain.
    Step,
    /// Works for ten minutes at two in the night.
    Nightly,
    /// Its traffic grows by a seventh a day.
    Growing,
    /// Goes for good on the eleventh day.
    Retired,
    /// Business cases of several steps, whose lines carry the id of their case.
    Flow,
}

/// One service.
#[derive(Debug)]
pub(super) struct Service {
    pub name: String,
    pub family: Family,
    /// Mean lines (or requests) per second.
    rate: f64,
    /// Number within its family.
    pub number: usize,
    /// Its incidents, by index, in order of time.
    pub injections: Vec<usize>,
    /// The first of them that is not over.
    next: usize,
}

const PLAIN: [&str; 12] = [
    "gateway",
    "catalog",
    "search",
    "cart",
    "users",
    "shipping",
    "notifications",
    "inventory",
    "pricing",
    "reviews",
    "media",
    "sessions",
];

/// The second and the third service of the chain that each request passes.
pub(super) const STEPS: [&str; 2] = ["rating", "ledger"];

/// All services.
pub(super) fn all() -> Vec<Service> {
    let mut all = Vec::new();
    let mut add = |family, rate: f64, names: &[&str]| {
        for (number, name) in names.iter().enumerate() {
            let rate = rate * (1.0 + number as f64 / 12.0);
            let (name, injections) = ((*name).to_owned(), Vec::new());
            all.push(Service { name, family, rate, number, injections, next: 0 });
        }
    };
    add(Family::Plain, 0.45, &PLAIN);
    add(Family::Audit, 2.5, &["audit-payments", "audit-access", "audit-orders"]);
    add(Family::Bpm, 0.1, &["bpm-approval", "bpm-claims", "bpm-onboarding"]);
    add(Family::Performance, 1.2, &["perf-checkout", "perf-report", "perf-quote", "perf-render"]);
    add(Family::Edge, 1.6, &["edge"]);
    add(Family::Step, 0.0, &STEPS);
    add(Family::Nightly, 20.0, &["nightly-batch"]);
    add(Family::Growing, 0.3, &["growing"]);
    add(Family::Retired, 0.5, &["retired"]);
    add(Family::Flow, 0.08, &flow::SERVICES);
    all
}

/// A line without attributes.
pub(super) fn event(time: i64, service: &str, level: Level, message: String) -> LogEvent {
    LogEvent {
        timestamp: EventTime::from_micros(time.div_euclid(1_000) * 1_000),
        time_source: TimeSource::Record,
        service: service.to_owned(),
        level: Some(level),
        message,
        attributes: Vec::new(),
    }
}

/// From 0 at `from` to 1 at `to`.
fn smooth(hour: f64, from: f64, to: f64) -> f64 {
    let x = ((hour - from) / (to - from)).clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

/// The share of the mean rate at a time: more by day than by night, less at the weekend.
fn cycle(time: i64, start: i64) -> f64 {
    let hours = (time - start) as f64 / HOUR as f64;
    let daily = 1.0 + 0.5 * ((hours - 9.0) / 24.0 * std::f64::consts::TAU).sin();
    let of_week = hours.rem_euclid(168.0);
    // The first day is a Monday.
    let weekend = smooth(of_week, 116.0, 124.0) - smooth(of_week, 160.0, 168.0);
    daily * (1.0 - 0.3 * weekend)
}

/// A skewed duration around `typical`, in milliseconds.
pub(super) fn duration(typical: f64, rng: &mut impl Rng) -> f64 {
    // Twelve uniform draws stand for a normal one: the same bits on every platform.
    let normal: f64 = (0..12).map(|_| rng.gen_range(0.0..1.0)).sum::<f64>() - 6.0;
    typical * (0.4 * normal).exp()
}

impl Service {
    /// The incident that goes on at a time.
    pub fn active<'i>(&mut self, injections: &'i [Injection], time: i64) -> Option<&'i Injection> {
        let over = |index: &usize| injections[*index].end.as_micros() < time;
        while self.injections.get(self.next).is_some_and(over) {
            self.next += 1;
        }
        let injection = &injections[*self.injections.get(self.next)?];
        (injection.start.as_micros() <= time).then_some(injection)
    }

    /// The incident that comes next.
    pub fn coming<'i>(&self, injections: &'i [Injection], time: i64) -> Option<&'i Injection> {
        let injection = &injections[*self.injections.get(self.next)?];
        (injection.start.as_micros() > time).then_some(injection)
    }

    /// Lines per second at a time; 0 where it is silent by nature.
    pub fn rate_at(&self, time: i64, start: i64, active: Option<&Injection>) -> f64 {
        let days = (time - start) as f64 / DAY as f64;
        match self.family {
            Family::Nightly => {
                let minute = (time - start).rem_euclid(DAY) / (60 * SECOND);
                return if (120..130).contains(&minute) { self.rate } else { 0.0 };
            }
            Family::Step => return 0.0,
            _ => {}
        }
        let growth = if self.family == Family::Growing { 1.0 + days / 7.0 } else { 1.0 };
        let volume = active.filter(|injection| injection.kind == "volume").map_or(1.0, |injection| {
            let factor = 3.0 * injection.strength;
            if injection.is_low { 1.0 / factor } else { factor }
        });
        self.rate * cycle(time, start) * growth * volume
    }

    /// What it says at a time.
    /// `slow_steps` is the share of slow ones among the requests' second and third steps.
    pub fn lines(
        &self,
        time: i64,
        start: i64,
        active: Option<&Injection>,
        slow_steps: [Option<f64>; 2],
        rng: &mut impl Rng,
    ) -> Vec<LogEvent> {
        let is = |kind: &str| active.filter(|injection| injection.kind == kind);
        match self.family {
            Family::Audit => {
                let usual = 0.1;
                let share = is("failure_spike").map_or(usual, |incident| usual * 2.0 * incident.strength);
                let failed = rng.gen_bool(share.min(1.0));
                vec![self.failing(self.audit(time, failed, rng), is("error_rate"), rng)]
            }
            Family::Performance => {
                let line = self.performance(time, is("slow_responses"), is("degradation"), rng);
                vec![self.failing(line, is("error_rate"), rng)]
            }
            Family::Bpm => self.transaction(time, rng),
            Family::Edge => Vec::from(self.request(time, slow_steps, rng)),
            Family::Flow => flow::usual(self.number, time, rng),
            _ => vec![self.plain(time, start, rng)],
        }
    }

    /// The line, or an ERROR line in its place while the error rate is up.
    fn failing(&self, line: LogEvent, incident: Option<&Injection>, rng: &mut impl Rng) -> LogEvent {
        let share = incident.map_or(0.002, |incident| (0.3 * incident.strength).min(0.95));
        if !rng.gen_bool(share) {
            return line;
        }
        let number = rng.gen_range(1..100_000);
        event(
            line.timestamp.as_micros(),
            &self.name,
            Level::Error,
            format!("Request {number} failed: remote side closed"),
        )
    }

    fn plain(&self, time: i64, start: i64, rng: &mut impl Rng) -> LogEvent {
        const VERBS: [&str; 8] =
            ["Loaded", "Stored", "Sent", "Checked", "Updated", "Queued", "Removed", "Copied"];
        const THINGS: [&str; 6] = ["record", "entry", "page", "message", "bundle", "snapshot"];
        let number: u32 = rng.gen_range(1..1_000_000);
        let thing = THINGS[self.number % THINGS.len()];
        // Deployments on the fifth, ninth and twelfth day: a service each learns to say three new things.
        let day = (time - start) / DAY;
        let deployed = [(1, 5), (4, 9), (7, 12)].contains(&(self.number, day.min(12)))
            || [(1, 5), (4, 9), (7, 12)]
                .iter()
                .any(|(number, since)| self.number == *number && day >= *since);
        if self.family == Family::Plain && deployed && rng.gen_bool(0.3) {
            const NEW: [&str; 3] = ["Replicated", "Compressed", "Archived"];
            let verb = NEW[number as usize % 3];
            return event(
                time,
                &self.name,
                Level::Info,
                format!("{verb} {thing} {number} beside the old one"),
            );
        }
        match rng.gen_range(0..1_000) {
            0..4 => {
                event(time, &self.name, Level::Error, format!("Request {number} failed: remote side closed"))
            }
            4..14 => event(time, &self.name, Level::Warn, format!("Answer for {thing} {number} was slow")),
            14..16 => {
                event(time, &self.name, Level::Warn, format!("Failed login for user {number}, attempt 1"))
            }
            _ => {
                let verb = VERBS[number as usize % VERBS.len()];
                event(
                    time,
                    &self.name,
                    Level::Info,
                    format!("{verb} {thing} {number} for customer {}", number / 7),
                )
            }
        }
    }

    fn audit(&self, time: i64, failed: bool, rng: &mut impl Rng) -> LogEvent {
        const OPERATIONS: [&str; 3] = ["charge_card", "grant_access", "accept_order"];
        let (outcome, level) = if failed { ("failure", Level::Warn) } else { ("success", Level::Info) };
        let operation = OPERATIONS[self.number];
        let mut line = event(
            time,
            &self.name,
            level,
            format!("{operation} by user {}: {outcome}", rng.gen_range(1..5_000)),
        );
        line.attributes =
            vec![("operation".to_owned(), operation.to_owned()), ("outcome".to_owned(), outcome.to_owned())];
        line
    }

    fn performance(
        &self,
        time: i64,
        slow: Option<&Injection>,
        degraded: Option<&Injection>,
        rng: &mut impl Rng,
    ) -> LogEvent {
        let mut typical = 80.0 * (1.0 + self.number as f64);
        if let Some(incident) = slow {
            // The 95th percentile is e^(1.645 × 0.4) times the median.
            typical = 30_000.0 * incident.strength / (1.645f64 * 0.4).exp();
        }
        if let Some(incident) = degraded {
            let rise = (time - incident.start.as_micros()) as f64 / (300 * SECOND) as f64;
            typical *= 1.0 + 0.5 * incident.strength * rise.min(1.0);
        }
        let ms = duration(typical, rng).max(1.0) as u64;
        let mut line =
            event(time, &self.name, Level::Info, format!("operation {} done", rng.gen_range(1..100_000)));
        line.attributes = vec![("duration_ms".to_owned(), ms.to_string())];
        line
    }

    fn transaction(&self, time: i64, rng: &mut impl Rng) -> Vec<LogEvent> {
        let id = format!("{:012x}", rng.gen_range(0u64..1 << 48));
        let took = (duration(20_000.0, rng).min(200_000.0) * 1e3) as i64;
        let phase = |time, phase: &str| {
            let mut line = event(time, &self.name, Level::Info, format!("Approval {phase}"));
            line.attributes = [("transaction_id", id.as_str()), ("process", "approval"), ("phase", phase)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
            line
        };
        vec![phase(time, "started"), phase(time + took, "completed")]
    }

    fn request(&self, time: i64, slow_steps: [Option<f64>; 2], rng: &mut impl Rng) -> [LogEvent; 3] {
        let id = format!("{:016x}", rng.gen_range(0u64..u64::MAX));
        let traced = |time, service: &str, message: &str| {
            let mut line = event(time, service, Level::Info, message.to_owned());
            line.attributes = vec![("trace_id".to_owned(), id.clone())];
            line
        };
        let mut step = |typical: f64, share: Option<f64>| {
            let typical =
                if share.is_some_and(|share| rng.gen_bool(share)) { 5.0 * typical + 200.0 } else { typical };
            (duration(typical, rng) * 1e3) as i64
        };
        let second = time + step(30.0, slow_steps[0]);
        let third = second + step(50.0, slow_steps[1]);
        [
            traced(time, &self.name, "request accepted"),
            traced(second, STEPS[0], "risk rated"),
            traced(third, STEPS[1], "booking written"),
        ]
    }
}
