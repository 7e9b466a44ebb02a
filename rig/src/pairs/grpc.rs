//! gRPC: lines by a stream beside lines by single calls, and a single call beside an empty handler of the same
//! server. The client sends bytes that were made before and drops the answers, so that the server is the limit.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use proto::v1;
use simulator::{Params, Simulator};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::score::model_of_corpus;
use crate::compare::Bench;
use crate::server::Server;
use crate::table::{Bar, Row, figure, median};

const STREAM: &str = "/isolog.v1.ScoringService/ScoreStream";
const UNARY: &str = "/isolog.v1.ScoringService/Score";
const EMPTY: &str = "/grpc.health.v1.Health/Check";
/// Events of one stream, and of the single calls beside it.
const STREAMED: usize = 2_000_000;
const CALLED: usize = 100_000;
/// Calls that are open at a time.
const IN_FLIGHT: usize = 64;
/// Single calls of one client, for percentiles; the first ones warm up.
const TIMED: usize = 10_000;
const WARM_UP: usize = 1_000;
/// Distinct lines that are sent over and over.
const LINES: usize = 4_096;

/// Bytes as they are.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = usize;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = usize;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<usize>, Status> {
        let length = source.remaining();
        source.advance(length);
        Ok(Some(length))
    }
}

fn events() -> Result<Vec<v1::Line>> {
    let mut simulator = Simulator::new(Params::default()).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let line = |line: simulator::SimLine| {
        let micros = line.timestamp.as_micros();
        let timestamp = prost_types::Timestamp {
            seconds: micros.div_euclid(1_000_000),
            nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or_default(),
        };
        let level = line.level as i32 + 1;
        let event = v1::LogEvent {
            timestamp: Some(timestamp),
            service: line.service.to_owned(),
            level,
            message: line.message,
            ..v1::LogEvent::default()
        };
        v1::Line { content: Some(v1::line::Content::Event(event)), ..v1::Line::default() }
    };
    Ok((0..LINES).map(|_| line(simulator.next_line())).collect())
}

async fn client(server: &Server) -> Result<Grpc<Channel>> {
    let channel = Endpoint::from_shared(format!("http://{}", server.grpc))?
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .connect()
        .await
        .context("the gRPC server does not answer")?;
    Ok(Grpc::new(channel))
}

/// Sends so many lines by one stream; returns when every answer came.
async fn stream(server: &Server, lines: &[Bytes], count: usize) -> Result<()> {
    let mut client = client(server).await?;
    client.ready().await?;
    let lines = lines.to_vec();
    let sent = tokio_stream::iter((0..count).map(move |at| lines[at % lines.len()].clone()));
    let path = PathAndQuery::from_static(STREAM);
    let mut answers = client.streaming(Request::new(sent), path, Raw).await?.into_inner();
    let mut answered = 0;
    while let Some(length) = answers.message().await? {
        ensure!(length > 0, "an empty answer");
        answered += 1;
    }
    ensure!(answered == count, "{count} lines were sent, {answered} answered");
    Ok(())
}

/// Sends so many lines by single calls, 64 open at a time.
async fn call(server: &Server, lines: &[Bytes], count: usize) -> Result<()> {
    let client = client(server).await?;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..IN_FLIGHT {
        let (mut client, lines) = (client.clone(), lines.to_vec());
        callers.spawn(async move {
            for at in (caller..count).step_by(IN_FLIGHT) {
                client.ready().await?;
                let request = Request::new(lines[at % lines.len()].clone());
                client.unary(request, PathAndQuery::from_static(UNARY), Raw).await?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(())
}

/// How long each of so many calls in a row took, µs.
async fn times(server: &Server, path: &'static str, lines: &[Bytes]) -> Result<Vec<f64>> {
    let mut client = client(server).await?;
    let mut times = Vec::with_capacity(TIMED);
    for at in 0..WARM_UP + TIMED {
        client.ready().await?;
        let request = Request::new(lines[at % lines.len()].clone());
        let start = Instant::now();
        client.unary(request, PathAndQuery::from_static(path), Raw).await?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let mut times = times.split_off(WARM_UP);
    times.sort_unstable_by(f64::total_cmp);
    Ok(times)
}

struct Started {
    server: Server,
    runtime: tokio::runtime::Runtime,
    streamed: Vec<Bytes>,
    called: Vec<Bytes>,
}

fn start(bench: &Bench) -> Result<Started> {
    let model = model_of_corpus(bench)?;
    let arguments = ["--input", "otlp", "--model-path", &model, "--anomaly-score-threshold", "1"];
    let mut server = Server::start(bench, "compare-grpc", bench.core(), &arguments)?;
    server.wait_ready()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let events = events()?;
    let streamed = events.iter().enumerate().map(|(id, line)| {
        let line = Some(line.clone());
        v1::ScoreStreamRequest { id: id as u64, line, explain: 3 }.encode_to_vec().into()
    });
    let called = events
        .iter()
        .map(|line| v1::ScoreRequest { line: Some(line.clone()), explain: 3 }.encode_to_vec().into());
    Ok(Started { runtime, streamed: streamed.collect(), called: called.collect(), server })
}

/// The server's CPU time of one event, by stream and by single calls.
pub fn run(bench: &Bench) -> Result<Vec<Row>> {
    let Started { server, runtime, streamed, called } = start(bench)?;
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    let (mut by_stream, mut by_call) = (Vec::new(), Vec::new());
    runtime.block_on(stream(&server, &streamed, CALLED))?;
    for _ in 0..bench.repeats() {
        let (cpu, start) = (server.cpu_s()?, Instant::now());
        runtime.block_on(stream(&server, &streamed, STREAMED))?;
        rates.push(STREAMED as f64 / start.elapsed().as_secs_f64());
        let between = server.cpu_s()?;
        runtime.block_on(call(&server, &called, CALLED))?;
        by_stream.push((between - cpu) / STREAMED as f64 * 1e6);
        by_call.push((server.cpu_s()? - between) / CALLED as f64 * 1e6);
        ratios.extend(by_call.last().zip(by_stream.last()).map(|(call, stream)| call / stream));
    }
    let note = format!("{} µs and {} µs", figure(median(&by_call)), figure(median(&by_stream)));
    let against = "unary, 64 in flight".to_owned();
    let what = "gRPC stream, one event a message: server CPU an event".to_owned();
    let row = |what, against, bar, values, unit, note| Row { what, against, bar, values, unit, note };
    Ok(vec![
        row(what, against, Bar::AtLeast(15.0), ratios, "×", note),
        row(
            "gRPC stream: events a second, millions".to_owned(),
            "–".to_owned(),
            Bar::AtLeast(1.0),
            rates.iter().map(|rate| rate / 1e6).collect(),
            "",
            "server on one core, client on the other".to_owned(),
        ),
    ])
}

/// One client's calls beside calls of an empty handler.
pub fn run_empty(bench: &Bench) -> Result<Vec<Row>> {
    let Started { server, runtime, called, .. } = start(bench)?;
    // `HealthCheckRequest` of no service: the handler answers from a table, without work.
    let empty = [Bytes::new()];
    let percentile = |times: &[f64], share: f64| times[(times.len() as f64 * share) as usize];
    let (mut p50, mut p99, mut figures) =
        (Vec::new(), Vec::new(), [Vec::new(), Vec::new(), Vec::new(), Vec::new()]);
    for _ in 0..bench.repeats() {
        let ours = runtime.block_on(times(&server, UNARY, &called))?;
        let theirs = runtime.block_on(times(&server, EMPTY, &empty))?;
        let found = [
            percentile(&ours, 0.5),
            percentile(&theirs, 0.5),
            percentile(&ours, 0.99),
            percentile(&theirs, 0.99),
        ];
        p50.push(found[0] / found[1]);
        p99.push(found[2] / found[3]);
        figures.iter_mut().zip(found).for_each(|(values, value)| values.push(value));
    }
    let note = |at: usize| {
        format!("{} µs and {} µs", figure(median(&figures[at])), figure(median(&figures[at + 1])))
    };
    let row = |what: &str, values, note| Row {
        what: what.to_owned(),
        against: "health check of the same server".to_owned(),
        bar: Bar::AtMost(1.3),
        values,
        unit: "×",
        note,
    };
    Ok(vec![
        row("gRPC unary, one client: p50", p50, note(0)),
        row("gRPC unary, one client: p99", p99, note(2)),
    ])
}
