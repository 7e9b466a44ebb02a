//! Kafka Connect in its standalone mode with the file connectors, as people put them before and behind a topic.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::kafka::{Broker, java_arguments};
use crate::port::free_port;
use crate::process::Process;
use crate::workdir::Workdir;

const START_LIMIT: Duration = Duration::from_secs(120);

/// How a connector turns what it has into a record's value, and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Converter {
    /// As it is.
    String,
    /// As JSON without a schema envelope; a line becomes a JSON string.
    SchemalessJson,
}

impl Converter {
    const fn class(self) -> &'static str {
        match self {
            Self::String => "org.apache.kafka.connect.storage.StringConverter",
            Self::SchemalessJson => "org.apache.kafka.connect.json.JsonConverter",
        }
    }
}

/// A running Connect worker with one connector.
#[derive(Debug)]
pub struct Standalone {
    process: Process,
    // After the process: files go when nothing writes them any more.
    _directory: Workdir,
}

impl Standalone {
    /// Starts a worker with a `FileStreamSourceConnector` that ships the lines of `file`, those it has and those it
    /// gets, to `topic`; returns when the connector's task runs.
    ///
    /// # Errors
    /// When Kafka is not installed, or with the end of the worker's log when it does not get ready.
    pub fn file_source(broker: &Broker, file: &Path, topic: &str, converter: Converter) -> Result<Self> {
        let source = [
            "name=file-source".into(),
            "connector.class=org.apache.kafka.connect.file.FileStreamSourceConnector".into(),
            "tasks.max=1".into(),
            format!("file={}", file.display()),
            format!("topic={topic}"),
        ];
        let class = converter.class();
        Self::start(broker, class, class, &source, "Source task finished initialization and start")
    }

    /// Starts a worker with a `FileStreamSinkConnector` that reads `topic` from its beginning, keys as text and values
    /// as `converter` says, and writes each value as Java shows it to `file`; returns when its task runs.
    ///
    /// # Errors
    /// As [`Standalone::file_source`].
    pub fn file_sink(broker: &Broker, topic: &str, file: &Path, converter: Converter) -> Result<Self> {
        let sink = [
            "name=file-sink".into(),
            "connector.class=org.apache.kafka.connect.file.FileStreamSinkConnector".into(),
            "tasks.max=1".into(),
            "consumer.override.auto.offset.reset=earliest".into(),
            format!("file={}", file.display()),
            format!("topics={topic}"),
        ];
        let ready = "Sink task finished initialization and start";
        Self::start(broker, Converter::String.class(), converter.class(), &sink, ready)
    }

    fn start(
        broker: &Broker,
        key_converter: &str,
        value_converter: &str,
        connector: &[String],
        ready: &str,
    ) -> Result<Self> {
        let directory = Workdir::create("connect")?;
        let worker = [
            format!("bootstrap.servers={}", broker.bootstrap()),
            format!("key.converter={key_converter}"),
            format!("value.converter={value_converter}"),
            "key.converter.schemas.enable=false".into(),
            "value.converter.schemas.enable=false".into(),
            format!("offset.storage.file.filename={}", directory.path().join("offsets").display()),
            "offset.flush.interval.ms=1000".into(),
            format!("listeners=http://127.0.0.1:{}", free_port()?),
            "plugin.discovery=service_load".into(),
        ];
        let worker = directory.write("worker.properties", &worker.join("\n"))?;
        let connector = directory.write("connector.properties", &connector.join("\n"))?;
        let logging = directory.write("log4j2.properties", include_str!("../kafka/log4j2.properties"))?;
        let mut arguments = java_arguments()?;
        arguments.push(format!("-Dlog4j2.configurationFile={}", logging.display()));
        arguments.push("org.apache.kafka.connect.cli.ConnectStandalone".into());
        arguments.extend([worker, connector].map(|path| path.display().to_string()));
        let log = directory.path().join("connect.log");
        let mut process = Process::spawn("Kafka Connect", "java", arguments, &log)?;
        process
            .wait_ready(START_LIMIT, || std::fs::read_to_string(&log).unwrap_or_default().contains(ready))?;
        Ok(Self { process, _directory: directory })
    }

    /// Everything that the worker has logged.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn output(&self) -> Result<String> {
        self.process.output()
    }
}
