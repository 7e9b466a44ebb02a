use proptest::prelude::*;

use super::*;

const NOW: EventTime = EventTime::from_millis(1_700_000_000_000);

fn join(lines: &[&str]) -> Vec<String> {
    let mut joiner = Joiner::new(JoinSettings::default());
    let mut out = Vec::new();
    for (position, line) in lines.iter().enumerate() {
        joiner.push("a", line.as_bytes(), position, NOW, &mut out);
    }
    joiner.flush(&mut out);
    out.into_iter().map(|joined| String::from_utf8(joined.record).unwrap()).collect()
}

#[test]
fn a_java_stack_trace_is_one_record() {
    let lines = [
        "2024-01-01 12:00:00,123 ERROR [main] com.acme.Pay - refused",
        "java.lang.IllegalStateException: no card",
        "\tat com.acme.Pay.charge(Pay.java:12)",
        "Caused by: java.io.IOException: closed",
        "\t... 12 more",
        "2024-01-01 12:00:01,000 INFO [main] com.acme.Pay - next",
    ];
    assert_eq!(join(&lines), [lines[..5].join("\n"), lines[5].to_owned()]);
}

#[test]
fn a_stack_trace_without_a_log_line_is_one_record() {
    let lines = [
        "Exception in thread \"main\" java.lang.Error: x",
        "    at a.B.c(B.java:1)",
        "... 3 more",
        "plain line",
    ];
    assert_eq!(join(&lines), [lines[..3].join("\n"), lines[3].to_owned()]);
}

#[test]
fn a_traceback_ends_with_its_exception() {
    let lines = [
        "ERROR:root:failed",
        "Traceback (most recent call last):",
        "  File \"x.py\", line 1, in <module>",
        "    f()",
        "ValueError: bad",
        "INFO:root:next",
    ];
    assert_eq!(join(&lines), [lines[..5].join("\n"), lines[5].to_owned()]);
    let bare = ["Traceback (most recent call last):", "  File \"x.py\"", "ValueError: bad", "other words"];
    assert_eq!(join(&bare), [bare[..3].join("\n"), bare[3].to_owned()]);
}

#[test]
fn plain_lines_stay_apart() {
    let lines = ["one line", "another line", "a third"];
    assert_eq!(join(&lines), lines);
}

#[test]
fn pretty_printed_json_is_one_record() {
    let lines = ["{", "  \"message\": \"x\",", "\"level\": \"info\"", "}", "{\"message\":\"y\"}"];
    assert_eq!(join(&lines), [lines[..4].join("\n"), lines[4].to_owned()]);
}

#[test]
fn partial_lines_of_a_container_are_put_together() {
    let lines = [
        "2024-01-01T00:00:00.0000001Z stdout P {\"msg\":\"lo",
        "2024-01-01T00:00:00.0000002Z stdout F ng\"}",
        "2024-01-01T00:00:00.0000003Z stdout F \tat a.b",
    ];
    assert_eq!(join(&lines), ["2024-01-01T00:00:00.0000001Z stdout F {\"msg\":\"long\"}\n\tat a.b"]);
}

#[test]
fn sources_do_not_mix_and_positions_tell_what_waits() {
    let mut joiner = Joiner::new(JoinSettings::default());
    let mut out = Vec::new();
    joiner.push("a", b"2024-01-01 00:00:00 ERROR x", 0, NOW, &mut out);
    joiner.push("b", b"2024-01-01 00:00:00 ERROR y", 1, NOW, &mut out);
    joiner.push("a", b"\tat a", 2, NOW, &mut out);
    joiner.push("b", b"\tat b", 3, NOW, &mut out);
    assert!(out.is_empty());
    assert_eq!(joiner.pending().collect::<Vec<_>>(), [("a", 0), ("b", 1)]);
    joiner.push("a", b"2024-01-01 00:00:01 INFO z", 4, NOW, &mut out);
    assert_eq!((out[0].first, out[0].last, out[0].lines), (0, 2, 2));
    assert_eq!(joiner.pending().collect::<Vec<_>>(), [("b", 1), ("a", 4)]);
}

#[test]
fn a_silent_source_gives_its_record_out() {
    let mut joiner = Joiner::new(JoinSettings::default());
    let mut out = Vec::new();
    joiner.push("a", b"2024-01-01 00:00:00 ERROR x", 0, NOW, &mut out);
    joiner.tick(EventTime::from_micros(NOW.as_micros() + 999_999), &mut out);
    assert!(out.is_empty());
    joiner.tick(EventTime::from_micros(NOW.as_micros() + 1_000_000), &mut out);
    assert_eq!(out.len(), 1);
    assert_eq!(joiner.pending().count(), 0);
}

#[test]
fn size_lines_and_sources_are_bounded() {
    let settings = JoinSettings { max_bytes: 64, max_lines: 4, max_sources: 2, ..JoinSettings::default() };
    let mut joiner = Joiner::new(settings);
    let mut out = Vec::new();
    joiner.push("a", b"2024-01-01 00:00:00 ERROR x", 0, NOW, &mut out);
    for position in 1..10 {
        joiner.push("a", b"\tat a", position, NOW, &mut out);
    }
    assert!(out.iter().all(|joined| joined.cut && joined.lines <= 4 && joined.record.len() <= 64));
    for source in ["b", "c", "d"] {
        joiner.push(source, b"x", 20, NOW, &mut out);
    }
    assert_eq!(joiner.pending().count(), 2);
}

proptest! {
    #[test]
    fn no_line_is_lost_or_put_out_of_order(
        lines in prop::collection::vec("(2024-01-01 00:00:00 |\\t|at |ERROR |Traceback \\(most recent call last\\)|\\{|\\})?[a-z ]{0,6}", 0..30),
        sources in prop::collection::vec(0usize..3, 30),
    ) {
        let mut joiner = Joiner::new(JoinSettings { max_lines: 5, max_sources: 2, ..JoinSettings::default() });
        let mut out = Vec::new();
        for (position, line) in lines.iter().enumerate() {
            let source = ["a", "b", "c"][sources[position]];
            joiner.push(source, line.as_bytes(), (source, position), NOW, &mut out);
        }
        joiner.flush(&mut out);
        for source in ["a", "b", "c"] {
            let joined: Vec<String> = out
                .iter()
                .filter(|joined| joined.first.0 == source)
                .map(|joined| String::from_utf8(joined.record.clone()).unwrap())
                .collect();
            let expected: Vec<&str> =
                lines.iter().enumerate().filter(|(at, _)| sources[*at] == ["a", "b", "c"].iter().position(|name| *name == source).unwrap()).map(|(_, line)| line.as_str()).collect();
            prop_assert_eq!(joined.join("\n"), expected.join("\n"));
        }
        prop_assert_eq!(out.iter().map(|joined| joined.lines).sum::<usize>(), lines.len());
    }

    #[test]
    fn no_bytes_make_it_panic(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..10)) {
        let mut joiner = Joiner::new(JoinSettings::default());
        let mut out = Vec::new();
        for (position, line) in lines.iter().enumerate() {
            joiner.push("a", line, position, NOW, &mut out);
        }
        joiner.flush(&mut out);
        prop_assert_eq!(out.iter().map(|joined| joined.lines).sum::<usize>(), lines.len());
    }
}
