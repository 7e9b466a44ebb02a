//! The messages of a CSV with the header `timestamp,service,level,message`, read in pieces (RFC 4180). Rows are cut
//! at the reader's speed; quotes are looked at only where there are some.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use memchr::{memchr, memchr_iter, memchr2};

/// Bytes of one read: what is read is still in the processor's cache when it is looked at.
const PIECE: usize = 1 << 17;
const COLUMNS: usize = 4;
const SHORT: &str = "a row has fewer than 4 columns";

/// Reads the messages of a corpus.
pub struct Messages {
    file: File,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    text: Vec<u8>,
}

/// Where a row stands in the buffer, without its line end.
#[derive(Clone, Copy)]
struct Row {
    from: usize,
    to: usize,
    has_quotes: bool,
}

impl Messages {
    /// Opens a corpus and steps over its header.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut this =
            Self { file, buffer: vec![0; 2 * PIECE], start: 0, end: 0, ended: false, text: Vec::new() };
        let header = this.row()?.map(|row| this.buffer[row.from..row.to].to_vec());
        if header.as_deref() != Some(b"timestamp,service,level,message") {
            bail!("{} is no corpus: `cargo xtask bench corpus` makes one", path.display());
        }
        Ok(this)
    }

    /// The next message; none at the end.
    ///
    /// # Errors
    /// The file cannot be read, or holds a row that is not of the corpus.
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        Ok(self.next_fields()?.map(|[.., message]| message))
    }

    /// Service, level and message of the next row; none at the end.
    ///
    /// # Errors
    /// As [`Messages::next`].
    pub fn next_fields(&mut self) -> Result<Option<[&[u8]; 3]>> {
        let Some(row) = self.row()? else { return Ok(None) };
        let bytes = &self.buffer[row.from..row.to];
        if !row.has_quotes {
            let mut commas = memchr_iter(b',', bytes);
            let mut comma = || commas.next().context(SHORT);
            let (first, second, third) = (comma()?, comma()?, comma()?);
            return Ok(Some([&bytes[first + 1..second], &bytes[second + 1..third], &bytes[third + 1..]]));
        }
        self.text.clear();
        let mut ends = [0; COLUMNS];
        let mut rest = bytes;
        for (column, end) in ends.iter_mut().enumerate() {
            let length = unquote(rest, &mut self.text).context("a row has faulty quotes")?;
            *end = self.text.len();
            rest = &rest[length..];
            if column + 1 < COLUMNS {
                rest = rest.strip_prefix(b",").context(SHORT)?;
            }
        }
        let field = |column: usize| &self.text[ends[column - 1]..ends[column]];
        Ok(Some([field(1), field(2), field(3)]))
    }

    /// Steps over the next row; false at the end.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn skip(&mut self) -> Result<bool> {
        Ok(self.row()?.is_some())
    }

    fn row(&mut self) -> Result<Option<Row>> {
        loop {
            let waiting = &self.buffer[self.start..self.end];
            if let Some((length, has_quotes)) = row_length(waiting) {
                let from = self.start;
                self.start += length + 1;
                return Ok(Some(Row { from, to: from + length, has_quotes }));
            }
            if self.ended {
                let (from, to) = (self.start, self.end);
                self.start = to;
                let has_quotes = memchr(b'"', &self.buffer[from..to]).is_some();
                return Ok((from < to).then_some(Row { from, to, has_quotes }));
            }
            self.fill()?;
        }
    }

    #[cold]
    fn fill(&mut self) -> Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end + PIECE > self.buffer.len() {
            self.buffer.resize(self.end + PIECE, 0);
        }
        let read = self.file.read(&mut self.buffer[self.end..])?;
        self.ended = read == 0;
        self.end += read;
        Ok(())
    }
}

/// Length of the first row and whether it holds quotes; none where its end is not there yet.
fn row_length(bytes: &[u8]) -> Option<(usize, bool)> {
    let (mut at, mut has_quotes) = (0, false);
    loop {
        at += memchr2(b'\n', b'"', &bytes[at..])?;
        if bytes[at] == b'\n' {
            return Some((at, has_quotes));
        }
        has_quotes = true;
        // To the closing quote; the second of a doubled one opens again.
        at += 2 + memchr(b'"', &bytes[at + 1..])?;
    }
}

/// Appends the first field of a row without its quotes; returns how long it is with them.
fn unquote(row: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    if row.first() != Some(&b'"') {
        let length = memchr(b',', row).unwrap_or(row.len());
        out.extend_from_slice(&row[..length]);
        return Some(length);
    }
    let mut from = 1;
    loop {
        let quote = from + memchr(b'"', row.get(from..)?)?;
        if row.get(quote + 1) != Some(&b'"') {
            out.extend_from_slice(&row[from..quote]);
            return Some(quote + 1);
        }
        // A doubled quote stands for one.
        out.extend_from_slice(&row[from..=quote]);
        from = quote + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_that_a_csv_reader_gives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corpus.csv");
        let arguments = crate::corpus::Arguments {
            rows: 20_000,
            seed: 5,
            data: None,
            repeating: false,
            out: path.clone(),
        };
        crate::corpus::write(&arguments).unwrap();
        let mut odd = std::fs::read(&path).unwrap();
        odd.extend_from_slice(b"t,\"a,\"\"b\"\",c\",INFO,plain\nt,s,INFO,\"two\nlines, \"\"quoted\"\"\"\n");
        odd.extend_from_slice(b"t,s,INFO,\"say \"\"hi\"\", then go\"\nt,s,,last without an end");
        std::fs::write(&path, &odd).unwrap();
        let mut messages = Messages::open(&path).unwrap();
        let mut reader = csv::Reader::from_path(&path).unwrap();
        for row in reader.byte_records() {
            let row = row.unwrap();
            assert_eq!(messages.next_fields().unwrap(), Some([&row[1], &row[2], &row[3]]));
        }
        assert_eq!(messages.next().unwrap(), None);
    }

    #[test]
    fn skipped_rows_are_counted_as_read_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corpus.csv");
        std::fs::write(&path, "timestamp,service,level,message\nt,s,l,\"a\nb\"\nt,s,l,c\n").unwrap();
        let mut messages = Messages::open(&path).unwrap();
        assert!(messages.skip().unwrap());
        assert_eq!(messages.next().unwrap(), Some(&b"c"[..]));
        assert!(!messages.skip().unwrap());
    }
}
