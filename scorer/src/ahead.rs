//! Batches are read (decoded, secrets taken out, scored by the model) a piece at a time: where detectors are on, on a
//! thread of their own, so that the lines of one piece are read while those of the one before are detected in. What
//! is read depends on the record and the model alone: nothing here is learnt, found or acknowledged, and the order of
//! batches and ticks is the one that they were taken in.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use engine::decode::{Decoder, Events, KnownNames, RecordContext, Rejected};
use engine::event::LogEvent;
use engine::model::{Judged, Scratch};
use engine::redact::CleanTexts;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::live::{LiveModel, Loaded};
use crate::pipeline::Parts;
use crate::record::{Ack, Batch, Body, Borrowed, Records};
use crate::remember::{self, Told};
use crate::state::Cut;

/// Most records of a piece; what is on its way between the threads stays within their caches.
const PIECE: usize = 128;
/// A piece that holds so many bytes of records ends, so that long lines do not pile up between the threads.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces, beginnings of batches and ticks that are on their way between the threads.
const ON_THEIR_WAY: usize = 4;
/// How often the clock moves on for the detectors.
const TICK: Duration = Duration::from_secs(1);

/// What a record turned out to be.
#[derive(Debug, Default)]
pub struct Row {
    events: Events,
    /// Of each event; empty where what was learnt has a part in the score, and is not known here.
    judged: Vec<Judged>,
    rejected: Option<Rejected>,
}

impl Row {
    /// The record's events, secrets taken out, each with what the model says of it, where that is known.
    ///
    /// # Errors
    /// The record could not be read.
    pub fn events(&self) -> Result<impl Iterator<Item = (&LogEvent, Option<&Judged>)>, &Rejected> {
        match &self.rejected {
            Some(rejected) => Err(rejected),
            None => Ok(self.events.iter().enumerate().map(|(index, event)| (event, self.judged.get(index)))),
        }
    }

    fn clear(&mut self) {
        self.events.clear();
        self.judged.clear();
        self.rejected = None;
    }
}

/// What follows each other in a batch; its buffers are used again.
#[derive(Debug, Default)]
pub struct Piece {
    all: Vec<Row>,
    used: usize,
}

impl Piece {
    /// The rows, one for each record.
    pub fn rows(&self) -> &[Row] {
        &self.all[..self.used]
    }

    fn clear(&mut self) {
        self.all[..self.used].iter_mut().for_each(Row::clear);
        self.used = 0;
    }

    fn next(&mut self) -> &mut Row {
        if self.used == self.all.len() {
            self.all.push(Row::default());
        }
        self.used += 1;
        &mut self.all[self.used - 1]
    }
}

/// A batch whose pieces follow.
pub struct Begun {
    /// Its records; [`Supply::piece`] tells what they are, in their order.
    pub records: Arc<Records>,
    /// How far the streams of the records go in it.
    pub cuts: Vec<Cut>,
    /// The one arrow back.
    pub ack: Ack,
    /// The model that it is scored by.
    pub loaded: Arc<Loaded>,
    /// When it came.
    pub arrived: Instant,
}

/// What the scoring thread does next.
pub enum Next {
    /// It scores a batch.
    Batch(Begun),
    /// The clock moves on, under this model.
    Tick(Arc<Loaded>),
}

/// What goes from the reading to the scoring thread.
pub enum Step {
    Next(Next),
    Piece(Piece),
}

/// Where batches, ticks and what the records are come from.
pub enum Supply {
    /// From this thread.
    Here(Box<Turns>, Handle),
    /// From the thread that reads ahead; what was used up goes back to it.
    Ahead(Receiver<Step>, SyncSender<Piece>),
}

impl Supply {
    /// Starts the thread that reads, where detectors work beside it and there is a core for each.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(turns: Turns, runtime: Handle) -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if cores < 2 || !turns.detects {
            return Ok(Self::Here(Box::new(turns), runtime));
        }
        let (steps, follow) = sync_channel(ON_THEIR_WAY);
        let (back, used) = sync_channel(ON_THEIR_WAY + 2);
        std::thread::Builder::new().name("read".to_owned()).spawn(move || {
            // An error means that the scoring thread is gone, which told why.
            let _ = turns.run(&runtime, &steps, &used);
        })?;
        Ok(Self::Ahead(follow, back))
    }

    /// What comes next; `None` when no more will come.
    pub fn next(&mut self) -> Option<Next> {
        match self {
            Self::Here(turns, runtime) => turns.next(runtime),
            Self::Ahead(steps, _) => match steps.recv().ok()? {
                Step::Next(next) => Some(next),
                // Pieces only follow a batch, and it takes them all.
                Step::Piece(_) => None,
            },
        }
    }

    /// The next piece of a batch that has more records; `records` are those that were not in a piece yet. `None` when
    /// it will not come.
    pub fn piece<'b>(
        &mut self,
        records: &mut impl Iterator<Item = Borrowed<'b>>,
        loaded: &Loaded,
    ) -> Option<Piece> {
        match self {
            Self::Here(turns, _) => {
                let mut piece = std::mem::take(&mut turns.piece);
                turns.reader.read(records, loaded, &mut piece);
                Some(piece)
            }
            Self::Ahead(steps, _) => match steps.recv().ok()? {
                Step::Piece(piece) => Some(piece),
                Step::Next(_) => None,
            },
        }
    }

    /// A piece was used up.
    pub fn used_up(&mut self, mut piece: Piece) {
        match self {
            Self::Here(turns, _) => {
                piece.clear();
                turns.piece = piece;
            }
            // Where there is no room its buffers are made anew.
            Self::Ahead(_, back) => drop(back.try_send(piece)),
        }
    }
}

/// Reads records.
struct Reader {
    decoder: Decoder,
    known: KnownNames,
    clean: CleanTexts,
    parts: Parts,
    scratch: Scratch,
    told: Told,
    /// Whether a score is the model's alone.
    judges: bool,
}

impl Reader {
    /// The next records, as many as a piece has room for.
    fn read<'b>(
        &mut self,
        records: &mut impl Iterator<Item = Borrowed<'b>>,
        loaded: &Loaded,
        piece: &mut Piece,
    ) {
        let mut bytes = 0;
        while piece.used < PIECE && bytes < PIECE_BYTES {
            let Some(record) = records.next() else { break };
            bytes += record.bytes().len();
            let row = piece.next();
            // What was scored elsewhere is no line of a log.
            if self.parts.is_relayed(&record) {
                continue;
            }
            match self.decode(&record, &mut row.events) {
                Ok(()) if self.judges => {
                    let Row { events, judged, .. } = row;
                    judged.extend(events.iter().map(|event| loaded.model.judge(event, &mut self.scratch)));
                }
                Ok(()) => {}
                Err(rejected) => row.rejected = Some(rejected),
            }
        }
        self.told.tell(&self.scratch, &self.parts.metrics);
    }

    /// The events of a record, secrets taken out.
    fn decode(&mut self, record: &Borrowed<'_>, out: &mut Events) -> Result<(), Rejected> {
        match record.body() {
            Some(Body::Decoded { event, .. }) => out.push((**event).clone()),
            Some(Body::Rejected { rejected, .. }) => return Err(rejected.clone()),
            Some(Body::Raw(_) | Body::Joined { .. }) | None => {
                let context =
                    RecordContext { transport_time: record.transport_time(), service: record.service() };
                self.decoder.decode_knowing(record.bytes(), context, &mut self.known, out)?;
            }
        }
        for event in out.iter_mut() {
            self.parts.settings.redactor.redact_knowing(event, &mut self.clean);
        }
        Ok(())
    }
}

/// Takes batches and ticks in turn.
pub struct Turns {
    batches: mpsc::Receiver<Batch>,
    model: LiveModel,
    closing: CancellationToken,
    give_up: CancellationToken,
    learns: bool,
    detects: bool,
    ticked: Instant,
    reader: Reader,
    piece: Piece,
}

/// A batch or a tick, before the model is known.
enum Turn {
    Batch(Batch),
    Tick,
}

impl Turns {
    /// From these batches, until `closing`; without a model a batch waits until `give_up`.
    pub fn new(
        parts: &Parts,
        batches: mpsc::Receiver<Batch>,
        closing: CancellationToken,
        give_up: CancellationToken,
    ) -> Self {
        let settings = &parts.settings;
        let judges = settings.learn.online.is_none();
        let reader = Reader {
            decoder: Decoder::new(settings.decode.clone()),
            known: KnownNames::default(),
            clean: remember::clean_texts(),
            parts: parts.clone(),
            scratch: remember::scratch(if judges { settings.model.table_lines } else { 0 }),
            told: Told::default(),
            judges,
        };
        Self {
            batches,
            model: parts.model.clone(),
            closing,
            give_up,
            learns: parts.keeper.learns(),
            detects: settings.learn.watch.is_some(),
            ticked: Instant::now(),
            reader,
            piece: Piece::default(),
        }
    }

    /// Reads ahead until no more will come, or nobody wants it.
    fn run(
        mut self,
        runtime: &Handle,
        steps: &SyncSender<Step>,
        used: &Receiver<Piece>,
    ) -> Result<(), std::sync::mpsc::SendError<Step>> {
        while let Some(next) = self.next(runtime) {
            let batch = match &next {
                Next::Batch(begun) => Some((Arc::clone(&begun.records), Arc::clone(&begun.loaded))),
                Next::Tick(_) => None,
            };
            steps.send(Step::Next(next))?;
            let Some((records, loaded)) = batch else { continue };
            let (mut ahead, mut left) = (records.iter(), records.len());
            while left > 0 {
                let mut piece = used.try_recv().unwrap_or_default();
                piece.clear();
                self.reader.read(&mut ahead, &loaded, &mut piece);
                left -= piece.used;
                steps.send(Step::Piece(piece))?;
            }
        }
        Ok(())
    }

    fn next(&mut self, runtime: &Handle) -> Option<Next> {
        loop {
            match runtime.block_on(self.turn())? {
                Turn::Batch(batch) => {
                    let loaded = runtime.block_on(self.loaded())?;
                    let arrived = Instant::now();
                    self.reader.parts.metrics.batches_in_flight.inc();
                    let Batch { records, cuts, ack } = batch;
                    return Some(Next::Batch(Begun {
                        records: Arc::new(records),
                        cuts,
                        ack,
                        loaded,
                        arrived,
                    }));
                }
                Turn::Tick => {
                    self.ticked = Instant::now();
                    if let Some(loaded) = self.model.get() {
                        return Some(Next::Tick(loaded));
                    }
                }
            }
        }
    }

    /// The next batch, or the next tick when its time has come; after the closing the batches that are still there,
    /// then none.
    async fn turn(&mut self) -> Option<Turn> {
        let tick_at = self.ticked + TICK;
        let batches = &mut self.batches;
        if !self.learns {
            return tokio::select! {
                batch = batches.recv() => batch,
                () = self.closing.cancelled() => {
                    batches.close();
                    batches.recv().await
                }
            }
            .map(Turn::Batch);
        }
        if Instant::now() >= tick_at {
            return Some(Turn::Tick);
        }
        tokio::select! {
            batch = batches.recv() => batch.map(Turn::Batch),
            () = tokio::time::sleep_until(tick_at.into()) => Some(Turn::Tick),
            () = self.closing.cancelled() => {
                batches.close();
                batches.recv().await.map(Turn::Batch)
            }
        }
    }

    /// The model in use; without one the batch waits, and with it everything behind it.
    async fn loaded(&self) -> Option<Arc<Loaded>> {
        tokio::select! {
            loaded = self.model.wait() => Some(loaded),
            () = self.give_up.cancelled() => None,
        }
    }
}
