//! Against a real HTTP server on loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::*;
use crate::shape::{Body, Webhook};
use crate::testing::record;

type Seen = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A receiver that answers every POST with `answer` and keeps what it was sent.
async fn receiver(answer: fn() -> Response) -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let kept = seen.clone();
    let handler = move |headers: HeaderMap, body: Bytes| async move {
        kept.lock().unwrap().push((headers, body));
        answer()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(handler))).await });
    (address, seen)
}

fn sink(url: String, timeout: Duration) -> HttpSink {
    // Another test may have installed it already; either way there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let headers = vec![("x-team".to_owned(), "platform".to_owned())];
    HttpSink::new(Box::new(Webhook { url, body: Body::Alert, headers, secret: None }), timeout).unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_record_arrives_with_its_headers() {
    let (address, seen) = receiver(|| StatusCode::ACCEPTED.into_response()).await;
    let outcome = sink(format!("http://{address}/"), 10 * SECOND).deliver(&record(), 7).await;
    assert_eq!(outcome, Outcome::Delivered);
    let seen = seen.lock().unwrap();
    let (headers, body) = &seen[0];
    assert_eq!(serde_json::from_slice::<AlertRecord>(body).unwrap(), record());
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["x-team"], "platform");
    assert_eq!(headers["webhook-timestamp"], "7");
}

#[tokio::test]
async fn a_busy_receiver_says_when_to_come_back() {
    let (address, _) =
        receiver(|| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "17")]).into_response()).await;
    let outcome = sink(format!("http://{address}/"), 10 * SECOND).deliver(&record(), 0).await;
    assert!(matches!(outcome, Outcome::Retry { after: Some(after), .. } if after == 17 * SECOND));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (target, reached) = receiver(|| StatusCode::OK.into_response()).await;
    static TARGET: Mutex<Option<SocketAddr>> = Mutex::new(None);
    *TARGET.lock().unwrap() = Some(target);
    let redirect = || {
        let target = TARGET.lock().unwrap().unwrap();
        (StatusCode::TEMPORARY_REDIRECT, [("location", format!("http://{target}/"))]).into_response()
    };
    let (address, _) = receiver(redirect).await;
    let outcome = sink(format!("http://{address}/"), 10 * SECOND).deliver(&record(), 0).await;
    assert!(matches!(outcome, Outcome::Refused(why) if why.contains("redirects are not followed")));
    assert!(reached.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_receiver_that_is_down_may_come_back_and_its_address_stays_secret() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let outcome = sink(format!("http://{address}/topsecret"), 10 * SECOND).deliver(&record(), 0).await;
    assert!(matches!(&outcome, Outcome::Retry { why, .. } if !why.contains("topsecret")), "{outcome:?}");
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let outcome = sink(format!("http://{address}/"), SECOND / 10).deliver(&record(), 0).await;
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
}

#[tokio::test]
async fn an_endless_answer_is_read_only_so_far() {
    let endless = || {
        let body = axum::body::Body::from(vec![b'x'; 8 << 20]);
        (StatusCode::BAD_REQUEST, body).into_response()
    };
    let (address, _) = receiver(endless).await;
    let outcome = sink(format!("http://{address}/"), 10 * SECOND).deliver(&record(), 0).await;
    assert!(matches!(outcome, Outcome::Refused(why) if why.len() < 1_000));
}

#[tokio::test]
async fn an_answer_that_repeats_the_address_or_a_header_tells_no_secret() {
    let answer =
        || (StatusCode::NOT_FOUND, "Cannot POST /?key=SECRETTOKEN for team platform").into_response();
    let (address, _) = receiver(answer).await;
    let outcome = sink(format!("http://{address}/?key=SECRETTOKEN"), 10 * SECOND).deliver(&record(), 0).await;
    assert_eq!(outcome, Outcome::Refused("HTTP 404: Cannot POST /?*** for team ***".to_owned()));
}
