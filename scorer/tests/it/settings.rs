//! What a person reads when settings, model or state cannot be used.

use assert_cmd::Command;
use predicates::str::contains;

use crate::rig::{SCORER, model};

fn scorer(arguments: &[&str]) -> Command {
    let mut command = Command::new(SCORER);
    command.args(arguments).env("STORE_PATH", "");
    command
}

#[test]
fn all_mistakes_are_told_together_with_name_value_place_and_range() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scorer.toml");
    std::fs::write(&file, "batch_sise = 5\nmax_depth = 0\n[kafka]\n\"no.such.property\" = 1\n").unwrap();
    scorer(&["run", "--config", &file.display().to_string(), "--contamination", "0.7"])
        .env("BATCH_WAIT_MS", "soon")
        .assert()
        .code(2)
        .stderr(contains("5 settings cannot be used"))
        .stderr(contains("batch_sise").and(contains("did you mean batch_size?")))
        .stderr(contains("MAX_DEPTH = \"0\"").and(contains("allowed: 1 to 128 levels")))
        .stderr(contains("no.such.property"))
        .stderr(contains(
            "CONTAMINATION = \"0.7\" (command line): allowed: a share above 0, at most 0.5, or `auto`",
        ))
        .stderr(contains("BATCH_WAIT_MS = \"soon\" (environment)"));
}

#[test]
fn a_reader_that_has_gone_is_no_error_and_a_full_disk_is_one() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for arguments in [&["settings"][..], &["threshold", "--model-path", &model().display().to_string()]] {
        let run = |output: std::process::Stdio| {
            let mut command = std::process::Command::new(SCORER);
            let output = command
                .args(arguments)
                .env("STORE_PATH", "")
                .stdout(output)
                .stderr(std::process::Stdio::piped());
            let output = output.spawn().unwrap().wait_with_output().unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let (code, stderr) = run(writer.try_clone().unwrap().into());
        assert!(code == Some(0) && !stderr.contains("error"), "{arguments:?}: {code:?} {stderr}");
        let (code, stderr) = run(full.try_clone().unwrap().into());
        assert!(
            code == Some(2) && stderr.contains("standard output cannot be written"),
            "{arguments:?}: {code:?} {stderr}"
        );
    }
}

#[test]
fn a_faulty_topic_is_told_once() {
    scorer(&["check"])
        .env("LOG_TOPIC", "a b")
        .assert()
        .code(2)
        .stderr(contains("1 setting cannot be used"))
        .stderr(contains("LOG_TOPIC = \"a b\" (environment): \"a b\" is not a topic name"));
}

#[test]
fn a_line_pattern_without_a_group_that_is_read_is_refused() {
    for (pattern, why) in [(r"\d+ (.*)", "has no named group"), ("(?P<foo>.*)", "its groups (foo) are none")]
    {
        scorer(&["check"])
            .env("LINE_PATTERN", pattern)
            .assert()
            .code(2)
            .stderr(contains("LINE_PATTERN = ").and(contains(why)).and(contains("message")));
    }
    scorer(&["check"]).env("LINE_PATTERN", "(?P<msg>.*)").env("MODEL_PATH", model()).assert().success();
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scorer.toml");
    std::fs::write(&file, "batch_size = 1\nbatch_wait_ms = 11\nmax_depth = 5\n").unwrap();
    scorer(&["check", "--config", &file.display().to_string(), "--batch-size", "3"])
        .env("MODEL_PATH", model())
        .env("BATCH_SIZE", "2")
        .env("BATCH_WAIT_MS", "22")
        .assert()
        .success()
        .stdout(contains("\"3\" (command line)"))
        .stdout(contains("\"22\" (environment)"))
        .stdout(predicates::str::is_match("MAX_DEPTH +\"5\"").unwrap());
}

#[test]
fn a_missing_model_stops_the_start_and_names_file_and_command() {
    scorer(&["run", "--input", "stdin", "--model-path", "no/such.model"])
        .assert()
        .code(2)
        .stderr(contains("no/such.model"))
        .stderr(contains("trainer"));
}

#[test]
fn a_damaged_model_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.model");
    let bytes = std::fs::read(model()).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    scorer(&["run", "--input", "stdin", "--model-path", &path.display().to_string()])
        .assert()
        .code(2)
        .stderr(contains("cut.model"));
}

#[test]
fn a_taken_port_is_named_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    scorer(&["run", "--input", "otlp", "--http-addr", &address, "--grpc-addr", "", "--model-path"])
        .arg(model())
        .assert()
        .code(2)
        .stderr(contains("HTTP_ADDR").and(contains(address.as_str())));
}

#[test]
fn damaged_state_is_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("app.log");
    let state = folder.path().join("state");
    std::fs::write(&log, "").unwrap();
    let input = format!("file:{}", log.display());
    let name = format!("files-{}.json", &blake3::hash(log.display().to_string().as_bytes()).to_hex()[..12]);
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join(&name), "{\"version\":").unwrap();
    scorer(&["run", "--input", &input, "--http-addr", "", "--grpc-addr", "", "--model-path"])
        .arg(model())
        .arg("--state-dir")
        .arg(&state)
        .assert()
        .code(2)
        .stderr(contains(name).and(contains("no snapshot").and(contains("remove it"))));
}

#[test]
fn check_says_what_cannot_be_used_and_fails() {
    scorer(&["check", "--model-path", "no/such.model"])
        .assert()
        .code(2)
        .stdout(contains("FAILED").and(contains("no/such.model")));
}

#[test]
fn check_says_which_folder_cannot_be_written() {
    // A file system that nobody can write to, root neither, whatever the permissions say.
    let folder = "/proc/self/state";
    scorer(&["check", "--input", "stdin", "--state-dir", folder, "--model-path"])
        .arg(model())
        .assert()
        .code(2)
        .stdout(predicates::str::is_match("FAILED +STATE_DIR +/proc/self cannot be written").unwrap());
}

#[test]
fn check_online_looks_at_the_topic_of_decisions() {
    let broker = testkit::kafka::Broker::shared().unwrap();
    // As brokers make topics, its old records are deleted.
    let logs = broker.unique_topic("decided", 1).unwrap();
    let missing = format!("{logs}-control");
    let not_compact = "cleanup.policy delete; it must be compact";
    for (topic, code, found) in [(&logs, 2, not_compact), (&missing, 0, "it is made at the start")] {
        let shown = format!("CONTROL_TOPIC {topic} +[^\n]*{found}");
        scorer(&["check", "--online", "--kafka-bootstrap-servers", broker.bootstrap(), "--log-topic", &logs])
            .args(["--control-topic", topic, "--model-path"])
            .arg(model())
            .assert()
            .code(code)
            .stdout(predicates::str::is_match(shown).unwrap());
    }
}

#[test]
fn check_online_says_that_no_broker_answers() {
    let port = testkit::free_port().unwrap();
    scorer(&["check", "--online", "--kafka-bootstrap-servers", &format!("127.0.0.1:{port}"), "--model-path"])
        .arg(model())
        .assert()
        .code(2)
        .stdout(contains("FAILED").and(contains("KAFKA_BOOTSTRAP_SERVERS")));
}

use predicates::prelude::PredicateBooleanExt as _;
