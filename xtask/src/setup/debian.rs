//! Debian packages. Never uses sudo: it installs as root, and otherwise says what to run.

use std::sync::OnceLock;

use anyhow::{Result, bail};

use crate::shell;

static UPDATED: OnceLock<bool> = OnceLock::new();

/// Installs packages; `what` is what they are wanted for.
///
/// # Errors
/// With the command to run, when this is not Debian, not root, or apt-get fails.
pub fn install(what: &str, packages: &[&str]) -> Result<()> {
    let by_hand =
        format!("apt-get update && apt-get install -y --no-install-recommends {}", packages.join(" "));
    let root = shell::output(shell::command("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !root || !shell::succeeds(shell::command("apt-get").arg("--version")) {
        bail!("the tests need {what}; install it (on Debian, as root: {by_hand}) and run this again");
    }
    println!("setup: installing {}", packages.join(" "));
    let updated = UPDATED.get_or_init(|| shell::run(apt().args(["-q", "-q", "update"])).is_ok());
    let mut install = apt();
    install.args(["-q", "-q", "install", "-y", "--no-install-recommends"]).args(packages);
    if let Err(error) = shell::run(&mut install) {
        let lists = if *updated { "" } else { " (and `apt-get update` failed before)" };
        bail!("{what}: {error:#}{lists}; try by hand: {by_hand}");
    }
    Ok(())
}

fn apt() -> std::process::Command {
    let mut command = shell::command("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::process::Stdio::null());
    command
}
