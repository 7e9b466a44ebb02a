//! scikit-learn's `HashingVectorizer()` with its defaults, so that trees grown there can be scored here: lower
//! case, words of two or more characters, signed MurmurHash3 columns, rows of Euclidean norm one, 32-bit values.

use engine::features::murmur3_32;

/// Bytes of one mask.
const BLOCK: usize = 64;
/// Zeros behind the text, so that a word's last bytes are read with those behind it.
const PADDING: usize = 16;
/// Marks by the low bits of a column: whether it may have come before in the row.
const MARKS: usize = 4_096;
/// Longest word that is hashed without a loop.
const SHORT: usize = 15;

/// Hashes lines into columns.
pub struct Vectorizer {
    columns: u32,
    lower: Vec<u8>,
    masks: Vec<u64>,
    entries: Vec<(u32, f64)>,
    marks: Vec<u8>,
    round: u8,
    /// Value of a column in a row of so many, as scikit-learn rounds it.
    values: Vec<f64>,
}

impl Vectorizer {
    /// For rows of so many columns.
    pub fn new(columns: u32) -> Self {
        let values = (0..=64_u32).map(|count| f64::from((1.0 / f64::from(count).sqrt()) as f32)).collect();
        Self {
            columns,
            lower: Vec::new(),
            masks: Vec::new(),
            entries: Vec::new(),
            marks: vec![0; MARKS],
            round: 0,
            values,
        }
    }

    /// Column and value of everything that is not zero, in no order.
    pub fn read(&mut self, message: &[u8]) -> &[(u32, f64)] {
        self.entries.clear();
        if message.is_ascii() {
            self.read_ascii(message)
        } else {
            self.read_text(message)
        }
        let has_repeats = self.has_repeats();
        match self.values.get(self.entries.len()).filter(|_| !has_repeats) {
            Some(value) => self.entries.iter_mut().for_each(|(_, sign)| *sign *= value),
            None => self.merge(),
        }
        &self.entries
    }

    /// The same, columns ascending.
    pub fn read_sorted(&mut self, message: &[u8]) -> &[(u32, f64)] {
        self.read(message);
        self.entries.sort_unstable_by_key(|(column, _)| *column);
        &self.entries
    }

    /// Whether two entries may be of one column.
    fn has_repeats(&mut self) -> bool {
        if self.round == u8::MAX {
            self.marks.fill(0);
            self.round = 0;
        }
        self.round += 1;
        let mut repeats = false;
        for (column, _) in &self.entries {
            let mark = &mut self.marks[*column as usize % MARKS];
            repeats |= *mark == self.round;
            *mark = self.round;
        }
        repeats
    }

    fn merge(&mut self) {
        if self.entries.len() < self.values.len() {
            self.merge_few();
        } else {
            self.entries.sort_unstable_by_key(|(column, _)| *column);
            self.entries.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 += next.1;
                }
                same
            });
        }
        let norm = self.entries.iter().map(|(_, value)| value * value).sum::<f64>().sqrt();
        if norm > 0.0 {
            self.entries.iter_mut().for_each(|(_, value)| *value = f64::from((*value / norm) as f32));
        }
    }

    /// Few entries are searched sooner than sorted.
    fn merge_few(&mut self) {
        let mut kept = 0;
        for at in 0..self.entries.len() {
            let (column, count) = self.entries[at];
            match self.entries[..kept].iter_mut().find(|(other, _)| *other == column) {
                Some((_, total)) => *total += count,
                None => {
                    self.entries[kept] = (column, count);
                    kept += 1;
                }
            }
        }
        self.entries.truncate(kept);
    }

    fn read_ascii(&mut self, message: &[u8]) {
        self.lower.clear();
        self.lower.extend_from_slice(message);
        self.lower.resize(message.len().next_multiple_of(BLOCK) + PADDING, 0);
        self.masks.clear();
        let blocks = message.len().next_multiple_of(BLOCK);
        for block in self.lower[..blocks].as_chunks_mut::<BLOCK>().0 {
            self.masks.push(classify(block));
        }
        // Where a word began in an earlier block, if one did.
        let (mut open, mut carry) = (None, 0);
        for (block, mask) in self.masks.iter().enumerate() {
            let before = mask << 1 | carry;
            carry = mask >> 63;
            let (mut starts, mut ends) = (mask & !before, before & !mask);
            // Words of one character are none.
            let single = starts & (ends >> 1);
            (starts, ends) = (starts & !single, ends & !(single << 1));
            while ends != 0 {
                let end = BLOCK * block + ends.trailing_zeros() as usize;
                ends &= ends - 1;
                let start = open.take().unwrap_or_else(|| {
                    let start = BLOCK * block + starts.trailing_zeros() as usize;
                    starts &= starts - 1;
                    start
                });
                if end > start + 1 {
                    self.entries.push(entry(hash(&self.lower, start, end), self.columns));
                }
            }
            if starts != 0 {
                open = Some(BLOCK * block + starts.trailing_zeros() as usize);
            }
        }
        if let Some(start) = open.filter(|start| message.len() > start + 1) {
            self.entries.push(entry(hash(&self.lower, start, message.len()), self.columns));
        }
    }

    fn read_text(&mut self, message: &[u8]) {
        let lower = String::from_utf8_lossy(message).to_lowercase();
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        for word in lower.split(|c| !is_word(c)).filter(|word| word.chars().nth(1).is_some()) {
            self.entries.push(entry(murmur3_32(word.as_bytes(), 0), self.columns));
        }
    }
}

/// Which of 64 ASCII bytes are letters, digits or underscores, a bit each; letters become small.
fn classify(block: &mut [u8; BLOCK]) -> u64 {
    // Without a branch, so that the compiler takes many bytes a step.
    let mut is_word = [0_u8; BLOCK];
    for (byte, word) in block.iter_mut().zip(&mut is_word) {
        let letter = u8::from((*byte | 0x20).wrapping_sub(b'a') < 26);
        let digit = u8::from(byte.wrapping_sub(b'0') < 10);
        *word = letter | digit | u8::from(*byte == b'_');
        *byte |= letter << 5;
    }
    let mut mask = 0;
    for (step, bytes) in is_word.as_chunks::<8>().0.iter().enumerate() {
        // Gathers the low bits of eight bytes in the highest byte.
        let bits = u64::from_le_bytes(*bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        mask |= bits << (8 * step);
    }
    mask
}

/// MurmurHash3 of a word of a padded text, without a branch on its length where it is short.
fn hash(text: &[u8], start: usize, end: usize) -> u32 {
    let length = end - start;
    let Some(window) = text[start..].first_chunk::<PADDING>().filter(|_| length <= SHORT) else {
        return murmur3_32(&text[start..end], 0);
    };
    let words = window.as_chunks::<4>().0;
    let full = length / 4;
    let mut hash = 0_u32;
    for (number, word) in words.iter().take(SHORT / 4).enumerate() {
        let next = (hash ^ scramble(u32::from_le_bytes(*word))).rotate_left(13);
        let next = next.wrapping_mul(5).wrapping_add(0xe654_6b64);
        hash = if number < full { next } else { hash };
    }
    let rest = (1_u32 << (8 * (length % 4))) - 1;
    let last = u32::from_le_bytes(words[full]) & rest;
    hash ^= scramble(last) ^ length as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

const fn scramble(word: u32) -> u32 {
    word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

fn entry(hash: u32, columns: u32) -> (u32, f64) {
    let hash = hash.cast_signed();
    // The magnitude of −2^31 is that of 2^31 by the columns, as scikit-learn has it.
    let magnitude = hash.unsigned_abs();
    let column = if columns.is_power_of_two() { magnitude & (columns - 1) } else { magnitude % columns };
    (column, if hash >= 0 { 1.0 } else { -1.0 })
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn ascii_and_other_text_are_read_alike() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
        let (mut ascii, mut text) = (Vectorizer::new(1 << 12), Vectorizer::new(1 << 12));
        for round in 0..3_000 {
            let length = rng.gen_range(0..200);
            // Half of the rounds: few kinds of bytes, so that words are long and repeat.
            let byte = |rng: &mut Xoshiro256PlusPlus| match round % 2 {
                0 => rng.gen_range(0..0x80_u8),
                _ => b"aB_9 -"[rng.gen_range(0..6)],
            };
            let message: Vec<u8> = (0..length).map(|_| byte(&mut rng)).collect();
            let plain = ascii.read_sorted(&message).to_vec();
            text.entries.clear();
            text.read_text(&message);
            text.merge();
            text.entries.sort_unstable_by_key(|(column, _)| *column);
            assert_eq!(plain, text.entries, "{}", String::from_utf8_lossy(&message));
        }
    }

    #[test]
    fn words_of_one_character_and_signs_are_left_out() {
        let mut vectorizer = Vectorizer::new(1 << 12);
        let plain = vectorizer.read_sorted(b"Retry a RETRY of id_7 in 30ms, x").to_vec();
        assert_eq!(plain, vectorizer.read_sorted("Retry · RETRY of id_7 in 30ms, x".as_bytes()));
        assert_eq!(plain.len(), 5, "retry, of, id_7, in, 30ms");
    }

    /// `HashingVectorizer(n_features=2**12).transform(["foo bar foo"])` of scikit-learn 1.9.1.
    #[test]
    fn columns_and_signs_are_scikit_learns() {
        let mut vectorizer = Vectorizer::new(1 << 12);
        let expected = [(2445, f64::from(0.447_213_6_f32)), (3040, f64::from(-0.894_427_2_f32))];
        assert_eq!(vectorizer.read_sorted(b"foo bar foo"), expected);
    }
}
