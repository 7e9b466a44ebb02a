//! The pages as a person sees them: a real scorer, a real browser, a script for each thing that somebody does.

mod hostile;

use std::path::{Path, PathBuf};

use testkit::browser::Browser;
use testkit::process::Process;
use testkit::workdir::Workdir;

use crate::rig::{LIMIT, SCORER, Scorer};

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
        let folder = Workdir::create(name).unwrap();
        let address = || format!("127.0.0.1:{}", testkit::free_port().unwrap());
        let (http, grpc) = (address(), address());
        let model = folder.path().join("none.model").display().to_string();
        let mut all = vec!["demo", "--http-addr", &http, "--grpc-addr", &grpc, "--model-path", &model];
        all.extend(arguments);
        let log: PathBuf = folder.path().join("demo.log");
        let mut process = Process::spawn(name, SCORER, &all, &log).unwrap();
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
    play("every_page.js", &demo.base, &["overview", "alerts", "alert", "logs", "simulation"]);
}

#[test]
fn the_tail_survives_a_flood_stands_still_while_paused_and_stays_bounded() {
    let demo = Demo::start("browser-tail", &["--rate", "2000"]);
    play("tail.js", &demo.base, &[]);
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
