//! x

use std::process::ExitCode;

/// Arguments of `scorer demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {}

/// `scorer demo`.
///
/// # Errors
/// Says what is wrong.
pub fn run(_args: DemoArgs) -> anyhow::Result<ExitCode> {
    todo!()
}
