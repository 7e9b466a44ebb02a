//! Standard input, line by line until its end. What was read but not delivered when the process is killed is
//! lost: there is nothing to read it from again.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::assembly::Assembly;
use super::lines::{Line, Lines};
use super::positions::{Mark, Shared};
use super::{DRAIN_SHARE, LOOK, ROOM, Running, now, spawn};
use crate::record::{Body, Origin, Record};
use crate::run::App;
use crate::state::Stream;

/// The one stream of this source.
const KEY: &str = "stdin";
const CHUNK_BYTES: usize = 64 * 1024;

/// Starts the source.
///
/// # Errors
/// No thread can be started.
pub fn start(app: &App) -> anyhow::Result<Running> {
    let (chunks, arrived) = sync_channel(4);
    // It may block in a read for ever, so it is not waited for at the end.
    std::thread::Builder::new().name("stdin bytes".to_owned()).spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = loop {
                match input.read(&mut chunk) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            let ended = !matches!(read, Ok(1..));
            let sent = chunks.send(read.map(|length| {
                chunk.truncate(length);
                chunk
            }));
            if ended || sent.is_err() {
                return;
            }
        }
    })?;
    let app = app.clone();
    // It is another input at each start, so it has no position to go on from; what was learnt goes on.
    let (stream, nothing) = (Stream::input(KEY), Arc::new(|_: &str, _: u64| {}));
    app.keeper
        .open(&stream, 0, nothing, &|_| Ok(()), &|| app.stop.is_cancelled())
        .map_err(anyhow::Error::msg)?;
    spawn("standard input".to_owned(), move || Reader::new(&app).run(&app, &arrived))
}

struct Reader {
    lines: Lines,
    number: u64,
    positions: Shared<Arc<str>>,
    generation: u64,
    key: Arc<str>,
    assembly: Assembly<Arc<str>>,
}

impl Reader {
    fn new(app: &App) -> Self {
        let positions = Shared::default();
        let key: Arc<str> = KEY.into();
        let generation = positions.assign(Arc::clone(&key));
        let mut assembly = Assembly::new(&app.settings, app.intake.clone(), positions.clone());
        if app.keeper.learns() {
            assembly = assembly.with_cuts(|key: &Arc<str>| (Stream::Input(Arc::clone(key)), "".into()));
        }
        Self {
            lines: Lines::new(app.settings.decode.limits.max_line_bytes),
            number: 0,
            assembly,
            positions,
            generation,
            key,
        }
    }

    fn run(mut self, app: &App, chunks: &Receiver<Result<Vec<u8>, std::io::Error>>) -> Result<(), String> {
        let mut ended = false;
        while !ended && !app.stop.is_cancelled() {
            match chunks.recv_timeout(self.assembly.wait(Instant::now(), LOOK)) {
                Ok(Ok(chunk)) if !chunk.is_empty() => {
                    let mut lines = Vec::new();
                    self.lines.feed(&chunk, &mut |line| lines.push(line));
                    for line in lines {
                        self.take(line);
                        if self.assembly.due(Instant::now()) && !self.hand_over(app) {
                            return Ok(());
                        }
                    }
                }
                Ok(Ok(_)) | Err(RecvTimeoutError::Disconnected) => ended = true,
                Ok(Err(error)) => return Err(format!("cannot be read: {error}")),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.assembly.tick(Instant::now());
            if self.assembly.due(Instant::now()) && !self.hand_over(app) {
                return Ok(());
            }
        }
        if let Some(line) = self.lines.finish() {
            self.take(line);
        }
        self.assembly.end(Instant::now());
        self.hand_over(app);
        let deadline = Instant::now() + app.settings.shutdown_timeout.mul_f64(DRAIN_SHARE);
        while !self.positions.idle(LOOK) {
            if app.stop.is_cancelled() && Instant::now() >= deadline {
                break;
            }
        }
        let left = Duration::from_secs(1).max(deadline.saturating_duration_since(Instant::now()));
        if !app.keeper.flush(&[Stream::Input(Arc::clone(&self.key))], Instant::now() + left) {
            tracing::warn!("what was learnt last of standard input could not be kept");
        }
        Ok(())
    }

    fn take(&mut self, line: Line) {
        self.number += 1;
        let record = Record {
            origin: Origin::Stdin { line: self.number },
            transport_time: now(),
            service: None,
            body: Body::Raw(line.bytes),
        };
        let mark = Mark { key: Arc::clone(&self.key), generation: self.generation, end: self.number };
        self.assembly.push(&|| KEY.to_owned(), self.number - 1, mark, record, Instant::now());
    }

    /// Waits for room; `false` when the pipeline is gone.
    fn hand_over(&mut self, app: &App) -> bool {
        let mut result = self.assembly.hand_over().map(|()| !self.assembly.is_blocked());
        let deadline = Instant::now() + app.settings.shutdown_timeout.mul_f64(DRAIN_SHARE);
        while let Ok(false) = result {
            if app.stop.is_cancelled() && Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(ROOM);
            result = self.assembly.retry();
        }
        result.is_ok()
    }
}
