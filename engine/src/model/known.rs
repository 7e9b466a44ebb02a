//! Lines that training met already, by their key: what was read of one is not read again when it comes again, and
//! how often it came is kept until it is asked for. Bounded in number; forgetting changes no result.

use hashbrown::HashTable;

use super::row::Row;
use crate::event::LogEvent;
use crate::features::{Canonical, KeyMaker, LineKey};
use crate::redact::Redactor;

/// Lines that are known at a time; at this number all are forgotten.
pub const MOST_KNOWN: usize = 1 << 14;

/// Makes a line's key in a buffer of its own.
#[derive(Debug)]
pub struct Keys {
    maker: KeyMaker,
    canonical: Canonical,
}

/// What training makes keys of lines with.
pub fn key_maker() -> KeyMaker {
    // Any number does: lines that training is given on purpose could spoil a model in simpler ways.
    KeyMaker::new(0x150_109)
}

impl Default for Keys {
    fn default() -> Self {
        Self { maker: key_maker(), canonical: Canonical::default() }
    }
}

impl Keys {
    /// Lines of equal keys have equal features.
    pub fn key(&mut self, event: &LogEvent) -> LineKey {
        self.canonical.read(&event.message);
        self.maker.key(self.canonical.text(), &event.service, event.level)
    }

    /// Of the event whose key was asked for last: whether no line of its key holds a secret. False says nothing.
    pub fn are_clean(&self, event: &LogEvent, redactor: &Redactor) -> bool {
        self.canonical.keeps_letters()
            && redactor.is_clean_for_all_digits(&event.message)
            && redactor.is_clean_for_all_digits(&event.service)
    }
}

/// Numbers by line key.
#[derive(Debug, Default)]
pub struct Index(HashTable<(LineKey, u32)>);

/// The key is a hash already.
const fn hash(key: LineKey) -> u64 {
    key.0 as u64
}

impl Index {
    /// The number of a key.
    pub fn find(&self, key: LineKey) -> Option<usize> {
        self.0.find(hash(key), |(other, _)| *other == key).map(|(_, number)| *number as usize)
    }

    /// Takes the number of a key that has none.
    pub fn insert(&mut self, key: LineKey, number: usize) {
        self.0.insert_unique(hash(key), (key, number as u32), |(key, _)| hash(*key));
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// A line that is known.
#[derive(Debug)]
pub struct KnownLine {
    /// Its key, in two halves so that it needs no more room than its bytes.
    key: [u64; 2],
    /// The first of them.
    pub row: Row,
    /// How often it came.
    pub lines: u64,
    /// How many of these are not in the counts yet.
    pub pending: u64,
    /// Keys that are counted were dropped so many times when its own keys were last seen to be there.
    pub era: u32,
    /// Its number among the drawn lines, where it was drawn.
    pub number: Option<u32>,
    /// Whether it is known that no line of its key holds a secret.
    pub is_clean: bool,
    /// The caller's numbers of the first of them.
    pub tag: [u64; 2],
}

impl KnownLine {
    /// A line that came once, and is counted; `era` is that of the counts.
    pub const fn new(key: LineKey, row: Row, era: u32, tag: [u64; 2]) -> Self {
        Self { key: halves(key), row, lines: 1, pending: 0, era, number: None, is_clean: false, tag }
    }
}

const fn halves(LineKey(key): LineKey) -> [u64; 2] {
    [key as u64, (key >> 64) as u64]
}

/// The lines that are known, in the order of their first coming.
#[derive(Debug)]
pub struct Known {
    most: usize,
    /// Places in `lines`.
    index: HashTable<u32>,
    lines: Vec<KnownLine>,
    has_forgotten: bool,
}

impl Known {
    /// No line yet, and at most `most`, at least 1, at a time.
    pub fn new(most: usize) -> Self {
        Self { most, index: HashTable::new(), lines: Vec::new(), has_forgotten: false }
    }

    /// Where the line with this key is.
    pub fn find(&self, key: LineKey) -> Option<usize> {
        let key = halves(key);
        self.index.find(key[0], |at| self.lines[*at as usize].key == key).map(|at| *at as usize)
    }

    /// Takes a line that is not known and says where it is.
    pub fn insert(&mut self, line: KnownLine) -> usize {
        let at = self.lines.len();
        let hash = line.key[0];
        self.lines.push(line);
        self.index.insert_unique(hash, at as u32, |at| self.lines[*at as usize].key[0]);
        at
    }

    /// Whether one more line is one too many.
    pub fn is_full(&self) -> bool {
        self.lines.len() >= self.most
    }

    /// Forgets all lines.
    pub fn clear(&mut self) {
        self.index.clear();
        self.lines.clear();
        self.has_forgotten = true;
    }

    /// Whether no line was ever forgotten.
    pub const fn is_whole(&self) -> bool {
        !self.has_forgotten
    }

    /// The line at a place that [`Known::find`] or [`Known::insert`] gave.
    pub fn at(&mut self, place: usize) -> &mut KnownLine {
        &mut self.lines[place]
    }

    /// All lines.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut KnownLine> {
        self.lines.iter_mut()
    }

    /// The lines, where none was ever forgotten.
    pub fn into_whole(self) -> Option<Vec<KnownLine>> {
        self.is_whole().then_some(self.lines)
    }
}
