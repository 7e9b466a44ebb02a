//! The features of one training line, kept while its line may be in a sample.

use std::sync::Arc;

use super::core::View;
use crate::event::{Level, LogEvent};
use crate::features::Line;

/// Longest message that is kept of a sampled line, in bytes.
const LONGEST_MESSAGE: usize = 512;

/// Features of one line; clones share them.
#[derive(Clone, Debug)]
pub struct Row(Arc<Held>);

#[derive(Debug)]
struct Held {
    columns: Box<[(u32, f32)]>,
    keys: Box<[u64]>,
    context_keys: [u64; 2],
    pattern: u64,
    service_pattern: u64,
    level: Option<Level>,
}

impl Row {
    /// What `line` has read.
    pub fn new(line: &Line) -> Self {
        Self(Arc::new(Held {
            columns: line.columns().into(),
            keys: line.keys().into(),
            context_keys: line.context_keys(),
            pattern: line.pattern_key(),
            service_pattern: line.service_pattern_key(),
            level: line.level(),
        }))
    }

    /// The features, borrowed.
    pub fn view(&self) -> View<'_> {
        let held = &*self.0;
        View { columns: &held.columns, keys: &held.keys, pattern: held.pattern, level: held.level }
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
