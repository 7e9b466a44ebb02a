//! The table of all settings: name, default, unit, range and meaning, once. The help, the checks' messages and
//! the documentation are made from it; it never reads a value.

use std::fmt::Write as _;

/// What a setting is about; a program part lists the groups that it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Where records come from and how they are cut into batches.
    Input,
    /// The Kafka client.
    Kafka,
    /// How records are read.
    Decode,
    /// Model and threshold.
    Model,
    /// What is learnt while running.
    Learn,
    /// Detectors and alerts.
    Alerts,
    /// Where anomalies and dead letters go.
    Output,
    /// What is kept, and where.
    Store,
    /// Who is told of alerts.
    Sinks,
    /// HTTP and gRPC servers.
    Serve,
    /// The process itself.
    Process,
}

impl Group {
    /// Every group, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::Input,
        Self::Kafka,
        Self::Decode,
        Self::Model,
        Self::Learn,
        Self::Alerts,
        Self::Output,
        Self::Store,
        Self::Sinks,
        Self::Serve,
        Self::Process,
    ];

    /// The heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Input => "Input",
            Self::Kafka => "Kafka",
            Self::Decode => "Reading records",
            Self::Model => "Model",
            Self::Learn => "Learning while running",
            Self::Alerts => "Detectors and alerts",
            Self::Output => "Output",
            Self::Store => "Store",
            Self::Sinks => "Sinks of alerts",
            Self::Serve => "Servers",
            Self::Process => "Process",
        }
    }
}

/// One setting. The environment variable is `name`, the key of the file is `name` in lower case, the flag is
/// that with hyphens.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name in capitals.
    pub name: &'static str,
    /// What it is about.
    pub group: Group,
    /// Value where nothing is given; empty means unset.
    pub default: &'static str,
    /// What is allowed, with the unit.
    pub allowed: &'static str,
    /// What it does, one sentence.
    pub doc: &'static str,
    /// A switch: its flag may stand without a value.
    pub switch: bool,
    /// Its value is never printed.
    pub secret: bool,
    /// A list whose items are lines, because they may hold commas.
    pub lines: bool,
}

impl Setting {
    const fn new(
        group: Group,
        name: &'static str,
        default: &'static str,
        allowed: &'static str,
        doc: &'static str,
    ) -> Self {
        Self { name, group, default, allowed, doc, switch: false, secret: false, lines: false }
    }

    /// A row of the sinks' own table.
    const fn of_sinks(row: &notify::settings::Setting) -> Self {
        Self {
            secret: row.secret,
            lines: row.lines,
            ..Self::new(Group::Sinks, row.name, row.default, row.allowed, row.doc)
        }
    }

    const fn switch(mut self) -> Self {
        self.switch = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn lines(mut self) -> Self {
        self.lines = true;
        self
    }

    /// Key in the config file.
    pub fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// Long flag without the leading hyphens.
    pub fn flag(&self) -> String {
        self.key().replace('_', "-")
    }
}

/// Every setting of the scorer.
pub const ALL: &[Setting] = &all();

const fn all() -> [Setting; OWN.len() + SINKS.len()] {
    let mut all = [OWN[0]; OWN.len() + SINKS.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < OWN.len() { OWN[at] } else { Setting::of_sinks(&SINKS[at - OWN.len()]) };
        at += 1;
    }
    all
}

const SINKS: &[notify::settings::Setting] = notify::settings::ALL;

/// Every setting but those that sinks bring along, by group.
#[rustfmt::skip]
const OWN: &[Setting] = &[
    Setting::new(Group::Input, "INPUT", "kafka", "a comma list of `kafka`, `file:PATH`, `stdin`, `otlp`", "Where records come from. PATH is a file, a directory or a glob; it is followed as it grows. OTLP over gRPC is always answered; `otlp` alone says that nothing else is read."),
    Setting::new(Group::Input, "LOG_TOPIC", "application-logs", "a comma list of topic names", "Kafka topics to read."),
    Setting::new(Group::Input, "BATCH_SIZE", "500", "1 to 100000 records", "Most records of one micro-batch."),
    Setting::new(Group::Input, "BATCH_WAIT_MS", "100", "1 to 60000 ms", "Longest wait for a batch to fill."),
    Setting::new(Group::Input, "BATCH_BYTES", "1048576", "1024 to 67108864 bytes", "A micro-batch is closed when it holds this much, so that long records cannot fill the memory."),
    Setting::new(Group::Input, "FILE_SERVICES", "", "a comma list of patterns such as `audit/*.json`, `logs/{service}/*.log`, `*.out=batch`", "Takes the service from a followed file's path where a record names none: what stands at `{service}`, behind `=`, or else the last folder of the pattern."),
    Setting::new(Group::Input, "FILE_START", "beginning", "`beginning` or `end`", "Where a file that was never read before is read from at the start; files that appear later are read from their beginning."),
    Setting::new(Group::Input, "FILE_POLL_MS", "200", "10 to 60000 ms", "How often followed files are looked at."),
    Setting::new(Group::Input, "STATE_DIR", "", "a directory that can be written", "Where the positions of followed files are kept, and what is learnt of inputs other than Kafka; unset: files are read from FILE_START at each start, and what was learnt is lost. One scorer alone uses it."),
    Setting::new(Group::Kafka, "KAFKA_BOOTSTRAP_SERVERS", "localhost:9092", "a comma list of host:port", "Kafka brokers to start from."),
    Setting::new(Group::Kafka, "KAFKA_GROUP_ID", "isolog-scorer", "1 to 255 characters", "Consumer group; scorers of one group share the partitions."),
    Setting::new(Group::Kafka, "KAFKA_AUTO_OFFSET_RESET", "earliest", "`earliest` or `latest`", "Where a group without a committed offset begins."),
    Setting::new(Group::Decode, "INPUT_FORMAT", "auto", "`auto` or the name of a format", "Shape of the records; `auto` finds it record by record."),
    Setting::new(Group::Decode, "MAX_LINE_BYTES", "1048576", "64 to 67108864 bytes", "Longest record that is accepted."),
    Setting::new(Group::Decode, "MAX_ATTRIBUTES", "256", "1 to 65536", "Most fields of one record."),
    Setting::new(Group::Decode, "MAX_DEPTH", "32", "1 to 128 levels", "Deepest nesting of one record."),
    Setting::new(Group::Decode, "MAX_EVENTS", "32768", "1 to 1048576", "Most events of one batch record, such as a JSON array."),
    Setting::new(Group::Decode, "TIME_FIELDS", "", "a comma list of field names", "Fields that hold the time, first hit wins; set, it replaces the built-in list."),
    Setting::new(Group::Decode, "LEVEL_FIELDS", "", "a comma list of field names", "Fields that hold the level, first hit wins; set, it replaces the built-in list."),
    Setting::new(Group::Decode, "SEVERITY_NUMBER_FIELDS", "", "a comma list of field names", "Fields that hold an OpenTelemetry severity number, 1 to 24, first hit wins; set, it replaces the built-in list."),
    Setting::new(Group::Decode, "SERVICE_FIELDS", "", "a comma list of field names", "Fields that hold the service, first hit wins; set, it replaces the built-in list."),
    Setting::new(Group::Decode, "MESSAGE_FIELDS", "", "a comma list of field names", "Fields that hold the message, first hit wins; set, it replaces the built-in list."),
    Setting::new(Group::Decode, "UNWRAP_FIELDS", "", "a comma list of field names", "Fields that wrap the record proper, first hit wins; set, it replaces the built-in list."),
    Setting::new(Group::Decode, "IP_FIELDS", "", "a comma list of field names", "Fields that hold the client's address of a web access, first hit wins; set, it replaces the built-in list."),
    Setting::new(Group::Decode, "METHOD_FIELDS", "", "a comma list of field names", "Fields that hold the method of a web access, first hit wins; set, it replaces the built-in list."),
    Setting::new(Group::Decode, "URL_FIELDS", "", "a comma list of field names", "Fields that hold the address of a web access, first hit wins; set, it replaces the built-in list."),
    Setting::new(Group::Decode, "STATUS_FIELDS", "", "a comma list of field names", "Fields that hold the HTTP status of a web access, first hit wins; set, it replaces the built-in list."),
    Setting::new(Group::Decode, "LINE_PATTERN", "", "a regular expression with named groups", "Reads plain text by its groups `timestamp`, `level`, `service`, `message`; tried before every other format."),
    Setting::new(Group::Decode, "UTC_OFFSET_S", "0", "-86399 to 86399 s", "Zone of times that are written without one, in seconds east of UTC."),
    Setting::new(Group::Decode, "MULTILINE", "true", "`true` or `false`", "Joins the lines of a stack trace to one record, per file or per Kafka partition and key; a JSON object on one line never waits.").switch(),
    Setting::new(Group::Decode, "MULTILINE_WAIT_MS", "300", "10 to 60000 ms", "A record of text is whole when its source was silent for so long."),
    Setting::new(Group::Decode, "MULTILINE_MAX_BYTES", "131072", "1024 to 16777216 bytes", "Longest joined record."),
    Setting::new(Group::Decode, "MULTILINE_MAX_LINES", "2000", "2 to 100000 lines", "Most lines of a joined record."),
    Setting::new(Group::Decode, "MULTILINE_MAX_SOURCES", "128", "1 to 100000", "Most sources whose last record may wait for its next line at the same time."),
    Setting::new(Group::Decode, "REDACT", "true", "`true` or `false`", "Takes keys, tokens, passwords and card numbers out of a line before anything of it is kept.").switch(),
    Setting::new(Group::Decode, "REDACT_PATTERNS", "", "lines of KIND=REGULAR EXPRESSION (an array in the file)", "Further secrets to take out; a group in the expression limits what is replaced.").lines(),
    Setting::new(Group::Model, "MODEL_PATH", "models/isolog.model", "a path", "The model file; it is read again when it changes."),
    Setting::new(Group::Model, "WAIT_FOR_MODEL", "false", "`true` or `false`", "Start without a model, not ready, and wait for the file.").switch(),
    Setting::new(Group::Model, "CONTAMINATION", "", "a share above 0, at most 0.5, or `auto`", "Share of the training lines to call anomalous; `auto` takes the threshold from the tail of the scores; unset: what the model was trained with."),
    Setting::new(Group::Model, "ANOMALY_SCORE_THRESHOLD", "", "0 to 1", "Lines that score above it are anomalies; wins over CONTAMINATION."),
    Setting::new(Group::Model, "SCORE_TABLE_LINES", "65536", "0 to 4194304 lines", "Recent lines, numbers and identifiers forgotten, whose scores each scoring thread remembers (64 bytes each); 0 for none. Scores are the same."),
    Setting::new(Group::Model, "ALERT_BUDGET_PER_DAY", "10", "0.001 to 1000000", "An anomaly is a warning above the score that so many lines a day are expected to exceed, by the training scores and at the training's rate; below it, it is an info."),
    Setting::new(Group::Learn, "ONLINE_COUNTS", "false", "`true` or `false`", "Words that recur since the training become usual, per service.").switch(),
    Setting::new(Group::Learn, "ONLINE_STEP_LINES", "1000", "1 to 1000000 lines", "Lines of a service after which what they held takes effect."),
    Setting::new(Group::Learn, "ONLINE_SEVERE_WEIGHT", "0.05", "0 to 1", "What a line of level ERROR or FATAL counts against another one: what only such lines say never counts as more frequent than this share of a service's lines, so a fault that is one line of many stays odd, and one that is nearly all a service says becomes less so."),
    Setting::new(Group::Learn, "MAX_SERVICES", "10000", "1 to 100000", "Services of one partition or input that are learnt apart; those beyond share one place."),
    Setting::new(Group::Learn, "SNAPSHOT_INTERVAL_MS", "5000", "100 to 600000 ms", "How often what was learnt is written, with the positions that it stands at; where something learns, positions are committed with it."),
    Setting::new(Group::Learn, "STATE_TOPIC", "isolog_state", "a topic name, or empty for off", "Compacted topic that keeps what was learnt of Kafka's partitions, made where it is missing; off: it is lost at a restart and a rebalance."),
    Setting::new(Group::Alerts, "DETECT", "true", "`true` or `false`", "Runs the detectors and folds what they find into alerts. Their numbers are `DETECT_<DETECTOR>_<SETTING>`, such as `DETECT_ERROR_BURST_MORE_THAN=10` or `DETECT_VOLUME_ENABLED=false`, or `[detect.NAME]` in the config file: docs/detectors.md.").switch(),
    Setting::new(Group::Alerts, "DETECT_TOPIC", "", "a topic name", "Topic that scored lines pass on their way to the detectors, keyed by service, where LOG_TOPIC has several partitions and is not; make it with as many partitions as scorers may share the work. Unset: each partition of LOG_TOPIC is watched by itself."),
    Setting::new(Group::Alerts, "CONTROL_TOPIC", "isolog_control", "a topic name, or empty for off", "Compacted topic by which scorers of one group share silences and what is called normal, made where it is missing; with DATABASE_URL they share them there, without Kafka in the store."),
    Setting::new(Group::Alerts, "ALERT_GROUP_WAIT_S", "1", "0 to 3600 s", "Time from an alert's first anomaly, or a graver one, to its record: what comes in it is told together."),
    Setting::new(Group::Alerts, "ALERT_RESOLVE_AFTER_S", "300", "10 to 86400 s", "Event time without an anomaly after which an alert is resolved."),
    Setting::new(Group::Alerts, "ALERT_REPEAT_INTERVAL_S", "14400", "60 to 2592000 s", "Time after which a receiver hears again of an alert that goes on."),
    Setting::new(Group::Output, "ANOMALY_TOPIC", "anomalies", "a topic name, or empty for off", "Topic that gets one JSON record per anomaly, where Kafka is the input or KAFKA_BOOTSTRAP_SERVERS is given."),
    Setting::new(Group::Output, "ANOMALY_FILE", "", "a path", "File that gets one JSON line per anomaly."),
    Setting::new(Group::Output, "ALERT_TOPIC", "anomaly_alerts", "a topic name, or empty for off", "Topic that gets one JSON record for each change of an alert, where Kafka is the input or KAFKA_BOOTSTRAP_SERVERS is given; the sinks read it."),
    Setting::new(Group::Output, "ALERT_FILE", "", "a path", "File that gets one JSON line for each change of an alert."),
    Setting::new(Group::Output, "MESSAGE_BYTES", "8192", "256 to 65536 bytes", "Longest message in an anomaly record; longer ones are cut and flagged."),
    Setting::new(Group::Output, "DEAD_LETTER_TOPIC", "isolog_dead_letters", "a topic name, or empty for off", "Topic that gets the records that could not be read, where Kafka is the input or KAFKA_BOOTSTRAP_SERVERS is given."),
    Setting::new(Group::Output, "DEAD_LETTER_FILE", "", "a path", "File that gets the records that could not be read, as JSON lines."),
    Setting::new(Group::Sinks, "SINK_RESULTS_TOPIC", "", "a topic name, such as `http_sink_results`, or empty for off", "Topic that is told what became of each delivery to a sink, where Kafka takes part."),
    Setting::new(Group::Sinks, "SINK_DEAD_LETTER_TOPIC", "isolog_sink_dead_letters", "a topic name, or empty for off", "Topic that keeps the alerts that a sink refused or could not take for SINK_RETRY_FOR_S, where Kafka takes part; `scorer replay-dead-letters` sends them again."),
    Setting::new(Group::Output, "SUMMARY_PATH", "", "a path, such as `results/summary.json`", "File that gets the summary of the last hour of web access events (top addresses and pages, newest errors), every 10 s as a whole; without one it is at `/summary.json` alone: docs/summary.md."),
    Setting::new(Group::Output, "SUMMARY_ERROR_STATUS", "500", "100 to 599", "Least HTTP status that the summary calls an error."),
    Setting::new(Group::Store, "DATABASE_URL", "", "postgres://USER:PASSWORD@HOST:PORT/DATABASE", "PostgreSQL that keeps lines, anomalies and alerts; unset: the embedded store at STORE_PATH does. `?sslmode=` is disable, prefer, require or verify-full, `&sslrootcert=` a PEM file of authorities: docs/store.md.").secret(),
    Setting::new(Group::Store, "STORE_PATH", "isolog.db", "a path, or empty for off", "File of the embedded store; a relative one is below STATE_DIR where that is set, else below the working directory."),
    Setting::new(Group::Store, "STORE_LOGS", "context", "`context`, `all` or `none`", "Which log lines are kept: anomalies and those around the graver ones, all, none."),
    Setting::new(Group::Store, "STORE_CONTEXT_LINES", "5", "0 to 100 lines", "With `context`: lines of the same service that are kept before and after an anomaly of STORE_CONTEXT_SEVERITY."),
    Setting::new(Group::Store, "STORE_CONTEXT_SEVERITY", "warning", "`info`, `warning`, `error` or `critical`", "With `context`: least severity of an anomaly around which lines are kept; lines that are a lesser one are kept alone. `info`: around each."),
    Setting::new(Group::Store, "STORE_RETENTION_DAYS", "90", "1 to 36500 days", "What was written longer ago is removed."),
    Setting::new(Group::Store, "STORE_MAX_BYTES", "2147483648", "1048576 to 1125899906842624 bytes", "Size of the embedded store beyond which the oldest log lines are removed while they take more than all else, otherwise the oldest anomalies or alerts that every sink has dealt with."),
    Setting::new(Group::Serve, "HTTP_ADDR", "127.0.0.1:8080", "IP:port, or empty for off", "Address of dashboard, metrics and health."),
    Setting::new(Group::Serve, "HTTP_TOKEN", "", "8 characters or more", "Bearer token of operators, who may see and change; unset: callers are answered on loopback only. Metrics and health need none; see docs/access.md.").secret(),
    Setting::new(Group::Serve, "HTTP_VIEWER_TOKEN", "", "8 characters or more, other than HTTP_TOKEN", "Bearer token of viewers, who may see and not change.").secret(),
    Setting::new(Group::Serve, "HTTP_UNAUTHENTICATED_ON_ALL_INTERFACES", "false", "true or false", "Lets HTTP_ADDR be a non-loopback address without a token: every caller is an operator; only where something else keeps others away.").switch(),
    Setting::new(Group::Serve, "GRPC_ADDR", "127.0.0.1:50051", "IP:port, or empty for off", "Address of gRPC and OTLP."),
    Setting::new(Group::Serve, "GRPC_TLS_CERT", "", "a PEM file", "Certificate chain of the gRPC server; turns TLS on together with GRPC_TLS_KEY."),
    Setting::new(Group::Serve, "GRPC_TLS_KEY", "", "a PEM file", "Private key of the gRPC server."),
    Setting::new(Group::Serve, "GRPC_TLS_CLIENT_CA", "", "a PEM file", "Clients must show a certificate signed by it (mutual TLS)."),
    Setting::new(Group::Serve, "GRPC_TOKEN", "", "8 characters or more", "Bearer token that gRPC callers must send.").secret(),
    Setting::new(Group::Serve, "GRPC_MAX_MESSAGE_BYTES", "4194304", "1024 to 268435456 bytes", "Largest gRPC message that is accepted."),
    Setting::new(Group::Process, "STALL_TIMEOUT_S", "300", "10 to 86400 s", "`/healthz` turns red when the lag has grown for this long while no position moved."),
    Setting::new(Group::Process, "SHUTDOWN_TIMEOUT_S", "30", "1 to 600 s", "Longest time that a graceful stop may take."),
    Setting::new(Group::Process, "LOG_FORMAT", "text", "`text` or `json`", "Shape of the program's own log."),
    Setting::new(Group::Process, "LOG_LEVEL", "info", "a tracing filter, such as `info` or `scorer=debug`", "What the program's own log tells."),
];

/// The setting of this name.
pub fn find(name: &str) -> Option<&'static Setting> {
    ALL.iter().find(|setting| setting.name == name)
}

/// The whole table as Markdown, by group.
pub fn markdown() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let _ = writeln!(
            text,
            "### {}\n\n| variable | default | allowed | meaning |\n|---|---|---|---|",
            group.title()
        );
        for setting in ALL.iter().filter(|setting| setting.group == group) {
            let default = if setting.default.is_empty() {
                "unset".to_owned()
            } else {
                format!("`{}`", setting.default)
            };
            let _ = writeln!(
                text,
                "| `{}` | {default} | {} | {} |",
                setting.name,
                setting.allowed.replace('|', "\\|"),
                setting.doc.replace('|', "\\|")
            );
        }
        text.push('\n');
    }
    text
}
