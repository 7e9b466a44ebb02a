//! The features of one training line, kept while its line may come again or may be in a sample.

use std::sync::{Arc, OnceLock};

use super::core::View;
use crate::event::{EventTime, Level, LogEvent, TimeSource};
use crate::features::Line;

/// Longest message that is kept of a line, in bytes.
const LONGEST_MESSAGE: usize = 512;

/// Features of one line; clones share them.
#[derive(Clone, Debug)]
pub struct Row(Arc<Held>);

#[derive(Debug)]
struct Held {
    columns: OnceLock<Box<[(u32, f32)]>>,
    keys: Box<[u64]>,
    context_keys: [u64; 2],
    pattern: u64,
    service_pattern: u64,
    is_nameless: bool,
    level: Option<Level>,
    text: OnceLock<Text>,
}

/// What reports show of the first line that had these features.
#[derive(Debug)]
struct Text {
    timestamp: EventTime,
    time_source: TimeSource,
    service: Box<str>,
    message: Box<str>,
}

impl Row {
    /// What `line` has read, but for its columns.
    pub fn new(line: &Line) -> Self {
        Self(Arc::new(Held {
            columns: OnceLock::new(),
            keys: line.keys().into(),
            context_keys: line.context_keys(),
            pattern: line.pattern_key(),
            service_pattern: line.service_pattern_key(),
            is_nameless: line.service_key().is_none(),
            level: line.level(),
            text: OnceLock::new(),
        }))
    }

    /// Whether [`Row::keep_columns`] was called.
    pub fn has_columns(&self) -> bool {
        self.0.columns.get().is_some()
    }

    /// Keeps the columns that `line` has read.
    pub fn keep_columns(&self, line: &Line) {
        self.0.columns.get_or_init(|| line.columns().into());
    }

    /// Keeps what reports show of the event.
    pub fn keep_text(&self, event: &LogEvent) {
        self.0.text.get_or_init(|| {
            let end = event.message.floor_char_boundary(LONGEST_MESSAGE);
            Text {
                timestamp: event.timestamp,
                time_source: event.time_source,
                service: event.service.as_str().into(),
                message: event.message[..end].into(),
            }
        });
    }

    /// The event whose text was kept first, its message cut at 512 bytes, without attributes.
    pub fn event(&self) -> LogEvent {
        let Some(text) = self.0.text.get() else { return LogEvent::default() };
        LogEvent {
            timestamp: text.timestamp,
            time_source: text.time_source,
            service: text.service.to_string(),
            level: self.0.level,
            message: text.message.to_string(),
            attributes: Vec::new(),
        }
    }

    /// The features, borrowed; without columns where none were kept.
    pub fn view(&self) -> View<'_> {
        let held = &*self.0;
        View {
            columns: held.columns.get().map_or(&[], |columns| columns),
            keys: &held.keys,
            service: (!held.is_nameless).then_some(held.context_keys[0]),
            pattern: held.pattern,
            level: held.level,
        }
    }

    /// Everything that is counted of the line: words, service, level and patterns.
    pub fn counted(&self) -> impl Iterator<Item = u64> {
        let held = &*self.0;
        let [service, level] = held.context_keys;
        held.keys.iter().copied().chain([service, level, held.pattern, held.service_pattern])
    }

    /// An event with its message cut at 512 bytes and without attributes: what reports show of it.
    pub fn shortened(event: &LogEvent) -> LogEvent {
        let end = event.message.floor_char_boundary(LONGEST_MESSAGE);
        LogEvent {
            timestamp: event.timestamp,
            time_source: event.time_source,
            service: event.service.clone(),
            level: event.level,
            message: event.message[..end].to_owned(),
            attributes: Vec::new(),
        }
    }
}
