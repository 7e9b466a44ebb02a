//! `scorer demo`: trains, simulates and scores in one process, without Kafka. What it keeps is in a temporary folder
//! that goes when it ends.

mod controls;
mod folder;
mod show;
mod stream;
mod train;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use ::store::StoreSettings;
use anyhow::Context as _;
use engine::event::EventTime;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::config::table::Group;
use crate::config::{Flags, Input, KeptLogs, Place, Settings, Subset};
use crate::live::Loaded;
use crate::run::{self, App, Signals};
use crate::serve::{self, Servers};
pub use controls::{Change, Controls, Standing};
use folder::Temporary;
use show::Show;
use stream::Stream;

/// The settings that the demo takes as flags.
#[derive(Clone, Debug)]
pub struct Demonstrated;

impl Subset for Demonstrated {
    const GROUPS: &'static [Group] = &[Group::Model, Group::Serve, Group::Process];
}

/// Arguments of `scorer demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Simulated lines per second, greater than 0, at most 1 000 000
    #[arg(long, value_name = "LINES", default_value_t = 50.0)]
    rate: f64,
    /// Share of the simulated lines that are anomalies, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.02)]
    anomaly_ratio: f64,
    /// Seed of the simulation and the training
    #[arg(long, value_name = "NUMBER", default_value_t = 42)]
    seed: u64,
    /// Ends by itself after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// Settings.
    #[command(flatten)]
    settings: Flags<Demonstrated>,
}

/// `scorer demo`.
///
/// # Errors
/// A setting or a model file cannot be used; an address that was asked for is taken.
pub fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let stream = Stream::new(&simulation(&args), args.seconds)?;
    let mut settings = own_settings(Settings::load(args.settings)?);
    run::init_log(&settings.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listeners = runtime.block_on(bind(&settings))?;
    // Dropped when everything else has ended.
    let _store = temporary_store(&mut settings)?;
    let result = runtime.block_on(demonstrate(settings, listeners, stream, args.seed, started));
    runtime.shutdown_background();
    result
}

fn simulation(args: &DemoArgs) -> simulator::Params {
    simulator::Params {
        seed: args.seed,
        start: EventTime::from_micros(jiff::Timestamp::now().as_microsecond()),
        rate: args.rate,
        anomaly_ratio: args.anomaly_ratio,
        ..simulator::Params::default()
    }
}

/// Without Kafka, whatever the environment says, and with a log that leaves the terminal to the anomalies.
fn own_settings(mut settings: Settings) -> Settings {
    settings.inputs = vec![Input::Simulator];
    settings.kafka.in_use = false;
    if is_default(&settings, "LOG_LEVEL") {
        settings.log.filter = "warn,anomaly=off".to_owned();
    }
    settings
}

/// A store of its own with all lines, where none is asked for: nothing is left behind unasked.
fn temporary_store(settings: &mut Settings) -> anyhow::Result<Option<Temporary>> {
    let is_asked_for = !is_default(settings, "STORE_PATH") || !is_default(settings, "DATABASE_URL");
    let logs = is_default(settings, "STORE_LOGS").then_some(KeptLogs::All);
    let Some(store) = settings.store.as_mut().filter(|_| !is_asked_for) else { return Ok(None) };
    let folder = Temporary::create(&std::env::temp_dir(), SystemTime::now());
    let folder =
        folder.context("no temporary folder can be made; set TMPDIR, or STORE_PATH= for no store")?;
    store.place = StoreSettings::Embedded { path: folder.path().join("isolog.db") };
    store.logs = logs.unwrap_or(store.logs);
    Ok(Some(folder))
}

fn is_default(settings: &Settings, name: &str) -> bool {
    settings.shown.iter().any(|(shown, _, place)| *shown == name && *place == Place::Default)
}

async fn demonstrate(
    settings: Settings,
    listeners: Listeners,
    stream: Stream,
    seed: u64,
    started: Instant,
) -> anyhow::Result<ExitCode> {
    let signals = Signals::listen()?;
    let (mut app, pipeline) = App::assemble(settings, Handle::current())?;
    app.simulation = Some(stream.controls());
    let servers = serve::start_on(&app, listeners.http, listeners.grpc).await?;
    load_or_train(&mut app, seed).await?;
    say_where(&app, &servers);
    let watched = stream.watch();
    let show = Show::new(watched);
    let tracker = TaskTracker::new();
    let shown = tracker.spawn(show.run(app.feed.subscribe(), app.stop.clone()));
    tracker.close();
    let deliveries = app.start_deliveries()?;
    let source = stream.start(&app)?;
    let ended = app.clone().stop_after(pipeline, deliveries, servers, vec![source], signals).await;
    shown.await.context("showing anomalies failed")?.summary(&app, started.elapsed());
    ended
}

async fn load_or_train(app: &mut App, seed: u64) -> anyhow::Result<()> {
    let path = &app.settings.model.path;
    if path.exists() {
        run::load_model(app).await?;
        show::print(&format!("Model: {}, as MODEL_PATH says.\n", path.display()));
        return Ok(());
    }
    let (settings, began) = (Arc::clone(&app.settings), Instant::now());
    let trained = tokio::task::spawn_blocking(move || train::train(&settings, seed)).await??;
    show::print(&format!(
        "Model: there is none at {}, so one was trained in memory from {} in {:.1} s.\n",
        path.display(),
        trained.from,
        began.elapsed().as_secs_f64(),
    ));
    app.model_file = None;
    app.model.set(Loaded::new(trained.model, &app.settings.model, None));
    Ok(())
}

/// Where it will serve.
struct Listeners {
    http: Option<TcpListener>,
    grpc: Option<TcpListener>,
}

/// Binds the addresses of the settings; a default one that is taken gives way to a free port.
async fn bind(settings: &Settings) -> anyhow::Result<Listeners> {
    Ok(Listeners {
        http: bind_or_next(settings, "HTTP_ADDR", settings.serve.http).await?,
        grpc: bind_or_next(settings, "GRPC_ADDR", settings.serve.grpc).await?,
    })
}

async fn bind_or_next(
    settings: &Settings,
    setting: &str,
    address: Option<SocketAddr>,
) -> anyhow::Result<Option<TcpListener>> {
    match serve::bind(setting, address).await {
        Err(error) if is_default(settings, setting) => {
            show::print(&format!("{error}; taking a free port instead.\n"));
            let free = address.map(|address| SocketAddr::new(address.ip(), 0));
            serve::bind(setting, free).await
        }
        bound => bound,
    }
}

fn say_where(app: &App, servers: &Servers) {
    if let Some(address) = servers.http {
        show::print(&format!("Page:  http://{address}\n"));
    }
    if let Some(address) = servers.grpc {
        let scheme = if app.settings.serve.grpc_tls.is_some() { "TLS" } else { "plaintext" };
        show::print(&format!("gRPC:  {address} ({scheme}; scoring, OTLP logs, reflection)\n"));
    }
    show::print("Ctrl-C ends it.\n\n");
}
