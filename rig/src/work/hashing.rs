//! scikit-learn's `HashingVectorizer()` with its defaults, so that trees grown there can be scored here: lower
//! case, words of two or more characters, signed MurmurHash3 columns, rows of Euclidean norm one, 32-bit values.

use engine::features::murmur3_32;

/// Hashes lines into columns.
pub struct Vectorizer {
    columns: u32,
    lower: Vec<u8>,
    entries: Vec<(u32, f64)>,
}

/// Bytes of a word in lower case; 0 for every other ASCII byte.
const WORD: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let lower = (byte as u8).to_ascii_lowercase();
        if lower.is_ascii_alphanumeric() || lower == b'_' {
            table[byte] = lower;
        }
        byte += 1;
    }
    table
};

impl Vectorizer {
    /// For rows of so many columns.
    pub const fn new(columns: u32) -> Self {
        Self { columns, lower: Vec::new(), entries: Vec::new() }
    }

    /// Column and value of everything that is not zero, columns ascending.
    pub fn read(&mut self, message: &[u8]) -> &[(u32, f64)] {
        self.entries.clear();
        if message.is_ascii() {
            self.read_ascii(message)
        } else {
            self.read_text(message)
        }
        self.entries.sort_unstable_by_key(|(column, _)| *column);
        self.entries.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        let norm = self.entries.iter().map(|(_, value)| value * value).sum::<f64>().sqrt();
        if norm > 0.0 {
            self.entries.iter_mut().for_each(|(_, value)| *value = f64::from((*value / norm) as f32));
        }
        &self.entries
    }

    fn read_ascii(&mut self, message: &[u8]) {
        self.lower.clear();
        self.lower.extend(message.iter().map(|byte| WORD[usize::from(*byte)]));
        let mut start = 0;
        for at in 0..=self.lower.len() {
            if self.lower.get(at).is_some_and(|byte| *byte != 0) {
                continue;
            }
            if at >= start + 2 {
                self.entries.push(entry(&self.lower[start..at], self.columns));
            }
            start = at + 1;
        }
    }

    fn read_text(&mut self, message: &[u8]) {
        let lower = String::from_utf8_lossy(message).to_lowercase();
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        for word in lower.split(|c| !is_word(c)).filter(|word| word.chars().nth(1).is_some()) {
            self.entries.push(entry(word.as_bytes(), self.columns));
        }
    }
}

fn entry(word: &[u8], columns: u32) -> (u32, f64) {
    let hash = murmur3_32(word, 0).cast_signed();
    // scikit-learn's way of the least integer, whose magnitude has no positive counterpart.
    let magnitude = if hash == i32::MIN { (i32::MAX as u32) - (columns - 1) } else { hash.unsigned_abs() };
    (magnitude % columns, if hash >= 0 { 1.0 } else { -1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_and_other_text_are_read_alike() {
        let mut vectorizer = Vectorizer::new(1 << 12);
        let plain = vectorizer.read(b"Retry a RETRY of id_7 in 30ms, x").to_vec();
        let other = vectorizer.read("Retry · RETRY of id_7 in 30ms, x".as_bytes()).to_vec();
        assert_eq!(plain, other);
        assert_eq!(plain.len(), 5, "retry, of, id_7, in, 30ms");
    }

    /// `HashingVectorizer(n_features=2**12).transform(["foo bar foo"])` of scikit-learn 1.9.1.
    #[test]
    fn columns_and_signs_are_scikit_learns() {
        let mut vectorizer = Vectorizer::new(1 << 12);
        let expected = [(2445, f64::from(0.447_213_6_f32)), (3040, f64::from(-0.894_427_2_f32))];
        assert_eq!(vectorizer.read(b"foo bar foo"), expected);
    }
}
