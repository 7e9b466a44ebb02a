//! OTLP's `LogsService/Export`: each log record goes into the pipeline like a record of any other source, and the
//! call is answered when what follows from it is durable. Scores nothing itself.

mod split;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use engine::decode::{DecodeSettings, Decoder, RecordContext};
use engine::event::{EventTime, LogEvent};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use prost::Message;
use tokio::sync::{Semaphore, oneshot};
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, EnabledCompressionEncodings};
use tonic::codegen::Service;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstEncoder;

use crate::record::{Batch, Body, Intake, Origin, Outcome, Record};
use crate::state::Cut;

const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// Longest wait for room in the pipeline's queue; after it the sender is asked to come again.
const QUEUE_WAIT: Duration = Duration::from_secs(5);

/// When a sender may come again.
const RETRY_AFTER_S: i64 = 1;

/// Bytes of all exports that wait for their delivery, in KiB.
const IN_FLIGHT_KIB: usize = 48 << 10;

/// Takes exports.
#[derive(Clone)]
pub struct Otlp {
    intake: Intake,
    /// Of each export; none where nothing learns.
    cuts: Vec<Cut>,
    /// Shared, as every call has a clone of the service.
    decoder: Arc<Decoder>,
    in_flight: Arc<Semaphore>,
    max_message_bytes: usize,
}

impl Otlp {
    /// Hands records to `intake`; `decode` are the settings of every source, of which the shape is not used.
    pub fn new(intake: Intake, cuts: Vec<Cut>, decode: DecodeSettings, max_message_bytes: usize) -> Self {
        let decoder = Decoder::new(DecodeSettings { format: Some("otlp_proto".to_owned()), ..decode });
        let decoder = Arc::new(decoder);
        Self { intake, cuts, decoder, in_flight: Arc::new(Semaphore::new(IN_FLIGHT_KIB)), max_message_bytes }
    }

    async fn export(&self, export: Bytes) -> Result<ExportLogsServiceResponse, Status> {
        let this = self.clone();
        let records = tokio::task::spawn_blocking(move || this.records(&export))
            .await
            .map_err(|error| Status::internal(format!("reading the export failed: {error}")))?
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        if records.is_empty() {
            return Ok(ExportLogsServiceResponse::default());
        }
        let bytes: usize = records.iter().map(|record| record.body.bytes().len()).sum();
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let _room = self
            .in_flight
            .try_acquire_many(kib)
            .map_err(|_| come_again("too many exports wait for their delivery; send this one again"))?;
        let (delivered, outcome) = oneshot::channel();
        let ack = Box::new(move |outcome: Outcome| {
            // The sender may have hung up; its records are delivered all the same.
            let _ = delivered.send(outcome);
        });
        let batch = Batch { records: records.into_iter().collect(), cuts: self.cuts.clone(), ack };
        match tokio::time::timeout(QUEUE_WAIT, self.intake.send(batch)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(come_again("the scorer is stopping; send this export again")),
            Err(_) => return Err(come_again("the scorer's queue is full; send this export again")),
        }
        match outcome.await {
            Ok(outcome) => Ok(answer(outcome)),
            Err(_) => Err(come_again("the export could not be delivered; send it again")),
        }
    }

    fn records(&self, export: &Bytes) -> Result<Vec<Record>, split::SplitError> {
        let now = EventTime::from_micros(jiff::Timestamp::now().as_microsecond());
        let mut events = Vec::new();
        let parts = split::split(export)?;
        Ok(parts.into_iter().map(|part| self.record(part, now, &mut events)).collect())
    }

    fn record(&self, bytes: Bytes, now: EventTime, events: &mut Vec<LogEvent>) -> Record {
        let context = RecordContext { transport_time: now, service: None };
        events.clear();
        let decoded = self.decoder.decode(&bytes, context, events);
        let body = match (decoded, events.pop()) {
            (Ok(()), Some(event)) => Body::Decoded { event: Box::new(event), bytes },
            (Ok(()), None) => Body::Raw(bytes),
            (Err(rejected), _) => Body::Rejected { rejected, bytes },
        };
        Record { origin: Origin::Pushed, transport_time: now, service: None, body }
    }
}

fn answer(outcome: Outcome) -> ExportLogsServiceResponse {
    let partial_success = (outcome.rejected > 0).then(|| ExportLogsPartialSuccess {
        rejected_log_records: i64::try_from(outcome.rejected).unwrap_or(i64::MAX),
        error_message: outcome.first_rejection.unwrap_or_default(),
    });
    ExportLogsServiceResponse { partial_success }
}

/// `google.rpc.Status`, in which a retryable error says when to come again.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

/// UNAVAILABLE is what OTLP senders retry; the detail tells them when.
fn come_again(message: &str) -> Status {
    let retry = RetryInfo { retry_delay: Some(prost_types::Duration { seconds: RETRY_AFTER_S, nanos: 0 }) };
    let detail = prost_types::Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: retry.encode_to_vec(),
    };
    let status =
        RpcStatus { code: Code::Unavailable.into(), message: message.to_owned(), details: vec![detail] };
    Status::with_details(Code::Unavailable, message, status.encode_to_vec().into())
}

impl NamedService for Otlp {
    const NAME: &'static str = "opentelemetry.proto.collector.logs.v1.LogsService";
}

/// Requests stay bytes: a decoded export of many tiny records would be a hundred times its size.
#[derive(Clone, Default)]
struct RawCodec;

struct RawDecoder;

impl Codec for RawCodec {
    type Encode = ExportLogsServiceResponse;
    type Decode = Bytes;
    type Encoder = ProstEncoder<ExportLogsServiceResponse>;
    type Decoder = RawDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        RawDecoder
    }
}

impl tonic::codec::Decoder for RawDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(source.copy_to_bytes(source.remaining())))
    }
}

struct ExportMethod(Otlp);

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl UnaryService<Bytes> for ExportMethod {
    type Response = ExportLogsServiceResponse;
    type Future = Answer<Result<Response<ExportLogsServiceResponse>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let otlp = self.0.clone();
        Box::pin(async move { otlp.export(request.into_inner()).await.map(Response::new) })
    }
}

impl Service<axum::http::Request<tonic::body::Body>> for Otlp {
    type Response = axum::http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Answer<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: axum::http::Request<tonic::body::Body>) -> Self::Future {
        let otlp = self.clone();
        Box::pin(async move {
            if request.uri().path() != EXPORT {
                let path = request.uri().path();
                return Ok(Status::unimplemented(format!("{path} is not served; OTLP logs go to {EXPORT}"))
                    .into_http());
            }
            let mut accepted = EnabledCompressionEncodings::default();
            accepted.enable(CompressionEncoding::Gzip);
            accepted.enable(CompressionEncoding::Zstd);
            let mut grpc = Grpc::new(RawCodec)
                .apply_compression_config(accepted, EnabledCompressionEncodings::default())
                .apply_max_message_size_config(Some(otlp.max_message_bytes), None);
            Ok(grpc.unary(ExportMethod(otlp), request).await)
        })
    }
}
