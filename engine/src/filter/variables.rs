//! The variables of a filter, made from an event only when the expression asks for them.

use std::collections::HashMap;

use cel::Value;
use cel::common::types::{CelInt, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;

use crate::event::{Level, LogEvent};

/// Every name that an expression may ask for.
pub(super) const NAMES: [&str; 13] = [
    "service",
    "level",
    "severity",
    "message",
    "timestamp",
    "timestamp_ms",
    "attributes",
    "TRACE",
    "DEBUG",
    "INFO",
    "WARN",
    "ERROR",
    "FATAL",
];

/// One event as variables.
pub(super) struct Variables<'e>(&'e LogEvent);

impl<'e> Variables<'e> {
    pub fn new(event: &'e LogEvent) -> Self {
        Self(event)
    }
}

fn severity(level: Level) -> i64 {
    match level {
        Level::Trace => 0,
        Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
        Level::Fatal => 5,
    }
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let event = self.0;
        let integer = |number: i64| Some(CowVal::owned(CelInt::from(number)));
        let text = |text: &'b str| Some(CowVal::owned(CelString::from(text)));
        match variable {
            "service" => text(&event.service),
            "message" => text(&event.message),
            "level" => text(event.level.map_or("", Level::as_str)),
            "severity" => integer(event.level.map_or(-1, severity)),
            "timestamp" => Some(CowVal::owned(CelString::from(timestamp(event)))),
            "timestamp_ms" => integer(event.timestamp.as_micros().div_euclid(1_000)),
            "attributes" => {
                let map: HashMap<String, Value> = event
                    .attributes
                    .iter()
                    .rev()
                    .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                    .collect();
                let map: Box<dyn Val> = Value::from(map).try_into().ok()?;
                Some(CowVal::Owned(map))
            }
            _ => {
                let level = Level::ALL.into_iter().find(|level| level.as_str() == variable)?;
                integer(severity(level))
            }
        }
    }
}

fn timestamp(event: &LogEvent) -> String {
    match jiff::Timestamp::from_microsecond(event.timestamp.as_micros()) {
        Ok(time) => format!("{time:.6}"),
        Err(_) => event.timestamp.to_string(),
    }
}
