//! Odd lines that say the same thing are shown once: same service and level, and patterns that differ in few words.

use corpus::{Kept, Place};
use engine::model::{Explanation, Scratch};

use super::judge::Judge;

/// Odd lines that say the same thing.
pub struct Kind {
    /// The oddest of them.
    pub kept: Kept,
    /// Why it is odd.
    pub explanation: Explanation,
}

/// Puts kinds together, oddest first, at most `most`.
pub fn fold(candidates: Vec<Kept>, judge: &Judge, most: usize, scratch: &mut Scratch) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for kept in candidates {
        let explanation = judge.explain(&kept.event, scratch);
        let same = kinds.iter().position(|kind| {
            kind.kept.event.service == kept.event.service
                && kind.kept.event.level == kept.event.level
                && is_alike(&kind.explanation.pattern, &explanation.pattern)
        });
        match same {
            Some(at) => join(&mut kinds[at].kept, kept),
            None if kinds.len() < most => kinds.push(Kind { kept, explanation }),
            None => {}
        }
    }
    kinds
}

fn join(kept: &mut Kept, other: Kept) {
    kept.more += 1 + other.more;
    kept.others.push(other.place);
    kept.others.extend(other.others);
    kept.others.sort_unstable_by_key(|place: &Place| (place.input, place.line));
    kept.others.truncate(MOST_OTHERS);
}

const MOST_OTHERS: usize = 5;

/// Whether two patterns say the same: of their words in order, at most a quarter differ (one of three).
fn is_alike(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split_whitespace().collect(), b.split_whitespace().collect());
    if a.len() != b.len() || a.len() < 3 {
        return false;
    }
    let differ = a.iter().zip(&b).filter(|(a, b)| a != b).count();
    differ <= (a.len() / 4).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_differ_in_a_name_are_alike() {
        assert!(is_alike("Invalid user webmaster from <ip>", "Invalid user admin from <ip>"));
        assert!(!is_alike("Invalid user webmaster from <ip>", "Invalid user from <ip>"));
        assert!(!is_alike("disk full", "disk empty"));
        assert!(!is_alike("a b c d", "a x y d"));
    }
}
