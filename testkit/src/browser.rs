//! Scripts of Node that drive Debian's Chromium by Playwright, as `cargo xtask setup` installs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tools;

/// Node with Playwright and axe, and the browser that they drive.
#[derive(Clone, Debug)]
pub struct Browser {
    modules: PathBuf,
    chromium: PathBuf,
}

impl Browser {
    /// Finds them.
    ///
    /// # Errors
    /// Names the command that installs them, when one is missing.
    pub fn find() -> Result<Self> {
        let modules = tools::BROWSER.require()?.join("node_modules");
        Ok(Self { modules, chromium: tools::chromium()? })
    }

    /// The command that runs a script (CommonJS). It finds the browser's path in the variable `CHROMIUM` and its
    /// modules by their names, and is killed when the thread that starts it ends.
    pub fn command(&self, script: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "node"]).arg(script).args(arguments);
        command.env("NODE_PATH", &self.modules).env("CHROMIUM", &self.chromium).stdin(Stdio::null());
        command
    }

    /// Runs a script and returns what it printed.
    ///
    /// # Errors
    /// When it fails; carries what it printed.
    pub fn run(&self, script: &Path, arguments: &[&str]) -> Result<String> {
        let output = self.command(script, arguments).output();
        let output = output.context("cannot start node (by setpriv of util-linux)")?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{} ended with {}:\n{printed}{said}", script.display(), output.status);
        }
        Ok(printed)
    }
}
