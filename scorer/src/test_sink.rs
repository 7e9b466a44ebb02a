//! `scorer test-sink`: sends one marked test alert to a sink, the way real ones go, and says what it answered.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use engine::event::EventTime;
use engine::id::FindingId;
use jiff::Timestamp;
use notify::settings::NAMES;
use notify::{AlertRecord, Cause, Outcome, Receiver, SCHEMA, Severity, Status};

use crate::EXIT_ERROR;
use crate::config::table::Group;
use crate::config::{Flags, Settings, SinkSettings, Subset};

/// The settings of the sinks.
#[derive(Clone, Debug)]
pub struct Sinks;

impl Subset for Sinks {
    const GROUPS: &'static [Group] = &[Group::Sinks];
}

/// Arguments of `scorer test-sink`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ALERT_WEBHOOK_URL=http://127.0.0.1:9000/hook scorer test-sink webhook
  scorer test-sink all --config isolog.toml
  SLACK_WEBHOOK_URL_FILE=/run/secrets/slack scorer test-sink slack

Exit status: 0 delivered, 2 not delivered or the settings cannot be used.")]
pub struct TestSinkArgs {
    /// webhook, slack, pagerduty, alertmanager, elasticsearch, email, or all that are set
    name: String,
    /// Settings.
    #[command(flatten)]
    settings: Flags<Sinks>,
}

/// `scorer test-sink`.
///
/// # Errors
/// The settings, or the sink's, cannot be used.
pub fn run(args: TestSinkArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(args.settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the system gives no resources for a network client")?;
    let _within = runtime.enter();
    let mut failed = 0;
    for sink in chosen(&settings.sinks.all, &args.name)? {
        let name = &sink.audience.name;
        let receiver = Receiver::new(sink, settings.sinks.timeout)
            .map_err(|why| anyhow::anyhow!("the sink {name} cannot be made: {why}"))?;
        let now = Timestamp::now();
        let record = test_record(now, name, settings.sinks.public_url.as_deref());
        let fault = match runtime.block_on(receiver.deliver(&record, now.as_second())) {
            Outcome::Delivered => {
                say!("{name}: delivered, alert id {}", record.id);
                continue;
            }
            Outcome::Refused(why) => format!("refused, a real alert would become a dead letter: {why}"),
            Outcome::Retry { why, .. } => format!("not delivered, a real alert would be tried again: {why}"),
        };
        failed += 1;
        tell!("{name}: {fault}");
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_ERROR) })
}

/// The sink of this name; all of them where it is `all`.
///
/// # Errors
/// It is none, or not set.
pub fn chosen<'s>(sinks: &'s [SinkSettings], name: &str) -> anyhow::Result<Vec<&'s SinkSettings>> {
    let chosen: Vec<&SinkSettings> =
        sinks.iter().filter(|sink| name == "all" || sink.audience.name == name).collect();
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let set: Vec<&str> = sinks.iter().map(|sink| sink.audience.name.as_str()).collect();
    let set = if set.is_empty() { "none".to_owned() } else { set.join(", ") };
    if name == "all" || NAMES.contains(&name) {
        bail!("no such sink is set: {name:?} (set: {set}); `scorer settings` lists what each needs");
    }
    bail!("{name:?} is no sink: there are {}, and all (set: {set})", NAMES.join(", "));
}

/// An alert that says that it is a test.
fn test_record(now: Timestamp, sink: &str, public_url: Option<&str>) -> AlertRecord {
    let time = EventTime::from_micros(now.as_microsecond());
    let id = FindingId::of_window("test", "isolog-test", sink, time, 0).to_string();
    AlertRecord {
        schema: SCHEMA,
        revision: 1,
        cause: Cause::Opened,
        recorded_at: Some(time.to_string()),
        status: Status::Firing,
        severity: Severity::Warning,
        service: "isolog-test".to_owned(),
        detector: "test".to_owned(),
        message: "this is a test of the sink; nothing is wrong".to_owned(),
        first_seen: time.to_string(),
        last_seen: time.to_string(),
        resolved_at: None,
        count: 1,
        score: 0.0,
        reasons: vec!["`scorer test-sink` sent it".to_owned()],
        parts: Vec::new(),
        evidence: Vec::new(),
        source: None,
        model: String::new(),
        link: public_url.map(|url| format!("{url}/alerts/{id}")),
        notify: vec![sink.to_owned()],
        held_back: false,
        id,
    }
}
