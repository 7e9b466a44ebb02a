//! Bytes become lines of bounded length: a longer line is counted and skipped, never held.

use std::io::{self, BufRead};

/// One line as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counted from 1.
    pub number: u64,
    /// Without its line end; cut at the limit where `length` is greater.
    pub bytes: Vec<u8>,
    /// Length in bytes without the line end.
    pub length: u64,
}

impl Line {
    /// Whether it was longer than the limit, so that `bytes` is not all of it.
    pub(crate) fn is_cut(&self) -> bool {
        self.length > self.bytes.len() as u64
    }
}

/// Splits a stream at line feeds.
pub(crate) struct Lines {
    source: Box<dyn BufRead + Send>,
    max_bytes: usize,
    number: u64,
}

impl Lines {
    pub(crate) fn new(source: Box<dyn BufRead + Send>, max_bytes: usize) -> Self {
        Self { source, max_bytes, number: 0 }
    }

    /// Lines read so far.
    pub(crate) fn count(&self) -> u64 {
        self.number
    }

    /// Offers the next line where it lies whole in the buffer and within the limit. It is passed, and its number
    /// returned, only where `take` accepts it; else [`Lines::next`] gives it.
    pub(crate) fn offer(&mut self, take: impl FnOnce(&[u8]) -> bool) -> io::Result<Option<u64>> {
        let chunk = match self.source.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(end) = memchr::memchr(b'\n', chunk) else { return Ok(None) };
        let line = chunk[..end].strip_suffix(b"\r").unwrap_or(&chunk[..end]);
        if line.len() > self.max_bytes || !take(line) {
            return Ok(None);
        }
        self.source.consume(end + 1);
        self.number += 1;
        Ok(Some(self.number))
    }

    /// The next line, none at the end; a last line needs no line feed.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let mut length = 0u64;
        let mut ended = false;
        while !ended {
            let chunk = match self.source.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                if length == 0 {
                    return Ok(None);
                }
                break;
            }
            let end = memchr::memchr(b'\n', chunk);
            let part = &chunk[..end.unwrap_or(chunk.len())];
            // One byte more than the limit is kept, so that a carriage return at its end is no excess.
            let room = (self.max_bytes + 1).saturating_sub(bytes.len());
            bytes.extend_from_slice(&part[..part.len().min(room)]);
            length += part.len() as u64;
            let used = part.len() + usize::from(end.is_some());
            self.source.consume(used);
            ended = end.is_some();
        }
        self.number += 1;
        if ended && bytes.len() as u64 == length && bytes.last() == Some(&b'\r') {
            bytes.pop();
            length -= 1;
        }
        if length > self.max_bytes as u64 {
            // Released now: the next lines should not carry the memory of a long one.
            bytes.truncate(self.max_bytes.min(256));
            bytes.shrink_to_fit();
        }
        Ok(Some(Line { number: self.number, bytes, length }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use proptest::prelude::*;

    use super::*;

    fn lines(text: &[u8], capacity: usize, max: usize) -> Vec<Line> {
        let source = BufReader::with_capacity(capacity, Cursor::new(text.to_vec()));
        let mut lines = Lines::new(Box::new(source), max);
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_standard_library_for_any_buffer(text in "[a\r\n]{0,60}", capacity in 1usize..9) {
            let expected: Vec<_> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
            let found: Vec<_> = lines(text.as_bytes(), capacity, 100).into_iter().map(|line| line.bytes).collect();
            prop_assert_eq!(found, expected);
        }
    }

    proptest! {
        #[test]
        fn lines_that_are_offered_are_the_same_lines(
            text in "[a\r\n]{0,60}", capacity in 1usize..30, declined in 1u64..5,
        ) {
            let source = || Box::new(BufReader::with_capacity(capacity, Cursor::new(text.clone().into_bytes())));
            let (mut plain, mut offered) = (Lines::new(source(), 8), Lines::new(source(), 8));
            while let Some(line) = plain.next().unwrap() {
                let (mut bytes, number) = (Vec::new(), line.number);
                let take = |line: &[u8]| {
                    bytes = line.to_vec();
                    !number.is_multiple_of(declined)
                };
                match offered.offer(take).unwrap() {
                    Some(number) => prop_assert_eq!((number, bytes, false), (line.number, line.bytes.clone(), line.is_cut())),
                    None => prop_assert_eq!(offered.next().unwrap(), Some(line)),
                }
            }
            prop_assert_eq!(offered.next().unwrap(), None);
        }
    }

    #[test]
    fn a_line_over_the_limit_is_cut_and_its_length_told() {
        let found = lines(b"ab\nabcdefghij\ncd\r\n", 4, 2);
        assert_eq!(found.len(), 3);
        assert!(!found[0].is_cut() && !found[2].is_cut());
        assert_eq!((found[1].length, found[1].number), (10, 2));
        assert!(found[1].length > 2);
    }
}
