use rstest::rstest;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::Running;
use super::http::open;

/// An answer: status, head, and body as JSON where it is one.
pub(super) struct Answer {
    pub status: u16,
    pub head: String,
    pub body: serde_json::Value,
}

/// Sends a request with these header lines (each with its line end) and this body.
pub(super) async fn send(running: &Running, request: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {}\r\n", running.http) };
    let length = body.len();
    let json = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let text = format!(
        "{request} HTTP/1.1\r\n{host}{headers}{json}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: serde_json::from_str(body).unwrap_or_default(),
    }
}

const TOKENS: [(&str, &str); 2] = [("HTTP_TOKEN", "correct-horse"), ("HTTP_VIEWER_TOKEN", "looking-horse")];

/// The cookie that an answer sets, as a browser sends it back.
fn cookie_of(answer: &Answer) -> String {
    let line = answer.head.lines().find(|line| line.starts_with("set-cookie: ")).unwrap();
    let cookie = line.trim_start_matches("set-cookie: ").split(';').next().unwrap();
    format!("Cookie: {cookie}\r\n")
}

async fn begin(running: &Running, token: &str) -> (String, String) {
    let answer = send(running, "POST /api/v1/session", "", &format!(r#"{{"token":"{token}"}}"#)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    (cookie_of(&answer), answer.body["csrf"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_session_is_got_by_the_token_and_ends_when_asked_to() {
    let running = Running::start(&TOKENS).await;
    let nobody = send(&running, "GET /api/v1/session", "", "").await;
    assert_eq!(nobody.status, 200);
    assert_eq!(nobody.body["authenticated"], false);
    assert_eq!(nobody.body["token_needed"], true);
    assert_eq!(send(&running, "GET /api/v1/status", "", "").await.status, 401);

    let answer = send(&running, "POST /api/v1/session", "", r#"{"token":"correct-horse"}"#).await;
    assert_eq!((answer.status, &answer.body["role"]), (200, &"operator".into()));
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(answer.head.contains(part), "{part}: {}", answer.head);
    }
    assert!(!answer.head.contains("Secure"), "a browser would not send it back over HTTP");
    let cookie = cookie_of(&answer);
    let csrf = answer.body["csrf"].as_str().unwrap();
    assert_eq!(send(&running, "GET /api/v1/status", &cookie, "").await.status, 200);
    let again = send(&running, "GET /api/v1/session", &cookie, "").await;
    assert_eq!((&again.body["role"], &again.body["csrf"]), (&"operator".into(), &csrf.into()));

    let refused = send(&running, "DELETE /api/v1/session", &cookie, "").await;
    assert_eq!(refused.status, 403);
    assert!(refused.body["error"].as_str().unwrap().contains("X-CSRF-Token"), "{}", refused.body);
    let with = format!("{cookie}X-CSRF-Token: {csrf}\r\n");
    assert_eq!(send(&running, "DELETE /api/v1/session", &with, "").await.status, 200);
    assert_eq!(send(&running, "GET /api/v1/status", &cookie, "").await.status, 401);
    running.stop().await;
}

#[rstest]
#[case("/api/v1/alerts/stream")]
#[case("/api/v1/anomalies/stream")]
#[case("/api/v1/logs/stream")]
#[tokio::test]
async fn an_event_stream_ends_with_the_session_that_opened_it(#[case] path: &str) {
    let running = Running::start(&TOKENS).await;
    let (cookie, csrf) = begin(&running, "looking-horse").await;
    let mut stream = BufReader::new(open(&running, path, &cookie).await).lines();
    while !stream.next_line().await.unwrap().unwrap().is_empty() {}
    let out = format!("{cookie}X-CSRF-Token: {csrf}\r\n");
    assert_eq!(send(&running, "DELETE /api/v1/session", &out, "").await.status, 200);
    let mut rest = Vec::new();
    while let Some(line) = stream.next_line().await.unwrap() {
        rest.push(line);
    }
    assert!(rest.contains(&"event: end".to_owned()), "{rest:?}");
    assert!(rest.contains(&"data: the session is over".to_owned()), "{rest:?}");
    running.stop().await;
}

#[tokio::test]
async fn behind_tls_the_cookie_is_never_sent_without_it() {
    let running = Running::start(&[TOKENS[0], ("PUBLIC_URL", "https://logs.example/isolog")]).await;
    let headers = "Host: logs.example\r\nOrigin: https://logs.example\r\n";
    let answer = send(&running, "POST /api/v1/session", headers, r#"{"token":"correct-horse"}"#).await;
    assert!(answer.head.contains("; Secure"), "{}", answer.head);
    let cookie = cookie_of(&answer);
    assert!(cookie.starts_with("Cookie: __Host-isolog_session="), "{cookie}");
    let status = send(&running, "GET /api/v1/status", &format!("{headers}{cookie}"), "").await.status;
    assert_eq!(status, 200);
    let other = cookie.replace("__Host-", "");
    assert_eq!(send(&running, "GET /api/v1/status", &format!("{headers}{other}"), "").await.status, 401);
    running.stop().await;
}

#[tokio::test]
async fn a_page_of_another_site_begins_no_session_and_uses_none() {
    let running = Running::start(&TOKENS).await;
    let evil = "Origin: http://evil.example\r\n";
    let answer = send(&running, "POST /api/v1/session", evil, r#"{"token":"correct-horse"}"#).await;
    assert_eq!(answer.status, 403);
    let (cookie, csrf) = begin(&running, "correct-horse").await;
    let with = format!("{evil}{cookie}X-CSRF-Token: {csrf}\r\n");
    assert_eq!(send(&running, "GET /api/v1/status", &with, "").await.status, 403);
    assert_eq!(send(&running, "DELETE /api/v1/session", &with, "").await.status, 403);
    // What a form of another page could send.
    let form = "Content-Type: text/plain\r\nContent-Length: 25\r\nConnection: close\r\n";
    let answer = send(&running, "POST /api/v1/session", form, "").await;
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    running.stop().await;
}

#[tokio::test]
async fn too_many_wrong_tokens_are_told_to_come_again_later() {
    let running = Running::start(&TOKENS).await;
    // However slow the machine is: it allows one more each 6 seconds.
    for n in 0..1_000 {
        let body = format!(r#"{{"token":"guess number {n}"}}"#);
        let answer = send(&running, "POST /api/v1/session", "", &body).await;
        assert!(!answer.body["error"].as_str().unwrap().contains("horse"), "{}", answer.body);
        if answer.status == 429 {
            assert!(n >= 10, "{n}");
            assert!(answer.head.contains("retry-after: "), "{}", answer.head);
            break;
        }
        assert_eq!((n < 999, answer.status), (true, 401));
    }
    assert_eq!(send(&running, "GET /readyz", "", "").await.status, 200);
    running.stop().await;
}

#[tokio::test]
async fn without_a_token_this_machine_is_the_operator() {
    let running = Running::start(&[]).await;
    let answer = send(&running, "GET /api/v1/session", "", "").await;
    assert_eq!(answer.body["role"], "operator");
    assert_eq!(answer.body["token_needed"], false);
    assert_eq!(answer.body["csrf"].as_str().unwrap().len(), 64);
    let rebound = "Host: evil.example\r\n";
    assert_eq!(send(&running, "GET /api/v1/session", rebound, "").await.status, 403);
    running.stop().await;
}
