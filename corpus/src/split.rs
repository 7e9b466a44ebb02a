//! Splits one CSV row into its fields, with a parser that is built once. Never reads more than the row it is given.

use std::ops::Range;

use csv_core::{ReadRecordResult, Reader};
use engine::decode::{RejectReason, Rejected};

/// Fields of the row before the table of their ends grows.
const FIRST_FIELDS: usize = 32;

/// Splits rows at their commas and takes the quotes off.
pub(crate) struct Splitter {
    reader: Reader,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
    places: Vec<Range<usize>>,
}

impl Splitter {
    pub(crate) fn new() -> Self {
        Self {
            reader: Reader::new(),
            bytes: Vec::new(),
            ends: vec![0; FIRST_FIELDS],
            fields: 0,
            places: Vec::new(),
        }
    }

    /// Where the fields of `row`, without their quotes, lie in the bytes that are returned beside their places: the row,
    /// or a copy of it where quotes are doubled. `None` where the row needs a closer look.
    pub(crate) fn places<'s>(&'s mut self, row: &'s [u8]) -> Option<(&'s [u8], &'s [Range<usize>])> {
        self.places.clear();
        let mut start = 0;
        loop {
            let (place, end) = Self::field(row, start)?;
            if row.get(end) == Some(&b'"') {
                return self.places_of_copy(row);
            }
            self.places.push(place);
            match row.get(end) {
                Some(b',') => start = end + 1,
                Some(_) => return None,
                None => break,
            }
        }
        (!row.is_empty()).then_some((row, &self.places))
    }

    /// Where a field of `row`, without its quotes, lies. `None` where quotes are doubled in it or before it.
    pub(crate) fn place(row: &[u8], field: usize) -> Option<Range<usize>> {
        let mut start = 0;
        for number in 0.. {
            let (place, end) = Self::field(row, start)?;
            if row.get(end).is_some_and(|byte| *byte != b',') {
                break;
            }
            if number == field {
                return Some(place);
            }
            start = end + 1;
        }
        None
    }

    /// Where the field that begins at `start` lies, without its quotes, and where it ends: at a comma or the row's end, at a
    /// second quote where the first was doubled, or at something that does not belong there.
    fn field(row: &[u8], start: usize) -> Option<(Range<usize>, usize)> {
        let rest = row.get(start..)?;
        if rest.first() == Some(&b'"') {
            let length = memchr::memchr(b'"', &rest[1..])?;
            return Some((start + 1..start + 1 + length, start + 2 + length));
        }
        let end = start + memchr::memchr2(b',', b'\r', rest).unwrap_or(rest.len());
        Some((start..end, end))
    }

    /// As [`Splitter::places`], for a row with doubled quotes.
    fn places_of_copy(&mut self, row: &[u8]) -> Option<(&[u8], &[Range<usize>])> {
        self.places.clear();
        self.bytes.clear();
        let mut at = 0;
        loop {
            let first = self.bytes.len();
            if row.get(at) == Some(&b'"') {
                at += 1;
                loop {
                    let length = memchr::memchr(b'"', row.get(at..)?)?;
                    self.bytes.extend_from_slice(&row[at..at + length]);
                    at += length + 1;
                    if row.get(at) != Some(&b'"') {
                        break;
                    }
                    self.bytes.push(b'"');
                    at += 1;
                }
            } else {
                let rest = row.get(at..)?;
                let length = memchr::memchr2(b',', b'\r', rest).unwrap_or(rest.len());
                self.bytes.extend_from_slice(&rest[..length]);
                at += length;
            }
            self.places.push(first..self.bytes.len());
            match row.get(at) {
                Some(b',') => at += 1,
                Some(_) => return None,
                None => break,
            }
        }
        Some((&self.bytes, &self.places))
    }

    /// The fields of `row`, until the next call.
    ///
    /// # Errors
    /// The bytes are not one row.
    pub(crate) fn split(&mut self, row: &[u8]) -> Result<impl ExactSizeIterator<Item = &[u8]>, Rejected> {
        self.reader.reset();
        self.bytes.resize(row.len(), 0);
        let (mut read, mut written) = (0, 0);
        self.fields = 0;
        loop {
            let (result, taken, put, ended) = self.reader.read_record(
                &row[read..],
                &mut self.bytes[written..],
                &mut self.ends[self.fields..],
            );
            read += taken;
            written += put;
            self.fields += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record if row[read..].iter().all(u8::is_ascii_whitespace) => break,
                ReadRecordResult::OutputFull | ReadRecordResult::Record | ReadRecordResult::End => {
                    let detail = "the line is not one CSV row".to_owned();
                    return Err(Rejected { reason: RejectReason::Malformed, detail });
                }
            }
        }
        let (bytes, ends) = (&self.bytes, &self.ends[..self.fields]);
        let start = |at: usize| if at == 0 { 0 } else { ends[at - 1] };
        Ok((0..ends.len()).map(move |at| &bytes[start(at)..ends[at]]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(splitter: &mut Splitter, row: &str) -> Vec<String> {
        splitter
            .split(row.as_bytes())
            .unwrap()
            .map(|field| String::from_utf8(field.to_vec()).unwrap())
            .collect()
    }

    proptest! {
        #[test]
        fn a_row_comes_back_whatever_was_split_before(rows in prop::collection::vec(prop::collection::vec("[a,\"\n é]{0,9}", 1..80), 1..5)) {
            let mut splitter = Splitter::new();
            for row in rows {
                let mut writer =
                    csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
                writer.write_record(&row).unwrap();
                let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
                prop_assert_eq!(fields(&mut splitter, text.trim_end_matches('\n')), row);
            }
        }
    }

    proptest! {
        #[test]
        fn fields_in_their_places_are_those_that_are_split(row in "[a,\" \r\t]{1,12}") {
            let mut splitter = Splitter::new();
            let found = splitter.places(row.as_bytes()).map(|(bytes, places)| {
                let text = |place: &Range<usize>| String::from_utf8(bytes[place.clone()].to_vec()).unwrap();
                places.iter().map(text).collect::<Vec<_>>()
            });
            if let Some(found) = found {
                for (number, text) in found.iter().enumerate() {
                    let place = Splitter::place(row.as_bytes(), number);
                    prop_assert!(place.is_none_or(|place| row[place] == *text));
                }
                prop_assert_eq!(found, fields(&mut splitter, &row));
            }
        }
    }

    #[test]
    fn fields_are_found_in_their_places() {
        let mut splitter = Splitter::new();
        let row = b"a,\"b, c\",,";
        assert_eq!(splitter.places(row), Some((&row[..], &[0..1, 3..7, 9..9, 10..10][..])));
        let places = [0, 1, 2, 3, 4].map(|number| Splitter::place(row, number));
        assert_eq!(places, [Some(0..1), Some(3..7), Some(9..9), Some(10..10), None]);
        let doubled = b"a,b,\"c \"\"d\"\"\",e";
        assert_eq!([1, 2, 3].map(|number| Splitter::place(doubled, number)), [Some(2..3), None, None]);
        let copy = b"ab \"c\"d\"";
        assert_eq!(
            splitter.places(b"a,\"b \"\"c\"\"\",,d,\"\"\"\""),
            Some((&copy[..], &[0..1, 1..6, 6..6, 6..7, 7..8][..]))
        );
        for row in [&b"\"a\"b"[..], b"a\rb", b"\"open", b"\"open\"\"", b"\"a\"\"\"b", b""] {
            assert_eq!(splitter.places(row), None);
        }
    }

    #[test]
    fn quotes_inside_an_unquoted_field_stay() {
        assert_eq!(fields(&mut Splitter::new(), "a,say \"x\",\"b,\"\"c\""), ["a", "say \"x\"", "b,\"c"]);
    }
}
