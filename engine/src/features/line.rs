//! Everything that the model reads of one event, in buffers that are reused from line to line.

use serde::{Deserialize, Serialize};

use super::hash::stable_hash_lower;
use super::murmur::murmur3_32_padded;
use super::shape::{self, Shape, for_each_word};
use super::{Canonical, KeyMaker, Lanes, LineKey, Masked, murmur3_32, stable_hash};
use crate::event::{Level, LogLine};

/// Words of one line that are counted and hashed; what a longer line says beyond them is not looked at.
pub const MAX_WORDS: usize = 1_024;

/// Which rules made the features: a model is only ever asked with the rules that it was trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureSpec {
    /// Version of the rules in this room; another version means other features.
    pub rules: u32,
    /// Hashed columns, a power of two.
    pub n_features: u32,
}

impl FeatureSpec {
    /// Version of the rules of this program.
    pub const RULES: u32 = 4;

    /// This program's rules with `n_features` columns.
    pub const fn new(n_features: u32) -> Self {
        Self { rules: Self::RULES, n_features }
    }
}

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordKind {
    /// The word with this index among the masked words of the message.
    Message(usize),
    /// The service.
    Service,
    /// The level.
    Level,
}

/// A key and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// Stable hash of the masked word in lower case.
    pub key: u64,
    /// What it stands for.
    pub kind: WordKind,
}

/// Seeds keep words, patterns, services and levels apart.
mod seed {
    pub const WORD: u64 = 1;
    pub const SERVICE: u64 = 2;
    pub const LEVEL: u64 = 3;
    pub const PATTERN: u64 = 4;
    pub const SERVICE_PATTERN: u64 = 5;
}

/// The features of one event.
#[derive(Debug, Default)]
pub struct Line {
    canonical: Canonical,
    masked: Masked,
    shape: Shape,
    keyed: Vec<Keyed>,
    keys: Vec<u64>,
    columns: Vec<(u32, f32)>,
    pattern_key: u64,
    service_pattern_key: u64,
    is_nameless: bool,
    level: Option<Level>,
}

impl Line {
    /// With a choice of how many bytes are looked at in one step; every choice gives the same features.
    pub fn with_lanes(lanes: Lanes) -> Self {
        Self { canonical: Canonical::with_lanes(lanes), ..Self::default() }
    }

    /// Reads the words and patterns of a line, but not its columns.
    pub fn read<'a>(&mut self, line: impl Into<LogLine<'a>>) {
        let line = line.into();
        self.canonicalise(line);
        self.read_words(line);
    }

    /// Takes the message's canonical text: what the others read.
    pub fn canonicalise(&mut self, line: LogLine<'_>) {
        self.canonical.read(line.message);
    }

    /// Key of the line that was given to [`Line::canonicalise`]; lines with equal keys have equal features.
    pub fn key(&self, maker: &KeyMaker, line: LogLine<'_>) -> LineKey {
        maker.key(self.canonical.text(), line.service, line.level)
    }

    /// Reads the words and patterns of the line that was given to [`Line::canonicalise`].
    pub fn read_words(&mut self, line: LogLine<'_>) {
        let Self { canonical, masked, keyed, keys, .. } = self;
        masked.mask(canonical);
        self.level = line.level;
        self.is_nameless = line.service.is_empty();
        self.columns.clear();
        keyed.clear();
        keys.clear();
        let key = stable_hash(seed::SERVICE, line.service.as_bytes());
        keyed.push(Keyed { key, kind: WordKind::Service });
        let level = line.level.map_or("", Level::as_str);
        keyed.push(Keyed { key: stable_hash(seed::LEVEL, level.as_bytes()), kind: WordKind::Level });
        for (index, word) in masked.words().iter().enumerate() {
            let key = stable_hash_lower(seed::WORD, masked.bytes(word));
            keyed.push(Keyed { key, kind: WordKind::Message(index) });
            keys.push(key);
        }
        distinct(keys, |key| *key, |_, _| ());
        let pattern = masked.pattern_bytes();
        self.pattern_key = stable_hash(seed::PATTERN, pattern);
        let service = stable_hash(seed::SERVICE_PATTERN, line.service.as_bytes());
        self.service_pattern_key = stable_hash(service, &self.pattern_key.to_le_bytes());
    }

    /// Reads the hashed columns of the line that was given to [`Line::read`] or [`Line::canonicalise`]: columns
    /// ascending.
    pub fn read_columns<'a>(&mut self, line: impl Into<LogLine<'a>>, spec: FeatureSpec) {
        self.read_line_columns(line.into(), spec);
        self.columns.sort_unstable_by_key(|(column, _)| *column);
    }

    /// Reads the hashed columns of the line that was given to [`Line::canonicalise`], in no certain order.
    pub fn read_line_columns(&mut self, line: LogLine<'_>, spec: FeatureSpec) {
        let Self { canonical, shape, columns, .. } = self;
        columns.clear();
        for_each_column(canonical, shape, line, spec, |column, _, _| {
            if columns.len() < MAX_WORDS {
                columns.push((column, 1.0));
            }
        });
        distinct(columns, |(column, _)| u64::from(*column), |kept, next| kept.1 += next.1);
        let norm = columns.iter().map(|(_, count)| count * count).sum::<f32>().sqrt();
        columns.iter_mut().for_each(|(_, value)| *value /= norm);
    }

    /// Calls `each` with the column of every shape word of the line that was read, and the word's span in the
    /// message; the service and the level come first, with no span.
    pub(crate) fn for_each_column(
        &self,
        line: LogLine<'_>,
        spec: FeatureSpec,
        each: impl FnMut(u32, Option<(usize, usize)>, WordKind),
    ) {
        for_each_column(&self.canonical, &mut Shape::default(), line, spec, each);
    }

    /// The message's canonical text.
    pub const fn canonical(&self) -> &Canonical {
        &self.canonical
    }

    /// The masked message.
    pub const fn masked(&self) -> &Masked {
        &self.masked
    }

    /// How many words of the message are unseen by `is_unseen`, and how many it has; a repeated word counts each time.
    pub fn unseen_words(&self, is_unseen: impl Fn(u64) -> bool) -> (u64, u64) {
        let words = self.keyed.iter().filter(|word| matches!(word.kind, WordKind::Message(_)));
        words.fold((0, 0), |(unseen, all), word| (unseen + u64::from(is_unseen(word.key)), all + 1))
    }

    /// Service, level and words with their keys, in this order.
    pub fn keyed(&self) -> &[Keyed] {
        &self.keyed
    }

    /// Keys of the service and the level.
    pub fn context_keys(&self) -> [u64; 2] {
        [self.keyed[0].key, self.keyed[1].key]
    }

    /// Key of the service; none where the event names none.
    pub fn service_key(&self) -> Option<u64> {
        (!self.is_nameless).then(|| self.keyed[0].key)
    }

    /// The distinct keys of the message's words.
    pub fn keys(&self) -> &[u64] {
        &self.keys
    }

    /// Column and value of every hashed feature: how often it occurs, divided by the row's
    /// Euclidean norm, so that a long line is not odd for its length alone.
    pub fn columns(&self) -> &[(u32, f32)] {
        &self.columns
    }

    /// Key of the masked pattern.
    pub const fn pattern_key(&self) -> u64 {
        self.pattern_key
    }

    /// Key of the masked pattern within its service.
    pub const fn service_pattern_key(&self) -> u64 {
        self.service_pattern_key
    }

    /// The event's level.
    pub const fn level(&self) -> Option<Level> {
        self.level
    }
}

fn for_each_column(
    canonical: &Canonical,
    shape: &mut Shape,
    line: LogLine<'_>,
    spec: FeatureSpec,
    mut each: impl FnMut(u32, Option<(usize, usize)>, WordKind),
) {
    let mask = spec.n_features - 1;
    each(murmur3_32(line.service.as_bytes(), 1) & mask, None, WordKind::Service);
    each(murmur3_32(line.level.map_or("", Level::as_str).as_bytes(), 2) & mask, None, WordKind::Level);
    shape.read(canonical);
    let mut index = 0;
    for_each_word(canonical, |start, end| {
        let word = shape.from(start);
        let column = murmur3_32_padded(word, shape::told_apart(word, end - start), 0) & mask;
        each(column, Some((start, end)), WordKind::Message(index));
        index += 1;
    });
}

/// Keeps the first of all entries with one key, and gives it those that are dropped. Few entries stay in their
/// order; many are sorted by key.
fn distinct<T: Copy>(entries: &mut Vec<T>, key: impl Fn(&T) -> u64, mut merge: impl FnMut(&mut T, T)) {
    const FEW: usize = 64;
    if entries.len() > FEW {
        entries.sort_by_key(&key);
        entries.dedup_by(|next, kept| {
            let same = key(next) == key(kept);
            if same {
                merge(kept, *next);
            }
            same
        });
        return;
    }
    // A key whose bit is not set was not met before.
    let (mut met, mut kept) = (0_u64, 0);
    for at in 0..entries.len() {
        let entry = entries[at];
        let key_of = key(&entry);
        let bit = 1 << (key_of.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58);
        if met & bit != 0
            && let Some(first) = entries[..kept].iter_mut().find(|first| key(first) == key_of)
        {
            merge(first, entry);
            continue;
        }
        met |= bit;
        entries[kept] = entry;
        kept += 1;
    }
    entries.truncate(kept);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::canonical::tests::texts;
    use super::*;
    use crate::event::LogEvent;

    fn event(message: &str) -> LogEvent {
        LogEvent {
            service: "api".into(),
            message: message.into(),
            level: Some(Level::Info),
            ..LogEvent::default()
        }
    }

    fn read(event: &LogEvent, line: &mut Line) -> (Vec<u64>, Vec<(u32, f32)>, u64) {
        line.read(event);
        line.read_columns(event, FeatureSpec::new(1 << 12));
        (line.keys().to_vec(), line.columns().to_vec(), line.pattern_key())
    }

    #[test]
    fn a_reused_line_equals_a_fresh_one() {
        let mut reused = Line::default();
        for text in ["long line with many words 17", "", "short", "a b c ünï <x>"] {
            let event = event(text);
            assert_eq!(read(&event, &mut reused), read(&event, &mut Line::default()), "{text}");
        }
    }

    #[test]
    fn repeated_words_add_up_in_their_column_and_rows_have_norm_one() {
        let (_, columns, _) = read(&event("retry retry retry"), &mut Line::default());
        let greatest = columns.iter().map(|(_, value)| *value).fold(0.0, f32::max);
        assert!((greatest - 3.0 / 11_f32.sqrt()).abs() < 1e-6);
        assert!(columns.is_sorted_by_key(|(column, _)| *column));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn the_canonical_text_has_the_features_of_the_message(text in texts()) {
            let (mut line, mut other) = (Line::default(), Line::default());
            let original = read(&event(&text), &mut line);
            let canonical = String::from_utf8(line.canonical().text().to_vec()).unwrap();
            prop_assert_eq!(&original, &read(&event(&canonical), &mut other));
            prop_assert_eq!(line.keyed(), other.keyed());
            prop_assert_eq!(line.masked().pattern(), other.masked().pattern());
            prop_assert_eq!(line.service_pattern_key(), other.service_pattern_key());
        }
    }

    proptest! {
        #[test]
        fn equal_entries_are_added_up(entries in prop::collection::vec(0u32..90, 0..150)) {
            let mut got: Vec<_> = entries.iter().map(|entry| (*entry, 1)).collect();
            distinct(&mut got, |(entry, _)| u64::from(*entry), |kept, next| kept.1 += next.1);
            got.sort_unstable();
            let mut expected = std::collections::BTreeMap::new();
            entries.iter().for_each(|entry| *expected.entry(*entry).or_insert(0) += 1);
            prop_assert_eq!(got, expected.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_service_separates_patterns() {
        let (mut a, mut b) = (Line::default(), Line::default());
        a.read(&event("x"));
        b.read(&LogEvent { service: "other".into(), ..event("x") });
        assert_eq!(a.pattern_key(), b.pattern_key());
        assert_ne!(a.service_pattern_key(), b.service_pattern_key());
    }
}
