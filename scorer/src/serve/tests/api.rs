//! The routes of the API, each part in a file of its own.

mod alerts;
mod logs;
mod model;
mod openapi;
mod overview;
mod simulation;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Running;
use super::http::{get, json};

/// Token of the operator in these tests.
const TOKEN: &str = "correct-horse";

/// Status and JSON of a question that was asked with the token.
async fn ask(running: &Running, path: &str) -> (u16, Value) {
    let (status, answer) = get(running, path, &format!("Authorization: Bearer {TOKEN}\r\n")).await;
    (status, json(&answer))
}

/// As [`ask`], for what changes something.
async fn send(running: &Running, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        running.http,
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), json(&answer))
}

/// The refusal's text.
fn error(answer: &(u16, Value), status: u16) -> String {
    assert_eq!(answer.0, status, "{answer:?}");
    answer.1["error"].as_str().unwrap().to_owned()
}
