//! Sends one request to one receiver: bounded in time, redirects not followed, the answer read only so far as it is
//! needed. Secrets (addresses, headers) never appear in its errors.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;

use super::AlertRecord;
use super::secrets::Secrets;
use super::shape::{Answer, Outcome, Request, Shape};

/// Bytes of an answer that are read.
const MOST_ANSWER: usize = 64 << 10;
/// Longest time that a receiver's `Retry-After` is honoured.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// A receiver behind HTTP.
pub struct HttpSink {
    client: reqwest::Client,
    shape: Box<dyn Shape>,
}

impl HttpSink {
    /// A receiver of `shape`; connecting and the whole request may take `timeout` each.
    ///
    /// # Errors
    /// The system's certificates cannot be read.
    pub fn new(shape: Box<dyn Shape>, timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(timeout)
            .timeout(timeout)
            .user_agent(concat!("isolog/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, shape })
    }

    /// Tells the receiver of `record`, at `now` (seconds since the Unix epoch).
    pub async fn deliver(&self, record: &AlertRecord, now: i64) -> Outcome {
        let asked = match self.shape.request(record, now) {
            Ok(request) => request,
            Err(why) => return Outcome::Refused(why),
        };
        let secrets = self.secrets(&asked);
        let request = match self.prepare(asked) {
            Ok(request) => request,
            Err(why) => return Outcome::Refused(why),
        };
        let mut response = match self.client.execute(request).await {
            Ok(response) => response,
            Err(error) => return Outcome::Retry { why: told(error), after: None },
        };
        let status = response.status().as_u16();
        let retry_after = wait(response.headers());
        let mut body = Vec::new();
        while body.len() < MOST_ANSWER {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                // The status is the answer; what follows it only explains.
                Err(_) if status >= 300 => break,
                Err(error) => return Outcome::Retry { why: told(error), after: None },
            }
        }
        body.truncate(MOST_ANSWER);
        let body = secrets.hide(&String::from_utf8_lossy(&body));
        self.shape.outcome(Answer { status, retry_after, body: body.as_bytes() })
    }

    /// What the answer to a request may repeat and nobody is to read.
    fn secrets(&self, request: &Request) -> Secrets {
        let address = Secrets::of_address(&request.url, self.shape.path_is_secret());
        self.shape.keys().iter().fold(address.with_headers(&request.headers), |all, key| all.with(key))
    }

    /// Whether the receiver answers, without telling it anything.
    ///
    /// # Errors
    /// It does not, or refuses what it was sent to sign in with; without the address.
    pub async fn probe(&self) -> Result<String, String> {
        let probe = self.shape.probe();
        let headers = header_map(&probe.headers)?;
        let response = self.client.get(&probe.url).headers(headers).send().await.map_err(told)?;
        let status = response.status();
        if probe.must_succeed && !status.is_success() {
            return Err(format!("answers HTTP {}", status.as_u16()));
        }
        Ok(format!("answers HTTP {}", status.as_u16()))
    }

    fn prepare(&self, request: Request) -> Result<reqwest::Request, String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(request.content_type));
        headers.extend(header_map(&request.headers)?);
        self.client.post(&request.url).headers(headers).body(request.body).build().map_err(told)
    }
}

/// Headers whose values are never logged.
fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, String> {
    let header = |(name, value): &(String, String)| {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("the header name `{name}` is none"))?;
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| format!("the value of the header `{name}` cannot be sent"))?;
        value.set_sensitive(true);
        Ok((name, value))
    };
    headers.iter().map(header).collect()
}

/// An error without the address, which may hold a secret.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if text.contains("certificate") {
        text.push_str(
            "; this system does not trust it: add its authority to the system's, or name it by SSL_CERT_FILE",
        );
    }
    text
}

/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), at most an hour.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match value.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let then = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
            let wait = then.duration_since(jiff::Timestamp::now()).as_secs();
            u64::try_from(wait).unwrap_or_default()
        }
    };
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests;
