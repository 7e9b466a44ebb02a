//! Settings of detectors, rules and alerts.

use std::sync::Arc;

use engine::alert::{AlertSettings, WatchSettings};
use engine::decode::business::BusinessNames;
use engine::detect::{self, Rules};

use super::Reader;
use crate::config::{Mistake, Place, SinksSettings};

impl Reader<'_> {
    /// A line that came back to the topic it came from would go round for ever.
    pub(super) fn detect_topic(&mut self, topics: &[String]) -> Option<String> {
        let topic = self.topic("DETECT_TOPIC")?;
        if topics.contains(&topic) {
            let value = self.value("DETECT_TOPIC");
            self.mistake(
                "DETECT_TOPIC",
                &value,
                Some("is in LOG_TOPIC too; choose another topic".to_owned()),
            );
        }
        Some(topic)
    }

    pub(super) fn watch(
        &mut self,
        budget_per_day: f64,
        sinks: &SinksSettings,
    ) -> Option<Option<Arc<WatchSettings>>> {
        let on = self.switch("DETECT")?;
        let detectors = self.detectors();
        let file = || self.written.file.clone().map_or(Place::Default, Place::File);
        let rules = Rules::read(&self.written.rules).unwrap_or_else(|errors| {
            for error in errors {
                let (name, value) = ("rule".to_owned(), "[[rule]]".to_owned());
                self.mistakes.push(Mistake { name, value, place: file(), why: error.to_string() });
            }
            Rules::default()
        });
        let alerts = AlertSettings {
            resolve_after_s: self.number("ALERT_RESOLVE_AFTER_S", 10.0..=86_400.0)?,
            group_wait_s: self.number("ALERT_GROUP_WAIT_S", 0.0..=3_600.0)?,
            repeat_interval_s: self.number("ALERT_REPEAT_INTERVAL_S", 60.0..=2_592_000.0)?,
            budget_per_day,
            audiences: sinks.all.iter().map(|sink| sink.audience.clone()).collect(),
        };
        let settings =
            WatchSettings { detectors, rules: Arc::new(rules), names: BusinessNames::default(), alerts };
        Some(on.then(|| Arc::new(settings)))
    }

    /// The detectors' settings: the environment wins over the config file.
    fn detectors(&mut self) -> detect::Settings {
        let file = self.written.file.clone().map_or(Place::Default, Place::File);
        let mut settings = detect::Settings::read(&self.written.detectors).unwrap_or_else(|errors| {
            for error in errors {
                let (name, place) = ("detect".to_owned(), file.clone());
                let value = "[detect]".to_owned();
                self.mistakes.push(Mistake { name, value, place, why: error.to_string() });
            }
            detect::Settings::default()
        });
        for (detector, name, value) in &self.written.detect_variables {
            let text = value.text.trim();
            let parsed = match (text.parse::<bool>(), text.parse::<f64>()) {
                (Ok(switch), _) => Ok(detect::Value::Switch(switch)),
                (_, Ok(number)) => Ok(detect::Value::Number(number)),
                _ => Err("allowed: a number, `true` or `false`".to_owned()),
            };
            let set = parsed.and_then(|value| {
                settings.set(None, detector, name, value).map_err(|error| error.to_string())
            });
            if let Err(why) = set {
                self.mistakes.push(Mistake {
                    name: format!("DETECT_{detector}_{name}").trim_end_matches('_').to_ascii_uppercase(),
                    value: value.text.clone(),
                    place: value.place.clone(),
                    why,
                });
            }
        }
        settings
    }
}
