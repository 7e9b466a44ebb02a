//! When and whom alerts are told: numbers with their ranges, and the audiences (sinks) with their routing.

use serde::{Deserialize, Serialize};

use crate::detect::{Severity, knobs};

knobs!(Alerts {
    /// Event time without an anomaly, and without a condition that holds, after which an alert is resolved.
    resolve_after_s = 300.0, "s", 10.0, 86_400.0;
    /// Time from the first anomaly, or a graver one, to the record: what comes in it is told together.
    group_wait_s = 1.0, "s", 0.0, 3_600.0;
    /// Time after which an audience hears again of an alert that goes on.
    repeat_interval_s = 14_400.0, "s", 60.0, 2_592_000.0;
    /// Alerts a UTC day that rest on odd lines and new patterns alone and that are told; more are held back.
    budget_per_day = 10.0, "alerts", 0.0, 1_000_000.0;
});

/// Settings of alerts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSettings {
    /// Event time without an anomaly after which an alert is resolved, 10 to 86 400 s.
    pub resolve_after_s: f64,
    /// Time in which anomalies are gathered before a record is written, 0 to 3 600 s.
    pub group_wait_s: f64,
    /// Time after which an audience hears again, 60 to 2 592 000 s.
    pub repeat_interval_s: f64,
    /// Alerts a day that rest on odd lines alone, 0 to 1 000 000.
    pub budget_per_day: f64,
    /// Whom to tell.
    pub audiences: Vec<Audience>,
}

impl Default for AlertSettings {
    fn default() -> Self {
        use crate::detect::Knobs as _;
        let Alerts { resolve_after_s, group_wait_s, repeat_interval_s, budget_per_day, .. } =
            Alerts::of(true, &[]);
        Self { resolve_after_s, group_wait_s, repeat_interval_s, budget_per_day, audiences: Vec::new() }
    }
}

/// One receiver of notifications.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audience {
    /// Its name, unique.
    pub name: String,
    /// It hears of alerts of this severity and above.
    #[serde(default = "warning")]
    pub least_severity: Severity,
    /// It hears of the end too.
    #[serde(default)]
    pub send_resolved: bool,
    /// Only of these services; empty: of all.
    #[serde(default)]
    pub services: Vec<String>,
    /// Only where one of these detectors found something; empty: any.
    #[serde(default)]
    pub detectors: Vec<String>,
}

const fn warning() -> Severity {
    Severity::Warning
}

/// A number out of its range, or an audience's name that is none or there twice.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Out of range.
    #[error("`{name}` is {value}; allowed are {least} to {most} {unit}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: f64,
        /// Least value that is allowed.
        least: f64,
        /// Greatest value that is allowed.
        most: f64,
        /// Unit of the value.
        unit: &'static str,
    },
    /// A name that is empty or there twice.
    #[error("the audience name `{name}` is {fault}; each needs a name of its own")]
    AudienceName {
        /// The name.
        name: String,
        /// Empty, or there twice.
        fault: &'static str,
    },
}

impl AlertSettings {
    /// Checks every range and name.
    ///
    /// # Errors
    /// All that are wrong.
    pub fn check(&self) -> Result<(), Vec<SettingsError>> {
        use crate::detect::Knobs as _;
        let values = [self.resolve_after_s, self.group_wait_s, self.repeat_interval_s, self.budget_per_day];
        let mut errors: Vec<SettingsError> = Alerts::KNOBS
            .iter()
            .zip(values)
            .filter(|(knob, value)| !(knob.least <= *value && *value <= knob.most))
            .map(|(knob, value)| SettingsError::OutOfRange {
                name: knob.name,
                value,
                least: knob.least,
                most: knob.most,
                unit: knob.unit,
            })
            .collect();
        for (place, audience) in self.audiences.iter().enumerate() {
            let twice = self.audiences[..place].iter().any(|other| other.name == audience.name);
            if audience.name.is_empty() || twice {
                let fault = if twice { "there twice" } else { "empty" };
                errors.push(SettingsError::AudienceName { name: audience.name.clone(), fault });
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

impl Audience {
    /// Everything of warning and above, ends not told.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            least_severity: warning(),
            send_resolved: false,
            services: Vec::new(),
            detectors: Vec::new(),
        }
    }

    pub(super) fn wants(&self, alert: &super::Alert) -> bool {
        let of = |list: &[String], name: &str| list.is_empty() || list.iter().any(|listed| listed == name);
        alert.severity >= self.least_severity
            && of(&self.services, &alert.service)
            && (self.detectors.is_empty()
                || alert.parts.iter().any(|part| of(&self.detectors, &part.detector)))
    }
}
