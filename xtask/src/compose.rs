//! `cargo xtask compose`: the image and the whole stack once on a real Docker engine. Everything that it starts is
//! stopped and its containers, networks and volumes are removed; images stay for the next run.

mod docker;
mod images;
mod stack;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use docker::Docker;
use stack::Stack;

use crate::shell;

/// A JVM and the programs on two cores.
const READY: Duration = Duration::from_secs(300);
/// The simulator writes an anomaly every few seconds.
const ANOMALY: Duration = Duration::from_secs(180);

/// Where base images come from.
#[derive(clap::Args)]
pub struct Arguments {
    /// Make the base images from Debian's packages, this machine's Rust and Kafka's jars, where none can be pulled
    #[arg(long)]
    make_base_images: bool,
    /// Use the image `isolog` that is there instead of building it
    #[arg(long)]
    no_build: bool,
}

/// Builds the image, starts the stack, trains, waits for an anomaly, and checks that `down` and `up` keep state.
///
/// # Errors
/// At the first thing that is not as the README promises.
pub fn run(arguments: &Arguments) -> Result<()> {
    let docker = Docker::start()?;
    if arguments.make_base_images {
        images::make(&docker)?;
    }
    if !arguments.no_build {
        println!("compose: building the image");
        shell::run(docker.command().args(["build", "--tag", "isolog", "."]))?;
    }
    let stack = Stack::new(&docker)?;
    let result = check(&stack);
    if result.is_err() {
        let _ = shell::run(stack.command().args(["logs", "--tail", "40"]));
    }
    result.and(stack.remove())
}

fn check(stack: &Stack<'_>) -> Result<()> {
    shell::run(stack.command().args(["config", "--quiet"]))?;

    println!("compose: up without a model");
    stack.up()?;
    ensure!(!stack.is_healthy("scorer")?, "the scorer calls itself ready without a model");

    println!("compose: train");
    shell::run(stack.command().args(["run", "--rm", "trainer"]))?;
    let model = stack.folder().join("models/isolog.model");
    let trained =
        std::fs::read(&model).with_context(|| format!("the trainer left no {}", model.display()))?;

    println!("compose: the scorer takes the model and finds an anomaly");
    stack.wait_healthy("scorer", READY)?;
    stack.no_root()?;
    stack.only_loopback()?;
    let record = stack.an_anomaly(ANOMALY)?;
    println!("compose: {record}");
    let found: serde_json::Value = serde_json::from_str(&record).context("the anomaly is not JSON")?;
    for field in ["id", "service", "score", "message", "reasons"] {
        ensure!(found.get(field).is_some(), "the anomaly has no field {field}: {record}");
    }

    println!("compose: down and up again");
    let before = stack.records("anomalies")?;
    shell::run(stack.command().arg("down"))?;
    same(&model, &trained)?;
    stack.up_only("kafka")?;
    let kept = stack.records("anomalies")?;
    ensure!(kept >= before, "{before} anomalies before down and up, {kept} after");
    let committed = stack.committed()?;
    ensure!(committed > 0, "after down and up the scorer's group has no committed offset");
    stack.up()?;
    stack.wait_healthy("scorer", READY)?;
    stack.wait_committed_beyond(committed, ANOMALY)?;
    same(&model, &trained)?;
    println!("compose: all as it should be; offset {committed} was kept and the scorer went on from it");
    Ok(())
}

fn same(model: &Path, trained: &[u8]) -> Result<()> {
    if std::fs::read(model)? != trained {
        bail!("{} changed though nothing trained", model.display());
    }
    Ok(())
}
