//! An HTTP server on loopback that holds what it gets against rules, and the records that it gets.

use std::net::SocketAddr;
use std::sync::Once;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse as _;
use notify::settings::SinksSettings;
use notify::{AlertRecord, Outcome, Receiver, settings};
use serde_json::{Value, json};

/// A request as a receiver sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> Result<&str, String> {
        let value = self.headers.get(name).ok_or_else(|| format!("the header {name} is missing"))?;
        value.to_str().map_err(|_| format!("the header {name} is no text"))
    }

    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("the body is no JSON: {error}"))
    }
}

/// What a receiver answers: status and body; or why it refuses.
pub type Rules = fn(&Seen) -> Result<(u16, String), String>;

/// A receiver that answers by `rules`, and 400 with the reason where they refuse.
pub async fn receiver(rules: Rules) -> SocketAddr {
    let answer = move |uri: Uri, headers: HeaderMap, body: Bytes| async move {
        match rules(&Seen { path: uri.path().to_owned(), headers, body }) {
            Ok((status, body)) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
            Err(why) => (StatusCode::BAD_REQUEST, why).into_response(),
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).layer(DefaultBodyLimit::disable());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// The settings that these values make.
pub fn read(values: &[(&str, String)]) -> SinksSettings {
    let find = |name: &str| values.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
    settings::read(&find).unwrap()
}

/// Tells the only sink of these settings.
pub async fn tell(values: &[(&str, String)], record: &AlertRecord) -> Outcome {
    static TLS: Once = Once::new();
    TLS.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
    let settings = read(values);
    let [sink] = settings.all.as_slice() else { panic!("not one sink: {settings:?}") };
    let now = jiff::Timestamp::now().as_second();
    Receiver::new(sink, settings.timeout).unwrap().deliver(record, now).await
}

/// What people try to smuggle into chats and mails.
const SMUGGLED: &str = "<!channel> <@U012AB3CD> <https://evil.example|click> *b* _i_ `c` @here &lt;!here&gt; \
                        [x](https://evil.example)\r\nBcc: all@example.test\u{202e}\u{1b}[31m\0 {{7*7}} ${7*7} 🔥";

/// Records of all kinds, each with a name.
pub fn records() -> Vec<(&'static str, AlertRecord)> {
    let line = |message: &str| {
        json!({"timestamp": "2026-01-02T12:00:10Z", "level": "ERROR", "message": message, "score": 0.75,
               "percentile": 99.5, "source": {"kind": "kafka", "topic": "logs", "partition": 0, "offset": 41}})
    };
    let usual = json!({
        "schema": 1, "id": "00112233445566778899aabbccddeeff", "revision": 1, "cause": "opened", "status": "firing",
        "severity": "error", "service": "billing_api", "detector": "error_burst", "message": "6 ERROR lines in 5 s",
        "first_seen": "2026-01-02T12:00:10Z", "last_seen": "2026-01-02T12:00:12Z", "resolved_at": null, "count": 6,
        "score": 0.75, "reasons": ["more than 5 in a window"],
        "parts": [{"detector": "error_burst", "subject": "", "severity": "error", "headline": "6 ERROR lines in 5 s",
                   "count": 1, "first_seen": "2026-01-02T12:00:10Z", "last_seen": "2026-01-02T12:00:12Z"}],
        "evidence": [line("payment gateway refused the card")],
        "source": {"kind": "kafka", "topic": "logs", "partition": 0, "offset": 41}, "model": "0123",
        "link": "https://isolog.example/alerts/00112233445566778899aabbccddeeff", "notify": [], "held_back": false,
    });
    let with = |changes: Value| {
        let mut record = usual.clone();
        record.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(record).unwrap()
    };
    let long = "é".repeat(1_000_000);
    vec![
        ("usual", with(json!({}))),
        (
            "resolved",
            with(
                json!({"status": "resolved", "cause": "resolved", "revision": 3, "resolved_at": "2026-01-02T12:05:12Z"}),
            ),
        ),
        ("graver", with(json!({"cause": "graver", "severity": "critical", "revision": 2}))),
        (
            "empty",
            with(json!({"service": "", "message": "", "reasons": ["", ""], "parts": [], "evidence": [],
                        "source": null, "model": "", "link": null})),
        ),
        (
            "smuggled",
            with(
                json!({"service": SMUGGLED, "message": SMUGGLED, "detector": SMUGGLED, "reasons": [SMUGGLED],
                        "evidence": [line(SMUGGLED)]}),
            ),
        ),
        (
            "large",
            with(json!({"service": long, "message": long, "reasons": vec![long.as_str(); 20],
                        "evidence": [line(&long), line(&long), line(&long)]})),
        ),
        (
            "ahead of the clock",
            with(json!({"first_seen": "2199-01-01T00:00:00Z", "last_seen": "2199-01-01T00:00:01Z"})),
        ),
    ]
}
