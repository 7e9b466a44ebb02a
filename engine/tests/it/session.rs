//! Models of whole sessions: odd ones score high and say why, and how they are trained never changes a bit of them.

use engine::artifact;
use engine::event::{EventTime, Level, LogEvent};
use engine::model::session::{
    Session, SessionKey, SessionModel, SessionReader, SessionSettings, SessionTrainer,
};
use engine::model::train::TrainParams;
use engine::model::{Contamination, ReasonKind};

use crate::events::{event, params, train, usual};

const STEPS: [&str; 5] = [
    "order {} received",
    "stock reserved for order {}",
    "payment of order {} accepted",
    "parcel {} handed over",
    "order {} closed",
];

/// Lines of `orders` that overlap in time; each is one session, and every third reserves stock twice.
fn orders(orders: usize) -> Vec<LogEvent> {
    let mut lines = Vec::new();
    for order in 0..orders {
        for (step, text) in STEPS.iter().enumerate() {
            for repeat in 0..=usize::from(step == 1 && order % 3 == 0) {
                lines.push(line(order, order * 900 + step * 500 + repeat, text));
            }
        }
    }
    lines.sort_by_key(|line| line.timestamp);
    lines
}

fn line(order: usize, millis: usize, text: &str) -> LogEvent {
    let mut line = event("orders", Level::Info, &text.replace("{}", &order.to_string()));
    line.timestamp = EventTime::from_millis(1_700_000_000_000 + millis as i64);
    line.attributes.push(("trace_id".into(), format!("t{order}")));
    line
}

fn session(texts: &[&str]) -> Session {
    let (mut reader, mut session) = (SessionReader::default(), Session::default());
    texts.iter().for_each(|text| reader.add(&line(7, 0, text), &mut session));
    session
}

fn trainer(params: TrainParams) -> SessionTrainer {
    let key = SessionKey::parse("trace_id").unwrap();
    SessionTrainer::new(params.check().unwrap(), key, SessionSettings::default())
}

fn trained(lines: &[LogEvent]) -> SessionModel {
    let mut trainer = trainer(params());
    trainer.observe(lines);
    trainer.finish().unwrap()
}

#[test]
fn an_odd_session_scores_above_all_usual_ones_and_says_why() {
    let lines = orders(600);
    let model = trained(&lines);
    assert_eq!(model.sessions(), 600);
    let mut open = model.open_sessions();
    let mut usual = Vec::new();
    lines.iter().for_each(|line| open.observe(line, |session| usual.push(session)));
    open.finish(|session| usual.push(session));
    let greatest = usual.iter().map(|session| model.score_training(session).score).fold(0.0, f64::max);

    let broken = session(&STEPS[..2]);
    let failed = session(&[STEPS[0], STEPS[1], "payment gateway timed out", STEPS[3], STEPS[4]]);
    let looping = session(&[STEPS[0], STEPS[1], STEPS[2], STEPS[2], STEPS[2], STEPS[2], STEPS[3], STEPS[4]]);
    let cases = [
        (&broken, ReasonKind::MissingEvent, "order <num> closed"),
        (&failed, ReasonKind::RareEvent, "payment gateway timed out"),
        (&looping, ReasonKind::UnusualCount, "4 × payment of order <num> accepted"),
    ];
    let threshold = model.threshold(Contamination::Share(0.05)).score;
    for (odd, kind, word) in cases {
        let score = model.score(odd);
        assert!(score.score > greatest && score.score > threshold, "{score:?} is not above {greatest}");
        assert!(score.percentile > 99.0 && score.forest > 0.0);
        let reasons = model.explain(odd);
        let found = reasons.iter().any(|reason| reason.kind == kind && reason.word == word);
        assert!(found, "no {kind:?} {word} in {reasons:?}");
    }
    assert!(model.score(&failed).surprisal > 6.0);
}

#[test]
fn threads_and_batch_cuts_change_no_byte() {
    let lines = orders(300);
    let bytes = |threads: usize, cut: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut trainer = trainer(params());
            lines.chunks(cut).for_each(|batch| trainer.observe(batch));
            artifact::to_bytes(&train(&usual(200), params()).with_sessions(trainer.finish().unwrap()))
                .unwrap()
        })
    };
    let expected = bytes(1, lines.len());
    assert_eq!(bytes(8, 1), expected);
    assert_eq!(bytes(2, 97), expected);
}

#[test]
fn a_stored_model_of_sessions_scores_as_before() {
    let model = train(&usual(200), params());
    assert!(model.sessions().is_none());
    let plain = model.digest().to_owned();
    let model = model.with_sessions(trained(&orders(200)));
    assert_ne!(model.digest(), plain);
    let again = artifact::from_bytes(&artifact::to_bytes(&model).unwrap()).unwrap();
    assert_eq!(again.digest(), model.digest());
    let (before, after) = (model.sessions().unwrap(), again.sessions().unwrap());
    assert_eq!(after.key().as_str(), "trace_id");
    assert_eq!(after.settings(), before.settings());
    for odd in [session(&STEPS[..3]), session(&["never seen"]), Session::default()] {
        assert_eq!(after.score(&odd), before.score(&odd));
        assert_eq!(after.explain(&odd), before.explain(&odd));
        assert!((0.0..=1.0).contains(&after.score(&odd).score));
    }
}

#[test]
fn models_without_sessions_keep_their_format_and_those_with_older_sessions_ask_to_train_again() {
    let plain = train(&usual(200), params());
    assert_eq!(artifact::to_bytes(&plain).unwrap()[8..12], artifact::WITHOUT_SESSIONS.to_le_bytes());
    let mut bytes = artifact::to_bytes(&plain.with_sessions(trained(&orders(200)))).unwrap();
    assert_eq!(bytes[8..12], artifact::VERSION.to_le_bytes());
    bytes[8..12].copy_from_slice(&artifact::WITHOUT_SESSIONS.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
    let error = artifact::from_bytes(&bytes).unwrap_err().to_string();
    assert!(error.contains("format version 4") && error.contains("train it again"), "{error}");
}

#[test]
fn fewer_than_two_sessions_make_no_model() {
    let mut one = trainer(params());
    one.observe(&orders(1));
    assert!(one.finish().is_none());
    let mut none = trainer(params());
    none.observe(&usual(50));
    assert!(none.finish().is_none());
}
