//! PagerDuty's Events API v2 (<https://developer.pagerduty.com/docs/events-api-v2-overview>): one incident for each
//! alert, by its `dedup_key`.

use serde_json::json;

use super::{Probe, Request, Shape};
use crate::text::shortened;
use crate::{AlertRecord, Cause};

/// Longest summary that the API takes.
const SUMMARY: usize = 1_024;
/// Evidence lines are cut here: an event may have 512 kB.
const LINE: usize = 4_096;
const EVIDENCE: usize = 16;
const REASONS: usize = 16;
/// Longest name of a service.
const SERVICE: usize = 255;

/// An Events v2 integration.
#[derive(Debug)]
pub struct PagerDuty {
    /// `https://events.pagerduty.com/v2/enqueue`, or the address of another region.
    pub url: String,
    /// The integration's key.
    pub routing_key: String,
}

impl Shape for PagerDuty {
    fn request(&self, record: &AlertRecord, _now: i64) -> Result<Request, String> {
        // The notice of a budget is over as it comes, but has to be read.
        let event = if record.is_resolved() && record.cause != Cause::Notice {
            json!({"routing_key": self.routing_key, "event_action": "resolve", "dedup_key": record.id})
        } else {
            let evidence: Vec<_> = record
                .evidence
                .iter()
                .take(EVIDENCE)
                .map(|line| json!({"timestamp": line.timestamp, "level": line.level, "message": shortened(&line.message, LINE), "score": line.score}))
                .collect();
            let reasons: Vec<String> =
                record.reasons.iter().take(REASONS).map(|reason| shortened(reason, SUMMARY)).collect();
            let service = shortened(&record.service, SERVICE);
            let mut event = json!({
                "routing_key": self.routing_key,
                "event_action": "trigger",
                "dedup_key": record.id,
                "client": "Isolog",
                "payload": {
                    "summary": shortened(&record.headline(), SUMMARY),
                    "source": if service.is_empty() { "isolog" } else { &service },
                    "severity": record.severity.as_str(),
                    "timestamp": record.last_seen,
                    "component": service,
                    "class": record.detector,
                    "custom_details": {
                        "count": record.count,
                        "score": record.score,
                        "first_seen": record.first_seen,
                        "last_seen": record.last_seen,
                        "reasons": reasons,
                        "evidence": evidence,
                        "revision": record.revision,
                    },
                },
            });
            if let Some(link) = &record.link {
                event["client_url"] = json!(link);
                event["links"] = json!([{"href": link, "text": "Open the alert"}]);
            }
            event
        };
        Ok(Request {
            url: self.url.clone(),
            headers: Vec::new(),
            content_type: "application/json",
            body: super::json(&event)?,
        })
    }

    fn keys(&self) -> Vec<String> {
        vec![self.routing_key.clone()]
    }

    fn probe(&self) -> Probe {
        Probe::of_server(&self.url)
    }
}
