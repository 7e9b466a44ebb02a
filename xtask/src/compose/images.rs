//! Base images made by hand, under the tags that Dockerfile and compose.yaml name, on machines that cannot pull.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use testkit::tools;

use super::docker::Docker;
use crate::{setup, shell};

const DEBIAN: &str = "debian:bookworm-slim";
const RUST: &str = "rust:1.95-bookworm";
const KAFKA: &str = "apache/kafka:4.1.0";
const POSTGRES: &str = "postgres:17.6-bookworm";

/// The images that compose.yaml names and that are made here where they cannot be pulled.
#[cfg(test)]
pub const STAND_INS: [&str; 2] = [KAFKA, POSTGRES];

/// Certificates that an operator added to this machine: containers go through the same proxies.
const LOCAL_CERTIFICATES: &str = "/usr/local/share/ca-certificates";

/// Makes those that are not there.
///
/// # Errors
/// When a package manager or Docker fails.
pub fn make(docker: &Docker) -> Result<()> {
    for (tag, build) in
        [(DEBIAN, debian as fn(&Docker) -> Result<()>), (RUST, rust), (KAFKA, kafka), (POSTGRES, postgres)]
    {
        if !shell::succeeds(docker.command().args(["image", "inspect", tag])) {
            println!("compose: making {tag}");
            build(docker).with_context(|| format!("cannot make {tag}"))?;
        }
    }
    Ok(())
}

fn debian(docker: &Docker) -> Result<()> {
    if !shell::succeeds(shell::command("debootstrap").arg("--version")) {
        setup::debian::install("debootstrap", &["debootstrap"])?;
    }
    let root = Scratch::create("debian")?;
    let mut bootstrap = shell::command("debootstrap");
    bootstrap.args(["--variant=minbase", "--include=ca-certificates", "bookworm"]).arg(&root.0);
    shell::run(bootstrap.stdout(Stdio::null()))?;
    let certificates = root.0.join(LOCAL_CERTIFICATES.trim_start_matches('/'));
    for entry in std::fs::read_dir(LOCAL_CERTIFICATES).into_iter().flatten().flatten() {
        std::fs::copy(entry.path(), certificates.join(entry.file_name()))?;
    }
    shell::run(shell::command("chroot").arg(&root.0).arg("update-ca-certificates").stdout(Stdio::null()))?;
    let mut tar = shell::command("tar");
    let mut packing = tar.arg("-C").arg(&root.0).args(["-c", "."]).stdout(Stdio::piped()).spawn()?;
    let packed = packing.stdout.take().context("tar has no output")?;
    shell::run(docker.command().args(["import", "-", DEBIAN]).stdin(packed))?;
    if !packing.wait()?.success() {
        bail!("tar failed");
    }
    Ok(())
}

fn rust(docker: &Docker) -> Result<()> {
    let context = Scratch::create("rust")?;
    let toolchain = shell::output(shell::command("rustc").args(["--print", "sysroot"]))?;
    let target = context.0.join("toolchain");
    for part in ["bin", "lib", "libexec"] {
        let from = Path::new(toolchain.trim()).join(part);
        if from.exists() {
            std::fs::create_dir_all(&target)?;
            shell::run(shell::command("cp").arg("-a").arg(from).arg(&target))?;
        }
    }
    build(docker, &context, RUST, "rust.Dockerfile")
}

fn kafka(docker: &Docker) -> Result<()> {
    setup::kafka()?;
    let context = Scratch::create("kafka")?;
    shell::run(shell::command("cp").arg("-a").arg(tools::KAFKA.path()?).arg(context.0.join("kafka")))?;
    for file in ["xtask/images/kafka-run", "xtask/images/kafka-tool", "testkit/kafka/log4j2.properties"] {
        shell::run(shell::command("cp").arg(file).arg(&context.0))?;
    }
    build(docker, &context, KAFKA, "kafka.Dockerfile")
}

fn postgres(docker: &Docker) -> Result<()> {
    let context = Scratch::create("postgres")?;
    shell::run(shell::command("cp").arg("xtask/images/postgres-run").arg(&context.0))?;
    build(docker, &context, POSTGRES, "postgres.Dockerfile")
}

fn build(docker: &Docker, context: &Scratch, tag: &str, file: &str) -> Result<()> {
    let file = shell::root().join("xtask/images").join(file);
    shell::run(docker.command().args(["build", "--quiet", "--tag", tag, "--file"]).arg(file).arg(&context.0))
}

/// A folder of a build, removed after it.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn create(name: &str) -> Result<Self> {
        let path = tools::cache_dir()?.join(format!("image-{name}"));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
