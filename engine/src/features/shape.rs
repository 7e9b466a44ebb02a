//! Shape words: what a word looks like once its digits are forgotten. `node17` and `node42` are one word, and so
//! are two addresses of equal length, while a number of another length stays another word. Numbers of two to four
//! digits are one word: that a counter which mostly has five is shorter now and then is chance, not a sign.

use super::block::BLOCK;
use super::canonical::{Canonical, ThingKind};

/// A canonical text with its letters lowered, and zeros for base 16; its buffer is reused.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// The text, and at least a block behind it that means nothing.
    padded: Vec<u8>,
}

impl Shape {
    /// Takes a canonical text.
    pub fn read(&mut self, canonical: &Canonical) {
        let from = canonical.padded();
        if self.padded.len() < from.len() {
            self.padded.resize(from.len(), 0);
        }
        let (from, _) = from.as_chunks::<BLOCK>();
        let (to, _) = self.padded.as_chunks_mut::<BLOCK>();
        // The last block is all padding.
        for (from, to) in from[..from.len() - 1].iter().zip(to) {
            from.iter().zip(to).for_each(|(from, to)| *to = from.to_ascii_lowercase());
        }
        for thing in canonical.mixed() {
            if matches!(thing.kind, ThingKind::Hex | ThingKind::NearlyPrefixed) {
                self.padded[thing.start] = b'0';
            }
        }
    }

    /// The shape of a word, and at least 64 bytes behind it that mean nothing.
    pub fn from(&self, start: usize) -> &[u8] {
        &self.padded[start..]
    }
}

/// Calls `each` with the start and end of every word of two bytes or more.
pub(super) fn for_each_word(canonical: &Canonical, mut each: impl FnMut(usize, usize)) {
    let (mut last, mut open) = (0, None);
    for (number, block) in canonical.blocks().iter().enumerate() {
        let word = block.word();
        let mut turns = word ^ (word << 1 | last);
        last = word >> 63;
        while turns != 0 {
            let at = number * BLOCK + turns.trailing_zeros() as usize;
            turns &= turns - 1;
            match open.take() {
                None => open = Some(at),
                Some(start) if at - start > 1 => each(start, at),
                Some(_) => {}
            }
        }
    }
}

/// Most digits of a number whose length is forgotten.
const SHORT: usize = 4;

/// How many bytes of a shape word of `length` tell it from others.
pub(super) fn told_apart(word: &[u8], length: usize) -> usize {
    if length <= SHORT && word[..length].iter().all(|byte| *byte == b'0') { 2 } else { length }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::super::canonical::tests::texts;
    use super::super::is_word_byte;
    use super::*;

    fn shapes(text: &str) -> String {
        let (mut canonical, mut shape) = (Canonical::default(), Shape::default());
        canonical.read(text);
        shape.read(&canonical);
        let mut words = Vec::new();
        for_each_word(&canonical, |start, end| {
            let word = shape.from(start);
            words.push(String::from_utf8_lossy(&word[..told_apart(word, end - start)]).into_owned());
        });
        words.join(" ")
    }

    #[rstest]
    #[case("node17 is UP", "node00 is up")]
    #[case("at 0x3fa9c2 a", "at 0x000000")]
    #[case("cafe added 12ab id_12ab", "cafe added 00 id_0000")]
    #[case("blk_-6952 part-00081.", "blk_ 00 part 00000")]
    #[case("7 in 42 of 137 or 1370, not 13700, id_137 x137", "in 00 of 00 or 00 not 00000 id_000 x000")]
    #[case("größe 5", "größe")]
    #[case("screen 3x40", "screen 0x00")]
    #[case("", "")]
    fn digits_are_forgotten_and_lengths_kept(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(shapes(text), expected);
    }

    proptest! {
        #[test]
        fn words_are_the_runs_of_word_bytes_in_lower_case(text in texts()) {
            let mut canonical = Canonical::default();
            canonical.read(&text);
            let bytes = canonical.text().to_ascii_lowercase();
            let words: Vec<_> = bytes
                .split(|byte| !is_word_byte(*byte))
                .filter(|word| word.len() > 1)
                .map(|word| String::from_utf8_lossy(word).replace(|c: char| c.is_ascii_digit(), "0"))
                .collect();
            let got = shapes(&text);
            prop_assert_eq!(got.split(' ').filter(|word| !word.is_empty()).count(), words.len());
            for (got, word) in got.split(' ').zip(&words) {
                // Only the `f` that stands for base 16 is written otherwise.
                let of_word = &word[..told_apart(word.as_bytes(), word.len())];
                let same = got == of_word || word.contains("f00") && (got.len() == word.len() || got == "00");
                prop_assert!(same, "{} {}", got, word);
            }
        }
    }
}
