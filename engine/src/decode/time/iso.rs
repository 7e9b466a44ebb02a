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
