//! A real Apache Kafka broker (KRaft, one node) and the few client calls that tests make on it.
//! Never a mock cluster.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::port::free_port;
use crate::process::Process;
use crate::tools;
use crate::workdir::Workdir;

mod client;

pub use client::{NewRecord, Record};

/// A broker is ready in about 4 s on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);

static SHARED: OnceLock<std::result::Result<Broker, String>> = OnceLock::new();

/// A broker of its own: data, ports and cluster id belong to it alone.
#[derive(Debug)]
pub struct Broker {
    // Before the directory: what is dropped first is killed before its files go.
    process: Mutex<Option<Process>>,
    directory: Workdir,
    bootstrap: String,
    cluster_id: String,
}

impl Broker {
    /// Starts one and waits until it answers. Topics that a producer names are created, with one partition.
    ///
    /// # Errors
    /// When Kafka is not installed, or with the end of the broker's log when it does not get ready.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Like [`Broker::start`], with properties of `server.properties` added or replaced.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub fn start_with(properties: &[(&str, &str)]) -> Result<Self> {
        let directory = Workdir::create("kafka")?;
        let (port, controller_port) = (free_port()?, free_port()?);
        let cluster_id = random_cluster_id();
        let data = directory.path().join("data");
        let mut lines = server_properties(port, controller_port, &data.to_string_lossy());
        lines.extend(properties.iter().map(|(name, value)| format!("{name}={value}")));
        let config = directory.write("server.properties", &lines.join("\n"))?;
        directory.write("log4j2.properties", include_str!("../kafka/log4j2.properties"))?;
        let broker =
            Self { process: Mutex::new(None), directory, bootstrap: format!("127.0.0.1:{port}"), cluster_id };
        let arguments = ["kafka.tools.StorageTool", "format", "-t", &broker.cluster_id, "-c"];
        let output = std::process::Command::new("java")
            .args(java_arguments()?)
            .args(arguments)
            .arg(&config)
            .output()
            .context("cannot start java")?;
        if !output.status.success() {
            bail!("kafka.tools.StorageTool: {}", String::from_utf8_lossy(&output.stderr));
        }
        broker.start_again()?;
        Ok(broker)
    }

    /// The broker that all tests of a test binary share; it stops with the binary. Give topics and consumer
    /// groups names of their own.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub fn shared() -> Result<&'static Self> {
        let broker = SHARED.get_or_init(|| Self::start().map_err(|error| format!("{error:#}")));
        broker.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// `127.0.0.1:PORT`; the same after [`Broker::start_again`].
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The id of its cluster, different for each broker.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Where everything that it logged is.
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("broker.log")
    }

    /// Stops it as an operator would (SIGTERM) and waits for its end. Data and port are kept.
    ///
    /// # Errors
    /// When it is not running or does not end in time.
    pub fn stop(&self) -> Result<()> {
        self.process()?.take().context("the broker is not running")?.stop(STOP_LIMIT)?;
        Ok(())
    }

    /// Kills it (SIGKILL). Data and port are kept.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill(&self) -> Result<()> {
        drop(self.process()?.take().context("the broker is not running")?);
        Ok(())
    }

    /// Starts it again with the same data and port and waits until it answers.
    ///
    /// # Errors
    /// When it is running, or does not get ready.
    pub fn start_again(&self) -> Result<()> {
        let mut slot = self.process()?;
        if slot.is_some() {
            bail!("the broker is running");
        }
        let mut arguments = java_arguments()?;
        let config = self.directory.path().join("log4j2.properties");
        arguments.push(format!("-Dlog4j2.configurationFile={}", config.display()));
        arguments.push("kafka.Kafka".into());
        arguments.push(self.directory.path().join("server.properties").display().to_string());
        let mut process = Process::spawn("the Kafka broker", "java", arguments, &self.log())?;
        let client = self.client()?;
        process.wait_ready(START_LIMIT, || {
            let metadata = client.fetch_metadata(None, Duration::from_secs(1));
            metadata.is_ok_and(|metadata| !metadata.brokers().is_empty())
        })?;
        *slot = Some(process);
        Ok(())
    }

    fn process(&self) -> Result<MutexGuard<'_, Option<Process>>> {
        self.process.lock().map_err(|_| anyhow::anyhow!("a test panicked while it held the broker"))
    }

    fn client(&self) -> Result<BaseConsumer> {
        Ok(self.client_config().create()?)
    }

    fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config.set("reconnect.backoff.max.ms", "500");
        config
    }
}

/// The class path and a small heap; the short compiler and collector suit a process that lives for seconds.
pub(crate) fn java_arguments() -> Result<Vec<String>> {
    let jars = tools::KAFKA.require()?;
    let fixed = ["-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"];
    let mut arguments: Vec<String> = fixed.map(str::to_owned).into();
    arguments.push(format!("{}/*", jars.display()));
    Ok(arguments)
}

fn server_properties(port: u16, controller_port: u16, data: &str) -> Vec<String> {
    let mut lines = vec![
        format!("listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}"),
        format!("advertised.listeners=PLAINTEXT://127.0.0.1:{port}"),
        format!("controller.quorum.voters=1@127.0.0.1:{controller_port}"),
        format!("log.dirs={data}"),
    ];
    let fixed = [
        "process.roles=broker,controller",
        "node.id=1",
        "controller.listener.names=CONTROLLER",
        "inter.broker.listener.name=PLAINTEXT",
        "offsets.topic.replication.factor=1",
        "offsets.topic.num.partitions=1",
        "transaction.state.log.replication.factor=1",
        "transaction.state.log.min.isr=1",
        "transaction.state.log.num.partitions=1",
        "share.coordinator.state.topic.replication.factor=1",
        "share.coordinator.state.topic.min.isr=1",
        "group.initial.rebalance.delay.ms=0",
        "group.min.session.timeout.ms=1000",
    ];
    lines.extend(fixed.map(str::to_owned));
    lines
}

/// A Kafka UUID: 22 characters of URL-safe base64, of which the last carries two bits only.
fn random_cluster_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut id = String::new();
    for word in 0..2 {
        let bits = RandomState::new().hash_one(word);
        id.extend(
            (0..12).map(|place| char::from(ALPHABET[usize::try_from(bits >> (place * 5) & 31).unwrap_or(0)])),
        );
    }
    id.truncate(21);
    id.push('A');
    id
}
