//! `rig detectors`: fifteen simulated days with labelled incidents through model, detectors and alerts, in event
//! time, and how many of the incidents each detector finds.

mod judge;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use engine::alert::{AlertBook, AlertChange, AlertSettings, Audience, Cause};
use engine::decode::business::BusinessNames;
use engine::detect::{
    Anomaly, Detectors, Finding, Origin, Seen, Sessions, Settings, Severity, Source, Thresholds, Tick,
};
use engine::event::{EventTime, LogEvent};
use engine::features::{Canonical, Line, Masked, stable_hash};
use engine::id::{Coordinates, FindingId};
use engine::model::session::{SessionKey, SessionSettings, SessionTrainer};
use engine::model::train::{FirstPass, TrainParams};
use engine::model::{Model, Provenance, RecentLines, Scratch};
use simulator::days::{DayParams, Days};

/// What to run.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Simulated days, at least 9
    #[arg(long, default_value_t = 15)]
    days: u32,
    /// Incidents of each kind, half at 1.2 times the bound, half at 3 times
    #[arg(long, default_value_t = 100)]
    per_kind: usize,
    /// Seed of the simulated days
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Odd lines a day that are worth a warning (ALERT_BUDGET_PER_DAY): only those count as found
    #[arg(long, default_value_t = 10.0)]
    budget: f64,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Print findings of this detector that no incident explains
    #[arg(long)]
    show_false: Option<String>,
    /// Print incidents of this kind that were not found
    #[arg(long)]
    show_missed: Option<String>,
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// Lines that are scored, then given to the detectors: long enough to be timed.
const BATCH: usize = 4_096;
/// One in so many lines of the first day trains the model; its patterns are all known.
const TRAIN_EVERY: usize = 5;
/// By what lines belong together (SESSION_KEY): cases, requests and transactions.
const SESSION_KEY: &str = "case_id,trace_id,transaction_id";

/// A line without coordinates of its own.
pub(crate) struct Numbered(pub u64);

impl Origin for Numbered {
    fn finding_id(&self, detector: &str) -> FindingId {
        FindingId::of_record(detector, Coordinates::Stdin { line: self.0 }, EventTime::default(), 0, b"")
    }

    fn source(&self) -> Source {
        Source::Stdin { line: self.0 }
    }
}

/// Masked patterns by their hash, most of them from a table of recent lines.
struct Patterns {
    line: Line,
    canonical: Canonical,
    masked: Masked,
    recent: RecentLines<u64>,
    known: std::collections::HashSet<u64>,
}

impl Patterns {
    fn of(&mut self, event: &LogEvent) -> u64 {
        self.line.canonicalise(event.into());
        let key = self.line.key(self.recent.key_maker(), event.into());
        self.recent.get(key).unwrap_or_else(|| {
            self.canonical.read(&event.message);
            self.masked.mask(&self.canonical);
            let pattern = stable_hash(4, self.masked.pattern().as_bytes());
            self.recent.put(key, pattern);
            pattern
        })
    }
}

/// What a run cost and found.
#[derive(Default)]
struct Outcome {
    anomalies: Vec<Anomaly>,
    changes: BTreeMap<&'static str, u64>,
    notifications: u64,
    lines: u64,
    scoring: Duration,
    detecting: Duration,
}

/// Runs and prints.
///
/// # Errors
/// The model cannot be trained, or standard output cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let params = DayParams {
        seed: arguments.seed,
        days: arguments.days.max(9),
        per_kind: arguments.per_kind,
        ..DayParams::default()
    };
    let mut days = Days::new(params);
    let injections = days.injections().to_vec();
    let services = days.services().count();
    let mut patterns = Patterns {
        line: Line::default(),
        canonical: Canonical::default(),
        masked: Masked::default(),
        recent: RecentLines::new(1 << 16, 7),
        known: std::collections::HashSet::new(),
    };
    let first_day = params.start.as_micros() + DAY;
    let mut history = Vec::new();
    for event in days.by_ref() {
        patterns.of(&event);
        let over = event.timestamp.as_micros() >= first_day;
        history.push(event);
        if over {
            break;
        }
    }
    history.iter().for_each(|event| {
        let pattern = patterns.of(event);
        patterns.known.insert(pattern);
    });
    let model = Arc::new(train(&history, params.seed)?);
    eprintln!(
        "{} lines of the first day, {} patterns; {services} services",
        history.len(),
        patterns.known.len()
    );
    let outcome = stream(&model, &mut patterns, history, days, arguments.budget);
    let tables = judge::judge(&injections, &outcome.anomalies);
    if let Some(kind) = &arguments.show_false {
        judge::show_false(kind, &injections, &outcome.anomalies);
    }
    if let Some(kind) = &arguments.show_missed {
        judge::show_missed(kind, &injections, &outcome.anomalies);
    }
    let per_line = |spent: Duration| spent.as_nanos() as f64 / outcome.lines.max(1) as f64;
    let per_day = outcome.notifications as f64 / f64::from(params.days);
    if arguments.json {
        let json = serde_json::json!({
            "kinds": tables,
            "days": params.days,
            "services": services,
            "lines": outcome.lines,
            "notifications_per_day": per_day,
            "scoring_ns_per_line": per_line(outcome.scoring),
            "detecting_ns_per_line": per_line(outcome.detecting),
            "alerts": outcome.changes,
        });
        println!("{json}");
        return Ok(());
    }
    judge::print(&tables);
    println!(
        "\n{} days, {services} services, {} lines; {per_day:.1} notifications a day; alert records: {:?}",
        params.days, outcome.lines, outcome.changes
    );
    println!(
        "scoring {:.0} ns a line, detectors and alerts {:.0} ns a line",
        per_line(outcome.scoring),
        per_line(outcome.detecting)
    );
    Ok(())
}

fn train(history: &[LogEvent], seed: u64) -> Result<Model> {
    let sample: Vec<LogEvent> = history.iter().step_by(TRAIN_EVERY).cloned().collect();
    let params = TrainParams { seed, ..TrainParams::default() }.check().map_err(|errors| {
        anyhow!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    })?;
    let mut sessions =
        SessionTrainer::new(params.clone(), SessionKey::parse(SESSION_KEY)?, SessionSettings::default());
    // A session of which only some lines are known is another one: all lines of the day.
    sessions.observe(history);
    let sessions = sessions.finish().context("the first day holds no two sessions")?;
    let mut first = FirstPass::new(params);
    first.observe(&sample);
    let mut second = first.grow().context("the first day holds too little")?;
    second.calibrate(&sample);
    let time = |event: Option<&LogEvent>| event.map_or(0, |event| event.timestamp.as_micros());
    let model = second.finish(Provenance {
        rows: sample.len() as u64,
        first_time: time(sample.first()),
        last_time: time(sample.last()),
        ..Provenance::default()
    });
    Ok(model.with_sessions(sessions))
}

/// The score above which a line is worth a warning: so many a day at the rate of all lines. Only those are measured:
/// how many more lines are called odd is a matter of `CONTAMINATION`.
fn thresholds(model: &Model, budget: f64) -> Thresholds {
    let per_day = budget / TRAIN_EVERY as f64;
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if model.expected_per_day(middle).unwrap_or(0.0) > per_day {
            low = middle;
        } else {
            high = middle;
        }
    }
    Thresholds { odd: high, warning: high }
}

fn stream(
    model: &Arc<Model>,
    patterns: &mut Patterns,
    history: Vec<LogEvent>,
    days: Days,
    budget: f64,
) -> Outcome {
    let mut detectors = Detectors::new(Settings::default(), &BusinessNames::default());
    detectors.set_thresholds(thresholds(model, budget));
    detectors.set_sessions(Sessions::of(model, None).map(|sessions| sessions.with_warnings_a_day(budget)));
    let audiences = vec![Audience::new("chat")];
    let mut book = AlertBook::new(AlertSettings { audiences, ..AlertSettings::default() });
    let mut scratch = Scratch::with_table(1 << 16, 7);
    let mut outcome = Outcome::default();
    let (mut found, mut changes) = (Vec::new(), Vec::new());
    let mut ticked: Option<i64> = None;
    let mut scores = Vec::with_capacity(BATCH);
    let mut batch = Vec::with_capacity(BATCH);
    let mut events = history.into_iter().chain(days).peekable();
    while events.peek().is_some() {
        batch.clear();
        batch.extend(events.by_ref().take(BATCH));
        let began = Instant::now();
        scores.clear();
        scores.extend(batch.iter().map(|event| model.score(event, &mut scratch)));
        outcome.scoring += began.elapsed();
        let hashes: Vec<u64> = batch.iter().map(|event| patterns.of(event)).collect();
        let began = Instant::now();
        for ((event, score), pattern) in batch.iter().zip(&scores).zip(hashes) {
            outcome.lines += 1;
            let now = event.timestamp.as_micros().div_euclid(SECOND);
            for second in ticked.map_or(now, |ticked| ticked + 1)..=now {
                let now = EventTime::from_micros(second * SECOND);
                detectors.tick(Tick { now, caught_up: true }, &mut found);
                found.iter().for_each(|finding| book.push(finding, &mut changes));
                keep(&mut found, &mut outcome.anomalies);
                book.tick(now, &|service| detectors.event_time_of(service), &mut changes);
                ticked = Some(second);
            }
            let origin = Numbered(outcome.lines);
            let seen = Seen {
                event,
                score: score.score,
                percentile: score.percentile,
                pattern,
                known_pattern: patterns.known.contains(&pattern),
                origin: &origin,
            };
            detectors.push(&seen, &mut found);
            if !found.is_empty() {
                found.iter().for_each(|finding| book.push(finding, &mut changes));
                keep(&mut found, &mut outcome.anomalies);
            }
        }
        outcome.detecting += began.elapsed();
        count(&mut changes, &mut outcome);
    }
    outcome
}

/// Of odd sessions, as of odd lines, those that are worth a warning: which share is called odd beyond them is a matter
/// of `CONTAMINATION`.
fn is_measured(anomaly: &Anomaly) -> bool {
    anomaly.detector != "odd_session" || anomaly.severity >= Severity::Warning
}

fn keep(found: &mut Vec<Finding>, anomalies: &mut Vec<Anomaly>) {
    anomalies.extend(found.drain(..).filter_map(|finding| match finding {
        Finding::Anomaly(anomaly) => Some(*anomaly).filter(is_measured),
        Finding::Holds { .. } => None,
    }));
}

fn count(changes: &mut Vec<AlertChange>, outcome: &mut Outcome) {
    for change in changes.drain(..) {
        let cause = match change.cause {
            Cause::Opened => "opened",
            Cause::Graver => "graver",
            Cause::Muted => "muted",
            Cause::Unmuted => "unmuted",
            Cause::Repeat => "repeat",
            Cause::Resolved => "resolved",
            Cause::Notice => "notice",
        };
        *outcome.changes.entry(cause).or_default() += 1;
        outcome.notifications += change.notify.len() as u64;
    }
}
