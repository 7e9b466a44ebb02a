//! The demonstration and the health check as a person starts them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use assert_cmd::Command;
use predicates::str::contains;

use serde_json::Value;
use testkit::process::Process;
use testkit::workdir::Workdir;

use crate::rig::{LIMIT, Scorer, wait};

fn scorer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scorer"));
    command.env_clear();
    command
}

#[test]
fn the_demo_trains_without_a_model_and_shows_odd_lines_with_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let arguments =
        "demo --seconds 4 --rate 200 --anomaly-ratio 0.2 --http-addr 127.0.0.1:0 --grpc-addr 127.0.0.1:0";
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = scorer();
    demo.args(arguments.split(' ')).current_dir(&folder).env("TMPDIR", temporary.path());
    let assert = demo.assert().success();
    let shown = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    for part in [
        "trained in memory from 20000 lines of a day that the simulator made up",
        "Page:  http://127.0.0.1:",
        "why: ",
        "never seen in training",
        " lines scored in ",
        "The simulator had put in ",
    ] {
        assert!(shown.contains(part), "{part:?} is missing:\n{shown}");
    }
    for folder in [&folder, &temporary] {
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "the demo leaves nothing behind");
    }
}

/// Status and JSON of a request to the demo, with its token; `None` while it does not answer.
#[test]
fn a_demo_whose_reader_has_gone_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Command::new("bash");
    let demo = "\"$0\" demo --seconds 300 --rate 200 --anomaly-ratio 0.5 --http-addr 127.0.0.1:0 \
                --grpc-addr 127.0.0.1:0 | head -n 1";
    shell.args(["-o", "pipefail", "-c", demo, env!("CARGO_BIN_EXE_scorer")]).current_dir(&folder);
    shell.timeout(LIMIT).assert().success().stdout(contains("trained in memory from 20000 lines"));
}

fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer correct-horse\r\nContent-Type: \
         application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, serde_json::from_str(body).ok()?))
}

#[test]
fn a_burst_that_is_asked_of_the_demo_raises_one_alert_and_its_lines_are_kept() {
    let folder = Workdir::create("demo-burst").unwrap();
    let free = || SocketAddr::from(([127, 0, 0, 1], testkit::free_port().unwrap()));
    let (http, grpc) = (free(), free());
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let command = format!(
        "HTTP_TOKEN=correct-horse TMPDIR={} {} demo --rate 5 --anomaly-ratio 0 --http-addr {http} --grpc-addr {grpc}",
        temporary.display(),
        env!("CARGO_BIN_EXE_scorer"),
    );
    let arguments: Vec<&str> = command.split(' ').collect();
    let log = folder.path().join("demo.log");
    let mut demo = Process::spawn("demo-burst", "env", &arguments, &log).unwrap();
    let ready = || ask(http, "GET", "/api/v1/status", "").is_some_and(|(_, status)| status["ready"] == true);
    demo.wait_ready(LIMIT, ready).unwrap();

    // Without ordinary errors every error is one of the burst.
    let change = |method, path, body| ask(http, method, path, body).unwrap();
    assert_eq!(change("PUT", "/api/v1/simulation", r#"{"error_rate":0}"#).0, 200);
    let burst = r#"{"service":"billing_api","lines":6}"#;
    assert_eq!(change("POST", "/api/v1/simulation/burst", burst).0, 200);
    let alerts = || -> Vec<Value> {
        let answer = ask(http, "GET", "/api/v1/alerts?service=billing_api&status=firing", "");
        let alerts = answer.and_then(|(_, answer)| answer["alerts"].as_array().cloned());
        let has_burst = |alert: &Value| {
            alert["parts"].as_array().unwrap().iter().any(|part| part["detector"] == "error_burst")
        };
        alerts.unwrap_or_default().into_iter().filter(has_burst).collect()
    };
    wait("the burst's alert", || !alerts().is_empty());
    assert_eq!(alerts().len(), 1);
    let kept = || ask(http, "GET", "/api/v1/logs?service=billing_api&level=ERROR", "");
    wait("the burst's lines", || kept().is_some_and(|(_, kept)| kept["logs"].as_array().unwrap().len() >= 6));

    assert!(demo.stop(LIMIT).unwrap().success());
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "the demo leaves nothing behind");
}

#[test]
fn the_demo_refuses_a_rate_out_of_range_by_name() {
    let error = "--rate = -1 is out of range: lines per second in (0, 1000000]";
    scorer().args(["demo", "--rate=-1"]).assert().code(2).stderr(contains(error));
}

#[test]
fn a_taken_address_that_was_asked_for_is_an_error_with_its_name() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    scorer()
        .args(["demo", "--seconds", "1", "--http-addr", &address])
        .current_dir(&folder)
        .assert()
        .code(2)
        .stderr(contains(format!("HTTP_ADDR = {address} cannot be listened on")));
}

#[test]
fn health_tells_ready_not_ready_and_faulty_apart_by_its_status() {
    let mut running = Scorer::start("health", &["--input", "otlp"]);
    running.wait_ready();
    let url = format!("http://{}/readyz", running.http);
    scorer().args(["health", "--url", &url]).assert().code(0).stdout(contains("ready"));
    let missing = format!("http://{}/nothing", running.http);
    scorer().args(["health", "--url", &missing]).assert().code(1).stderr(contains("answers 404"));
    scorer().args(["health", "--http-addr", &running.http.to_string()]).assert().code(0);

    let nobody = format!("http://127.0.0.1:{}", testkit::free_port().unwrap());
    scorer().args(["health", "--url", &nobody]).assert().code(1).stderr(contains("does not answer"));
    scorer().args(["health", "--url", "ftp://x"]).assert().code(2).stderr(contains("http://HOST:PORT/PATH"));
}

#[test]
fn a_stop_succeeds_though_peers_hold_silent_connections() {
    let mut running = Scorer::start("silent-peers", &["--input", "otlp", "--shutdown-timeout-s", "4"]);
    running.wait_ready();
    let mut half = TcpStream::connect_timeout(&running.http, LIMIT).unwrap();
    half.write_all(b"GET / HT").unwrap();
    let silent = TcpStream::connect_timeout(&running.grpc, LIMIT).unwrap();
    let (status, folder) = running.stop();
    let log = std::fs::read_to_string(folder.path().join("scorer.log")).unwrap();
    assert!(status.success(), "{status}:\n{log}");
    assert!(log.contains("were cut off"), "{log}");
    drop((half, silent));
}
