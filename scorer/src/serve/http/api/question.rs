//! The values of questions, checked: each refusal names the value, what was given and what is allowed.

use engine::event::{EventTime, Level};
use store::{Page, PageKey};

use super::super::answer::Refusal;

/// Longest text that is looked for, in bytes.
const TEXT_BYTES: usize = 256;
/// Longest name of a service, in bytes: as much of it as the store finds it by.
const NAME_BYTES: usize = 512;
/// Most of a value that is said again.
const SAID: usize = 100;

fn refuse(name: &str, written: &str, allowed: impl std::fmt::Display) -> Refusal {
    let said: String = written.chars().take(SAID).collect();
    Refusal::bad(format!("{name} = {said:?} is not allowed: {allowed}"))
}

/// A whole number from 1 to `most`, or the default.
pub fn number(name: &str, written: Option<&str>, most: usize, default: usize) -> Result<usize, Refusal> {
    match written.map(|written| (written, written.parse::<usize>())) {
        None => Ok(default),
        Some((_, Ok(number))) if (1..=most).contains(&number) => Ok(number),
        Some((written, _)) => Err(refuse(name, written, format_args!("a number from 1 to {most}"))),
    }
}

/// A number in [0, 1], or nothing.
pub fn share(name: &str, written: Option<&str>) -> Result<Option<f64>, Refusal> {
    match written.map(|written| (written, written.parse::<f64>())) {
        None => Ok(None),
        Some((_, Ok(share))) if (0.0..=1.0).contains(&share) => Ok(Some(share)),
        Some((written, _)) => Err(refuse(name, written, "a number in [0, 1]")),
    }
}

/// One of these names; nothing where it is left out or empty.
pub fn one_of<T: Copy>(
    name: &str,
    written: Option<&str>,
    all: &[T],
    as_str: impl Fn(T) -> &'static str,
) -> Result<Option<T>, Refusal> {
    let Some(written) = written.filter(|written| !written.is_empty()) else { return Ok(None) };
    match all.iter().find(|one| as_str(**one).eq_ignore_ascii_case(written)) {
        Some(one) => Ok(Some(*one)),
        None => {
            let all: Vec<&str> = all.iter().map(|one| as_str(*one)).collect();
            Err(refuse(name, written, format_args!("one of {}", all.join(", "))))
        }
    }
}

/// A level; nothing where it is left out or empty.
pub fn level(written: Option<&str>) -> Result<Option<Level>, Refusal> {
    one_of("level", written, &Level::ALL, Level::as_str)
}

/// A name of a service; nothing where it is left out or empty.
pub fn service(written: Option<String>) -> Result<Option<String>, Refusal> {
    match written.filter(|written| !written.is_empty()) {
        Some(written) if written.len() > NAME_BYTES => {
            Err(refuse("service", &written, format_args!("at most {NAME_BYTES} bytes")))
        }
        written => Ok(written),
    }
}

/// A text to look for; empty where it is left out.
pub fn text(written: Option<String>) -> Result<String, Refusal> {
    match written.unwrap_or_default() {
        written if written.len() > TEXT_BYTES => {
            Err(refuse("text", &written, format_args!("at most {TEXT_BYTES} bytes")))
        }
        written => Ok(written),
    }
}

/// A time; nothing where it is left out.
pub fn time(name: &str, written: Option<&str>) -> Result<Option<EventTime>, Refusal> {
    let Some(written) = written else { return Ok(None) };
    match written.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(Some(EventTime::from_micros(time.as_microsecond()))),
        Err(_) => Err(refuse(name, written, "a time as in RFC 3339, such as 2026-01-02T03:04:05Z")),
    }
}

/// Where a page ended, as callers carry it.
pub fn cursor(key: &PageKey) -> String {
    format!("{}.{}.{}", key.time.as_micros(), key.number, key.id)
}

/// The page that is asked for: at most `limit` entries, behind the cursor.
pub fn page(limit: Option<&str>, default: usize, after: Option<&str>) -> Result<Page, Refusal> {
    let most = number("limit", limit, super::MOST, default)?;
    let Some(after) = after.filter(|after| !after.is_empty()) else { return Ok(Page::first(most)) };
    let read = || -> Option<PageKey> {
        let (time, rest) = after.split_once('.')?;
        let (number, id) = rest.split_once('.')?;
        let is_id = id.len() <= NAME_BYTES && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then_some(())?;
        let time = EventTime::from_micros(time.parse().ok()?);
        Some(PageKey { time, number: number.parse().ok()?, id: id.to_owned() })
    };
    match read() {
        Some(key) => Ok(Page::after(key, most)),
        None => Err(refuse("after", after, "what `next` of the page before said")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        for (micros, number, id) in [(0, 0, ""), (-5, i64::MAX, "00ff"), (i64::MAX, 7, "")] {
            let key = PageKey { time: EventTime::from_micros(micros), number, id: id.to_owned() };
            let page = page(Some("5"), 100, Some(&cursor(&key))).unwrap();
            assert_eq!(page, Page::after(key, 5));
        }
        for bad in ["x", "1", "1.2", "1.2.zz", "1.x.", ".1.", "99999999999999999999.1.", "1.2.'--"] {
            assert!(page(None, 100, Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for bad in ["NaN", "inf", "-0.1", "1.01", "", "0,5"] {
            assert!(share("min_score", Some(bad)).is_err(), "{bad}");
        }
        assert_eq!(share("min_score", Some("0.5")).unwrap(), Some(0.5));
        assert!(level(Some("LOUD")).is_err());
        assert_eq!(level(Some("error")).unwrap(), Some(Level::Error));
        assert!(time("from", Some("yesterday")).is_err() && time("until", Some("")).is_err());
        assert!(service(Some("x".repeat(513))).is_err() && text(Some("x".repeat(257))).is_err());
    }
}
