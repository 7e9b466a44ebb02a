//! `scorer check`: whether settings, model and files can be used, and with `--online` brokers, topics, store and sinks. Changes
//! nothing anywhere.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use ::kafka::rdkafka::ClientConfig;
use ::kafka::rdkafka::consumer::{BaseConsumer, Consumer};
use ::kafka::{ClientSettings, explain};
use notify::Receiver;
use store::StoreSettings;

use crate::EXIT_ERROR;
use crate::config::{Flags, Input, Place, Settings};
use crate::live::{self, LiveModel, ModelFile};
use crate::state;

/// Longest wait for a broker's answer.
const BROKER_WAIT: Duration = Duration::from_secs(10);

/// Arguments of `scorer check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Also asks the brokers, looks for the topics, and reaches for the store and the sinks
    #[arg(long)]
    pub online: bool,
    /// Settings.
    #[command(flatten)]
    pub settings: Flags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
        })
    }
}

/// What was checked and found.
#[derive(Debug, Default)]
struct Findings(Vec<(Verdict, String, String)>);

impl Findings {
    fn add(&mut self, verdict: Verdict, what: impl Into<String>, found: impl Into<String>) {
        self.0.push((verdict, what.into(), found.into()));
    }

    fn of(&mut self, what: impl Into<String>, result: Result<String, String>) {
        match result {
            Ok(found) => self.add(Verdict::Ok, what, found),
            Err(why) => self.add(Verdict::Failed, what, why),
        }
    }

    fn failed(&self) -> usize {
        self.0.iter().filter(|(verdict, _, _)| *verdict == Verdict::Failed).count()
    }
}

/// `scorer check`.
///
/// # Errors
/// The settings cannot be used.
pub fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(args.settings)?;
    let mut findings = Findings::default();
    let given = settings.shown.iter().filter(|(_, _, place)| *place != Place::Default).count();
    findings.add(Verdict::Ok, "settings", format!("{given} given, the others are defaults"));
    check_model(&settings, &mut findings);
    check_files(&settings, &mut findings);
    check_learning(&settings, &mut findings);
    if args.online && settings.kafka.in_use {
        check_brokers(&settings, &mut findings);
    } else if args.online {
        findings.add(Verdict::Ok, "brokers", "not asked: Kafka takes no part");
    }
    if args.online {
        check_store(&settings, &mut findings);
        check_sinks(&settings, &mut findings);
    }
    let mut out = std::io::stdout().lock();
    for (name, value, place) in &settings.shown {
        if *place != Place::Default {
            writeln!(out, "{name:<26} {value:?} ({place})")?;
        }
    }
    for (verdict, what, found) in &findings.0 {
        writeln!(out, "{verdict:<8} {what:<26} {found}")?;
    }
    match findings.failed() {
        0 => Ok(ExitCode::SUCCESS),
        failed => {
            writeln!(out, "{failed} of {} checks failed", findings.0.len())?;
            Ok(ExitCode::from(EXIT_ERROR))
        }
    }
}

fn check_model(settings: &Settings, findings: &mut Findings) {
    let live = LiveModel::default();
    let file = ModelFile::new(live, settings.model.clone(), Box::new(|_| {}));
    let what = format!("model {}", settings.model.path.display());
    match file.reload() {
        Ok(reloaded) => {
            let loaded = reloaded.loaded;
            let found = format!(
                "{}, trained on {} lines; threshold {:.4} ({}) calls {:.2} % of them anomalous",
                loaded.model.digest(),
                loaded.model.provenance().rows,
                loaded.threshold.score,
                loaded.threshold_source,
                loaded.threshold.share * 100.0
            );
            findings.add(
                if live::doubt(loaded.threshold, "").is_some() { Verdict::Warning } else { Verdict::Ok },
                what,
                found,
            );
        }
        Err(error) if settings.model.wait => {
            findings.add(Verdict::Warning, what, format!("{error}; it is waited for"));
        }
        Err(error) => findings.add(Verdict::Failed, what, error.to_string()),
    }
}

/// A server is connected to; a file is only looked for, because opening one that is not there would make it.
fn check_store(settings: &Settings, findings: &mut Findings) {
    let Some(used) = &settings.store else {
        return findings.add(Verdict::Ok, "store", "none: STORE_PATH and DATABASE_URL are empty");
    };
    if let StoreSettings::Embedded { path } = &used.place
        && !path.exists()
    {
        let folder = can_write(path.parent().unwrap_or(Path::new(".")));
        return findings.of(
            format!("store {}", path.display()),
            folder.map(|_| "not there yet, made at the start".to_owned()),
        );
    }
    let found = store::open(&used.place).map_err(|error| error.to_string()).and_then(|mut store| {
        let version = store.version().map_err(|error| error.to_string())?;
        Ok((store.describe(), version))
    });
    match found {
        Ok((name, 0)) => findings.add(Verdict::Ok, name, "can be reached; its tables are made at the start"),
        Ok((name, version)) => {
            findings.add(Verdict::Ok, name, format!("can be reached; tables of version {version}"))
        }
        Err(why) => findings.add(Verdict::Failed, "store", why),
    }
}

fn check_files(settings: &Settings, findings: &mut Findings) {
    for input in &settings.inputs {
        if let Input::File(path) = input
            && !path.contains(['*', '?', '['])
        {
            let found = match std::fs::metadata(path) {
                Ok(meta) if meta.is_dir() => Ok("a directory".to_owned()),
                Ok(_) => {
                    File::open(path).map(|_| "can be read".to_owned()).map_err(|error| error.to_string())
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok("not there yet".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            findings.of(format!("input {path}"), found);
        }
    }
    if let Some(tls) = &settings.serve.grpc_tls {
        let files = [
            ("GRPC_TLS_CERT", Some(&tls.cert)),
            ("GRPC_TLS_KEY", Some(&tls.key)),
            ("GRPC_TLS_CLIENT_CA", tls.client_ca.as_ref()),
        ];
        for (name, path) in files {
            if let Some(path) = path {
                let found = File::open(path).map(|_| "can be read".to_owned());
                findings.of(name, found.map_err(|error| format!("{}: {error}", path.display())));
            }
        }
    }
    let outputs = [
        ("ANOMALY_FILE", settings.output.anomaly_file.as_deref().and_then(Path::parent)),
        ("ALERT_FILE", settings.output.alert_file.as_deref().and_then(Path::parent)),
        ("DEAD_LETTER_FILE", settings.output.dead_letter_file.as_deref().and_then(Path::parent)),
        ("STATE_DIR", settings.state_dir.as_deref()),
    ];
    for (name, folder) in outputs {
        if let Some(folder) = folder {
            findings.of(name, can_write(folder));
        }
    }
}

/// What is learnt, and whether it is kept.
fn check_learning(settings: &Settings, findings: &mut Findings) {
    let learn = &settings.learn;
    let Some(online) = &learn.online else {
        return findings.add(Verdict::Ok, "learning", "off: scores depend on the model alone");
    };
    let found = format!(
        "online counts, taking effect every {} lines of a service; a line of ERROR and above counts {}",
        online.step, online.severe_weight
    );
    findings.add(Verdict::Ok, "learning", found);
    for input in &settings.inputs {
        let (kept, where_to) = match input {
            Input::Kafka => {
                (learn.topic.is_some(), format!("STATE_TOPIC {}", learn.topic.as_deref().unwrap_or("")))
            }
            _ => (settings.state_dir.is_some(), "STATE_DIR".to_owned()),
        };
        let what = format!("what is learnt of {input}");
        if kept {
            let every = learn.interval.as_millis();
            findings.add(Verdict::Ok, what, format!("kept in {where_to} every {every} ms"));
        } else {
            let name = where_to.split(' ').next().unwrap_or_default();
            findings.add(Verdict::Warning, what, format!("is lost at a restart: {name} is not set"));
        }
    }
}

/// Whether files can be made in a folder, or the folder itself in the nearest one that is there.
fn can_write(folder: &Path) -> Result<String, String> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let there = folder.ancestors().find(|one| one.exists()).unwrap_or(Path::new("."));
    if !there.is_dir() {
        return Err(format!("{} is not a directory", there.display()));
    }
    // Permissions do not tell of a file system that is mounted read-only.
    match tempfile::Builder::new().prefix(".isolog-check-").tempfile_in(there) {
        Ok(_) => Ok(format!("{} can be written", folder.display())),
        Err(error) => Err(format!("{} cannot be written: {error}", there.display())),
    }
}

/// The setting of a topic that must keep the last record of each key for ever.
fn cleanup_policy(client: &ClientSettings, topic: &str) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(state::cleanup_policy(client, topic))
}

/// Whether each sink that is set can be reached; none is told anything.
fn check_sinks(settings: &Settings, findings: &mut Findings) {
    let sinks = &settings.sinks;
    if sinks.all.is_empty() {
        return findings.add(Verdict::Ok, "sinks", "none is set: nobody is told of alerts");
    }
    let outbox = match settings.outbox_topic() {
        Some(topic) => format!("read alerts from ALERT_TOPIC {topic}"),
        None => "read alerts from the store".to_owned(),
    };
    findings.add(Verdict::Ok, "sinks", outbox);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return findings.add(Verdict::Failed, "sinks", error.to_string()),
    };
    let _within = runtime.enter();
    for sink in &sinks.all {
        let found =
            Receiver::new(sink, sinks.timeout).and_then(|receiver| runtime.block_on(receiver.probe()));
        findings.of(format!("sink {}", sink.audience.name), found);
    }
}

/// A topic that must keep the last record of each key for ever.
fn check_compacted(
    client: &ClientSettings,
    what: String,
    topic: &str,
    partitions: Option<usize>,
    findings: &mut Findings,
) {
    let Some(count) = partitions else {
        return findings.add(Verdict::Ok, what, "does not exist yet: it is made at the start");
    };
    let policy = cleanup_policy(client, topic);
    let verdict = match policy.as_deref() {
        Ok(policy) if !policy.contains("compact") => Verdict::Failed,
        Ok(_) => Verdict::Ok,
        Err(_) => Verdict::Warning,
    };
    let policy = policy.unwrap_or_else(|why| format!("is not known: {why}"));
    let advice = if verdict == Verdict::Failed { "; it must be compact" } else { "" };
    findings.add(verdict, what, format!("{count} partitions, cleanup.policy {policy}{advice}"));
}

fn check_brokers(settings: &Settings, findings: &mut Findings) {
    let client = &settings.kafka.client;
    let what = format!("brokers {}", client.bootstrap_servers);
    let mut config: ClientConfig = client.config();
    config.set("log_level", "0");
    let metadata = config
        .create::<BaseConsumer>()
        .and_then(|consumer: BaseConsumer| {
            let metadata = consumer.fetch_metadata(None, BROKER_WAIT)?;
            Ok((metadata, consumer.client().fetch_cluster_id(BROKER_WAIT)))
        })
        .map_err(|error| explain(&error));
    let (metadata, cluster) = match metadata {
        Ok(found) => found,
        Err(why) => return findings.add(Verdict::Failed, what, why),
    };
    let brokers = metadata.brokers().len();
    let cluster = cluster.unwrap_or_else(|| "without an id".to_owned());
    findings.add(Verdict::Ok, what, format!("cluster {cluster}, {brokers} brokers"));
    let partitions = |topic: &str| {
        metadata
            .topics()
            .iter()
            .find(|found| found.name() == topic && found.error().is_none())
            .map(|found| found.partitions().len())
    };
    if settings.inputs.contains(&Input::Kafka) {
        for topic in &settings.kafka.topics {
            let found = partitions(topic).map(|count| format!("{count} partitions"));
            findings.of(
                format!("LOG_TOPIC {topic}"),
                found.ok_or_else(|| "does not exist: create it, or change LOG_TOPIC".to_owned()),
            );
        }
    }
    let learns = settings.learn.is_on() && settings.inputs.contains(&Input::Kafka);
    // With PostgreSQL decisions are kept there.
    let decides = !matches!(&settings.store, Some(used) if matches!(used.place, StoreSettings::Postgres(_)));
    let compacted = [
        ("STATE_TOPIC", settings.learn.topic.as_ref().filter(|_| learns)),
        ("CONTROL_TOPIC", settings.control.topic.as_ref().filter(|_| decides)),
    ];
    for (name, topic) in compacted {
        if let Some(topic) = topic {
            check_compacted(client, format!("{name} {topic}"), topic, partitions(topic), findings);
        }
    }
    let output = &settings.output;
    let outputs = [
        ("ANOMALY_TOPIC", &output.anomaly_topic),
        ("ALERT_TOPIC", &output.alert_topic),
        ("DEAD_LETTER_TOPIC", &output.dead_letter_topic),
        ("SINK_RESULTS_TOPIC", &output.sink_results_topic),
        ("SINK_DEAD_LETTER_TOPIC", &output.sink_dead_letter_topic),
    ];
    for (name, topic) in outputs {
        if let Some(topic) = topic {
            let what = format!("{name} {topic}");
            match partitions(topic) {
                Some(count) => findings.add(Verdict::Ok, what, format!("{count} partitions")),
                None => findings.add(
                    Verdict::Warning,
                    what,
                    "does not exist: brokers with auto.create.topics.enable make it, on others create it",
                ),
            }
        }
    }
}
