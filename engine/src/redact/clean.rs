//! Texts without a secret, by their outlines: texts repeat but for their digits, and what is not in one is not looked
//! for again. Bounded; holds keys, never a text, and changes no result.

use super::screen;
use crate::features::{KeyMaker, OutlineKey};

/// Sets of [`WAYS`] keys, a power of two.
const SETS: usize = 1 << 12;
const WAYS: usize = 2;
/// Longer texts are looked at each time.
const LONGEST: usize = 4 << 10;

/// The texts of one thread that are known to hold no secret; takes 128 kB.
#[derive(Debug)]
pub struct CleanTexts {
    maker: KeyMaker,
    sets: Vec<[u128; WAYS]>,
    /// Of the redactor that found them clean.
    digest: u64,
}

impl CleanTexts {
    /// None yet. With a `seed` that peers cannot know, they cannot make unlike texts share a key.
    pub fn new(seed: u128) -> Self {
        Self { maker: KeyMaker::new(seed), sets: vec![[0; WAYS]; SETS], digest: 0 }
    }

    /// Forgets everything, where another redactor found it.
    pub(super) fn serve(&mut self, digest: u64) {
        if self.digest != digest {
            self.digest = digest;
            self.sets.fill([0; WAYS]);
        }
    }

    /// What `look` says of a text, which must say the same of all texts that differ in their digits alone.
    #[inline]
    pub(super) fn is_clean(&mut self, text: &str, look: impl FnOnce(&str) -> bool) -> bool {
        if text.len() > LONGEST {
            return look(text);
        }
        let OutlineKey(key) = self.maker.outline(text.as_bytes());
        let set = &mut self.sets[(key >> 64) as usize & (SETS - 1)];
        // 0 is no key.
        let key = key | 1;
        if set.contains(&key) {
            return true;
        }
        let is_clean = look(text);
        if is_clean {
            *set = [key, set[0]];
        }
        is_clean
    }
}

/// Numbers, hashes, UUIDs, addresses and dates, which hold no hint unless it is made of such bytes alone.
pub(super) const fn is_plain(byte: u8) -> bool {
    // Digits and the three in front of them, and `a`–`f`.
    byte.wrapping_sub(b'-') <= b'9' - b'-' || (byte | 0x20).wrapping_sub(b'a') < 6
}

/// Whether a text is made of plain bytes, and no card's number may be in it.
#[inline]
pub(super) fn is_plain_text(text: &[u8]) -> bool {
    const STEP: usize = 16;
    // Bits, not branches, so that this is done for many bytes at a time.
    let are_plain = |bytes: &[u8; STEP]| bytes.iter().fold(true, |all, byte| all & is_plain(*byte));
    let (steps, rest) = text.as_chunks::<STEP>();
    steps.iter().all(are_plain) && rest.iter().all(|byte| is_plain(*byte)) && !screen::may_hold_card(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::LogEvent;
    use crate::redact::{Pattern, Redactor};

    fn pattern(kind: &str, regex: &str, hints: &[&str]) -> Pattern {
        let hints = hints.iter().map(|hint| (*hint).to_owned()).collect();
        Pattern { kind: kind.to_owned(), regex: regex.to_owned(), hints }
    }

    fn redactors() -> Vec<Redactor> {
        vec![
            Redactor::default(),
            Redactor::off(),
            Redactor::new(&[pattern("room", "room [0-9]{3}", &["room 1"])]).unwrap(),
            Redactor::new(&[pattern("dead", "dead[0-9a-f]{2,}", &["dead"])]).unwrap(),
            Redactor::new(&[pattern("ticket", "T-[0-9]+", &[])]).unwrap(),
        ]
    }

    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            3 => "[0-9]{1,6}",
            2 => "[a-z]{1,6}[ =:./-]",
            1 => "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
            1 => "(4111|[0-9]{4})[ -]?1111[ -]?1111[ -]?[0-9]{4}",
            1 => "(password|token|pin)[=: ]",
            1 => "room [0-9]{3} |T-[0-9]{2}|dead[0-9]{2}",
            1 => "eyJ[a-zA-Z0-9]{8}[.]eyJ[a-zA-Z0-9]{8}",
            1 => " ",
        ];
        prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    fn event() -> impl Strategy<Value = LogEvent> {
        let name =
            prop::sample::select(vec!["trace_id", "password", "user.token", "n", "pin", "a.pin", "spin"]);
        let attributes = prop::collection::vec((name.prop_map(str::to_owned), text()), 0..4);
        (text(), text(), attributes).prop_map(|(message, service, attributes)| LogEvent {
            message,
            service,
            attributes,
            ..LogEvent::default()
        })
    }

    /// The same event, but for its digits.
    fn with_other_digits(event: &LogEvent, digits: &[u8]) -> LogEvent {
        let mut digits = digits.iter().cycle();
        let mut other = |text: &str| -> String {
            let digit = |letter: char| match letter {
                '0'..='9' => char::from(b'0' + digits.next().unwrap_or(&0) % 10),
                other => other,
            };
            text.chars().map(digit).collect()
        };
        let mut event = event.clone();
        event.message = other(&event.message);
        event.service = other(&event.service);
        event.attributes.iter_mut().for_each(|(_, value)| *value = other(value));
        event
    }

    proptest! {
        #[test]
        fn what_is_known_to_be_clean_changes_no_event(
            events in prop::collection::vec(event(), 1..5), digits in prop::collection::vec(0_u8..10, 1..9),
        ) {
            let mut clean = CleanTexts::new(5);
            for redactor in redactors() {
                let others = events.iter().map(|event| with_other_digits(event, &digits));
                for event in others.chain(events.iter().cloned()).chain(events.iter().cloned()) {
                    let (mut plainly, mut knowing) = (event.clone(), event);
                    let changed = redactor.redact(&mut plainly);
                    prop_assert_eq!(redactor.redact_knowing(&mut knowing, &mut clean), changed);
                    prop_assert_eq!(knowing, plainly);
                }
            }
        }
    }

    #[test]
    fn a_text_is_looked_at_once_for_all_its_digits() {
        let mut clean = CleanTexts::new(5);
        let mut looked = 0;
        for number in 0..100 {
            let mut look = |_: &str| {
                looked += 1;
                true
            };
            assert!(clean.is_clean(&format!("order {:04} shipped", number), &mut look));
        }
        assert_eq!(looked, 1);
        assert!(!clean.is_clean("order 1 of 2", |_| false));
        assert!(clean.is_clean("order 1 of 2", |_| true));
        clean.serve(1);
        assert!(!clean.is_clean("order 1234 shipped", |_| false));
        assert!(!clean.is_clean(&"x".repeat(LONGEST + 1), |_| false));
    }
}
