//! One training line, kept while it may come again or may be in a sample: its text, from which its features are read
//! again when they are asked for, since lines are many and each is asked few times.

use std::sync::Arc;

use hashbrown::HashSet;

use super::core::View;
use crate::event::{EventTime, Level, LogEvent, LogLine, TimeSource};
use crate::features::{FeatureSpec, Line};

/// Longest message that is kept of a line, in bytes.
const LONGEST_MESSAGE: usize = 512;

/// Columns and their values, as [`Line::columns`] has them.
pub type Columns = Box<[(u32, f32)]>;

/// One line; clones share it.
#[derive(Clone, Debug)]
pub struct Row(Arc<Held>);

#[derive(Debug)]
struct Held {
    timestamp: EventTime,
    time_source: TimeSource,
    level: Option<Level>,
    service: Arc<str>,
    message: Box<str>,
    /// Of a line whose message is longer than what is kept of it.
    features: Option<Box<(Features, Columns)>>,
}

/// What is counted of a line.
#[derive(Clone, Debug)]
pub struct Features {
    keys: Box<[u64]>,
    context_keys: [u64; 2],
    pattern: u64,
    service_pattern: u64,
}

/// What is counted of a line, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    keys: &'a [u64],
    context_keys: [u64; 2],
    /// Key of the pattern.
    pub pattern: u64,
    service_pattern: u64,
}

impl Counted<'_> {
    /// Everything that is counted: words, service, level and patterns.
    pub fn keys(&self) -> impl Iterator<Item = u64> {
        let [service, level] = self.context_keys;
        self.keys.iter().copied().chain([service, level, self.pattern, self.service_pattern])
    }
}

impl<'a> From<&'a Line> for Counted<'a> {
    fn from(line: &'a Line) -> Self {
        Self {
            keys: line.keys(),
            context_keys: line.context_keys(),
            pattern: line.pattern_key(),
            service_pattern: line.service_pattern_key(),
        }
    }
}

impl<'a> From<&'a Features> for Counted<'a> {
    fn from(features: &'a Features) -> Self {
        let Features { keys, context_keys, pattern, service_pattern } = features;
        Self { keys, context_keys: *context_keys, pattern: *pattern, service_pattern: *service_pattern }
    }
}

impl From<&Line> for Features {
    fn from(line: &Line) -> Self {
        let Counted { keys, context_keys, pattern, service_pattern } = line.into();
        Self { keys: keys.into(), context_keys, pattern, service_pattern }
    }
}

impl Row {
    /// A line; `line` is a buffer.
    pub fn new(event: &LogEvent, services: &mut Services, line: &mut Line, spec: FeatureSpec) -> Self {
        let message = shown(&event.message);
        let is_cut = message.len() < event.message.len();
        let features = is_cut.then(|| {
            line.read(event);
            line.read_columns(event, spec);
            Box::new((Features::from(&*line), line.columns().into()))
        });
        Self(Arc::new(Held {
            timestamp: event.timestamp,
            time_source: event.time_source,
            level: event.level,
            service: services.share(&event.service),
            message: message.into(),
            features,
        }))
    }

    /// The event, its message cut at 512 bytes, without attributes.
    pub fn event(&self) -> LogEvent {
        let held = &*self.0;
        LogEvent {
            timestamp: held.timestamp,
            time_source: held.time_source,
            service: held.service.to_string(),
            level: held.level,
            message: held.message.to_string(),
            attributes: Vec::new(),
        }
    }

    /// The line, its message cut at 512 bytes.
    pub fn line(&self) -> LogLine<'_> {
        LogLine { service: &self.0.service, level: self.0.level, message: &self.0.message }
    }

    /// What is counted of the line; `line` is a buffer.
    pub fn counted<'a>(&'a self, line: &'a mut Line) -> Counted<'a> {
        if let Some(features) = &self.0.features {
            return (&features.0).into();
        }
        line.read(self.line());
        (&*line).into()
    }

    /// Its columns; `line` is a buffer.
    pub fn columns(&self, line: &mut Line, spec: FeatureSpec) -> Columns {
        if let Some(features) = &self.0.features {
            return features.1.clone();
        }
        line.canonicalise(self.line());
        line.read_columns(self.line(), spec);
        line.columns().into()
    }

    /// The features; `line` is a buffer.
    pub fn view<'a>(&'a self, line: &'a mut Line, spec: FeatureSpec) -> View<'a> {
        let held = &*self.0;
        if let Some(features) = &held.features {
            let (Features { keys, context_keys, pattern, .. }, columns) = &**features;
            let service = (!held.service.is_empty()).then_some(context_keys[0]);
            return View { columns, keys, service, pattern: *pattern, level: held.level };
        }
        line.read(self.line());
        line.read_columns(self.line(), spec);
        (&*line).into()
    }

    /// An event with its message cut at 512 bytes and without attributes: what reports show of it.
    pub fn shortened(event: &LogEvent) -> LogEvent {
        LogEvent {
            timestamp: event.timestamp,
            time_source: event.time_source,
            service: event.service.clone(),
            level: event.level,
            message: shown(&event.message).to_owned(),
            attributes: Vec::new(),
        }
    }
}

/// What is kept of a message.
fn shown(message: &str) -> &str {
    &message[..message.floor_char_boundary(LONGEST_MESSAGE)]
}

/// Names of services, each held once for all its lines.
#[derive(Debug, Default)]
pub struct Services(HashSet<Arc<str>>);

impl Services {
    fn share(&mut self, service: &str) -> Arc<str> {
        Arc::clone(self.0.get_or_insert_with(service, |service| Arc::from(service)))
    }

    /// Forgets all names, so that there are no more of them than lines.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
