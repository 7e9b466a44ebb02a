//! Shape words: what a word looks like once its digits are forgotten. `node17` and `node42` are one word, and so
//! are two addresses of equal length, while a number of another length stays another word.

use super::is_word_byte;

/// Fewest hexadecimal digits in a row, one of them decimal, that are taken for a number in base 16.
const HEX_RUN: usize = 4;

/// Calls `each` with the start, end and shape of every word of two bytes or more; `buffer` is reused.
///
/// Letters are lowered, every digit becomes `0`, and so does every letter of a run of four or more hexadecimal
/// digits that has a decimal one.
pub fn for_each_shape(text: &str, buffer: &mut Vec<u8>, mut each: impl FnMut(usize, usize, &[u8])) {
    let bytes = text.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        if !is_word_byte(bytes[start]) {
            start += 1;
            continue;
        }
        let length = bytes[start..].iter().take_while(|byte| is_word_byte(**byte)).count();
        let end = start + length;
        if length > 1 {
            buffer.clear();
            push_shape(&bytes[start..end], buffer);
            each(start, end, buffer);
        }
        start = end;
    }
}

fn push_shape(word: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < word.len() {
        let run = word[at..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if run >= HEX_RUN
            && stands_alone(word, at, at + run)
            && word[at..at + run].iter().any(u8::is_ascii_digit)
        {
            out.resize(out.len() + run, b'0');
            at += run;
            continue;
        }
        let rest = word[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count().max(1);
        // A prefix is looked past, so that the digits after `0x` are seen as a run of their own.
        let plain = if word[at..].starts_with(b"0x") && rest > 2 { 2 } else { rest };
        out.extend(
            word[at..at + plain]
                .iter()
                .map(|byte| if byte.is_ascii_digit() { b'0' } else { byte.to_ascii_lowercase() }),
        );
        at += plain;
    }
}

/// Whether no other letter or digit touches `start..end`, but for the prefix `0x`.
fn stands_alone(word: &[u8], start: usize, end: usize) -> bool {
    let open = start == 0 || !word[start - 1].is_ascii_alphanumeric() || word[..start].ends_with(b"0x");
    open && word.get(end).is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("node17 is UP", "node00 is up")]
    #[case("at 0x3fa9c2 a", "at 0x000000")]
    #[case("cafe added 12ab id_12ab", "cafe added 0000 id_0000")]
    #[case("blk_-6952 part-00081.", "blk_ 0000 part 00000")]
    #[case("größe 5", "größe")]
    #[case("", "")]
    fn digits_are_forgotten_and_lengths_kept(#[case] text: &str, #[case] expected: &str) {
        let mut words = Vec::new();
        for_each_shape(text, &mut Vec::new(), |_, _, shape| {
            words.push(String::from_utf8_lossy(shape).into_owned());
        });
        assert_eq!(words.join(" "), expected);
    }
}
