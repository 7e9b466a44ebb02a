//! Every kind of record is taken by every kind of receiver, and the receivers do refuse what is wrong.

use axum::body::Bytes;
use axum::http::HeaderMap;
use notify::{AlertRecord, Outcome};
use rstest::rstest;
use serde_json::{Value, json};

use crate::rules;
use crate::server::{Rules, Seen, receiver, records, tell};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A sink's settings with its receiver at this address.
type Settings = fn(&str) -> Vec<(&'static str, String)>;

fn slack(base: &str) -> Vec<(&'static str, String)> {
    vec![("SLACK_WEBHOOK_URL", format!("{base}/services/T/B/x"))]
}

fn pagerduty(base: &str) -> Vec<(&'static str, String)> {
    vec![("PAGERDUTY_ROUTING_KEY", KEY.to_owned()), ("PAGERDUTY_URL", format!("{base}/v2/enqueue"))]
}

fn signed(base: &str) -> Vec<(&'static str, String)> {
    vec![("ALERT_WEBHOOK_URL", base.to_owned()), ("ALERT_WEBHOOK_SECRET", rules::SECRET.to_owned())]
}

fn cloud_event(base: &str) -> Vec<(&'static str, String)> {
    vec![("ALERT_WEBHOOK_URL", base.to_owned()), ("ALERT_WEBHOOK_BODY", "cloudevents".to_owned())]
}

fn elasticsearch(base: &str) -> Vec<(&'static str, String)> {
    vec![("ELASTICSEARCH_URL", base.to_owned())]
}

fn alertmanager(base: &str) -> Vec<(&'static str, String)> {
    vec![("ALERTMANAGER_URL", base.to_owned())]
}

#[rstest]
#[case::slack(slack, rules::slack)]
#[case::pagerduty(pagerduty, rules::pagerduty)]
#[case::standard_webhook(signed, rules::standard_webhook)]
#[case::cloud_event(cloud_event, rules::cloud_event)]
#[case::elasticsearch(elasticsearch, rules::bulk)]
#[case::alertmanager(alertmanager, rules::alertmanager)]
#[tokio::test]
async fn a_receiver_takes_every_kind_of_record(#[case] settings: Settings, #[case] rules: Rules) {
    let base = format!("http://{}", receiver(rules).await);
    for (name, record) in records() {
        assert_eq!(tell(&settings(&base), &record).await, Outcome::Delivered, "{name}");
    }
}

#[tokio::test]
async fn a_receiver_with_another_secret_refuses() {
    let base = format!("http://{}", receiver(rules::standard_webhook).await);
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned();
    let settings = [("ALERT_WEBHOOK_URL", base), ("ALERT_WEBHOOK_SECRET", other)];
    let outcome = tell(&settings, &records()[0].1).await;
    assert!(matches!(outcome, Outcome::Refused(why) if why.contains("No matching signature found")));
}

/// Two deliveries of one record are one thing to a receiver that can tell.
#[tokio::test]
async fn a_repeated_delivery_can_be_told() {
    fn id(seen: &Seen) -> Result<(u16, String), String> {
        Err(seen.header("webhook-id")?.to_owned())
    }
    let base = format!("http://{}", receiver(id).await);
    let refused = |record: AlertRecord| {
        let settings = [("ALERT_WEBHOOK_URL", base.clone())];
        async move {
            match tell(&settings, &record).await {
                Outcome::Refused(why) => why,
                other => panic!("{other:?}"),
            }
        }
    };
    let usual = records()[0].1.clone();
    let first = refused(usual.clone()).await;
    assert_eq!(refused(usual.clone()).await, first);
    assert_ne!(refused(AlertRecord { revision: 2, ..usual }).await, first);
}

fn seen(path: &str, content_type: &str, body: &Value) -> Seen {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", content_type.parse().unwrap());
    Seen { path: path.to_owned(), headers, body: Bytes::from(format!("{body}\n")) }
}

#[rstest]
#[case(json!({"blocks": []}), "text")]
#[case(json!({"text": "<!channel>", "blocks": []}), "markup")]
#[case(json!({"text": "x", "blocks": []}), "1 to 50")]
#[case(json!({"text": "x", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "x".repeat(151)}}]}), "150")]
#[case(json!({"text": "x", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": ""}}]}), "0 characters")]
#[case(json!({"text": "x", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x"}}]}), "markup")]
#[case(json!({"text": "x", "blocks": [{"type": "section", "fields": []}]}), "1 to 10")]
#[case(json!({"text": "x", "blocks": [{"type": "video"}]}), "no type")]
#[case(json!({"text": "x", "color": "red", "blocks": []}), "color")]
fn the_rules_of_slack_refuse(#[case] body: Value, #[case] part: &str) {
    let why = rules::slack(&seen("/", "application/json", &body)).unwrap_err();
    assert!(why.contains(part), "{why}");
}

fn event(changes: &Value) -> Value {
    let mut event = json!({
        "routing_key": KEY, "event_action": "trigger", "dedup_key": "x",
        "payload": {"summary": "x", "source": "x", "severity": "error", "timestamp": "2026-01-02T12:00:10Z",
                    "component": "", "class": ""},
    });
    for (name, value) in changes.as_object().unwrap() {
        match name.strip_prefix("payload.") {
            Some(name) => event["payload"][name] = value.clone(),
            None => event[name] = value.clone(),
        }
    }
    event
}

#[rstest]
#[case(json!({"routing_key": "short"}), "32 characters")]
#[case(json!({"event_action": "fire"}), "event_action")]
#[case(json!({"dedup_key": "x".repeat(256)}), "255")]
#[case(json!({"client_url": null}), "client_url")]
#[case(json!({"payload.summary": "x".repeat(1_025)}), "1024")]
#[case(json!({"payload.source": ""}), "source")]
#[case(json!({"payload.severity": "fatal"}), "severity")]
#[case(json!({"payload.timestamp": "yesterday"}), "no time")]
#[case(json!({"payload.custom_details": "x".repeat(600_000)}), "too large")]
fn the_rules_of_pagerduty_refuse(#[case] changes: Value, #[case] part: &str) {
    rules::pagerduty(&seen("/v2/enqueue", "application/json", &event(&json!({})))).unwrap();
    let why = rules::pagerduty(&seen("/v2/enqueue", "application/json", &event(&changes))).unwrap_err();
    assert!(why.contains(part), "{why}");
}

#[rstest]
#[case(json!({"specversion": "1.0", "id": "1", "source": "/x"}), "type")]
#[case(json!({"specversion": "0.3", "id": "1", "source": "/x", "type": "t"}), "specversion")]
#[case(json!({"specversion": "1.0", "id": "1", "source": "/x", "type": "t", "subject": ""}), "subject")]
#[case(json!({"specversion": "1.0", "id": "1", "source": "/x", "type": "t", "alertId": "1"}), "a-z")]
fn the_rules_of_cloud_events_refuse(#[case] body: Value, #[case] part: &str) {
    let why = rules::cloud_event(&seen("/", "application/cloudevents+json", &body)).unwrap_err();
    assert!(why.contains(part), "{why}");
}

#[test]
fn the_rules_of_the_bulk_api_and_of_alertmanager_refuse() {
    let body = json!({"create": {"_index": "i", "_id": "1"}});
    assert!(rules::bulk(&seen("/_bulk", "application/x-ndjson", &body)).is_err());
    assert!(rules::bulk(&seen("/_bulk", "text/plain", &body)).unwrap_err().contains("not supported"));
    let backwards = json!([{"labels": {"a": "b"}, "annotations": {}, "startsAt": "2026-01-02T12:00:10Z",
                            "endsAt": "2026-01-02T12:00:09Z"}]);
    let why = rules::alertmanager(&seen("/api/v2/alerts", "application/json", &backwards)).unwrap_err();
    assert!(why.contains("before end time"), "{why}");
}
