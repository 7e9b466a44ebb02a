//! Tells receivers of alerts, each in the shape that it expects, and tries until it is delivered or refused. Decides
//! nothing about alerts and keeps nothing on disk.

mod circuit;
pub mod dispatch;
mod email;
mod http;
mod record;
mod secrets;
pub mod settings;
mod shape;
mod text;

#[cfg(test)]
mod testing;

use std::time::Duration;

use jiff::SignedDuration;

pub use email::Email;
pub use engine::alert::{Cause, Status};
pub use engine::detect::Severity;
pub use http::HttpSink;
pub use record::{AlertRecord, EvidenceField, PartField, SCHEMA};
pub use shape::{Body, Outcome, secret_key};

use settings::{SinkKind, SinkSettings};
use shape::{Alertmanager, Elasticsearch, PagerDuty, Shape, Slack, Webhook};

/// How long an alert lasts in Alertmanager without news: the repeat interval of four hours and some.
const LASTS: SignedDuration = SignedDuration::from_hours(5);

/// One receiver of alerts.
pub enum Receiver {
    /// Behind HTTP.
    Http(HttpSink),
    /// Behind a mail server.
    Email(Box<Email>),
}

impl Receiver {
    /// The receiver that the settings describe. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// What of the settings cannot be used.
    pub fn new(settings: &SinkSettings, timeout: Duration) -> Result<Self, String> {
        let shape: Box<dyn Shape> = match &settings.kind {
            SinkKind::Email { url, from, to } => {
                return Email::new(url.expose(), from, to, timeout).map(|email| Self::Email(Box::new(email)));
            }
            SinkKind::Webhook { url, body, headers, secret } => Box::new(Webhook {
                url: url.expose().to_owned(),
                body: *body,
                headers: headers
                    .iter()
                    .map(|(name, value)| (name.clone(), value.expose().to_owned()))
                    .collect(),
                secret: secret.as_ref().map(|secret| secret_key(secret.expose())).transpose()?,
            }),
            SinkKind::Slack { url } => Box::new(Slack { url: url.expose().to_owned() }),
            SinkKind::PagerDuty { url, routing_key } => {
                Box::new(PagerDuty { url: url.clone(), routing_key: routing_key.expose().to_owned() })
            }
            SinkKind::Alertmanager { url } => {
                Box::new(Alertmanager { url: url.expose().to_owned(), lasts: LASTS })
            }
            SinkKind::Elasticsearch { url, index, authorization } => Box::new(Elasticsearch {
                url: url.expose().to_owned(),
                index: index.clone(),
                authorization: authorization.as_ref().map(|value| value.expose().to_owned()),
            }),
        };
        let http = HttpSink::new(shape, timeout).map_err(|error| error.to_string())?;
        Ok(Self::Http(http))
    }

    /// Whether it can be reached, without telling it anything.
    ///
    /// # Errors
    /// It cannot; why, without a secret.
    pub async fn probe(&self) -> Result<String, String> {
        match self {
            Self::Http(http) => http.probe().await,
            Self::Email(email) => email.probe().await,
        }
    }

    /// Tells it of `record`, at `now` (seconds since the Unix epoch).
    pub async fn deliver(&self, record: &AlertRecord, now: i64) -> Outcome {
        match self {
            Self::Http(http) => http.deliver(record, now).await,
            Self::Email(email) => email.deliver(record).await,
        }
    }
}
