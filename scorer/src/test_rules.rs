//! `scorer test-rules`: unit tests of rules and detectors on sample lines, as `promtool test rules` has them for
//! Prometheus. Needs no model and sends nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use engine::alert::{News, Watch, WatchSettings};
use engine::decode::{DecodeSettings, Decoder, RecordContext};
use engine::detect::{self, Anomaly, Origin, Rule, Rules, Seen, Severity, Source, Tick};
use engine::event::{EventTime, LogEvent};
use engine::id::FindingId;
use serde::Deserialize;

use crate::{EXIT_ERROR, EXIT_FOUND};

const EXAMPLES: &str = "\
A test file is TOML:

  rules = [\"isolog.toml\"]          # files whose [[rule]] and [detect] are tested, beside this one

  [[test]]
  name = \"six errors are a burst\"
  lines = [
    '{\"timestamp\":\"2026-03-02T12:00:10Z\",\"level\":\"ERROR\",\"service\":\"billing_api\",\"message\":\"no answer\"} x6',
  ]
  expect = [{ detector = \"error_burst\", service = \"billing_api\" }]

A line is a record of any shape that `scorer run` reads; ` x6` behind it repeats it. `expect` lists all that is found of
the user's rules and of the detectors it names; `run_on_s` lets the clock go on after the last line.

Exit status: 0 when all tests passed, 1 when one failed, 2 on an error.";

/// Arguments of `scorer test-rules`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct TestRulesArgs {
    /// Files with tests
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestFile {
    #[serde(default)]
    rules: Vec<PathBuf>,
    #[serde(default)]
    rule: Vec<Rule>,
    #[serde(default)]
    detect: detect::Written,
    test: Vec<Test>,
}

/// What of a config file is tested; the rest of it does not matter here.
#[derive(Debug, Deserialize)]
struct ConfigFile {
    #[serde(default)]
    rule: Vec<Rule>,
    #[serde(default)]
    detect: Option<detect::Written>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    name: String,
    lines: Vec<String>,
    #[serde(default)]
    expect: Vec<Expected>,
    #[serde(default = "one_minute")]
    run_on_s: u32,
}

const fn one_minute() -> u32 {
    60
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
struct Expected {
    detector: String,
    service: String,
    #[serde(default = "once")]
    times: u32,
    #[serde(default)]
    severity: Option<Severity>,
}

const fn once() -> u32 {
    1
}

/// `scorer test-rules`.
///
/// # Errors
/// A file cannot be read, or holds no tests or no usable rules.
pub fn run(args: TestRulesArgs) -> anyhow::Result<ExitCode> {
    let (mut passed, mut failed) = (0, 0);
    for path in &args.files {
        let file = read(path)?;
        for test in &file.tests {
            let faults = test
                .run(&file.settings)
                .with_context(|| format!("{}: test {:?}", path.display(), test.name))?;
            if faults.is_empty() {
                passed += 1;
                say!("ok      {}", test.name);
            } else {
                failed += 1;
                say!("FAILED  {}", test.name);
                faults.iter().for_each(|fault| say!("        {fault}"));
            }
        }
    }
    say!("{passed} passed, {failed} failed");
    match (passed, failed) {
        (0, 0) => {
            tell!("error: there is no [[test]]; see scorer test-rules --help");
            Ok(ExitCode::from(EXIT_ERROR))
        }
        (_, 0) => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::from(EXIT_FOUND)),
    }
}

struct Ready {
    settings: WatchSettings,
    tests: Vec<Test>,
}

fn parse<T: for<'de> Deserialize<'de>>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} cannot be used", path.display()))
}

fn read(path: &Path) -> anyhow::Result<Ready> {
    let TestFile { rules, mut rule, mut detect, test } = parse(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for name in &rules {
        let config: ConfigFile = parse(&folder.join(name))?;
        rule.extend(config.rule);
        let Some(written) = config.detect else { continue };
        for (detector, section) in written.all {
            detect.all.entry(detector).or_insert(section);
        }
        for (service, sections) in written.service {
            detect.service.entry(service).or_insert(sections);
        }
    }
    let lists = |errors: Vec<String>| anyhow::anyhow!("{}: {}", path.display(), errors.join("; "));
    let detectors = detect::Settings::read(&detect)
        .map_err(|errors| lists(errors.iter().map(ToString::to_string).collect()))?;
    let rules =
        Rules::read(&rule).map_err(|errors| lists(errors.iter().map(ToString::to_string).collect()))?;
    let settings = WatchSettings { detectors, rules: Arc::new(rules), ..WatchSettings::default() };
    Ok(Ready { settings, tests: test })
}

/// A line by its number.
struct Number(u64);

impl Origin for Number {
    fn finding_id(&self, detector: &str) -> FindingId {
        FindingId::of_record(detector, self.source().coordinates(), EventTime::default(), 0, b"")
    }

    fn source(&self) -> Source {
        Source::Stdin { line: self.0 }
    }
}

/// The record, and how often it comes.
fn repeated(line: &str) -> (&str, u32) {
    let split = line.rsplit_once(" x").and_then(|(record, times)| Some((record, times.parse().ok()?)));
    split.filter(|(_, times)| *times > 0).unwrap_or((line, 1))
}

impl Test {
    /// What is not as it should be.
    fn run(&self, settings: &WatchSettings) -> anyhow::Result<Vec<String>> {
        let events = self.events()?;
        let found = self.find(settings, &events);
        let is_asked = |anomaly: &&Anomaly| {
            anomaly.detector.starts_with("rule:")
                || self.expect.iter().any(|expected| expected.detector == anomaly.detector)
        };
        let mut counts: BTreeMap<(&str, &str), (u32, Severity)> = BTreeMap::new();
        for anomaly in found.iter().filter(is_asked) {
            let count = counts.entry((&anomaly.detector, &anomaly.service)).or_insert((0, anomaly.severity));
            count.0 += 1;
            count.1 = count.1.max(anomaly.severity);
        }
        let mut faults = Vec::new();
        for Expected { detector, service, times, severity } in &self.expect {
            let (got, gravest) = match counts.remove(&(detector.as_str(), service.as_str())) {
                Some((got, gravest)) => (got, Some(gravest)),
                None => (0, None),
            };
            if got != *times {
                faults.push(format!("{detector} of {service:?}: expected {times} times, found {got} times"));
            } else if let (Some(severity), Some(gravest)) = (severity, gravest)
                && *severity != gravest
            {
                faults.push(format!("{detector} of {service:?}: expected {severity}, found {gravest}"));
            }
        }
        for ((detector, service), (got, _)) in counts {
            faults.push(format!("{detector} of {service:?}: not expected, found {got} times"));
        }
        if !faults.is_empty() {
            let what = found.iter().filter(is_asked).map(|one| format!("found: {}", one.headline));
            faults.extend(what.take(10));
        }
        Ok(faults)
    }

    fn events(&self) -> anyhow::Result<Vec<LogEvent>> {
        let decoder = Decoder::new(DecodeSettings::default());
        let mut events = Vec::new();
        for line in &self.lines {
            let (record, times) = repeated(line);
            for _ in 0..times {
                if let Err(rejected) =
                    decoder.decode(record.as_bytes(), RecordContext::default(), &mut events)
                {
                    bail!("a line cannot be read ({}): {record}", rejected.detail);
                }
            }
        }
        Ok(events)
    }

    fn find(&self, settings: &WatchSettings, events: &[LogEvent]) -> Vec<Anomaly> {
        let (mut watch, mut news) = (Watch::new(settings), News::default());
        let mut now = events.first().map_or(0, |event| event.timestamp.as_micros().div_euclid(SECOND));
        let tick = |watch: &mut Watch, news: &mut News, now: i64| {
            watch.tick(Tick { now: EventTime::from_micros(now * SECOND), caught_up: true }, news);
        };
        tick(&mut watch, &mut news, now);
        for (number, event) in (1..).zip(events) {
            let second = event.timestamp.as_micros().div_euclid(SECOND);
            while now < second {
                now += 1;
                tick(&mut watch, &mut news, now);
            }
            let seen = Seen {
                event,
                score: 0.0,
                percentile: 0.0,
                pattern: 0,
                known_pattern: true,
                origin: &Number(number),
            };
            watch.line(&seen, &mut |_| {}, &mut news);
        }
        for _ in 0..self.run_on_s {
            now += 1;
            tick(&mut watch, &mut news, now);
        }
        news.anomalies
    }
}

const SECOND: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: &str = r#"{"timestamp":"2026-03-02T12:00:10Z","level":"ERROR","service":"billing_api","message":"no answer"}"#;

    fn faults(times: u32, expect: Vec<Expected>) -> Vec<String> {
        let rule = Rule {
            name: "errors".to_owned(),
            filter: "severity >= ERROR".to_owned(),
            window_s: 5.0,
            group_by: Vec::new(),
            more_than: Some(5.0),
            fewer_than: None,
            share_above: None,
            least_events: 0.0,
            severity: Severity::Warning,
        };
        let rules = Arc::new(Rules::read(&[rule]).unwrap());
        let settings = WatchSettings { rules, ..WatchSettings::default() };
        let lines = vec![format!("{ERROR} x{times}")];
        Test { name: "t".to_owned(), lines, expect, run_on_s: 60 }.run(&settings).unwrap()
    }

    fn expected(detector: &str, times: u32) -> Expected {
        let (detector, service) = (detector.to_owned(), "billing_api".to_owned());
        Expected { detector, service, times, severity: Some(Severity::Warning) }
    }

    #[test]
    fn exactly_what_is_found_must_be_expected() {
        assert_eq!(faults(6, vec![expected("rule:errors", 1)]), [] as [&str; 0]);
        assert_eq!(faults(5, vec![]), [] as [&str; 0]);
        assert!(faults(6, vec![])[0].contains("not expected"));
        assert!(faults(5, vec![expected("rule:errors", 1)])[0].contains("found 0 times"));
        let both = vec![expected("rule:errors", 1), expected("error_burst", 1)];
        assert!(faults(6, both)[0].contains("expected warning, found error"));
    }

    #[test]
    fn a_repeat_is_read_off_the_end_of_a_line() {
        assert_eq!(repeated("a x3"), ("a", 3));
        assert_eq!(repeated("wait x"), ("wait x", 1));
        assert_eq!(repeated("a x0"), ("a x0", 1));
    }
}
