//! Files that are followed as they grow: one file, a directory or a glob. Rotation (the name goes to another
//! file) and truncation are noticed; positions are kept on disk only after delivery.

mod checkpoint;
pub mod tail;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assembly::{Assembly, Ended};
use super::positions::{Mark, Shared};
use super::{DRAIN_SHARE, LOOK, ROOM, Running, now, spawn};
use crate::config::Start;
use crate::record::{Body, Origin, Record};
use crate::run::App;
use crate::state::{Opened, Place, Places, Stream};
use checkpoint::{Checkpoint, Entry};
use tail::{Step, Tail};

/// How often new files are looked for.
const DISCOVER_EVERY: Duration = Duration::from_secs(1);
/// How often positions are written.
const SAVE_EVERY: Duration = Duration::from_millis(250);
/// A file that lost its name is read on until nothing came for this long.
const GONE_AFTER: Duration = Duration::from_secs(10);
/// Not followed when a directory or glob finds them: their bytes are no lines.
const PACKED: [&str; 5] = ["gz", "zst", "bz2", "xz", "zip"];

/// Starts the source for a path, directory or glob.
///
/// # Errors
/// The glob is malformed, STATE_DIR cannot be used, no thread can be started.
pub fn start(app: &App, pattern: &str) -> anyhow::Result<Running> {
    let finder = Finder::new(pattern)?;
    let mut checkpoint = Checkpoint::open(app.settings.state_dir.as_deref(), pattern)?;
    let name = format!("file:{pattern}");
    if checkpoint.is_none() {
        tracing::info!("STATE_DIR is not set: {name} is read from FILE_START again at the next start");
    }
    let positions = Shared::default();
    let stream = Stream::input(&name);
    let opened = open_stream(app, &stream, &positions).map_err(anyhow::Error::msg)?;
    if let Some(checkpoint) = &mut checkpoint {
        checkpoint.settle(opened.restored)?;
    }
    let mut assembly = Assembly::new(&app.settings, app.intake.clone(), positions.clone());
    if app.keeper.learns() {
        let stream = stream.clone();
        assembly = assembly.with_cuts(move |key: &Arc<str>| (stream.clone(), Arc::clone(key)));
    }
    let follower = Follower {
        assembly,
        stream,
        restored: opened.places,
        ahead: HashMap::new(),
        app: app.clone(),
        name: name.clone(),
        finder,
        checkpoint,
        positions,
        tails: Vec::new(),
        refused: HashSet::new(),
        first_look: true,
        caught_up: false,
        saved_at: Instant::now(),
    };
    app.health.not_ready(&name, "not yet opened");
    spawn(name, move || follower.run())
}

/// Restores what was learnt of the input, and tells where its files stand in that.
fn open_stream(app: &App, stream: &Stream, positions: &Shared<Arc<str>>) -> Result<Opened, String> {
    if app.keeper.keeps(stream) {
        positions.hold();
    }
    let positions = positions.clone();
    let on_durable = Arc::new(move |member: &str, end| {
        let key: Arc<str> = member.into();
        if let Some(generation) = positions.generation(&key) {
            positions.durable(&key, generation, end);
        }
    });
    app.keeper.caught_up(stream, false);
    app.keeper.open(stream, 0, on_durable, &|_| Ok(()), &|| app.stop.is_cancelled())
}

/// Finds the files of a pattern.
struct Finder {
    glob: String,
    literal: Option<PathBuf>,
}

impl Finder {
    fn new(pattern: &str) -> anyhow::Result<Self> {
        let has_wildcard = pattern.contains(['*', '?', '[']);
        let literal = (!has_wildcard || Path::new(pattern).exists()).then(|| PathBuf::from(pattern));
        if literal.is_none() {
            glob::Pattern::new(pattern)
                .map_err(|error| anyhow::anyhow!("INPUT = \"file:{pattern}\" is not a glob: {error}"))?;
        }
        Ok(Self { glob: pattern.to_owned(), literal })
    }

    /// The files there are now; `Err` says what keeps a single named file from being one of them.
    fn find(&self) -> Result<Vec<PathBuf>, String> {
        let glob = match &self.literal {
            Some(path) if !path.is_dir() => {
                return match std::fs::metadata(path) {
                    Ok(_) => Ok(vec![path.clone()]),
                    Err(error) => Err(format!("{}: {error}; waiting for it", path.display())),
                };
            }
            Some(folder) => {
                format!("{}/**/*", glob::Pattern::escape(&folder.to_string_lossy()).trim_end_matches('/'))
            }
            None => self.glob.clone(),
        };
        let options = glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
        let found = glob::glob_with(&glob, options).map_err(|error| error.to_string())?;
        let is_packed =
            |path: &Path| path.extension().is_some_and(|end| PACKED.iter().any(|one| end == *one));
        Ok(found.flatten().filter(|path| path.is_file() && !is_packed(path)).collect())
    }
}

struct Follower {
    app: App,
    name: String,
    finder: Finder,
    checkpoint: Option<Checkpoint>,
    positions: Shared<Arc<str>>,
    assembly: Assembly<Arc<str>>,
    /// What is learnt of this input.
    stream: Stream,
    /// Where its files stood in the snapshot that was restored; those that were opened are taken out.
    restored: Places,
    /// Places of opened files behind which some lines are learnt already.
    ahead: HashMap<Arc<str>, Place>,
    tails: Vec<Tail>,
    /// Paths that could not be opened and were told of.
    refused: HashSet<PathBuf>,
    first_look: bool,
    /// Whether every file was read to its end at the last look.
    caught_up: bool,
    saved_at: Instant,
}

impl Follower {
    fn run(mut self) -> Result<(), String> {
        let mut discovered_at: Option<Instant> = None;
        while !self.app.stop.is_cancelled() {
            if discovered_at.is_none_or(|at| at.elapsed() >= DISCOVER_EVERY) {
                self.discover();
                discovered_at = Some(Instant::now());
            }
            let Ok(moved) = self.round() else { break };
            self.save();
            let caught_up = !moved && !self.assembly.is_blocked() && !self.tails.is_empty();
            if caught_up != self.caught_up {
                self.caught_up = caught_up;
                self.app.keeper.caught_up(&self.stream, caught_up);
            }
            if !moved {
                let wait = self.assembly.wait(Instant::now(), self.app.settings.file.poll);
                std::thread::sleep(wait.min(LOOK.max(Duration::from_millis(1))));
            }
        }
        self.finish();
        Ok(())
    }

    /// Reads a piece of every file; `true` when there may be more at once.
    fn round(&mut self) -> Result<bool, Ended> {
        if !self.assembly.retry()? {
            return Ok(false);
        }
        let mut moved = false;
        for index in 0..self.tails.len() {
            moved |= self.read(index)?;
        }
        let (positions, assembly) = (&self.positions, &self.assembly);
        let (keeper, stream, ahead) = (&self.app.keeper, &self.stream, &mut self.ahead);
        self.tails.retain(|tail| {
            let over = tail.is_over(GONE_AFTER)
                && !assembly.holds(&tail.key())
                && positions.drain(&[tail.key()], Instant::now());
            if over {
                tracing::info!(path = %tail.path(), "a file that was rotated away is read to its end");
                positions.revoke(&tail.key());
                keeper.forget(stream, &tail.key());
                ahead.remove(&tail.key());
            }
            !over
        });
        self.assembly.tick(Instant::now());
        if self.assembly.due(Instant::now()) {
            self.assembly.hand_over()?;
        }
        Ok(moved)
    }

    fn read(&mut self, index: usize) -> Result<bool, Ended> {
        let Some(tail) = self.tails.get_mut(index) else { return Ok(false) };
        let mut lines = Vec::new();
        let step = tail.read(&mut lines);
        if let Ok(Step::Restarted) = step {
            self.positions.assign(tail.key());
            tracing::info!(path = %tail.path(), "a file was truncated; it is read from its beginning");
        }
        let (key, path, identity, service) = (tail.key(), tail.path(), tail.identity(), tail.service());
        // One piece of a file is read at one time, and only this thread assigns and revokes files.
        let (transport_time, mut read_at) = (now(), Instant::now());
        let Some(generation) = self.positions.generation(&key) else { return Ok(false) };
        let learnt_ahead = self.ahead.get(&key).cloned();
        for line in lines {
            let record = Record {
                origin: Origin::File {
                    identity: Arc::clone(&identity),
                    path: Arc::clone(&path),
                    offset: line.start,
                },
                transport_time,
                service: service.clone(),
                body: Body::Raw(line.bytes),
            };
            let mark = Mark { key: Arc::clone(&key), generation, end: line.end };
            if learnt_ahead.as_ref().is_some_and(|place| place.holds(line.start)) {
                self.assembly.pass_over(mark, read_at);
                continue;
            }
            self.assembly.push(&|| key.to_string(), line.start, mark, record, read_at);
            if self.assembly.due(read_at) {
                self.hand_over()?;
                // That may have taken a while.
                read_at = Instant::now();
            }
        }
        match step {
            Ok(step) => Ok(step != Step::AtEnd),
            Err(error) => {
                self.app.health.not_ready(&self.name, format!("{path}: {error}"));
                Ok(false)
            }
        }
    }

    /// Waits until the pipeline has room, or the process stops.
    fn hand_over(&mut self) -> Result<(), Ended> {
        self.assembly.hand_over()?;
        while self.assembly.is_blocked() && !self.app.stop.is_cancelled() {
            self.save();
            std::thread::sleep(ROOM);
            self.assembly.retry()?;
        }
        if self.assembly.is_blocked() { Err(Ended) } else { Ok(()) }
    }

    fn discover(&mut self) {
        let found = match self.finder.find() {
            Ok(found) => {
                self.app.health.ready(&self.name);
                found
            }
            Err(why) => {
                self.app.health.not_ready(&self.name, why);
                Vec::new()
            }
        };
        for tail in &mut self.tails {
            tail.look_for_name(&found);
        }
        for path in found {
            match self.open(&path) {
                Ok(()) => {
                    self.refused.remove(&path);
                }
                Err(error) => {
                    self.app.health.not_ready(&self.name, format!("{}: {error}", path.display()));
                    if self.refused.insert(path.clone()) {
                        tracing::warn!(path = %path.display(), %error, "a file cannot be read");
                    }
                }
            }
        }
        if std::mem::take(&mut self.first_look) {
            // What is not there any more will not be read again.
            for member in std::mem::take(&mut self.restored).into_keys() {
                self.app.keeper.forget(&self.stream, &member);
            }
        }
    }

    /// Where a file is read on: what was learnt of it decides, then what was delivered of it.
    fn stored(&self, identity: &str) -> Option<Entry> {
        let kept = self.checkpoint.as_ref().and_then(|checkpoint| checkpoint.find(identity)).cloned();
        let of_file =
            |(member, place): (&String, &Place)| Some((tail::epoch_of(member, identity)?, place.end));
        let learnt = self.restored.iter().filter_map(of_file).max();
        match (kept, learnt) {
            (Some(kept), Some((epoch, position))) if kept.epoch == epoch => Some(Entry { position, ..kept }),
            (kept, Some((epoch, position))) if kept.as_ref().is_none_or(|kept| kept.epoch < epoch) => {
                Some(Entry::without_head(identity, epoch, position))
            }
            (kept, _) => kept,
        }
    }

    fn open(&mut self, path: &Path) -> std::io::Result<()> {
        let identity = tail::identity_of(&std::fs::metadata(path)?);
        if self.tails.iter().any(|tail| tail.is(&identity)) {
            return Ok(());
        }
        let stored = self.stored(&identity);
        let from_end = self.first_look && self.app.settings.file.start == Start::End;
        let limit = self.app.settings.decode.limits.max_line_bytes;
        let service = self.service_of(path);
        let tail = Tail::open(path, stored.as_ref(), from_end, limit, service)?;
        tracing::info!(path = %path.display(), position = tail.position(), "following a file");
        self.positions.assign(tail.key());
        if let Some(place) = self.restored.remove(&*tail.key()).filter(|place| !place.ahead.is_empty()) {
            self.ahead.insert(tail.key(), place);
        }
        self.tails.push(tail);
        Ok(())
    }

    fn service_of(&self, path: &Path) -> Option<Arc<str>> {
        self.app.settings.file.services.of(&path.to_string_lossy()).map(Arc::from)
    }

    /// Writes the positions that moved.
    fn save(&mut self) {
        if self.saved_at.elapsed() < SAVE_EVERY {
            return;
        }
        self.saved_at = Instant::now();
        let Some(checkpoint) = &mut self.checkpoint else { return };
        let moved = self.positions.take_moved();
        if moved.is_empty() {
            return;
        }
        for (key, position) in &moved {
            if let Some(tail) = self.tails.iter_mut().find(|tail| tail.key() == *key) {
                checkpoint.put(tail.entry(*position));
            }
        }
        let followed: Vec<&str> = self.tails.iter().map(Tail::file_id).collect();
        if let Err(error) = checkpoint.save(&followed) {
            self.app.health.not_ready(&self.name, format!("positions cannot be kept: {error}"));
            tracing::error!(%error, "positions of followed files cannot be kept; tried again");
            self.positions.untake(moved.iter().map(|(key, _)| key));
        }
    }

    /// After the stop: waits for what is in flight and keeps its positions.
    fn finish(&mut self) {
        self.assembly.discard();
        let deadline = Instant::now() + self.app.settings.shutdown_timeout.mul_f64(DRAIN_SHARE);
        loop {
            let handed_over = matches!(self.assembly.retry(), Ok(true) | Err(Ended));
            if (handed_over && self.positions.idle(LOOK)) || Instant::now() >= deadline {
                break;
            }
        }
        if !self.app.keeper.flush(std::slice::from_ref(&self.stream), deadline) {
            tracing::warn!("{}: what was learnt last could not be kept; its lines are read again", self.name);
        }
        self.saved_at = Instant::now() - SAVE_EVERY;
        self.save();
    }
}
