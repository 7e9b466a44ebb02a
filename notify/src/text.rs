//! Log text on its way into other people's programs: cut at a character, on one line.

use engine::terminal::is_unseen;

/// Without control characters: what breaks a line, colours a terminal or turns the reading direction becomes a
/// space.
pub fn one_line(text: &str) -> String {
    text.chars().map(|char| if is_unseen(char) { ' ' } else { char }).collect()
}

/// As [`one_line`], but line ends and tabs stay.
pub fn lines(text: &str) -> String {
    text.chars()
        .map(|char| if is_unseen(char) && !matches!(char, '\n' | '\t') { ' ' } else { char })
        .collect()
}

/// At most `most` bytes; a text that was cut ends in an ellipsis.
pub fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(most.saturating_sub('…'.len_utf8()))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_line_becomes_a_space() {
        assert_eq!(one_line("a\r\nSubject: b\u{1b}[31m\u{202e}c"), "a  Subject: b [31m c");
        assert_eq!(lines("a\n\tb\0"), "a\n\tb ");
    }

    #[test]
    fn a_cut_text_says_so_and_keeps_whole_characters() {
        assert_eq!(shortened("short", 5), "short");
        let cut = shortened(&"é".repeat(10), 10);
        assert!(cut.len() <= 10 && cut.ends_with('…'), "{cut}");
    }
}
