//! Names of fields that came lately, and what they were found to be. Records of one program repeat their names in
//! their order, so the next one is mostly foreseen: its bytes are compared instead of being read and looked up. Keeps
//! names, never a value; what it knows changes no result.

use crate::decode::settings::{NameTable, Part};
use crate::features::stable_hash;

/// Bytes of a head that are compared at once; longer ones are not kept.
const LONGEST: usize = 32;
const WORDS: usize = LONGEST / 8;
/// Heads that are kept; a new one takes the place of the one at its own.
const PLACES: usize = 256;
/// Where a record begins, and what follows a name that is not kept: places without a head.
const BEGIN: u8 = 0;
const ELSEWHERE: u8 = 1;
const PLACELESS: u64 = 2;
/// Heads that are foreseen behind another.
const FORESEEN: usize = 4;

/// What a name may be, with its rank in that list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meaning {
    parts: [(u8, u16); Part::COUNT],
    count: u8,
}

impl Meaning {
    pub(super) fn of(name: &str, names: &NameTable) -> Self {
        let mut meaning = Self::default();
        for (part, rank) in names.parts(name) {
            let part = part as u8;
            // A list that has a name twice means its first place.
            if meaning.parts().all(|(known, _)| known != part) {
                meaning.parts[usize::from(meaning.count)] = (part, rank);
                meaning.count += 1;
            }
        }
        meaning
    }

    /// The parts by number, each once.
    pub(super) fn parts(&self) -> impl Iterator<Item = (u8, u16)> {
        self.parts.iter().take(usize::from(self.count)).copied()
    }
}

/// What stands between two values, with the name in it: from the brace or comma up to the value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    bytes: [u64; WORDS],
    /// All bits of the bytes that there are.
    mask: [u64; WORDS],
    /// 0 where there is no head.
    length: u8,
    /// Where the name begins and ends.
    name: (u8, u8),
    meaning: Meaning,
    /// Places of the heads that came behind it.
    next: [u8; FORESEEN],
}

impl Head {
    pub(super) fn length(&self) -> usize {
        usize::from(self.length)
    }

    pub(super) fn name(&self) -> (usize, usize) {
        (self.name.0.into(), self.name.1.into())
    }

    pub(super) const fn meaning(&self) -> &Meaning {
        &self.meaning
    }

    /// Of at most [`LONGEST`] bytes.
    fn of(head: &[u8], name: (u8, u8), meaning: Meaning) -> Self {
        let (mut bytes, mut mask) = ([0; LONGEST], [0; LONGEST]);
        bytes[..head.len()].copy_from_slice(head);
        mask[..head.len()].fill(u8::MAX);
        let (bytes, mask) = (words(&bytes), words(&mask));
        Self { bytes, mask, length: head.len() as u8, name, meaning, next: [0; FORESEEN] }
    }

    #[inline(always)]
    fn begins(&self, ahead: &[u64; WORDS], length: usize) -> bool {
        let differs = |at: usize| (ahead[at] ^ self.bytes[at]) & self.mask[at];
        let is_same = differs(0) | differs(1) | differs(2) | differs(3) == 0;
        is_same && self.length > 0 && self.length() <= length
    }
}

#[inline(always)]
fn words(bytes: &[u8; LONGEST]) -> [u64; WORDS] {
    let (words, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|at| u64::from_le_bytes(words[at]))
}

/// The first bytes of a text, with zeros behind it where it is shorter.
#[inline(always)]
fn ahead(text: &[u8]) -> [u64; WORDS] {
    match text.first_chunk::<LONGEST>() {
        Some(bytes) => words(bytes),
        None => {
            let mut bytes = [0; LONGEST];
            bytes[..text.len()].copy_from_slice(text);
            words(&bytes)
        }
    }
}

/// The names of the fields of the JSON records that were decoded last: for whoever decodes many, one after the other.
/// Takes 32 kB at most, however many names there are.
#[derive(Debug, Default)]
pub struct KnownNames {
    /// Of the names that the records are read by.
    digest: u64,
    heads: Vec<Head>,
}

impl KnownNames {
    /// Follows a record from its beginning; what was known by other lists of names is forgotten.
    pub(super) fn follow(&mut self, digest: u64) -> Following<'_> {
        if self.digest != digest || self.heads.is_empty() {
            self.digest = digest;
            self.heads.clear();
            self.heads.resize(PLACES, Head::default());
        }
        Following { heads: &mut self.heads, last: BEGIN }
    }
}

/// The way through a record.
pub(super) struct Following<'k> {
    heads: &'k mut [Head],
    last: u8,
}

impl Following<'_> {
    /// The head that the text begins with, where it was foreseen.
    #[inline(always)]
    pub(super) fn next(&mut self, text: &[u8]) -> Option<&Head> {
        // At a place to which another head moved meanwhile may be one that belongs elsewhere.
        let opening = if self.last == BEGIN { b'{' } else { b',' };
        if text.first() != Some(&opening) {
            return None;
        }
        let last = usize::from(self.last);
        let ahead = ahead(text);
        for rank in 0..FORESEEN {
            let place = self.heads[last].next[rank];
            if self.heads[usize::from(place)].begins(&ahead, text.len()) {
                if rank > 0 {
                    self.heads[last].next.swap(rank, rank - 1);
                }
                self.last = place;
                return Some(&self.heads[usize::from(place)]);
            }
        }
        None
    }

    /// Takes a head that was not foreseen, with its name at `name`.
    pub(super) fn take(&mut self, head: &[u8], (start, end): (usize, usize), meaning: Meaning) {
        let last = usize::from(std::mem::replace(&mut self.last, ELSEWHERE));
        let (Ok(start), Ok(end)) = (u8::try_from(start), u8::try_from(end)) else { return };
        if head.len() > LONGEST {
            return;
        }
        let place = PLACELESS + stable_hash(0, head) % (PLACES as u64 - PLACELESS);
        self.last = place as u8;
        let kept = &mut self.heads[place as usize];
        if !kept.begins(&ahead(head), head.len()) || kept.length() != head.len() {
            *kept = Head::of(head, (start, end), meaning);
        }
        let foreseen = &mut self.heads[last].next;
        if !foreseen.contains(&self.last) {
            foreseen.rotate_right(1);
            foreseen[0] = self.last;
        }
    }
}
