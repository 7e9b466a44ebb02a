//! A running scorer's API, asked from the command line.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::runtime::{Handle, Runtime};

use crate::config::Secret;

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(30);

/// The API.
pub struct Api {
    base: String,
    token: Option<Secret>,
    client: reqwest::Client,
    runtime: Handle,
}

impl Api {
    /// At this address.
    ///
    /// # Errors
    /// It is none that can be asked.
    pub fn new(url: &str, token: Option<Secret>, runtime: &Runtime) -> anyhow::Result<Self> {
        if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
            bail!("--url {url:?} cannot be used; allowed: http://HOST:PORT or https://HOST");
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER)
            .user_agent(concat!("isolog/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let base = url.trim_end_matches('/').to_owned();
        Ok(Self { base, token, client, runtime: runtime.handle().clone() })
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        let text = self.ask(reqwest::Method::GET, path, None)?;
        serde_json::from_str(&text).with_context(|| format!("{}{path} does not answer with JSON", self.base))
    }

    /// As [`Api::get`], for what is no JSON.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub fn text(&self, path: &str) -> anyhow::Result<String> {
        self.ask(reqwest::Method::GET, path, None)
    }

    /// Changes something.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub fn change(&self, method: reqwest::Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        // Without a token a change must carry what its page would.
        let csrf = match self.token {
            Some(_) => None,
            None => self.get("/api/v1/session")?["csrf"].as_str().map(str::to_owned),
        };
        let text = self.ask(method, path, Some((body, csrf)))?;
        serde_json::from_str(&text).with_context(|| format!("{}{path} does not answer with JSON", self.base))
    }

    fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<(&Value, Option<String>)>,
    ) -> anyhow::Result<String> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some((body, csrf)) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
            if let Some(csrf) = csrf {
                request = request.header("x-csrf-token", csrf);
            }
        }
        let (status, text) = self
            .runtime
            .block_on(async {
                let answer = request.send().await.map_err(reqwest::Error::without_url)?;
                let status = answer.status();
                Ok::<_, reqwest::Error>((status, answer.text().await?))
            })
            .with_context(|| format!("{} does not answer", self.base))?;
        if status.is_success() {
            return Ok(text);
        }
        let said = serde_json::from_str::<Value>(&text).ok();
        let said = said.as_ref().and_then(|said| said["error"].as_str());
        bail!("{} answers {status}: {}", self.base, super::short(said.unwrap_or(&text)))
    }
}

/// A text as a part of an address.
pub fn path_part(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}
