//! Everything that the model reads of one event, in buffers that are reused from line to line.

use serde::{Deserialize, Serialize};

use super::{Canonical, KeyMaker, LineKey, Masked, for_each_shape, murmur3_32, stable_hash};
use crate::event::{Level, LogEvent, LogLine};

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
    pub const RULES: u32 = 2;

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
    buffer: Vec<u8>,
    keyed: Vec<Keyed>,
    keys: Vec<u64>,
    columns: Vec<(u32, f32)>,
    pattern_key: u64,
    service_pattern_key: u64,
    level: Option<Level>,
}

impl Line {
    /// Reads the words and patterns of an event, but not its columns.
    pub fn read(&mut self, event: &LogEvent) {
        let line = LogLine::from(event);
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
        let Self { canonical, masked, buffer, keyed, .. } = self;
        masked.mask(text(canonical));
        self.level = line.level;
        self.columns.clear();
        keyed.clear();
        keyed.push(Keyed {
            key: stable_hash(seed::SERVICE, line.service.as_bytes()),
            kind: WordKind::Service,
        });
        let level = line.level.map_or("", Level::as_str);
        keyed.push(Keyed { key: stable_hash(seed::LEVEL, level.as_bytes()), kind: WordKind::Level });
        for (index, word) in masked.words().iter().take(MAX_WORDS).enumerate() {
            buffer.clear();
            buffer.extend(masked.text(word).bytes().map(|byte| byte.to_ascii_lowercase()));
            keyed.push(Keyed { key: stable_hash(seed::WORD, buffer), kind: WordKind::Message(index) });
        }
        self.keys.clear();
        let words = self.keyed.iter().filter(|keyed| matches!(keyed.kind, WordKind::Message(_)));
        self.keys.extend(words.map(|keyed| keyed.key));
        self.keys.sort_unstable();
        self.keys.dedup();
        self.pattern_key = stable_hash(seed::PATTERN, self.masked.pattern().as_bytes());
        let service = stable_hash(seed::SERVICE_PATTERN, line.service.as_bytes());
        self.service_pattern_key = stable_hash(service, self.masked.pattern().as_bytes());
    }

    /// Reads the hashed columns of an event, after [`Line::read`] of the same event.
    pub fn read_columns(&mut self, event: &LogEvent, spec: FeatureSpec) {
        self.read_line_columns(event.into(), spec);
    }

    /// Reads the hashed columns of the line that was given to [`Line::canonicalise`].
    pub fn read_line_columns(&mut self, line: LogLine<'_>, spec: FeatureSpec) {
        let Self { canonical, buffer, columns, .. } = self;
        columns.clear();
        for_each_column(text(canonical), line, spec, buffer, |column, _, _| {
            if columns.len() < MAX_WORDS {
                columns.push((column, 1.0));
            }
        });
        columns.sort_unstable_by_key(|(column, _)| *column);
        columns.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
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
        for_each_column(text(&self.canonical), line, spec, &mut Vec::new(), each);
    }

    /// The message's canonical text.
    pub const fn canonical(&self) -> &Canonical {
        &self.canonical
    }

    /// The masked message.
    pub const fn masked(&self) -> &Masked {
        &self.masked
    }

    /// Service, level and words with their keys, in this order.
    pub fn keyed(&self) -> &[Keyed] {
        &self.keyed
    }

    /// Keys of the service and the level.
    pub fn context_keys(&self) -> [u64; 2] {
        [self.keyed[0].key, self.keyed[1].key]
    }

    /// The distinct keys of the message's words, ascending.
    pub fn keys(&self) -> &[u64] {
        &self.keys
    }

    /// Column and value of every hashed feature, columns ascending: how often it occurs, divided by the row's
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

fn text(canonical: &Canonical) -> &str {
    // ASCII is replaced by ASCII, so it stays UTF-8.
    std::str::from_utf8(canonical.text()).unwrap_or_default()
}

fn for_each_column(
    canonical: &str,
    line: LogLine<'_>,
    spec: FeatureSpec,
    buffer: &mut Vec<u8>,
    mut each: impl FnMut(u32, Option<(usize, usize)>, WordKind),
) {
    let column = |bytes: &[u8], seed: u32| murmur3_32(bytes, seed) & (spec.n_features - 1);
    each(column(line.service.as_bytes(), 1), None, WordKind::Service);
    each(column(line.level.map_or("", Level::as_str).as_bytes(), 2), None, WordKind::Level);
    let mut index = 0;
    for_each_shape(canonical, buffer, |start, end, shape| {
        each(column(shape, 0), Some((start, end)), WordKind::Message(index));
        index += 1;
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::canonical::tests::texts;
    use super::*;

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

    #[test]
    fn the_service_separates_patterns() {
        let (mut a, mut b) = (Line::default(), Line::default());
        a.read(&event("x"));
        b.read(&LogEvent { service: "other".into(), ..event("x") });
        assert_eq!(a.pattern_key(), b.pattern_key());
        assert_ne!(a.service_pattern_key(), b.service_pattern_key());
    }
}
