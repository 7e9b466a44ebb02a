//! The written form that most records use, read at fixed places: what [`super::prefix`] says of it, faster.

use super::{Civil, Written, days};

/// `2015-10-18T18:01:47.978Z`: date and time with seconds, joined by `T` or a space; a fraction of one to nine
/// digits behind a full stop or comma, and `Z`, may follow. `None` for every other form.
pub(super) fn read(text: &str) -> Option<Written> {
    const SECONDS_END: usize = 19;
    let bytes = text.as_bytes();
    let head = bytes.first_chunk::<SECONDS_END>()?;
    let joined = matches!(head[10], b'T' | b' ');
    if !(joined && head[4] == b'-' && head[7] == b'-' && head[13] == b':' && head[16] == b':') {
        return None;
    }
    let (century, year) = (two(head, 0)?, two(head, 2)?);
    let (month, day) = (two(head, 5)?, two(head, 8)?);
    let (hour, minute, second) = (two(head, 11)?, two(head, 14)?, two(head, 17)?);
    let rest = &bytes[SECONDS_END..];
    let (rest, is_utc) = match rest.split_last() {
        Some((b'Z', rest)) => (rest, true),
        _ => (rest, false),
    };
    let year = i32::try_from(century * 100 + year).ok()?;
    days(year, month, day)?;
    (hour < 24 && minute < 60 && second <= 60).then_some(Written::Civil(Civil {
        year: Some(year),
        month_day: Some((month, day)),
        second_of_day: hour * 3_600 + minute * 60 + second,
        micros: fraction(rest)?,
        offset_s: is_utc.then_some(0),
    }))
}

/// The minute of the time that was read last: most lines follow soon after another.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeMemo(Option<Minute>);

#[derive(Clone, Copy, Debug)]
struct Minute {
    /// `2015-10-18T18:01:`.
    head: [u8; MINUTE_END],
    is_utc: bool,
    /// Its beginning, in microseconds since the epoch.
    micros: i64,
}

const MINUTE_END: usize = 17;

impl TimeMemo {
    /// Microseconds since the epoch, where the time is of the same minute and in the same form.
    pub(super) fn read(&self, text: &[u8]) -> Option<i64> {
        let (minute, (micros, is_utc)) = (self.0.as_ref()?, within_minute(text)?);
        (text.starts_with(&minute.head) && is_utc == minute.is_utc).then(|| minute.micros + micros)
    }

    /// Takes a time that [`read`] could read, and what it came to.
    pub(super) fn remember(&mut self, text: &[u8], time: i64) {
        if let (Some((micros, is_utc)), Some(head)) = (within_minute(text), text.first_chunk()) {
            self.0 = Some(Minute { head: *head, is_utc, micros: time - micros });
        }
    }
}

/// Microseconds since the minute began, and whether the time is in UTC.
fn within_minute(text: &[u8]) -> Option<(i64, bool)> {
    let head = text.first_chunk()?;
    let second = two(head, MINUTE_END).filter(|second| *second < 60)?;
    let (rest, is_utc) = match text[head.len()..].split_last() {
        Some((b'Z', rest)) => (rest, true),
        _ => (&text[head.len()..], false),
    };
    Some((i64::from(second) * super::MICROS_PER_S + i64::from(fraction(rest)?), is_utc))
}

fn two(bytes: &[u8; 19], at: usize) -> Option<u32> {
    let (tens, ones) = (bytes[at].wrapping_sub(b'0'), bytes[at + 1].wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// Microseconds of `.978`, digits beyond the sixth dropped; 0 of nothing.
fn fraction(bytes: &[u8]) -> Option<u32> {
    let Some((point, digits)) = bytes.split_first() else { return Some(0) };
    if !matches!(point, b'.' | b',') || !(1..=9).contains(&digits.len()) {
        return None;
    }
    let (mut micros, mut weight) = (0, 100_000);
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        micros += u32::from(digit) * weight;
        weight /= 10;
    }
    Some(micros)
}
