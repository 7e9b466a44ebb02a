//! Lines that belong together (stack traces, tracebacks, partial container lines) become one record, source by
//! source, within a time and a size. Time is an argument; nothing is decoded here.

mod continuation;

use std::collections::{BTreeMap, HashMap};

use super::cri;
use crate::event::EventTime;
use continuation::Opening;

/// How far lines are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinSettings {
    /// A record is given out when its source was silent for so long (default 1000 ms).
    pub max_idle_ms: i64,
    /// Most bytes of a joined record (default 256 KiB).
    pub max_bytes: usize,
    /// Most lines of a joined record (default 2000).
    pub max_lines: usize,
    /// Most sources with a record that waits; the oldest is given out when there are more (default 256).
    pub max_sources: usize,
}

impl Default for JoinSettings {
    fn default() -> Self {
        Self { max_idle_ms: 1_000, max_bytes: 256 << 10, max_lines: 2_000, max_sources: 256 }
    }
}

/// A whole record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined<P> {
    /// Its lines, joined by `\n`, without a line end.
    pub record: Vec<u8>,
    /// Where its first line came from.
    pub first: P,
    /// Where its last line came from.
    pub last: P,
    /// How many lines it has.
    pub lines: usize,
    /// Whether it was given out for its size, so that its end follows as another record.
    pub cut: bool,
}

#[derive(Debug)]
struct Pending<P> {
    source: Box<str>,
    joined: Joined<P>,
    opening: Opening,
    /// The record's last line goes on in the next one (a container runtime's partial line).
    partial: bool,
    last_at: EventTime,
}

/// Joins lines by source. `P` is the caller's position of a line (an offset, an index): nothing before the first
/// position of [`Joiner::pending`] and no record given out later may be committed.
#[derive(Debug)]
pub struct Joiner<P> {
    settings: JoinSettings,
    pending: BTreeMap<u64, Pending<P>>,
    by_source: HashMap<Box<str>, u64>,
    next: u64,
}

impl<P: Copy> Joiner<P> {
    /// Nothing waits.
    pub fn new(settings: JoinSettings) -> Self {
        Self { settings, pending: BTreeMap::new(), by_source: HashMap::new(), next: 0 }
    }

    /// Takes a line (without its line end) that was read at `now`; records that are whole by it are appended to
    /// `out`, in the order in which they began.
    pub fn push(&mut self, source: &str, line: &[u8], position: P, now: EventTime, out: &mut Vec<Joined<P>>) {
        self.tick(now, out);
        let Ok(text) = std::str::from_utf8(line) else {
            self.release_source(source, false, out);
            out.push(Joined { record: line.to_vec(), first: position, last: position, lines: 1, cut: false });
            return;
        };
        if self.append(source, text, position, now, out) {
            return;
        }
        self.release_source(source, false, out);
        self.open(source, text, position, now);
        while self.pending.len() > self.settings.max_sources.max(1) {
            self.release_oldest(out);
        }
    }

    /// Gives out the records whose source was silent for `max_idle_ms`.
    pub fn tick(&mut self, now: EventTime, out: &mut Vec<Joined<P>>) {
        let idle = self.settings.max_idle_ms.saturating_mul(1_000);
        let due: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, pending)| now.as_micros().saturating_sub(pending.last_at.as_micros()) >= idle)
            .map(|(sequence, _)| *sequence)
            .collect();
        for sequence in due {
            self.release(sequence, false, out);
        }
    }

    /// Gives out everything.
    pub fn flush(&mut self, out: &mut Vec<Joined<P>>) {
        while !self.pending.is_empty() {
            self.release_oldest(out);
        }
    }

    /// Gives out what waits of one source (it ended, or its partition was revoked).
    pub fn flush_source(&mut self, source: &str, out: &mut Vec<Joined<P>>) {
        self.release_source(source, false, out);
    }

    /// Source and first position of every record that waits, in the order in which they began.
    pub fn pending(&self) -> impl Iterator<Item = (&str, P)> {
        self.pending.values().map(|pending| (&*pending.source, pending.joined.first))
    }

    /// Appends a line to what waits of its source; false where it begins a record of its own.
    fn append(
        &mut self,
        source: &str,
        text: &str,
        position: P,
        now: EventTime,
        out: &mut Vec<Joined<P>>,
    ) -> bool {
        let Some(sequence) = self.by_source.get(source).copied() else { return false };
        let Some(pending) = self.pending.get_mut(&sequence) else { return false };
        let parts = cri::parts(text);
        if parts.is_some() != pending.opening.is_container() {
            return false;
        }
        let (line, partial) = match &parts {
            Some(parts) if pending.opening.stream() == Some(parts.stream) => (parts.text, parts.partial),
            Some(_) => return false,
            None => (text, false),
        };
        if !pending.partial && !pending.opening.continues_with(line) {
            return false;
        }
        let size = pending.joined.record.len() + line.len() + 1;
        if size > self.settings.max_bytes || pending.joined.lines >= self.settings.max_lines {
            self.release(sequence, true, out);
            self.open(source, text, position, now);
            return true;
        }
        if !pending.partial {
            pending.joined.record.push(b'\n');
        }
        pending.joined.record.extend_from_slice(line.as_bytes());
        pending.joined.last = position;
        pending.joined.lines += 1;
        pending.partial = partial;
        pending.last_at = now;
        pending.opening.note(line);
        true
    }

    fn open(&mut self, source: &str, text: &str, position: P, now: EventTime) {
        let parts = cri::parts(text);
        let mut record = text.as_bytes().to_vec();
        let mut partial = false;
        if let Some(parts) = &parts {
            partial = parts.partial;
            if partial {
                // The joined line is whole, so its tag must say so.
                let tag = record.len() - parts.text.len() - 2;
                if record.get(tag) == Some(&b'P') {
                    record[tag] = b'F';
                }
            }
        }
        let opening = Opening::of(parts.as_ref().map_or(text, |parts| parts.text), parts.as_ref());
        let joined = Joined { record, first: position, last: position, lines: 1, cut: false };
        let pending = Pending { source: source.into(), joined, opening, partial, last_at: now };
        self.by_source.insert(source.into(), self.next);
        self.pending.insert(self.next, pending);
        self.next += 1;
    }

    fn release_source(&mut self, source: &str, cut: bool, out: &mut Vec<Joined<P>>) {
        if let Some(sequence) = self.by_source.get(source).copied() {
            self.release(sequence, cut, out);
        }
    }

    fn release_oldest(&mut self, out: &mut Vec<Joined<P>>) {
        if let Some(sequence) = self.pending.keys().next().copied() {
            self.release(sequence, false, out);
        }
    }

    fn release(&mut self, sequence: u64, cut: bool, out: &mut Vec<Joined<P>>) {
        if let Some(pending) = self.pending.remove(&sequence) {
            self.by_source.remove(&pending.source);
            out.push(Joined { cut, ..pending.joined });
        }
    }
}

#[cfg(test)]
mod tests;
