//! A model for the demonstration, trained in memory: from the sample logs where they are, else from a history that
//! the simulator makes up. Writes nothing.

use anyhow::Context as _;
use corpus::{Batch, Options, Reader};
use engine::decode::Decoder;
use engine::event::{EventTime, LogEvent};
use engine::model::train::{FirstPass, TrainParams};
use engine::model::{Contamination, Model, Provenance};

use crate::config::Settings;

const SAMPLE: &str = "data/sample_logs.csv";

/// About the share of anomalies in the sample logs, with room for ordinary lines that are just rare.
const CONTAMINATION: f64 = 0.01;

/// Lines of the made-up history.
const HISTORY: usize = 20_000;

/// Mean lines per second of the made-up history: it spans a day.
const HISTORY_RATE: f64 = HISTORY as f64 / 86_400.0;

/// A model and what it was trained from.
pub struct Trained {
    /// The model.
    pub model: Model,
    /// For people.
    pub from: String,
}

/// Trains from the sample logs or a made-up history.
///
/// # Errors
/// The sample logs are there and cannot be used.
pub fn train(settings: &Settings, seed: u64) -> anyhow::Result<Trained> {
    let sample = std::path::Path::new(SAMPLE).exists();
    let (mut events, input, rejected) =
        if sample { read(settings)? } else { (make_up(seed)?, "simulator", 0) };
    for event in &mut events {
        settings.redactor.redact(event);
    }
    let contamination = Contamination::Share(CONTAMINATION);
    let params = TrainParams { seed, contamination, ..TrainParams::default() };
    let mut first = FirstPass::new(params.check().map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(errors.join("; "))
    })?);
    first.observe(&events);
    let mut second = first.grow().with_context(|| format!("{input} holds too little"))?;
    second.calibrate(&events);
    let time = |event: Option<&LogEvent>| event.map_or(0, |event| event.timestamp.as_micros());
    let model = second.finish(Provenance {
        inputs: vec![input.to_owned()],
        rows: events.len() as u64,
        rejected,
        first_time: time(events.iter().min_by_key(|event| event.timestamp)),
        last_time: time(events.iter().max_by_key(|event| event.timestamp)),
        contamination: CONTAMINATION.to_string(),
        seed,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
    });
    let what = if sample { SAMPLE } else { "a day that the simulator made up" };
    Ok(Trained { model, from: format!("{} lines of {what}", events.len()) })
}

fn read(settings: &Settings) -> anyhow::Result<(Vec<LogEvent>, &'static str, u64)> {
    let inputs = corpus::expand(&[SAMPLE.to_owned()])?;
    let options = Options { decoder: Decoder::new(settings.decode.clone()), now: now() };
    let mut reader = Reader::new(&inputs, &options);
    let mut events = Vec::new();
    let mut batch = Batch::default();
    while reader.next_batch(&mut batch)? {
        events.append(&mut batch.events);
    }
    let rejected = reader.rejects().total();
    Ok((events, SAMPLE, rejected))
}

fn make_up(seed: u64) -> anyhow::Result<Vec<LogEvent>> {
    let params = simulator::Params {
        // Another seed than the stream's: a history that repeats the stream word for word would prove nothing.
        seed: seed.wrapping_add(1),
        start: EventTime::from_micros(now().as_micros() - 86_400_000_000),
        rate: HISTORY_RATE,
        anomaly_ratio: 0.005,
        ..simulator::Params::default()
    };
    let mut simulator = super::stream::simulator(params)?;
    Ok((0..HISTORY).map(|_| simulator.next_line().event()).collect())
}

fn now() -> EventTime {
    EventTime::from_micros(jiff::Timestamp::now().as_microsecond())
}
