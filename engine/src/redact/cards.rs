//! Card numbers: 13 to 16 digits of a known issuer whose Luhn sum is right.

const FEWEST: usize = 13;
const MOST: usize = 16;

/// The text with its card numbers replaced, `None` where it has none.
pub(super) fn replace(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    for run in runs(text.as_bytes()).filter(Run::is_card) {
        out.push_str(&text[copied..run.start]);
        out.push_str("[redacted:card]");
        copied = run.end;
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&text[copied..]);
    Some(out)
}

/// Whether the text would hold a card number with some other digits.
pub(super) fn has_room_for_one(text: &str) -> bool {
    runs(text.as_bytes()).any(|run| run.has_length_of_card())
}

/// Digits that are no part of a word; where they are does not depend on which they are.
fn runs(bytes: &[u8]) -> impl Iterator<Item = Run> {
    let mut at = 0;
    let next = move || {
        let start = at + bytes.get(at..)?.iter().position(u8::is_ascii_digit)?;
        let run = Run::at(bytes, start);
        at = run.end;
        let stands_alone = start == 0 || !is_part_of_word(bytes[start - 1]);
        let ends = bytes.get(run.end).is_none_or(|byte| !is_part_of_word(*byte) || *byte == b'.');
        Some((stands_alone && ends).then_some(run))
    };
    std::iter::from_fn(next).flatten()
}

fn is_part_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/') || !byte.is_ascii()
}

/// Digits, in one piece or in groups set apart by one space or dash each.
struct Run {
    digits: [u8; MOST],
    count: usize,
    start: usize,
    end: usize,
}

impl Run {
    fn at(bytes: &[u8], start: usize) -> Self {
        let mut run = Self { digits: [0; MOST], count: 0, start, end: start };
        let mut at = start;
        while let Some(byte) = bytes.get(at) {
            if byte.is_ascii_digit() {
                if run.count < MOST {
                    run.digits[run.count] = byte - b'0';
                }
                run.count += 1;
                at += 1;
                run.end = at;
            } else if matches!(byte, b' ' | b'-') && run.count.is_multiple_of(4) && run.count < MOST {
                at += 1;
            } else {
                break;
            }
        }
        run
    }

    fn has_length_of_card(&self) -> bool {
        (FEWEST..=MOST).contains(&self.count)
    }

    fn is_card(&self) -> bool {
        if !self.has_length_of_card() {
            return false;
        }
        let digits = &self.digits[..self.count];
        let prefix = digits[..4].iter().fold(0u32, |number, digit| number * 10 + u32::from(*digit));
        let known = match self.count {
            13 => prefix / 1_000 == 4,
            14 => matches!(prefix / 10, 300..=305) || matches!(prefix / 100, 36 | 38),
            15 => matches!(prefix / 100, 34 | 37),
            _ => {
                prefix / 1_000 == 4
                    || matches!(prefix / 100, 51..=55 | 65 | 35)
                    || matches!(prefix, 2221..=2720 | 6011)
            }
        };
        known && luhn(digits)
    }
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}
