//! What each receiver expects: one file per shape, each turns a record into the request that its receiver
//! documents. None of them sends anything.

mod alertmanager;
mod elasticsearch;
mod pagerduty;
mod slack;
mod webhook;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use alertmanager::Alertmanager;
pub use elasticsearch::Elasticsearch;
pub use pagerduty::PagerDuty;
pub use slack::Slack;
pub use webhook::{Body, Webhook, secret_key};

use super::AlertRecord;

/// A POST, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where to; may hold a secret, so it is never logged.
    pub url: String,
    /// Further headers; may hold secrets.
    pub headers: Vec<(String, String)>,
    /// Content type.
    pub content_type: &'static str,
    /// What is sent.
    pub body: Vec<u8>,
}

/// A GET that shows whether a receiver can be reached and tells it nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Where to; may hold a secret.
    pub url: String,
    /// Further headers; may hold secrets.
    pub headers: Vec<(String, String)>,
    /// Whether only 2xx is good; otherwise every answer shows that it is there.
    pub must_succeed: bool,
}

impl Probe {
    /// Any answer of the server of `url`, whose path may be the secret and is left out.
    pub fn of_server(url: &str) -> Self {
        let url = match reqwest::Url::parse(url) {
            Ok(mut url) => {
                url.set_path("/");
                url.set_query(None);
                url.to_string()
            }
            Err(_) => url.to_owned(),
        };
        Self { url, headers: Vec::new(), must_succeed: false }
    }
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// The receiver will never take it as it is: a dead letter.
    Refused(String),
    /// It may work later.
    Retry {
        /// What went wrong.
        why: String,
        /// How long the receiver asks to be left alone.
        after: Option<Duration>,
    },
}

/// The answer to a request.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After` in seconds.
    pub retry_after: Option<Duration>,
    /// The start of the body.
    pub body: &'a [u8],
}

/// The shape that one kind of receiver expects.
pub trait Shape: Send + Sync {
    /// The request that tells the receiver of `record`, at `now` (seconds since the Unix epoch).
    ///
    /// # Errors
    /// The record cannot be written in this shape; it says why.
    fn request(&self, record: &AlertRecord, now: i64) -> Result<Request, String>;

    /// What shows whether the receiver can be reached.
    fn probe(&self) -> Probe;

    /// What of its settings an answer might repeat, beside addresses and headers: keys in the body.
    fn keys(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether who knows the path or the query of the address may tell this receiver things.
    fn path_is_secret(&self) -> bool {
        false
    }

    /// What an answer means.
    fn outcome(&self, answer: Answer<'_>) -> Outcome {
        by_status(answer)
    }
}

/// 2xx is delivered; 408, 425, 429 and 5xx may work later; everything else never will as it is.
pub fn by_status(answer: Answer<'_>) -> Outcome {
    let said = String::from_utf8_lossy(answer.body);
    let said = super::text::shortened(&super::text::one_line(said.trim()), 300);
    let why = if said.is_empty() {
        format!("HTTP {}", answer.status)
    } else {
        format!("HTTP {}: {said}", answer.status)
    };
    match answer.status {
        200..=299 => Outcome::Delivered,
        300..=399 => Outcome::Refused(format!("{why} (redirects are not followed: set the final address)")),
        408 | 425 | 429 | 500..=599 => Outcome::Retry { why, after: answer.retry_after },
        _ => Outcome::Refused(why),
    }
}

fn json(value: &serde_json::Value) -> Result<Vec<u8>, String> {
    serde_json::to_vec(value).map_err(|error| format!("cannot be written as JSON: {error}"))
}
