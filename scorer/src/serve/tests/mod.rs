//! The servers as peers meet them: real connections on free ports, the pipeline's end in the test's hand.

mod access;
mod api;
mod control;
mod grpc;
mod http;
mod otlp;
mod tls;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use engine::event::{EventTime, Level, LogEvent};
use engine::model::train::{FirstPass, TrainParams};
use engine::model::{Model, Provenance};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use crate::anomaly::AnomalyFeed;
use crate::config::{Flags, Settings};
use crate::live::{LiveModel, Loaded, ModelFile};
use crate::metrics::{Health, Metrics};
use crate::record::Batch;
use crate::run::App;

#[derive(clap::Parser)]
struct NoFlags {
    #[command(flatten)]
    flags: Flags,
}

/// Settings by environment variables.
pub(in crate::serve) fn settings(environment: &[(&str, &str)]) -> Settings {
    let flags = <NoFlags as clap::Parser>::parse_from(["test"]).flags;
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::from_parts(flags, environment).unwrap()
}

/// A small model; different seeds give different digests.
fn train(seed: u64) -> Model {
    let event = |n: u64| LogEvent {
        timestamp: EventTime::from_millis(n as i64 * 100),
        service: ["billing", "orders", "auth"][n as usize % 3].to_owned(),
        level: Some(if n.is_multiple_of(40) { Level::Warn } else { Level::Info }),
        message: format!("request {n} served in {} ms", 20 + n % 30),
        ..LogEvent::default()
    };
    let events: Vec<LogEvent> = (0..400).map(event).collect();
    let params = TrainParams { n_estimators: 20, max_samples: 64, seed, ..TrainParams::default() };
    let mut first = FirstPass::new(params.check().unwrap());
    first.observe(&events);
    let mut second = first.grow().unwrap();
    second.calibrate(&events);
    second.finish(Provenance {
        inputs: vec!["test.csv".to_owned()],
        rows: 400,
        last_time: 3_600_000_000,
        contamination: "0.05".to_owned(),
        seed,
        ..Provenance::default()
    })
}

/// A model as it is served.
pub(super) fn loaded() -> Loaded {
    Loaded::new(engine::artifact::from_bytes(&model_bytes(1)).unwrap(), &settings(&[]).model, None)
}

/// The artifact of [`train`], made once.
fn model_bytes(seed: u64) -> Vec<u8> {
    static BYTES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let both = BYTES.get_or_init(|| [1, 2].map(|seed| engine::artifact::to_bytes(&train(seed)).unwrap()));
    both[seed as usize - 1].clone()
}

/// A model file in a folder of its own.
struct ModelDir(tempfile::TempDir);

impl ModelDir {
    fn new(seed: u64) -> Self {
        let dir = Self(tempfile::tempdir().unwrap());
        dir.replace(&model_bytes(seed));
        dir
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("test.model")
    }

    fn replace(&self, bytes: &[u8]) {
        let new = self.0.path().join("new");
        std::fs::write(&new, bytes).unwrap();
        std::fs::rename(new, self.path()).unwrap();
    }
}

/// Servers on free ports with all that they share.
struct Running {
    app: App,
    http: std::net::SocketAddr,
    grpc: std::net::SocketAddr,
    batches: mpsc::Receiver<Batch>,
    servers: super::Servers,
}

impl Running {
    /// With the model of seed 1 and these settings.
    async fn start(environment: &[(&str, &str)]) -> Self {
        let running = Self::start_without_model(environment).await;
        let model = engine::artifact::from_bytes(&model_bytes(1)).unwrap();
        running.app.model.set(Loaded::new(model, &running.app.settings.model, None));
        running
    }

    async fn start_without_model(environment: &[(&str, &str)]) -> Self {
        Self::start_app(Self::settings(environment), false).await.unwrap()
    }

    /// Free ports and no store, unless `environment` says so.
    fn settings(environment: &[(&str, &str)]) -> Settings {
        let own = [("HTTP_ADDR", "127.0.0.1:0"), ("GRPC_ADDR", "127.0.0.1:0"), ("STORE_PATH", "")];
        let own = own.into_iter().filter(|(name, _)| environment.iter().all(|(given, _)| given != name));
        settings(&own.chain(environment.iter().copied()).collect::<Vec<_>>())
    }

    /// As [`Running::start`], with what `change` puts into the rooms.
    async fn start_changed(environment: &[(&str, &str)], change: impl FnOnce(&mut App)) -> Self {
        let running = Self::start_changed_app(Self::settings(environment), false, change).await.unwrap();
        let model = engine::artifact::from_bytes(&model_bytes(1)).unwrap();
        running.app.model.set(Loaded::new(model, &running.app.settings.model, None));
        running
    }

    /// With the model in a file that can be replaced.
    async fn start_from_file(path: &Path) -> Self {
        let path = path.to_str().unwrap();
        let environment = [("HTTP_ADDR", "127.0.0.1:0"), ("GRPC_ADDR", "127.0.0.1:0"), ("MODEL_PATH", path)];
        let running = Self::start_app(settings(&environment), true).await.unwrap();
        running.app.model_file.as_ref().unwrap().reload().unwrap();
        running
    }

    async fn start_app(settings: Settings, from_file: bool) -> anyhow::Result<Self> {
        Self::start_changed_app(settings, from_file, |_| ()).await
    }

    async fn start_changed_app(
        settings: Settings,
        from_file: bool,
        change: impl FnOnce(&mut App),
    ) -> anyhow::Result<Self> {
        let model = LiveModel::default();
        let file = || Arc::new(ModelFile::new(model.clone(), settings.model.clone(), Box::new(|_| ())));
        let model_file = from_file.then(file);
        let (intake, batches) = mpsc::channel(1);
        let summary = crate::summary::Summary::of(&settings);
        let mut app = App {
            settings: Arc::new(settings),
            model,
            model_file,
            metrics: Metrics::default(),
            health: Health::default(),
            feed: AnomalyFeed::default(),
            alerts: crate::news::AlertFeed::default(),
            summary,
            keeper: crate::state::Keeper::default(),
            control: crate::control::Control::default(),
            board: crate::board::Board::default(),
            simulation: None,
            intake,
            stop: CancellationToken::new(),
        };
        change(&mut app);
        let servers = super::start(&app).await?;
        let none = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
        let (http, grpc) = (servers.http.unwrap_or(none), servers.grpc.unwrap_or(none));
        Ok(Self { app, http, grpc, batches, servers })
    }

    async fn try_start(settings: Settings) -> anyhow::Result<Self> {
        Self::start_app(settings, false).await
    }

    async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap()
    }

    async fn stop(self) {
        self.app.stop.cancel();
        self.servers.stopped(Duration::from_secs(2)).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_ends_unasked_is_an_error() {
    for (end, said) in
        [(Ok(()), "not asked to stop"), (Err(anyhow::anyhow!("out of sockets")), "out of sockets")]
    {
        let mut servers = super::Servers { http: None, grpc: None, tasks: tokio::task::JoinSet::new() };
        servers.tasks.spawn(async { end });
        let error = format!("{:#}", servers.failed().await.unwrap_err());
        assert!(error.contains(said), "{error}");
    }
}

/// A connection over which half a request came, and none of it is answered.
async fn half_a_request(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HT").await.unwrap();
    stream
}

#[tokio::test]
async fn silent_connections_are_cut_off_at_the_stop_without_an_error() {
    let running = Running::start(&[]).await;
    let silent = [half_a_request(running.http).await, TcpStream::connect(running.grpc).await.unwrap()];
    // Whoever connects later is served later.
    running.channel().await;
    running.stop().await;
    drop(silent);
}

#[tokio::test]
async fn the_grace_of_the_stop_is_not_waited_for_when_nobody_is_connected() {
    let running = Running::start(&[]).await;
    running.app.stop.cancel();
    running.servers.stopped(Duration::MAX).await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_setting() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    for setting in ["HTTP_ADDR", "GRPC_ADDR"] {
        let error = format!("{:#}", super::bind(setting, Some(address)).await.unwrap_err());
        assert!(error.contains(setting) && error.contains(&address.to_string()), "{error}");
        assert!(error.contains("in use"), "{error}");
    }
}

#[test]
fn the_model_file_is_read_once_for_each_change_of_it() {
    let dir = ModelDir::new(1);
    let path = dir.path();
    let settings = settings(&[("MODEL_PATH", path.to_str().unwrap())]);
    let live = LiveModel::default();
    let file = ModelFile::new(live.clone(), settings.model.clone(), Box::new(|_| ()));
    assert!(file.reload_if_touched().unwrap().unwrap().changed);
    assert!(file.reload_if_touched().is_none());
    let digest = live.get().unwrap().model.digest().to_owned();

    dir.replace(b"not a model");
    assert!(file.reload_if_touched().unwrap().is_err());
    assert!(file.reload_if_touched().is_none(), "one bad file, one message");
    assert_eq!(live.get().unwrap().model.digest(), digest);

    std::fs::remove_file(&path).unwrap();
    assert!(file.reload_if_touched().is_none());
    dir.replace(&model_bytes(2));
    assert!(file.reload_if_touched().unwrap().unwrap().changed);
    assert_ne!(live.get().unwrap().model.digest(), digest);
}
