//! Installs what the tests need beyond Rust, at pinned versions, outside of `target/`: Java, Apache Kafka, Python
//! clients and a mail server, rsyslog, Alertmanager, PostgreSQL, a browser with what drives it, and cargo-deny. It leaves
//! alone what is there already, and downloads only by package managers.

mod browser;
pub mod debian;
mod jars;
mod python;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use testkit::tools::{self, Pinned};

use crate::shell;

const CARGO_DENY: &str = "0.20.2";
const CARGO_FUZZ: &str = "0.13.2";

/// Installs all that is missing. Two runs at a time wait for one another.
///
/// # Errors
/// Names what cannot be installed and the command that a person would run.
pub fn run() -> Result<()> {
    let _lock = lock()?;
    java()?;
    jars::install()?;
    python::install(&tools::PYTHON)?;
    python::install(&tools::MAIL)?;
    rsyslog()?;
    postgres()?;
    alertmanager()?;
    browser::install()?;
    cargo_deny()?;
    println!("setup: all there, below {}", tools::cache_dir()?.display());
    Ok(())
}

/// Apache Kafka's jars, fetched if need be.
///
/// # Errors
/// When Maven cannot be had or fails.
pub fn kafka() -> Result<()> {
    let _lock = lock()?;
    jars::install()
}

/// A Python with scikit-learn, installed if need be; returns the interpreter.
///
/// # Errors
/// When no Python 3 with `venv` can be had, or pip fails.
pub fn scikit_learn() -> Result<PathBuf> {
    const PINNED: Pinned = Pinned { directory: "scikit-learn", list: include_str!("bench/requirements.txt") };
    let _lock = lock()?;
    python::install(&PINNED)
}

/// A Python with the peers of `cargo xtask bench compare`, and the Java that Spark needs; returns the interpreter.
///
/// # Errors
/// When Java or a Python 3 with `venv` cannot be had, or pip fails.
pub fn peers() -> Result<PathBuf> {
    const PINNED: Pinned =
        Pinned { directory: "peers", list: include_str!("../../rig/peers/requirements.txt") };
    let _lock = lock()?;
    java()?;
    python::install(&PINNED)
}

/// The cargo-deny of the pinned version, installed if need be.
///
/// # Errors
/// When `cargo install` fails.
pub fn cargo_deny() -> Result<PathBuf> {
    cargo_tool("cargo-deny", CARGO_DENY)
}

/// The cargo-fuzz of the pinned version, installed if need be.
///
/// # Errors
/// When `cargo install` fails.
pub fn cargo_fuzz() -> Result<PathBuf> {
    cargo_tool("cargo-fuzz", CARGO_FUZZ)
}

fn lock() -> Result<File> {
    let cache = tools::cache_dir()?;
    std::fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let path = cache.join("setup.lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Kafka 4 needs Java 17 or later.
fn java() -> Result<()> {
    let version = || shell::output(shell::command("java").arg("--version"));
    if version().is_ok_and(|text| major(&text).is_some_and(|major| major >= 17)) {
        return Ok(());
    }
    debian::install("Java 17 or later", &["default-jre-headless"])
}

/// `openjdk 17.0.15 2025-04-15` → 17.
fn major(text: &str) -> Option<u32> {
    text.split_whitespace().nth(1)?.split(['.', '-']).next()?.parse().ok()
}

fn rsyslog() -> Result<()> {
    let daemon = shell::succeeds(shell::command("/usr/sbin/rsyslogd").arg("-v"));
    let libraries = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let kafka = libraries.map(|entry| entry.path()).any(|path| has_omkafka(&path));
    if daemon && kafka {
        return Ok(());
    }
    debian::install("rsyslog with its Kafka output", &["rsyslog", "rsyslog-kafka"])
}

fn postgres() -> Result<()> {
    if tools::postgres_programs().is_ok() {
        return Ok(());
    }
    debian::install("PostgreSQL", &["postgresql"])
}

fn alertmanager() -> Result<()> {
    if shell::succeeds(shell::command("prometheus-alertmanager").arg("--version")) {
        return Ok(());
    }
    debian::install("Alertmanager", &["prometheus-alertmanager"])
}

fn has_omkafka(library: &Path) -> bool {
    library.join("rsyslog/omkafka.so").exists()
}

/// A debug build: it takes half the time to make, and its work here is short.
fn cargo_tool(name: &str, version: &str) -> Result<PathBuf> {
    let root = tools::cache_dir()?.join(format!("{name}-{version}"));
    let installed = root.join("bin").join(name);
    for candidate in [Path::new(name), &installed] {
        let reported = shell::output(shell::command(candidate).arg("--version"));
        if reported.is_ok_and(|text| text.split_whitespace().nth(1) == Some(version)) {
            return Ok(candidate.to_owned());
        }
    }
    println!("setup: building {name} {version}");
    let mut install = shell::cargo();
    install
        .args(["install", "--quiet", "--locked", "--debug", "--version", version, "--root"])
        .arg(&root)
        .arg(name);
    shell::run(&mut install)?;
    Ok(installed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_java_is_read_from_its_first_line() {
        assert_eq!(major("openjdk 17.0.15 2025-04-15\nOpenJDK Runtime"), Some(17));
        assert_eq!(major("openjdk 21-ea 2023-09-19"), Some(21));
        assert_eq!(major("java version \"1.8.0_392\""), None);
    }
}
