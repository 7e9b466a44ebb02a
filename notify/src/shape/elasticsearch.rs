//! The bulk API of Elasticsearch and OpenSearch. Documents are created under the record's own id, so a second
//! delivery meets a conflict, which counts as delivered.

use serde::Deserialize;
use serde_json::json;

use super::{Answer, Outcome, Probe, Request, Shape, by_status};
use crate::AlertRecord;

/// An index or data stream.
pub struct Elasticsearch {
    /// Base address of the cluster.
    pub url: String,
    /// Index or data stream.
    pub index: String,
    /// Value of the `Authorization` header.
    pub authorization: Option<String>,
}

#[derive(Deserialize)]
struct Bulk {
    #[serde(default)]
    errors: bool,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    create: Created,
}

#[derive(Deserialize)]
struct Created {
    status: u16,
    #[serde(default)]
    error: serde_json::Value,
}

impl Elasticsearch {
    fn headers(&self) -> Vec<(String, String)> {
        self.authorization.iter().map(|value| ("authorization".to_owned(), value.clone())).collect()
    }
}

impl Shape for Elasticsearch {
    fn request(&self, record: &AlertRecord, _now: i64) -> Result<Request, String> {
        let mut body = super::json(&json!({"create": {"_index": self.index, "_id": record.delivery_id()}}))?;
        body.push(b'\n');
        let mut document =
            serde_json::to_value(record).map_err(|error| format!("cannot be written as JSON: {error}"))?;
        document["@timestamp"] = json!(record.last_seen);
        body.extend(super::json(&document)?);
        body.push(b'\n');
        Ok(Request {
            url: format!("{}/_bulk", self.url.trim_end_matches('/')),
            headers: self.headers(),
            content_type: "application/x-ndjson",
            body,
        })
    }

    fn outcome(&self, answer: Answer<'_>) -> Outcome {
        const CONFLICT: u16 = 409;
        let whole = by_status(answer);
        if whole != Outcome::Delivered {
            return whole;
        }
        let Ok(bulk) = serde_json::from_slice::<Bulk>(answer.body) else {
            return Outcome::Retry {
                why: "the answer is not that of a bulk request".to_owned(),
                after: None,
            };
        };
        let failed = bulk.items.iter().find(|item| !matches!(item.create.status, 200..=299 | CONFLICT));
        match failed {
            Some(Item { create }) => by_status(Answer {
                status: create.status,
                retry_after: answer.retry_after,
                body: create.error.to_string().as_bytes(),
            }),
            None if bulk.errors && bulk.items.is_empty() => {
                Outcome::Retry { why: "the answer speaks of errors and names none".to_owned(), after: None }
            }
            None => Outcome::Delivered,
        }
    }

    fn probe(&self) -> Probe {
        Probe { url: self.url.clone(), headers: self.headers(), must_succeed: true }
    }
}
