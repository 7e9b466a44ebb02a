//! The published rules of receivers, so far as they refuse something. Each names where it is written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::server::Seen;

type Checked = Result<(), String>;

fn ensure(holds: bool, rule: impl Into<String>) -> Checked {
    if holds { Ok(()) } else { Err(rule.into()) }
}

fn object<'v>(value: &'v Value, what: &str) -> Result<&'v Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{what} is no object"))
}

fn items<'v>(value: &'v Value, what: &str) -> Result<&'v Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("{what} is no array"))
}

/// A text of `1..=most` characters.
fn text<'v>(value: &'v Value, what: &str, most: usize) -> Result<&'v str, String> {
    let text = value.as_str().ok_or_else(|| format!("{what} is no text"))?;
    let length = text.chars().count();
    ensure((1..=most).contains(&length), format!("{what} has {length} characters, 1 to {most} are allowed"))?;
    Ok(text)
}

fn only(object: &Map<String, Value>, allowed: &[&str], what: &str) -> Checked {
    match object.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(format!("{what} has an unknown field {key:?}")),
        None => Ok(()),
    }
}

/// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks> and the pages of the blocks.
pub fn slack(seen: &Seen) -> Result<(u16, String), String> {
    ensure(seen.header("content-type")? == "application/json", "invalid_payload: not JSON")?;
    let body = seen.json()?;
    only(object(&body, "the payload")?, &["text", "blocks"], "the payload")?;
    let fallback = text(&body["text"], "no_text: text", 40_000)?;
    for smuggled in ["<!", "<@", "<http"] {
        ensure(!fallback.contains(smuggled), format!("{smuggled} would be markup in the notification"))?;
    }
    let blocks = items(&body["blocks"], "blocks")?;
    ensure((1..=50).contains(&blocks.len()), "invalid_blocks: 1 to 50 blocks are allowed")?;
    blocks.iter().try_for_each(|block| slack_block(block).map_err(|why| format!("invalid_blocks: {why}")))?;
    Ok((200, "ok".to_owned()))
}

fn plain_text(value: &Value, what: &str, most: usize) -> Checked {
    let fields = object(value, what)?;
    only(fields, &["type", "text", "emoji"], what)?;
    ensure(value["type"] == "plain_text", format!("{what} would be read as markup"))?;
    text(&value["text"], what, most).map(drop)
}

fn slack_block(block: &Value) -> Checked {
    let fields = object(block, "a block")?;
    match block["type"].as_str() {
        Some("header") => {
            only(fields, &["type", "text"], "a header")?;
            plain_text(&block["text"], "a header's text", 150)
        }
        Some("section") => {
            only(fields, &["type", "text", "fields"], "a section")?;
            ensure(fields.contains_key("text") || fields.contains_key("fields"), "a section is empty")?;
            if let Some(text) = fields.get("text") {
                plain_text(text, "a section's text", 3_000)?;
            }
            let Some(list) = fields.get("fields") else { return Ok(()) };
            let list = items(list, "fields")?;
            ensure((1..=10).contains(&list.len()), "a section has 1 to 10 fields")?;
            list.iter().try_for_each(|field| plain_text(field, "a field", 2_000))
        }
        Some("rich_text") => {
            only(fields, &["type", "elements"], "a rich text")?;
            for element in items(&block["elements"], "elements")? {
                ensure(element["type"] == "rich_text_preformatted", "an element would be read as markup")?;
                for part in items(&element["elements"], "elements")? {
                    ensure(part["type"] == "text", "a part is no text")?;
                    text(&part["text"], "a part's text", 3_000)?;
                }
            }
            Ok(())
        }
        Some("actions") => {
            for element in items(&block["elements"], "elements")? {
                ensure(element["type"] == "button", "an action is no button")?;
                plain_text(&element["text"], "a button's text", 75)?;
                text(&element["url"], "a button's url", 3_000)?;
            }
            Ok(())
        }
        other => Err(format!("{other:?} is no type of a block")),
    }
}

/// <https://developer.pagerduty.com/docs/send-alert-event> and its size limit of 512 KB.
pub fn pagerduty(seen: &Seen) -> Result<(u16, String), String> {
    ensure(seen.path == "/v2/enqueue", "404: no such page")?;
    ensure(seen.body.len() <= 512 * 1024, format!("an event of {} bytes is too large", seen.body.len()))?;
    let body = seen.json()?;
    let fields = object(&body, "the event")?;
    let allowed =
        ["routing_key", "event_action", "dedup_key", "client", "client_url", "links", "images", "payload"];
    only(fields, &allowed, "the event")?;
    let key = body["routing_key"].as_str().unwrap_or_default();
    ensure(key.len() == 32, "Length of 'routing_key' is incorrect (should be 32 characters)")?;
    text(&body["dedup_key"], "dedup_key", 255)?;
    match body["event_action"].as_str() {
        Some("trigger") => {}
        Some("resolve" | "acknowledge") => return Ok((202, r#"{"status":"success"}"#.to_owned())),
        other => return Err(format!("'event_action' is invalid: {other:?}")),
    }
    let payload = &body["payload"];
    let allowed =
        ["summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"];
    only(object(payload, "payload")?, &allowed, "payload")?;
    text(&payload["summary"], "'payload.summary'", 1_024)?;
    text(&payload["source"], "'payload.source'", 1_024)?;
    let severity = payload["severity"].as_str().unwrap_or_default();
    ensure(
        ["critical", "error", "warning", "info"].contains(&severity),
        "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
    )?;
    time(&payload["timestamp"])?;
    ensure(
        payload["component"].is_string() && payload["class"].is_string(),
        "component or class is no text",
    )?;
    if let Some(link) = fields.get("client_url") {
        text(link, "client_url", 2_048)?;
    }
    for link in fields.get("links").map_or(Ok(&Vec::new()), |links| items(links, "links"))? {
        text(&link["href"], "a link's href", 2_048)?;
    }
    Ok((202, r#"{"status":"success","message":"Event processed"}"#.to_owned()))
}

fn time(value: &Value) -> Checked {
    let text = value.as_str().ok_or("a time is no text")?;
    text.parse::<jiff::Timestamp>().map(drop).map_err(|error| format!("{text:?} is no time: {error}"))
}

/// What the tests sign with.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Furthest that a timestamp may be from the receiver's clock, as the libraries have it.
const TOLERANCE_S: i64 = 300;

/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
pub fn standard_webhook(seen: &Seen) -> Result<(u16, String), String> {
    let (id, timestamp) = (seen.header("webhook-id")?, seen.header("webhook-timestamp")?);
    ensure(!id.is_empty() && !id.contains('.'), "webhook-id is empty or has a full stop")?;
    let sent: i64 = timestamp.parse().map_err(|_| "webhook-timestamp is no number".to_owned())?;
    let off = jiff::Timestamp::now().as_second() - sent;
    ensure(off.abs() <= TOLERANCE_S, format!("webhook-timestamp is {off} s off"))?;
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).map_err(|error| error.to_string())?;
    let signatures = seen.header("webhook-signature")?.split(' ').filter_map(|one| one.strip_prefix("v1,"));
    let fits = signatures.filter_map(|one| STANDARD.decode(one).ok()).any(|signature| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(&seen.body);
        mac.verify_slice(&signature).is_ok()
    });
    ensure(fits, "No matching signature found")?;
    seen.json()?;
    Ok((204, String::new()))
}

/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md> in the JSON format's structured mode.
pub fn cloud_event(seen: &Seen) -> Result<(u16, String), String> {
    let content_type = seen.header("content-type")?;
    ensure(content_type == "application/cloudevents+json", format!("{content_type} is no cloud event"))?;
    let body = seen.json()?;
    let fields = object(&body, "the event")?;
    ensure(body["specversion"] == "1.0", "specversion is not 1.0")?;
    for name in ["id", "source", "type"] {
        text(fields.get(name).unwrap_or(&Value::Null), name, 1_024)?;
    }
    if let Some(subject) = fields.get("subject") {
        text(subject, "subject", usize::MAX)?;
    }
    if let Some(at) = fields.get("time") {
        time(at)?;
    }
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    ensure(fields.keys().all(|name| is_name(name)), "an attribute's name has other than a-z and 0-9")?;
    ensure(!(fields.contains_key("data") && fields.contains_key("data_base64")), "data is there twice")?;
    Ok((202, String::new()))
}

/// <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>
pub fn bulk(seen: &Seen) -> Result<(u16, String), String> {
    ensure(seen.path == "/_bulk", "404: no such page")?;
    let content_type = seen.header("content-type")?;
    let known = ["application/x-ndjson", "application/json"].contains(&content_type);
    ensure(known, format!("Content-Type header [{content_type}] is not supported"))?;
    ensure(seen.body.ends_with(b"\n"), "The bulk request must be terminated by a newline [\\n]")?;
    let lines: Vec<&[u8]> = seen.body[..seen.body.len() - 1].split(|byte| *byte == b'\n').collect();
    ensure(lines.len().is_multiple_of(2), "an action has no document")?;
    for pair in lines.chunks_exact(2) {
        let action: Value = serde_json::from_slice(pair[0]).map_err(|error| error.to_string())?;
        let meta = &action["create"];
        only(object(meta, "create")?, &["_index", "_id"], "create")?;
        text(&meta["_index"], "_index", 255)?;
        text(&meta["_id"], "_id", 512)?;
        let document: Value = serde_json::from_slice(pair[1]).map_err(|error| error.to_string())?;
        object(&document, "the document")?;
        time(&document["@timestamp"])?;
    }
    Ok((200, r#"{"errors":false,"items":[{"create":{"status":201}}]}"#.to_owned()))
}

/// <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml> and `Alert.Validate`.
pub fn alertmanager(seen: &Seen) -> Result<(u16, String), String> {
    ensure(seen.path == "/api/v2/alerts", "404: no such page")?;
    let body = seen.json()?;
    for alert in items(&body, "the body")? {
        let labels = object(&alert["labels"], "labels")?;
        ensure(labels.values().all(Value::is_string), "a label is no text")?;
        ensure(labels.values().any(|value| value != ""), "at least one label pair required")?;
        ensure(object(&alert["annotations"], "annotations")?.values().all(Value::is_string), "no text")?;
        let at = |name: &str| {
            let text = alert[name].as_str().unwrap_or_default();
            text.parse::<jiff::Timestamp>().map_err(|error| format!("{name}: {error}"))
        };
        ensure(at("startsAt")? <= at("endsAt")?, "start time must be before end time")?;
    }
    Ok((200, String::new()))
}
