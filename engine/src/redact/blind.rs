//! Which regular expressions are blind to digits: whether they match a text does not depend on which digits it has.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Whether an expression takes every ASCII digit where it takes any. What cannot be parsed is not blind.
pub(super) fn is_blind(expression: &str) -> bool {
    regex_syntax::parse(expression).is_ok_and(|hir| takes_all_digits_or_none(&hir))
}

fn takes_all_digits_or_none(hir: &Hir) -> bool {
    match hir.kind() {
        // Digits are alike to all assertions: word boundaries, beginnings and ends.
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => !literal.0.iter().any(u8::is_ascii_digit),
        HirKind::Class(Class::Unicode(class)) => all_or_none(|digit| {
            class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&char::from(digit)))
        }),
        HirKind::Class(Class::Bytes(class)) => all_or_none(|digit| {
            class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&digit))
        }),
        HirKind::Repetition(repetition) => takes_all_digits_or_none(&repetition.sub),
        HirKind::Capture(capture) => takes_all_digits_or_none(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().all(takes_all_digits_or_none),
    }
}

fn all_or_none(takes: impl Fn(u8) -> bool) -> bool {
    let taken = (b'0'..=b'9').filter(|digit| takes(*digit)).count();
    matches!(taken, 0 | 10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::redact::{DEFAULT_PATTERNS, Pattern, Redactor};

    #[test]
    fn digits_are_told_apart_only_by_literals_and_parts_of_their_range() {
        for blind in ["[0-9]{4}", r"\d+", r"\bpin\W", "[^a-z]", "a|b[0-9]?", "(?i)(x[a-z0-9]+)*", "."] {
            assert!(is_blind(blind), "{blind}");
        }
        for sees in ["a1", "[0-8]", "(x|y[^3])", "(?:a{2}7)+", "[1-9a-z]", "("] {
            assert!(!is_blind(sees), "{sees}");
        }
    }

    #[test]
    fn nearly_all_default_patterns_are_blind() {
        let sees: Vec<&str> = DEFAULT_PATTERNS
            .iter()
            .filter(|(_, regex, _)| !is_blind(regex))
            .map(|(kind, ..)| *kind)
            .collect();
        assert_eq!(sees, ["cookie"]);
    }

    proptest! {
        #[test]
        fn texts_that_are_clean_for_all_digits_hold_no_secret(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "pin=", "shipping ", "token ", "secret: ", "ab12", "1234", "0", " ", "cookie", "=", "mysql -p", "x9y", "AKIA",
                    "IOSFODNN7EXAMPLE", "password is ", "Bearer ", "4111 1111 1111 ", "4111111111111111", "_", "-", "aws ", "eyJ",
                ]),
                1..8,
            ),
            digits in prop::collection::vec(0_u8..10, 1..9),
        ) {
            let text = parts.concat();
            let mut digits = digits.iter().cycle();
            let other: String = text
                .chars()
                .map(|char| if char.is_ascii_digit() { char::from(b'0' + digits.next().unwrap()) } else { char })
                .collect();
            let redactor = Redactor::default();
            prop_assert_eq!(redactor.is_clean_for_all_digits(&text), redactor.is_clean_for_all_digits(&other));
            if redactor.is_clean_for_all_digits(&text) {
                prop_assert_eq!(redactor.redact_text(&other), other.as_str());
            }
        }
    }

    #[test]
    fn a_harmless_hint_is_looked_at_once_for_all_digits() {
        let redactor = Redactor::default();
        assert!(
            !redactor.is_clean(b"shipping 3 parcels")
                && redactor.is_clean_for_all_digits("shipping 3 parcels")
        );
        assert!(!redactor.is_clean_for_all_digits("pin=1234"));
        assert!(!redactor.is_clean_for_all_digits("4111 1111 1111 1112"));
        assert!(redactor.is_clean_for_all_digits("block blk_4111111111111111 of 41111111111111112222"));
        let own = Redactor::new(&[Pattern::parse("id=id7[0-9]+").unwrap()]).unwrap();
        assert!(!own.is_clean_for_all_digits("nothing"));
        let own = Redactor::new(&[Pattern::parse("id=id[0-9]+").unwrap()]).unwrap();
        assert!(own.is_clean_for_all_digits("nothing") && !own.is_clean_for_all_digits("id12"));
    }
}
