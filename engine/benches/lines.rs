//! Cost of one line, step by step, on the sample logs: what a repeated line costs and what a new one does.

#![allow(clippy::expect_used, reason = "a bench fails by panicking")]

use divan::{Bencher, counter::ItemsCount};
use engine::event::{Level, LogEvent, LogLine};
use engine::features::{Canonical, FeatureSpec, KeyMaker, Lanes, Line};
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

/// What both canonical text and features cost with and without SIMD.
const LANES: [Lanes; 2] = [Lanes::Widest, Lanes::Scalar];

#[divan::bench(args = LANES)]
fn canonical_text(bencher: Bencher<'_, '_>, lanes: Lanes) {
    let (events, mut canonical) = (events(), Canonical::with_lanes(lanes));
    bencher.counter(ItemsCount::new(events.len())).bench_local(|| {
        for event in &events {
            canonical.read(&event.message);
            divan::black_box(canonical.text());
        }
    });
}

#[divan::bench(args = LANES)]
fn canonical_text_and_key(bencher: Bencher<'_, '_>, lanes: Lanes) {
    let (events, mut canonical) = (events(), Canonical::with_lanes(lanes));
    let maker = KeyMaker::new(7);
    bencher.counter(ItemsCount::new(events.len())).bench_local(|| {
        for event in &events {
            canonical.read(&event.message);
            divan::black_box(maker.key(canonical.text(), &event.service, event.level));
        }
    });
}

#[divan::bench(args = LANES)]
fn read_features(bencher: Bencher<'_, '_>, lanes: Lanes) {
    let (events, mut line) = (events(), Line::with_lanes(lanes));
    bencher.counter(ItemsCount::new(events.len())).bench_local(|| {
        for event in &events {
            let view = LogLine::from(event);
            line.canonicalise(view);
            line.read_words(view);
            line.read_line_columns(view, FeatureSpec::new(1 << 14));
            divan::black_box((line.keys(), line.columns()));
        }
    });
}

/// Tables: none, and one that knows every line.
#[divan::bench(args = [0, 65_536])]
fn score(bencher: Bencher<'_, '_>, table: usize) {
    let events = events();
    let (model, mut scratch) = (model(&events), Scratch::with_table(table, 7));
    bencher.counter(ItemsCount::new(events.len())).bench_local(|| {
        for event in &events {
            divan::black_box(model.score(event, &mut scratch));
        }
    });
}
