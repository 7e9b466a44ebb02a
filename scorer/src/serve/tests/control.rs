use std::sync::Arc;

use notify::AlertRecord;
use serde_json::{Value, json};

use super::Running;
use super::access::{Answer, send};

const OPERATOR: &str = "Authorization: Bearer correct-horse\r\n";
const VIEWER: &str = "Authorization: Bearer looking-horse\r\n";

async fn start() -> Running {
    Running::start(&[("HTTP_TOKEN", "correct-horse"), ("HTTP_VIEWER_TOKEN", "looking-horse")]).await
}

async fn ask(running: &Running, path: &str) -> Answer {
    send(running, &format!("GET {path}"), VIEWER, "").await
}

async fn change(running: &Running, request: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    send(running, request, OPERATOR, &body).await
}

fn alert() -> AlertRecord {
    let part = |detector: &str, subject: &str| {
        json!({
            "detector": detector, "subject": subject, "severity": "error", "headline": "h", "count": 1,
            "first_seen": "2026-01-02T12:00:10Z", "last_seen": "2026-01-02T12:00:12Z",
        })
    };
    let record = json!({
        "schema": 1, "id": "0a1b", "revision": 1, "cause": "opened", "status": "firing", "severity": "error",
        "service": "billing \"api\"", "detector": "error_burst", "message": "6 ERROR lines in 5 s",
        "first_seen": "2026-01-02T12:00:10Z", "last_seen": "2026-01-02T12:00:12Z", "resolved_at": null, "count": 6,
        "score": 0.75, "reasons": [], "parts": [part("error_burst", ""), part("odd_line", "9f")], "evidence": [],
        "source": null, "model": "0123", "link": null, "notify": [], "held_back": false,
    });
    serde_json::from_value(record).unwrap()
}

#[tokio::test]
async fn an_operator_makes_and_ends_a_silence_and_a_viewer_sees_it() {
    let running = start().await;
    let wanted = json!({"filter": "service == \"billing\"", "minutes": 60.0, "comment": "they move house"});
    let refused = send(&running, "POST /api/v1/silences", VIEWER, &wanted.to_string()).await;
    assert_eq!(refused.status, 403);
    assert!(refused.body["error"].as_str().unwrap().contains("HTTP_TOKEN"), "{}", refused.body);
    let made = change(&running, "POST /api/v1/silences", &wanted).await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(made.body["created_by"], "operator at 127.0.0.1");
    let listed = ask(&running, "/api/v1/silences").await;
    assert_eq!(listed.body["silences"], json!([made.body]));
    assert_eq!(listed.body["silences"][0]["comment"], "they move house");
    let path = format!("/api/v1/silences/{}", made.body["id"].as_str().unwrap());
    assert_eq!(send(&running, &format!("DELETE {path}"), VIEWER, "").await.status, 403);
    let not_normal = path.replace("silences", "normals");
    assert_eq!(change(&running, &format!("DELETE {not_normal}"), &Value::Null).await.status, 404);
    assert_eq!(change(&running, &format!("DELETE {path}"), &Value::Null).await.status, 200);
    assert_eq!(ask(&running, "/api/v1/silences").await.body, json!({"silences": []}));
    assert_eq!(change(&running, &format!("DELETE {path}"), &Value::Null).await.status, 404);
    running.stop().await;
}

#[tokio::test]
async fn a_silence_that_cannot_be_is_refused_with_what_is_allowed() {
    let running = start().await;
    for (body, said) in [
        (json!({"filter": "service ==", "minutes": 5}), "faulty"),
        (json!({"filter": "nobody == 1", "minutes": 5}), "nobody"),
        (json!({"filter": "true"}), "one of minutes and until"),
        (
            json!({"filter": "true", "minutes": 5, "until": "2099-01-01T00:00:00Z"}),
            "one of minutes and until",
        ),
        (json!({"filter": "true", "minutes": 0}), "1 to 525600"),
        (json!({"filter": "true", "minutes": 525_601.0}), "1 to 525600"),
        (json!({"filter": "true", "until": "2020-01-01T00:00:00Z"}), "ahead"),
        (json!({"filter": "true", "until": "2999-01-01T00:00:00Z"}), "a year"),
    ] {
        let answer = change(&running, "POST /api/v1/silences", &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        assert!(answer.body["error"].as_str().unwrap().contains(said), "{body}: {}", answer.body);
    }
    for body in [
        json!({"filter": "true", "minutes": 0.5}),
        json!({"filter": "true", "minutes": 5, "for": 1}),
        json!({"minutes": 5}),
        json!([]),
    ] {
        let answer = change(&running, "POST /api/v1/silences", &body).await;
        assert!((400..500).contains(&answer.status), "{body}: {}", answer.status);
        assert!(answer.body["error"].is_string(), "{body}: {}", answer.body);
    }
    assert_eq!(ask(&running, "/api/v1/silences").await.body, json!({"silences": []}));
    running.stop().await;
}

#[tokio::test]
async fn an_alert_is_silenced_by_its_service_and_detector() {
    let running = start().await;
    let unknown = change(&running, "POST /api/v1/alerts/0a1b/silence", &json!({"minutes": 60})).await;
    assert_eq!(unknown.status, 404, "{}", unknown.body);
    running.app.board.alert(Arc::new(alert()));
    let made =
        change(&running, "POST /api/v1/alerts/0a1b/silence", &json!({"minutes": 60, "comment": "c"})).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let filter = r#"service == "billing \"api\"" && attributes.detector == "error_burst""#;
    assert_eq!(made.body["filter"], filter);
    let detail = ask(&running, "/api/v1/alerts/0a1b").await;
    assert_eq!((&detail.body["silences"], &detail.body["normals"]), (&json!([made.body]), &json!([])));
    running.stop().await;
}

#[tokio::test]
async fn an_alert_is_called_normal_by_its_parts_until_that_is_undone() {
    let running = start().await;
    running.app.board.alert(Arc::new(alert()));
    let made = change(&running, "POST /api/v1/alerts/0a1b/normal", &json!({"comment": "every night"})).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let service = "billing \"api\"";
    let parts = json!([
        {"detector": "error_burst", "service": service, "subject": ""},
        {"detector": "odd_line", "service": service, "subject": "9f"},
    ]);
    assert_eq!((&made.body["normals"], &made.body["alert"]), (&parts, &"0a1b".into()));
    let listed = ask(&running, "/api/v1/normals").await;
    assert_eq!(listed.body["normals"], json!([made.body]));
    let detail = ask(&running, "/api/v1/alerts/0a1b").await;
    assert_eq!(detail.body["normals"], json!([made.body]));
    let exported = ask(&running, "/api/v1/normals/export").await;
    assert!(exported.head.contains("application/toml"), "{}", exported.head);
    let path = format!("DELETE /api/v1/normals/{}", made.body["id"].as_str().unwrap());
    assert_eq!(change(&running, &path, &Value::Null).await.status, 200);
    assert_eq!(ask(&running, "/api/v1/normals").await.body, json!({"normals": []}));
    running.stop().await;
}

#[tokio::test]
async fn without_any_token_a_change_still_needs_the_token_against_forged_requests() {
    let running = Running::start(&[]).await;
    let body = r#"{"filter":"true","minutes":5}"#;
    let refused = send(&running, "POST /api/v1/silences", "", body).await;
    assert_eq!(refused.status, 403);
    let session = send(&running, "GET /api/v1/session", "", "").await;
    let csrf = format!("X-CSRF-Token: {}\r\n", session.body["csrf"].as_str().unwrap());
    let evil = format!("{csrf}Origin: http://evil.example\r\n");
    assert_eq!(send(&running, "POST /api/v1/silences", &evil, body).await.status, 403);
    assert_eq!(send(&running, "POST /api/v1/silences", &csrf, body).await.status, 200);
    running.stop().await;
}
