//! klog and glog: `I0102 15:04:05.000000   12345 file.go:123] text`.

use super::line::Line;
use super::reject::Rejected;
use super::shape::{Decoded, Record, Scope, Shape};
use super::time::{Civil, Written};
use super::{level, time};
use crate::decode::Events;

/// See the module.
pub(super) struct Klog;

impl Shape for Klog {
    fn name(&self) -> &'static str {
        "klog"
    }

    fn doc(&self) -> &'static str {
        "klog and glog, such as `I0102 15:04:05.000000   12345 file.go:123] text`"
    }

    fn sniff(&self, record: &Record<'_>) -> bool {
        let bytes = record.bytes();
        matches!(bytes.first(), Some(b'I' | b'W' | b'E' | b'F'))
            && bytes.get(1..5).is_some_and(|date| date.iter().all(u8::is_ascii_digit))
    }

    fn decode(&self, record: &Record<'_>, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
        match line(record.text()?) {
            Some(line) => line.emit(scope, out),
            None => Ok(Decoded::No),
        }
    }
}

fn line(text: &str) -> Option<Line<'_>> {
    let (date, rest) = text.split_once(' ')?;
    let (month, day) = match date.len() {
        5 => (date.get(1..3)?, date.get(3..5)?),
        9 => (date.get(5..7)?, date.get(7..9)?),
        _ => return None,
    };
    let year = if date.len() == 9 { Some(date.get(1..5)?.parse().ok()?) } else { None };
    let (Written::Civil(clock), length) = time::prefix(rest)? else { return None };
    if clock.month_day.is_some() {
        return None;
    }
    let month_day = (month.parse().ok()?, day.parse().ok()?);
    time::days(year.unwrap_or(2_000), month_day.0, month_day.1)?;
    let (head, message) = rest[length..].split_once(']')?;
    let (pid, source) = head.trim().rsplit_once(' ')?;
    let file = source.rsplit('/').next().unwrap_or(source);
    Some(Line {
        time: Some(Written::Civil(Civil { year, month_day: Some(month_day), ..clock })),
        level: level::from_letter(*text.as_bytes().first()?),
        default_service: file.split('.').next().unwrap_or_default(),
        message,
        attributes: vec![("pid", pid.trim()), ("source", source)],
        ..Line::default()
    })
}
