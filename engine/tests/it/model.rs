//! The model: odd lines score high, and how a model is trained or asked never changes a bit of it.

use engine::artifact;
use engine::event::{Level, LogEvent};
use engine::model::train::{FirstPass, TrainError, TrainParams};
use engine::model::{Contamination, Provenance, ReasonKind, Scratch};
use rstest::rstest;

use crate::events::{event, odd, params, train, usual};

#[test]
fn an_odd_line_scores_above_all_usual_ones_and_says_why() {
    let lines = usual(2_000);
    let model = train(&lines, params());
    let mut scratch = Scratch::default();
    let score = model.score(&odd(), &mut scratch);
    let greatest = lines.iter().map(|line| model.score(line, &mut scratch).score).fold(0.0, f64::max);
    assert!(score.score > greatest, "{score:?} is not above {greatest}");
    assert!(score.percentile > 99.0 && score.forest > 0.0 && score.surprisal > 5.0);
    assert!(score.score > model.threshold(Contamination::Share(0.05)).score);

    let why = model.explain(&odd(), &mut scratch);
    assert!(why.reasons.is_sorted_by(|a, b| a.contribution >= b.contribution));
    let words: Vec<_> = why
        .reasons
        .iter()
        .filter(|reason| reason.kind == ReasonKind::RareWord)
        .map(|r| r.word.as_str())
        .collect();
    assert!(
        words.iter().any(|word| ["database", "deadlock", "rolling", "detected"].contains(word)),
        "{why:?}"
    );
    assert!(why.reasons.iter().all(|reason| !reason.word.contains("<num>") || reason.word == why.pattern));
    assert!(why.reasons.iter().any(|reason| reason.kind == ReasonKind::Severity && reason.word == "ERROR"));
    assert_eq!(why.pattern_seen, 0);
}

/// Ordinary lines of the sample logs under a name that training never saw. The forest alone finds some of them a little
/// less odd: it can only tell services that it knows.
#[test]
fn a_line_of_a_new_service_is_odder_than_the_same_of_a_known_one() {
    let events = crate::recent::sample();
    let model = train(&events[..5_000], params());
    let mut scratch = Scratch::default();
    let (mut lower, mut sum) = (0, 0.0);
    for known in &events[5_000..6_500] {
        let new = LogEvent { service: "made-up".into(), ..known.clone() };
        let [before, after] = [known, &new].map(|event| model.score(event, &mut scratch));
        lower += usize::from(after.score < before.score);
        sum += after.score - before.score;
        assert!(after.score > before.score - 0.05 && after.surprisal >= before.surprisal, "{known:?}");
        let reasons = model.explain(&new, &mut scratch).reasons;
        assert!(reasons.iter().any(|reason| reason.word == "made-up" && reason.seen == 0), "{reasons:?}");
    }
    assert!(lower <= 75, "{lower} of 1500 lines are less odd");
    assert!(sum / 1_500.0 > 0.1, "{sum} in all");
}

/// Nothing is left of it but its pattern, which was counted as any other.
#[test]
fn a_line_without_words_is_as_odd_as_its_pattern_is_rare() {
    let mut lines = usual(1_000);
    lines.extend(std::iter::repeat_n(event("orders", Level::Info, "---"), 300));
    let model = train(&lines, params());
    let mut scratch = Scratch::default();
    let mut score = |text: &str| model.score(&event("orders", Level::Info, text), &mut scratch);
    let (known, new) = (score("---"), score("{}"));
    assert!(known.surprisal < 2.0 && new.surprisal > 7.0, "{known:?} {new:?}");
    let greatest = lines.iter().map(|line| score(&line.message).score).fold(0.0, f64::max);
    assert!(new.score > greatest, "{new:?} against {greatest}");
    let why = model.explain(&event("orders", Level::Info, "{}"), &mut Scratch::default());
    assert_eq!(
        (why.reasons[0].kind, why.reasons[0].word.as_str()),
        (ReasonKind::RarePattern, why.pattern.as_str())
    );
}

#[test]
fn the_reasons_share_out_the_nats_of_the_score() {
    let lines = usual(1_200);
    let model = train(&lines, params());
    let mut scratch = Scratch::default();
    let repeated = event("auth", Level::Fatal, "panic panic: segfault at 0x7f3a21 in worker worker worker");
    for line in lines.iter().take(40).chain([&odd(), &repeated]) {
        let nats = engine::model::nats_of_score(model.score(line, &mut scratch).score);
        let sum: f64 =
            model.explain(line, &mut scratch).reasons.iter().map(|reason| reason.contribution).sum();
        assert!(sum <= nats + 1e-9, "{sum} of {nats} nats: {line:?}");
        assert!(sum >= nats / 2.0 || nats < 3.0, "{sum} of {nats} nats: {line:?}");
    }
}

#[test]
fn the_nearest_pattern_is_a_usual_one_that_shares_words() {
    let model = train(&usual(1_000), params());
    let failed = event("orders", Level::Error, "payment of 17.20 EUR declined");
    let why = model.explain(&failed, &mut Scratch::default());
    assert_eq!(why.nearest_pattern.as_deref(), Some("payment of <num> EUR accepted"));
    assert_eq!(why.pattern, "payment of <num> EUR declined");
    let word = &why.reasons.iter().find(|reason| reason.word == "declined").unwrap();
    assert_eq!(word.seen, 0);
}

#[test]
fn the_share_of_words_that_no_other_training_line_has_is_kept() {
    let lines = ["card accepted", "card accepted", "card accepted", "Card refused, card blocked"];
    let lines = lines.map(|message| event("orders", Level::Info, message));
    let model = train(&lines, params());
    // Of ten words, "refused" and "blocked" stand in one line alone.
    assert_eq!(model.unseen_word_share(), Some(0.2));
    let loaded = artifact::from_bytes(&artifact::to_bytes(&model).unwrap()).unwrap();
    assert_eq!(loaded.unseen_word_share(), Some(0.2));
    assert_eq!(model.unseen_words(&lines[3], &mut Scratch::default()), (0, 4), "it knows its training lines");
    let asked = params();
    let dimensions = model.dimensions();
    assert_eq!((dimensions.n_estimators, dimensions.n_features), (asked.n_estimators, asked.n_features));
    assert_eq!(dimensions.max_samples, 4, "there are no more lines");
}

#[rstest]
#[case(1)]
#[case(8)]
fn threads_and_batch_cuts_change_no_byte(#[case] threads: usize) {
    let lines = usual(3_000);
    let expected = artifact::to_bytes(&train(&lines, params())).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let model = pool.install(|| {
        let mut first = FirstPass::new(params().check().unwrap());
        lines.chunks(if threads == 1 { 1 } else { 517 }).for_each(|batch| first.observe(batch));
        let mut second = first.grow().unwrap();
        let scores: Vec<f64> = lines.chunks(512).flat_map(|batch| second.calibrate(batch)).collect();
        assert_eq!(scores.len(), lines.len());
        second.finish(Provenance { rows: 3_000, ..Provenance::default() })
    });
    assert_eq!(artifact::to_bytes(&model).unwrap(), expected);
}

/// Lines that training never met before are read by many threads at once.
#[test]
fn threads_change_no_byte_where_no_line_comes_twice() {
    let lines: Vec<LogEvent> = (0..4_000)
        .map(|n| event("orders", Level::Info, &format!("cannot reach{}{}", letters(n), letters(n / 3))))
        .collect();
    let model = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| artifact::to_bytes(&train(&lines, params())).unwrap())
    };
    let one = model(1);
    for threads in [2, 8] {
        assert_eq!(model(threads), one, "{threads} threads");
    }
}

/// A word of its own for each number, without a digit.
fn letters(mut number: usize) -> String {
    let mut word = String::from(" ");
    for _ in 0..5 {
        word.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    word
}

#[test]
fn another_seed_makes_another_model() {
    let lines = usual(500);
    let other = TrainParams { seed: 7, ..params() };
    assert_ne!(train(&lines, params()).digest(), train(&lines, other).digest());
}

#[test]
fn a_reused_scratch_scores_as_a_fresh_one() {
    let lines = usual(600);
    let model = train(&lines, params());
    let mut reused = Scratch::default();
    for line in lines.iter().chain([&odd()]) {
        let before = model.score(line, &mut reused);
        model.explain(line, &mut reused);
        assert_eq!(before, model.score(line, &mut Scratch::default()));
    }
}

#[test]
fn a_sample_that_holds_every_line_is_exact() {
    let lines = usual(1_500);
    let exact = train(&lines, params());
    let mut first = FirstPass::new(params().check().unwrap());
    first.observe(&lines);
    let mut second = first.grow().unwrap();
    assert_eq!(second.calibrate_from_sample(), 0.0);
    assert!(!second.oddest().is_empty());
    let sampled = second.finish(Provenance { rows: 1_500, ..Provenance::default() });
    assert_eq!(sampled.digest(), exact.digest());
}

#[test]
fn the_oddest_lines_are_kept_one_a_pattern() {
    let mut lines = usual(1_000);
    lines.extend(std::iter::repeat_n(odd(), 3));
    let mut first = FirstPass::new(params().check().unwrap());
    first.observe(&lines);
    let mut second = first.grow().unwrap();
    second.calibrate(&lines);
    let oddest = second.oddest();
    assert!(oddest.len() <= 20 && oddest.is_sorted_by(|a, b| a.score >= b.score));
    assert_eq!(oddest[0].event.message, odd().message);
    assert_eq!(oddest.iter().filter(|line| line.event.message == odd().message).count(), 1);
}

#[rstest]
#[case::two_lines(vec![event("a", Level::Info, "one"), event("b", Level::Warn, "two")])]
#[case::all_alike(vec![event("a", Level::Info, "same line"); 300])]
#[case::empty_messages(vec![LogEvent::default(); 40])]
#[case::punctuation(vec![event("", Level::Info, "*** --- ***"); 3])]
#[case::fewer_than_a_sample(usual(100))]
#[case::one_long_line(vec![event("a", Level::Info, &"word_a other 17 ".repeat(20_000)), LogEvent::default()])]
fn small_or_monotonous_input_gives_scores_in_range(#[case] lines: Vec<LogEvent>) {
    let model = train(&lines, params());
    let mut scratch = Scratch::default();
    for line in lines.iter().chain([&odd(), &LogEvent::default()]) {
        let score = model.score(line, &mut scratch);
        for value in [score.score, score.forest, score.percentile / 100.0] {
            assert!((0.0..=1.0).contains(&value), "{score:?}");
        }
        assert!(score.surprisal.is_finite());
        let why = model.explain(line, &mut scratch);
        assert!(why.reasons.len() <= 5 && why.reasons.iter().all(|reason| reason.contribution.is_finite()));
    }
    for contamination in [Contamination::Share(0.05), Contamination::Auto] {
        let threshold = model.threshold(contamination);
        assert!((0.0..=1.0).contains(&threshold.score) && threshold.share <= 0.5, "{threshold:?}");
    }
    let odd = model.score(&odd(), &mut scratch).score;
    let usual = lines.iter().map(|line| model.score(line, &mut scratch).score).fold(0.0, f64::max);
    assert!(odd > usual, "{odd} against {usual}");
}

#[test]
fn training_needs_two_lines() {
    for lines in 0..2 {
        let mut first = FirstPass::new(params().check().unwrap());
        first.observe(&usual(lines));
        assert_eq!(first.grow().err(), Some(TrainError::TooFewEvents { got: lines as u64 }));
    }
}

#[rstest]
#[case(TrainParams { n_estimators: 0, ..TrainParams::default() }, "n_estimators = 0 is out of range: 1 to 10000")]
#[case(TrainParams { max_samples: 1, ..TrainParams::default() }, "max_samples = 1 is out of range: 2 to 65536")]
#[case(TrainParams { n_features: 1000, ..TrainParams::default() },
       "n_features = 1000 is out of range: a power of two, 256 to 4194304")]
#[case(TrainParams { contamination: Contamination::Share(f64::NAN), ..TrainParams::default() },
       "contamination = NaN is out of range: auto, or a share above 0 and at most 0.5")]
#[case(TrainParams { n_estimators: 10_000, max_samples: 65_536, ..TrainParams::default() },
       "n_estimators × max_samples = 655360000 is out of range: at most 2097152 together")]
fn a_parameter_out_of_range_is_named(#[case] params: TrainParams, #[case] message: &str) {
    let errors = params.check().unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].to_string(), message);
}

#[test]
fn all_parameters_out_of_range_are_named_together() {
    let params = TrainParams {
        n_estimators: 0,
        max_samples: 0,
        n_features: 0,
        contamination: Contamination::Share(0.6),
        ..TrainParams::default()
    };
    assert_eq!(params.check().unwrap_err().len(), 4);
}

#[test]
fn expected_lines_a_day_follow_from_rows_and_time() {
    let lines = usual(1_000);
    let mut first = FirstPass::new(params().check().unwrap());
    first.observe(&lines);
    let second = first.grow().unwrap();
    let model = second.finish(Provenance {
        rows: 1_000,
        first_time: 0,
        last_time: 43_200_000_000,
        ..Provenance::default()
    });
    let threshold = model.threshold(Contamination::Share(0.05));
    let expected = model.expected_per_day(threshold.score).unwrap();
    assert!((expected - threshold.share * 2_000.0).abs() < 1e-9);
    assert_eq!(train(&lines, params()).expected_per_day(0.5), None);
}

#[test]
fn a_sample_of_longer_input_states_its_error_and_is_near_the_exact_distribution() {
    let lines = usual(40_000);
    let quick = || TrainParams { n_estimators: 5, max_samples: 64, ..TrainParams::default() };
    let exact = train(&lines, quick());
    let mut first = FirstPass::new(quick().check().unwrap());
    first.observe(&lines);
    let mut second = first.grow().unwrap();
    let error = second.calibrate_from_sample();
    assert!(error > 0.0 && error < 0.001, "{error}");
    let sampled = second.finish(Provenance::default());
    let threshold = exact.threshold(Contamination::Share(0.05));
    let off = (sampled.share_above(threshold.score) - threshold.share).abs();
    assert!(off < 5.0 * error, "{off} against {error}");
}
