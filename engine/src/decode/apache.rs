//! Apache's error log: `[Sun Dec 04 04:47:44 2005] [notice] text`, `[…] [core:error] [pid 1:tid 2] [client …] text`.

use super::line::Line;
use super::reject::Rejected;
use super::shape::{Decoded, Record, Scope, Shape};
use super::{level, time};
use crate::decode::Events;

/// See the module.
pub(super) struct ApacheError;

impl Shape for ApacheError {
    fn name(&self) -> &'static str {
        "apache_error"
    }

    fn doc(&self) -> &'static str {
        "Apache's error log, such as `[Sun Dec 04 04:47:44 2005] [error] text`"
    }

    fn sniff(&self, record: &Record<'_>) -> bool {
        let bytes = record.bytes();
        bytes.first() == Some(&b'[') && bytes.get(1).is_some_and(u8::is_ascii_uppercase)
    }

    fn decode(&self, record: &Record<'_>, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
        match line(record.text()?) {
            Some(line) => line.emit(scope, out),
            None => Ok(Decoded::No),
        }
    }
}

fn line(text: &str) -> Option<Line<'_>> {
    let (written, length) = time::anywhere_at(text)?;
    let (kind, mut rest) = bracket(text[length..].trim_start())?;
    let (module, word) = kind.rsplit_once(':').unwrap_or(("", kind));
    let level = level::from_word(word.split(['0', '1', '2', '3', '4', '5', '6', '7', '8']).next()?)?;
    let mut attributes = vec![("module", module)];
    while let Some((inside, after)) = bracket(rest.trim_start()) {
        let Some((name, value)) = inside.split_once(' ') else { break };
        if !matches!(name, "pid" | "client" | "remote") {
            break;
        }
        attributes.push((name, value));
        rest = after;
    }
    let message = rest.trim();
    (!message.is_empty()).then_some(Line {
        time: Some(written),
        level: Some(level),
        default_service: "apache",
        message,
        attributes,
        ..Line::default()
    })
}

fn bracket(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('[')?.split_once(']')
}
