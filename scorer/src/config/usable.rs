//! As written becomes as usable: every value parsed and its range checked, every mistake kept.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use engine::decode::family::Families;
use engine::decode::multiline::JoinSettings;
use engine::decode::{DecodeSettings, Decoder, FieldNames, UserPattern};
use engine::detect::Severity;
use engine::event::Limits;
use engine::model::{Contamination, OnlineSettings};
use engine::redact::{Pattern, Redactor};
use store::{Retention, StoreSettings};

mod control;
mod detectors;

use super::written::{Value, Written};
use super::{
    BatchSettings, ContextLines, FileSettings, Input, KafkaSettings, KeptLogs, LogFormat, LogSettings,
    Mistake, ModelSettings, OutputSettings, Place, Secret, ServeSettings, Settings, SinksSettings, Start,
    StoreUse, TlsFiles, table,
};
use crate::state::LearnSettings;

/// Checks all settings; `None` only together with mistakes.
pub fn check(written: &Written, mistakes: &mut Vec<Mistake>) -> Option<Settings> {
    let mut reader = Reader { written, mistakes };
    let inputs = reader.inputs();
    let client = reader.kafka_client();
    let kafka_given =
        written.values.get("KAFKA_BOOTSTRAP_SERVERS").is_some_and(|value| !value.text.is_empty());
    let in_use = kafka_given || inputs.contains(&Input::Kafka);
    let mut topics = reader.topics("LOG_TOPIC");
    let detect_topic = reader.detect_topic(&topics).filter(|_| inputs.contains(&Input::Kafka));
    topics.extend(detect_topic.clone());
    let model = reader.model()?;
    let budget_per_day = model.alert_budget_per_day;
    let sinks = reader.sinks()?;
    let settings = Settings {
        kafka: KafkaSettings {
            client,
            in_use,
            topics,
            detect_topic: detect_topic.clone(),
            group_id: reader.group_id(),
            start: reader.choice(
                "KAFKA_AUTO_OFFSET_RESET",
                &[("earliest", Start::Beginning), ("latest", Start::End)],
            )?,
        },
        inputs,
        file: reader.file()?,
        batch: BatchSettings {
            size: reader.number("BATCH_SIZE", 1..=100_000)?,
            wait: reader.millis("BATCH_WAIT_MS", 1..=60_000)?,
            bytes: reader.number("BATCH_BYTES", 1_024..=67_108_864)?,
        },
        decode: reader.decode()?,
        multiline: reader.multiline()?,
        redactor: reader.redactor()?,
        model,
        output: reader.output()?,
        control: reader.control(),
        serve: reader.serve()?,
        state_dir: reader.path("STATE_DIR"),
        learn: LearnSettings { detect_topic, ..reader.learn(budget_per_day, &sinks)? },
        store: reader.store()?,
        sinks,
        shutdown_timeout: Duration::from_secs(reader.number("SHUTDOWN_TIMEOUT_S", 1..=600)?),
        stall_timeout: Duration::from_secs(reader.number("STALL_TIMEOUT_S", 10..=86_400)?),
        log: reader.log()?,
        shown: shown(written),
    };
    if let Some(sink) = settings.sinks.all.first()
        && settings.outbox_topic().is_none()
        && settings.store.is_none()
    {
        let why = format!(
            "the sink {} could never be told of an alert: nothing keeps alerts for it; set STORE_PATH or DATABASE_URL, or ALERT_TOPIC with Kafka",
            sink.audience.name
        );
        let value = reader.value("STORE_PATH");
        reader.mistake("STORE_PATH", &value, Some(why));
    }
    Some(settings)
}

fn shown(written: &Written) -> Vec<(&'static str, String, Place)> {
    table::ALL
        .iter()
        .map(|setting| match written.values.get(setting.name) {
            Some(value) if setting.secret && !value.text.is_empty() => {
                (setting.name, "***".to_owned(), value.place.clone())
            }
            Some(value) => (setting.name, value.text.clone(), value.place.clone()),
            None => (setting.name, setting.default.to_owned(), Place::Default),
        })
        .collect()
}

struct Reader<'a> {
    written: &'a Written,
    mistakes: &'a mut Vec<Mistake>,
}

impl Reader<'_> {
    /// The text that was given, else the default.
    fn value(&self, name: &'static str) -> Value {
        self.written.values.get(name).cloned().unwrap_or_else(|| Value {
            text: table::find(name).map(|setting| setting.default.to_owned()).unwrap_or_default(),
            place: Place::Default,
        })
    }

    /// As `value`, but an empty text means the default.
    fn filled(&self, name: &'static str) -> Value {
        let value = self.value(name);
        if !value.text.trim().is_empty() {
            return value;
        }
        Value {
            text: table::find(name).map(|setting| setting.default.to_owned()).unwrap_or_default(),
            place: Place::Default,
        }
    }

    /// The text, `None` where it is empty.
    fn optional(&self, name: &'static str) -> Option<Value> {
        Some(self.value(name)).filter(|value| !value.text.trim().is_empty())
    }

    fn mistake(&mut self, name: &'static str, value: &Value, why: Option<String>) {
        let setting = table::find(name);
        let allowed = setting.map(|setting| setting.allowed).unwrap_or_default();
        let secret = setting.is_some_and(|setting| setting.secret);
        self.mistakes.push(Mistake {
            name: name.to_owned(),
            value: if secret { "***".to_owned() } else { value.text.clone() },
            place: value.place.clone(),
            why: match why {
                Some(why) => format!("{why}; allowed: {allowed}"),
                None => format!("allowed: {allowed}"),
            },
        });
    }

    /// A number within a range. After a mistake the range's start stands in, so that the rest is checked too.
    fn number<T>(&mut self, name: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + Copy,
    {
        let value = self.filled(name);
        match value.text.trim().replace('_', "").parse::<T>() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                self.mistake(name, &value, None);
                Some(*range.start())
            }
        }
    }

    fn millis(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<Duration> {
        self.number(name, range).map(Duration::from_millis)
    }

    fn choice<T: Clone>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let value = self.filled(name);
        let text = value.text.trim().to_ascii_lowercase();
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(choice.clone());
        }
        self.mistake(name, &value, None);
        choices.first().map(|(_, choice)| choice.clone())
    }

    fn path(&self, name: &'static str) -> Option<PathBuf> {
        self.optional(name).map(|value| PathBuf::from(value.text.trim()))
    }

    fn inputs(&mut self) -> Vec<Input> {
        let value = self.filled("INPUT");
        let mut inputs = Vec::new();
        for part in value.text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let input = match part {
                "kafka" => Input::Kafka,
                "stdin" => Input::Stdin,
                "otlp" => Input::Otlp,
                _ => match part.strip_prefix("file:") {
                    Some(path) if !path.is_empty() => Input::File(path.to_owned()),
                    _ => {
                        self.mistake("INPUT", &value, Some(format!("{part:?} is not an input")));
                        continue;
                    }
                },
            };
            if !inputs.contains(&input) {
                inputs.push(input);
            }
        }
        inputs
    }

    fn topics(&mut self, name: &'static str) -> Vec<String> {
        let value = self.filled(name);
        let (mut topics, mut is_told): (Vec<String>, bool) = (Vec::new(), false);
        for topic in value.text.split(',').map(str::trim).filter(|topic| !topic.is_empty()) {
            if !is_topic(topic) {
                self.mistake(name, &value, Some(topic_rule(topic)));
                is_told = true;
            } else if !topics.iter().any(|known| known == topic) {
                topics.push(topic.to_owned());
            }
        }
        if topics.is_empty() && !is_told {
            self.mistake(name, &value, Some("names no topic".to_owned()));
        }
        topics
    }

    fn topic(&mut self, name: &'static str) -> Option<String> {
        let value = self.optional(name)?;
        let topic = value.text.trim();
        if !is_topic(topic) {
            self.mistake(name, &value, Some(topic_rule(topic)));
        }
        Some(topic.to_owned())
    }

    fn group_id(&mut self) -> String {
        let value = self.filled("KAFKA_GROUP_ID");
        if value.text.len() > 255 {
            self.mistake("KAFKA_GROUP_ID", &value, None);
        }
        value.text
    }

    fn kafka_client(&mut self) -> kafka::ClientSettings {
        let servers = self.filled("KAFKA_BOOTSTRAP_SERVERS");
        let is_server = |server: &str| match server.rsplit_once(':') {
            Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0),
            None => false,
        };
        let mut parts = servers.text.split(',').map(str::trim);
        if let Some(bad) = parts.find(|server| !is_server(server)) {
            let why = format!("{bad:?} is not host:port");
            self.mistake("KAFKA_BOOTSTRAP_SERVERS", &servers, Some(why));
        }
        let properties: Vec<(String, String)> =
            self.written.kafka.iter().map(|(name, value)| (name.clone(), value.text.clone())).collect();
        let client = kafka::ClientSettings { bootstrap_servers: servers.text, properties };
        if let Err(errors) = client.check() {
            for error in errors {
                let place = self.written.kafka.iter().rfind(|(name, _)| *name == error.name);
                let place = place.map_or(Place::Default, |(_, value)| value.place.clone());
                let name = format!("Kafka property {}", error.name);
                self.mistakes.push(Mistake { name, value: error.value, place, why: error.why });
            }
        }
        client
    }

    fn file(&mut self) -> Option<FileSettings> {
        let value = self.value("FILE_SERVICES");
        let patterns = value.text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
        let services = Families::new(&patterns.collect::<Vec<_>>()).unwrap_or_else(|error| {
            self.mistake("FILE_SERVICES", &value, Some(error.to_string()));
            Families::default()
        });
        Some(FileSettings {
            services,
            start: self.choice("FILE_START", &[("beginning", Start::Beginning), ("end", Start::End)])?,
            poll: self.millis("FILE_POLL_MS", 10..=60_000)?,
        })
    }

    fn decode(&mut self) -> Option<DecodeSettings> {
        let limits = Limits {
            max_line_bytes: self.number("MAX_LINE_BYTES", 64..=67_108_864)?,
            max_attributes: self.number("MAX_ATTRIBUTES", 1..=65_536)?,
            max_depth: self.number("MAX_DEPTH", 1..=128)?,
            max_events: self.number("MAX_EVENTS", 1..=1_048_576)?,
        };
        let pattern = self.optional("LINE_PATTERN").and_then(|value| {
            UserPattern::new(&value.text)
                .map_err(|error| self.mistake("LINE_PATTERN", &value, Some(error.to_string())))
                .ok()
        });
        let names = self.field_names();
        if let Some(pattern) = &pattern
            && !pattern.groups().any(|group| names.hold(group))
        {
            let groups = pattern.groups().collect::<Vec<_>>().join(", ");
            let why = format!(
                "its groups ({groups}) are none that a line is read by; name one `timestamp`, `level`, `service` or \
                 `message`"
            );
            self.mistake("LINE_PATTERN", &self.value("LINE_PATTERN"), Some(why));
        }
        let format = self.filled("INPUT_FORMAT");
        let settings = DecodeSettings {
            limits,
            names,
            format: Some(format.text.trim().to_owned()).filter(|name| name != "auto"),
            pattern,
            utc_offset_s: self.number("UTC_OFFSET_S", -86_399..=86_399)?,
        };
        if let Err(error) = Decoder::checked(settings.clone()) {
            self.mistake("INPUT_FORMAT", &format, Some(error.to_string()));
        }
        Some(settings)
    }

    fn multiline(&mut self) -> Option<Option<JoinSettings>> {
        let on = self.switch("MULTILINE")?;
        let settings = JoinSettings {
            max_idle_ms: self.number("MULTILINE_WAIT_MS", 10..=60_000)?,
            max_bytes: self.number("MULTILINE_MAX_BYTES", 1_024..=16_777_216)?,
            max_lines: self.number("MULTILINE_MAX_LINES", 2..=100_000)?,
            max_sources: self.number("MULTILINE_MAX_SOURCES", 1..=100_000)?,
        };
        Some(on.then_some(settings))
    }

    fn field_names(&self) -> FieldNames {
        let mut names = FieldNames::default();
        for (setting, list) in [
            ("TIME_FIELDS", &mut names.time),
            ("LEVEL_FIELDS", &mut names.level),
            ("SEVERITY_NUMBER_FIELDS", &mut names.severity_number),
            ("SERVICE_FIELDS", &mut names.service),
            ("MESSAGE_FIELDS", &mut names.message),
            ("UNWRAP_FIELDS", &mut names.unwrap),
            ("IP_FIELDS", &mut names.ip),
            ("METHOD_FIELDS", &mut names.method),
            ("URL_FIELDS", &mut names.url),
            ("STATUS_FIELDS", &mut names.status),
        ] {
            if let Some(value) = self.optional(setting) {
                let given = value.text.split(',').map(str::trim).filter(|name| !name.is_empty());
                *list = given.map(str::to_owned).collect();
            }
        }
        names
    }

    fn redactor(&mut self) -> Option<Redactor> {
        if !self.switch("REDACT")? {
            return Some(Redactor::off());
        }
        let value = self.value("REDACT_PATTERNS");
        let lines = value.text.lines().map(str::trim).filter(|line| !line.is_empty());
        let patterns: Result<Vec<Pattern>, _> = lines.map(Pattern::parse).collect();
        match patterns.and_then(|patterns| Redactor::new(&patterns)) {
            Ok(redactor) => Some(redactor),
            Err(error) => {
                self.mistake("REDACT_PATTERNS", &value, Some(error.to_string()));
                None
            }
        }
    }

    fn model(&mut self) -> Option<ModelSettings> {
        let contamination = self.optional("CONTAMINATION").and_then(|value| {
            let text = value.text.trim();
            if text.eq_ignore_ascii_case("auto") {
                return Some(Contamination::Auto);
            }
            match text.parse::<f64>() {
                Ok(share) if 0.0 < share && share <= 0.5 => Some(Contamination::Share(share)),
                _ => {
                    self.mistake("CONTAMINATION", &value, None);
                    None
                }
            }
        });
        let score_threshold = self.optional("ANOMALY_SCORE_THRESHOLD").and_then(|value| {
            match value.text.trim().parse::<f64>() {
                Ok(score) if (0.0..=1.0).contains(&score) => Some(score),
                _ => {
                    self.mistake("ANOMALY_SCORE_THRESHOLD", &value, None);
                    None
                }
            }
        });
        let budget = self.filled("ALERT_BUDGET_PER_DAY");
        let alert_budget_per_day = match budget.text.trim().parse::<f64>() {
            Ok(per_day) if (0.001..=1e6).contains(&per_day) => per_day,
            _ => {
                self.mistake("ALERT_BUDGET_PER_DAY", &budget, None);
                return None;
            }
        };
        let path = self.filled("MODEL_PATH");
        Some(ModelSettings {
            path: PathBuf::from(path.text),
            wait: self.switch("WAIT_FOR_MODEL")?,
            contamination,
            score_threshold,
            table_lines: self.number("SCORE_TABLE_LINES", 0..=1 << 22)?,
            alert_budget_per_day,
        })
    }

    fn learn(&mut self, budget_per_day: f64, sinks: &SinksSettings) -> Option<LearnSettings> {
        let on = self.switch("ONLINE_COUNTS")?;
        let online = OnlineSettings {
            step: self.number("ONLINE_STEP_LINES", 1..=1_000_000)?,
            severe_weight: self.number("ONLINE_SEVERE_WEIGHT", 0.0..=1.0)?,
            services: self.number("MAX_SERVICES", 1..=100_000)?,
        };
        Some(LearnSettings {
            online: on.then_some(online),
            watch: self.watch(budget_per_day, sinks)?,
            interval: self.millis("SNAPSHOT_INTERVAL_MS", 100..=600_000)?,
            topic: self.topic("STATE_TOPIC"),
            detect_topic: None,
        })
    }

    fn switch(&mut self, name: &'static str) -> Option<bool> {
        self.choice(name, &[("false", false), ("true", true), ("0", false), ("1", true)])
    }

    fn output(&mut self) -> Option<OutputSettings> {
        Some(OutputSettings {
            anomaly_topic: self.topic("ANOMALY_TOPIC"),
            anomaly_file: self.path("ANOMALY_FILE"),
            alert_topic: self.topic("ALERT_TOPIC"),
            alert_file: self.path("ALERT_FILE"),
            sink_results_topic: self.topic("SINK_RESULTS_TOPIC"),
            sink_dead_letter_topic: self.topic("SINK_DEAD_LETTER_TOPIC"),
            message_bytes: self.number("MESSAGE_BYTES", 256..=65_536)?,
            dead_letter_topic: self.topic("DEAD_LETTER_TOPIC"),
            dead_letter_file: self.path("DEAD_LETTER_FILE"),
            summary_path: self.path("SUMMARY_PATH"),
            summary_error_status: self.number("SUMMARY_ERROR_STATUS", 100..=599)?,
        })
    }

    fn store(&mut self) -> Option<Option<StoreUse>> {
        let path = self.path("STORE_PATH").map(|path| match self.path("STATE_DIR") {
            Some(folder) => folder.join(path),
            None => path,
        });
        let mut place = path.map(|path| StoreSettings::Embedded { path });
        if let Some(value) = self.optional("DATABASE_URL") {
            let postgres = StoreSettings::Postgres(value.text.trim().to_owned());
            if let Err(error) = store::open(&postgres) {
                self.mistake("DATABASE_URL", &value, Some(error.why));
            }
            place = Some(postgres);
        }
        let severities = Severity::ALL.map(|severity| (severity.as_str(), severity));
        let context = ContextLines {
            lines: self.number("STORE_CONTEXT_LINES", 0..=100)?,
            severity: self.choice("STORE_CONTEXT_SEVERITY", &severities)?,
        };
        let choices =
            [("context", KeptLogs::Context(context)), ("all", KeptLogs::All), ("none", KeptLogs::None)];
        let logs = self.choice("STORE_LOGS", &choices)?;
        let retention = Retention {
            days: self.number("STORE_RETENTION_DAYS", 1..=36_500)?,
            most_bytes: self.number("STORE_MAX_BYTES", 1 << 20..=1 << 50)?,
        };
        Some(place.map(|place| StoreUse { place, logs, retention }))
    }

    fn sinks(&mut self) -> Option<SinksSettings> {
        let written = |name: &str| self.written.values.get(name).map(|value| value.text.clone());
        let mistakes = match notify::settings::read(&written) {
            Ok(settings) => return Some(settings),
            Err(mistakes) => mistakes,
        };
        for notify::settings::Mistake { name, why } in mistakes {
            let value = self.value(name);
            let secret = table::find(name).is_some_and(|setting| setting.secret);
            let text = if secret { "***".to_owned() } else { value.text };
            self.mistakes.push(Mistake { name: name.to_owned(), value: text, place: value.place, why });
        }
        None
    }

    fn address(&mut self, name: &'static str) -> Option<SocketAddr> {
        let value = self.optional(name)?;
        let parsed = value.text.trim().replace("localhost:", "127.0.0.1:").parse();
        if parsed.is_err() {
            self.mistake(name, &value, None);
        }
        parsed.ok()
    }

    fn serve(&mut self) -> Option<ServeSettings> {
        let cert = self.path("GRPC_TLS_CERT");
        let key = self.path("GRPC_TLS_KEY");
        let client_ca = self.path("GRPC_TLS_CLIENT_CA");
        let grpc_tls = match (cert, key) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key, client_ca }),
            (None, None) => {
                if client_ca.is_some() {
                    let value = self.value("GRPC_TLS_CLIENT_CA");
                    let why = "needs GRPC_TLS_CERT and GRPC_TLS_KEY".to_owned();
                    self.mistake("GRPC_TLS_CLIENT_CA", &value, Some(why));
                }
                None
            }
            (Some(_), None) => self.missing_partner("GRPC_TLS_CERT", "GRPC_TLS_KEY"),
            (None, Some(_)) => self.missing_partner("GRPC_TLS_KEY", "GRPC_TLS_CERT"),
        };
        let http_token = self.token("HTTP_TOKEN");
        let http_viewer_token = self.token("HTTP_VIEWER_TOKEN");
        if let (Some(operator), Some(viewer)) = (&http_token, &http_viewer_token)
            && operator.expose() == viewer.expose()
        {
            let value = self.value("HTTP_VIEWER_TOKEN");
            self.mistake("HTTP_VIEWER_TOKEN", &value, Some("is HTTP_TOKEN too".to_owned()));
        }
        let grpc_token = self.token("GRPC_TOKEN");
        let http_open = self.switch("HTTP_UNAUTHENTICATED_ON_ALL_INTERFACES")?;
        let http = self.address("HTTP_ADDR");
        let has_token = http_token.is_some() || http_viewer_token.is_some();
        if let Some(address) = http
            && !address.ip().to_canonical().is_loopback()
            && !has_token
            && !http_open
        {
            let value = self.value("HTTP_ADDR");
            let why = "other machines could see and change everything there without a token; set HTTP_TOKEN, take a \
                       loopback address, or set HTTP_UNAUTHENTICATED_ON_ALL_INTERFACES=true if something else keeps \
                       them away";
            self.mistake("HTTP_ADDR", &value, Some(why.to_owned()));
        }
        Some(ServeSettings {
            http,
            http_viewer_token,
            http_open,
            grpc: self.address("GRPC_ADDR"),
            grpc_tls,
            http_token,
            grpc_token,
            grpc_max_message_bytes: self.number("GRPC_MAX_MESSAGE_BYTES", 1_024..=268_435_456)?,
        })
    }

    fn token(&mut self, name: &'static str) -> Option<Secret> {
        let value = self.optional(name)?;
        if value.text.len() < 8 {
            self.mistake(name, &value, Some("is too short".to_owned()));
        }
        Some(Secret::new(value.text))
    }

    fn missing_partner<T>(&mut self, given: &'static str, missing: &str) -> Option<T> {
        let value = self.value(given);
        self.mistake(given, &value, Some(format!("needs {missing} too")));
        None
    }

    fn log(&mut self) -> Option<LogSettings> {
        let filter = self.filled("LOG_LEVEL");
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&filter.text) {
            self.mistake("LOG_LEVEL", &filter, Some(error.to_string()));
        }
        Some(LogSettings {
            format: self.choice("LOG_FORMAT", &[("text", LogFormat::Text), ("json", LogFormat::Json)])?,
            filter: filter.text,
        })
    }
}

fn is_topic(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

fn topic_rule(name: &str) -> String {
    format!("{name:?} is not a topic name (1 to 249 letters, digits, '.', '_', '-')")
}
