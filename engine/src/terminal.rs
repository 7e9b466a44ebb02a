//! Which characters of a log line a terminal would act on instead of showing. Never changes what is scored.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_on_its_line_and_keeps_its_letters() {
        let forged = "ok\u{1b}[31m\n2026-01-01 INFO forged\u{2028}\u{202e}é \"x\"\0";
        let line = on_one_line(forged);
        assert_eq!(line, "ok\\u{1b}[31m\\n2026-01-01 INFO forged\\u{2028}\\u{202e}é \"x\"\\u{0}");
        assert!(!line.chars().any(is_unseen));
    }
}
