//! The lines that an alert shows, out of the store. Explains none of them.

use anyhow::bail;
use engine::event::{Level, LogEvent};
use notify::{AlertRecord, EvidenceField};

use crate::config::Settings;

/// Whether a text is the id of an alert: 32 hexadecimal digits, which no line of a log is.
pub fn is_alert(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The lines of an alert's newest record.
///
/// # Errors
/// The store cannot be read; there is no such alert, or no line of it.
pub fn of_alert(settings: &Settings, id: &str) -> anyhow::Result<Vec<LogEvent>> {
    let Some(used) = &settings.store else {
        bail!("the alert {id} would be read from a store, and none is set: set STORE_PATH or DATABASE_URL");
    };
    if let Some(path) = used.place.missing() {
        let path = path.display();
        bail!(
            "the alert {id} is read from a store, and there is none at {path}: set STORE_PATH or DATABASE_URL"
        );
    }
    let mut store = store::open(&used.place)?;
    let found = if store.version()? == 0 { None } else { store.alert(id)? };
    let Some(record) = found.and_then(|mut alert| alert.records.pop()) else {
        bail!("{} has no alert {id}; `scorer alerts` lists those it has", store.describe());
    };
    let record: AlertRecord = serde_json::from_str(&record)?;
    if record.evidence.is_empty() {
        bail!("the alert {id} shows no line: {}", engine::terminal::shown(&record.message, 300));
    }
    Ok(record.evidence.iter().map(|line| event_of(line, &record.service)).collect())
}

fn event_of(line: &EvidenceField, service: &str) -> LogEvent {
    let level = |name: &str| Level::ALL.into_iter().find(|level| level.as_str() == name);
    LogEvent {
        timestamp: line.timestamp.parse::<jiff::Timestamp>().map_or_else(
            |_| engine::event::EventTime::default(),
            |time| engine::event::EventTime::from_micros(time.as_microsecond()),
        ),
        service: service.to_owned(),
        level: line.level.as_deref().and_then(level),
        message: line.message.clone(),
        ..LogEvent::default()
    }
}
