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
    shell::run(stack.command().args(["--profile", "*", "config", "--quiet"]))?;

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

    ensure!(stack.stored_anomalies()? > 0, "the database holds no anomaly");

    println!("compose: down and up again");
    let before = stack.records("anomalies")?;
    shell::run(stack.command().arg("down"))?;
    same(&model, &trained)?;
    stack.up_only("kafka")?;
    let kept = stack.records("anomalies")?;
    ensure!(kept >= before, "{before} anomalies before down and up, {kept} after");
    let committed = stack.committed()?;
    stack.up_only("postgres")?;
    ensure!(stack.stored_anomalies()? > 0, "the database was empty after down and up");
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Services that end by themselves or answer nobody: nothing to ask about their health.
    const WITHOUT_HEALTH: [&str; 2] = ["trainer", "simulator"];

    fn file() -> String {
        std::fs::read_to_string(shell::root().join("compose.yaml")).unwrap()
    }

    /// Name and lines of each service, what it takes over from the anchor included.
    fn services() -> BTreeMap<String, String> {
        let text = file();
        let anchor = text.split("x-isolog: &isolog\n").nth(1).unwrap().split("\nservices:").next().unwrap();
        let body = text.split("\nservices:\n").nth(1).unwrap().split("\nvolumes:\n").next().unwrap();
        let mut services: BTreeMap<String, String> = BTreeMap::new();
        let mut name = String::new();
        for line in body.lines() {
            if line.starts_with("  ") && !line[2..].starts_with([' ', '#']) {
                name = line.trim().trim_end_matches(':').to_owned();
            } else if line.trim() == "<<: *isolog" {
                *services.entry(name.clone()).or_default() += anchor;
            }
            *services.entry(name.clone()).or_default() += &format!("{line}\n");
        }
        services.remove("");
        services
    }

    #[test]
    fn no_service_runs_as_root_or_with_capabilities_and_only_kafka_writes_to_its_root() {
        let services = services();
        for name in
            ["kafka", "postgres", "trainer", "scorer", "simulator", "kafka-ui", "prometheus", "grafana"]
        {
            let service =
                services.get(name).unwrap_or_else(|| panic!("{name}: not in {:?}", services.keys()));
            let user = service.lines().find_map(|line| line.trim().strip_prefix("user: \"")).unwrap();
            assert!(!user.starts_with("0") && !user.starts_with("root"), "{name} runs as {user}");
            assert!(service.contains("cap_drop: [ALL]"), "{name} keeps capabilities");
            assert!(service.contains("no-new-privileges:true"), "{name} may get new privileges");
            // Its image writes the configuration that it makes of its environment beside its programs.
            assert!(name == "kafka" || service.contains("read_only: true"), "{name} may write to its root");
            let healthy = service.contains("healthcheck:") || WITHOUT_HEALTH.contains(&name);
            assert!(healthy, "nothing asks {name} for its health");
        }
        assert_eq!(services.len(), 8, "{:?}", services.keys());
    }

    #[test]
    fn every_port_is_published_on_the_loopback_address_and_every_image_is_pinned() {
        for (name, service) in services() {
            for line in service.lines().map(str::trim) {
                let Some((_, rest)) = line.split_once("ISOLOG_").filter(|(_, rest)| rest.contains("_PORT:-"))
                else {
                    continue;
                };
                let is_address = line.contains("127.0.0.1:${ISOLOG_") || line.contains("localhost:${ISOLOG_");
                assert!(is_address, "{name} publishes elsewhere: {rest}");
            }
            let image = service.lines().find_map(|line| line.trim().strip_prefix("image: ")).unwrap();
            assert!(
                image == "isolog" || image.rsplit_once(':').is_some_and(|(_, tag)| tag != "latest"),
                "{image}"
            );
        }
        assert_eq!(file().matches("ports:").count(), 5);
    }

    #[test]
    fn every_file_that_is_mounted_is_there() {
        let text = file();
        let mounted: Vec<&str> =
            text.split("./deploy/").skip(1).map(|rest| rest.split(':').next().unwrap()).collect();
        assert_eq!(mounted.len(), 4);
        for path in mounted {
            assert!(shell::root().join("deploy").join(path).is_file(), "deploy/{path}");
        }
    }

    #[test]
    fn the_image_is_built_from_every_member_of_the_workspace() {
        let read = |name: &str| std::fs::read_to_string(shell::root().join(name)).unwrap();
        let manifest = read("Cargo.toml");
        let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")).unwrap();
        let members: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
        assert!(members.len() > 10, "{members:?}");
        let ignored = read(".dockerignore");
        for member in members {
            assert!(
                ignored.lines().any(|line| line == format!("!{member}")),
                "{member} is not in .dockerignore"
            );
        }
    }

    #[test]
    fn the_images_that_stand_in_have_the_tags_that_the_files_name() {
        let text = file();
        for tag in images::STAND_INS {
            assert!(text.contains(&format!("image: {tag}\n")), "{tag}");
        }
    }
}
