//! The written forms of a time, found at the start of a text.

use super::cursor::Cursor;
use super::{Civil, Written, from_epoch};

const MONTHS: [&[u8; 3]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
const WEEKDAYS: [&[u8; 3]; 7] = [b"mon", b"tue", b"wed", b"thu", b"fri", b"sat", b"sun"];

/// The time that `text` starts with, and its length in bytes.
pub(crate) fn prefix(text: &str) -> Option<(Written, usize)> {
    let mut cursor = Cursor::new(text);
    let written = match cursor.peek()? {
        b'0'..=b'9' => from_digits(&mut cursor, text)?,
        b'A'..=b'Z' | b'a'..=b'z' => from_name(&mut cursor)?,
        _ => return None,
    };
    Some((written, cursor.at))
}

/// As [`prefix`], where a bracket may stand around the time: the time and the length with the brackets.
pub(crate) fn anywhere_at(text: &str) -> Option<(Written, usize)> {
    let Some(inside) = text.strip_prefix('[') else { return prefix(text) };
    let (written, length) = prefix(inside)?;
    inside[length..].starts_with(']').then_some((written, length + 2))
}

fn from_digits(cursor: &mut Cursor<'_>, text: &str) -> Option<Written> {
    match cursor.digit_run() {
        4 => year_first(cursor),
        8 => date8(cursor),
        6 => date6(cursor),
        1 | 2 => short_number_first(cursor),
        digits @ (10 | 13 | 16 | 19) => {
            let mut end = digits;
            if digits == 10 && text.as_bytes().get(end) == Some(&b'.') {
                end += 1 + text.as_bytes()[end + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            }
            if text.as_bytes().get(end).is_some_and(|byte| !matches!(byte, b' ' | b'\t' | b':' | b']' | b','))
            {
                return None;
            }
            cursor.at = end;
            from_epoch(&text[..end])
        }
        _ => None,
    }
}

fn civil(date: (Option<i32>, u32, u32), clock: (u32, u32), offset_s: Option<i32>) -> Option<Written> {
    let (year, month, day) = date;
    super::days(year.unwrap_or(2_000), month, day)?;
    Some(Written::Civil(Civil {
        year,
        month_day: Some((month, day)),
        second_of_day: clock.0,
        micros: clock.1,
        offset_s,
    }))
}

fn signed(year: u32) -> Option<i32> {
    i32::try_from(year).ok()
}

fn century(year: u32) -> Option<i32> {
    signed(if year < 70 { 2_000 + year } else { 1_900 + year })
}

/// `2015-10-18T18:01:47.978Z`, `2015/10/18 18:01:47`, `2015-10-18-18.01.47.978123`.
fn year_first(cursor: &mut Cursor<'_>) -> Option<Written> {
    let year = signed(cursor.number(4, 4)?)?;
    let separator = cursor.eat_any(b"-/.")?;
    let month = cursor.number(1, 2)?;
    if !cursor.eat(separator) {
        return None;
    }
    let day = cursor.number(1, 2)?;
    let joint = cursor.eat_any(b"Tt _-:")?;
    if joint == b' ' {
        cursor.spaces();
    }
    let mut dotted = *cursor;
    let clock = match dotted.clock(b'.', true).filter(|_| joint == b'-') {
        Some(clock) => {
            *cursor = dotted;
            clock
        }
        None => cursor.clock(b':', false)?,
    };
    civil((Some(year), month, day), clock, cursor.zone())
}

/// `20151018T180147Z`, `20151018-18:01:47:978`.
fn date8(cursor: &mut Cursor<'_>) -> Option<Written> {
    let date = (Some(signed(cursor.number(4, 4)?)?), cursor.number(2, 2)?, cursor.number(2, 2)?);
    cursor.eat_any(b"T -_")?;
    let clock = if cursor.digit_run() == 6 { clock6(cursor)? } else { cursor.clock(b':', true)? };
    civil(date, clock, cursor.zone())
}

/// `081109 203615`.
fn date6(cursor: &mut Cursor<'_>) -> Option<Written> {
    let date = (Some(century(cursor.number(2, 2)?)?), cursor.number(2, 2)?, cursor.number(2, 2)?);
    if !cursor.eat(b' ') {
        return None;
    }
    cursor.spaces();
    let clock = if cursor.digit_run() == 6 { clock6(cursor)? } else { cursor.clock(b':', true)? };
    civil(date, clock, None)
}

fn clock6(cursor: &mut Cursor<'_>) -> Option<(u32, u32)> {
    let (hour, minute, second) = (cursor.number(2, 2)?, cursor.number(2, 2)?, cursor.number(2, 2)?);
    (hour < 24 && minute < 60 && second <= 60).then_some((hour * 3_600 + minute * 60 + second, 0))
}

/// Times that start with a day, a month, a two-digit year or an hour.
fn short_number_first(cursor: &mut Cursor<'_>) -> Option<Written> {
    let start = *cursor;
    let first = cursor.number(1, 2)?;
    match cursor.peek()? {
        b':' => {
            *cursor = start;
            let (second_of_day, micros) = cursor.clock(b':', true)?;
            Some(Written::Civil(Civil { second_of_day, micros, offset_s: cursor.zone(), ..Civil::default() }))
        }
        separator @ (b'/' | b'-' | b'.' | b' ') => {
            cursor.at += 1;
            if cursor.peek()?.is_ascii_alphabetic() {
                return day_then_month_name(cursor, first, separator);
            }
            numeric_date(cursor, first, separator)
        }
        _ => None,
    }
}

/// `18/Oct/2015:18:01:47 -0700`, `18 Oct 2015 18:01:47`, `18 Oct 18:01:47`.
fn day_then_month_name(cursor: &mut Cursor<'_>, day: u32, separator: u8) -> Option<Written> {
    let month = month(cursor.letters())?;
    if !cursor.eat(separator) {
        return None;
    }
    let mut year = None;
    if cursor.digit_run() == 4 {
        year = Some(signed(cursor.number(4, 4)?)?);
        cursor.eat_any(b": ,T")?;
        cursor.spaces();
    }
    let clock = cursor.clock(b':', true)?;
    civil((year, month, day), clock, cursor.zone())
}

/// `17/06/09 20:10:40` (year first), `10/18/2015 6:01:47 PM`, `18.10.2015 18:01:47`, `03-04 18:01:47.978`.
fn numeric_date(cursor: &mut Cursor<'_>, first: u32, separator: u8) -> Option<Written> {
    let second = cursor.number(1, 2)?;
    if separator == b'-' && cursor.eat(b' ') {
        let clock = cursor.clock(b':', true)?;
        return civil((None, first, second), clock, None);
    }
    if separator == b' ' || !cursor.eat(separator) {
        return None;
    }
    let width = cursor.digit_run();
    let third = cursor.number(2, 4)?;
    cursor.eat_any(b" ,T")?;
    cursor.spaces();
    let clock = cursor.clock(b':', true)?;
    let date = match width {
        4 if separator == b'.' || first > 12 => (Some(signed(third)?), second, first),
        4 => (Some(signed(third)?), first, second),
        2 if second <= 12 => (Some(century(first)?), second, third),
        2 => (Some(century(third)?), first, second),
        _ => return None,
    };
    civil(date, clock, cursor.zone())
}

fn month(word: &[u8]) -> Option<u32> {
    let short = word.get(..3)?;
    if word.len() > 9 {
        return None;
    }
    let index = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(short))?;
    u32::try_from(index + 1).ok()
}

fn is_weekday(word: &[u8]) -> bool {
    word.len() <= 9
        && word.get(..3).is_some_and(|short| WEEKDAYS.iter().any(|day| day.eq_ignore_ascii_case(short)))
}

/// Times that start with a weekday or a month's name.
fn from_name(cursor: &mut Cursor<'_>) -> Option<Written> {
    let mut word = cursor.letters();
    if is_weekday(word) {
        cursor.eat(b',');
        if !cursor.eat(b' ') {
            return None;
        }
        cursor.spaces();
        if cursor.peek()?.is_ascii_digit() {
            let day = cursor.number(1, 2)?;
            let separator = cursor.eat_any(b" -")?;
            return day_then_month_name(cursor, day, separator);
        }
        word = cursor.letters();
    }
    let month = month(word)?;
    if !cursor.eat(b' ') {
        return None;
    }
    cursor.spaces();
    let day = cursor.number(1, 2)?;
    cursor.eat(b',');
    if !cursor.eat(b' ') {
        return None;
    }
    cursor.spaces();
    let mut year = None;
    if cursor.digit_run() == 4 {
        year = Some(signed(cursor.number(4, 4)?)?);
        cursor.eat_any(b" ,")?;
        cursor.spaces();
    }
    let clock = cursor.clock(b':', true)?;
    let mut offset = cursor.zone();
    let mut ahead = *cursor;
    if year.is_none()
        && ahead.eat(b' ')
        && ahead.digit_run() == 4
        && let Some(number) = ahead.number(4, 4).filter(|number| (1970..=2100).contains(number))
    {
        year = Some(signed(number)?);
        *cursor = ahead;
        offset = offset.or_else(|| cursor.zone());
    }
    civil((year, month, day), clock, offset)
}

/// Forms that could be taken for epoch numbers: `20151018`, `20151018180147`.
pub(super) fn compact(text: &str) -> Option<Written> {
    if !matches!(text.len(), 8 | 14) || !(text.starts_with("19") || text.starts_with("20")) {
        return None;
    }
    let mut cursor = Cursor::new(text);
    if cursor.digit_run() != text.len() {
        return None;
    }
    let date = (Some(signed(cursor.number(4, 4)?)?), cursor.number(2, 2)?, cursor.number(2, 2)?);
    let clock = if text.len() == 14 { clock6(&mut cursor)? } else { (0, 0) };
    civil(date, clock, None)
}

/// `2015-10-18` or `2015/10/18` alone: its first moment.
pub(super) fn date_only(text: &str) -> Option<Written> {
    let mut cursor = Cursor::new(text);
    let year = signed(cursor.number(4, 4)?)?;
    let separator = cursor.eat_any(b"-/.")?;
    let month = cursor.number(1, 2)?;
    if !cursor.eat(separator) {
        return None;
    }
    let day = cursor.number(1, 2)?;
    if cursor.at != text.len() {
        return None;
    }
    civil((Some(year), month, day), (0, 0), None)
}
