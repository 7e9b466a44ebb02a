//! What people decided: a silence, or that something is normal; as it is kept, and as the config file has it.

use std::fmt::Write as _;

use engine::alert::Normal;
use engine::event::{EventTime, Level, LogEvent};
use engine::filter::Filter;
use jiff::{Timestamp, ToSpan as _};
use notify::{AlertRecord, PartField, Severity};
use serde::{Deserialize, Serialize};

/// Longest comment, and longest name of a detector, service or subject, in bytes.
const TEXT_BYTES: usize = 1_024;
/// Most that one decision calls normal.
const NORMALS: usize = 64;
/// Who made what stands in the config file.
const CONFIG_FILE: &str = "config file";

/// One decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Its name, unique.
    pub id: String,
    /// When it was made; unknown of one in the config file.
    pub created_at: Option<Timestamp>,
    /// By whom.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// What was decided.
    #[serde(flatten)]
    pub what: What,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum What {
    /// Nobody hears of alerts that match, until a time.
    Silence {
        /// A filter expression over alerts.
        filter: String,
        /// When it ends, by the clock.
        until: Timestamp,
    },
    /// Such anomalies join no alert.
    Normal {
        /// The alert on whose page it was decided.
        #[serde(default)]
        alert: Option<String>,
        /// What is normal.
        normals: Vec<Normal>,
    },
}

impl Decision {
    /// A new one, with an id that nobody has.
    pub fn new(what: What, comment: String, created_by: String, now: Timestamp) -> Self {
        let letter = match what {
            What::Silence { .. } => 's',
            What::Normal { .. } => 'n',
        };
        let random = crate::random::hex();
        let id = format!("{letter}-{}", random.get(..16).unwrap_or(&random));
        Self { id, created_at: Some(now), created_by, comment, what }
    }

    /// Refuses what cannot be used.
    ///
    /// # Errors
    /// Says what and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        let short = |name: &str, text: &str| match text.len() {
            0..=TEXT_BYTES => Ok(()),
            length => Err(format!("{name} has {length} bytes; at most {TEXT_BYTES} are allowed")),
        };
        short("comment", &self.comment)?;
        match &self.what {
            What::Silence { filter, .. } => {
                Filter::compile(filter).map(drop).map_err(|error| error.to_string())
            }
            What::Normal { normals, .. } => {
                if !(1..=NORMALS).contains(&normals.len()) {
                    return Err(format!(
                        "{} things are called normal; 1 to {NORMALS} are allowed",
                        normals.len()
                    ));
                }
                for Normal { detector, service, subject } in normals {
                    if detector.is_empty() {
                        return Err(
                            "detector is empty; the name of one is needed, see docs/detectors.md".to_owned()
                        );
                    }
                    short("detector", detector)?;
                    short("service", service)?;
                    short("subject", subject)?;
                }
                Ok(())
            }
        }
    }

    /// Whether it is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        matches!(self.what, What::Silence { until, .. } if until <= now)
    }

    /// Whether it stands in the config file, where alone it can be taken back.
    pub fn is_fixed(&self) -> bool {
        self.created_by == CONFIG_FILE
    }

    /// Its silence as alerts are matched with it.
    pub fn silence(&self) -> Option<engine::alert::Silence> {
        match &self.what {
            What::Silence { filter, until } => Some(engine::alert::Silence {
                id: self.id.clone(),
                filter: filter.clone(),
                until: EventTime::from_micros(until.as_microsecond()),
                comment: self.comment.clone(),
            }),
            What::Normal { .. } => None,
        }
    }

    /// Whether it is a silence that matches an alert as it stands on record; one that is resolved as it was before.
    pub fn is_over_alert(&self, alert: &AlertRecord) -> bool {
        let What::Silence { filter, .. } = &self.what else { return false };
        let level = match alert.severity {
            Severity::Info => Level::Info,
            Severity::Warning => Level::Warn,
            Severity::Error => Level::Error,
            Severity::Critical => Level::Fatal,
        };
        let attributes =
            [("severity", alert.severity.as_str()), ("detector", &alert.detector), ("id", &alert.id)];
        let event = LogEvent {
            service: alert.service.clone(),
            level: Some(level),
            message: alert.message.clone(),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            ..LogEvent::default()
        };
        Filter::compile(filter).is_ok_and(|filter| filter.matches(&event).unwrap_or(false))
    }

    /// What it calls normal.
    pub fn normals(&self) -> &[Normal] {
        match &self.what {
            What::Normal { normals, .. } => normals,
            What::Silence { .. } => &[],
        }
    }
}

/// What an alert says is wrong, each thing once.
pub fn of_alert(alert: &AlertRecord) -> Vec<Normal> {
    let normal = |part: &PartField| Normal {
        detector: part.detector.clone(),
        service: alert.service.clone(),
        subject: part.subject.clone(),
    };
    let mut normals: Vec<Normal> = alert.parts.iter().map(normal).collect();
    normals.sort();
    normals.dedup();
    normals
}

/// The filter for the alerts of a service that a detector leads.
pub fn filter_of(service: &str, detector: &str) -> String {
    format!("service == {} && attributes.detector == {}", quoted(service), quoted(detector))
}

/// A text as the filter language and JSON write it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            character if character.is_control() => {
                // Fails only where memory does.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            character => out.push(character),
        }
    }
    out.push('"');
    out
}

/// Longest silence, in minutes: a year.
const MOST_MINUTES: i64 = 525_600;

/// Refuses the end of a silence that begins now where it is more than a year ahead.
///
/// # Errors
/// Says what is allowed.
pub fn end_within_a_year(until: Timestamp, now: Timestamp) -> Result<Timestamp, String> {
    if until.duration_since(now).as_mins() >= MOST_MINUTES {
        return Err(format!("until = {until} is not allowed: at most {MOST_MINUTES} minutes (a year) ahead"));
    }
    Ok(until)
}

/// The end of a silence that begins now.
///
/// # Errors
/// The number of minutes is not allowed.
pub fn until_of(minutes: i64, now: Timestamp) -> Result<Timestamp, String> {
    if !(1..=MOST_MINUTES).contains(&minutes) {
        return Err(format!("minutes = {minutes} is not allowed: 1 to {MOST_MINUTES} (a year)"));
    }
    now.checked_add(minutes.minutes()).map_err(|error| format!("minutes = {minutes}: {error}"))
}

/// A `[[silence]]` of the config file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenSilence {
    filter: String,
    until: toml::Value,
    #[serde(default)]
    comment: String,
}

/// A `[[normal]]` of the config file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenNormal {
    detector: String,
    service: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    comment: String,
}

impl WrittenSilence {
    /// As a decision.
    ///
    /// # Errors
    /// Says what cannot be used.
    pub fn read(&self) -> Result<Decision, String> {
        let text = match &self.until {
            toml::Value::Datetime(time) => time.to_string(),
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let until = text.parse().map_err(|_| {
            format!("until = {text:?} is no time; allowed: one with its zone, such as 2026-01-31T18:00:00Z")
        })?;
        fixed(What::Silence { filter: self.filter.clone(), until }, &self.comment)
    }
}

impl WrittenNormal {
    /// As a decision.
    ///
    /// # Errors
    /// Says what cannot be used.
    pub fn read(&self) -> Result<Decision, String> {
        let Self { detector, service, subject, comment } = self.clone();
        fixed(What::Normal { alert: None, normals: vec![Normal { detector, service, subject }] }, &comment)
    }
}

/// Its id follows from what it says, so that it is the same at each start and on each replica.
fn fixed(what: What, comment: &str) -> Result<Decision, String> {
    let decision = Decision {
        id: String::new(),
        created_at: None,
        created_by: CONFIG_FILE.to_owned(),
        comment: comment.to_owned(),
        what,
    };
    decision.check()?;
    let text = serde_json::to_vec(&decision.what).map_err(|error| error.to_string())?;
    let digest = blake3::hash(&text).to_hex();
    let id = format!("config-{}", digest.get(..16).unwrap_or_default());
    Ok(Decision { id, ..decision })
}

/// What is normal as sections of the config file, each once.
///
/// # Errors
/// It cannot be written as TOML.
pub fn export<'d>(decisions: impl Iterator<Item = &'d Decision>) -> Result<String, toml::ser::Error> {
    #[derive(Serialize)]
    struct File {
        normal: Vec<WrittenNormal>,
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut normal = Vec::new();
    for decision in decisions {
        for one in decision.normals().iter().filter(|one| seen.insert((*one).clone())) {
            let Normal { detector, service, subject } = one.clone();
            normal.push(WrittenNormal { detector, service, subject, comment: decision.comment.clone() });
        }
    }
    toml::to_string(&File { normal })
}
