//! x

use std::process::ExitCode;

/// Arguments of `scorer explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {}

/// `scorer explain`.
///
/// # Errors
/// Says what is wrong.
pub fn run(_args: ExplainArgs) -> anyhow::Result<ExitCode> {
    todo!()
}
