//! Virtual environments of Python, filled from a requirements file whose hashes pip enforces.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use testkit::tools::{self, Pinned};

use super::debian;
use crate::shell;

/// Creates the environment if it is not there or its interpreter has gone; returns the interpreter.
///
/// # Errors
/// When no Python 3 with `venv` can be had, or pip fails.
pub fn install(pinned: &Pinned) -> Result<PathBuf> {
    let folder = pinned.path()?;
    let interpreter = folder.join("bin/python");
    if pinned.is_installed() && shell::succeeds(shell::command(&interpreter).args(["-c", "import sys"])) {
        return Ok(interpreter);
    }
    println!("setup: filling {}", folder.display());
    let _ = std::fs::remove_dir_all(&folder);
    shell::run(shell::command(base()?).args(["-m", "venv"]).arg(&folder))?;
    let requirements = folder.join("requirements.txt");
    std::fs::write(&requirements, pinned.list)
        .with_context(|| format!("cannot write {}", requirements.display()))?;
    let mut pip = shell::command(&interpreter);
    pip.args(["-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary=:all:", "-r"])
        .arg(&requirements);
    shell::run(&mut pip)?;
    std::fs::write(folder.join(tools::STAMP), pinned.list)?;
    Ok(interpreter)
}

/// A Python that can make virtual environments.
fn base() -> Result<&'static Path> {
    let candidates = ["python3", "/usr/bin/python3"].map(Path::new);
    let usable =
        |python: &&Path| shell::succeeds(shell::command(python).args(["-c", "import venv, ensurepip"]));
    if let Some(python) = candidates.into_iter().find(usable) {
        return Ok(python);
    }
    debian::install("Python 3 with venv", &["python3", "python3-venv"])?;
    match candidates.into_iter().rev().find(usable) {
        Some(python) => Ok(python),
        None => {
            bail!("python3 and python3-venv are installed, yet `python3 -c 'import venv, ensurepip'` fails")
        }
    }
}
