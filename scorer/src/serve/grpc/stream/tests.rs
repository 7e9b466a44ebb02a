//! The quick way answers as the other one does.

use proptest::prelude::*;
use proto::v1::line::Content;

use super::*;
use crate::serve::tests::{loaded, settings};

fn texts() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "order 17 shipped",
        "vault sealed: quorum lost",
        " ",
        "",
        "login password=hunter2",
        "ünï 4111111111111111",
        "api",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => ".{0,12}"]
}

prop_compose! {
    fn event()(
        timestamp in prop::option::of((-5_i64..2_000_000_000, -1_i32..1_000_000_001)), service in texts(), level in -1..8,
        message in texts(), attributes in prop::collection::hash_map("[a-z]{1,3}|password|", texts(), 0..4),
    ) -> v1::LogEvent {
        let timestamp = timestamp.map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos });
        v1::LogEvent { timestamp, service, level, message, attributes }
    }
}

prop_compose! {
    fn request()(
        id: u64, explain in 0..5,
        content in prop::option::of(prop_oneof![4 => event().prop_map(Content::Event), 1 => texts().prop_map(Content::Text)]),
        service in texts(), seconds in 0_i64..9,
    ) -> v1::ScoreStreamRequest {
        let received_at = Some(prost_types::Timestamp { seconds, nanos: 0 });
        v1::ScoreStreamRequest { id, line: Some(v1::Line { content, service, received_at }), explain }
    }
}

#[test]
fn the_quick_way_answers_as_the_other_does_and_is_taken_by_ordinary_events() {
    let loaded = loaded();
    let live = crate::live::LiveModel::default();
    let loaded = live.set(loaded);
    let metrics = crate::metrics::Metrics::default();
    let scoring = Scoring::new(live, None, &settings(&[]), metrics.clone(), CancellationToken::new());
    let mut answering = StreamCodec(scoring.clone()).decoder();
    let quick = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(3_000));
    let answering = RefCell::new(&mut answering);
    let result = runner.run(&request(), |request| {
        let mut out = Vec::new();
        if answering.borrow_mut().quickly(&request.encode_to_vec(), &loaded, &mut out).is_some() {
            quick.set(quick.get() + 1);
            let answer = v1::ScoreStreamResponse::decode(&*out).unwrap();
            prop_assert_eq!(answer, scoring.stream_answer(request, &loaded));
        }
        Ok(())
    });
    assert_eq!(result, Ok(()));
    assert!(quick.get() > 10, "{}", quick.get());
    // Each quick answer was given the other way as well.
    assert_eq!(metrics.grpc_lines_scored.get() + metrics.grpc_lines_rejected.get(), 2 * quick.get());
    assert!(metrics.score_table_hits.get() >= metrics.grpc_lines_scored.get() / 2);
}

#[test]
fn faulty_bytes_are_left_to_prost() {
    let limits = engine::event::Limits::default();
    for faulty in [&[0xff; 12][..], &[0x12, 0x7f], &[0x12, 0x02, 0x1a, 0x7f], &[]] {
        assert!(Asked::read(faulty, limits).is_none());
    }
}
