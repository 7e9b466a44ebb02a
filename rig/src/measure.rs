//! What a program costs: CPU time and peak memory of the whole process, as the kernel accounts them. A small
//! process of its own starts the program, so that nothing else is in the account.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use serde::{Deserialize, Serialize};

/// What one run cost.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// User and system time, s.
    pub cpu_s: f64,
    /// From start to end, s.
    pub wall_s: f64,
    /// Most memory that was resident, MiB.
    pub peak_mib: f64,
}

/// `rig measure`: runs a program and tells what it cost.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Begins the line that tells the cost.
const MARK: &str = "rig-cost ";

/// Runs the program and writes its cost to standard error.
///
/// # Errors
/// It cannot be started, or fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    let (program, rest) = arguments.command.split_first().context("no program is given")?;
    let start = Instant::now();
    let status = Command::new(program)
        .args(rest)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    let wall_s = start.elapsed().as_secs_f64();
    ensure!(status.success(), "{program} ended with {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("the kernel tells no usage")?;
    let cost = Cost { cpu_s: seconds(&usage), wall_s, peak_mib: usage.max_rss() as f64 / 1024.0 };
    eprintln!("{MARK}{}", serde_json::to_string(&cost)?);
    Ok(())
}

fn seconds(usage: &Usage) -> f64 {
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// User and system time of this process so far, s.
///
/// # Errors
/// The kernel does not tell.
pub fn own_cpu_s() -> Result<f64> {
    Ok(seconds(&getrusage(UsageWho::RUSAGE_SELF).context("the kernel tells no usage")?))
}

/// Runs a program on these CPUs (a list as `taskset` takes it) and tells what it cost and what it printed.
///
/// # Errors
/// It cannot be started or fails; carries the end of what it wrote.
pub fn measured(
    cpus: &str,
    mut command: Vec<String>,
    environment: &[(&str, &str)],
) -> Result<(Cost, String)> {
    let this = std::env::current_exe().context("the path of this program is not known")?;
    let mut line = vec!["-c".to_owned(), cpus.to_owned(), this.to_string_lossy().into_owned()];
    line.extend(["measure".to_owned(), "--".to_owned()]);
    line.append(&mut command);
    let output = Command::new("taskset")
        .args(&line)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .context("cannot start taskset; install util-linux")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let tail: Vec<&str> = errors.lines().rev().take(20).collect();
        bail!("{} failed:\n{}", line[5..].join(" "), tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    let told = errors.lines().find_map(|line| line.strip_prefix(MARK)).context("no cost was told")?;
    Ok((serde_json::from_str(told)?, String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// One thread in every library that may start some.
pub const SINGLE: [(&str, &str); 4] = [
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("RAYON_NUM_THREADS", "1"),
    ("ARROW_NUM_THREADS", "1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_survives_being_told() {
        let cost = Cost { cpu_s: 1.25, wall_s: 2.5, peak_mib: 8.0 };
        let text = serde_json::to_string(&cost).unwrap();
        let told: Cost = serde_json::from_str(&text).unwrap();
        assert_eq!((told.cpu_s, told.wall_s, told.peak_mib), (1.25, 2.5, 8.0));
    }
}
