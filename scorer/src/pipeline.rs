//! The whole flow on one page: batches are read on one thread (`crate::ahead`), detectors and alerts look at their lines
//! on the next, what follows from them is delivered on a third, and only then are they acknowledged. Reads from no
//! source and knows no sink by name.
//!
//! ```text
//! Intake ─Batch─▶ read ─Piece─▶ score ─Work─▶ deliver ─▶ every sink
//!    ▲                                           │
//!    └─────────────────── Ack ◀──────────────────┘   after every sink said that it is durable
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use engine::alert::News;
use engine::decode::{RejectReason, Rejected};
use engine::detect::{self, Seen, Tick};
use engine::event::{EventTime, LogEvent};
use engine::id::FindingId;
use engine::model::{Explanation, Judged, Score, Scratch};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::ahead::{Begun, Next, Row, Supply, Turns};
use crate::anomaly::{self, AnomalyFeed, AnomalyRecord, ODD_LINE};
use crate::board::{Board, Tally};
use crate::config::Settings;
use crate::kept::Kept;
use crate::live::{LiveModel, Loaded};
use crate::metrics::{DetectorLabel, Health, Metrics, ReasonLabel};
use crate::news::{self, AlertFeed, Teller};
use crate::record::{Ack, Borrowed, Intake, Outcome, Record};
use crate::relay::Relayed;
use crate::remember::{self, Told};
use crate::scan;
use crate::sink::{self, DeadLetter, Delivery, Outgoing, Sampler};
use crate::state::{self, Keeper, Learned, Learning};
use crate::summary::Summary;

/// Batches that wait to be scored; with `BATCH_BYTES` it bounds the memory of a flood.
const INTAKE_BATCHES: usize = 4;
/// Scored batches that wait to be delivered.
const DELIVERY_BATCHES: usize = 8;
/// Batches whose findings are delivered together: one sync of a disk for all of them.
const DELIVER_TOGETHER: usize = 8;

/// A pipeline that runs.
#[derive(Debug)]
pub struct Pipeline {
    closing: CancellationToken,
    give_up: CancellationToken,
    /// `None` once the end was told.
    ended: Option<oneshot::Receiver<()>>,
}

/// What the pipeline needs of the rooms around it.
#[derive(Clone, Debug)]
pub struct Parts {
    /// All settings.
    pub settings: Arc<Settings>,
    /// The model in use.
    pub model: LiveModel,
    /// Counters.
    pub metrics: Metrics,
    /// Readiness.
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
}

impl Parts {
    /// Whether a record is a line that was scored elsewhere, on its way to the detectors.
    pub fn is_relayed(&self, record: &Borrowed<'_>) -> bool {
        let topic = self.settings.kafka.detect_topic.as_deref();
        topic.is_some() && record.partition().map(|(topic, _)| topic) == topic
    }
}

/// Starts the pipeline's threads.
///
/// # Errors
/// A sink cannot be made, a thread cannot be started.
pub fn start(parts: &Parts, runtime: Handle) -> anyhow::Result<(Intake, Pipeline)> {
    let (intake, batches) = mpsc::channel(INTAKE_BATCHES);
    let (scored, to_deliver) = sync_channel(DELIVERY_BATCHES);
    let (done, ended) = oneshot::channel();
    let closing = CancellationToken::new();
    let give_up = CancellationToken::new();
    let around = sink::Around { settings: &parts.settings, metrics: &parts.metrics, health: &parts.health };
    let sinks = sink::all(&around)?;
    let delivery = Delivery::new(sinks, parts.health.clone(), parts.metrics.clone());
    let turns = Turns::new(parts, batches, closing.clone(), give_up.clone());
    let supply = Supply::start(turns, runtime)?;
    let scoring = Scoring::new(parts);
    let done_work = Done::new(parts);
    let to = Way { scored, done: done_work.clone() };
    std::thread::Builder::new().name("score".to_owned()).spawn(move || scoring.run(supply, &to))?;
    let stop = give_up.clone();
    std::thread::Builder::new().name("deliver".to_owned()).spawn(move || {
        deliver(&to_deliver, delivery, &done_work, &stop);
        // An error means that nobody waits any more.
        let _ = done.send(());
    })?;
    Ok((intake, Pipeline { closing, give_up, ended: Some(ended) }))
}

impl Pipeline {
    /// Takes no new batch, finishes those it has, and returns when their findings are delivered.
    pub async fn close(&mut self) {
        self.closing.cancel();
        self.ended().await;
    }

    /// Waits until the threads are gone: after [`Pipeline::close`], or because one of them failed.
    pub async fn ended(&mut self) {
        if let Some(ended) = &mut self.ended {
            // An error means that the thread is gone, and so is the work.
            let _ = ended.await;
            self.ended = None;
        }
    }

    /// Stops trying to deliver; what is not delivered is not acknowledged.
    pub fn give_up(&self) {
        self.give_up.cancel();
    }
}

/// What follows from a batch or a tick, on its way to the sinks.
struct Work {
    outgoing: Vec<Outgoing>,
    outcome: Outcome,
    ack: Ack,
    /// When the batch came; `None` for a tick.
    arrived: Option<Instant>,
}

/// What becomes of work that is delivered.
#[derive(Clone)]
struct Done {
    metrics: Metrics,
    board: Board,
    /// Work that was sent to be delivered and is not acknowledged yet.
    on_its_way: Arc<AtomicUsize>,
}

impl Done {
    fn new(parts: &Parts) -> Self {
        Self { metrics: parts.metrics.clone(), board: parts.board.clone(), on_its_way: Arc::default() }
    }

    fn acknowledge(&self, Work { outcome, ack, arrived, .. }: Work) {
        if let Some(arrived) = arrived {
            let took = arrived.elapsed();
            self.metrics.batches_in_flight.dec();
            self.metrics.batch_duration_seconds.observe(took.as_secs_f64());
            self.board.batch_took(took);
        }
        ack(outcome);
    }
}

/// From scoring to delivery.
struct Way {
    scored: SyncSender<Work>,
    done: Done,
}

impl Way {
    /// Most work has nothing to be delivered: where all before it is acknowledged, so is it, without waking anybody.
    /// `None` where nobody delivers any more.
    fn send(&self, work: Work) -> Option<()> {
        let on_its_way = &self.done.on_its_way;
        if work.outgoing.is_empty() && on_its_way.load(Ordering::Acquire) == 0 {
            fault::here("before delivery");
            fault::here("delivered");
            self.done.acknowledge(work);
            return Some(());
        }
        on_its_way.fetch_add(1, Ordering::Relaxed);
        self.scored.send(work).ok()
    }
}

fn deliver(work: &Receiver<Work>, mut delivery: Delivery, done: &Done, give_up: &CancellationToken) {
    while let Ok(first) = work.recv() {
        let mut together = vec![first];
        together.extend(work.try_iter().take(DELIVER_TOGETHER - 1));
        let outgoing: Vec<Outgoing> =
            together.iter_mut().flat_map(|work| std::mem::take(&mut work.outgoing)).collect();
        fault::here("before delivery");
        let delivered = delivery.deliver(&outgoing, &|| give_up.is_cancelled());
        fault::here("delivered");
        if !delivered {
            done.metrics
                .batches_in_flight
                .dec_by(together.iter().filter(|work| work.arrived.is_some()).count() as i64);
            return;
        }
        for work in together {
            done.acknowledge(work);
            done.on_its_way.fetch_sub(1, Ordering::Release);
        }
    }
}

/// Where an event came from: its record, and its number among the record's events.
struct Place<'b> {
    record: Borrowed<'b>,
    index: u32,
}

impl detect::Origin for Place<'_> {
    fn finding_id(&self, detector: &str) -> FindingId {
        self.record.to_record().finding_id(detector, self.index)
    }

    fn source(&self) -> detect::Source {
        self.record.origin().into()
    }
}

/// Scores batches, and has the detectors look at them.
struct Scoring {
    parts: Parts,
    scratch: Scratch,
    told: Told,
    sampler: Sampler,
    kept: Option<Kept>,
    news: News,
    teller: Teller,
    tally: Tally,
    /// Lines of Kafka go to the detectors by way of a topic.
    relays: bool,
}

impl Scoring {
    fn new(parts: &Parts) -> Self {
        let learn = &parts.settings.learn;
        // Where what was learnt has no part in scores, lines come with theirs.
        let table_lines = if learn.online.is_some() { parts.settings.model.table_lines } else { 0 };
        Self {
            parts: parts.clone(),
            scratch: remember::explaining(remember::scratch(table_lines), parts.settings.model.table_lines),
            told: Told::default(),
            sampler: Sampler::default(),
            kept: Kept::new(&parts.settings, &parts.metrics),
            news: News::default(),
            teller: Teller::new(
                parts.metrics.clone(),
                parts.alerts.clone(),
                parts.board.clone(),
                parts.settings.sinks.public_url.clone(),
            ),
            tally: Tally::new(parts.board.clone()),
            relays: learn.watch.is_some() && parts.settings.kafka.detect_topic.is_some(),
        }
    }

    fn run(mut self, mut supply: Supply, to: &Way) {
        while let Some(next) = supply.next() {
            let work = match next {
                Next::Batch(begun) => {
                    let Some(work) = self.batch(begun, &mut supply) else { return };
                    Some(work)
                }
                Next::Tick(loaded) => self.tick(&loaded),
            };
            if let Some(work) = work
                && to.send(work).is_none()
            {
                return;
            }
        }
    }

    /// `None` where nobody reads its records any more; then it is not scored to its end, nor acknowledged.
    fn batch(&mut self, begun: Begun, supply: &mut Supply) -> Option<Work> {
        let keeper = self.parts.keeper.clone();
        let mut learning = keeper.begin(&begun.cuts, begun.loaded.in_use());
        let (outgoing, outcome) = self.score(&begun, supply, &mut learning)?;
        let ack = learning.finish(begun.ack);
        Some(Work { outgoing, outcome, ack, arrived: Some(begun.arrived) })
    }

    /// The clock moves on for all detectors; nothing, where nothing follows from that.
    fn tick(&mut self, loaded: &Loaded) -> Option<Work> {
        let now = EventTime::from_micros(jiff::Timestamp::now().as_microsecond());
        let keeper = self.parts.keeper.clone();
        let (mut outgoing, mut seen) = (Vec::new(), news::Seen::default());
        let ack = keeper.tick(loaded.in_use(), &mut |learned, caught_up| {
            let Some(watch) = learned.watch() else { return false };
            watch.tick(Tick { now, caught_up }, &mut self.news);
            seen.add(watch);
            self.tally.watched(watch);
            self.tally.found_all(&self.news);
            let followed = !self.news.is_empty();
            self.kept.iter_mut().for_each(|kept| kept.found_all(&self.news));
            self.teller.tell(&mut self.news, loaded.model.digest(), &mut outgoing);
            followed
        });
        outgoing.extend(self.kept.as_mut().and_then(Kept::take));
        self.tally.flush();
        self.teller.count(&seen);
        ack.map(|ack| Work { outgoing, outcome: Outcome::default(), ack, arrived: None })
    }

    /// Everything that follows from a batch, in the order of its records.
    fn score(
        &mut self,
        begun: &Begun,
        supply: &mut Supply,
        learning: &mut Learning<'_>,
    ) -> Option<(Vec<Outgoing>, Outcome)> {
        let loaded = &*begun.loaded;
        let mut outgoing = Vec::new();
        let mut outcome = Outcome::default();
        self.tally.begin(loaded.model.digest());
        let (mut records, mut unread) = (begun.records.iter(), begun.records.iter());
        let mut left = begun.records.len();
        while left > 0 {
            let piece = supply.piece(&mut unread, loaded)?;
            for (row, record) in piece.rows().iter().zip(records.by_ref()) {
                left -= 1;
                self.row(row, record, loaded, learning, (&mut outgoing, &mut outcome));
            }
            supply.used_up(piece);
        }
        outgoing.extend(self.kept.as_mut().and_then(Kept::take));
        self.tally.flush();
        self.parts.metrics.lines_scored.inc_by(outcome.scored);
        self.told.tell(&self.scratch, &self.parts.metrics);
        Some((outgoing, outcome))
    }

    /// Everything that follows from a record.
    fn row(
        &mut self,
        row: &Row,
        record: Borrowed<'_>,
        loaded: &Loaded,
        learning: &mut Learning<'_>,
        (outgoing, outcome): (&mut Vec<Outgoing>, &mut Outcome),
    ) {
        let mut learned = match learning.of(record.partition()) {
            state::Scoring::Plain => None,
            state::Scoring::Learned(learned) => Some(learned),
            state::Scoring::Skip => return,
        };
        if self.parts.is_relayed(&record) {
            if let Err(rejected) = self.watch_relayed(&record, loaded, learned, outgoing) {
                outcome.rejected += 1;
                outgoing.extend(self.reject(&record.to_record(), &rejected));
            }
            return;
        }
        match row.events() {
            Ok(events) => {
                for (index, (event, judged)) in (0_u32..).zip(events) {
                    outcome.scored += 1;
                    let at = Place { record, index };
                    self.judge(&at, (event, judged), loaded, learned.as_deref_mut(), outgoing);
                    if let Some(learned) = &mut learned {
                        learned.learn(&loaded.model, event, &mut self.scratch);
                    }
                }
            }
            Err(rejected) => {
                outcome.rejected += 1;
                outcome.first_rejection.get_or_insert_with(|| rejected.to_string());
                outgoing.extend(self.reject(&record.to_record(), rejected));
            }
        }
    }

    /// Scores an event, where that was not done, and has the detectors look at it; what follows is appended to `out`.
    fn judge(
        &mut self,
        at: &Place<'_>,
        (event, judged): (&LogEvent, Option<&Judged>),
        loaded: &Loaded,
        mut learned: Option<&mut Learned>,
        out: &mut Vec<Outgoing>,
    ) {
        let judged = match (judged, &learned) {
            (Some(judged), _) => *judged,
            (None, Some(learned)) => learned.judge(&loaded.model, event, &mut self.scratch),
            (None, None) => loaded.model.judge(event, &mut self.scratch),
        };
        let Judged { score, pattern, known_pattern } = judged;
        let is_odd = score.score > loaded.threshold.score;
        let wanted = self.tally.line(event, &judged, is_odd);
        if wanted.is_any() {
            self.tally.look(wanted, event, &judged, &loaded.model, &mut self.scratch);
        }
        self.parts.summary.add(event);
        if let Some(kept) = &mut self.kept {
            kept.line(at.record, at.index, event, score.score);
            if is_odd {
                kept.found(&event.service, anomaly::severity(score, loaded));
            }
        }
        let mut explanation = is_odd.then(|| match &learned {
            Some(learned) => learned.explain(&loaded.model, event, &mut self.scratch),
            None => loaded.model.explain(event, &mut self.scratch),
        });
        let Some(watch) = learned.as_mut().and_then(|learned| learned.watch()) else {
            let rows = loaded.model.provenance().rows;
            let relays = self.relays && at.record.partition().is_some();
            let why = explanation.as_ref().filter(|_| relays);
            let why = why.map(|why| scan::reasons_in_words(&event.message, why, rows, false));
            if let Some(explanation) = explanation {
                self.tally.odd(&event.service, score, loaded);
                self.odd_line(at, event, score, explanation, loaded, out);
            }
            if relays {
                self.relay(at, event, &judged, why, out);
            }
            return;
        };
        fault::here("scored");
        let Score { score: value, percentile, .. } = score;
        let seen = Seen { event, score: value, percentile, pattern, known_pattern, origin: at };
        let mut news = std::mem::take(&mut self.news);
        let mut explain = |anomaly: &mut detect::Anomaly| {
            if anomaly.detector == ODD_LINE
                && let Some(explanation) = explanation.take()
            {
                let rows = loaded.model.provenance().rows;
                let why = scan::reasons_in_words(&event.message, &explanation, rows, false);
                anomaly.reasons.extend((!why.is_empty()).then_some(why));
                self.odd_line(at, event, score, explanation, loaded, out);
            }
        };
        watch.line(&seen, &mut explain, &mut news);
        if !news.is_empty() {
            self.tally.found_all(&news);
            self.kept.iter_mut().for_each(|kept| kept.found_all(&news));
            self.teller.tell(&mut news, loaded.model.digest(), out);
        }
        fault::here("detected");
        self.news = news;
    }

    /// Gives a scored line to the detectors by way of DETECT_TOPIC.
    fn relay(
        &self,
        at: &Place<'_>,
        event: &LogEvent,
        judged: &Judged,
        why: Option<String>,
        out: &mut Vec<Outgoing>,
    ) {
        let (source, id) = (detect::Origin::source(at), detect::Origin::finding_id(at, ODD_LINE));
        match Relayed::new(event, judged, source, id, why).outgoing() {
            Ok(outgoing) => out.push(outgoing),
            Err(error) => tracing::error!(%error, %id, "a scored line could not be written as JSON"),
        }
    }

    /// Has the detectors look at a line that was scored elsewhere.
    fn watch_relayed(
        &mut self,
        record: &Borrowed<'_>,
        loaded: &Loaded,
        learned: Option<&mut Learned>,
        out: &mut Vec<Outgoing>,
    ) -> Result<(), Rejected> {
        let relayed = Relayed::read(record.bytes()).map_err(|why| {
            let why = format!("is no scored line (DETECT_TOPIC must hold nothing else): {why}");
            Rejected::new(RejectReason::Malformed, why)
        })?;
        let event = relayed.event();
        if let Some(watch) = learned.and_then(|learned| learned.watch()) {
            let mut explain = |anomaly: &mut detect::Anomaly| {
                if anomaly.detector == ODD_LINE {
                    anomaly.reasons.extend(relayed.why().map(str::to_owned));
                }
            };
            watch.line(&relayed.seen(&event), &mut explain, &mut self.news);
            self.tally.found_all(&self.news);
            self.teller.tell(&mut self.news, loaded.model.digest(), out);
        }
        Ok(())
    }

    /// The record of an odd line.
    fn odd_line(
        &self,
        at: &Place<'_>,
        event: &LogEvent,
        score: Score,
        explanation: Explanation,
        loaded: &Loaded,
        out: &mut Vec<Outgoing>,
    ) {
        let record = &*at.record.to_record();
        let limit = self.parts.settings.output.message_bytes;
        let id = record.finding_id(ODD_LINE, at.index);
        let anomaly = AnomalyRecord::odd_line(id, record, event, score, explanation, loaded, limit);
        self.parts.metrics.anomalies.get_or_create(&DetectorLabel::of(ODD_LINE)).inc();
        anomaly.log();
        let outgoing = anomaly.outgoing();
        self.parts.feed.publish(Arc::new(anomaly));
        match outgoing {
            Ok(outgoing) => out.push(outgoing),
            Err(error) => tracing::error!(%error, %id, "an anomaly could not be written as JSON"),
        }
    }

    /// The dead letter of a record that could not be read.
    fn reject(&mut self, record: &Record, rejected: &Rejected) -> Option<Outgoing> {
        let reason = rejected.reason.as_str();
        let label = ReasonLabel { reason: reason.to_owned() };
        self.parts.metrics.lines_rejected.get_or_create(&label).inc();
        let redactor = &self.parts.settings.redactor;
        let letter = DeadLetter::new(record, rejected, |text| redactor.redact_text(text).into_owned());
        if let Some(left_out) = self.sampler.tell(reason, Instant::now()) {
            let source = serde_json::to_string(&letter.source).unwrap_or_default();
            tracing::warn!(
                reason,
                source,
                left_out,
                payload = sink::cut(&letter.payload, 200),
                "a record could not be read: {}",
                letter.detail
            );
        }
        match letter.outgoing() {
            Ok(outgoing) => Some(outgoing),
            Err(error) => {
                tracing::error!(%error, reason, "a dead letter could not be written as JSON");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn work_without_records_is_acknowledged_at_once_but_never_before_what_is_on_its_way() {
        let done = Done { metrics: Metrics::default(), board: Board::default(), on_its_way: Arc::default() };
        let (scored, to_deliver) = sync_channel(DELIVERY_BATCHES);
        let way = Way { scored, done: done.clone() };
        let acknowledged: Arc<Mutex<Vec<u32>>> = Arc::default();
        let work = |number: u32, outgoing: Vec<Outgoing>| {
            let acknowledged = Arc::clone(&acknowledged);
            let ack: Ack = Box::new(move |_| acknowledged.lock().unwrap().push(number));
            Work { outgoing, outcome: Outcome::default(), ack, arrived: None }
        };
        let record = Outgoing::json(sink::Kind::Anomaly, String::new(), b"{}".to_vec());
        way.send(work(1, Vec::new())).unwrap();
        assert_eq!(*acknowledged.lock().unwrap(), [1]);
        way.send(work(2, vec![record])).unwrap();
        way.send(work(3, Vec::new())).unwrap();
        assert_eq!(*acknowledged.lock().unwrap(), [1]);
        let health = Health::default();
        let delivery = Delivery::new(Vec::new(), health, done.metrics.clone());
        drop(way);
        deliver(&to_deliver, delivery, &done, &CancellationToken::new());
        assert_eq!(*acknowledged.lock().unwrap(), [1, 2, 3]);
        assert_eq!(done.on_its_way.load(Ordering::Acquire), 0);
    }
}
