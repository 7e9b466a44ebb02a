//! Runs the fuzz targets of `fuzz/` one after another and says how many executions each had.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::{setup, shell};

/// What to fuzz and for how long.
#[derive(clap::Args)]
pub struct Arguments {
    /// Targets; all of them when none is named
    targets: Vec<String>,
    /// Seconds per target
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// Runs them.
///
/// # Errors
/// When a target finds a crash, after all have run; names it.
pub fn run(arguments: &Arguments) -> Result<()> {
    let tool = setup::cargo_fuzz()?;
    let listed = shell::output(shell::command(&tool).args(["list"]))?;
    let listed: Vec<&str> = listed.lines().collect();
    if let Some(unknown) = arguments.targets.iter().find(|target| !listed.contains(&target.as_str())) {
        bail!("no fuzz target {unknown}; there are: {}", listed.join(", "));
    }
    let chosen: Vec<&str> = match arguments.targets.as_slice() {
        [] => listed,
        named => named.iter().map(String::as_str).collect(),
    };
    let mut crashed = Vec::new();
    for target in chosen {
        match fuzz(&tool, target, arguments.seconds)? {
            Some(executions) => println!("{target}: {executions} executions, no crash"),
            None => crashed.push(target),
        }
    }
    if !crashed.is_empty() {
        bail!("crashed: {}; the inputs are in fuzz/artifacts", crashed.join(", "));
    }
    Ok(())
}

/// The number of executions, or `None` when it crashed. The fuzzer instruments with flags that stable compilers
/// only take with `RUSTC_BOOTSTRAP`.
fn fuzz(tool: &std::path::Path, target: &str, seconds: u64) -> Result<Option<u64>> {
    let mut command = shell::command(tool);
    command.env("RUSTC_BOOTSTRAP", "1").args(["run", target, "--", "-print_final_stats=1"]);
    command.arg(format!("-max_total_time={seconds}")).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let mut executions = None;
    for line in BufReader::new(child.stderr.take().context("no standard error")?).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        if let Some(number) = line.strip_prefix("stat::number_of_executed_units:") {
            executions = number.trim().parse().ok();
        }
        eprintln!("{line}");
    }
    if !child.wait()?.success() {
        return Ok(None);
    }
    executions.map(Some).with_context(|| format!("{target} ended without saying how many executions it had"))
}
