//! Syslog in its two forms: RFC 5424 and BSD (RFC 3164) with what daemons make of it.

mod bsd;
mod rfc5424;

pub(super) use bsd::Bsd;
pub(super) use rfc5424::Rfc5424;

use super::level;
use crate::event::Level;

/// `<34>` at the start of a text: the priority, and the text behind it.
fn priority(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.strip_prefix('<')?.split_once('>')?;
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|priority| *priority <= 191).map(|priority| (priority, rest))
}

fn level_of(priority: u32) -> Option<Level> {
    level::from_syslog(i64::from(priority % 8))
}

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

fn facility_of(priority: u32) -> &'static str {
    FACILITIES.get(priority as usize / 8).copied().unwrap_or_default()
}
