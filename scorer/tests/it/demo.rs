//! The demonstration and the health check as a person starts them.

use std::io::Write as _;
use std::net::TcpStream;

use assert_cmd::Command;
use predicates::str::contains;

use crate::rig::{LIMIT, Scorer};

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
