//! The masked pattern of a text and its masked words: what is left when everything that varies is replaced by a
//! name in angle brackets. People read the pattern; the words are what surprisal counts.

use std::ops::Range;

use super::canonical::{Canonical, Thing, ThingKind};
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

/// Which word goes on with the next byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Open {
    #[default]
    No,
    /// The last of the words.
    Last,
    /// One that is not kept.
    Unkept,
}

/// A masked text; its buffers are reused from one text to the next.
#[derive(Debug, Default)]
pub struct Masked {
    pattern: Vec<u8>,
    words: Vec<Word>,
    open: Open,
}

impl Masked {
    /// The pattern, such as `PacketResponder <num> for block blk_<num> terminating`; runs of white space are
    /// one space.
    pub fn pattern(&self) -> &str {
        as_text(&self.pattern)
    }

    /// The words in the order of the text, at most [`MAX_WORDS`].
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// A word as it stands in the pattern.
    pub fn text(&self, word: &Word) -> &str {
        as_text(self.bytes(word))
    }

    pub(super) fn pattern_bytes(&self) -> &[u8] {
        &self.pattern
    }

    pub(super) fn bytes(&self, word: &Word) -> &[u8] {
        self.pattern.get(word.masked.clone()).unwrap_or_default()
    }

    /// Masks a canonical text.
    pub fn mask(&mut self, canonical: &Canonical) {
        self.pattern.clear();
        self.words.clear();
        self.open = Open::No;
        let mut scan = Scan {
            canonical,
            text: canonical.text(),
            addresses: canonical.addresses(),
            mixed: canonical.mixed(),
            may_hold_urls: canonical.may_hold_urls(),
        };
        let mut at = 0;
        while let Some(byte) = scan.text.get(at) {
            at = self.step(&mut scan, at, *byte);
        }
        self.close();
        if self.pattern.last() == Some(&b' ') {
            self.pattern.pop();
        }
    }

    /// Takes one thing at `at` and says where it ends.
    fn step(&mut self, scan: &mut Scan<'_>, at: usize, byte: u8) -> usize {
        let text = scan.text;
        if byte.is_ascii_alphanumeric() {
            return match scan.whole(at, byte) {
                Some((mask, end)) => self.put_whole(mask, at..end),
                None => self.run(scan, at, byte),
            };
        }
        if is_word_byte(byte) {
            let length = text[at..].iter().take_while(|byte| **byte == b'_' || **byte >= 0x80).count();
            self.put(&text[at..at + length], at..at + length);
            return at + length;
        }
        let next = text.get(at + 1);
        match byte {
            b'-' if next.is_some_and(u8::is_ascii_digit) && opens_a_number(before(text, at)) => {
                let rest = &text[at + 1..];
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                if rest.get(digits).is_none_or(|byte| !byte.is_ascii_alphanumeric()) {
                    let end = at + 1 + scan::number(rest);
                    self.extend(b"<num>", at..end, true);
                    return end;
                }
            }
            b'\'' if self.open != Open::No && is_between_letters(text, at) => {
                self.put(b"'", at..at + 1);
                return at + 1;
            }
            b'/' if next.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte)) => {
                let found = scan::path(&text[at..], before(text, at));
                if let (Some(length), false) = (found, self.is_requested()) {
                    return self.put_whole(b"<path>", at..at + length);
                }
            }
            b':' => {
                if let Some((mask, end)) = scan.address(at) {
                    return self.put_whole(mask, at..end);
                }
            }
            _ => {}
        }
        self.close();
        if !byte.is_ascii_whitespace() {
            self.pattern.push(byte);
        } else if self.pattern.last().is_some_and(|last| *last != b' ') {
            self.pattern.push(b' ');
        }
        at + 1
    }

    /// Whether the word before is a verb of HTTP: what follows is what was asked for, and not a path of files.
    fn is_requested(&self) -> bool {
        self.words.last().is_some_and(|word| is_http_method(self.bytes(word)))
    }

    /// A run of letters and digits.
    fn run(&mut self, scan: &mut Scan<'_>, at: usize, byte: u8) -> usize {
        let text = scan.text;
        let Some(thing) = scan.mixed_at(at) else {
            let mut end = scan.canonical.run_end(at);
            if byte.is_ascii_alphabetic() {
                self.extend(&text[at..end], at..end, false);
            } else {
                if text.get(end) == Some(&b'.') {
                    end = end.max(at + scan::number(&text[at..]));
                }
                self.extend(b"<num>", at..end, true);
            }
            return end;
        };
        match thing.kind {
            ThingKind::PrefixedHex | ThingKind::Hex => self.extend(b"<hex>", at..thing.end, true),
            ThingKind::Id => self.extend(b"<id>", at..thing.end, true),
            _ => self.parts(text, at, thing.end),
        }
        thing.end
    }

    /// The letters and the numbers of a run of both.
    fn parts(&mut self, text: &[u8], start: usize, end: usize) {
        let letters = text[start..end].iter().filter(|byte| byte.is_ascii_alphabetic()).count();
        let mut at = start;
        while at < end {
            let decimal = text[at].is_ascii_digit();
            let same = text[at..end].iter().take_while(|byte| byte.is_ascii_digit() == decimal).count();
            let span = at..at + same;
            if decimal {
                self.extend(b"<num>", span, true);
            } else {
                self.extend(&text[span.clone()], span, letters == 1);
            }
            at += same;
        }
    }

    fn put_whole(&mut self, mask: &[u8], source: Range<usize>) -> usize {
        let end = source.end;
        self.close();
        self.extend(mask, source, true);
        self.close();
        end
    }

    fn put(&mut self, part: &[u8], source: Range<usize>) {
        let is_mask = part.iter().all(|byte| *byte == b'_');
        self.extend(part, source, is_mask);
    }

    fn extend(&mut self, part: &[u8], source: Range<usize>, is_mask: bool) {
        let start = self.pattern.len();
        self.pattern.extend_from_slice(part);
        let end = self.pattern.len();
        match self.open {
            Open::Last => {
                if let Some(word) = self.words.last_mut() {
                    word.source.end = source.end;
                    word.masked.end = end;
                    word.is_mask &= is_mask;
                }
            }
            Open::No if self.words.len() < MAX_WORDS => {
                self.words.push(Word { source, masked: start..end, is_mask });
                self.open = Open::Last;
            }
            // A line of a megabyte has half a million words; those that nobody looks at are not kept.
            Open::No | Open::Unkept => self.open = Open::Unkept,
        }
    }

    const fn close(&mut self) {
        self.open = Open::No;
    }
}

/// What is known of a canonical text, with what lies before the place that is looked at taken away.
struct Scan<'a> {
    canonical: &'a Canonical,
    text: &'a [u8],
    addresses: &'a [Thing],
    mixed: &'a [Thing],
    may_hold_urls: bool,
}

impl Scan<'_> {
    /// Things that are masked as a whole and begin with a letter or digit; `at` is where a run begins.
    fn whole(&mut self, at: usize, byte: u8) -> Option<(&'static [u8], usize)> {
        if let Some(found) = self.address(at) {
            return Some(found);
        }
        let rest = &self.text[at..];
        if byte.is_ascii_digit() {
            let dotted = rest.iter().take(4).any(|byte| *byte == b'.');
            return scan::ipv4(rest).filter(|_| dotted).map(|length| (&b"<ip>"[..], at + length));
        }
        if !self.may_hold_urls {
            return None;
        }
        scan::url(rest, before(self.text, at)).map(|length| (&b"<url>"[..], at + length))
    }

    /// What begins at `at` of UUIDs, octets and IPv6 addresses.
    fn address(&mut self, at: usize) -> Option<(&'static [u8], usize)> {
        let thing = take_at(&mut self.addresses, at)?;
        let mask: &[u8] = match thing.kind {
            ThingKind::Uuid => b"<uuid>",
            ThingKind::Ipv6 => b"<ip>",
            _ => b"<hex>",
        };
        Some((mask, thing.end))
    }

    fn mixed_at(&mut self, at: usize) -> Option<Thing> {
        take_at(&mut self.mixed, at)
    }
}

/// The thing that begins at `at`; those that begin before are no longer asked for.
fn take_at(things: &mut &[Thing], at: usize) -> Option<Thing> {
    while let [first, rest @ ..] = things
        && first.start < at
    {
        *things = rest;
    }
    things.first().copied().filter(|first| first.start == at)
}

fn before(text: &[u8], at: usize) -> Option<u8> {
    at.checked_sub(1).map(|before| text[before])
}

fn is_between_letters(text: &[u8], at: usize) -> bool {
    let is_letter = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphabetic());
    is_letter(before(text, at)) && is_letter(text.get(at + 1).copied())
}

/// Patterns are cut at ASCII alone, so they stay UTF-8.
fn as_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn opens_a_number(before: Option<u8>) -> bool {
    before.is_none_or(|byte| byte.is_ascii_whitespace() || b"_=:([{,\"'".contains(&byte))
}

fn is_http_method(word: &[u8]) -> bool {
    matches!(
        word,
        b"GET" | b"POST" | b"PUT" | b"PATCH" | b"DELETE" | b"HEAD" | b"OPTIONS" | b"CONNECT" | b"TRACE"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn masked(text: &str) -> Masked {
        let (mut masked, mut canonical) = (Masked::default(), Canonical::default());
        canonical.read(text);
        masked.mask(&canonical);
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
