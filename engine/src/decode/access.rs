//! Web servers' access logs: the Common and the Combined Log Format.

use super::line::Line;
use super::reject::Rejected;
use super::shape::{Decoded, Record, Scope, Shape};
use super::{level, time};
use crate::decode::Events;

/// See the module.
pub(super) struct Access;

impl Shape for Access {
    fn name(&self) -> &'static str {
        "access"
    }

    fn doc(&self) -> &'static str {
        "the Common or Combined Log Format, such as \
         `10.0.0.1 - ann [10/Oct/2000:13:55:36 -0700] \"GET /x HTTP/1.1\" 200 2326`"
    }

    fn sniff(&self, record: &Record<'_>) -> bool {
        let head = &record.bytes()[..record.bytes().len().min(512)];
        memchr::memchr(b'[', head).is_some_and(|at| {
            at > 3 && head.get(at + 1).is_some_and(u8::is_ascii_digit) && head.get(at + 3) == Some(&b'/')
        })
    }

    fn decode(&self, record: &Record<'_>, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
        let Some(parts) = parts(record.text()?) else { return Ok(Decoded::No) };
        let message = format!("{} {}", parts.request, parts.status);
        Line {
            time: Some(parts.time),
            level: Some(level::from_status(parts.status_number)),
            default_service: "web",
            message: &message,
            attributes: parts.attributes,
            ..Line::default()
        }
        .emit(scope, out)
    }
}

struct Parts<'a> {
    time: time::Written,
    request: String,
    status: &'a str,
    status_number: u16,
    attributes: Vec<(&'a str, &'a str)>,
}

fn parts(text: &str) -> Option<Parts<'_>> {
    let (head, rest) = text.split_once(" [")?;
    let (stamp, rest) = rest.split_once(']')?;
    let time = time::from_field(stamp)?;
    let (request, rest) = quoted(rest.trim_start())?;
    let mut words = rest.split_ascii_whitespace();
    let status = words.next().filter(|status| status.len() == 3)?;
    let status_number: u16 = status.parse().ok()?;
    let bytes = words.next().unwrap_or("-");
    // A virtual host may stand before the address.
    let mut who = head.rsplitn(3, ' ');
    let user = who.next().unwrap_or("-");
    let _identity = who.next();
    let address = who.next().unwrap_or(head);
    let ip = address.rsplit(' ').next().unwrap_or(address);
    let mut attributes = vec![("ip", ip)];
    let mut method_and_url = request.split(' ');
    let (method, url) =
        (method_and_url.next().unwrap_or_default(), method_and_url.next().unwrap_or_default());
    let is_request = !url.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_request {
        attributes.extend([("method", method), ("url", url)]);
    }
    attributes.push(("status", status));
    let dash = |value| if value == "-" { "" } else { value };
    attributes.extend([("user", dash(user)), ("bytes", dash(bytes))]);
    let after = rest.trim_start().splitn(3, ' ').nth(2).unwrap_or_default();
    if let Some((referrer, rest)) = quoted(after) {
        let agent = quoted(rest.trim_start()).map_or("", |(agent, _)| agent);
        attributes.extend([("referrer", dash(referrer)), ("user_agent", dash(agent))]);
    }
    let request = if is_request { format!("{method} {url}") } else { request.to_owned() };
    Some(Parts { time, request, status, status_number, attributes })
}

/// A quoted text, in which `\"` does not end it, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = inside.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })?;
    Some((&inside[..end], &inside[end + 1..]))
}
