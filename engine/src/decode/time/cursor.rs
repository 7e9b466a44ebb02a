//! A position in a text from which numbers, clocks and zones are read.

/// Reads forward; a method that returns `None` may have moved.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    pub at: usize,
}

const ZONES: [(&[u8], i32); 14] = [
    (b"UTC", 0),
    (b"GMT", 0),
    (b"WET", 0),
    (b"BST", 3_600),
    (b"CET", 3_600),
    (b"CEST", 7_200),
    (b"EST", -18_000),
    (b"EDT", -14_400),
    (b"CST", -21_600),
    (b"CDT", -18_000),
    (b"MST", -25_200),
    (b"MDT", -21_600),
    (b"PST", -28_800),
    (b"PDT", -25_200),
];

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0 }
    }

    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub fn eat_any(&mut self, bytes: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|byte| bytes.contains(byte))?;
        self.at += 1;
        Some(byte)
    }

    pub fn spaces(&mut self) {
        while self.eat(b' ') {}
    }

    fn run(&self, test: impl Fn(&u8) -> bool) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        &rest[..rest.iter().position(|byte| !test(byte)).unwrap_or(rest.len())]
    }

    pub fn digit_run(&self) -> usize {
        self.run(u8::is_ascii_digit).len()
    }

    /// Between `least` and `most` digits, at most 9.
    pub fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let digits = self.run(u8::is_ascii_digit);
        let digits = &digits[..digits.len().min(most)];
        if digits.len() < least {
            return None;
        }
        self.at += digits.len();
        Some(digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
    }

    pub fn letters(&mut self) -> &'a [u8] {
        let letters = self.run(u8::is_ascii_alphabetic);
        self.at += letters.len();
        letters
    }

    /// A fraction of a second in microseconds, digits beyond the sixth dropped.
    fn fraction(&mut self) -> u32 {
        let mut micros = 0;
        let mut weight = 100_000;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            micros += u32::from(digit - b'0') * weight;
            weight /= 10;
            self.at += 1;
        }
        micros
    }

    /// `HH:MM:SS` with an optional fraction: seconds since midnight and microseconds.
    pub fn clock(&mut self, separator: u8, seconds_required: bool) -> Option<(u32, u32)> {
        let hour = self.number(1, 2)?;
        if !self.eat(separator) {
            return None;
        }
        let minute = self.number(2, 2)?;
        let (mut second, mut micros) = (0, 0);
        let before = self.at;
        if self.eat(separator) {
            second = self.number(2, 2)?;
            let fraction_at = self.at;
            if self.eat_any(b".,:").is_some() {
                if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                    micros = self.fraction();
                } else {
                    self.at = fraction_at;
                }
            }
        } else if seconds_required {
            return None;
        } else {
            self.at = before;
        }
        if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let hour = self.half_day(hour);
        (hour < 24 && minute < 60 && second <= 60).then_some((hour * 3_600 + minute * 60 + second, micros))
    }

    fn half_day(&mut self, hour: u32) -> u32 {
        let mut ahead = *self;
        ahead.spaces();
        let word = ahead.letters();
        let (am, pm) = (word.eq_ignore_ascii_case(b"AM"), word.eq_ignore_ascii_case(b"PM"));
        let after = match hour {
            12 if am => 0,
            1..12 if am => hour,
            12 if pm => hour,
            1..12 if pm => hour + 12,
            _ => return hour,
        };
        *self = ahead;
        after
    }

    /// A zone, if one follows: `Z`, `+02:00`, `-0700`, `+02`, `UTC`, or a well-known abbreviation.
    pub fn zone(&mut self) -> Option<i32> {
        let mut ahead = *self;
        let spaced = ahead.eat(b' ');
        let offset = match ahead.peek()? {
            b'Z' | b'z' if !spaced => {
                ahead.at += 1;
                0
            }
            sign @ (b'+' | b'-') => {
                ahead.at += 1;
                let hours = ahead.number(2, 2)?;
                let colon = ahead.eat(b':');
                let minutes =
                    if colon || spaced || ahead.digit_run() == 2 { ahead.number(2, 2)? } else { 0 };
                if hours > 18 || minutes > 59 {
                    return None;
                }
                let seconds = i32::try_from(hours * 3_600 + minutes * 60).ok()?;
                if sign == b'-' { -seconds } else { seconds }
            }
            _ => {
                let word = ahead.letters();
                ZONES.iter().find(|(name, _)| *name == word)?.1
            }
        };
        if ahead.peek().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        *self = ahead;
        self.zone_name();
        Some(offset)
    }

    /// RFC 9557's `[Europe/Madrid]` behind an offset says nothing new.
    fn zone_name(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.first() == Some(&b'[')
            && let Some(end) = rest.iter().take(40).position(|byte| *byte == b']')
            && rest[1..end].contains(&b'/')
            && rest[1..end].iter().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(byte))
        {
            self.at += end + 1;
        }
    }
}
