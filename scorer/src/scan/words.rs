//! Reasons as sentences, and texts as a terminal can show them.

use engine::model::{Explanation, Reason, ReasonKind};
use engine::terminal::{shown, thousands};

/// Escape sequences, or nothing where standard output is no terminal.
#[derive(Clone, Copy, Debug)]
pub struct Colours {
    on: bool,
}

impl Colours {
    /// With or without.
    pub const fn new(on: bool) -> Self {
        Self { on }
    }

    /// What matters.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What is beside the point.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// A word that made a line odd.
    pub fn odd(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Reasons that bring less than this share of the greatest one are left out of the words.
const LEAST_SHARE: f64 = 0.08;
/// Words named in one line at most.
const MOST_WORDS: usize = 5;
/// Words that many times as frequent as the rarest one of the line add nothing to it.
const LEAST_RARITY: u64 = 8;
/// Words that say nothing alone.
const FUNCTION_WORDS: &[&str] = &[
    "and", "any", "are", "can", "did", "for", "from", "has", "have", "into", "its", "more", "not", "that",
    "the", "this", "too", "was", "will", "with",
];

/// Words of the line that are worth marking in it.
pub fn odd_words(explanation: &Explanation) -> Vec<&str> {
    worth_telling(explanation)
        .into_iter()
        .filter(|reason| matches!(reason.kind, ReasonKind::RareWord | ReasonKind::UnusualCombination))
        .map(|reason| reason.word.as_str())
        .collect()
}

fn worth_telling(explanation: &Explanation) -> Vec<&Reason> {
    let most = explanation.reasons.iter().map(|reason| reason.contribution).fold(0.0, f64::max);
    let told = explanation.reasons.iter().filter(|reason| reason.contribution >= most * LEAST_SHARE);
    let told: Vec<&Reason> = told.take(MOST_WORDS).collect();
    let is_word = |reason: &Reason| reason.kind == ReasonKind::RareWord && says_something(&reason.word);
    let Some(rarest) = told.iter().filter(|reason| is_word(reason)).map(|reason| reason.seen).min() else {
        return told;
    };
    let most = rarest.max(1) * LEAST_RARITY;
    let tells =
        |reason: &&Reason| reason.kind != ReasonKind::RareWord || (is_word(reason) && reason.seen <= most);
    told.into_iter().filter(tells).collect()
}

/// Numbers, ids, single syllables and function words say little to a person; they are named where nothing else is.
fn says_something(word: &str) -> bool {
    word.chars().count() > 2
        && !word.chars().any(|letter| letter.is_ascii_digit())
        && !FUNCTION_WORDS.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Why a line is odd, as a person would say it. `rows` are the training lines; `on_itself` says that the line was
/// one of them, so that a word seen once was seen here alone. Words are named in the order of `text`.
pub fn reasons_in_words(text: &str, explanation: &Explanation, rows: u64, on_itself: bool) -> String {
    let own = u64::from(on_itself);
    let mut told = worth_telling(explanation);
    told.sort_by_key(|reason| text.find(&reason.word).unwrap_or(usize::MAX));
    let mut parts: Vec<String> = Vec::new();
    let mut by_seen: Vec<(u64, Vec<&str>)> = Vec::new();
    for reason in told.iter().filter(|reason| reason.kind == ReasonKind::RareWord) {
        let others = reason.seen.saturating_sub(own);
        match by_seen.iter_mut().find(|(seen, _)| *seen == others) {
            Some((_, words)) => words.push(&reason.word),
            None => by_seen.push((others, vec![&reason.word])),
        }
    }
    by_seen.sort_by_key(|(others, _)| *others);
    for (others, words) in by_seen {
        parts.push(format!("{} {}", quoted(&words), how_often(others, rows, on_itself, words.len() > 1)));
    }
    let pattern_others = explanation.pattern_seen.saturating_sub(own);
    if parts.is_empty() && told.iter().any(|reason| reason.kind == ReasonKind::RarePattern) {
        parts.push(match pattern_others {
            0 => "no other line reads like this".to_owned(),
            others => format!("only {} other lines of {} read like this", thousands(others), thousands(rows)),
        });
    }
    let unusual: Vec<&str> = told
        .iter()
        .filter(|reason| reason.kind == ReasonKind::UnusualCombination)
        .map(|reason| reason.word.as_str())
        .collect();
    if !unusual.is_empty() {
        parts.push(format!(
            "{} {} unusual in such a line",
            quoted(&unusual),
            if unusual.len() > 1 { "are" } else { "is" }
        ));
    }
    if let Some(level) = told.iter().find(|reason| reason.kind == ReasonKind::Severity) {
        parts.push(format!("level {}", level.word));
    }
    if parts.is_empty() { "many small oddities, none of them alone".to_owned() } else { parts.join("; ") }
}

fn how_often(others: u64, rows: u64, on_itself: bool, several: bool) -> String {
    let verb = if several { "are" } else { "is" };
    match (others, on_itself) {
        (0, true) => format!("{verb} in no other line"),
        (1, true) => format!("{verb} in one other line of {}", thousands(rows)),
        (others, true) => format!("{verb} in {} other lines of {}", thousands(others), thousands(rows)),
        (0, false) => format!("{} never seen in training", if several { "were" } else { "was" }),
        (seen, false) => format!("{verb} in {} of {} training lines", thousands(seen), thousands(rows)),
    }
}

fn quoted(words: &[&str]) -> String {
    let mut distinct: Vec<&str> = Vec::new();
    for word in words {
        if !distinct.contains(word) {
            distinct.push(word);
        }
    }
    let quoted: Vec<String> = distinct.iter().map(|word| format!("'{}'", shown(word, 60))).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.join(""),
    }
}

/// The text with each of `words` painted where it first stands as a word.
pub fn marked(text: &str, words: &[&str], colours: Colours) -> String {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for word in words.iter().filter(|word| !word.is_empty()) {
        let free = |start: usize, end: usize| spans.iter().all(|(from, to)| end <= *from || start >= *to);
        let found = text.match_indices(*word).map(|(start, _)| (start, start + word.len()));
        if let Some(span) = found.filter(|(start, end)| free(*start, *end)).find(|span| is_word(text, *span))
        {
            spans.push(span);
        }
    }
    spans.sort_unstable();
    let (mut out, mut at) = (String::new(), 0);
    for (start, end) in spans {
        out.push_str(&text[at..start]);
        out.push_str(&colours.odd(&text[start..end]));
        at = end;
    }
    out + &text[at..]
}

fn is_word(text: &str, (start, end): (usize, usize)) -> bool {
    let before = text[..start].chars().next_back();
    let after = text[end..].chars().next();
    !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explanation(reasons: &[(ReasonKind, &str, f64, u64)]) -> Explanation {
        Explanation {
            reasons: reasons
                .iter()
                .map(|(kind, word, contribution, seen)| Reason {
                    kind: *kind,
                    word: (*word).to_owned(),
                    contribution: *contribution,
                    seen: *seen,
                })
                .collect(),
            pattern: String::new(),
            pattern_seen: 1,
            nearest_pattern: None,
        }
    }

    #[test]
    fn words_seen_equally_often_are_told_together() {
        let of = |seen| {
            explanation(&[
                (ReasonKind::RareWord, "TLB", 3.0, seen),
                (ReasonKind::RareWord, "parity", 2.0, seen),
                (ReasonKind::Severity, "FATAL", 2.0, 9),
                (ReasonKind::RareWord, "dust", 0.1, seen),
            ])
        };
        let told = [
            (1, true, "'TLB' and 'parity' are in no other line; level FATAL"),
            (3, true, "'TLB' and 'parity' are in 2 other lines of 2,000; level FATAL"),
            (0, false, "'TLB' and 'parity' were never seen in training; level FATAL"),
            (1, false, "'TLB' and 'parity' are in 1 of 2,000 training lines; level FATAL"),
        ];
        for (seen, on_itself, words) in told {
            assert_eq!(reasons_in_words("TLB parity error", &of(seen), 2_000, on_itself), words);
        }
    }

    #[test]
    fn the_rarest_words_are_told_first_and_common_ones_not_at_all() {
        let reasons = explanation(&[
            (ReasonKind::RareWord, "on", 5.0, 1),
            (ReasonKind::RareWord, "socket", 4.0, 3),
            (ReasonKind::RareWord, "Unreachable", 3.0, 1),
            (ReasonKind::RareWord, "Connection", 2.0, 400),
        ]);
        assert_eq!(
            reasons_in_words("socket on Unreachable Connection", &reasons, 2_000, true),
            "'Unreachable' is in no other line; 'socket' is in 2 other lines of 2,000"
        );
        assert_eq!(odd_words(&reasons), ["socket", "Unreachable"]);
    }

    #[test]
    fn a_line_without_rare_words_is_told_by_its_pattern() {
        let only = explanation(&[(ReasonKind::RarePattern, "a <num>", 1.0, 1)]);
        assert_eq!(reasons_in_words("", &only, 10, true), "no other line reads like this");
        assert_eq!(
            reasons_in_words("", &explanation(&[]), 10, true),
            "many small oddities, none of them alone"
        );
    }

    #[test]
    fn words_are_marked_where_they_stand_alone() {
        let colours = Colours::new(true);
        let marked = marked("a cat in concat cat", &["cat", "in"], colours);
        assert_eq!(marked, "a \u{1b}[1;31mcat\u{1b}[0m \u{1b}[1;31min\u{1b}[0m concat cat");
        assert_eq!(super::marked("abc", &["b", ""], colours), "abc");
    }
}
