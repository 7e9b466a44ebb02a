//! The pages as a person sees them: a real scorer, a real browser, a script for each thing that somebody does.

mod hostile;

use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::browser::Browser;
use testkit::process::Process;
use testkit::workdir::Workdir;

use crate::rig::{LIMIT, SCORER, Scorer, json_lines, lines, odd_lines};

/// Every page; `alert` is that of the first alert.
const PAGES: &[&str] = &["overview", "alerts", "alert", "logs", "threshold", "model", "web", "simulation"];

/// Runs a script of this folder against the page at `base` and returns what it printed.
fn play(script: &str, base: &str, arguments: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/browser").join(script);
    let all = [&[base], arguments].concat();
    Browser::find().unwrap().run(&path, &all).unwrap_or_else(|error| panic!("{error:#}"))
}

/// A running `scorer demo`.
struct Demo {
    _process: Process,
    _folder: Workdir,
    base: String,
}

impl Demo {
    fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_with(name, &[], arguments)
    }

    /// With variables, each as `NAME=value`.
    fn start_with(name: &str, variables: &[&str], arguments: &[&str]) -> Self {
        let folder = Workdir::create(name).unwrap();
        let address = || format!("127.0.0.1:{}", testkit::free_port().unwrap());
        let (http, grpc) = (address(), address());
        let model = folder.path().join("none.model").display().to_string();
        let mut all = variables.to_vec();
        all.extend([SCORER, "demo", "--http-addr", &http, "--grpc-addr", &grpc, "--model-path", &model]);
        all.extend(arguments);
        let log: PathBuf = folder.path().join("demo.log");
        let mut process = Process::spawn(name, "env", &all, &log).unwrap();
        let shown = |text: &str| std::fs::read_to_string(&log).unwrap_or_default().contains(text);
        process.wait_ready(LIMIT, || shown("Ctrl-C ends it.")).unwrap();
        Self { _process: process, _folder: folder, base: format!("http://{http}") }
    }
}

#[test]
fn the_first_alert_of_the_demo_appears_without_a_reload() {
    let demo = Demo::start("browser-first", &["--rate", "200", "--anomaly-ratio", "0.1"]);
    play("first_alert.js", &demo.base, &[]);
}

#[test]
fn a_raised_error_rate_makes_alerts_appear() {
    let demo = Demo::start("browser-rate", &["--rate", "100"]);
    play("error_rate.js", &demo.base, &[]);
}

#[test]
fn no_page_has_a_fault_or_a_serious_finding_of_axe() {
    let demo = Demo::start("browser-pages", &["--rate", "200", "--anomaly-ratio", "0.1"]);
    play("every_page.js", &demo.base, PAGES);
}

#[test]
fn nine_tabs_of_one_window_all_work() {
    let demo = Demo::start("browser-tabs", &["--rate", "100", "--anomaly-ratio", "0.05"]);
    play("tabs.js", &demo.base, &[]);
}

#[test]
fn seven_windows_that_are_all_seen_all_work() {
    let demo = Demo::start("browser-windows", &["--rate", "100", "--anomaly-ratio", "0.05"]);
    play("windows.js", &demo.base, &[]);
}

#[test]
fn an_address_that_leads_nowhere_says_so() {
    let demo = Demo::start("browser-addresses", &["--rate", "100"]);
    play("addresses.js", &demo.base, &[]);
}

#[test]
fn going_from_page_to_page_leaves_nothing_behind() {
    let demo = Demo::start("browser-switching", &["--rate", "50"]);
    play("switching.js", &demo.base, &[]);
}

#[test]
fn what_is_opened_on_the_overview_stays_open() {
    let demo = Demo::start("browser-overview", &["--rate", "100", "--anomaly-ratio", "0.05"]);
    play("overview.js", &demo.base, &[]);
}

#[test]
fn the_answer_to_the_last_filter_is_the_one_shown() {
    let demo = Demo::start("browser-filters", &["--rate", "100", "--anomaly-ratio", "0.05"]);
    play("filters.js", &demo.base, &[]);
}

#[test]
fn an_alert_is_silenced_and_called_normal_and_both_undone() {
    let demo = Demo::start("browser-decide", &["--rate", "100", "--anomaly-ratio", "0.05"]);
    play("decide.js", &demo.base, &[]);
}

#[test]
fn the_setting_copied_from_the_slider_makes_the_scorer_behave_so() {
    const LINES: usize = 400;
    let demo = Demo::start("browser-threshold", &["--rate", "200"]);
    let setting = play("threshold.js", &demo.base, &[]);
    let setting = setting.trim();
    let score: f64 = setting.strip_prefix("ANOMALY_SCORE_THRESHOLD=").unwrap().parse().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("lines.log"), folder.path().join("odd.jsonl"));
    std::fs::write(&input, lines(LINES).join("\n") + "\n").unwrap();
    let (input, output_text) = (format!("file:{}", input.display()), output.display().to_string());
    let arguments = ["--input", &input, "--anomaly-file", &output_text, "--store-logs", "all"];
    let mut running = Scorer::start_with("browser-copied", &[setting], &arguments);
    running.wait_ready();
    running.wait("all lines are scored", |now| now.counted() == LINES);
    let status: Value = serde_json::from_str(&running.get("/api/v1/status").unwrap().1).unwrap();
    assert_eq!(status["model"]["threshold"], score);
    let kept = |now: &Scorer, least: f64| -> usize {
        let (_, answer) = now.get(&format!("/api/v1/logs?limit=500&min_score={least}")).unwrap();
        serde_json::from_str::<Value>(&answer).unwrap()["logs"].as_array().map_or(0, Vec::len)
    };
    running.wait("all lines are kept", |now| kept(now, 0.0) == LINES);
    let above = kept(&running, score);
    running.wait("all odd lines are written", |_| odd_lines(json_lines(&output)).len() == above);
    let (status, _folder) = running.stop();
    assert!(status.success(), "{status}");
    let found = odd_lines(json_lines(&output));
    assert_eq!(found.len(), above);
    assert!(!found.is_empty(), "no line is above {score}: the test shows nothing");
    assert!(found.iter().all(|one| one["score"].as_f64().unwrap() > score), "{found:?}");
}

#[test]
fn the_tail_survives_a_flood_stands_still_while_paused_and_stays_bounded() {
    let demo = Demo::start("browser-tail", &["--rate", "2000"]);
    play("tail.js", &demo.base, &[]);
}

#[test]
fn a_search_of_the_logs_stands_in_the_address() {
    let demo = Demo::start("browser-searches", &["--rate", "100"]);
    play("searches.js", &demo.base, &[]);
}

#[test]
fn with_a_token_the_page_asks_for_it_and_keeps_it_from_scripts() {
    let (operator, viewer) = ("operator-token-of-the-test", "viewer-token-of-the-test");
    let variables = [format!("HTTP_TOKEN={operator}"), format!("HTTP_VIEWER_TOKEN={viewer}")];
    let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
    let mut running = Scorer::start_with("browser-token", &variables, &["--input", "otlp"]);
    running.wait_ready();
    play("sign_in.js", &format!("http://{}", running.http), &[operator, viewer]);
}

#[test]
fn a_viewer_is_offered_no_change_and_refused_one() {
    let variables = ["HTTP_TOKEN=operator-token-of-the-test", "HTTP_VIEWER_TOKEN=viewer-token-of-the-test"];
    let demo = Demo::start_with("browser-viewer", &variables, &["--rate", "200", "--anomaly-ratio", "0.1"]);
    play("viewer.js", &demo.base, &["viewer-token-of-the-test"]);
}
