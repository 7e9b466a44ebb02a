//! Cost of one line, step by step, on the sample logs: what a repeated line costs and what a new one does.

use divan::{Bencher, counter::ItemsCount};
use engine::event::{Level, LogEvent};
use engine::features::{FeatureSpec, Line};
use engine::model::train::{FirstPass, TrainParams};
use engine::model::{Model, Provenance, Scratch};

fn main() {
    divan::main();
}

/// The first 4,096 lines of the sample logs.
fn events() -> Vec<LogEvent> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/sample_logs.csv");
    let mut reader = csv::Reader::from_path(path).expect("the sample logs are part of the repository");
    let level = |text: &str| Level::ALL.into_iter().find(|level| level.as_str() == text);
    let event = |row: csv::StringRecord| LogEvent {
        service: row[1].into(),
        level: level(&row[2]),
        message: row[3].into(),
        ..LogEvent::default()
    };
    reader.records().take(4_096).map(|row| event(row.expect("the sample logs are CSV"))).collect()
}

fn model(events: &[LogEvent]) -> Model {
    let params = TrainParams::default().check().expect("the defaults are in range");
    let mut first = FirstPass::new(params);
    first.observe(events);
    first.grow().expect("there are events").finish(Provenance::default())
}

#[divan::bench]
fn read_features(bencher: Bencher<'_, '_>) {
    let events = events();
    let mut line = Line::default();
    bencher.counter(ItemsCount::new(events.len())).bench_local(|| {
        for event in &events {
            line.read(event);
            line.read_columns(event, FeatureSpec::new(1 << 14));
            divan::black_box(line.keys());
        }
    });
}

#[divan::bench]
fn score_without_table(bencher: Bencher<'_, '_>) {
    let events = events();
    let (model, mut scratch) = (model(&events), Scratch::default());
    bencher.counter(ItemsCount::new(events.len())).bench_local(|| {
        for event in &events {
            divan::black_box(model.score(event, &mut scratch));
        }
    });
}
