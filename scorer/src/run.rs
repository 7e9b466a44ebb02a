//! Puts the rooms together: settings, model, pipeline, sources and servers, and the order in which they stop.

use std::process::ExitCode;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::anomaly::AnomalyFeed;
use crate::config::{Flags, Settings};
use crate::live::{LiveModel, ModelFile};
use crate::metrics::{Health, Metrics};
use crate::record::Intake;

/// Arguments of `scorer run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Settings.
    #[command(flatten)]
    pub settings: Flags,
}

/// What the rooms of a running process share; clones are cheap.
#[derive(Clone, Debug)]
pub struct App {
    /// All settings.
    pub settings: Arc<Settings>,
    /// The model in use.
    pub model: LiveModel,
    /// The file it comes from; `None` where it was trained in this process.
    pub model_file: Option<Arc<ModelFile>>,
    /// Counters.
    pub metrics: Metrics,
    /// Readiness and liveness.
    pub health: Health,
    /// Findings as they happen.
    pub feed: AnomalyFeed,
    /// Where batches go in.
    pub intake: Intake,
    /// Cancelled when the process is to stop.
    pub stop: CancellationToken,
}

/// `scorer run`.
///
/// # Errors
/// Settings or model cannot be used, or a server cannot start.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let _settings = Settings::load(args.settings)?;
    todo!()
}
