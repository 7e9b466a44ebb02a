//! Python programs that are not ours, run in the virtual environment that `cargo xtask setup` fills.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tools;

/// The virtual environment: grpcio with reflection and health, OpenTelemetry's SDK and OTLP exporter.
#[derive(Clone, Debug)]
pub struct Venv(PathBuf);

impl Venv {
    /// Finds it.
    ///
    /// # Errors
    /// Names the command that makes it, when it is missing.
    pub fn find() -> Result<Self> {
        Ok(Self(tools::PYTHON.require()?))
    }

    /// The path of its interpreter.
    pub fn interpreter(&self) -> PathBuf {
        self.0.join("bin/python")
    }

    /// Runs a script and returns what it printed.
    ///
    /// # Errors
    /// When it fails; carries what it wrote to standard error.
    pub fn run(&self, script: &Path, arguments: &[&str]) -> Result<String> {
        self.finish(Command::new(self.interpreter()).arg(script).args(arguments))
    }

    /// Runs a program text and returns what it printed.
    ///
    /// # Errors
    /// As [`Venv::run`].
    pub fn run_text(&self, program: &str, arguments: &[&str]) -> Result<String> {
        self.finish(Command::new(self.interpreter()).args(["-c", program]).args(arguments))
    }

    fn finish(&self, command: &mut Command) -> Result<String> {
        let output =
            command.output().with_context(|| format!("cannot start {}", self.interpreter().display()))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("the Python program ended with {}:\n{printed}{said}", output.status);
        }
        Ok(printed)
    }
}
