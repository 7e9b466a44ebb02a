//! Cuts bytes into lines without ever holding more than one line's limit: what is beyond is skipped to the line's
//! end, and the line comes out too long, so that the decoder rejects it by name.

use bytes::Bytes;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Byte offset of its first byte.
    pub start: u64,
    /// Byte offset behind its line end.
    pub end: u64,
    /// Its bytes without the line end; of a line over the limit one byte more than the limit.
    pub bytes: Bytes,
}

/// Cuts a stream of bytes into lines.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    /// The unfinished line; never more than `limit + 1` bytes.
    partial: Vec<u8>,
    start: u64,
    at: u64,
}

impl Lines {
    /// At the beginning of a stream; `limit` is the longest line that is accepted, in bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, partial: Vec::new(), start: 0, at: 0 }
    }

    /// As `new`, at a line's start in the middle of a stream.
    pub fn at(limit: usize, offset: u64) -> Self {
        Self { start: offset, at: offset, ..Self::new(limit) }
    }

    /// The byte offset up to which bytes were fed.
    pub fn fed(&self) -> u64 {
        self.at
    }

    /// Takes the next bytes and passes on every line that ends in them.
    pub fn feed(&mut self, mut bytes: &[u8], out: &mut dyn FnMut(Line)) {
        while let Some(length) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(length);
            if self.partial.is_empty() && length <= self.limit {
                out(self.whole(line));
            } else {
                self.append(line);
                self.at += 1;
                out(self.take());
            }
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.append(bytes);
    }

    /// The line that the end of the stream cut off, if any.
    pub fn finish(&mut self) -> Option<Line> {
        (self.at > self.start).then(|| self.take())
    }

    /// A line that came in one piece, copied once.
    fn whole(&mut self, line: &[u8]) -> Line {
        self.at += line.len() as u64 + 1;
        let start = std::mem::replace(&mut self.start, self.at);
        let bytes = Bytes::copy_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        Line { start, end: self.at, bytes }
    }

    fn append(&mut self, bytes: &[u8]) {
        self.at += bytes.len() as u64;
        let room = (self.limit + 1).saturating_sub(self.partial.len());
        self.partial.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn take(&mut self) -> Line {
        let mut bytes = std::mem::take(&mut self.partial);
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        // It grew piece by piece, and may wait in a batch.
        bytes.shrink_to_fit();
        let start = std::mem::replace(&mut self.start, self.at);
        Line { start, end: self.at, bytes: bytes.into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(limit: usize, chunks: &[&[u8]]) -> Vec<Line> {
        let mut lines = Lines::new(limit);
        let mut out = Vec::new();
        for chunk in chunks {
            lines.feed(chunk, &mut |line| out.push(line));
        }
        out.extend(lines.finish());
        out
    }

    #[test]
    fn a_line_over_the_limit_is_passed_on_one_byte_too_long() {
        let lines = cut(4, &[b"123456", b"789\nok\n"]);
        assert_eq!(lines[0].bytes.as_ref(), b"12345");
        assert_eq!((lines[1].start, lines[1].end, lines[1].bytes.as_ref()), (10, 13, b"ok".as_slice()));
    }

    #[test]
    fn an_unfinished_line_comes_at_the_end_only() {
        let mut lines = Lines::at(100, 50);
        lines.feed(b"abc", &mut |line| panic!("{line:?}"));
        let line = lines.finish().unwrap();
        assert_eq!((line.start, line.end, line.bytes.as_ref()), (50, 53, b"abc".as_slice()));
        assert_eq!(lines.finish(), None);
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter_and_offsets_name_the_bytes(text in "[ab\n]{0,60}", cuts in prop::collection::vec(0_usize..60, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let lines = cut(1_000, &chunks);
            prop_assert_eq!(&lines, &cut(1_000, &[bytes]));
            let mut next = 0;
            for line in &lines {
                prop_assert_eq!(line.start, next);
                next = line.end;
                let start = usize::try_from(line.start).unwrap();
                prop_assert_eq!(&bytes[start..start + line.bytes.len()], line.bytes.as_ref());
            }
            prop_assert_eq!(next, bytes.len() as u64);
        }
    }
}
