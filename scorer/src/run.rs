//! Puts the rooms together: settings, model, pipeline, sources and servers, and the order in which they stop.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::EXIT_ERROR;
use crate::anomaly::AnomalyFeed;
use crate::board::{self, Board};
use crate::config::{Flags, Input, LogFormat, LogSettings, Settings};
use crate::control::Control;
use crate::deliver::{self, Deliveries};
use crate::demo::Controls;
use crate::live::{LiveModel, ModelFile};
use crate::metrics::{Health, Metrics, ModelLabel, ResultLabel};
use crate::news::AlertFeed;
use crate::pipeline::{self, Pipeline};
use crate::record::Intake;
use crate::serve::{self, Servers};
use crate::sole;
use crate::source::{self, Running};
use crate::state::Keeper;
use crate::summary::Summary;

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
    /// Records of alerts as they happen.
    pub alerts: AlertFeed,
    /// What web accesses come to, where that is asked for.
    pub summary: Summary,
    /// What is learnt.
    pub keeper: Keeper,
    /// What the pages show.
    pub board: Board,
    /// What changes the simulated stream, where there is one.
    pub simulation: Option<Controls>,
    /// What people decided about alerts.
    pub control: Control,
    /// Where batches go in.
    pub intake: Intake,
    /// Cancelled when the process is to stop.
    pub stop: CancellationToken,
}

impl App {
    /// Makes the rooms and starts the pipeline; nothing is read yet. `model_file` feeds `model`, where there is one.
    ///
    /// # Errors
    /// A sink or the store of what is learnt cannot be made from the settings.
    pub fn assemble(settings: Settings, runtime: Handle) -> anyhow::Result<(Self, Pipeline)> {
        let model = LiveModel::default();
        let metrics = Metrics::default();
        let loads = metrics.model_loads.clone();
        let on_attempt = Box::new(move |ok| {
            loads.get_or_create(&ResultLabel { result: if ok { "ok" } else { "failed" } }).inc();
        });
        let model_file = ModelFile::new(model.clone(), settings.model.clone(), on_attempt);
        let health = Health::default();
        let keeper = Keeper::start(&settings, &metrics, &health, runtime.clone())?;
        let control = Control::start(&settings, &health, runtime.clone())?;
        keeper.obey(&control);
        let summary = Summary::of(&settings);
        let parts = pipeline::Parts {
            settings: Arc::new(settings),
            model,
            metrics,
            health,
            feed: AnomalyFeed::default(),
            alerts: AlertFeed::default(),
            summary,
            keeper,
            board: Board::default(),
        };
        if parts.settings.serve.grpc.is_some() {
            parts.keeper.open_pushed().map_err(anyhow::Error::msg)?;
        }
        if let Some(store) = &parts.settings.store {
            prefill(&parts.board, ::store::open(&store.place)?);
        }
        let (intake, pipeline) = pipeline::start(&parts, runtime)?;
        let pipeline::Parts { settings, model, metrics, health, feed, alerts, summary, keeper, board } =
            parts;
        let app = Self {
            settings,
            model,
            model_file: Some(Arc::new(model_file)),
            metrics,
            health,
            feed,
            alerts,
            summary,
            keeper,
            board,
            simulation: None,
            control,
            intake,
            stop: CancellationToken::new(),
        };
        app.health.not_ready(MODEL, "no model is loaded yet");
        tokio::spawn(show_model(app.clone()));
        tokio::spawn(app.summary.clone().keep_writing(app.stop.clone(), app.metrics.clone()));
        Ok((app, pipeline))
    }
}

/// Shows what the store has of the time before; nobody waits for it.
fn prefill(board: &Board, mut store: Box<dyn ::store::Store>) {
    let (board, started) = (board.clone(), board::now());
    tokio::task::spawn_blocking(move || {
        if let Err(error) = board::prefill(&board, store.as_mut(), started) {
            tracing::warn!("the pages show nothing of the time before this start: {error}");
        }
    });
}

/// Name of the model in health.
const MODEL: &str = "model";
const SHOW_MODEL_EVERY: Duration = Duration::from_secs(2);

/// How long open calls may take to be answered after the last delivery.
const SERVERS_GRACE: Duration = Duration::from_secs(2);

/// Keeps health and metrics equal to the model in use.
async fn show_model(app: App) {
    let mut shown = String::new();
    let mut loaded = match app.stop.run_until_cancelled(app.model.wait()).await {
        Some(loaded) => loaded,
        None => return,
    };
    app.health.ready(MODEL);
    loop {
        if loaded.model.digest() != shown {
            loaded.model.digest().clone_into(&mut shown);
            app.metrics.model_in_use.clear();
            app.metrics.model_in_use.get_or_create(&ModelLabel { digest: shown.clone() }).set(1);
        }
        if app.stop.run_until_cancelled(tokio::time::sleep(SHOW_MODEL_EVERY)).await.is_none() {
            return;
        }
        loaded = app.model.wait().await;
    }
}

/// `scorer run`.
///
/// # Errors
/// Settings or model cannot be used, a server cannot start, a source cannot go on.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(args.settings)?;
    init_log(&settings.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run_until_stopped(settings));
    // Threads that hang in a read or in a broker's silence are not waited for.
    runtime.shutdown_background();
    result
}

async fn run_until_stopped(settings: Settings) -> anyhow::Result<ExitCode> {
    let signals = Signals::listen()?;
    let _sole = settings.state_dir.as_deref().map(sole::take).transpose()?;
    let (app, pipeline) = App::assemble(settings, Handle::current())?;
    load_model(&app).await?;
    let servers = serve::start(&app).await?;
    let deliveries = app.start_deliveries()?;
    let sources = source::start(&app)?;
    app.stop_after(pipeline, deliveries, servers, sources, signals).await
}

/// Loads the model; with `WAIT_FOR_MODEL` a missing or damaged one is waited for.
///
/// # Errors
/// The file cannot be used.
pub async fn load_model(app: &App) -> anyhow::Result<()> {
    let Some(file) = app.model_file.clone() else { return Ok(()) };
    let reading = Arc::clone(&file);
    match tokio::task::spawn_blocking(move || reading.reload()).await? {
        Ok(reloaded) => tracing::info!(
            model = reloaded.loaded.model.digest(),
            threshold = reloaded.loaded.threshold.score,
            "the model is loaded"
        ),
        Err(error) if app.settings.model.wait => {
            tracing::warn!("{error}; waiting for it");
            app.health.not_ready(MODEL, error.to_string());
        }
        Err(error) => return Err(error.into()),
    }
    tokio::spawn(file.watch(app.stop.clone()));
    Ok(())
}

impl App {
    /// Starts telling the sinks of alerts.
    ///
    /// # Errors
    /// A sink or its outbox cannot be made from the settings.
    pub fn start_deliveries(&self) -> anyhow::Result<Deliveries> {
        deliver::start(&self.settings, &self.metrics.sinks, &self.health, &self.board, &Handle::current())
    }

    /// Runs until a signal comes, `stop` is cancelled, every source has ended, or a room fails; then stops everything in order: no new
    /// records, those in work delivered, sinks told, positions kept.
    ///
    /// # Errors
    /// What a source or server could not go on from; that not everything could be delivered in time.
    pub async fn stop_after(
        self,
        mut pipeline: Pipeline,
        deliveries: Deliveries,
        mut servers: Servers,
        mut sources: Vec<Running>,
        mut signals: Signals,
    ) -> anyhow::Result<ExitCode> {
        let endless = sources.is_empty() || self.settings.inputs.contains(&Input::Otlp);
        let result = tokio::select! {
            biased;
            // Asked for within the process; servers that end because of it have not failed.
            () = self.stop.cancelled() => Ok(()),
            name = signals.next() => {
                tracing::info!("{name}: stopping; a second signal stops at once");
                Ok(())
            }
            result = ended(&mut sources, endless) => result,
            result = servers.failed() => result,
            () = pipeline.ended() => {
                // What is not acknowledged is read again at the next start; waiting would not help it.
                self.stop.cancel();
                anyhow::bail!("a thread of the pipeline ended unexpectedly, what it said is in the log above")
            }
        };
        self.stop.cancel();
        let timeout = self.settings.shutdown_timeout;
        let deadline = Instant::now() + timeout;
        let stopped = async {
            for source in &mut sources {
                source.ended().await?;
            }
            // First the pipeline: calls in flight wait for it, and peers that only hold a connection do not.
            pipeline.close().await;
            deliveries.stop(deadline).await;
            let keeper = self.keeper.clone();
            let pushed = tokio::task::spawn_blocking(move || keeper.flush_pushed(deadline)).await;
            if !matches!(pushed, Ok(true)) {
                tracing::warn!("what was learnt last of pushed lines could not be kept");
            }
            // Half of what is left: ending the grace must not look like running out of time.
            let left = deadline.saturating_duration_since(Instant::now());
            servers.stopped(SERVERS_GRACE.min(left / 2)).await
        };
        let stopped = tokio::select! {
            stopped = tokio::time::timeout(timeout, stopped) => stopped,
            name = signals.next() => {
                tracing::warn!("{name} again: stopping at once; what was not delivered is read again");
                return Ok(ExitCode::from(EXIT_ERROR));
            }
        };
        pipeline.give_up();
        result?;
        match stopped {
            Ok(stopped) => stopped.map(|()| ExitCode::SUCCESS),
            Err(_) => Err(anyhow::anyhow!(
                "not everything could be delivered within SHUTDOWN_TIMEOUT_S = {} s; what was not is read again at \
                 the next start",
                timeout.as_secs()
            )),
        }
    }
}

/// Waits for the end of all sources, or the first failure; what is `endless` never ends by itself.
async fn ended(sources: &mut [Running], endless: bool) -> anyhow::Result<()> {
    let waits = sources.iter_mut().map(|source| source.ended());
    futures_util::future::try_join_all(waits).await?;
    if endless {
        std::future::pending().await
    }
    Ok(())
}

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on these signals end the process in order.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The program's own log, on standard error.
pub fn init_log(settings: &LogSettings) {
    let filter = EnvFilter::try_new(&settings.filter).unwrap_or_default();
    // Where standard error is closed there is nobody to tell that it is.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let result = match settings.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    if let Err(error) = result {
        tell!("warning: no log is written: {error}");
    }
}
