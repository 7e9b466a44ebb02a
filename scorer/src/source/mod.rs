//! Where records come from. A source reads on a thread of its own, hands batches to the pipeline and keeps its
//! position only after a batch was acknowledged. Adding one: its file, and a line in [`start`].

mod assembly;
pub mod file;
mod kafka;
pub mod lines;
mod positions;
mod stdin;
mod watchdog;

use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::Input;
use crate::run::App;

/// A source that runs.
#[derive(Debug)]
pub struct Running {
    /// For messages.
    pub name: String,
    /// `None` once its end was told.
    done: Option<oneshot::Receiver<Result<(), String>>>,
}

impl Running {
    /// Waits for the source's end: because its input ended, or because `App::stop` was cancelled and everything
    /// it had read was acknowledged.
    ///
    /// # Errors
    /// What it could not go on from.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        let Some(done) = &mut self.done else { return Ok(()) };
        let end = done.await;
        self.done = None;
        match end {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(anyhow::anyhow!("{}: {why}", self.name)),
            Err(_) => Err(anyhow::anyhow!("{}: the thread that reads it ended unexpectedly", self.name)),
        }
    }
}

/// Starts the sources of the settings.
///
/// # Errors
/// A source cannot be made from its settings. A broker that is not there yet is no error.
pub fn start(app: &App) -> anyhow::Result<Vec<Running>> {
    let mut running = Vec::new();
    for input in &app.settings.inputs {
        match input {
            Input::Kafka => running.push(kafka::start(app)?),
            Input::File(pattern) => running.push(file::start(app, pattern)?),
            Input::Stdin => running.push(stdin::start(app)?),
            Input::Otlp | Input::Simulator => {}
        }
    }
    Ok(running)
}

/// Runs a source on a thread of its own.
///
/// # Errors
/// The thread cannot be started.
pub fn spawn(
    name: String,
    work: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> anyhow::Result<Running> {
    let (sender, done) = oneshot::channel();
    std::thread::Builder::new().name(name.clone()).spawn(move || {
        // An error means that nobody waits any more.
        let _ = sender.send(work());
    })?;
    Ok(Running { name, done: Some(done) })
}

/// Longest sleep between two looks at `App::stop`.
const LOOK: Duration = Duration::from_millis(50);

/// Sleep between two looks whether a full pipeline has room: less than scoring the batches that wait in it takes, so
/// that it never runs dry.
const ROOM: Duration = Duration::from_micros(200);

/// The share of `SHUTDOWN_TIMEOUT_S` that draining may take; the rest is for keeping positions and leaving.
const DRAIN_SHARE: f64 = 0.7;

/// The transport's time of a line that has none of its own: now.
fn now() -> engine::event::EventTime {
    engine::event::EventTime::from_micros(jiff::Timestamp::now().as_microsecond())
}
