//! BSD syslog (RFC 3164), with or without priority, with classic or RFC 3339 times:
//! `Jun 14 15:16:01 host sshd[12]: text`.

use super::{facility_of, level_of, priority};
use crate::decode::Events;
use crate::decode::line::{Line, word};
use crate::decode::reject::Rejected;
use crate::decode::shape::{Decoded, Record, Scope, Shape};
use crate::decode::{level, time};

/// See the module.
pub(in crate::decode) struct Bsd;

impl Shape for Bsd {
    fn name(&self) -> &'static str {
        "syslog"
    }

    fn doc(&self) -> &'static str {
        "BSD syslog (RFC 3164), such as `<34>Oct 11 22:14:15 host su[12]: text`, the priority optional"
    }

    fn sniff(&self, record: &Record<'_>) -> bool {
        record.bytes().first().is_some_and(|byte| *byte == b'<' || byte.is_ascii_alphanumeric())
    }

    fn decode(&self, record: &Record<'_>, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
        let text = record.text()?;
        let (priority, rest) = match priority(text) {
            Some((priority, rest)) => (Some(priority), rest.trim_start()),
            None => (None, text),
        };
        let Some((written, length)) =
            time::prefix(rest).filter(|(_, length)| is_syslog_time(&rest[..*length]))
        else {
            return match priority {
                Some(priority) => without_time(priority, rest, scope, out),
                None => Ok(Decoded::No),
            };
        };
        let Some(after) = rest[length..].strip_prefix(' ').or(rest[length..].strip_prefix(": ")) else {
            return Ok(Decoded::No);
        };
        let Some((host, tag, message)) = host_and_tag(after.trim_start(), priority.is_some()) else {
            return Ok(Decoded::No);
        };
        let line = Line {
            time: Some(written),
            level: priority.and_then(level_of),
            service: tag.name,
            message,
            attributes: vec![
                ("facility", priority.map_or("", facility_of)),
                ("host", host),
                ("pid", tag.pid),
                ("module", tag.module),
            ],
            ..Line::default()
        };
        line.emit(scope, out)
    }
}

/// `Jun 14 15:16:01`, with a year or not, or RFC 3339 with its `T`: other forms are other loggers'.
fn is_syslog_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'A'..=b'Z') => bytes.get(3) == Some(&b' ') && !text.contains(',') && !text.ends_with('M'),
        Some(b'0'..=b'9') => bytes.get(10) == Some(&b'T'),
        _ => false,
    }
}

/// A tag: `sshd(pam_unix)[12]`.
#[derive(Default)]
struct Tag<'a> {
    name: &'a str,
    module: &'a str,
    pid: &'a str,
}

fn tag(text: &str) -> Option<Tag<'_>> {
    let (rest, pid) = match text.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) {
        Some((rest, pid)) => (rest, pid),
        None => (text, ""),
    };
    let (name, module) = match rest.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
        Some((name, module)) if !name.is_empty() => (name, module),
        _ => (rest, ""),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./@:+".contains(&byte);
    let ok = !name.is_empty() && name.len() <= 64 && name.bytes().all(is_name);
    (ok && (level::from_word(name).is_none() || !pid.is_empty())).then_some(Tag { name, module, pid })
}

/// Host, tag and text; the tag ends with a colon. `has_priority` tells that it is syslog beyond doubt, so that a line
/// without a tag is one as well.
fn host_and_tag(text: &str, has_priority: bool) -> Option<(&str, Tag<'_>, &str)> {
    let (host, rest) = word(text)?;
    if host.ends_with(':') {
        // Daemons that leave the host out: `Jun 14 15:16:01 sshd[12]: text`.
        return tag(host.trim_end_matches(':'))
            .map(|tag| ("", tag, rest))
            .filter(|(_, tag, _)| !tag.pid.is_empty() || has_priority);
    }
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if !host.bytes().all(is_host) || level::from_word(host).is_some() {
        return None;
    }
    let rest = rest.trim_start();
    if let Some((head, message)) = rest.split_once(": ").or_else(|| Some((rest.strip_suffix(':')?, ""))) {
        // `syslogd 1.4.1: restart.`
        let name =
            head.split_once(' ').filter(|(_, version)| is_version(version)).map_or(head, |(name, _)| name);
        if let Some(tag) = tag(name) {
            return Some((host, tag, message));
        }
    }
    let dashes = rest.strip_prefix("-- ").and_then(|rest| rest.split_once(": "));
    if let Some((tag, message)) = dashes.and_then(|(name, message)| Some((tag(name)?, message))) {
        return Some((host, tag, message));
    }
    has_priority.then_some((host, Tag::default(), rest))
}

fn is_version(text: &str) -> bool {
    text.len() <= 16 && text.starts_with(|first: char| first.is_ascii_digit()) && !text.contains(' ')
}

/// A priority and a text, as kernels and embedded devices send them.
fn without_time(priority: u32, text: &str, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
    let (tag, message) = match text.split_once(": ") {
        Some((head, message)) => match tag(head) {
            Some(tag) => (tag, message),
            None => (Tag::default(), text),
        },
        None => (Tag::default(), text),
    };
    let attributes = vec![("facility", facility_of(priority)), ("pid", tag.pid), ("module", tag.module)];
    let line = Line { level: level_of(priority), service: tag.name, message, attributes, ..Line::default() };
    line.emit(scope, out)
}
