//! A quick look at a text: whether it is worth searching for secrets at all. It may say yes for nothing, but never no
//! where there is one.

use aho_corasick::packed::Searcher;

/// Bytes that are looked at together.
const CHUNK: usize = 512;
/// Fewest digits of a card.
const CARD_DIGITS: usize = 13;

/// From this length on, hints are looked for by four of their bytes at once, which few other texts share.
const LONG_HINT: usize = 4;

/// Finds any of some hints, in any case.
#[derive(Clone, Debug, Default)]
pub(super) struct Screen {
    /// `None` where this machine has no fast way; every text is then worth searching.
    searchers: Option<Searchers>,
    /// Length of the longest hint in bytes.
    longest: usize,
}

/// Each looks for its hints by as many of their first bytes as the shortest of them has.
#[derive(Clone, Debug)]
struct Searchers {
    /// Hints of two bytes, of which there are few if any.
    pairs: Vec<[u8; 2]>,
    /// Hints of other lengths below [`LONG_HINT`], and the others.
    by_length: Vec<Searcher>,
}

impl Searchers {
    /// For hints in small letters.
    fn new(hints: &[Vec<u8>]) -> Option<Self> {
        let pairs: Vec<[u8; 2]> = hints.iter().filter_map(|hint| hint.as_slice().try_into().ok()).collect();
        let (short, long): (Vec<&Vec<u8>>, Vec<&Vec<u8>>) =
            hints.iter().filter(|hint| hint.len() != 2).partition(|hint| hint.len() < LONG_HINT);
        let lists = [short, long].into_iter().filter(|hints| !hints.is_empty());
        let by_length = lists.map(Searcher::new).collect::<Option<_>>()?;
        Some(Self { pairs, by_length })
    }

    fn find(&self, folded: &[u8]) -> bool {
        let has = |[first, second]: &[u8; 2]| {
            memchr::memchr_iter(*first, folded).any(|at| folded.get(at + 1) == Some(second))
        };
        self.by_length.iter().any(|searcher| searcher.find(folded).is_some()) || self.pairs.iter().any(has)
    }
}

impl Screen {
    /// For these hints.
    pub fn new(hints: &[&str]) -> Self {
        let mut folded: Vec<Vec<u8>> = hints.iter().map(|hint| hint.bytes().map(fold).collect()).collect();
        folded.sort_by_key(Vec::len);
        let mut kept: Vec<Vec<u8>> = Vec::new();
        for hint in folded {
            // A hint that holds a shorter one is found by that.
            if !kept.iter().any(|shorter| memchr::memmem::find(&hint, shorter).is_some()) {
                kept.push(hint);
            }
        }
        let longest = kept.iter().map(Vec::len).max().unwrap_or(0);
        let searchers = if longest < CHUNK / 2 { Searchers::new(&kept) } else { None };
        Self { searchers, longest }
    }

    /// Whether a text may hold a hint.
    pub fn may_hold_hint(&self, mut text: &[u8]) -> bool {
        let Some(searchers) = &self.searchers else { return true };
        let mut chunk = [0; CHUNK];
        loop {
            let length = text.len().min(CHUNK);
            for (folded, byte) in chunk.iter_mut().zip(text) {
                *folded = fold(*byte);
            }
            if searchers.find(&chunk[..length]) {
                return true;
            }
            if length == text.len() {
                return false;
            }
            // A hint may lie across the end of the chunk.
            text = &text[length - self.longest..];
        }
    }
}

/// Makes letters small; other bytes may fall together, which only costs a closer look.
const fn fold(byte: u8) -> u8 {
    byte | 0x20
}

/// Whether a text may hold a card's number: as many digits with nothing but spaces and dashes between them. Looks
/// at every thirteenth byte, as one of them is inside of any such number.
pub(super) fn may_hold_card(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b' ' | b'-');
    let mut at = CARD_DIGITS - 1;
    while let Some(byte) = text.get(at) {
        if !is_part(byte) {
            at += CARD_DIGITS;
            continue;
        }
        let before = text[..at].iter().rev().take_while(|byte| is_part(byte)).count();
        let after = text[at..].iter().take_while(|byte| is_part(byte)).count();
        if before + after >= CARD_DIGITS {
            let digits = text[at - before..at + after].iter().filter(|byte| byte.is_ascii_digit()).count();
            if digits >= CARD_DIGITS {
                return true;
            }
        }
        at += after + CARD_DIGITS - 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_hint_is_found_wherever_it_lies(before in 0_usize..1_500, after in 0_usize..600, which in 0_usize..6) {
            let hints = ["Token", "pin", "</", "private key-----", "eyJ", "aws_"];
            let screen = Screen::new(&hints);
            let text = format!("{}{}{}", ".".repeat(before), hints[which].to_ascii_uppercase(), ".".repeat(after));
            prop_assert!(screen.may_hold_hint(text.as_bytes()));
        }

        #[test]
        fn what_is_replaced_as_a_card_was_not_screened_off(text in "[a ]{0,40}(4111[ -]?1111[ -]?1111[ -]?1111|[0-9 -]{0,24})[ .a]{0,20}") {
            if crate::redact::cards::replace(&text).is_some() {
                prop_assert!(may_hold_card(text.as_bytes()), "{}", text);
            }
        }
    }

    #[test]
    fn ordinary_lines_are_not_worth_searching() {
        let hints: Vec<&str> =
            crate::redact::DEFAULT_PATTERNS.iter().flat_map(|(_, _, hints)| *hints).copied().collect();
        let screen = Screen::new(&hints);
        let line = b"2026-01-05 12:00:00.123 INFO order 1234567890 shipped to 10.0.0.1 in 35 ms";
        // Where the machine has no fast way, every line is.
        assert_eq!(screen.may_hold_hint(line), screen.searchers.is_none());
        assert!(!may_hold_card(line));
    }
}
