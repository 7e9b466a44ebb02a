use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::testing::record;
use crate::{Cause, Status};

/// 2027-01-15T08:00:00Z, after the records.
const NOW: i64 = 1_800_000_000;

fn sent(shape: &dyn Shape, record: &AlertRecord) -> Value {
    serde_json::from_slice(&shape.request(record, NOW).unwrap().body).unwrap()
}

fn resolved() -> AlertRecord {
    AlertRecord { status: Status::Resolved, cause: Cause::Resolved, revision: 3, ..record() }
}

fn pagerduty() -> PagerDuty {
    PagerDuty { url: "https://pd.example/v2/enqueue".into(), routing_key: "R0".into() }
}

#[test]
fn pagerduty_gets_one_incident_for_all_records_of_an_alert() {
    let trigger = sent(&pagerduty(), &record());
    assert_eq!(trigger["event_action"], "trigger");
    assert_eq!(trigger["dedup_key"], record().id.as_str());
    assert_eq!(trigger["payload"]["severity"], "error");
    assert_eq!(trigger["payload"]["source"], "billing_api");
    assert_eq!(trigger["payload"]["summary"], "[ERROR] billing_api: 6 ERROR lines in 5 s");
    let resolve = sent(&pagerduty(), &resolved());
    assert_eq!(resolve, json!({"routing_key": "R0", "event_action": "resolve", "dedup_key": record().id}));
}

#[test]
fn pagerduty_takes_at_most_512_kb_whatever_the_evidence() {
    let mut record = record();
    record.message = "é".repeat(10_000_000);
    record.evidence[0].message = "x".repeat(10_000_000);
    let request = pagerduty().request(&record, 0).unwrap();
    assert!(request.body.len() < 512_000, "{}", request.body.len());
}

#[test]
fn a_graver_alert_ends_the_lower_one_in_alertmanager() {
    let shape = Alertmanager { url: "http://am:9093/".into(), lasts: jiff::SignedDuration::from_hours(5) };
    let request = shape.request(&record(), NOW).unwrap();
    assert_eq!(request.url, "http://am:9093/api/v2/alerts");
    let opened = sent(&shape, &record());
    assert_eq!(opened.as_array().unwrap().len(), 1);
    assert_eq!(opened[0]["labels"]["severity"], "error");
    assert_eq!(opened[0]["startsAt"], "2026-01-02T12:00:10Z");
    assert_eq!(opened[0]["endsAt"], "2027-01-15T13:00:00Z");
    let graver = sent(&shape, &AlertRecord { cause: Cause::Graver, ..record() });
    let of = |severity: &str| {
        graver.as_array().unwrap().iter().find(|alert| alert["labels"]["severity"] == severity).unwrap()["endsAt"].clone()
    };
    assert_eq!(of("warning"), "2027-01-15T08:00:00Z");
    assert_eq!(of("error"), "2027-01-15T13:00:00Z");
    assert_eq!(sent(&shape, &resolved())[0]["endsAt"], "2027-01-15T08:00:00Z");
}

#[test]
fn an_alert_ahead_of_the_clock_does_not_end_in_alertmanager_before_it_starts() {
    let shape = Alertmanager { url: "http://am:9093".into(), lasts: jiff::SignedDuration::from_hours(5) };
    let ahead = AlertRecord { first_seen: "2199-01-01T00:00:00Z".into(), ..resolved() };
    let end = sent(&shape, &ahead);
    assert_eq!(
        (&end[0]["startsAt"], &end[0]["endsAt"]),
        (&json!("2027-01-15T08:00:00Z"), &json!("2027-01-15T08:00:00Z"))
    );
}

#[test]
fn slack_shows_log_text_as_text() {
    let shape = Slack { url: "https://hooks.example/T/B/x".into() };
    let mut record = record();
    record.service = "<!channel>".into();
    record.message = "*bold* <https://evil.example|click> @here".into();
    record.evidence[0].message = "`<!everyone>` ```\u{202e}".into();
    let body = sent(&shape, &record);
    assert_eq!(body["text"], "[ERROR] &lt;!channel&gt;: *bold* &lt;https://evil.example|click&gt; @here");
    let markup = |block: &Value| block.to_string().contains("mrkdwn");
    assert!(body["blocks"].as_array().unwrap().iter().all(|block| !markup(block)));
    let code = body["blocks"].as_array().unwrap().iter().find(|block| block["type"] == "rich_text").unwrap();
    let text = code["elements"][0]["elements"][0]["text"].as_str().unwrap();
    assert!(text.ends_with("`<!everyone>` ``` "), "{text}");
}

#[test]
fn slack_blocks_keep_to_their_lengths() {
    let shape = Slack { url: String::new() };
    let mut record = record();
    record.message = "x".repeat(100_000);
    record.reasons = vec!["y".repeat(100_000); 8];
    let body = sent(&shape, &record);
    let blocks = body["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50);
    assert!(blocks[0]["text"]["text"].as_str().unwrap().len() <= 150);
    assert!(body.to_string().len() < 40_000);
}

fn webhook(body: Body) -> Webhook {
    Webhook { url: "https://hook.example/x".into(), body, headers: Vec::new(), secret: None }
}

#[test]
fn a_webhook_gets_the_record_under_an_id_of_its_own() {
    let request = webhook(Body::Alert).request(&record(), 1_700_000_000).unwrap();
    assert_eq!(serde_json::from_slice::<AlertRecord>(&request.body).unwrap(), record());
    let header =
        |name: &str| request.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    assert_eq!(header("webhook-id"), Some(format!("{}-1", record().id)));
    assert_eq!(header("webhook-timestamp").as_deref(), Some("1700000000"));
    assert_eq!(header("webhook-signature"), None);
}

#[test]
fn a_cloud_event_names_source_type_and_subject() {
    let shape = webhook(Body::CloudEvents);
    assert_eq!(shape.request(&record(), 0).unwrap().content_type, "application/cloudevents+json");
    let event = sent(&shape, &record());
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "io.isolog.alert.opened");
    assert_eq!(event["subject"], "billing_api");
    assert_eq!(event["data"]["id"], record().id.as_str());
}

#[test]
fn a_summary_has_severity_count_and_details() {
    assert_eq!(
        sent(&webhook(Body::Summary), &record()),
        json!({"severity": "error", "count": 6, "alerts": [{"service": "billing_api", "details": "6 ERROR lines in 5 s"}]})
    );
}

fn answer(status: u16, body: &str) -> Answer<'_> {
    Answer { status, retry_after: None, body: body.as_bytes() }
}

#[rstest]
#[case(200, true)]
#[case(202, true)]
#[case(429, false)]
#[case(503, false)]
fn an_answer_says_whether_it_is_worth_trying_again(#[case] status: u16, #[case] delivered: bool) {
    let outcome = by_status(answer(status, "slow down"));
    assert_eq!(outcome == Outcome::Delivered, delivered);
    assert_eq!(matches!(outcome, Outcome::Retry { .. }), !delivered);
}

#[rstest]
#[case(301)]
#[case(400)]
#[case(404)]
fn what_will_never_be_taken_is_refused_with_what_was_said(#[case] status: u16) {
    let Outcome::Refused(why) = by_status(answer(status, "no\nsuch thing")) else { panic!("not refused") };
    assert!(why.contains("no such thing") && why.contains(&status.to_string()), "{why}");
}

fn elasticsearch() -> Elasticsearch {
    Elasticsearch { url: "http://es:9200".into(), index: "isolog-alerts".into(), authorization: None }
}

#[test]
fn elasticsearch_creates_a_document_under_the_records_own_id() {
    let request = elasticsearch().request(&record(), 0).unwrap();
    assert_eq!(request.url, "http://es:9200/_bulk");
    let lines: Vec<Value> = request
        .body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines[0], json!({"create": {"_index": "isolog-alerts", "_id": format!("{}-1", record().id)}}));
    assert_eq!(lines[1]["@timestamp"], "2026-01-02T12:00:12Z");
    assert!(request.body.ends_with(b"\n"));
}

#[rstest]
#[case(r#"{"errors":false,"items":[{"create":{"status":201}}]}"#, Outcome::Delivered)]
#[case(r#"{"errors":true,"items":[{"create":{"status":409,"error":{"type":"version_conflict_engine_exception"}}}]}"#, Outcome::Delivered)]
fn a_document_that_is_there_already_is_delivered(#[case] body: &str, #[case] expected: Outcome) {
    assert_eq!(elasticsearch().outcome(answer(200, body)), expected);
}

#[test]
fn an_elasticsearch_error_inside_an_ok_is_seen() {
    let busy = r#"{"errors":true,"items":[{"create":{"status":429,"error":{"reason":"queue is full"}}}]}"#;
    assert!(matches!(elasticsearch().outcome(answer(200, busy)), Outcome::Retry { .. }));
    let bad = r#"{"errors":true,"items":[{"create":{"status":400,"error":{"reason":"mapping"}}}]}"#;
    assert!(
        matches!(elasticsearch().outcome(answer(200, bad)), Outcome::Refused(why) if why.contains("mapping"))
    );
    assert!(matches!(elasticsearch().outcome(answer(200, "<html>")), Outcome::Retry { .. }));
}

#[test]
fn the_notice_of_a_budget_is_heard_though_it_is_over_as_it_comes() {
    let notice = AlertRecord { cause: Cause::Notice, ..resolved() };
    assert_eq!(sent(&pagerduty(), &notice)["event_action"], "trigger");
    let shape = Alertmanager { url: "http://am:9093".into(), lasts: jiff::SignedDuration::from_hours(5) };
    assert_eq!(sent(&shape, &notice)[0]["endsAt"], "2027-01-15T09:00:00Z");
}
