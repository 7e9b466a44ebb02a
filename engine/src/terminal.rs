//! Texts and numbers as a terminal can show them: what it would act on instead of showing is taken out. Never changes
//! what is scored.

/// Control characters, line and paragraph separators, characters without width, and those that turn the direction
/// of text.
pub fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The text on one line, with escapes for what would not be seen.
pub fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_unseen(letter) {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

/// The text on one line, without what a terminal would act on and without space around it, cut to at most `most`
/// characters and an ellipsis.
pub fn shown(text: &str, most: usize) -> String {
    let text = text.trim_matches(|letter: char| letter.is_whitespace() || is_unseen(letter));
    let mut letters = text.chars().map(|letter| match letter {
        '\n' => '\u{23ce}',
        letter if is_unseen(letter) => ' ',
        letter => letter,
    });
    let mut line: String = letters.by_ref().take(most).collect();
    if letters.next().is_some() {
        line.push('\u{2026}');
    }
    line
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 line`, `2,000 lines`.
pub fn lines(number: u64) -> String {
    format!("{} {}", thousands(number), if number == 1 { "line" } else { "lines" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let texts = [0, 999, 1_000, 1_234_567].map(thousands);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn one_line_is_not_many() {
        assert_eq!([0, 1, 2_000].map(lines), ["0 lines", "1 line", "2,000 lines"]);
    }

    #[test]
    fn a_shown_text_stays_on_one_line_and_is_cut() {
        assert_eq!(shown("a\nb\tc\u{1b}[31m", 20), "a\u{23ce}b c [31m");
        assert_eq!(shown("abcdef", 3), "abc\u{2026}");
        assert_eq!(shown("a\u{1b}[2Jb\r\nc\0", 50), "a [2Jb \u{23ce}c");
        assert_eq!(shown("pay \u{202e}gpj.exe", 50), "pay  gpj.exe");
    }

    #[test]
    fn a_text_stays_on_its_line_and_keeps_its_letters() {
        let forged = "ok\u{1b}[31m\n2026-01-01 INFO forged\u{2028}\u{202e}é \"x\"\0";
        let line = on_one_line(forged);
        assert_eq!(line, "ok\\u{1b}[31m\\n2026-01-01 INFO forged\\u{2028}\\u{202e}é \"x\"\\u{0}");
        assert!(!line.chars().any(is_unseen));
    }
}
