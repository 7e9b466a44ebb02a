//! The usual wiring as a feature map of its own: what scikit-learn's `HashingVectorizer` makes of a text, so that
//! forests that were grown on its rows can score the same rows here. Isolog's own features are in `line`.

use super::murmur3_32;

/// `HashingVectorizer(n_features, alternate_sign=…)`: the text in lower case, its words by `(?u)\b\w\w+\b`, their
/// MurmurHash3 as column and sign, counts divided by their Euclidean norm, and then rounded to 32 bits, as
/// scikit-learn's forests read them.
///
/// Columns and values equal scikit-learn's on ASCII text and on words of letters and digits of any script. They
/// may differ where the standard library and Python disagree on letters: marks that count as alphabetic (vowel
/// signs of Indic scripts, say) join a word here and part it there, as do circled letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashingVectorizer {
    n_features: u32,
    alternate_sign: bool,
}

/// One row, in buffers that are reused from text to text.
#[derive(Clone, Debug, Default)]
pub struct HashedRow {
    lowered: Vec<u8>,
    columns: Vec<(u32, f32)>,
    /// 1 + place among `columns`, at a column's own place or the next free one; 0 where free.
    places: Vec<u32>,
}

impl HashingVectorizer {
    /// Rows of `n_features` columns, at least one; `alternate_sign` as scikit-learn has it (there on by default).
    pub fn new(n_features: u32, alternate_sign: bool) -> Self {
        Self { n_features: n_features.max(1), alternate_sign }
    }

    /// Columns of a row.
    pub const fn n_features(&self) -> u32 {
        self.n_features
    }

    /// Reads a text: column and value of what is not zero, in order of appearance.
    pub fn read<'a>(&self, text: &str, row: &'a mut HashedRow) -> &'a [(u32, f32)] {
        row.clear();
        if text.is_ascii() {
            let mut lowered = std::mem::take(&mut row.lowered);
            lowered.clear();
            lowered.extend_from_slice(text.as_bytes());
            lowered.make_ascii_lowercase();
            self.read_ascii(&lowered, row);
            row.lowered = lowered;
        } else {
            let is_word = |character: char| character.is_alphanumeric() || character == '_';
            for word in text.to_lowercase().split(|character| !is_word(character)) {
                if word.chars().nth(1).is_some() {
                    self.count(word.as_bytes(), row);
                }
            }
        }
        row.normalise()
    }

    fn read_ascii(&self, text: &[u8], row: &mut HashedRow) {
        let mut at = 0;
        while at < text.len() {
            let start = at;
            while text.get(at).is_some_and(|byte| IS_WORD[usize::from(*byte)]) {
                at += 1;
            }
            if at > start + 1 {
                self.count(&text[start..at], row);
            }
            at += 1;
        }
    }

    fn count(&self, word: &[u8], row: &mut HashedRow) {
        let hash = murmur3_32(word, 0).cast_signed();
        let value = if self.alternate_sign && hash < 0 { -1.0 } else { 1.0 };
        let n_features = self.n_features;
        // The size of −2^31 is that of 2^31 modulo the columns, as scikit-learn has it.
        let size = hash.unsigned_abs();
        let column = if n_features.is_power_of_two() { size & (n_features - 1) } else { size % n_features };
        row.add(column, value);
    }
}

impl HashedRow {
    /// Fewest places, a power of two.
    const LEAST_PLACES: usize = 128;

    fn clear(&mut self) {
        let mask = self.places.len().wrapping_sub(1);
        for (column, _) in &self.columns {
            let mut at = *column as usize & mask;
            while self.places[at] != 0 {
                self.places[at] = 0;
                at = (at + 1) & mask;
            }
        }
        self.columns.clear();
        if self.places.is_empty() {
            self.places.resize(Self::LEAST_PLACES, 0);
        }
    }

    fn add(&mut self, column: u32, value: f32) {
        let at = self.place(column);
        match self.places[at] {
            0 => {
                self.columns.push((column, value));
                self.places[at] = self.columns.len() as u32;
                if 2 * self.columns.len() > self.places.len() {
                    self.spread();
                }
            }
            known => self.columns[known as usize - 1].1 += value,
        }
    }

    /// Where a column stands, or may stand.
    fn place(&self, column: u32) -> usize {
        let mask = self.places.len() - 1;
        let mut at = column as usize & mask;
        loop {
            let place = self.places[at];
            if place == 0 || self.columns[place as usize - 1].0 == column {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    /// Doubles the places.
    fn spread(&mut self) {
        let size = 2 * self.places.len();
        self.places.clear();
        self.places.resize(size, 0);
        for number in 0..self.columns.len() {
            let at = self.place(self.columns[number].0);
            self.places[at] = number as u32 + 1;
        }
    }

    fn normalise(&mut self) -> &[(u32, f32)] {
        // Counts below 2^24 are exact, and so are their squares' sums in 64 bits.
        let square: f64 = self.columns.iter().map(|(_, count)| f64::from(*count).powi(2)).sum();
        if square > 0.0 {
            let norm = square.sqrt();
            for (_, value) in &mut self.columns {
                *value = (f64::from(*value) / norm) as f32;
            }
        }
        &self.columns
    }
}

/// ASCII letters, digits and the underscore.
const IS_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_';
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn sorted(vectorizer: HashingVectorizer, text: &str) -> Vec<(u32, f32)> {
        let mut columns = vectorizer.read(text, &mut HashedRow::default()).to_vec();
        columns.sort_unstable_by_key(|(column, _)| *column);
        columns
    }

    const THIRD: f32 = 0.377_964_47;
    const FIFTH: f32 = 0.447_213_6;

    /// From scikit-learn 1.9.1.
    #[rstest]
    #[case("", 4096, &[])]
    #[case("a b c !", 4096, &[])]
    #[case("Token of user 36337 verified in 3 ms", 4096, &[(300, THIRD), (755, -THIRD), (1297, THIRD), (1453, THIRD), (1983, -THIRD), (2976, THIRD), (3880, -THIRD)])]
    #[case("GET /api/orders?id=17 HTTP/1.1 200, retry retry RETRY", 4096, &[(1055, -0.25), (1442, 0.25), (1812, 0.25), (1864, 0.25), (2024, 0.75), (2820, 0.25), (3209, 0.25), (3326, -0.25)])]
    #[case("GET /api/orders?id=17 HTTP/1.1 200, retry retry RETRY", 1000, &[(76, 0.25), (407, -0.25), (572, 0.25), (670, -0.25), (729, 0.25), (784, 0.75), (824, 0.25), (898, 0.25)])]
    #[case("Größe ÜBER_alles Straße İstanbul ΟΔΟΣ", 4096, &[(782, FIFTH), (973, FIFTH), (2497, -FIFTH), (2723, FIFTH), (2821, FIFTH)])]
    #[case("x_1 __ _ 10.2.114.9 0xDEADbeef", 4096, &[(338, FIFTH), (642, FIFTH), (1729, -FIFTH), (2012, FIFTH), (3008, -FIFTH)])]
    #[case("x_1 __ _ 10.2.114.9 0xDEADbeef", 1000, &[(192, -THIRD), (602, 2.0 * THIRD), (777, -THIRD), (828, THIRD)])]
    fn scikit_learns_rows_are_reproduced(
        #[case] text: &str,
        #[case] n_features: u32,
        #[case] expected: &[(u32, f32)],
    ) {
        assert_eq!(sorted(HashingVectorizer::new(n_features, true), text), expected);
        let unsigned: Vec<_> = expected.iter().map(|(column, value)| (*column, value.abs())).collect();
        assert_eq!(sorted(HashingVectorizer::new(n_features, false), text), unsigned);
    }

    #[test]
    fn words_that_cancel_out_leave_a_zero() {
        let words = ["token", "of", "user", "verified", "in", "ms"];
        let is_negative = |word: &&str| murmur3_32(word.as_bytes(), 0).cast_signed() < 0;
        let (negative, positive): (Vec<_>, Vec<_>) = words.iter().copied().partition(is_negative);
        let text = format!("{} {}", negative[0], positive[0]);
        assert_eq!(sorted(HashingVectorizer::new(1, true), &text), [(0, 0.0)]);
        assert_eq!(sorted(HashingVectorizer::new(1, false), &text), [(0, 1.0)]);
    }

    proptest! {
        #[test]
        fn a_reused_row_equals_a_fresh_one(texts in proptest::collection::vec("[a-c]{1,3}( [a-e0-9_é]{1,4}){0,200}", 1..5)) {
            let vectorizer = HashingVectorizer::new(512, true);
            let mut reused = HashedRow::default();
            for text in &texts {
                let mut fresh = HashedRow::default();
                prop_assert_eq!(vectorizer.read(text, &mut reused), vectorizer.read(text, &mut fresh));
                prop_assert_eq!(vectorizer.read(text, &mut reused), vectorizer.read(&format!("{text} é"), &mut fresh));
            }
        }
    }
}
