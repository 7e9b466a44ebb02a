//! Flags and environment of the trainer: as written becomes as usable, all mistakes reported together.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, Subcommand};
use engine::decode::{DecodeSettings, Decoder};
use engine::event::EventTime;
use engine::model::Contamination;
use engine::model::session::{SessionKey, SessionSettings};
use engine::model::train::{CheckedTrainParams, TrainParams};
use engine::redact::{Pattern, Redactor};
use kafka::ClientSettings;
use store::StoreSettings;

use crate::exclude::{Excluded, time};

const EXAMPLES: &str = "Examples:
  trainer                                         data/sample_logs.csv into models/isolog.model
  trainer fit logs.csv                            a CSV with the header timestamp,service,level,message
  trainer fit 'logs/*.json.gz' old.log.zst        JSON lines and text, compressed or not
  zcat app.log.gz | trainer fit -                 standard input, read once
  trainer fit logs.csv --exclude-time 2026-03-01T10:00:00Z..2026-03-01T12:00:00Z --exclude-level ERROR
  trainer fit --from-topic application-logs --since 2026-03-01T00:00:00Z
  trainer fit --from-store isolog.db              what a scorer kept with STORE_LOGS=all
  trainer evaluate --model models/isolog.model labelled.csv

Exit status: 0 when the model was written, 2 on an error.";

/// Fits an Isolation Forest on historical logs.
#[derive(Debug, Parser)]
#[command(name = "trainer", version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; `fit` where nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Arguments of `fit`.
    #[command(flatten)]
    pub fit: FitArgs,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fits a model on historical logs and writes it
    #[command(after_help = EXAMPLES)]
    Fit(Box<FitArgs>),
    /// Measures a model on logs with a `label` column
    Evaluate(EvaluateArgs),
}

/// How records are read, for both commands.
#[derive(Clone, Debug, clap::Args)]
pub struct ReadArgs {
    /// Shape of the records; without it each record's shape is found
    #[arg(long, value_name = "NAME", env = "INPUT_FORMAT")]
    pub format: Option<String>,
    /// Longest line that is accepted, 64 to 67108864 bytes
    #[arg(long, value_name = "BYTES", env = "MAX_LINE_BYTES", default_value_t = 1 << 20,
        value_parser = number::<usize>("MAX_LINE_BYTES", "whole bytes, 64 to 67108864"))]
    pub max_line_bytes: usize,
}

/// Arguments of `trainer fit`.
#[derive(Debug, clap::Args)]
pub struct FitArgs {
    /// Files, patterns or - for standard input: CSV, JSON lines or text, plain, .gz or .zst
    #[arg(value_name = "LOGS", env = "TRAIN_CSV", default_value = "data/sample_logs.csv")]
    pub logs: Vec<String>,
    /// Where the model is written
    #[arg(long, short, value_name = "FILE", env = "MODEL_PATH", default_value = "models/isolog.model")]
    pub model_path: PathBuf,
    /// Share of the lines to call anomalous, above 0 and at most 0.5, or `auto`
    #[arg(
        long,
        value_name = "SHARE",
        env = "CONTAMINATION",
        default_value = "0.05",
        allow_hyphen_values = true
    )]
    pub contamination: ContaminationArg,
    /// Number of trees
    #[arg(long, value_name = "N", env = "N_ESTIMATORS", default_value_t = TrainParams::default().n_estimators,
        value_parser = number::<usize>("N_ESTIMATORS", "a whole number, 1 to 10000"))]
    pub n_estimators: usize,
    /// Lines drawn for each tree
    #[arg(long, value_name = "N", env = "MAX_SAMPLES", default_value_t = TrainParams::default().max_samples,
        value_parser = number::<usize>("MAX_SAMPLES", "a whole number, 2 to 65536"))]
    pub max_samples: usize,
    /// Hashed columns, a power of two
    #[arg(long, value_name = "N", env = "N_FEATURES", default_value_t = TrainParams::default().n_features,
        value_parser = number::<usize>("N_FEATURES", "a power of two, 256 to 4194304"))]
    pub n_features: usize,
    /// Seed: the same input and seed give the same model, byte for byte
    #[arg(long, value_name = "N", env = "RANDOM_SEED", default_value_t = TrainParams::default().seed,
        value_parser = number::<u64>("RANDOM_SEED", "a whole number, 0 to 18446744073709551615"))]
    pub seed: u64,
    /// Threads to use, 0 for all cores; the model does not depend on it
    #[arg(long, value_name = "N", env = "TRAINER_THREADS", default_value_t = 0,
        value_parser = number::<usize>("TRAINER_THREADS", "a whole number, 0 to 1024, 0 for all cores"))]
    pub threads: usize,
    /// Also learn whole sessions: a field that names the session, such as trace_id, a comma list of fields, or a
    /// regular expression on the message with one group, such as (blk_-?\\d+)
    #[arg(long, value_name = "KEY", env = "SESSION_KEY")]
    pub session_key: Option<String>,
    /// With --session-key: a session ends when it was idle for longer than this, 1 to 604800 s
    #[arg(long, value_name = "SECONDS", env = "SESSION_IDLE_S", default_value_t = 60,
        value_parser = number::<u32>("SESSION_IDLE_S", "whole seconds, 1 to 604800"))]
    pub session_idle_s: u32,
    /// Odd lines a day that are worth a warning, 0.001 to 1000000: the report says from which score on
    #[arg(long, value_name = "N", env = "ALERT_BUDGET_PER_DAY", default_value_t = 10.0,
        value_parser = number::<f64>("ALERT_BUDGET_PER_DAY", "a number, 0.001 to 1000000"))]
    pub alert_budget_per_day: f64,
    /// Train on this Kafka topic instead of files
    #[arg(long, value_name = "TOPIC")]
    pub from_topic: Option<String>,
    /// Train on the log lines that a scorer kept: the file of its embedded store, or without a value the PostgreSQL of
    /// DATABASE_URL, else STORE_PATH
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with = "from_topic")]
    pub from_store: Option<Option<PathBuf>>,
    /// With --from-topic or --from-store: records from this time on, RFC 3339
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// With --from-topic or --from-store: records before this time, RFC 3339
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// With --from-topic: brokers to start from, host:port separated by commas
    #[arg(long, value_name = "HOST:PORT", env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "localhost:9092")]
    pub kafka_bootstrap_servers: String,
    /// With --from-topic: any librdkafka property, may be repeated [env: KAFKA_<NAME>, as KAFKA_SECURITY_PROTOCOL]
    #[arg(long = "kafka-property", value_name = "NAME=VALUE")]
    pub kafka_properties: Vec<String>,
    /// Leave out lines from this time until before that one, such as an incident; may be repeated
    #[arg(long, value_name = "FROM..TO")]
    pub exclude_time: Vec<String>,
    /// Leave out lines of this level and graver ones
    #[arg(long, value_name = "LEVEL")]
    pub exclude_level: Option<String>,
    /// Leave out lines for which this CEL expression is true, as 'service == "batch"'; may be repeated
    #[arg(long, value_name = "FILTER")]
    pub exclude: Vec<String>,
    /// Take out secrets of this kind too, beside keys, tokens, passwords and card numbers; may be repeated
    #[arg(long, value_name = "KIND=REGEX", env = "REDACT_PATTERNS", value_delimiter = '\n')]
    pub redact: Vec<String>,
    /// Also write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub report_json: Option<PathBuf>,
    /// Also write the report as a page: one file that a browser opens from disk
    #[arg(long, value_name = "FILE", env = "REPORT_HTML")]
    pub report_html: Option<PathBuf>,
    /// How records are read.
    #[command(flatten)]
    pub read: ReadArgs,
}

/// Arguments of `trainer evaluate`.
#[derive(Debug, clap::Args)]
pub struct EvaluateArgs {
    /// The model to measure
    #[arg(long, short, value_name = "FILE", env = "MODEL_PATH", default_value = "models/isolog.model")]
    pub model: PathBuf,
    /// Files, patterns or - with a column or field `label`: 0, 0.0, empty, `normal`, `false`, `no` or `-` is ordinary, all else odd
    #[arg(value_name = "LOGS", required = true)]
    pub logs: Vec<String>,
    /// Name of the label's column
    #[arg(long, value_name = "NAME", default_value = "label")]
    pub label: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// How records are read.
    #[command(flatten)]
    pub read: ReadArgs,
}

/// `auto` or a number; whether the number is in range is checked with the others.
#[derive(Clone, Copy, Debug)]
pub struct ContaminationArg(pub Contamination);

impl FromStr for ContaminationArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().eq_ignore_ascii_case("auto") {
            return Ok(Self(Contamination::Auto));
        }
        let share = text
            .trim()
            .parse()
            .map_err(|_| unusable("CONTAMINATION", text, "a share above 0 and at most 0.5, or `auto`"))?;
        Ok(Self(Contamination::Share(share)))
    }
}

/// What is said of a value that is not of the kind that its setting takes.
fn unusable(variable: &str, text: &str, allowed: &str) -> String {
    format!(
        "{variable} = {text:?} cannot be used; allowed: {allowed}. Give one of these, or leave it out (an empty \
         variable counts: unset {variable}) for the default"
    )
}

/// Reads a number; whether it is in range is checked with the others.
fn number<T: FromStr>(
    variable: &'static str,
    allowed: &'static str,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| text.trim().parse().map_err(|_| unusable(variable, text, allowed))
}

/// All mistakes of a command line.
#[derive(Debug)]
pub struct Mistakes(Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} setting{} cannot be used:", if count == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

/// Variables that look like librdkafka properties and are not passed through.
const SETTINGS_OF_THEIR_OWN: [&str; 3] =
    ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_GROUP_ID", "KAFKA_AUTO_OFFSET_RESET"];

/// A stretch of a topic.
#[derive(Clone, Debug)]
pub struct TopicSettings {
    /// Its name.
    pub name: String,
    /// Brokers and properties.
    pub client: ClientSettings,
    /// First record time.
    pub since: Option<EventTime>,
    /// Record time before which reading ends.
    pub until: Option<EventTime>,
}

/// What a scorer kept.
#[derive(Clone, Debug)]
pub struct StoredSettings {
    /// Where.
    pub place: StoreSettings,
    /// First event time.
    pub since: Option<EventTime>,
    /// Event time before which reading ends.
    pub until: Option<EventTime>,
}

/// Settings of `fit` whose ranges were checked.
#[derive(Debug)]
pub struct FitSettings {
    /// Parameters of the model.
    pub params: CheckedTrainParams,
    /// What is left out.
    pub excluded: Excluded,
    /// Decodes the records.
    pub decoder: Decoder,
    /// Takes secrets out.
    pub redactor: Redactor,
    /// Where a topic is trained on.
    pub topic: Option<TopicSettings>,
    /// Where a store is trained on.
    pub store: Option<StoredSettings>,
    /// How lines are put together to sessions, where sessions are learnt.
    pub sessions: Option<(SessionKey, SessionSettings)>,
}

impl FitArgs {
    /// The parameters as they were asked for.
    pub fn params(&self) -> TrainParams {
        TrainParams {
            n_estimators: self.n_estimators,
            max_samples: self.max_samples,
            n_features: self.n_features,
            seed: self.seed,
            contamination: self.contamination.0,
        }
    }

    /// Checks everything.
    ///
    /// # Errors
    /// Every setting that cannot be used, with its name, its value and what is allowed.
    pub fn check(&self) -> Result<FitSettings, Mistakes> {
        let mut mistakes = Vec::new();
        let params = match self.params().check() {
            Ok(params) => Some(params),
            Err(errors) => {
                mistakes.extend(errors.iter().map(|error| {
                    let variable = if error.name == "seed" {
                        "RANDOM_SEED".to_owned()
                    } else {
                        error.name.to_ascii_uppercase()
                    };
                    let flag = error.name.replace('_', "-");
                    format!("{variable} (--{flag}) = {} is out of range: {}", error.value, error.allowed)
                }));
                None
            }
        };
        if self.threads > MAX_THREADS {
            mistakes.push(format!(
                "TRAINER_THREADS (--threads) = {} is out of range: 0 to {MAX_THREADS}",
                self.threads
            ));
        }
        let excluded =
            Excluded::parse(&self.exclude_time, self.exclude_level.as_deref(), &self.exclude, &mut mistakes);
        let decoder = self.read.decoder(&mut mistakes);
        let redactor = redactor(&self.redact, &mut mistakes);
        let times = self.times(&mut mistakes);
        let topic = self.topic(times, &mut mistakes);
        let store = self.store(times, &mut mistakes);
        let sessions = self.sessions(&mut mistakes);
        let budget = self.alert_budget_per_day;
        if !(0.001..=1e6).contains(&budget) {
            mistakes.push(format!(
                "ALERT_BUDGET_PER_DAY (--alert-budget-per-day) = {budget} is out of range: 0.001 to 1000000"
            ));
        }
        match (params, decoder) {
            (Some(params), Some(decoder)) if mistakes.is_empty() => {
                Ok(FitSettings { params, excluded, decoder, redactor, topic, store, sessions })
            }
            _ => Err(Mistakes(mistakes)),
        }
    }
}

impl FitArgs {
    fn sessions(&self, mistakes: &mut Vec<String>) -> Option<(SessionKey, SessionSettings)> {
        let idle = self.session_idle_s;
        if !(1..=604_800).contains(&idle) {
            mistakes
                .push(format!("SESSION_IDLE_S (--session-idle-s) = {idle} is out of range: 1 to 604800 s"));
        }
        let setting = self.session_key.as_deref().filter(|setting| !setting.trim().is_empty())?;
        match SessionKey::parse(setting) {
            Ok(key) => {
                let idle_micros = i64::from(idle) * 1_000_000;
                Some((key, SessionSettings { idle_micros, ..SessionSettings::default() }))
            }
            Err(error) => {
                mistakes.push(format!("SESSION_KEY (--session-key): {error}"));
                None
            }
        }
    }

    /// `--since` and `--until`.
    fn times(&self, mistakes: &mut Vec<String>) -> (Option<EventTime>, Option<EventTime>) {
        if self.from_topic.is_none() && self.from_store.is_none() {
            if self.since.is_some() || self.until.is_some() {
                mistakes.push("--since and --until need --from-topic or --from-store".to_owned());
            }
            return (None, None);
        }
        let mut at = |flag: &str, text: &Option<String>| {
            let text = text.as_deref()?;
            time(text)
                .map_err(|why| {
                    mistakes.push(format!(
                        "--{flag} = {text}: {why}; allowed: RFC 3339, such as 2026-03-01T10:00:00Z"
                    ))
                })
                .ok()
        };
        let (since, until) = (at("since", &self.since), at("until", &self.until));
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            mistakes.push(format!("--until = {until} is not after --since = {since}"));
        }
        (since, until)
    }

    fn store(
        &self,
        (since, until): (Option<EventTime>, Option<EventTime>),
        mistakes: &mut Vec<String>,
    ) -> Option<StoredSettings> {
        let variable = |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
        let given = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let place = match (self.from_store.clone()?, given("DATABASE_URL")) {
            (Some(path), _) => StoreSettings::Embedded { path },
            (None, Some(url)) => StoreSettings::Postgres(url.trim().to_owned()),
            (None, None) => {
                let path = given("STORE_PATH").unwrap_or_else(|| "isolog.db".to_owned());
                StoreSettings::Embedded { path: path.into() }
            }
        };
        if let Err(error) = store::open(&place) {
            mistakes.push(format!("DATABASE_URL: {error}"));
        }
        Some(StoredSettings { place, since, until })
    }

    fn topic(
        &self,
        (since, until): (Option<EventTime>, Option<EventTime>),
        mistakes: &mut Vec<String>,
    ) -> Option<TopicSettings> {
        let name = self.from_topic.clone()?;
        let mut properties: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| !SETTINGS_OF_THEIR_OWN.contains(&name.as_str()))
            .filter_map(|(name, value)| Some((kafka::property_of_variable(&name)?, value)))
            .collect();
        for text in &self.kafka_properties {
            match text.split_once('=') {
                Some((name, value)) => properties.push((name.trim().to_owned(), value.to_owned())),
                None => mistakes.push(format!("--kafka-property = {text}: allowed: NAME=VALUE")),
            }
        }
        let client = ClientSettings { bootstrap_servers: self.kafka_bootstrap_servers.clone(), properties };
        if let Err(errors) = client.check() {
            mistakes.extend(errors.iter().map(ToString::to_string));
        }
        Some(TopicSettings { name, client, since, until })
    }
}

fn redactor(patterns: &[String], mistakes: &mut Vec<String>) -> Redactor {
    let mut more = Vec::new();
    for text in patterns.iter().filter(|text| !text.trim().is_empty()) {
        match Pattern::parse(text) {
            Ok(pattern) => more.push(pattern),
            Err(error) => mistakes.push(format!("REDACT_PATTERNS (--redact): {error}")),
        }
    }
    Redactor::new(&more).unwrap_or_else(|error| {
        mistakes.push(format!("REDACT_PATTERNS (--redact): {error}"));
        Redactor::default()
    })
}

const MAX_THREADS: usize = 1_024;

impl ReadArgs {
    fn decoder(&self, mistakes: &mut Vec<String>) -> Option<Decoder> {
        let mut settings = DecodeSettings { format: self.format.clone(), ..DecodeSettings::default() };
        settings.limits.max_line_bytes = self.max_line_bytes;
        let (least, most) = (64, 64 << 20);
        if !(least..=most).contains(&self.max_line_bytes) {
            let value = self.max_line_bytes;
            mistakes.push(format!(
                "MAX_LINE_BYTES (--max-line-bytes) = {value} is out of range: {least} to {most} bytes"
            ));
        }
        match Decoder::checked(settings) {
            Ok(decoder) => Some(decoder),
            Err(error) => {
                mistakes.push(format!("INPUT_FORMAT (--format): {error}"));
                None
            }
        }
    }

    /// Checks everything.
    ///
    /// # Errors
    /// Every setting that cannot be used.
    pub fn check(&self) -> Result<Decoder, Mistakes> {
        let mut mistakes = Vec::new();
        match self.decoder(&mut mistakes) {
            Some(decoder) if mistakes.is_empty() => Ok(decoder),
            _ => Err(Mistakes(mistakes)),
        }
    }
}
