//! Business events in batches: audit, business process (BPM) and performance tracking records, with labelled anomalies.
//! Pure as the rest of the library: seed and times are arguments.

use std::collections::VecDeque;

use engine::event::{EventTime, Level};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Value, json};

use crate::{ParamError, SimLine};

/// A family of business events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Who did what to which thing, and whether it was allowed.
    Audit,
    /// The steps of business processes, started and finished, by transaction.
    Bpm,
    /// Operations with their response times.
    Performance,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 3] = [Self::Audit, Self::Bpm, Self::Performance];

    /// Its name, which is the service of its records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Bpm => "bpm",
            Self::Performance => "performance",
        }
    }

    /// The kinds of anomalies that are injected into it, as labels name them.
    pub const fn anomalies(self) -> &'static [&'static str] {
        match self {
            Self::Audit => &["audit_denied", "audit_mass_delete", "audit_privilege"],
            Self::Bpm => &["bpm_failed_step", "bpm_never_finished", "bpm_slow_step"],
            Self::Performance => &["performance_failed", "performance_slow"],
        }
    }
}

impl std::str::FromStr for Family {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|family| family.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no family; there are audit, bpm and performance"))
    }
}

/// What to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyParams {
    /// The same parameters give the same lines.
    pub seed: u64,
    /// Time of the first batch.
    pub start: EventTime,
    /// Which families; each gives batches of its own.
    pub families: Vec<Family>,
    /// Records of one batch of one family, 1–100 000.
    pub batch: u32,
    /// From one batch to the next, 0.001–86 400 s.
    pub every_s: f64,
    /// Share of records that are anomalies, 0–1.
    pub anomaly_ratio: f64,
}

impl Default for FamilyParams {
    fn default() -> Self {
        Self {
            seed: 42,
            start: EventTime::from_micros(0),
            families: Family::ALL.to_vec(),
            batch: 50,
            every_s: 5.0,
            anomaly_ratio: 0.05,
        }
    }
}

impl FamilyParams {
    /// Checks every range.
    ///
    /// # Errors
    /// All parameters that are out of range.
    pub fn check(&self) -> Result<(), Vec<ParamError>> {
        let rows: [(&'static str, String, bool, &'static str); 4] = [
            ("families", String::new(), !self.families.is_empty(), "audit, bpm, performance, at least one"),
            ("batch", self.batch.to_string(), (1..=100_000).contains(&self.batch), "records in [1, 100000]"),
            (
                "every_s",
                self.every_s.to_string(),
                (0.001..=86_400.0).contains(&self.every_s),
                "seconds in [0.001, 86400]",
            ),
            (
                "anomaly_ratio",
                self.anomaly_ratio.to_string(),
                (0.0..=1.0).contains(&self.anomaly_ratio),
                "a share in [0, 1]",
            ),
        ];
        let wrong = rows.into_iter().filter(|(_, _, valid, _)| !valid);
        let errors: Vec<_> =
            wrong.map(|(name, value, _, allowed)| ParamError { name, value, allowed }).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

const ACTORS: &[&str] = &["amir", "bea", "chidi", "dana", "elif", "farid", "greta", "hugo"];
const ACTIONS: &[(&str, &str)] = &[
    ("login", "console"),
    ("read", "invoice"),
    ("update", "customer"),
    ("export", "report"),
    ("approve", "refund"),
];
const PROCESSES: &[(&str, &[&str])] = &[
    ("order-to-cash", &["validate", "reserve", "charge", "ship"]),
    ("refund", &["check", "approve", "pay-out"]),
    ("onboarding", &["verify", "create-account", "welcome"]),
];
const OPERATIONS: &[(&str, u32)] = &[
    ("GET /catalog", 35),
    ("POST /orders", 120),
    ("GET /orders", 60),
    ("POST /payments", 240),
    ("search", 90),
];

/// An endless stream of records in order of time, batch after batch.
#[derive(Debug)]
pub struct Families {
    params: FamilyParams,
    rng: Xoshiro256PlusPlus,
    batches: u64,
    waiting: VecDeque<SimLine>,
}

/// One record before it gets its time and family.
struct Draft {
    level: Level,
    message: String,
    fields: Vec<(&'static str, Value)>,
    trace_id: String,
    duration_ms: Option<u32>,
    label: Option<&'static str>,
}

impl Families {
    /// A stream for these parameters.
    ///
    /// # Errors
    /// All parameters that are out of range.
    pub fn new(params: FamilyParams) -> Result<Self, Vec<ParamError>> {
        params.check()?;
        let rng = Xoshiro256PlusPlus::seed_from_u64(params.seed);
        Ok(Self { params, rng, batches: 0, waiting: VecDeque::new() })
    }

    fn batch(&mut self) {
        let since = (self.batches as f64 * self.params.every_s * 1e3) as i64 * 1_000;
        let start = self.params.start.as_micros() + since;
        // Records of a batch are spread over a tenth of the time to the next one.
        let gap = (self.params.every_s * 1e5 / f64::from(self.params.batch)) as i64;
        let mut batch: Vec<(i64, Family, Draft)> = Vec::new();
        for family in self.params.families.clone() {
            let mut place = 0;
            while place < i64::from(self.params.batch) {
                let is_odd = self.rng.gen_bool(self.params.anomaly_ratio);
                let drafts = match family {
                    Family::Audit => vec![self.audit(is_odd)],
                    Family::Bpm => self.bpm(is_odd),
                    Family::Performance => vec![self.performance(is_odd)],
                };
                for draft in drafts {
                    batch.push((start + place * gap / 1_000 * 1_000, family, draft));
                    place += 1;
                }
            }
        }
        batch.sort_by_key(|(time, ..)| *time);
        self.waiting.extend(batch.into_iter().map(|(time, family, draft)| SimLine {
            timestamp: EventTime::from_micros(time),
            service: family.as_str(),
            level: draft.level,
            message: draft.message,
            trace_id: draft.trace_id,
            duration_ms: draft.duration_ms,
            access: None,
            fields: draft.fields,
            label: draft.label,
        }));
        self.batches += 1;
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.rng.gen_range(0..list.len())]
    }

    fn id(&mut self) -> String {
        format!("{:032x}", self.rng.r#gen::<u128>())
    }

    /// An ordinary duration around a typical one: never more than two and a half times as long.
    fn usual_ms(&mut self, typical: u32) -> u32 {
        let share: f64 =
            self.rng.gen_range(0.5..1.2) + self.rng.gen_range(0.0..1.1) * self.rng.gen_range(0.0..1.1);
        (f64::from(typical) * share) as u32 + 1
    }

    fn audit(&mut self, is_odd: bool) -> Draft {
        let label = is_odd.then(|| self.one_of(Family::Audit.anomalies()));
        let actor = self.one_of(ACTORS);
        let (mut action, mut resource) = self.one_of(ACTIONS);
        let mut count = 1;
        let (mut level, mut outcome) = (Level::Info, "success");
        match label {
            Some("audit_denied") => (level, outcome) = (Level::Error, "failure"),
            Some("audit_mass_delete") => (action, resource, count) = ("delete", "customer", 5_000),
            Some(_) => (action, resource, level) = ("grant-admin", "role", Level::Warn),
            None => {}
        }
        let number = self.rng.gen_range(1_000..9_999);
        let message = match (outcome, count) {
            ("failure", _) => format!("{actor} was denied to {action} {resource} {number}"),
            (_, 1) => format!("{actor} did {action} on {resource} {number}"),
            (_, many) => format!("{actor} did {action} on {many} {resource} records at once"),
        };
        let duration_ms = Some(self.usual_ms(20));
        let fields = vec![
            ("family", json!("audit")),
            ("actor", json!(actor)),
            ("action", json!(action)),
            ("resource", json!(format!("{resource}/{number}"))),
            ("count", json!(count)),
            ("outcome", json!(outcome)),
        ];
        Draft { level, message, fields, trace_id: self.id(), duration_ms, label }
    }

    /// A step of a process: that it started, and how it ended.
    fn bpm(&mut self, is_odd: bool) -> Vec<Draft> {
        let label = is_odd.then(|| self.one_of(Family::Bpm.anomalies()));
        let (process, steps) = self.one_of(PROCESSES);
        let step = self.one_of(steps);
        let transaction = self.id();
        let record = |level, phase: &str, outcome: Option<&str>, duration_ms: Option<u32>, label| {
            let mut fields = vec![
                ("family", json!("bpm")),
                ("process", json!(process)),
                ("step", json!(step)),
                ("transaction_id", json!(transaction)),
                ("phase", json!(phase)),
            ];
            fields.extend(outcome.map(|outcome| ("outcome", json!(outcome))));
            let message = format!("{process}: {step} {phase}");
            Draft { level, message, fields, trace_id: transaction.clone(), duration_ms, label }
        };
        let never_ends = label == Some("bpm_never_finished");
        let mut drafts = vec![record(Level::Info, "started", None, None, label.filter(|_| never_ends))];
        if never_ends {
            return drafts;
        }
        let end = match label {
            Some("bpm_failed_step") => (Level::Error, "failed", "failure", 700),
            Some(_) => (Level::Warn, "finished", "success", 95_000),
            None => (Level::Info, "finished", "success", 700),
        };
        let (level, phase, outcome, typical) = end;
        let share: u32 = typical / 2 + (transaction.bytes().map(u32::from).sum::<u32>() % typical);
        drafts.push(record(level, phase, Some(outcome), Some(share), label));
        drafts
    }

    fn performance(&mut self, is_odd: bool) -> Draft {
        let label = is_odd.then(|| self.one_of(Family::Performance.anomalies()));
        let (operation, typical) = self.one_of(OPERATIONS);
        let (level, outcome, typical) = match label {
            Some("performance_slow") => (Level::Warn, "success", typical * 400),
            Some(_) => (Level::Error, "failure", typical),
            None => (Level::Info, "success", typical),
        };
        let duration = self.usual_ms(typical);
        let ended = if outcome == "success" { "completed" } else { "failed" };
        let fields = vec![
            ("family", json!("performance")),
            ("operation", json!(operation)),
            ("outcome", json!(outcome)),
        ];
        let message = format!("{operation} {ended} in {duration} ms");
        Draft { level, message, fields, trace_id: self.id(), duration_ms: Some(duration), label }
    }
}

impl Iterator for Families {
    type Item = SimLine;

    fn next(&mut self) -> Option<SimLine> {
        while self.waiting.is_empty() {
            self.batch();
        }
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use engine::decode::business::{Business, BusinessNames, Outcome, Phase};
    use engine::decode::{DecodeSettings, Decoder, RecordContext};

    use super::*;

    fn lines(params: FamilyParams, count: usize) -> Vec<SimLine> {
        Families::new(params).unwrap().take(count).collect()
    }

    #[test]
    fn batches_are_repeatable_in_order_and_as_often_odd_as_asked_for() {
        let params = FamilyParams::default();
        let all = lines(params.clone(), 15_000);
        assert_eq!(all, lines(params, 15_000));
        assert!(all.windows(2).all(|pair| pair[0].timestamp <= pair[1].timestamp));
        let odd = all.iter().filter(|line| line.label.is_some()).count() as f64 / 15_000.0;
        assert!((0.03..0.06).contains(&odd), "{odd}");
        let labels: BTreeSet<&str> = all.iter().filter_map(|line| line.label).collect();
        let known = Family::ALL.into_iter().flat_map(|family| family.anomalies().iter().copied());
        assert_eq!(labels, known.collect());
        // 50 records of each family (one more where a started step ends behind them), every five seconds.
        let first: Vec<_> = all.iter().filter(|line| line.timestamp.as_micros() < 5_000_000).collect();
        assert!((150..=151).contains(&first.len()), "{}", first.len());
    }

    #[test]
    fn a_reader_finds_durations_outcomes_and_phases() {
        let decoder = Decoder::new(DecodeSettings::default());
        let names = BusinessNames::default();
        let (mut phases, mut outcomes, mut slow) = (BTreeSet::new(), BTreeSet::new(), 0);
        for line in lines(FamilyParams { anomaly_ratio: 0.2, ..FamilyParams::default() }, 3_000) {
            let mut events = Vec::new();
            decoder.decode(line.json().as_bytes(), RecordContext::default(), &mut events).unwrap();
            assert_eq!(events[0].service, line.service);
            let business = Business::of(&events[0], &names);
            phases.extend(business.phase.map(|phase| phase == Phase::Started));
            outcomes.extend(business.outcome.map(|outcome| outcome == Outcome::Failure));
            slow += usize::from(business.duration_ms.is_some_and(|duration| duration > 30_000.0));
        }
        assert_eq!((phases.len(), outcomes.len()), (2, 2));
        assert!(slow > 10, "{slow}");
    }

    #[test]
    fn wrong_parameters_are_all_named() {
        let params = FamilyParams {
            families: Vec::new(),
            batch: 0,
            every_s: 0.0,
            anomaly_ratio: 2.0,
            ..FamilyParams::default()
        };
        assert_eq!(Families::new(params).unwrap_err().len(), 4);
        assert!("hr".parse::<Family>().unwrap_err().contains("audit"));
    }
}
