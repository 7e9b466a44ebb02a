//! Where generated lines go: standard output, a file or Kafka. Writes every line or says that it could not.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use simulator::SimLine;

/// The shape of a written line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object per line; web accesses as objects of their own shape.
    Json,
    /// CSV with the header `timestamp,service,level,message`.
    Csv,
    /// The same with a fifth column `label`: the kind of anomaly, empty for ordinary lines.
    LabelledCsv,
    /// `2026-01-05T00:00:00.123Z INFO orders: message`.
    Text,
}

/// Takes lines one by one.
pub trait Output {
    /// Takes one line.
    fn write(&mut self, line: &SimLine) -> anyhow::Result<()>;
    /// Makes what was taken visible to readers.
    fn flush(&mut self) -> anyhow::Result<()>;
    /// Makes what was taken durable.
    fn finish(&mut self) -> anyhow::Result<()>;
}

/// Lines as bytes into a writer.
pub struct Bytes {
    format: Format,
    writer: Box<dyn Write>,
    buffer: Vec<u8>,
    header_due: bool,
}

impl Bytes {
    /// Into a new file, or to standard output for `-`.
    pub fn create(path: &str, format: Format) -> anyhow::Result<Self> {
        let writer: Box<dyn Write> = match path {
            "-" => Box::new(BufWriter::with_capacity(1 << 16, io::stdout())),
            _ => Box::new(BufWriter::with_capacity(
                1 << 16,
                File::create(Path::new(path)).with_context(|| format!("cannot write {path}"))?,
            )),
        };
        Ok(Self {
            format,
            writer,
            buffer: Vec::new(),
            header_due: matches!(format, Format::Csv | Format::LabelledCsv),
        })
    }
}

fn csv_row(buffer: &mut Vec<u8>, fields: &[&str]) -> anyhow::Result<()> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(buffer);
    writer.write_record(fields)?;
    writer.flush()?;
    Ok(())
}

impl Output for Bytes {
    fn write(&mut self, line: &SimLine) -> anyhow::Result<()> {
        self.buffer.clear();
        if self.header_due {
            let columns = ["timestamp", "service", "level", "message", "label"];
            let width = if self.format == Format::LabelledCsv { 5 } else { 4 };
            csv_row(&mut self.buffer, &columns[..width])?;
            self.header_due = false;
        }
        let time = line.timestamp.to_string();
        match self.format {
            Format::Json => {
                self.buffer.extend_from_slice(line.json().as_bytes());
                self.buffer.push(b'\n');
            }
            Format::Csv => {
                csv_row(&mut self.buffer, &[&time, line.service, line.level.as_str(), &line.message])?;
            }
            Format::LabelledCsv => {
                let label = line.label.unwrap_or_default();
                csv_row(&mut self.buffer, &[&time, line.service, line.level.as_str(), &line.message, label])?;
            }
            Format::Text => {
                writeln!(self.buffer, "{time} {} {}: {}", line.level, line.service, line.message)?;
            }
        }
        self.writer.write_all(&self.buffer)?;
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.writer.flush()?)
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        self.flush()
    }
}

/// Labels beside the lines: CSV with the header `line,label`, only for lines that have one, counted from 1.
pub struct Labels {
    writer: BufWriter<File>,
    line: u64,
}

impl Labels {
    /// A new sidecar file.
    pub fn create(path: &str) -> anyhow::Result<Self> {
        let file = File::create(Path::new(path)).with_context(|| format!("cannot write {path}"))?;
        let mut writer = BufWriter::new(file);
        writer.write_all(b"line,label\n")?;
        Ok(Self { writer, line: 0 })
    }
}

impl Output for Labels {
    fn write(&mut self, line: &SimLine) -> anyhow::Result<()> {
        self.line += 1;
        if let Some(label) = line.label {
            writeln!(self.writer, "{},{label}", self.line)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.writer.flush()?)
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        self.flush()
    }
}

/// Remembers the first record that the broker did not take.
#[derive(Default)]
struct Reports {
    first_error: Mutex<Option<String>>,
}

impl rdkafka::ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result
            && let Ok(mut first) = self.first_error.lock()
        {
            first.get_or_insert_with(|| error.to_string());
        }
    }
}

/// Lines as Kafka records: JSON, keyed by service, with the label of an anomaly in the header `label`.
pub struct Kafka {
    producer: BaseProducer<Reports>,
    topic: String,
}

impl Kafka {
    /// A producer for this topic; `properties` are librdkafka's own and win.
    pub fn connect(servers: &str, topic: &str, properties: &[(String, String)]) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", servers)
            .set("client.id", "isolog-simulator")
            .set("enable.idempotence", "true")
            .set("linger.ms", "20")
            .set("compression.type", "zstd");
        for (name, value) in properties {
            config.set(name, value);
        }
        let producer = config
            .create_with_context(Reports::default())
            .context("Kafka settings are not valid (see --kafka-property)")?;
        let kafka = Self { producer, topic: topic.to_owned() };
        kafka.producer.client().fetch_metadata(Some(topic), Duration::from_secs(10)).with_context(|| {
            format!("no answer from Kafka at {servers} within 10 s: is it running, is KAFKA_BOOTSTRAP_SERVERS right?")
        })?;
        Ok(kafka)
    }

    fn check(&self) -> anyhow::Result<()> {
        let first = self.producer.context().first_error.lock().ok().and_then(|mut error| error.take());
        match first {
            Some(error) => bail!("Kafka did not take a line for topic {}: {error}", self.topic),
            None => Ok(()),
        }
    }
}

impl Output for Kafka {
    fn write(&mut self, line: &SimLine) -> anyhow::Result<()> {
        let payload = line.json();
        let headers =
            line.label.map(|label| OwnedHeaders::new().insert(Header { key: "label", value: Some(label) }));
        loop {
            let mut record = BaseRecord::to(&self.topic)
                .key(line.service)
                .payload(&payload)
                .timestamp(line.timestamp.as_micros() / 1_000);
            record.headers = headers.clone();
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.producer.poll(Duration::from_millis(50));
                    self.check()?;
                }
                Err((error, _)) => bail!("Kafka did not take a line for topic {}: {error}", self.topic),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.producer.poll(Duration::ZERO);
        self.check()
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        self.producer
            .flush(Duration::from_secs(30))
            .context("lines were not delivered to Kafka within 30 s")?;
        self.check()
    }
}
