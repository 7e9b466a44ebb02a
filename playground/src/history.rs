//! The small model inside the page.

use engine::artifact;
use engine::event::{EventTime, LogEvent};
use engine::model::train::{FirstPass, TrainParams};
use engine::model::{Contamination, Provenance};

/// 2026-01-05, a Monday.
const DAY: i64 = 1_767_571_200_000_000;
const LINES: usize = 12_000;
/// About the share of anomalies that the history holds.
const CONTAMINATION: f64 = 0.01;
const SEED: u64 = 7;

/// An artifact, trained from a day that the simulator makes up; the same bytes at every call.
///
/// # Errors
/// The history cannot be made or is too little.
pub fn train() -> Result<Vec<u8>, String> {
    let params = simulator::Params {
        seed: SEED,
        start: EventTime::from_micros(DAY),
        rate: LINES as f64 / 86_400.0,
        anomaly_ratio: 0.005,
        ..simulator::Params::default()
    };
    let mut simulator = simulator::Simulator::new(params).map_err(|errors| format!("{errors:?}"))?;
    let events: Vec<LogEvent> = (0..LINES).map(|_| simulator.next_line().event()).collect();
    let params = TrainParams {
        seed: SEED,
        contamination: Contamination::Share(CONTAMINATION),
        ..TrainParams::default()
    };
    let mut first = FirstPass::new(params.check().map_err(|errors| format!("{errors:?}"))?);
    first.observe(&events);
    let mut second = first.grow().map_err(|error| error.to_string())?;
    second.calibrate(&events);
    let time = |event: Option<&LogEvent>| event.map_or(0, |event| event.timestamp.as_micros());
    let model = second.finish(Provenance {
        inputs: vec!["a day that the simulator made up".to_owned()],
        rows: events.len() as u64,
        rejected: 0,
        first_time: time(events.first()),
        last_time: time(events.last()),
        contamination: CONTAMINATION.to_string(),
        seed: SEED,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
    });
    artifact::to_bytes(&model).map_err(|error| error.to_string())
}
