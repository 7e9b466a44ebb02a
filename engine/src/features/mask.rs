//! The masked pattern of a text and its masked words: what is left when everything that varies is replaced by a
//! name in angle brackets. People read the pattern; the words are what surprisal counts.

use std::ops::Range;

use super::{MAX_WORDS, is_word_byte, scan};

/// One masked word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its bytes in the text as it was.
    pub source: Range<usize>,
    /// Its bytes in the pattern.
    pub masked: Range<usize>,
    /// Nothing of it is left but masks, and at most a letter beside the digits, as in `J18`.
    pub is_mask: bool,
}

/// A masked text; its buffers are reused from one text to the next.
#[derive(Debug, Default)]
pub struct Masked {
    pattern: String,
    words: Vec<Word>,
    open: Option<Word>,
}

impl Masked {
    /// The pattern, such as `PacketResponder <num> for block blk_<num> terminating`; runs of white space are
    /// one space.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The words in the order of the text, at most [`MAX_WORDS`].
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// A word as it stands in the pattern.
    pub fn text(&self, word: &Word) -> &str {
        self.pattern.get(word.masked.clone()).unwrap_or_default()
    }

    /// Masks `text`.
    pub fn mask(&mut self, text: &str) {
        self.pattern.clear();
        self.words.clear();
        self.open = None;
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            at += self.step(text, at);
        }
        self.close();
        let kept = self.pattern.trim_end().len();
        self.pattern.truncate(kept);
    }

    /// Takes one thing at `at` and says how long it was.
    fn step(&mut self, text: &str, at: usize) -> usize {
        let bytes = text.as_bytes();
        let (rest, before) = (&bytes[at..], at.checked_sub(1).map(|before| bytes[before]));
        let byte = bytes[at];
        let begins = !before.is_some_and(|before| before.is_ascii_alphanumeric());
        if begins && let Some((mask, length)) = self.whole(rest, before) {
            self.close();
            self.put_mask(mask, at..at + length);
            self.close();
            return length;
        }
        if byte.is_ascii_alphanumeric() {
            return self.run(text, at);
        }
        if is_word_byte(byte) {
            let length = bytes[at..].iter().take_while(|byte| **byte == b'_' || **byte >= 0x80).count();
            self.put(&text[at..at + length], at..at + length);
            return length;
        }
        if byte == b'-' && rest.get(1).is_some_and(u8::is_ascii_digit) && opens_a_number(before) {
            let length = 1 + scan::number(&rest[1..]);
            if scan::run(&rest[1..1 + alphanumeric(&rest[1..])]) == scan::Run::Number {
                self.put_mask("<num>", at..at + length);
                return length;
            }
        }
        let inside = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphabetic);
        if byte == b'\'' && self.open.is_some() && inside(before.as_ref()) && inside(rest.get(1)) {
            self.put("'", at..at + 1);
            return 1;
        }
        self.close();
        if byte.is_ascii_whitespace() {
            if !self.pattern.is_empty() && !self.pattern.ends_with(' ') {
                self.pattern.push(' ');
            }
        } else {
            self.pattern.push(char::from(byte));
        }
        1
    }

    /// Things that are masked as a whole.
    fn whole(&self, rest: &[u8], before: Option<u8>) -> Option<(&'static str, usize)> {
        if let Some(length) = scan::uuid(rest) {
            return Some(("<uuid>", length));
        }
        if let Some(length) = scan::octets(rest) {
            return Some(("<hex>", length));
        }
        if let Some(length) = scan::ip(rest) {
            return Some(("<ip>", length));
        }
        if let Some(length) = scan::url(rest, before) {
            return Some(("<url>", length));
        }
        let requested = self.words.last().is_some_and(|word| is_http_method(self.text(word)));
        if requested {
            return None;
        }
        scan::path(rest, before).map(|length| ("<path>", length))
    }

    /// A run of letters and digits.
    fn run(&mut self, text: &str, at: usize) -> usize {
        let rest = &text.as_bytes()[at..];
        let length = alphanumeric(rest);
        match scan::run(&rest[..length]) {
            scan::Run::Word => self.put(&text[at..at + length], at..at + length),
            scan::Run::Number => {
                let length = scan::number(rest).max(length);
                self.put_mask("<num>", at..at + length);
                return length;
            }
            scan::Run::Hex => self.put_mask("<hex>", at..at + length),
            scan::Run::Id => self.put_mask("<id>", at..at + length),
            scan::Run::Mixed => {
                let letters = rest[..length].iter().filter(|byte| byte.is_ascii_alphabetic()).count();
                let mut done = 0;
                while done < length {
                    let decimal = rest[done].is_ascii_digit();
                    let same =
                        rest[done..length].iter().take_while(|byte| byte.is_ascii_digit() == decimal).count();
                    let span = at + done..at + done + same;
                    if decimal {
                        self.put_mask("<num>", span);
                    } else {
                        self.extend(&text[span.clone()], span, letters == 1);
                    }
                    done += same;
                }
            }
        }
        length
    }

    fn put(&mut self, part: &str, source: Range<usize>) {
        let is_mask = part.bytes().all(|byte| byte == b'_');
        self.extend(part, source, is_mask);
    }

    fn put_mask(&mut self, mask: &str, source: Range<usize>) {
        self.extend(mask, source, true);
    }

    fn extend(&mut self, part: &str, source: Range<usize>, is_mask: bool) {
        let start = self.pattern.len();
        self.pattern.push_str(part);
        let end = self.pattern.len();
        match &mut self.open {
            Some(word) => {
                word.source.end = source.end;
                word.masked.end = end;
                word.is_mask &= is_mask;
            }
            None => self.open = Some(Word { source, masked: start..end, is_mask }),
        }
    }

    /// A line of a megabyte has half a million words; those that nobody looks at are not kept.
    fn close(&mut self) {
        let closed = self.open.take();
        if self.words.len() < MAX_WORDS {
            self.words.extend(closed);
        }
    }
}

fn alphanumeric(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count()
}

fn opens_a_number(before: Option<u8>) -> bool {
    before.is_none_or(|byte| byte.is_ascii_whitespace() || b"_=:([{,\"'".contains(&byte))
}

fn is_http_method(word: &str) -> bool {
    matches!(word, "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS" | "CONNECT" | "TRACE")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn masked(text: &str) -> Masked {
        let mut masked = Masked::default();
        masked.mask(text);
        masked
    }

    #[rstest]
    #[case(
        "PacketResponder 1 for block blk_-6952295868487656571 terminating",
        "PacketResponder <num> for block blk_<num> terminating"
    )]
    #[case("src: /10.250.18.114:43996 dest", "src: /<ip>:<num> dest")]
    #[case("size  67108864 \t bytes ", "size <num> bytes")]
    #[case("took 0.2717581s at 4.1.0", "took <num>.<num>s at <num>")]
    #[case("[req-dd237280-5bc8-41cb-a035-26c8e64d49fc 113d3a99c3da401f - -]", "[req-<uuid> <hex> - -]")]
    #[case("sessionid: 0x24f0557806a0010", "sessionid: <hex>")]
    #[case("node17 J18-U11 sha256", "node<num> J<num>-U<num> sha<num>")]
    #[case("core for /g/g24/germann2/SPaSM", "core for <path>")]
    #[case("GET /api/v1/orders/8812 HTTP/1.1", "GET /api/v<num>/orders/<num> HTTP/<num>")]
    #[case("see http://host:80/a?b=1, then", "see <url>, then")]
    #[case("code=-1 (x-1) -5", "code=<num> (x-<num>) <num>")]
    #[case("token a8Fk29xQ0zz ok", "token <id> ok")]
    #[case("chip FF:F2:9F:16:E2:23:00:0D up at 12:30:45", "chip <hex> up at <num>:<num>:<num>")]
    #[case("", "")]
    #[case("größe 5 µs", "größe <num> µs")]
    fn what_varies_is_masked(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(masked(text).pattern(), expected);
    }

    #[test]
    fn an_apostrophe_inside_a_word_is_part_of_it() {
        let masked = masked("Can't find 'child'");
        let words: Vec<_> = masked.words().iter().map(|word| masked.text(word)).collect();
        assert_eq!(words, ["Can't", "find", "child"]);
    }

    #[test]
    fn a_word_knows_its_place_in_the_text() {
        let text = "block blk_-695 from /10.0.0.1:80 failed";
        let masked = masked(text);
        let words: Vec<_> = masked
            .words()
            .iter()
            .map(|word| (masked.text(word), &text[word.source.clone()], word.is_mask))
            .collect();
        assert_eq!(
            words,
            [
                ("block", "block", false),
                ("blk_<num>", "blk_-695", false),
                ("from", "from", false),
                ("<ip>", "10.0.0.1", true),
                ("<num>", "80", true),
                ("failed", "failed", false),
            ]
        );
    }

    proptest! {
        #[test]
        fn masking_accepts_any_text_and_every_span_is_valid(text in "\\PC*|[ -~é\\t]*|[0-9a-f:./-]*") {
            let masked = masked(&text);
            let mut end = 0;
            for word in masked.words() {
                prop_assert!(word.source.start >= end);
                end = word.source.end;
                prop_assert!(text.get(word.source.clone()).is_some());
                prop_assert!(masked.pattern().get(word.masked.clone()).is_some());
            }
        }

        #[test]
        fn changing_a_number_keeps_the_pattern(a in 0u64..1_000_000, b in 0u64..1_000_000) {
            let line = |n: u64| masked(&format!("worker {n} took {n}ms for job_{n}, total={n}.5")).pattern().to_owned();
            prop_assert_eq!(line(a), line(b));
        }
    }
}
