//! The canonical form of a message: as many bytes, and whatever the features do not tell apart written alike.
//! Lines that differ only in their numbers and identifiers share it, so what follows from it can be remembered.
//!
//! Every digit becomes `0`, and of what stands at the beginning of a run of letters and digits:
//!
//! | what | becomes |
//! |---|---|
//! | a UUID, or four or more octets in base 16 | `f` for every letter and digit |
//! | an IPv6 address | `0` for every letter and digit |
//! | `0x` and a number in base 16 | `0x` and zeros |
//! | four or more hexadecimal digits, of both kinds | `f` and zeros |
//! | eight or more letters and digits that change places three times or more | `x0x0x0…` |
//! | a digit other than `0`, an `x` and hexadecimal digits | the first digit becomes `1`: it is not base 16 |
//!
//! All of these decide by whole runs and by the kind of each byte alone, which the canonical form keeps; so the
//! canonical form of a canonical text is that text.

use std::ops::Range;

use super::block::{BLOCK, Block, Lanes};
use super::scan;

/// What the bytes of a span stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thing {
    pub start: usize,
    pub end: usize,
    pub kind: ThingKind,
}

/// What was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThingKind {
    Uuid,
    Octets,
    Ipv6,
    /// With `0x` in front of it.
    PrefixedHex,
    Hex,
    Id,
    /// A name with a number in it.
    Mixed,
    /// The same, where it would look like base 16 with its digits forgotten.
    NearlyPrefixed,
}

/// A canonical text; its buffers are reused from one message to the next.
#[derive(Clone, Debug, Default)]
pub struct Canonical {
    /// The text, and at least a block behind it that means nothing.
    padded: Vec<u8>,
    length: usize,
    /// UUIDs, octets and IPv6 addresses, in order.
    addresses: Vec<Thing>,
    /// What runs of both letters and digits are, in order; of what is not in here, letters are a word and digits
    /// a number.
    mixed: Vec<Thing>,
    /// The kinds of the message's bytes, updated where addresses were replaced; one more than there is text for.
    blocks: Vec<Block>,
    lanes: Lanes,
}

impl Canonical {
    /// With a choice of how many bytes are looked at in one step; the text is the same with every choice.
    pub fn with_lanes(lanes: Lanes) -> Self {
        Self { lanes, ..Self::default() }
    }

    /// The canonical text: valid UTF-8, of the message's length.
    pub fn text(&self) -> &[u8] {
        &self.padded[..self.length]
    }

    /// The text in whole blocks, with at least one more behind it; what is beyond the text means nothing.
    pub(super) fn padded(&self) -> &[u8] {
        &self.padded[..(self.length / BLOCK + 2) * BLOCK]
    }

    /// The kinds of the text's bytes, but that digits and letters of [`Canonical::mixed`] are the message's.
    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// UUIDs, octets and IPv6 addresses, from left to right.
    pub(super) fn addresses(&self) -> &[Thing] {
        &self.addresses
    }

    /// Runs of both letters and digits, from left to right.
    pub(super) fn mixed(&self) -> &[Thing] {
        &self.mixed
    }

    /// Takes a message.
    pub fn read(&mut self, message: &str) {
        let bytes = message.as_bytes();
        self.addresses.clear();
        self.mixed.clear();
        self.classify(bytes);
        if self.may_hold_addresses() {
            self.find_addresses(bytes);
        }
        self.find_mixed(bytes);
    }

    /// Whether every byte that is no digit is the message's. If so, it is for all messages of this text.
    pub fn keeps_letters(&self) -> bool {
        let keeps = |thing: &Thing| matches!(thing.kind, ThingKind::Mixed | ThingKind::NearlyPrefixed);
        self.addresses.is_empty() && self.mixed.iter().all(keeps)
    }

    /// Whether what stands in a span may read otherwise in other messages of this text.
    pub fn may_vary(&self, span: &Range<usize>) -> bool {
        let overlaps = |thing: &Thing| thing.start < span.end && span.start < thing.end;
        self.text()[span.clone()].iter().any(u8::is_ascii_digit)
            || self.addresses.iter().chain(&self.mixed).any(overlaps)
    }

    /// False only where no `://` is in the text.
    pub(super) fn may_hold_urls(&self) -> bool {
        let text = self.text();
        self.blocks.iter().enumerate().any(|(number, block)| {
            let mut colons = block.colon;
            while colons != 0 {
                let at = number * BLOCK + colons.trailing_zeros() as usize;
                if text.get(at + 1) == Some(&b'/') {
                    return true;
                }
                colons &= colons - 1;
            }
            false
        })
    }

    fn classify(&mut self, bytes: &[u8]) {
        let Self { padded, blocks, lanes, .. } = self;
        blocks.clear();
        self.length = bytes.len();
        let needed = (bytes.len() / BLOCK + 2) * BLOCK;
        if padded.len() < needed {
            padded.resize(needed, 0);
        }
        let (whole, rest) = bytes.as_chunks::<BLOCK>();
        let (out, _) = padded.as_chunks_mut::<BLOCK>();
        for (bytes, out) in whole.iter().zip(&mut *out) {
            let block;
            (block, *out) = Block::of(bytes, *lanes);
            blocks.push(block);
        }
        if let (false, Some(last)) = (rest.is_empty(), bytes.last_chunk::<BLOCK>()) {
            // The last 64 bytes overlap what is done already.
            let (block, zeroed) = Block::of(last, *lanes);
            padded[bytes.len() - BLOCK..bytes.len()].copy_from_slice(&zeroed);
            blocks.push(block.skip((BLOCK - rest.len()) as u32));
        } else if !rest.is_empty() {
            let mut short = [0; BLOCK];
            short[..rest.len()].copy_from_slice(rest);
            let block;
            (block, out[0]) = Block::of(&short, *lanes);
            blocks.push(block);
        }
        blocks.push(Block::default());
    }

    /// False only where [`Canonical::find_addresses`] would find nothing.
    fn may_hold_addresses(&self) -> bool {
        self.blocks.windows(2).any(|pair| {
            let [block, next] = pair else { return false };
            if block.dash | block.colon == 0 {
                return false;
            }
            let ahead = |now: u64, next: u64, bytes: u32| now >> bytes | next << (u64::BITS - bytes);
            let colon = |bytes| ahead(block.colon, next.colon, bytes);
            let dash = |bytes| ahead(block.dash, next.dash, bytes);
            let octets = block.colon & colon(3) & colon(6) | block.dash & dash(3) & dash(6);
            let uuid = block.dash & dash(5) & dash(10) & dash(15);
            // An IPv6 address has two colons in a row, or seven in all.
            let ipv6 = block.colon & colon(1) != 0 || block.colon.count_ones() + next.colon.count_ones() >= 7;
            octets | uuid != 0 || ipv6
        })
    }

    /// UUIDs, octets and IPv6 addresses, from left to right.
    fn find_addresses(&mut self, bytes: &[u8]) {
        let (mut resume, mut before) = (0, 0);
        for number in 0..self.blocks.len() - 1 {
            let block = self.blocks[number];
            // Runs are asked for in the message's own kinds: what is written here keeps them.
            let alphanumeric = block.alphanumeric();
            let mut starts = (block.hex() | block.colon) & !(alphanumeric << 1 | before);
            before = alphanumeric >> 63;
            while starts != 0 {
                let at = number * BLOCK + starts.trailing_zeros() as usize;
                starts &= starts - 1;
                if at < resume {
                    continue;
                }
                let rest = &bytes[at..];
                let kind = |kind| move |length| (kind, length);
                let found = scan::uuid(rest)
                    .map(kind(ThingKind::Uuid))
                    .or_else(|| scan::octets(rest).map(kind(ThingKind::Octets)))
                    .or_else(|| scan::ipv6(rest).map(kind(ThingKind::Ipv6)));
                if let Some((kind, length)) = found {
                    resume = at + length;
                    self.replace(at, resume, if kind == ThingKind::Ipv6 { b'0' } else { b'f' });
                    self.addresses.push(Thing { start: at, end: resume, kind });
                }
            }
        }
    }

    /// Writes `byte`, which is `f` or `0`, over the letters and digits of a span.
    fn replace(&mut self, start: usize, end: usize, byte: u8) {
        for at in start..end {
            if !self.padded[at].is_ascii_alphanumeric() {
                continue;
            }
            self.padded[at] = byte;
            let (block, bit) = (&mut self.blocks[at / BLOCK], 1 << (at % BLOCK));
            let (set, cleared) = (u64::from(byte == b'f') * bit, u64::from(byte == b'0') * bit);
            block.letter = block.letter & !bit | set;
            block.hex_letter = block.hex_letter & !bit | set;
            block.digit = block.digit & !bit | cleared;
        }
    }

    /// Runs that hold both letters and digits.
    fn find_mixed(&mut self, bytes: &[u8]) {
        let (mut last_digit, mut last_letter, mut done) = (0, 0, 0);
        for number in 0..self.blocks.len() - 1 {
            let Block { digit, letter, .. } = self.blocks[number];
            let mut turns = digit & (letter << 1 | last_letter) | letter & (digit << 1 | last_digit);
            (last_digit, last_letter) = (digit >> 63, letter >> 63);
            let first = number * BLOCK;
            turns &= from(done.max(first) - first);
            while turns != 0 {
                let at = first + turns.trailing_zeros() as usize;
                let start = self.run_start(at);
                done = self.run_end(at);
                self.write_run(bytes, start, done);
                turns &= from(done - first);
            }
        }
    }

    fn run_start(&self, at: usize) -> usize {
        let mut number = at / BLOCK;
        let mut others = !self.blocks[number].alphanumeric() & below(at % BLOCK);
        while others == 0 {
            if number == 0 {
                return 0;
            }
            number -= 1;
            others = !self.blocks[number].alphanumeric();
        }
        number * BLOCK + BLOCK - others.leading_zeros() as usize
    }

    /// Where the letters and digits that go on at `at` end.
    pub(super) fn run_end(&self, at: usize) -> usize {
        let mut number = at / BLOCK;
        let mut others = !self.blocks[number].alphanumeric() & from(at % BLOCK);
        while others == 0 {
            // The last block has no letters or digits, so there always is an end.
            number += 1;
            others = !self.blocks[number].alphanumeric();
        }
        number * BLOCK + others.trailing_zeros() as usize
    }

    fn write_run(&mut self, bytes: &[u8], start: usize, end: usize) {
        let kind = self.kind(start, end, bytes[start]);
        self.mixed.push(Thing { start, end, kind });
        let run = &mut self.padded[start..end];
        match kind {
            ThingKind::PrefixedHex => {
                run.fill(b'0');
                run[1] = b'x';
            }
            ThingKind::Hex => {
                run.fill(b'0');
                run[0] = b'f';
            }
            ThingKind::Id => run.iter_mut().enumerate().for_each(|(at, byte)| *byte = b"x0"[at % 2]),
            ThingKind::NearlyPrefixed => run[0] = b'1',
            ThingKind::Uuid | ThingKind::Octets | ThingKind::Ipv6 | ThingKind::Mixed => {}
        }
    }

    /// What a run of letters and digits is, by the kinds of its bytes and whether the first one was `0`.
    fn kind(&self, start: usize, end: usize, first: u8) -> ThingKind {
        let run = &self.padded[start..end];
        let length = run.len();
        let begins_prefixed = run[0] == b'0' && run[1].eq_ignore_ascii_case(&b'x');
        let (is_hex, rest_is_hex, turns) = if length > BLOCK {
            let is_hex = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_hexdigit);
            (is_hex(run), is_hex(&run[2..]), scan::turns(run))
        } else {
            let all = from(0) >> (BLOCK - length);
            let (digit, hex) = (self.bits(start, Block::digits), self.bits(start, Block::hex));
            let turns = ((digit ^ digit >> 1) & all >> 1).count_ones();
            (hex & all == all, (hex | 3) & all == all, turns as usize)
        };
        let looks_prefixed = begins_prefixed && rest_is_hex && length > 2;
        if looks_prefixed && first == b'0' {
            ThingKind::PrefixedHex
        } else if is_hex && length >= scan::HEX_LEAST {
            ThingKind::Hex
        } else if length >= scan::ID_LEAST && turns >= scan::ID_TURNS {
            ThingKind::Id
        } else if looks_prefixed {
            ThingKind::NearlyPrefixed
        } else {
            ThingKind::Mixed
        }
    }

    /// The bits of the 64 bytes from `start` on.
    fn bits(&self, start: usize, kind: fn(&Block) -> u64) -> u64 {
        let (number, skip) = (start / BLOCK, start % BLOCK);
        let here = kind(&self.blocks[number]) >> skip;
        // Shifted in two steps, as a word cannot be shifted by its whole width.
        here | self.blocks.get(number + 1).map_or(0, |next| kind(next) << 1 << (BLOCK - 1 - skip))
    }
}

/// Bits from `at` on; none from 64 on.
pub(super) const fn from(at: usize) -> u64 {
    if at < BLOCK { u64::MAX << at } else { 0 }
}

/// Bits before `at`, which is less than 64.
const fn below(at: usize) -> u64 {
    !(u64::MAX << at)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::super::scan::Run;
    use super::*;

    fn canonical(text: &str) -> String {
        let mut canonical = Canonical::default();
        canonical.read(text);
        String::from_utf8(canonical.text().to_vec()).unwrap()
    }

    #[rstest]
    #[case("took 125 ms, 4.5%", "took 000 ms, 0.0%")]
    #[case("at 0x3fa9C2 and 0XFF", "at 0x000000 and 0x00")]
    #[case("session 3fa9c2 of id_12AB", "session f00000 of id_f000")]
    #[case("a8Fk29xQ0zz", "x0x0x0x0x0x")]
    #[case("node17-up 4x4 12x12 7xg", "node00-up 1x0 00x00 0xg")]
    #[case("added cafe to beef", "added cafe to beef")]
    #[case("b14a8c12-0a1d-4be0-9cff-0e1f2a3b4c5d.", "ffffffff-ffff-ffff-ffff-ffffffffffff.")]
    #[case("de:ad:be:ef:9b:3e up", "ff:ff:ff:ff:ff:ff up")]
    #[case("00:0d:60:e9f 12:30:45", "00:0d:00:e0f 00:00:00")]
    #[case("from [2001:db8::ab:2]:80, Face::add", "from [0000:000::00:0]:00, Face::add")]
    #[case("größe 17 €", "größe 00 €")]
    fn what_varies_is_written_alike(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(canonical(text), expected);
    }

    #[test]
    fn a_thing_is_the_same_at_every_place() {
        let things = ["f00dcafe", "0xfeed", "a8Fk29xQ0zz", "fe80::1:abc", "00:0d:60:e9:9b:3e", "3x3"];
        for thing in things.into_iter().chain(["b14a8c12-0a1d-4be0-9cff-0e1f2a3b4c5d"]) {
            let alone = canonical(thing);
            for before in 0..140 {
                for after in [0, 1, 70] {
                    let text = format!("{}{thing}{}", "- ".repeat(before), " .".repeat(after));
                    let expected = format!("{}{alone}{}", "- ".repeat(before), " .".repeat(after));
                    assert_eq!(canonical(&text), expected);
                }
            }
        }
    }

    #[test]
    fn runs_of_any_length_are_of_one_kind() {
        for length in 3..200 {
            let texts =
                ["3fa9c".repeat(length), format!("0x{}", "f".repeat(length)), "a8Fk29xQ".repeat(length)];
            for text in texts {
                let text = &text[..length];
                let forms = [String::from("f"), String::from("0x"), String::from("x0")];
                let filled = |form: &str| match form {
                    "x0" => "x0".repeat(length)[..length].to_owned(),
                    _ => format!("{form}{}", "0".repeat(length - form.len())),
                };
                let expected = match scan::run(text.as_bytes()) {
                    Run::Hex if text.starts_with("0x") => filled(&forms[1]),
                    Run::Hex => filled(&forms[0]),
                    Run::Id => filled(&forms[2]),
                    _ => text
                        .bytes()
                        .map(|byte| if byte.is_ascii_digit() { '0' } else { byte.into() })
                        .collect(),
                };
                assert_eq!(canonical(text), expected);
            }
        }
    }

    /// Texts made of what the rules look at.
    pub fn texts() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[0-9]{1,5}",
            "[0-9a-f]{1,9}",
            "[0-9a-fA-F]{1,4}:",
            "[0-9a-f]{2}[:-]",
            "([0-9a-f]{2}[:-]){3,6}[0-9a-f]{2}",
            "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
            "([0-9a-f]{1,4}:){2,7}:?[0-9a-f]{1,4}",
            "[0-9]?[xX][0-9a-f]{1,5}",
            "[a-zA-Z0-9]{6,80}",
            "[ -~]{1,6}",
            "[a-z]{1,6}[ _=:/.-]",
            "\\PC{1,3}",
            "(/[a-z0-9.]{1,4}){1,4}",
            "https?://[a-z0-9./]{1,9}",
            "[0-9]{1,3}(\\.[0-9]{1,3}){3}",
            " ",
            "::",
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn letters_are_kept_by_all_messages_of_a_text_or_by_none(text in texts()) {
            let (mut of_text, mut again) = (Canonical::default(), Canonical::default());
            of_text.read(&text);
            let canonical = std::str::from_utf8(of_text.text()).unwrap();
            again.read(canonical);
            prop_assert_eq!(of_text.keeps_letters(), again.keeps_letters());
            let same = |(a, b): (u8, u8)| a == b || (a.is_ascii_digit() && b.is_ascii_digit());
            prop_assert!(!of_text.keeps_letters() || text.bytes().zip(canonical.bytes()).all(same));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_canonical_form_of_a_canonical_text_is_itself(text in texts()) {
            let once = canonical(&text);
            prop_assert_eq!(once.len(), text.len());
            prop_assert_eq!(canonical(&once), once);
        }

        #[test]
        fn simd_equals_scalar_and_a_reused_buffer_a_fresh_one(texts in prop::collection::vec(texts(), 1..4)) {
            let mut scalar = Canonical::with_lanes(Lanes::Scalar);
            let mut widest = Canonical::with_lanes(Lanes::Widest);
            for text in &texts {
                scalar.read(text);
                widest.read(text);
                prop_assert_eq!(scalar.text(), widest.text());
                let fresh = canonical(text);
                prop_assert_eq!(scalar.text(), fresh.as_bytes());
            }
        }

        #[test]
        fn no_address_is_overlooked(text in texts()) {
            let mut canonical = Canonical::default();
            canonical.classify(text.as_bytes());
            if !canonical.may_hold_addresses() {
                canonical.find_addresses(text.as_bytes());
                prop_assert_eq!(canonical.addresses(), &[]);
            }
        }
    }
}
