//! Rows of a CSV file that are known by their outline (see [`engine::features::OutlineKey`]): rows repeat but for their
//! numbers and times, and all that a model asks of such a row is its line's key, which is that of the row before.

use std::ops::Range;

use engine::decode::TimeMemo;
use engine::decode::csv::{CsvHeader, Parts};
use engine::event::LogEvent;
use engine::features::{Canonical, KeyMaker, LineKey, OutlineKey};
use engine::model::RecentLines;
use engine::redact::Redactor;

use crate::split::Splitter;

/// Outlines that are known at a time; one takes 48 bytes.
const MOST: usize = 1 << 14;
/// Longest row that is known by its outline, in bytes.
const LONGEST: usize = 4_096;

/// A piece of a row.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u16,
    length: u16,
}

impl Span {
    fn new(range: &Range<usize>) -> Option<Self> {
        Some(Self { start: range.start.try_into().ok()?, length: range.len().try_into().ok()? })
    }

    fn of(self, row: &[u8]) -> &[u8] {
        row.get(self.start.into()..usize::from(self.start) + usize::from(self.length)).unwrap_or_default()
    }
}

/// What is known of an outline's rows.
#[derive(Clone, Copy, Debug, Default)]
struct Recalled {
    line: LineKey,
    /// The time's field; empty where there is none.
    time: Span,
    /// The service's field, where its digits are `digits`; empty where it has none.
    service: Span,
    digits: u64,
}

/// The rows that are known.
pub(crate) struct Outlines<'a> {
    maker: KeyMaker,
    redactor: &'a Redactor,
    canonical: Canonical,
    table: RecentLines<Recalled>,
    /// Of the times of rows that are known.
    pub times: TimeMemo,
}

/// A row whose outline was met before.
pub(crate) struct Found<'r> {
    /// Its line's key.
    pub line: LineKey,
    /// Its time's field; empty where there is none.
    pub time: &'r [u8],
}

impl<'a> Outlines<'a> {
    /// None yet. Keys of lines are made with `maker`; `redactor` says which rows hold a secret.
    pub fn new(maker: KeyMaker, redactor: &'a Redactor) -> Self {
        Self {
            maker,
            redactor,
            canonical: Canonical::default(),
            table: RecentLines::new(MOST, 0),
            times: TimeMemo::default(),
        }
    }

    /// Forgets all: what a row's parts are depends on the header.
    pub fn clear(&mut self) {
        self.table.clear();
    }

    /// What is known of a row, or its outline's key where nothing is; none at all of a long row.
    pub fn find<'r>(&mut self, row: &'r [u8]) -> Result<Found<'r>, Option<OutlineKey>> {
        if row.len() > LONGEST {
            return Err(None);
        }
        let outline = self.maker.outline(row);
        let recalled = self.table.get(LineKey(outline.0)).ok_or(Some(outline))?;
        let service = recalled.service.of(row);
        if !service.is_empty() && digits(service) != Some(recalled.digits) {
            return Err(None);
        }
        Ok(Found { line: recalled.line, time: recalled.time.of(row) })
    }

    /// Remembers a row that [`Outlines::find`] did not know, and returns its line's key, where every row of the outline
    /// has that key, and no secret in its message or service.
    pub fn remember(
        &mut self,
        outline: OutlineKey,
        row: &[u8],
        header: &CsvHeader,
        event: &LogEvent,
    ) -> Option<LineKey> {
        let Parts { time, level, service } = header.parts()?;
        let place = |part: Option<usize>| part.map_or(Some(0..0), |part| Splitter::place(row, part));
        let (time, level, service) = (place(time)?, place(Some(level))?, place(service)?);
        let has_digit = |place: &Range<usize>| row[place.clone()].iter().any(u8::is_ascii_digit);
        let is_clean = |text: &str| self.redactor.is_clean_for_all_digits(text);
        if has_digit(&level) || !is_clean(&event.message) || !is_clean(&event.service) {
            return None;
        }
        let mut recalled = Recalled { time: Span::new(&time)?, ..Recalled::default() };
        if has_digit(&service) {
            recalled.service = Span::new(&service)?;
            recalled.digits = digits(&row[service])?;
        }
        self.canonical.read(&event.message);
        recalled.line = self.maker.key(self.canonical.text(), &event.service, event.level);
        self.table.put(LineKey(outline.0), recalled);
        Some(recalled.line)
    }
}

/// The digits of a text in their order; none where there are too many.
fn digits(text: &[u8]) -> Option<u64> {
    const FIRST: u64 = 1;
    text.iter().filter(|byte| byte.is_ascii_digit()).try_fold(FIRST, |digits, byte| {
        // A one in front of them keeps apart what begins with zeros.
        (digits >> 60 == 0).then(|| digits << 4 | u64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_told_apart() {
        assert_eq!(digits(b"a-1"), digits(b"b-1"));
        assert_ne!(digits(b"a-1"), digits(b"a-01"));
        assert_ne!(digits(b"a1-2"), digits(b"a2-1"));
        assert!(digits(b"node-123456789012345").is_some());
        assert_eq!(digits(b"node-1234567890123456"), None);
    }
}
