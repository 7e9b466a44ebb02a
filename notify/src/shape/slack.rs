//! Slack's incoming webhooks: Block Kit (<https://docs.slack.dev/reference/block-kit>). Log text only ever stands in
//! elements that Slack shows as they are, never in markup.

use serde_json::{Value, json};

use super::{Probe, Request, Shape};
use crate::text::{lines, one_line, shortened};
use crate::{AlertRecord, Severity};

/// Slack's limits, in characters; bytes are never fewer.
const HEADER: usize = 150;
const FIELD: usize = 2_000;
const PREFORMATTED: usize = 1_000;
const LINK: usize = 3_000;
/// Lines shown; the record holds four at most.
const EVIDENCE: usize = 8;

/// An incoming webhook.
#[derive(Debug)]
pub struct Slack {
    /// Its address, which is its secret.
    pub url: String,
}

impl Shape for Slack {
    fn request(&self, record: &AlertRecord, _now: i64) -> Result<Request, String> {
        let plain = |text: &str, most: usize| json!({"type": "plain_text", "text": shortened(text, most), "emoji": false});
        let headline = record.headline();
        let mut blocks =
            vec![json!({"type": "header", "text": plain(&format!("{} {headline}", sign(record)), HEADER)})];
        let fields: Vec<Value> = record
            .facts()
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| plain(&format!("{name}\n{}", one_line(&value)), FIELD))
            .collect();
        blocks.push(json!({"type": "section", "fields": fields}));
        for reason in record.reasons.iter().filter(|reason| !reason.is_empty()).take(4) {
            blocks.push(json!({"type": "section", "text": plain(&one_line(reason), FIELD)}));
        }
        for line in record.evidence.iter().take(EVIDENCE) {
            let level = line.level.as_deref().unwrap_or("-");
            let text = format!("{} {level} {}", line.timestamp, lines(&line.message));
            blocks.push(json!({
                "type": "rich_text",
                "elements": [{
                    "type": "rich_text_preformatted",
                    "elements": [{"type": "text", "text": shortened(&text, PREFORMATTED)}],
                }],
            }));
        }
        if let Some(link) = record.link.as_ref().filter(|link| link.len() <= LINK) {
            blocks.push(json!({
                "type": "actions",
                "elements": [{"type": "button", "text": plain("Open the alert", 75), "url": link}],
            }));
        }
        let body = json!({"text": escaped(&shortened(&headline, FIELD)), "blocks": blocks});
        Ok(Request {
            url: self.url.clone(),
            headers: Vec::new(),
            content_type: "application/json",
            body: super::json(&body)?,
        })
    }

    fn path_is_secret(&self) -> bool {
        true
    }

    fn probe(&self) -> Probe {
        Probe::of_server(&self.url)
    }
}

const fn sign(record: &AlertRecord) -> &'static str {
    match record.severity {
        _ if matches!(record.status, crate::Status::Resolved) => "✔",
        Severity::Critical => "⛔",
        Severity::Error => "▲",
        Severity::Warning => "◆",
        Severity::Info => "•",
    }
}

/// The three characters that Slack's markup knows; without `<` nobody can be mentioned and nothing linked.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
