//! The messages of a CSV with the header `timestamp,service,level,message`, read in pieces (RFC 4180). Rows are cut
//! at the reader's speed; quotes are looked at only where there are some.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail};
use memchr::{memchr, memchr_iter, memchr2};

/// Bytes of one read: what is read is still in the processor's cache when it is looked at.
const PIECE: usize = 1 << 17;
/// Bytes that are looked at together when rows are stepped over.
const BLOCK: usize = 64;
const COLUMNS: usize = 4;
const SHORT: &str = "a row has fewer than 4 columns";
const NOT_TEXT: &str = "a row is not UTF-8";

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
        let (bytes, places) = self.places(row)?;
        Ok(Some(places.map(|place| &bytes[place])))
    }

    /// Service, level and message of a row, as places in what is returned beside them.
    fn places(&mut self, row: Row) -> Result<(&[u8], [Range<usize>; 3])> {
        let bytes = &self.buffer[row.from..row.to];
        if !row.has_quotes {
            let mut commas = memchr_iter(b',', bytes);
            let mut comma = || commas.next().context(SHORT);
            let (first, second, third) = (comma()?, comma()?, comma()?);
            return Ok((bytes, [first + 1..second, second + 1..third, third + 1..bytes.len()]));
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
        let [first, second, third, fourth] = ends;
        Ok((&self.text, [first..second, second..third, third..fourth]))
    }

    /// As [`Messages::next_fields`], as texts.
    ///
    /// # Errors
    /// As [`Messages::next`], and for a row that is not UTF-8.
    pub fn next_texts(&mut self) -> Result<Option<[&str; 3]>> {
        // One look at a row is quicker than one at each of its fields.
        let Some(row) = self.row()? else { return Ok(None) };
        let (bytes, places) = self.places(row)?;
        let text = simdutf8::basic::from_utf8(bytes).context(NOT_TEXT)?;
        let mut fields = [""; 3];
        for (field, place) in fields.iter_mut().zip(places) {
            *field = text.get(place).context(NOT_TEXT)?;
        }
        Ok(Some(fields))
    }

    /// Steps over the next rows and tells how many there were: fewer than asked for only at the end.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn skip(&mut self, rows: u64) -> Result<u64> {
        let mut skipped = 0;
        while skipped < rows {
            skipped += self.skip_blocks(rows - skipped);
            if skipped < rows {
                if self.row()?.is_none() {
                    break;
                }
                skipped += 1;
            }
        }
        Ok(skipped)
    }

    /// Steps over fewer than `rows` ends of rows, in whole blocks, as far as the buffer goes; ends outside of quotes.
    fn skip_blocks(&mut self, rows: u64) -> u64 {
        let (mut at, mut skipped, mut is_quoted) = (0, 0, 0_u64);
        // Where the last block ended outside of quotes, and the rows before it.
        let (mut safe, mut safe_rows) = (0, 0);
        for block in self.buffer[self.start..self.end].as_chunks::<BLOCK>().0 {
            let (quotes, ends) = marks(block);
            let mut inside = is_quoted;
            let mut outer = ends;
            if quotes != 0 || inside != 0 {
                let within = parity(quotes) ^ inside;
                outer = ends & !within;
                inside = 0_u64.wrapping_sub(within >> 63);
            }
            let more = u64::from(outer.count_ones());
            if skipped + more >= rows {
                break;
            }
            (at, skipped, is_quoted) = (at + BLOCK, skipped + more, inside);
            if is_quoted == 0 {
                (safe, safe_rows) = (at, skipped);
            }
        }
        self.start += safe;
        safe_rows
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

/// Which bytes are quotes, and which line ends, a bit each.
fn marks(block: &[u8; BLOCK]) -> (u64, u64) {
    let (mut are_quotes, mut are_ends) = ([0_u8; BLOCK], [0_u8; BLOCK]);
    let mut has_quotes = 0;
    for ((byte, quote), end) in block.iter().zip(&mut are_quotes).zip(&mut are_ends) {
        *quote = u8::from(*byte == b'"');
        *end = u8::from(*byte == b'\n');
        has_quotes |= *quote;
    }
    (if has_quotes == 0 { 0 } else { gathered(&are_quotes) }, gathered(&are_ends))
}

/// The low bits of the bytes.
fn gathered(bytes: &[u8; BLOCK]) -> u64 {
    let words = bytes.as_chunks::<8>().0.iter().enumerate();
    // Gathers the low bits of eight bytes in the highest byte.
    let bits = |word: &[u8; 8]| u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    words.fold(0, |mask, (at, word)| mask | bits(word) << (8 * at))
}

/// For each bit whether the ones up to it, itself included, are odd in number.
const fn parity(bits: u64) -> u64 {
    let (mut parity, mut step) = (bits, 1);
    while step < u64::BITS {
        parity ^= parity << step;
        step *= 2;
    }
    parity
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
        let mut text = "timestamp,service,level,message\n".to_owned();
        for row in 0..4_000_usize {
            let pad = "x".repeat(row * 7 % 150);
            match row % 5 {
                0 => text += &format!("t,s,l,\"{pad}, \n\"\"{row}\"\"\"\n"),
                1 => text += &format!("t,\"s\n\",l,{pad}{row}\n"),
                _ => text += &format!("t,s,l,{pad}{row}\n"),
            }
        }
        std::fs::write(&path, &text).unwrap();
        let mut all = Vec::new();
        let mut messages = Messages::open(&path).unwrap();
        while let Some(message) = messages.next().unwrap() {
            all.push(message.to_vec());
        }
        assert_eq!(all.len(), 4_000);
        for step in [1, 2, 7, 40, 333] {
            let mut messages = Messages::open(&path).unwrap();
            let mut row = 0;
            while messages.skip(step as u64).unwrap() == step as u64 {
                row += step;
                assert_eq!(messages.next().unwrap(), all.get(row).map(Vec::as_slice), "row {row} by {step}");
                row += 1;
            }
        }
        assert_eq!(Messages::open(&path).unwrap().skip(5_000).unwrap(), 4_000);
    }
}
