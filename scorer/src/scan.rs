//! x

use std::process::ExitCode;

/// Arguments of `scorer scan`.
#[derive(Debug, clap::Args)]
pub struct ScanArgs {}

/// `scorer scan`.
///
/// # Errors
/// Says what is wrong.
pub fn run(_args: ScanArgs) -> anyhow::Result<ExitCode> {
    todo!()
}
