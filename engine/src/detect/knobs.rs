//! Settings of detectors, declared once: name, unit, range, default and meaning. Help, config file, checks and
//! documentation are made from these tables; nothing here reads a file or the environment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::registry::REGISTRY;

/// One number that can be set.
#[derive(Debug)]
pub struct Knob {
    /// Its key in the config file; ends in its unit where it is a length of time.
    pub name: &'static str,
    /// Value where nothing is set.
    pub default: f64,
    /// Unit of the value.
    pub unit: &'static str,
    /// Least value that is allowed.
    pub least: f64,
    /// Greatest value that is allowed.
    pub most: f64,
    /// What it does, one sentence.
    pub doc: &'static str,
}

/// The typed settings of one detector, made from its table.
pub(crate) trait Knobs: Sized {
    /// Its table.
    const KNOBS: &'static [Knob];
    /// From values in the order of the table.
    fn of(enabled: bool, values: &[f64]) -> Self;
}

/// Declares a detector's settings: a struct of `f64` fields and its table of [`Knob`]s.
macro_rules! knobs {
    ($name:ident { $( $(#[doc = $text:literal])+ $field:ident = $default:expr, $unit:literal, $least:expr, $most:expr; )* }) => {
        #[derive(Clone, Debug)]
        #[allow(dead_code, reason = "the stream itself cannot be turned off")]
        pub(crate) struct $name {
            pub enabled: bool,
            $( $(#[doc = $text])+ pub $field: f64, )*
        }

        impl $crate::detect::knobs::Knobs for $name {
            const KNOBS: &'static [$crate::detect::knobs::Knob] = &[
                $( $crate::detect::knobs::Knob {
                    name: stringify!($field),
                    default: $default,
                    unit: $unit,
                    least: $least,
                    most: $most,
                    doc: concat!($($text),+),
                }, )*
            ];

            #[allow(unused_mut, unused_variables, reason = "a detector may have no numbers to set")]
            fn of(enabled: bool, values: &[f64]) -> Self {
                let mut values = values.iter().copied();
                Self { enabled, $( $field: values.next().unwrap_or($default), )* }
            }
        }
    };
}
pub(crate) use knobs;

knobs!(Stream {
    /// A line this much older than its service's newest is still counted in its window.
    lateness_s = 10.0, "s", 0.0, 3_600.0;
    /// Windows of a service that has been silent for so long are closed by the clock.
    idle_s = 30.0, "s", 1.0, 3_600.0;
    /// A line further ahead of the clock than this is taken to have happened now.
    future_s = 300.0, "s", 1.0, 86_400.0;
    /// Services that have a state of their own; further ones share that of `__other__`.
    most_services = 10_000.0, "services", 1.0, 1_000_000.0;
});

/// Why settings cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// No such detector.
    #[error("there is no detector `{name}`; known are: {known}")]
    UnknownDetector {
        /// What was asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// No such setting.
    #[error("the detector `{detector}` has no setting `{name}`; it has: {known}")]
    UnknownKnob {
        /// The detector.
        detector: String,
        /// What was asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// Out of range.
    #[error("`{name}` of `{detector}` is {value}; allowed are {least} to {most} {unit}")]
    OutOfRange {
        /// The detector.
        detector: String,
        /// The setting.
        name: String,
        /// What was given.
        value: f64,
        /// Least value that is allowed.
        least: f64,
        /// Greatest value that is allowed.
        most: f64,
        /// Unit of the value.
        unit: &'static str,
    },
    /// A number where a switch belongs, or the other way round.
    #[error("`{name}` of `{detector}` must be {wanted}")]
    WrongKind {
        /// The detector.
        detector: String,
        /// The setting.
        name: String,
        /// What it must be.
        wanted: &'static str,
    },
}

/// A value as it is written in a config file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `enabled`.
    Switch(bool),
    /// Everything else.
    Number(f64),
}

/// The settings of one detector as they are written.
pub type Section = BTreeMap<String, Value>;

/// All detectors' settings as they are written: `[detect.NAME]`, and `[detect.service.SERVICE.NAME]` for one
/// service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// For one service, by its name.
    #[serde(default)]
    pub service: BTreeMap<String, BTreeMap<String, Section>>,
    /// For all services, by detector.
    #[serde(flatten)]
    pub all: BTreeMap<String, Section>,
}

#[derive(Clone, Debug, PartialEq)]
struct Chosen {
    enabled: bool,
    values: Vec<f64>,
}

type Profile = BTreeMap<&'static str, Chosen>;

/// Checked settings of all detectors, for all services and for single ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The first is for all services, then those of single services.
    profiles: Vec<Profile>,
    services: BTreeMap<String, usize>,
}

/// Name of the settings that are about the stream, not one detector.
pub const STREAM: &str = "stream";

/// What can be set: the stream's settings, then those of each detector.
pub fn tables() -> impl Iterator<Item = (&'static str, &'static [Knob])> {
    [(STREAM, Stream::KNOBS)].into_iter().chain(REGISTRY.iter().map(|entry| (entry.name, entry.knobs)))
}

impl Default for Settings {
    fn default() -> Self {
        let defaults = tables().map(|(name, knobs)| {
            (name, Chosen { enabled: true, values: knobs.iter().map(|knob| knob.default).collect() })
        });
        Self { profiles: vec![defaults.collect()], services: BTreeMap::new() }
    }
}

impl Settings {
    /// Checks what was written.
    ///
    /// # Errors
    /// All names that do not exist, numbers out of range and values of the wrong kind.
    pub fn read(written: &Written) -> Result<Self, Vec<SettingError>> {
        let mut settings = Self::default();
        let mut errors = Vec::new();
        for (detector, section) in &written.all {
            settings.read_section(None, detector, section, &mut errors);
        }
        for (service, sections) in &written.service {
            for (detector, section) in sections {
                settings.read_section(Some(service), detector, section, &mut errors);
            }
        }
        if errors.is_empty() { Ok(settings) } else { Err(errors) }
    }

    fn read_section(
        &mut self,
        service: Option<&str>,
        detector: &str,
        section: &Section,
        errors: &mut Vec<SettingError>,
    ) {
        for (name, value) in section {
            if let Err(error) = self.set(service, detector, name, *value) {
                errors.push(error);
            }
        }
    }

    /// Sets one value, for one service or for all.
    ///
    /// # Errors
    /// There is no such detector or setting, or the value is out of its range.
    pub fn set(
        &mut self,
        service: Option<&str>,
        detector: &str,
        name: &str,
        value: Value,
    ) -> Result<(), SettingError> {
        let Some((detector, knobs)) = tables().find(|(known, _)| *known == detector) else {
            let known = tables().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
            return Err(SettingError::UnknownDetector { name: detector.to_owned(), known });
        };
        let wrong =
            |wanted| SettingError::WrongKind { detector: detector.to_owned(), name: name.to_owned(), wanted };
        let place = if name == "enabled" && detector != STREAM {
            None
        } else {
            let place = knobs.iter().position(|knob| knob.name == name);
            Some(place.ok_or_else(|| {
                SettingError::UnknownKnob {
                    detector: detector.to_owned(),
                    name: name.to_owned(),
                    known: ["enabled"]
                        .into_iter()
                        .filter(|_| detector != STREAM)
                        .chain(knobs.iter().map(|knob| knob.name))
                        .collect::<Vec<_>>()
                        .join(", "),
                }
            })?)
        };
        let profile = self.profile_of(service);
        let Some(chosen) = profile.get_mut(detector) else { return Ok(()) };
        match (place, value) {
            (None, Value::Switch(enabled)) => chosen.enabled = enabled,
            (None, Value::Number(_)) => return Err(wrong("true or false")),
            (Some(_), Value::Switch(_)) => return Err(wrong("a number")),
            (Some(place), Value::Number(number)) => {
                let knob = &knobs[place];
                if !(knob.least <= number && number <= knob.most) {
                    return Err(SettingError::OutOfRange {
                        detector: detector.to_owned(),
                        name: name.to_owned(),
                        value: number,
                        least: knob.least,
                        most: knob.most,
                        unit: knob.unit,
                    });
                }
                chosen.values[place] = number;
            }
        }
        Ok(())
    }

    fn profile_of(&mut self, service: Option<&str>) -> &mut Profile {
        let index = service.map_or(0, |service| {
            let next = self.profiles.len();
            *self.services.entry(service.to_owned()).or_insert(next)
        });
        if index == self.profiles.len() {
            self.profiles.push(self.profiles[0].clone());
        }
        &mut self.profiles[index]
    }

    /// Which settings a service has: an index into what [`Settings::typed`] gives.
    pub(crate) fn index_of(&self, service: &str) -> usize {
        self.services.get(service).copied().unwrap_or(0)
    }

    /// One detector's settings, for all services first, then those of single ones.
    pub(crate) fn typed<T: Knobs>(&self, detector: &str) -> Vec<T> {
        let of = |profile: &Profile| {
            profile
                .get(detector)
                .map_or_else(|| T::of(true, &[]), |chosen| T::of(chosen.enabled, &chosen.values))
        };
        self.profiles.iter().map(of).collect()
    }

    /// Whether a detector is on for at least one service.
    pub(crate) fn is_on(&self, detector: &str) -> bool {
        self.profiles.iter().any(|profile| profile.get(detector).is_none_or(|chosen| chosen.enabled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(settings: &mut Settings, detector: &str, name: &str, value: f64) -> Result<(), SettingError> {
        settings.set(None, detector, name, Value::Number(value))
    }

    #[test]
    fn a_wrong_setting_is_refused_with_what_is_allowed() {
        let mut settings = Settings::default();
        let text = |result: Result<(), SettingError>| result.unwrap_err().to_string();
        assert!(
            text(number(&mut settings, "eror_burst", "window_s", 5.0))
                .contains("known are: stream, odd_line")
        );
        assert!(
            text(number(&mut settings, "error_burst", "window", 5.0)).contains("it has: enabled, window_s")
        );
        let range = text(number(&mut settings, "error_burst", "window_s", f64::NAN));
        assert_eq!(range, "`window_s` of `error_burst` is NaN; allowed are 1 to 3600 s");
        assert!(text(number(&mut settings, "error_burst", "enabled", 1.0)).contains("true or false"));
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn all_mistakes_of_a_file_are_told_together() {
        let section = Section::from([("x".to_owned(), Value::Number(1.0))]);
        let all = BTreeMap::from([("error_burst".to_owned(), section.clone()), ("y".to_owned(), section)]);
        assert_eq!(Settings::read(&Written { all, ..Written::default() }).unwrap_err().len(), 2);
    }

    #[test]
    fn a_service_has_its_own_value_and_the_others_the_common_one() {
        let mut settings = Settings::default();
        settings.set(Some("billing"), "stream", "lateness_s", Value::Number(3.0)).unwrap();
        let typed: Vec<Stream> = settings.typed(STREAM);
        assert_eq!(typed[settings.index_of("billing")].lateness_s, 3.0);
        assert_eq!(typed[settings.index_of("auth")].lateness_s, 10.0);
    }
}
