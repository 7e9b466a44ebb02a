//! x

use std::process::ExitCode;

/// Arguments of `scorer check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {}

/// `scorer check`.
///
/// # Errors
/// Says what is wrong.
pub fn run(_args: CheckArgs) -> anyhow::Result<ExitCode> {
    todo!()
}
