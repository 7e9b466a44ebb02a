//! compose.yaml as a user runs it, in a folder of its own so that the user's models stay as they are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testkit::tools;

use super::docker::Docker;
use crate::shell;

const PROJECT: &str = "isolog-xtask";
/// Away from the ports that a stack of the user's may have.
const PORTS: [(&str, &str); 3] =
    [("ISOLOG_HTTP_PORT", "18080"), ("ISOLOG_GRPC_PORT", "15051"), ("ISOLOG_KAFKA_PORT", "19092")];
/// What runs without a profile.
const SERVICES: [&str; 4] = ["kafka", "postgres", "scorer", "simulator"];
const POLL: Duration = Duration::from_secs(1);

/// The stack of one run.
pub struct Stack<'a> {
    docker: &'a Docker,
    folder: PathBuf,
}

impl<'a> Stack<'a> {
    /// Copies compose.yaml and the sample data; removes what an interrupted run left.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(docker: &'a Docker) -> Result<Self> {
        let folder = tools::cache_dir()?.join("compose-project");
        let stack = Self { docker, folder };
        let _ = std::fs::remove_dir_all(&stack.folder);
        std::fs::create_dir_all(stack.folder.join("models"))
            .with_context(|| format!("cannot create {}", stack.folder.display()))?;
        shell::run(shell::command("cp").args(["-a", "compose.yaml", "data", "deploy"]).arg(&stack.folder))?;
        shell::run(shell::command("chown").args(["-R", "1000:1000"]).arg(stack.folder.join("models")))?;
        shell::run(stack.command().args(["down", "--volumes", "--remove-orphans"]))?;
        Ok(stack)
    }

    /// Where compose.yaml and its mounted folders are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Compose on this stack.
    pub fn command(&self) -> Command {
        let mut command = self.docker.compose();
        command.current_dir(&self.folder).envs(PORTS).args([
            "--progress",
            "quiet",
            "--project-name",
            PROJECT,
        ]);
        command
    }

    /// Everything but the trainer.
    ///
    /// # Errors
    /// When a service does not start.
    pub fn up(&self) -> Result<()> {
        shell::run(self.command().args(["up", "--detach", "--no-build"]))
    }

    /// One service, until it is healthy.
    ///
    /// # Errors
    /// When it does not get healthy.
    pub fn up_only(&self, service: &str) -> Result<()> {
        shell::run(self.command().args(["up", "--detach", "--no-build", "--wait", service]))
    }

    /// Stops all and removes containers, network and volumes.
    ///
    /// # Errors
    /// When Compose fails.
    pub fn remove(&self) -> Result<()> {
        shell::run(self.command().args(["down", "--volumes"]))?;
        std::fs::remove_dir_all(&self.folder).context("cannot remove the project's copy")
    }

    /// What the service's health check said last.
    ///
    /// # Errors
    /// When it has no container.
    pub fn is_healthy(&self, service: &str) -> Result<bool> {
        Ok(self.inspect(service, "{{.State.Health.Status}}")? == "healthy")
    }

    /// Waits for the health check.
    ///
    /// # Errors
    /// When `limit` passes first.
    pub fn wait_healthy(&self, service: &str, limit: Duration) -> Result<()> {
        wait(&format!("{service} to get healthy"), limit, || self.is_healthy(service))
    }

    /// No process of the stack is root's.
    ///
    /// # Errors
    /// Names the service that is.
    pub fn no_root(&self) -> Result<()> {
        for service in SERVICES {
            let user = self.inspect(service, "{{.Config.User}}")?;
            ensure!(
                !user.is_empty() && !user.starts_with('0') && user != "root",
                "{service} runs as {user:?}"
            );
        }
        Ok(())
    }

    /// Ports are published on 127.0.0.1 only.
    ///
    /// # Errors
    /// Names the service that publishes elsewhere.
    pub fn only_loopback(&self) -> Result<()> {
        for service in SERVICES {
            let format = "{{range .HostConfig.PortBindings}}{{range .}}{{.HostIp}} {{end}}{{end}}";
            let addresses = self.inspect(service, format)?;
            let elsewhere = addresses.split_whitespace().find(|address| *address != "127.0.0.1");
            ensure!(elsewhere.is_none(), "{service} publishes on {addresses}");
        }
        Ok(())
    }

    /// A record of the topic `anomalies`.
    ///
    /// # Errors
    /// When none comes within `limit`.
    pub fn an_anomaly(&self, limit: Duration) -> Result<String> {
        let mut found = String::new();
        wait("an anomaly", limit, || {
            let arguments =
                ["--topic", "anomalies", "--from-beginning", "--max-messages", "1", "--timeout-ms", "5000"];
            let printed = self.kafka_tool("kafka-console-consumer.sh", &arguments);
            found = printed.ok().and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_default();
            Ok(found.starts_with('{'))
        })?;
        Ok(found)
    }

    /// How many anomalies the database holds.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub fn stored_anomalies(&self) -> Result<u64> {
        let mut command = self.command();
        command.args(["exec", "--no-TTY", "postgres", "psql", "--username=isolog"]);
        command.args(["--tuples-only", "--no-align", "--command=SELECT count(*) FROM anomalies", "isolog"]);
        let printed = shell::output(&mut command)?;
        printed.trim().parse().with_context(|| format!("psql printed {printed:?}"))
    }

    /// How many records a topic has got, over all partitions.
    ///
    /// # Errors
    /// When Kafka's tool fails.
    pub fn records(&self, topic: &str) -> Result<u64> {
        let lines = self.kafka_tool("kafka-get-offsets.sh", &["--topic", topic])?;
        Ok(lines.lines().filter_map(|line| line.rsplit(':').next()?.trim().parse::<u64>().ok()).sum())
    }

    /// The sum of the offsets that the scorer's group has committed.
    ///
    /// # Errors
    /// When Kafka's tool fails.
    pub fn committed(&self) -> Result<u64> {
        let table =
            self.kafka_tool("kafka-consumer-groups.sh", &["--describe", "--group", "isolog-scorer"])?;
        let offsets = table.lines().filter(|line| line.starts_with("isolog-scorer"));
        Ok(offsets.filter_map(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok()).sum())
    }

    /// Waits until the scorer has gone on from an offset.
    ///
    /// # Errors
    /// When `limit` passes first.
    pub fn wait_committed_beyond(&self, offset: u64, limit: Duration) -> Result<()> {
        wait("the scorer to go on", limit, || Ok(self.committed()? > offset))
    }

    fn kafka_tool(&self, tool: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.command();
        command.args(["exec", "--no-TTY", "kafka", &format!("/opt/kafka/bin/{tool}")]);
        command.args(["--bootstrap-server", "localhost:9092"]).args(arguments);
        shell::output(&mut command)
    }

    fn inspect(&self, service: &str, format: &str) -> Result<String> {
        let id = shell::output(self.command().args(["ps", "--all", "--quiet", service]))?;
        let id = id.lines().next().with_context(|| format!("{service} has no container"))?;
        let printed = shell::output(self.docker.command().args(["inspect", "--format", format, id]))?;
        Ok(printed.trim().to_owned())
    }
}

fn wait(what: &str, limit: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !done()? {
        if Instant::now() >= deadline {
            bail!("waited {limit:?} for {what}");
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}
