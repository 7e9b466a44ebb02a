//! The one room that reads the environment, the flags and the config file: as written becomes as usable, and all
//! mistakes are reported together. Opens no connection and no file but the config file.

pub mod table;
#[cfg(test)]
pub(crate) mod tests;
mod usable;
mod written;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use engine::decode::DecodeSettings;
use engine::decode::family::Families;
use engine::decode::multiline::JoinSettings;
use engine::detect::Severity;
use engine::model::Contamination;
use engine::redact::Redactor;
pub use notify::settings::{Secret, SinkSettings, SinksSettings};
use store::{Retention, StoreSettings};
pub use written::{Flags, Place, Reading, ReadingKept, Subset};

use crate::control::ControlSettings;
use crate::state::LearnSettings;

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Its name.
    pub name: String,
    /// The value that was given; `***` for secrets.
    pub value: String,
    /// Where it was written.
    pub place: Place,
    /// What is allowed.
    pub why: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {:?} ({}): {}", self.name, self.value, self.place, self.why)
    }
}

/// All mistakes of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} setting{} cannot be used:", if count == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The topics of `kafka`.
    Kafka,
    /// A file, directory or glob that is followed.
    File(String),
    /// Standard input.
    Stdin,
    /// OTLP over gRPC alone.
    Otlp,
    /// The built-in simulator, in `scorer demo` only.
    Simulator,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka => f.write_str("kafka"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::Stdin => f.write_str("stdin"),
            Self::Otlp => f.write_str("otlp"),
            Self::Simulator => f.write_str("simulator"),
        }
    }
}

/// Where a Kafka group without a committed offset, or a file that was never read, begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record.
    Beginning,
    /// With the next record.
    End,
}

impl Start {
    /// As `auto.offset.reset` has it.
    pub const fn as_offset_reset(self) -> &'static str {
        match self {
            Self::Beginning => "earliest",
            Self::End => "latest",
        }
    }
}

/// Kafka as input and output.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// Brokers and passed-through properties.
    pub client: kafka::ClientSettings,
    /// Whether Kafka takes part: as input, or because its brokers were given.
    pub in_use: bool,
    /// Topics to read.
    pub topics: Vec<String>,
    /// The topic between scoring and detection, which is among `topics` too; `None` where lines are watched in the
    /// partition they come from.
    pub detect_topic: Option<String>,
    /// Consumer group.
    pub group_id: String,
    /// Where a group without a committed offset begins.
    pub start: Start,
}

/// Followed files.
#[derive(Clone, Debug)]
pub struct FileSettings {
    /// Takes the service from the path.
    pub services: Families,
    /// Where files that are there at the first start are read from.
    pub start: Start,
    /// How often files are looked at.
    pub poll: Duration,
}

/// Micro-batches.
#[derive(Clone, Copy, Debug)]
pub struct BatchSettings {
    /// Most records.
    pub size: usize,
    /// Longest wait for a batch to fill.
    pub wait: Duration,
    /// Most bytes: a batch that holds as much is closed.
    pub bytes: usize,
}

/// Model and threshold.
#[derive(Clone, Debug)]
pub struct ModelSettings {
    /// The model file.
    pub path: PathBuf,
    /// Start without it and wait.
    pub wait: bool,
    /// Threshold by share; `None` takes the model's own.
    pub contamination: Option<Contamination>,
    /// Threshold by score, in [0, 1]; wins over `contamination`.
    pub score_threshold: Option<f64>,
    /// Recent lines whose scores a scoring thread remembers; 0 for none.
    pub table_lines: usize,
    /// Odd lines a day that are worth a warning.
    pub alert_budget_per_day: f64,
}

/// Where anomalies and dead letters go.
#[derive(Clone, Debug)]
pub struct OutputSettings {
    /// Topic for anomalies, where Kafka takes part.
    pub anomaly_topic: Option<String>,
    /// File for anomalies.
    pub anomaly_file: Option<PathBuf>,
    /// Topic for the records of alerts, where Kafka takes part.
    pub alert_topic: Option<String>,
    /// File for the records of alerts.
    pub alert_file: Option<PathBuf>,
    /// Topic that is told what became of each delivery to a sink, where Kafka takes part.
    pub sink_results_topic: Option<String>,
    /// Topic for the records that a sink will not take, where Kafka takes part.
    pub sink_dead_letter_topic: Option<String>,
    /// Longest message kept in a record, in bytes.
    pub message_bytes: usize,
    /// Topic for dead letters, where Kafka takes part.
    pub dead_letter_topic: Option<String>,
    /// File for dead letters.
    pub dead_letter_file: Option<PathBuf>,
    /// File for the summary of web accesses.
    pub summary_path: Option<PathBuf>,
    /// Least HTTP status that the summary calls an error.
    pub summary_error_status: u16,
}

/// Which log lines are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptLogs {
    /// Those that are an anomaly, and those around the graver ones.
    Context(ContextLines),
    /// All.
    All,
    /// None.
    None,
}

/// What is kept around an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextLines {
    /// Lines of its service before and after it.
    pub lines: usize,
    /// The least severity of an anomaly that is kept with them; others are kept alone.
    pub severity: Severity,
}

/// What is kept, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUse {
    /// Where.
    pub place: StoreSettings,
    /// Which log lines.
    pub logs: KeptLogs,
    /// How long, and how much.
    pub retention: Retention,
}

/// TLS of the gRPC server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// Authority that client certificates must come from, PEM.
    pub client_ca: Option<PathBuf>,
}

/// HTTP and gRPC servers.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// HTTP address; `None` is off.
    pub http: Option<SocketAddr>,
    /// gRPC address; `None` is off.
    pub grpc: Option<SocketAddr>,
    /// TLS of gRPC.
    pub grpc_tls: Option<TlsFiles>,
    /// Token of operators, who may see and change; without a token callers are answered on loopback only.
    pub http_token: Option<Secret>,
    /// Token of viewers, who may see.
    pub http_viewer_token: Option<Secret>,
    /// Without a token every caller of a non-loopback address is an operator.
    pub http_open: bool,
    /// Token that gRPC callers must send.
    pub grpc_token: Option<Secret>,
    /// Largest gRPC message in bytes.
    pub grpc_max_message_bytes: usize,
}

/// Shape of the program's own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The program's own log.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Shape.
    pub format: LogFormat,
    /// A tracing filter.
    pub filter: String,
}

/// Every setting, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where records come from.
    pub inputs: Vec<Input>,
    /// Kafka.
    pub kafka: KafkaSettings,
    /// Followed files.
    pub file: FileSettings,
    /// Micro-batches.
    pub batch: BatchSettings,
    /// How records are read.
    pub decode: DecodeSettings,
    /// How lines are joined to records; `None` is off.
    pub multiline: Option<JoinSettings>,
    /// Takes secrets out of what is kept of a line.
    pub redactor: Redactor,
    /// Model and threshold.
    pub model: ModelSettings,
    /// Where findings go.
    pub output: OutputSettings,
    /// Where lines, anomalies and alerts are kept; `None` is off.
    pub store: Option<StoreUse>,
    /// Who is told of alerts.
    pub sinks: SinksSettings,
    /// What people decided about alerts.
    pub control: ControlSettings,
    /// Servers.
    pub serve: ServeSettings,
    /// Where file positions, and what is learnt of inputs other than Kafka, are kept.
    pub state_dir: Option<PathBuf>,
    /// What is learnt while running.
    pub learn: LearnSettings,
    /// Longest time of a graceful stop.
    pub shutdown_timeout: Duration,
    /// How long the lag may grow without any progress before the process counts as hung.
    pub stall_timeout: Duration,
    /// The program's own log.
    pub log: LogSettings,
    /// Each setting with its value as text and its place, in the order of the table; secrets are starred.
    pub shown: Vec<(&'static str, String, Place)>,
}

impl Settings {
    /// The topic that the sinks read alerts from; without one they read them from the store.
    pub fn outbox_topic(&self) -> Option<&str> {
        self.output.alert_topic.as_deref().filter(|_| self.kafka.in_use)
    }

    /// Reads flags, environment and config file.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn load<S: Subset>(flags: Flags<S>) -> Result<Self, Mistakes> {
        Self::from_parts(flags, environment())
    }

    /// As [`Settings::load`] with an environment that is passed in.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn from_parts<S: Subset>(
        flags: Flags<S>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let written = written::collect(flags.widen(), environment, &mut mistakes);
        let settings = usable::check(&written, &mut mistakes);
        match settings {
            Some(settings) if mistakes.is_empty() => Ok(settings),
            _ => Err(Mistakes(mistakes)),
        }
    }
}

/// The process's variables; those that are not UTF-8 are none of ours.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
