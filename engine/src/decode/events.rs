//! Events in buffers that are used again: decoding into one of these allocates nothing once the buffers have grown.
//! What a buffer held before never shows.

use std::ops::{Deref, DerefMut};

use super::json::flat::Spans;
use crate::event::LogEvent;

/// Most events whose buffers are kept between records; a batch record may hold many more.
const KEPT_EVENTS: usize = 16;
/// Most attributes whose buffers are kept.
const KEPT_ATTRIBUTES: usize = 256;
/// Longest text whose buffer is kept, in bytes: one long record must not hold its memory for ever.
const KEPT_BYTES: usize = 16 << 10;

/// The events of one or several records.
#[derive(Debug, Default)]
pub struct Events {
    /// The events in use, then buffers without content.
    all: Vec<LogEvent>,
    used: usize,
    spare: Vec<(String, String)>,
    pub(super) spans: Spans,
}

impl Events {
    /// Forgets the events and keeps their buffers.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Forgets the events from number `length` on.
    pub fn truncate(&mut self, length: usize) {
        let Some(gone) = self.all.get_mut(length..self.used) else { return };
        for event in gone {
            recycle(event, &mut self.spare);
        }
        self.used = length;
        if self.all.len() > KEPT_EVENTS {
            self.all.truncate(KEPT_EVENTS.max(self.used));
        }
    }

    /// Appends an event that was made elsewhere.
    pub fn push(&mut self, event: LogEvent) {
        match self.all.get_mut(self.used) {
            Some(buffer) => *buffer = event,
            None => self.all.push(event),
        }
        self.used += 1;
    }

    /// Appends an event without content, to be filled.
    pub(super) fn next(&mut self) -> Filling<'_> {
        if self.used == self.all.len() {
            self.all.push(LogEvent::default());
        }
        self.used += 1;
        Filling { event: &mut self.all[self.used - 1], spare: &mut self.spare }
    }
}

fn recycle(event: &mut LogEvent, spare: &mut Vec<(String, String)>) {
    for text in [&mut event.service, &mut event.message] {
        text.clear();
        text.shrink_to(KEPT_BYTES);
    }
    for pair in event.attributes.drain(..) {
        if spare.len() < KEPT_ATTRIBUTES && pair.0.capacity() + pair.1.capacity() <= KEPT_BYTES / 4 {
            spare.push(pair);
        }
    }
    event.attributes.shrink_to(KEPT_ATTRIBUTES);
}

impl Deref for Events {
    type Target = [LogEvent];

    fn deref(&self) -> &[LogEvent] {
        &self.all[..self.used]
    }
}

impl DerefMut for Events {
    fn deref_mut(&mut self) -> &mut [LogEvent] {
        &mut self.all[..self.used]
    }
}

impl From<Vec<LogEvent>> for Events {
    fn from(all: Vec<LogEvent>) -> Self {
        Self { used: all.len(), all, ..Self::default() }
    }
}

impl From<Events> for Vec<LogEvent> {
    fn from(mut events: Events) -> Self {
        events.all.truncate(events.used);
        events.all
    }
}

/// An event that is being filled; its texts are empty at first, its other parts are of whatever was there before.
pub(super) struct Filling<'e> {
    pub event: &'e mut LogEvent,
    spare: &'e mut Vec<(String, String)>,
}

impl Filling<'_> {
    /// Appends an attribute without content and returns its value's buffer.
    pub fn attribute(&mut self, name: &str) -> &mut String {
        let (mut own_name, mut value) = self.spare.pop().unwrap_or_default();
        own_name.clear();
        own_name.push_str(name);
        value.clear();
        self.event.attributes.push((own_name, value));
        let last = self.event.attributes.len() - 1;
        &mut self.event.attributes[last].1
    }
}
