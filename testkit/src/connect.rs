//! Kafka Connect in its standalone mode with the file source connector, as people put it before a topic.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::kafka::{Broker, java_arguments};
use crate::port::free_port;
use crate::process::Process;
use crate::workdir::Workdir;

const START_LIMIT: Duration = Duration::from_secs(120);

/// How the connector turns a line into a record's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Converter {
    /// The line as it is.
    String,
    /// The line as a JSON string, without a schema envelope.
    SchemalessJson,
}

/// A running Connect worker with one `FileStreamSourceConnector`.
#[derive(Debug)]
pub struct Standalone {
    process: Process,
    // After the process: files go when nothing writes them any more.
    _directory: Workdir,
}

impl Standalone {
    /// Starts a worker that ships the lines of `file`, those it has and those it gets, to `topic`; returns when
    /// the connector's task runs.
    ///
    /// # Errors
    /// When Kafka is not installed, or with the end of the worker's log when it does not get ready.
    pub fn file_source(broker: &Broker, file: &Path, topic: &str, converter: Converter) -> Result<Self> {
        let directory = Workdir::create("connect")?;
        let class = match converter {
            Converter::String => "org.apache.kafka.connect.storage.StringConverter",
            Converter::SchemalessJson => "org.apache.kafka.connect.json.JsonConverter",
        };
        let worker = [
            format!("bootstrap.servers={}", broker.bootstrap()),
            format!("key.converter={class}"),
            format!("value.converter={class}"),
            "key.converter.schemas.enable=false".into(),
            "value.converter.schemas.enable=false".into(),
            format!("offset.storage.file.filename={}", directory.path().join("offsets").display()),
            "offset.flush.interval.ms=1000".into(),
            format!("listeners=http://127.0.0.1:{}", free_port()?),
            "plugin.discovery=service_load".into(),
        ];
        let source = [
            "name=file-source".into(),
            "connector.class=org.apache.kafka.connect.file.FileStreamSourceConnector".into(),
            "tasks.max=1".into(),
            format!("file={}", file.display()),
            format!("topic={topic}"),
        ];
        let worker = directory.write("worker.properties", &worker.join("\n"))?;
        let source = directory.write("source.properties", &source.join("\n"))?;
        let logging = directory.write("log4j2.properties", include_str!("../kafka/log4j2.properties"))?;
        let mut arguments = java_arguments()?;
        arguments.push(format!("-Dlog4j2.configurationFile={}", logging.display()));
        arguments.push("org.apache.kafka.connect.cli.ConnectStandalone".into());
        arguments.extend([worker, source].map(|path| path.display().to_string()));
        let log = directory.path().join("connect.log");
        let mut process = Process::spawn("Kafka Connect", "java", arguments, &log)?;
        process.wait_ready(START_LIMIT, || {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            said.contains("Source task finished initialization and start")
        })?;
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
