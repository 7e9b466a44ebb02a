//! Card numbers: 13 to 16 digits of a known issuer whose Luhn sum is right.

const FEWEST: usize = 13;
const MOST: usize = 16;

/// The text with its card numbers replaced, `None` where it has none.
pub(super) fn replace(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(offset) = bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
        let start = at + offset;
        let run = Run::at(bytes, start);
        let stands_alone = start == 0 || !is_part_of_word(bytes[start - 1]);
        let ends = bytes.get(run.end).is_none_or(|byte| !is_part_of_word(*byte) || *byte == b'.');
        if stands_alone && ends && run.is_card() {
            out.push_str(&text[copied..start]);
            out.push_str("[redacted:card]");
            copied = run.end;
        }
        at = run.end;
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&text[copied..]);
    Some(out)
}

fn is_part_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/') || !byte.is_ascii()
}

/// Digits, in one piece or in groups set apart by one space or dash each.
struct Run {
    digits: [u8; MOST],
    count: usize,
    end: usize,
}

impl Run {
    fn at(bytes: &[u8], start: usize) -> Self {
        let mut run = Self { digits: [0; MOST], count: 0, end: start };
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

    fn is_card(&self) -> bool {
        if !(FEWEST..=MOST).contains(&self.count) {
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
