//! Numbers redrawn at their length: a line's digits become other digits, so that lines repeat in their words and
//! differ in their numbers as real ones do. Letters, signs and lengths stay.

use rand::Rng;

/// Hexadecimal digits from which on a run that mixes digits and letters is taken for a number.
const SHORTEST_HEX: usize = 6;

/// The text with every decimal number, and every run that is plainly hexadecimal, drawn anew.
pub fn redraw(text: &str, rng: &mut impl Rng) -> String {
    let mut drawn = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        if length == 0 {
            drawn.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (run, tail) = rest.split_at(length);
        push_run(run, rng, &mut drawn);
        rest = tail;
    }
    drawn
}

/// A run of ASCII letters and digits.
fn push_run(run: &str, rng: &mut impl Rng, drawn: &mut String) {
    let (prefix, digits) = match run.strip_prefix("0x").or_else(|| run.strip_prefix("0X")) {
        Some(digits) if !digits.is_empty() && is_hex(digits) => (&run[..2], digits),
        _ => ("", run),
    };
    drawn.push_str(prefix);
    if !prefix.is_empty() || is_plainly_hex(digits) {
        let upper = digits.bytes().any(|byte| byte.is_ascii_uppercase());
        for _ in digits.bytes() {
            let digit = char::from(b"0123456789abcdef"[rng.gen_range(0..16)]);
            drawn.push(if upper { digit.to_ascii_uppercase() } else { digit });
        }
        return;
    }
    let mut before = b'a';
    for byte in digits.bytes() {
        // A number that did not begin with 0 does not begin with 0 afterwards: it would be shorter.
        let begins = !before.is_ascii_digit() && byte != b'0';
        drawn.push(match byte {
            b'0'..=b'9' => char::from(b'0' + rng.gen_range(u8::from(begins)..10)),
            _ => char::from(byte),
        });
        before = byte;
    }
}

fn is_hex(run: &str) -> bool {
    run.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_plainly_hex(run: &str) -> bool {
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    run.len() >= SHORTEST_HEX && digits >= 2 && digits < run.len() && is_hex(run)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn only_numbers_change_and_every_length_stays() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let text = "blk_4934527196392001803 at 10.251.73.220:50010 0x1b85fe80 DEADBEEF12 é0 rbd2 faced 007";
        for _ in 0..100 {
            let drawn = redraw(text, &mut rng);
            assert_eq!(drawn.len(), text.len());
            let is_letter_kept = |(a, b): (char, char)| a.is_ascii_hexdigit() || a == b;
            assert!(text.chars().zip(drawn.chars()).all(is_letter_kept), "{drawn}");
            assert!(drawn.starts_with("blk_") && drawn.contains(" at ") && drawn.contains(" 0x"), "{drawn}");
            assert!(drawn.contains("é") && drawn.contains(" rbd") && drawn.contains(" faced "), "{drawn}");
            assert_ne!(drawn.as_bytes()["blk_".len()], b'0', "{drawn}");
        }
    }

    #[test]
    fn equal_seeds_draw_equal_text() {
        let draw = |seed| redraw("took 1234 ms", &mut Xoshiro256PlusPlus::seed_from_u64(seed));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
