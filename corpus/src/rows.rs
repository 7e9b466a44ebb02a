//! Lines become CSV rows (RFC 4180): a quoted field may span lines. A faulty quote costs the row it stands in and
//! never swallows the rest of the file: reading goes on at the next line.

use std::collections::VecDeque;
use std::io;

use engine::decode::{RejectReason, Rejected};

use crate::lines::{Line, Lines};

/// Most lines that one row may span: bounds what a quote that is never closed can cost.
const MAX_ROW_LINES: usize = 1_000;

/// A row's bytes, quotes included, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Line on which it starts, counted from 1.
    pub number: u64,
    pub bytes: Result<Vec<u8>, Rejected>,
}

/// Cuts a stream into rows.
pub(crate) struct Rows {
    lines: Lines,
    ahead: VecDeque<Line>,
    max_bytes: usize,
}

/// Where a scan over the bytes of a row stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote inside a quoted field: its end, or the first half of a doubled one.
    QuoteInQuoted,
}

enum Scan {
    Complete,
    Open,
    /// Something other than a comma after a closing quote, at this column (counted from 1).
    Faulty(usize),
}

fn scan(line: &[u8], state: &mut State) -> Scan {
    for (at, &byte) in line.iter().enumerate() {
        *state = match (*state, byte) {
            (State::FieldStart, b'"') => State::Quoted,
            (State::FieldStart | State::Plain, b',') | (State::QuoteInQuoted, b',') => State::FieldStart,
            (State::FieldStart | State::Plain, _) => State::Plain,
            (State::Quoted, b'"') => State::QuoteInQuoted,
            (State::Quoted, _) => State::Quoted,
            (State::QuoteInQuoted, b'"') => State::Quoted,
            (State::QuoteInQuoted, _) => return Scan::Faulty(at + 1),
        };
    }
    if *state == State::Quoted { Scan::Open } else { Scan::Complete }
}

/// A line as a whole row.
pub(crate) fn single(line: &[u8]) -> Result<&[u8], Rejected> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let malformed = |detail| Err(Rejected { reason: RejectReason::Malformed, detail });
    match scan(line, &mut State::FieldStart) {
        _ if line.iter().all(u8::is_ascii_whitespace) => {
            Err(Rejected { reason: RejectReason::Empty, detail: "the line is blank".to_owned() })
        }
        Scan::Complete => Ok(line),
        Scan::Open => {
            malformed("a quoted field goes on in the next line, which is not read while following".to_owned())
        }
        Scan::Faulty(column) => {
            malformed(format!("faulty quoting: text after the closing quote at column {column}"))
        }
    }
}

impl Rows {
    pub(crate) fn new(lines: Lines, first: Option<Line>, max_bytes: usize) -> Self {
        Self { lines, ahead: first.into_iter().collect(), max_bytes }
    }

    /// Lines read so far.
    pub(crate) fn count(&self) -> u64 {
        self.lines.count()
    }

    /// Offers the next line as a whole row, as [`Lines::offer`] does; not while lines wait that were read already.
    pub(crate) fn offer(&mut self, take: impl FnOnce(&[u8]) -> bool) -> io::Result<Option<u64>> {
        if self.ahead.is_empty() { self.lines.offer(take) } else { Ok(None) }
    }

    /// The next row, none at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Row>> {
        let mut state = State::FieldStart;
        let mut total = 0u64;
        for taken in 0.. {
            if taken == self.ahead.len() {
                match self.lines.next()? {
                    Some(line) => self.ahead.push_back(line),
                    None if taken == 0 => return Ok(None),
                    None => return Ok(self.reject_first(RejectReason::Malformed, NEVER_CLOSED.to_owned())),
                }
            }
            let line = &self.ahead[taken];
            total += line.length + u64::from(taken > 0);
            if total > self.max_bytes as u64 || line.is_cut() {
                let (length, limit) = (total, self.max_bytes);
                return Ok(match taken {
                    0 => self.reject_first(
                        RejectReason::TooLong,
                        format!("the line has {length} bytes, at most {limit} are allowed"),
                    ),
                    _ => self.reject_first(RejectReason::Malformed, NEVER_CLOSED.to_owned()),
                });
            }
            match scan(&line.bytes, &mut state) {
                Scan::Complete => return Ok(self.join(taken + 1)),
                Scan::Open if taken + 1 < MAX_ROW_LINES => {}
                Scan::Open => return Ok(self.reject_first(RejectReason::Malformed, NEVER_CLOSED.to_owned())),
                Scan::Faulty(column) => {
                    let place = if taken == 0 {
                        format!("column {column}")
                    } else {
                        format!("column {column} of line {}", line.number)
                    };
                    let detail = format!(
                        "faulty quoting: text after the closing quote at {place}; a quote inside a quoted field is written twice"
                    );
                    return Ok(self.reject_first(RejectReason::Malformed, detail));
                }
            }
        }
        Ok(None)
    }

    fn join(&mut self, lines: usize) -> Option<Row> {
        let mut parts = self.ahead.drain(..lines);
        let Line { number, mut bytes, .. } = parts.next()?;
        for part in parts {
            bytes.push(b'\n');
            bytes.extend_from_slice(&part.bytes);
        }
        Some(Row { number, bytes: Ok(bytes) })
    }

    fn reject_first(&mut self, reason: RejectReason, detail: String) -> Option<Row> {
        let line = self.ahead.pop_front()?;
        Some(Row { number: line.number, bytes: Err(Rejected { reason, detail }) })
    }
}

const NEVER_CLOSED: &str =
    "faulty quoting: a quoted field is opened and not closed within the limits of a row";

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn rows(text: &str) -> Vec<Row> {
        let lines = Lines::new(Box::new(Cursor::new(text.to_owned().into_bytes())), 1_000);
        let mut rows = Rows::new(lines, None, 1_000);
        std::iter::from_fn(|| rows.next().unwrap()).collect()
    }

    fn fields(bytes: &[u8]) -> Vec<String> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
        let record = reader.records().next().unwrap().unwrap();
        record.iter().map(str::to_owned).collect()
    }

    proptest! {
        #[test]
        fn rows_written_by_a_csv_writer_come_back(table in prop::collection::vec(prop::collection::vec("[a,\"\n é]{0,12}", 2), 1..12)) {
            let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            for row in &table {
                writer.write_record(row).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let found: Vec<_> = rows(&text).into_iter().map(|row| fields(&row.bytes.unwrap())).collect();
            prop_assert_eq!(found, table);
        }

        #[test]
        fn no_line_is_lost_whatever_the_quotes(text in "[a,\"\n]{0,80}") {
            let found = rows(&text);
            let mut covered = 0;
            for row in &found {
                prop_assert_eq!(row.number, covered + 1);
                covered += row.bytes.as_ref().map_or(1, |bytes| bytes.split(|byte| *byte == b'\n').count() as u64);
            }
            prop_assert_eq!(covered, text.lines().count() as u64);
        }
    }

    #[rstest]
    #[case::text_after_a_closing_quote(
        "\"a\"b,c\nd,e\n",
        "faulty quoting: text after the closing quote at column 4"
    )]
    #[case::a_quote_never_closed("\"a,c\nd,e\n", "faulty quoting: a quoted field is opened and not closed")]
    fn a_faulty_quote_costs_its_own_line_only(#[case] text: &str, #[case] message: &str) {
        let found = rows(text);
        let rejected = found[0].bytes.as_ref().unwrap_err();
        assert!(rejected.detail.starts_with(message), "{rejected}");
        assert_eq!(found[1], Row { number: 2, bytes: Ok(b"d,e".to_vec()) });
    }

    #[test]
    fn a_quote_inside_an_unquoted_field_is_part_of_it() {
        assert_eq!(fields(rows("a,say \"x\"\n")[0].bytes.as_ref().unwrap()), ["a", "say \"x\""]);
    }
}
