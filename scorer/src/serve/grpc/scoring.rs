//! The service `isolog.v1.ScoringService`. Reads the model in use; learns, stores and alerts nothing.

use std::cell::RefCell;
use std::sync::Arc;

use engine::decode::{Decoder, RecordContext, RejectReason, Rejected};
use engine::event::{EventTime, Limits, LogEvent};
use engine::model::Scratch;
use engine::redact::Redactor;
use futures_util::stream;
use proto::v1;
use proto::v1::line::Content;
use proto::v1::line_result::Outcome;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::convert;
use crate::config::Settings;
use crate::live::{LiveModel, Loaded, ModelFile};
use crate::metrics::Metrics;
use crate::remember::{self, Told};

/// Most lines of one batch: a message of the largest size could otherwise hold millions of empty ones.
pub const MAX_BATCH_LINES: usize = 10_000;

thread_local! {
    static SCRATCH: RefCell<Option<(Scratch, Told)>> = const { RefCell::new(None) };
}

/// Scores for peers. Every call has a clone.
#[derive(Clone)]
pub struct Scoring(Arc<Parts>);

struct Parts {
    live: LiveModel,
    file: Option<Arc<ModelFile>>,
    decoder: Decoder,
    limits: Limits,
    redactor: Redactor,
    table_lines: usize,
    stop: CancellationToken,
    batches: Semaphore,
    metrics: Metrics,
}

impl Scoring {
    /// Scores with the model in `live`; `file` is read again on `ReloadModel`, open streams end at `stop`.
    pub fn new(
        live: LiveModel,
        file: Option<Arc<ModelFile>>,
        settings: &Settings,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Parts {
            live,
            file,
            decoder: Decoder::new(settings.decode.clone()),
            limits: settings.decode.limits,
            redactor: settings.redactor.clone(),
            table_lines: settings.model.table_lines,
            stop,
            batches: Semaphore::new(cores),
            metrics,
        }))
    }

    pub(super) fn model(&self) -> Result<Arc<Loaded>, Status> {
        self.0.live.get().ok_or_else(|| {
            Status::unavailable("no model is loaded yet; train one with `trainer`, it is taken up by itself")
        })
    }

    fn events(&self, line: Option<v1::Line>) -> Result<Vec<LogEvent>, Rejected> {
        let no_line = || Rejected {
            reason: RejectReason::Empty,
            detail: "the request holds no line; set one of line.text, line.raw and line.event".to_owned(),
        };
        let line = line.ok_or_else(no_line)?;
        let received = match line.received_at {
            Some(time) => convert::time_of(time, "line.received_at")?,
            None => EventTime::from_micros(jiff::Timestamp::now().as_microsecond()),
        };
        let service = Some(line.service).filter(|service| !service.is_empty());
        let context = RecordContext { transport_time: received, service: service.as_deref() };
        let mut events = Vec::new();
        match line.content.ok_or_else(no_line)? {
            Content::Text(text) => self.0.decoder.decode(text.as_bytes(), context, &mut events)?,
            Content::Raw(bytes) => self.0.decoder.decode(&bytes, context, &mut events)?,
            Content::Event(event) => {
                let mut event = convert::event_of(event, received, self.0.limits)?;
                if event.service.is_empty() {
                    event.service = service.unwrap_or_default();
                }
                events.push(event);
            }
        }
        for event in &mut events {
            self.0.redactor.redact(event);
        }
        Ok(events)
    }

    /// The scores of a line's events. All but the first of them use up `room`, which is what the call may still
    /// hold; a line that does not fit is rejected and uses up nothing.
    fn score_line(
        &self,
        loaded: &Loaded,
        line: Option<v1::Line>,
        explain: v1::Explain,
        room: &mut usize,
    ) -> Result<Vec<v1::ScoredEvent>, Rejected> {
        let scored = self.try_score_line(loaded, line, explain, room);
        match &scored {
            Ok(events) => self.count_scored(events.len() as u64),
            Err(_) => {
                self.0.metrics.grpc_lines_rejected.inc();
            }
        }
        scored
    }

    /// Counts lines that were answered.
    pub(super) fn count_scored(&self, lines: u64) {
        self.0.metrics.grpc_lines_scored.inc_by(lines);
    }

    fn try_score_line(
        &self,
        loaded: &Loaded,
        line: Option<v1::Line>,
        explain: v1::Explain,
        room: &mut usize,
    ) -> Result<Vec<v1::ScoredEvent>, Rejected> {
        let events = self.events(line)?;
        let more = events.len().saturating_sub(1);
        *room = room.checked_sub(more).ok_or_else(|| {
            let (found, allowed) = (events.len(), self.0.limits.max_events);
            let detail = format!(
                "the line holds {found} events, and all lines of a call together may hold MAX_EVENTS = {allowed} \
                 beyond one each; send it in a call of its own"
            );
            Rejected::new(RejectReason::TooManyAttributes, detail)
        })?;
        Ok(self.with_scratch(|scratch| {
            events.into_iter().map(|event| score_event(loaded, event, explain, scratch)).collect()
        }))
    }

    fn line_result(
        &self,
        loaded: &Loaded,
        line: Option<v1::Line>,
        explain: v1::Explain,
        room: &mut usize,
    ) -> v1::LineResult {
        let outcome = match self.score_line(loaded, line, explain, room) {
            Ok(events) => Outcome::Scored(v1::ScoredLine { events }),
            Err(rejected) => Outcome::Rejection(convert::rejection(rejected)),
        };
        v1::LineResult { outcome: Some(outcome) }
    }

    /// Events that one call may hold at once, beyond one for each line.
    fn room(&self) -> usize {
        self.0.limits.max_events
    }

    /// The answer to one line of a stream.
    pub(super) fn stream_answer(
        &self,
        request: v1::ScoreStreamRequest,
        loaded: &Loaded,
    ) -> v1::ScoreStreamResponse {
        let result = Some(match convert::explain_of(request.explain) {
            Ok(explain) => self.line_result(loaded, request.line, explain, &mut self.room()),
            Err(rejected) => {
                self.0.metrics.grpc_lines_rejected.inc();
                v1::LineResult { outcome: Some(Outcome::Rejection(convert::rejection(rejected))) }
            }
        });
        v1::ScoreStreamResponse { id: request.id, result, model: Some(convert::model_ref(loaded)) }
    }

    /// Lends the thread's buffers.
    pub(super) fn with_scratch<R>(&self, work: impl FnOnce(&mut Scratch) -> R) -> R {
        SCRATCH.with_borrow_mut(|own| {
            let (scratch, told) =
                own.get_or_insert_with(|| (remember::scratch(self.0.table_lines), Told::default()));
            let result = work(scratch);
            told.tell(scratch, &self.0.metrics);
            result
        })
    }

    /// Bounds on one event.
    pub(super) fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Takes out secrets.
    pub(super) fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }

    /// Cancelled when the server is to stop.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }
}

fn wish(explain: i32) -> Result<v1::Explain, Status> {
    convert::explain_of(explain).map_err(|rejected| Status::invalid_argument(rejected.to_string()))
}

fn score_event(
    loaded: &Loaded,
    event: LogEvent,
    explain: v1::Explain,
    scratch: &mut Scratch,
) -> v1::ScoredEvent {
    let score = loaded.model.score(&event, scratch);
    let anomaly = score.score > loaded.threshold.score;
    let wanted = match explain {
        v1::Explain::All => true,
        v1::Explain::None => false,
        v1::Explain::Anomalies | v1::Explain::Unspecified => anomaly,
    };
    let explanation = wanted.then(|| loaded.model.explain(&event, scratch));
    convert::scored_event(event, score, anomaly, explanation)
}

#[tonic::async_trait]
impl v1::scoring_service_server::ScoringService for Scoring {
    async fn score(&self, request: Request<v1::ScoreRequest>) -> Result<Response<v1::ScoreResponse>, Status> {
        let request = request.into_inner();
        let loaded = self.model()?;
        let explain = wish(request.explain)?;
        let mut events = self
            .score_line(&loaded, request.line, explain, &mut self.room())
            .map_err(|rejected| Status::invalid_argument(rejected.to_string()))?;
        match (events.pop(), events.len()) {
            (Some(event), 0) => Ok(Response::new(v1::ScoreResponse {
                result: Some(event),
                model: Some(convert::model_ref(&loaded)),
            })),
            (None, _) => Err(Status::invalid_argument("the record holds no event")),
            (Some(_), others) => Err(Status::invalid_argument(format!(
                "the record holds {} events, Score answers one; use ScoreBatch, which answers each",
                others + 1
            ))),
        }
    }

    async fn score_batch(
        &self,
        request: Request<v1::ScoreBatchRequest>,
    ) -> Result<Response<v1::ScoreBatchResponse>, Status> {
        let request = request.into_inner();
        let found = request.lines.len();
        if found > MAX_BATCH_LINES {
            return Err(Status::invalid_argument(format!(
                "the batch holds {found} lines; at most {MAX_BATCH_LINES} are allowed: send several batches"
            )));
        }
        let loaded = self.model()?;
        let explain = wish(request.explain)?;
        let _turn =
            self.0.batches.acquire().await.map_err(|_| Status::unavailable("the server is stopping"))?;
        let this = self.clone();
        let scored = tokio::task::spawn_blocking(move || {
            let mut room = this.room();
            let lines = request.lines.into_iter();
            let results =
                lines.map(|line| this.line_result(&loaded, Some(line), explain, &mut room)).collect();
            v1::ScoreBatchResponse { results, model: Some(convert::model_ref(&loaded)) }
        });
        let response = scored.await.map_err(|error| Status::internal(format!("scoring failed: {error}")))?;
        Ok(Response::new(response))
    }

    type ScoreStreamStream = stream::Empty<Result<v1::ScoreStreamResponse, Status>>;

    /// Never called: [`super::stream`] answers this method before it comes here.
    async fn score_stream(
        &self,
        _request: Request<Streaming<v1::ScoreStreamRequest>>,
    ) -> Result<Response<Self::ScoreStreamStream>, Status> {
        Err(Status::internal("ScoreStream came by the wrong way"))
    }

    async fn get_model_info(
        &self,
        _request: Request<v1::GetModelInfoRequest>,
    ) -> Result<Response<v1::GetModelInfoResponse>, Status> {
        let loaded = self.model()?;
        Ok(Response::new(v1::GetModelInfoResponse { info: Some(convert::model_info(&loaded)) }))
    }

    async fn reload_model(
        &self,
        _request: Request<v1::ReloadModelRequest>,
    ) -> Result<Response<v1::ReloadModelResponse>, Status> {
        let file = self.0.file.clone().ok_or_else(|| {
            Status::failed_precondition("the model was trained in this process; there is no file to read")
        })?;
        let reloaded = tokio::task::spawn_blocking(move || file.reload())
            .await
            .map_err(|error| Status::internal(format!("reading the model failed: {error}")))?
            .map_err(|error| {
                tracing::error!("{error}");
                Status::failed_precondition(error.to_string())
            })?;
        let info = Some(convert::model_info(&reloaded.loaded));
        Ok(Response::new(v1::ReloadModelResponse { info, changed: reloaded.changed }))
    }
}
