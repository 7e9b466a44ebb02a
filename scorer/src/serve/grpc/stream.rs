//! `ScoreStream` without a message built for each line: a request is scored from its bytes as they lie, and the answer
//! is written as bytes. What is out of the ordinary, and every anomaly that is to be explained, goes the way of the
//! other methods; the answers are the same.

mod wire;

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Buf as _;
use engine::event::{EventTime, LogLine};
use futures_util::Stream;
use prost::Message as _;
use proto::v1;
use proto::v1::scoring_service_server::ScoringServiceServer;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tonic::codec::{
    BufferSettings, Codec, CompressionEncoding, DecodeBuf, Decoder, EnabledCompressionEncodings, EncodeBuf,
    Encoder, Streaming,
};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status};
use tower::Service;

use super::convert;
use super::scoring::Scoring;
use crate::live::Loaded;
use wire::Asked;

/// The method's path.
const PATH: &str = "/isolog.v1.ScoringService/ScoreStream";
/// Bytes of answers that are sent together.
const SEND_BYTES: usize = 32 << 10;
/// Answers whose buffers a thread keeps, and the longest that is kept.
const SPARE: usize = 64;
const SPARE_BYTES: usize = 16 << 10;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An encoded `ScoreStreamResponse`.
pub struct Answer(Vec<u8>);

impl Answer {
    fn empty() -> Self {
        Self(BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        if buffer.capacity() <= SPARE_BYTES {
            buffer.clear();
            BUFFERS.with_borrow_mut(|spare| {
                if spare.len() < SPARE {
                    spare.push(buffer);
                }
            });
        }
    }
}

/// Reads requests and answers them at once.
struct StreamCodec(Scoring);

impl Codec for StreamCodec {
    type Encode = Answer;
    type Decode = Answer;
    type Encoder = Writer;
    type Decoder = Answering;

    fn encoder(&mut self) -> Writer {
        Writer
    }

    fn decoder(&mut self) -> Answering {
        Answering { scoring: self.0.clone(), model: None, event: Vec::new(), scored: Vec::new() }
    }
}

struct Writer;

impl Encoder for Writer {
    type Item = Answer;
    type Error = Status;

    fn encode(&mut self, answer: Answer, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(into, &answer.0);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(SEND_BYTES, SEND_BYTES)
    }
}

/// The answers of one stream.
struct Answering {
    scoring: Scoring,
    /// The model of the last answer, and how an answer names it.
    model: Option<(Arc<Loaded>, Vec<u8>)>,
    event: Vec<u8>,
    scored: Vec<u8>,
}

impl Decoder for Answering {
    type Item = Answer;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Answer>, Status> {
        // tonic hands over exactly one message, in one piece.
        let answer = self.answer(source.chunk());
        source.advance(source.remaining());
        answer.map(Some)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(SEND_BYTES, SEND_BYTES)
    }
}

impl Answering {
    fn answer(&mut self, request: &[u8]) -> Result<Answer, Status> {
        let loaded = self.scoring.model()?;
        let mut answer = Answer::empty();
        if self.quickly(request, &loaded, &mut answer.0).is_none() {
            let request = v1::ScoreStreamRequest::decode(request)
                .map_err(|error| Status::internal(format!("the message cannot be decoded: {error}")))?;
            answer.0 = self.scoring.stream_answer(request, &loaded).encode_to_vec();
        }
        Ok(answer)
    }

    /// Writes the answer to an event whose fields are known and that holds nothing out of the ordinary.
    fn quickly(&mut self, request: &[u8], loaded: &Arc<Loaded>, out: &mut Vec<u8>) -> Option<()> {
        let asked = Asked::read(request, self.scoring.limits())?;
        let is_clean = |text: &str| self.scoring.redactor().is_clean(text.as_bytes());
        let service = if asked.service.is_empty() { asked.line_service } else { asked.service };
        if asked.explain == v1::Explain::All
            || !is_clean(asked.message)
            || !is_clean(service)
            || !asked.attributes().all(|(name, value)| self.scoring.redactor().is_clean_pair(name, value))
        {
            return None;
        }
        let line = LogLine { service, level: asked.level, message: asked.message };
        let score = self.scoring.with_scratch(|scratch| loaded.model.score_line(line, scratch));
        let anomaly = score.score > loaded.threshold.score;
        if anomaly && asked.explain != v1::Explain::None {
            return None;
        }
        self.scoring.count_scored(1);
        self.event.clear();
        let time = asked.time.or(asked.received).unwrap_or_else(now);
        wire::put_time(1, convert::timestamp(time.as_micros()), &mut self.event);
        if asked.service.is_empty() && !service.is_empty() {
            wire::put_bytes(2, &[service.as_bytes()], &mut self.event);
        }
        self.scored.clear();
        wire::put_bytes(1, &[&self.event, asked.event], &mut self.scored);
        wire::put_double(2, score.score, &mut self.scored);
        wire::put_double(3, score.percentile, &mut self.scored);
        wire::put_double(4, score.forest, &mut self.scored);
        wire::put_varint(5, u64::from(anomaly), &mut self.scored);
        wire::put_optional_double(9, score.surprisal, &mut self.scored);
        wire::put_varint(1, asked.id, out);
        wire::put_nested([2, 1, 1], &self.scored, out);
        out.extend_from_slice(self.model_field(loaded));
        Some(())
    }

    /// The field that names the model.
    fn model_field(&mut self, loaded: &Arc<Loaded>) -> &[u8] {
        let cached = self.model.take().filter(|(cached, _)| Arc::ptr_eq(cached, loaded));
        let (_, field) = self.model.insert(cached.unwrap_or_else(|| {
            let mut field = Vec::new();
            wire::put_bytes(3, &[&convert::model_ref(loaded).encode_to_vec()], &mut field);
            (Arc::clone(loaded), field)
        }));
        field
    }
}

fn now() -> EventTime {
    EventTime::from_micros(jiff::Timestamp::now().as_microsecond())
}

/// The answers on their way out; they end with the requests, or when the server stops.
pub struct Answers {
    lines: Streaming<Answer>,
    stop: CancellationToken,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

impl Stream for Answers {
    type Item = Result<Answer, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if !self.stop.is_cancelled() {
            match Pin::new(&mut self.lines).poll_next(context) {
                Poll::Ready(Some(Ok(answer))) => return Poll::Ready(Some(Ok(answer))),
                Poll::Ready(last) => {
                    self.ended = true;
                    return Poll::Ready(last);
                }
                Poll::Pending => {}
            }
            if self.stopped.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        self.ended = true;
        let status = Status::unavailable("the server is stopping; send the unanswered lines again");
        Poll::Ready(Some(Err(status)))
    }
}

struct Method(CancellationToken);

impl StreamingService<Answer> for Method {
    type Response = Answer;
    type ResponseStream = Answers;
    type Future = Ready<Result<Response<Answers>, Status>>;

    fn call(&mut self, request: Request<Streaming<Answer>>) -> Self::Future {
        let stop = self.0.clone();
        let stopped = Box::pin(stop.clone().cancelled_owned());
        ready(Ok(Response::new(Answers { lines: request.into_inner(), stop, stopped, ended: false })))
    }
}

/// The scoring service, `ScoreStream` by its own codec.
#[derive(Clone)]
pub struct WithStream {
    scoring: Scoring,
    others: ScoringServiceServer<Scoring>,
    max_message_bytes: usize,
}

impl WithStream {
    /// Serves `scoring`; `others` does so for the other methods.
    pub fn new(scoring: Scoring, others: ScoringServiceServer<Scoring>, max_message_bytes: usize) -> Self {
        Self { scoring, others, max_message_bytes }
    }
}

impl NamedService for WithStream {
    const NAME: &'static str = ScoringServiceServer::<Scoring>::NAME;
}

impl Service<axum::http::Request<Body>> for WithStream {
    type Response = axum::http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: axum::http::Request<Body>) -> Self::Future {
        if request.uri().path() != PATH {
            return Box::pin(self.others.call(request));
        }
        let scoring = self.scoring.clone();
        let mut accepted = EnabledCompressionEncodings::default();
        accepted.enable(CompressionEncoding::Gzip);
        accepted.enable(CompressionEncoding::Zstd);
        let mut sent = EnabledCompressionEncodings::default();
        sent.enable(CompressionEncoding::Gzip);
        let limit = self.max_message_bytes;
        Box::pin(async move {
            let method = Method(scoring.stop().clone());
            let mut grpc = Grpc::new(StreamCodec(scoring))
                .apply_compression_config(accepted, sent)
                .apply_max_message_size_config(Some(limit), None);
            Ok(grpc.streaming(method, request).await)
        })
    }
}

#[cfg(test)]
mod tests;
