//! The simulator as a source: lines of JSON into the pipeline, each when its time has come.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use engine::event::EventTime;
use simulator::{Params, SimLine, Simulator};

use super::controls::Controls;
use crate::record::{Batch, Body, Origin, Record};
use crate::run::App;
use crate::source::{self, Running};
use crate::state;

/// Longest sleep between two looks at the clock.
const LOOK: Duration = Duration::from_millis(20);

/// Most lines of one batch.
const BATCH: usize = 1_000;

/// A stream that is further behind than this, in microseconds, goes on from now: what it should have said meanwhile
/// is never said.
const MOST_BEHIND: i64 = 2_000_000;

/// Name of the stream in records.
const NAME: &str = "simulator";

/// What the simulator has put into the stream so far.
#[derive(Debug, Default)]
pub struct Injected {
    anomalies: HashSet<u64>,
}

/// The stream's truth, for whoever compares it with what was found.
#[derive(Clone, Debug, Default)]
pub struct Watched(Arc<Mutex<Injected>>);

impl Watched {
    /// Whether the line of this number was made an anomaly.
    pub fn is_anomaly(&self, line: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).anomalies.contains(&line)
    }

    /// Anomalies that were sent.
    pub fn anomalies(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).anomalies.len()
    }

    fn note(&self, line: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).anomalies.insert(line);
    }
}

/// A stream that is ready to start.
#[derive(Debug)]
pub struct Stream {
    simulator: Simulator,
    seconds: Option<u64>,
    next: Option<SimLine>,
    line: u64,
    watched: Watched,
    controls: Controls,
    /// From the simulated clock to ours, in microseconds.
    offset: i64,
}

/// A simulator for these parameters.
///
/// # Errors
/// Names every parameter that is out of range.
pub fn simulator(params: Params) -> anyhow::Result<Simulator> {
    Simulator::new(params).map_err(|errors| {
        let errors: Vec<String> = errors
            .iter()
            .map(|error| {
                let flag = error.name.replace('_', "-");
                format!("--{flag} = {} is out of range: {}", error.value, error.allowed)
            })
            .collect();
        anyhow::anyhow!(errors.join("; "))
    })
}

impl Stream {
    /// A stream that ends after `seconds`, where they are given.
    ///
    /// # Errors
    /// Names every parameter that is out of range.
    pub fn new(params: &Params, seconds: Option<u64>) -> anyhow::Result<Self> {
        Ok(Self {
            simulator: simulator(*params)?,
            seconds,
            next: None,
            line: 0,
            watched: Watched::default(),
            controls: Controls::new(*params),
            offset: 0,
        })
    }

    /// What changes it while it runs.
    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }

    /// The truth of this stream.
    pub fn watch(&self) -> Watched {
        self.watched.clone()
    }

    /// Starts it on a thread of its own.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(self, app: &App) -> anyhow::Result<Running> {
        let app = app.clone();
        source::spawn(NAME.to_owned(), move || self.run(&app))
    }

    fn run(mut self, app: &App) -> Result<(), String> {
        let started = Instant::now();
        let end = self.seconds.and_then(|seconds| started.checked_add(Duration::from_secs(seconds)));
        // Each batch's acknowledgement holds a sender: the receiver ends when all are called or dropped.
        let (open, all_done) = mpsc::channel::<()>();
        // The simulated clock starts where training ended, not where the process did.
        self.offset = now().as_micros() - self.simulator.params().start.as_micros();
        let stream = state::Stream::input(NAME);
        app.keeper.open_unplaced(&stream)?;
        while !app.stop.is_cancelled() && end.is_none_or(|end| Instant::now() < end) {
            let records = self.due(now());
            if records.is_empty() {
                std::thread::sleep(LOOK);
                continue;
            }
            let open = open.clone();
            let ack = Box::new(move |_| drop(open));
            let batch =
                Batch { records: records.into_iter().collect(), cuts: app.keeper.unplaced(&stream), ack };
            if app.intake.blocking_send(batch).is_err() {
                return Ok(());
            }
        }
        drop(open);
        while all_done.recv().is_ok() {}
        Ok(())
    }

    /// The lines whose time has come, those that were asked for first.
    fn due(&mut self, now: EventTime) -> Vec<Record> {
        let asked = self.controls.apply(&mut self.simulator, plus(now, -self.offset));
        let mut records: Vec<Record> = asked.into_iter().map(|line| self.record(line, now)).collect();
        while records.len() < BATCH {
            let line = self.next.take().unwrap_or_else(|| self.simulator.next_line());
            let mut due = plus(line.timestamp, self.offset);
            let behind = now.as_micros() - due.as_micros();
            if behind > MOST_BEHIND {
                self.offset += behind;
                due = now;
            }
            if due > now {
                self.next = Some(line);
                break;
            }
            // One that was switched off after the line was made.
            if self.simulator.is_on(line.service) {
                records.push(self.record(line, due));
            }
        }
        records
    }

    fn record(&mut self, mut line: SimLine, due: EventTime) -> Record {
        self.line += 1;
        if line.label.is_some() {
            self.watched.note(self.line);
        }
        line.timestamp = due;
        Record {
            origin: Origin::File { identity: NAME.into(), path: NAME.into(), offset: self.line },
            transport_time: due,
            service: None,
            body: Body::Raw(line.json().into()),
        }
    }
}

fn plus(time: EventTime, micros: i64) -> EventTime {
    EventTime::from_micros(time.as_micros().saturating_add(micros))
}

fn now() -> EventTime {
    EventTime::from_micros(jiff::Timestamp::now().as_microsecond())
}
