//! Reading recorded logs from outside: compression, shapes, bad input.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use corpus::{Batch, CorpusError, Input, Options, Place, Reader, Rejects, expand};
use engine::decode::{Decoder, RejectReason};
use engine::event::{EventTime, LogEvent};
use engine::features::{Canonical, KeyMaker};
use engine::model::train::Item;
use engine::redact::Redactor;
use proptest::prelude::*;
use rstest::rstest;

const CSV: &str = "timestamp,service,level,message\n\
    2026-01-05T00:00:00Z,orders,INFO,\"Order 1 created, paid\"\n\
    2026-01-05T00:00:01Z,auth,ERROR,\"two\nlines\"\n\
    2026-01-05T00:00:02Z,auth,WARN,last\n";

fn options() -> Options {
    Options { decoder: Decoder::default(), now: EventTime::from_millis(1_767_571_200_000) }
}

fn read(inputs: &[Input]) -> Result<(Vec<LogEvent>, Vec<Place>, Rejects), CorpusError> {
    let options = options();
    let mut reader = Reader::new(inputs, &options);
    let (mut events, mut places, mut batch) = (Vec::new(), Vec::new(), Batch::default());
    while reader.next_batch(&mut batch)? {
        events.append(&mut batch.events);
        places.append(&mut batch.places);
    }
    Ok((events, places, reader.rejects().clone()))
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn read_bytes(name: &str, bytes: &[u8]) -> Result<(Vec<LogEvent>, Vec<Place>, Rejects), CorpusError> {
    let folder = tempfile::tempdir().unwrap();
    read(&[Input::File(write(folder.path(), name, bytes))])
}

#[test]
fn csv_rows_become_events_with_their_line_numbers() {
    let (events, places, rejects) = read_bytes("x.csv", CSV.as_bytes()).unwrap();
    let messages: Vec<_> = events.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(messages, ["Order 1 created, paid", "two\nlines", "last"]);
    assert_eq!(places.iter().map(|place| place.line).collect::<Vec<_>>(), [2, 3, 5]);
    assert_eq!(events[1].service, "auth");
    assert_eq!(rejects.total(), 0);
}

/// Events of a CSV file, and whether reading called them clean.
fn read_screened(rows: &[[String; 3]], redactor: &Redactor) -> Vec<(LogEvent, bool)> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["level", "service", "message", "note"]).unwrap();
    for [service, message, note] in rows {
        writer.write_record(["INFO", service, message, note]).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let inputs = [Input::File(write(folder.path(), "x.csv", &writer.into_inner().unwrap()))];
    let options = options();
    let mut reader = Reader::new(&inputs, &options).look_for_secrets(redactor);
    let (mut found, mut batch) = (Vec::new(), Batch::default());
    while reader.next_batch(&mut batch).unwrap() {
        assert_eq!(batch.events.len(), batch.clean.len());
        found.extend(batch.events.drain(..).zip(batch.clean.iter().copied()));
    }
    found
}

fn text_with_secrets() -> impl Strategy<Value = String> {
    let parts = [
        "a",
        " ",
        ",",
        "\"",
        "\n",
        "é",
        "order 17",
        "password=",
        "token: ",
        "Bearer abcdef123456",
        "4111 1111 ",
        "1111 1111",
        "amqp://u:p@h/",
        "</",
        "x7",
    ];
    proptest::collection::vec(proptest::sample::select(parts.to_vec()), 1..5).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_event_that_is_called_clean_holds_no_secret(
        rows in proptest::collection::vec(proptest::array::uniform3(text_with_secrets()), 1..20),
    ) {
        let redactor = Redactor::default();
        for (event, is_clean) in read_screened(&rows, &redactor) {
            let mut redacted = event.clone();
            prop_assert!(redactor.redact(&mut redacted) == 0 || !is_clean, "{:?}", event);
        }
    }
}

/// Text of rows that repeat but for what is put for `#`.
fn repeating() -> impl Strategy<Value = String> {
    let outline = [
        "order # paid",
        "",
        "{#",
        "shop-#",
        "#",
        "node#.example",
        "took #x#",
        "0x# read",
        "at 10.0.0.#",
        "pin=#",
        "card #",
        "\"#\" said",
        "# a, b",
        " #\n",
        "password #",
    ];
    let digits = ["1", "7", "0", "12", "03", "4111111111111111", "4111111111111112", "abc4", "\u{e9}"];
    let parts = (proptest::sample::select(outline.to_vec()), proptest::sample::select(digits.to_vec()));
    parts.prop_map(|(outline, digits)| outline.replace('#', digits))
}

/// A row of a CSV file: time, service, level, message, another column.
fn repeating_row() -> impl Strategy<Value = [String; 5]> {
    let times =
        ["2026-01-05T00:00:0#Z", "2026-01-#5T00:00:00Z", "2026-1#-05T00:00:00.5Z", "17675712#0", "#", ""];
    let levels = ["INFO", "WARN", "", "3#", "info#", "error"];
    let time = (proptest::sample::select(times.to_vec()), 0..10)
        .prop_map(|(time, digit): (&str, i32)| time.replace('#', &digit.to_string()));
    let level = (proptest::sample::select(levels.to_vec()), 0..3)
        .prop_map(|(level, digit): (&str, i32)| level.replace('#', &digit.to_string()));
    (time, repeating(), level, repeating(), repeating())
        .prop_map(|(time, service, level, message, note)| [time, service, level, message, note])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn lines_that_are_recalled_are_those_that_are_read(rows in proptest::collection::vec(repeating_row(), 1..200)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["time", "service", "level", "message", "note"]).unwrap();
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let bytes = writer.into_inner().unwrap();
        let inputs = ["x.csv", "y.csv"].map(|name| Input::File(write(folder.path(), name, &bytes)));
        let (events, places, rejects) = read(&inputs).unwrap();
        let (options, redactor, maker) = (options(), Redactor::default(), KeyMaker::new(5));
        let key = |event: &LogEvent| {
            let mut canonical = Canonical::default();
            canonical.read(&event.message);
            maker.key(canonical.text(), &event.service, event.level)
        };
        let is_clean = |event: &LogEvent| redactor.redact(&mut LogEvent { attributes: Vec::new(), ..event.clone() }) == 0;
        let mut reader = Reader::new(&inputs, &options).recall(maker.clone(), &redactor);
        let (mut number, mut batch) = (0, Batch::default());
        while reader.next_batch(&mut batch).unwrap() {
            prop_assert_eq!(batch.items.len(), batch.events.len() + batch.again.len());
            for item in &batch.items {
                let at = item.number();
                let event = &events[number];
                let place = match *item {
                    Item::Raw(_) => batch.places[at],
                    Item::Clean(_, found) => {
                        prop_assert_eq!(found, key(event));
                        prop_assert!(is_clean(event));
                        batch.places[at]
                    }
                    Item::Again(_, found) => {
                        prop_assert_eq!(found, key(event));
                        prop_assert!(is_clean(event));
                        prop_assert_eq!(&batch.event_again(at, &options.decoder), event);
                        prop_assert_eq!(batch.again[at].time, Some(event.timestamp));
                        batch.again[at].place
                    }
                };
                if !matches!(item, Item::Again(..)) {
                    prop_assert_eq!(&batch.events[at], event);
                }
                prop_assert_eq!(place, places[number]);
                number += 1;
            }
        }
        prop_assert_eq!(number, events.len());
        prop_assert_eq!(reader.rejects().total(), rejects.total());
    }
}

#[test]
fn rows_that_differ_in_their_numbers_are_recalled() {
    let mut text = "timestamp,service,level,message\n".to_owned();
    for row in 10..60 {
        text += &format!("2026-01-05T00:00:{row}Z,api-{},INFO,took {row} ms\n", row % 2);
    }
    let folder = tempfile::tempdir().unwrap();
    let inputs = [Input::File(write(folder.path(), "x.csv", text.as_bytes()))];
    let (options, redactor) = (options(), Redactor::default());
    let mut reader = Reader::new(&inputs, &options).recall(KeyMaker::new(5), &redactor);
    let mut batch = Batch::default();
    assert!(reader.next_batch(&mut batch).unwrap());
    // The first, and those whose service has other digits.
    assert_eq!((batch.events.len(), batch.again.len()), (26, 24));
}

#[test]
fn an_ordinary_row_needs_one_look_for_secrets() {
    let redactor = Redactor::default();
    let row = |message: &str| ["shop".to_owned(), message.to_owned(), String::new()];
    let found = read_screened(&[row("order 17, paid"), row("order \"17\"")], &redactor);
    assert_eq!(found[0].1, redactor.is_clean(b"INFO,shop,\"order 17, paid\","));
    assert_eq!(found[1].1, redactor.is_clean(b"INFO,shop,order \"17\","));
}

#[test]
fn compression_is_found_by_content_whatever_the_name() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(CSV.as_bytes()).unwrap();
    let zstd = zstd::encode_all(CSV.as_bytes(), 1).unwrap();
    let plain = read_bytes("x", CSV.as_bytes()).unwrap();
    for bytes in [gzip.finish().unwrap(), zstd] {
        assert_eq!(read_bytes("x.anything", &bytes).unwrap(), plain);
    }
}

#[test]
fn json_lines_and_text_need_no_name_and_no_setting() {
    let text = "{\"timestamp\":\"2026-01-05T00:00:00Z\",\"level\":\"warn\",\"service\":\"a\",\"message\":\"m\"}\n\
        2026-01-05 00:00:01,978 INFO [main] org.example.App: started\n";
    let (events, places, rejects) = read_bytes("mixed", text.as_bytes()).unwrap();
    assert_eq!(rejects.total(), 0);
    assert_eq!((events.len(), places[1].line), (2, 2));
    assert_eq!(events[0].service, "a");
    assert!(events[1].message.contains("started"));
}

#[test]
fn a_stack_trace_is_one_event_at_its_first_line() {
    let text = "2026-01-05 00:00:01,978 ERROR [main] org.example.App: failed\njava.lang.IllegalStateException: no\n\tat org.example.App.run(App.java:7)\n2026-01-05 00:00:02,000 INFO [main] org.example.App: stopped\n";
    let (events, places, rejects) = read_bytes("app.log", text.as_bytes()).unwrap();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events[0].message.contains("App.java:7"), "{:?}", events[0]);
    assert_eq!((places[0].line, places[1].line, rejects.total()), (1, 4, 0));
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_column() {
    let (events, ..) = read_bytes("x.csv", format!("\u{feff}{CSV}").as_bytes()).unwrap();
    assert_eq!(events.len(), 3);
    assert_eq!(events[0].timestamp.to_string(), "2026-01-05T00:00:00Z");
}

#[test]
fn several_inputs_and_patterns_are_read_in_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.log", "a.log", "c.txt"] {
        write(folder.path(), name, format!("2026-01-05T00:00:00Z INFO app: from {name}\n").as_bytes());
    }
    let inputs = expand(&[format!("{}/*.log", folder.path().display())]).unwrap();
    let (events, places, _) = read(&inputs).unwrap();
    assert!(events[0].message.ends_with("a.log") && events[1].message.ends_with("b.log"), "{events:?}");
    assert_eq!((places[0].input, places[1].input, events.len()), (0, 1, 2));
}

#[rstest]
#[case::ragged(
    b"timestamp,service,level,message\n2026-01-05,a,INFO,x,y\n",
    RejectReason::WrongColumnCount,
    2
)]
#[case::short(b"timestamp,service,level,message\n2026-01-05,a\n", RejectReason::WrongColumnCount, 2)]
#[case::quoting(b"timestamp,service,level,message\n2026-01-05,a,INFO,\"x\"y\n", RejectReason::Malformed, 2)]
#[case::utf8(b"timestamp,service,level,message\n2026-01-05,a,INFO,\xff\xfe\n", RejectReason::InvalidUtf8, 2)]
#[case::time(b"timestamp,service,level,message\nnever,a,INFO,x\n", RejectReason::InvalidTime, 2)]
#[case::blank(b"timestamp,service,level,message\n\n", RejectReason::Empty, 2)]
fn a_bad_row_is_counted_with_its_line_and_the_rest_is_read(
    #[case] head: &[u8],
    #[case] reason: RejectReason,
    #[case] line: u64,
) {
    let bytes = [head, b"2026-01-05T00:00:00Z,a,INFO,good\n"].concat();
    let (events, _, rejects) = read_bytes("x.csv", &bytes).unwrap();
    assert_eq!(events.len(), 1, "{rejects:?}");
    let all: Vec<_> = rejects.iter().collect();
    assert_eq!((all[0].0, all[0].1, all[0].2[0].line), (reason, 1, line));
    assert!(!all[0].2[0].detail.is_empty());
}

#[test]
fn a_nul_byte_is_part_of_the_text() {
    let (events, _, rejects) =
        read_bytes("x.csv", b"timestamp,service,level,message\n2026-01-05,a,INFO,x\0y\n").unwrap();
    assert_eq!((events[0].message.as_str(), rejects.total()), ("x\0y", 0));
}

#[rstest]
#[case::csv("x.csv", "timestamp,service,level,message\n2026-01-05,a,INFO,")]
#[case::text("x.log", "")]
fn a_line_of_ten_megabytes_is_rejected_as_too_long(#[case] name: &str, #[case] start: &str) {
    let long = "x".repeat(10 << 20);
    let end = if name.ends_with("csv") {
        "2026-01-05T00:00:00Z,a,INFO,good\n"
    } else {
        "2026-01-05T00:00:00Z INFO good\n"
    };
    let (events, _, rejects) = read_bytes(name, format!("{start}{long}\n{end}").as_bytes()).unwrap();
    let (reason, count, examples) = rejects.iter().next().unwrap();
    assert_eq!((reason, count, events.len()), (RejectReason::TooLong, 1, 1));
    assert!(examples[0].detail.contains("at most 1048576 are allowed"), "{}", examples[0].detail);
}

#[rstest]
#[case::no_message(
    "a,b\n1,2\n",
    "x.csv: line 1: the CSV header `a,b` has no column for the message; one of these names is needed: message"
)]
#[case::no_header("2026-01-05T00:00:00Z,a,INFO,hello\n", "has no column for the message")]
#[case::twice("message,level,message\n", "names the column `message` twice")]
fn a_csv_with_a_wrong_header_is_refused_by_name(#[case] text: &str, #[case] message: &str) {
    let error = read_bytes("x.csv", text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn utf_16_is_refused_with_the_command_that_converts_it() {
    let error = read_bytes("x.log", b"\xff\xfeh\0i\0\n\0").unwrap_err().to_string();
    assert!(error.contains("iconv -f UTF-16 -t UTF-8"), "{error}");
}

#[test]
fn an_empty_file_gives_no_event_and_no_error() {
    for name in ["x.csv", "x.log"] {
        let (events, _, rejects) = read_bytes(name, b"").unwrap();
        assert_eq!((events.len(), rejects.total()), (0, 0));
    }
}

#[test]
fn damaged_compression_names_the_file_and_the_line_it_came_to() {
    let mut whole = zstd::encode_all(CSV.repeat(2_000).as_bytes(), 1).unwrap();
    whole.truncate(whole.len() - 9);
    let error = read_bytes("x.csv.zst", &whole).unwrap_err().to_string();
    assert!(error.contains("x.csv.zst: cannot be read"), "{error}");
}

#[test]
fn names_that_match_nothing_and_folders_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().display().to_string();
    let error = |name: String| expand(&[name]).unwrap_err().to_string();
    assert!(error(format!("{name}/none.csv")).contains("no such file"));
    assert!(error(format!("{name}/*.csv")).contains("no such file"));
    assert!(error(name).contains("is a folder; name its files"));
    assert!(expand(&["-".to_owned(), "-".to_owned()]).unwrap_err().to_string().contains("only once"));
    assert!(expand(&[]).is_err());
}
