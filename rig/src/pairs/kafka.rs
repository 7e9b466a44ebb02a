//! The scorer on a real broker beside a client that only consumes, by the same client calls.

use std::time::Duration;

use anyhow::{Context, Result};
use kafka::rdkafka::ClientConfig;
use kafka::rdkafka::error::RDKafkaErrorCode;
use kafka::rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use simulator::{Params, Simulator};
use testkit::kafka::Broker;

use super::score::model_of_corpus;
use crate::compare::Bench;
use crate::measure::{SINGLE, measured};
use crate::server::Server;
use crate::table::{Bar, Row, figure, median};
use crate::work::consume::Consumed;

pub const TOPIC: &str = "compare";

/// CPU time of one message, consumed and scored.
pub fn run(bench: &Bench) -> Result<Vec<Row>> {
    let broker = Broker::start()?;
    broker.create_topic(TOPIC, 1)?;
    let messages = bench.rows();
    let bytes = fill(&broker, messages)?;
    let model = model_of_corpus(bench)?;
    let (mut alone, mut scored, mut detected) = (Vec::new(), Vec::new(), Vec::new());
    for repeat in 0..bench.repeats() {
        alone.push(consume(bench, &broker, repeat, messages)?);
        scored.push(score(bench, &broker, repeat, messages, &model, Detect::Off)?);
        detected.push(score(bench, &broker, repeat, messages, &model, Detect::On)?);
    }
    let micros = |values: &[f64]| figure(median(values) * 1e6);
    let row = |what: &str, bar, ours: &[f64]| Row {
        what: format!("Kafka: consume, decode, score{what} and commit, CPU a message"),
        against: "consume alone, same client".to_owned(),
        bar,
        values: ours.iter().zip(&alone).map(|(ours, alone)| ours / alone).collect(),
        unit: "×",
        note: format!(
            "{} µs and {} µs; {messages} messages of {} bytes on average, lz4, one partition, nothing above the \
             threshold",
            micros(ours),
            micros(&alone),
            bytes / messages
        ),
    };
    Ok(vec![
        row(" (DETECT=false)", Bar::AtMost(2.0), &scored),
        row(", detect (the default)", Bar::None, &detected),
    ])
}

/// Produces small JSON records, compressed by lz4; returns their bytes together.
pub fn fill(broker: &Broker, messages: u64) -> Result<u64> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("compression.type", "lz4")
        .set("linger.ms", "50")
        .set("batch.size", "262144")
        .create()?;
    let mut simulator = Simulator::new(Params::default()).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let mut bytes = 0;
    for _ in 0..messages {
        let payload = simulator.next_line().json();
        bytes += payload.len() as u64;
        let mut record = BaseRecord::<(), str>::to(TOPIC).payload(&payload).partition(0);
        while let Err((error, returned)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error).context("the topic cannot be filled");
            }
            producer.poll(Duration::from_millis(100));
            record = returned;
        }
    }
    producer.flush(Duration::from_secs(60))?;
    Ok(bytes)
}

/// CPU time a message of a client that drops it, s.
fn consume(bench: &Bench, broker: &Broker, repeat: u32, messages: u64) -> Result<f64> {
    let this = std::env::current_exe()?.to_string_lossy().into_owned();
    let arguments = [
        this,
        "consume".to_owned(),
        format!("--bootstrap={}", broker.bootstrap()),
        format!("--topic={TOPIC}"),
        format!("--group=alone-{repeat}"),
        format!("--messages={messages}"),
    ];
    let (_, printed) = measured(bench.core(), arguments.into(), &SINGLE)?;
    let consumed: Consumed = serde_json::from_str(printed.trim())?;
    Ok(consumed.cpu_s / consumed.messages as f64)
}

/// Whether detectors run on the scored lines.
#[derive(Clone, Copy)]
enum Detect {
    On,
    Off,
}

/// CPU time a message of the scorer, from the first that it scored to the last, s.
fn score(
    bench: &Bench,
    broker: &Broker,
    repeat: u32,
    messages: u64,
    model: &str,
    detect: Detect,
) -> Result<f64> {
    let (name, detect) = match detect {
        Detect::On => ("detector", "--detect=true"),
        Detect::Off => ("scorer", "--detect=false"),
    };
    let group = format!("{name}-{repeat}");
    let arguments = [
        "--input",
        "kafka",
        "--log-topic",
        TOPIC,
        "--kafka-bootstrap-servers",
        broker.bootstrap(),
        "--kafka-group-id",
        &group,
        "--model-path",
        model,
        "--anomaly-score-threshold",
        "1",
        detect,
    ];
    let server = Server::start(bench, "compare-kafka", bench.core(), &arguments)?;
    let (mut first, mut last) = (None, (0, 0.0));
    server.wait("the topic was not scored", Duration::from_millis(100), |server| {
        let now = (server.scored(), server.cpu_s()?);
        if now.0 > 0 && first.is_none() {
            first = Some(now);
        }
        last = now;
        Ok(now.0 >= messages)
    })?;
    let first = first.context("nothing was scored")?;
    Ok((last.1 - first.1) / (last.0 - first.0) as f64)
}
