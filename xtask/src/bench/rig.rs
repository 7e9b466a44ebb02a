//! Builds `rig` and the programs it measures, sets up its peers and hands the command line on to it. Measures
//! nothing itself: this program is not compiled for speed.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};
use testkit::tools;

use crate::{setup, shell};

/// A command line that `rig` reads.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Arguments {
    /// Arguments of the command; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

impl Arguments {
    /// Nothing is set up for a question.
    fn asks_only(&self) -> bool {
        self.rest.iter().any(|argument| ["--help", "-h", "--list"].iter().any(|asked| argument == *asked))
    }
}

/// `cargo xtask bench corpus`.
///
/// # Errors
/// What `rig` said.
pub fn corpus(arguments: &Arguments) -> Result<()> {
    build(&["rig"])?;
    call("corpus", &[], arguments)
}

/// `cargo xtask bench compare`.
///
/// # Errors
/// A peer or program could not be set up; what `rig` said.
pub fn compare(arguments: &Arguments) -> Result<()> {
    if arguments.asks_only() {
        build(&["rig"])?;
        let nowhere = ["--python", "-", "--work", "-"].map(OsString::from);
        return call("compare", &nowhere, arguments);
    }
    build(&["rig", "trainer", "scorer"])?;
    let python = setup::peers()?;
    setup::kafka()?;
    let own = ["--python".into(), python.into(), "--work".into(), work()?.into()];
    call("compare", &own, arguments)
}

/// `cargo xtask bench growth`.
///
/// # Errors
/// What `rig` said.
pub fn growth(arguments: &Arguments) -> Result<()> {
    build(&["rig"])?;
    call("growth", &["--work".into(), work()?.into()], arguments)
}

/// `cargo xtask bench detectors`.
///
/// # Errors
/// What `rig` said.
pub fn detectors(arguments: &Arguments) -> Result<()> {
    build(&["rig"])?;
    call("detectors", &[], arguments)
}

/// `cargo xtask bench incidents`.
///
/// # Errors
/// What `rig` said.
pub fn incidents(arguments: &Arguments) -> Result<()> {
    build(&["rig"])?;
    call("incidents", &[], arguments)
}

fn work() -> Result<PathBuf> {
    let work = tools::cache_dir()?.join("bench");
    std::fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    Ok(work)
}

/// Builds programs for speed, into target/release.
///
/// # Errors
/// What cargo said.
pub fn build(programs: &[&str]) -> Result<()> {
    let mut cargo = shell::cargo();
    cargo.args(["build", "--quiet", "--release"]);
    programs.iter().for_each(|program| {
        cargo.args(["--package", program]);
    });
    shell::run(&mut cargo)
}

fn call(command: &str, own: &[OsString], arguments: &Arguments) -> Result<()> {
    let rig = shell::root().join("target/release/rig");
    shell::run(shell::command(rig).arg(command).args(own).args(&arguments.rest))
}
