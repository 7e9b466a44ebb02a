//! Any HTTP receiver: the alert record itself, a CloudEvent 1.0 around it
//! (<https://github.com/cloudevents/spec>), or a summary; signed in the Standard Webhooks form
//! (<https://www.standardwebhooks.com>) where a secret is set.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::json;
use sha2::Sha256;

use super::{Probe, Request, Shape};
use crate::AlertRecord;

/// What the body holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// The alert record.
    #[default]
    Alert,
    /// A CloudEvent in structured JSON mode, the alert record as its data.
    CloudEvents,
    /// `{severity, count, alerts: [{service, details}]}`.
    Summary,
}

/// An HTTP receiver.
pub struct Webhook {
    /// Where to.
    pub url: String,
    /// What the body holds.
    pub body: Body,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// Key of the signature.
    pub secret: Option<Vec<u8>>,
}

/// The key in a secret as the Standard Webhooks libraries write it: base64, behind `whsec_` or not.
///
/// # Errors
/// It is not base64, or not 24 to 64 bytes long.
pub fn secret_key(secret: &str) -> Result<Vec<u8>, String> {
    let encoded = secret.strip_prefix("whsec_").unwrap_or(secret);
    let key = STANDARD.decode(encoded.trim()).map_err(|_| "it is not base64".to_owned())?;
    if (24..=64).contains(&key.len()) {
        Ok(key)
    } else {
        Err(format!("it holds {} bytes, 24 to 64 are allowed", key.len()))
    }
}

impl Shape for Webhook {
    fn request(&self, record: &AlertRecord, now: i64) -> Result<Request, String> {
        let data =
            serde_json::to_value(record).map_err(|error| format!("cannot be written as JSON: {error}"))?;
        let id = record.delivery_id();
        let (content_type, value) = match self.body {
            Body::Alert => ("application/json", data),
            Body::CloudEvents => {
                let mut event = json!({
                    "specversion": "1.0",
                    "id": id,
                    "source": "/isolog",
                    "type": format!("io.isolog.alert.{}", record.cause.as_str()),
                    "time": record.last_seen,
                    "datacontenttype": "application/json",
                    "data": data,
                });
                // A subject that is there must not be empty.
                if !record.service.is_empty() {
                    event["subject"] = json!(record.service);
                }
                ("application/cloudevents+json", event)
            }
            Body::Summary => (
                "application/json",
                json!({
                    "severity": record.severity.as_str(),
                    "count": record.count,
                    "alerts": [{"service": record.service, "details": record.message}],
                }),
            ),
        };
        let body = super::json(&value)?;
        let mut headers = self.headers.clone();
        headers.push(("webhook-id".to_owned(), id.clone()));
        headers.push(("webhook-timestamp".to_owned(), now.to_string()));
        if let Some(key) = &self.secret {
            headers.push(("webhook-signature".to_owned(), signature(key, &id, now, &body)?));
        }
        Ok(Request { url: self.url.clone(), headers, content_type, body })
    }

    fn path_is_secret(&self) -> bool {
        true
    }

    fn probe(&self) -> Probe {
        Probe::of_server(&self.url)
    }
}

/// `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
fn signature(key: &[u8], id: &str, now: i64, body: &[u8]) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|error| error.to_string())?;
    mac.update(format!("{id}.{now}.").as_bytes());
    mac.update(body);
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks libraries.
    #[test]
    fn the_published_signature_is_reproduced() {
        let key = secret_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#)
                .unwrap();
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_is_none_is_refused() {
        assert!(secret_key("whsec_%%%").unwrap_err().contains("base64"));
        assert!(secret_key("c2hvcnQ=").unwrap_err().contains("5 bytes"));
    }
}
