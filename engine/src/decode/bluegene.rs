//! Blue Gene/L's RAS log: an alert category or `-`, seconds since the epoch, date, node, the node's own time, node,
//! type, component, level, text.

use super::line::{Line, word};
use super::reject::Rejected;
use super::shape::{Decoded, Record, Scope, Shape};
use super::time::{Civil, Written};
use super::{level, time};
use crate::decode::Events;

/// See the module.
pub(super) struct BlueGene;

impl Shape for BlueGene {
    fn name(&self) -> &'static str {
        "bluegene"
    }

    fn doc(&self) -> &'static str {
        "Blue Gene's RAS log, such as \
         `- 1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.363779 R02-M1 RAS KERNEL INFO text`"
    }

    fn sniff(&self, record: &Record<'_>) -> bool {
        let bytes = record.bytes();
        let space = bytes.iter().take(32).position(|byte| *byte == b' ');
        space
            .and_then(|at| bytes.get(at + 1..at + 11))
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
    }

    fn decode(&self, record: &Record<'_>, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
        match line(record.text()?) {
            Some(line) => line.emit(scope, out),
            None => Ok(Decoded::No),
        }
    }
}

fn line(text: &str) -> Option<Line<'_>> {
    let (category, rest) = word(text)?;
    let (epoch, rest) = word(rest)?;
    let (date, rest) = word(rest)?;
    let (node, rest) = word(rest)?;
    let (own_time, rest) = word(rest)?;
    let (_, rest) = word(rest)?;
    let (kind, rest) = word(rest)?;
    let (component, rest) = word(rest)?;
    let (severity, message) = word(rest)?;
    if date.len() != 10 || date.as_bytes()[4] != b'.' {
        return None;
    }
    let Written::Exact(seconds) = time::from_epoch(epoch)? else { return None };
    let Written::Civil(Civil { micros, .. }) = time::from_field(own_time)? else { return None };
    Some(Line {
        time: Some(Written::Exact(seconds + i64::from(micros))),
        level: Some(level::from_word(severity)?),
        service: component,
        message: if message.trim().is_empty() { text } else { message },
        attributes: vec![
            ("alert", if category == "-" { "" } else { category }),
            ("node", node),
            ("type", kind),
        ],
        ..Line::default()
    })
}
