//! x

use std::process::ExitCode;

/// Arguments of `scorer health`.
#[derive(Debug, clap::Args)]
pub struct HealthArgs {}

/// `scorer health`.
///
/// # Errors
/// Says what is wrong.
pub fn run(_args: HealthArgs) -> anyhow::Result<ExitCode> {
    todo!()
}
