//! How many threads train, and how the lines are cut into batches, changes no bit: of any corpus, seed and parameters.

use std::sync::LazyLock;

use engine::artifact;
use engine::event::{Level, LogEvent};
use engine::model::Provenance;
use engine::model::session::{SessionKey, SessionSettings, SessionTrainer};
use engine::model::train::{FirstPass, TrainParams};
use proptest::prelude::*;
use rayon::ThreadPool;

use crate::events::event;

fn pool(threads: usize) -> ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

static ONE: LazyLock<ThreadPool> = LazyLock::new(|| pool(1));
static EIGHT: LazyLock<ThreadPool> = LazyLock::new(|| pool(8));

/// Lines of few words: some come again to the letter, some but for their numbers, many never; each of some trace.
fn corpus() -> impl Strategy<Value = Vec<LogEvent>> {
    let word =
        prop::sample::select(vec!["open", "close", "read", "17", "0x1f", "10.0.0.1", "été", "<x>", "---"]);
    let message = (prop::collection::vec(word, 0..5), "[a-z]{0,5}").prop_map(|(words, last)| {
        let words: String = words.iter().map(|word| format!("{word} ")).collect();
        words + &last
    });
    let line = (message, 0_usize..4, 0_usize..6, 0_u8..40).prop_map(|(message, service, level, trace)| {
        let mut event = event(["orders", "auth", "", "new"][service], Level::ALL[level], &message);
        event.attributes.push(("trace_id".to_owned(), format!("t{trace}")));
        event
    });
    prop::collection::vec(line, 2..1_200)
}

/// Everything that training gives, as bytes, and the training scores.
fn trained(lines: &[LogEvent], params: &TrainParams, batch: usize) -> (Vec<u8>, Vec<u64>) {
    let checked = || params.clone().check().unwrap();
    let mut first = FirstPass::new(checked());
    lines.chunks(batch).for_each(|batch| first.observe(batch));
    let mut second = first.grow().unwrap();
    let scores = lines.chunks(batch).flat_map(|batch| second.calibrate(batch)).map(f64::to_bits).collect();
    let model = second.finish(Provenance { rows: lines.len() as u64, ..Provenance::default() });
    let key = SessionKey::parse("trace_id").unwrap();
    let mut sessions = SessionTrainer::new(checked(), key, SessionSettings::default());
    lines.chunks(batch).for_each(|batch| sessions.observe(batch));
    let model = match sessions.finish() {
        Some(sessions) => model.with_sessions(sessions),
        None => model,
    };
    (artifact::to_bytes(&model).unwrap(), scores)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn one_thread_and_eight_give_the_same_bits(
        lines in corpus(), seed: u64, trees in 1_usize..24, samples in 2_usize..300, columns in 8_u32..15,
        batches in (1_usize..1_300, 1_usize..1_300),
    ) {
        let params = TrainParams {
            n_estimators: trees,
            max_samples: samples,
            n_features: 1 << columns,
            seed,
            ..TrainParams::default()
        };
        let one = ONE.install(|| trained(&lines, &params, batches.0));
        let eight = EIGHT.install(|| trained(&lines, &params, batches.1));
        prop_assert!(one == eight);
    }
}
