//! The simulator program: reads flags and environment, paces the library's lines by the clock and writes them out.

use std::io::ErrorKind;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Parser;
use engine::event::EventTime;
use simulator::families::{Families, Family, FamilyParams};
use simulator::{ParamError, Params, SimLine, Simulator};

use output::{Bytes, Format, Kafka, Labels, Output};

mod output;

const EXAMPLES: &str = "Examples:
  simulator --rate 5                                  five lines a second to the terminal, as JSON
  simulator --output kafka --rate 200                 to the topic application-logs on localhost:9092
  simulator --lines 1000 --start-time 2026-01-05T00:00:00Z --output day.csv --format csv --labels day.labels.csv
  simulator --anomaly-ratio 0 --error-rate 0.4        many ordinary errors, no anomaly
  simulator --families audit,bpm,performance          business events: 50 of each every 5 s, 5 % of them anomalies";

/// Generates the log stream of a web shop, or business events, with labelled anomalies.
#[derive(Debug, Parser)]
#[command(name = "simulator", version, after_help = EXAMPLES)]
struct Args {
    /// Mean lines per second of event time, in (0, 1000000].
    #[arg(long, env = "SIM_RATE", default_value_t = 20.0)]
    rate: f64,
    /// Stop after this many lines; without it the stream has no end.
    #[arg(long, env = "SIM_LINES")]
    lines: Option<u64>,
    /// The same seed and start time give the same lines.
    #[arg(long, env = "SIM_SEED", default_value_t = 42)]
    seed: u64,
    /// Share of lines that are anomalies, 0-1 [default: 0.01; of families 0.05].
    #[arg(long, env = "SIM_ANOMALY_RATIO")]
    anomaly_ratio: Option<f64>,
    /// Share of the other lines that are ordinary errors, 0-1.
    #[arg(long, env = "SIM_ERROR_RATE", default_value_t = 0.03)]
    error_rate: f64,
    /// Share of the other lines that are web access events, 0-0.9.
    #[arg(long, env = "SIM_WEB_SHARE", default_value_t = 0.1)]
    web_share: f64,
    /// How far the rate swings between day and night, 0-0.9.
    #[arg(long, env = "SIM_DAILY_SWING", default_value_t = 0.0)]
    daily_swing: f64,
    /// Business events in place of the shop: a comma list of audit, bpm, performance.
    #[arg(long, env = "SIM_FAMILIES", value_delimiter = ',', value_name = "FAMILY")]
    families: Vec<Family>,
    /// Records of one batch of one family.
    #[arg(long, env = "SIM_BATCH", default_value_t = 50, requires = "families")]
    batch: u32,
    /// Seconds from one batch to the next.
    #[arg(long, env = "SIM_EVERY_S", default_value_t = 5.0, requires = "families")]
    every_s: f64,
    /// Write history from this time (RFC 3339) as fast as possible; without it the stream runs by the clock.
    #[arg(long, env = "SIM_START_TIME")]
    start_time: Option<jiff::Timestamp>,
    /// A file, `-` for standard output, or `kafka`.
    #[arg(long, short, env = "SIM_OUTPUT", default_value = "-")]
    output: String,
    /// Shape of the lines in a file or on standard output.
    #[arg(long, env = "SIM_FORMAT", value_enum, default_value = "json")]
    format: Format,
    /// Also write line number and kind of each anomaly to this CSV file.
    #[arg(long, env = "SIM_LABELS")]
    labels: Option<String>,
    /// Brokers, as host:port,host:port.
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "localhost:9092")]
    bootstrap_servers: String,
    /// Kafka topic.
    #[arg(long, env = "LOG_TOPIC", default_value = "application-logs")]
    topic: String,
    /// A librdkafka property, as name=value; repeatable, or separated by commas in the variable.
    #[arg(long = "kafka-property", env = "SIM_KAFKA_PROPERTIES", value_delimiter = ',', value_parser = property)]
    kafka_properties: Vec<(String, String)>,
}

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' is not name=value, for example security.protocol=SASL_SSL")),
    }
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulator: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The reader of standard output has gone (`simulator | head`): not an error.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn run(args: Args) -> anyhow::Result<()> {
    let start = match args.start_time {
        Some(time) => EventTime::from_micros(time.as_microsecond()),
        None => now()?,
    };
    let lines: Box<dyn Iterator<Item = SimLine>> = if args.families.is_empty() {
        let params = Params {
            seed: args.seed,
            start,
            rate: args.rate,
            anomaly_ratio: args.anomaly_ratio.unwrap_or(0.01),
            error_rate: args.error_rate,
            web_share: args.web_share,
            daily_swing: args.daily_swing,
        };
        Box::new(Simulator::new(params).map_err(all_of)?)
    } else {
        let mut families = args.families.clone();
        families.sort();
        families.dedup();
        let params = FamilyParams {
            seed: args.seed,
            start,
            families,
            batch: args.batch,
            every_s: args.every_s,
            anomaly_ratio: args.anomaly_ratio.unwrap_or(0.05),
        };
        Box::new(Families::new(params).map_err(all_of)?)
    };
    let mut outputs: Vec<Box<dyn Output>> = Vec::new();
    outputs.push(match args.output.as_str() {
        "kafka" => Box::new(Kafka::connect(&args.bootstrap_servers, &args.topic, &args.kafka_properties)?),
        path => Box::new(Bytes::create(path, args.format)?),
    });
    if let Some(path) = &args.labels {
        outputs.push(Box::new(Labels::create(path)?));
    }
    let paced = args.start_time.is_none();
    pump(lines, args.lines.unwrap_or(u64::MAX), paced, &mut outputs)
}

fn all_of(errors: Vec<ParamError>) -> anyhow::Error {
    let all: Vec<_> = errors.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("{}", all.join("\n           "))
}

fn pump(
    lines: impl Iterator<Item = SimLine>,
    most: u64,
    paced: bool,
    outputs: &mut [Box<dyn Output>],
) -> anyhow::Result<()> {
    for (line, _) in lines.zip(0..most) {
        if paced {
            let early = line.timestamp.as_micros() - now()?.as_micros();
            if let Ok(early @ 1..) = u64::try_from(early) {
                outputs.iter_mut().try_for_each(|output| output.flush())?;
                std::thread::sleep(Duration::from_micros(early));
            }
        }
        outputs.iter_mut().try_for_each(|output| output.write(&line))?;
    }
    outputs.iter_mut().try_for_each(|output| output.finish())
}

fn now() -> anyhow::Result<EventTime> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    Ok(EventTime::from_micros(i64::try_from(since.as_micros()).context("the clock stands too late")?))
}
