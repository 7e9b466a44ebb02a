//! Splits one CSV row into its fields, with a parser that is built once. Never reads more than the row it is given.

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
}

impl Splitter {
    pub(crate) fn new() -> Self {
        Self { reader: Reader::new(), bytes: Vec::new(), ends: vec![0; FIRST_FIELDS], fields: 0 }
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

    #[test]
    fn quotes_inside_an_unquoted_field_stay() {
        assert_eq!(fields(&mut Splitter::new(), "a,say \"x\",\"b,\"\"c\""), ["a", "say \"x\"", "b,\"c"]);
    }
}
