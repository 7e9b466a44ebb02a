//! Decoding seen from outside: samples of every shape, limits, faults, and what holds for any record.

mod otlp;
mod samples;

use engine::decode::csv::CsvHeader;
use engine::decode::{DECODERS, DecodeSettings, Decoder, RecordContext, RejectReason, UserPattern};
use engine::event::{EventTime, Level, Limits, LogEvent};
use proptest::prelude::*;

/// 2024-03-05T06:07:08Z.
const TRANSPORT: EventTime = EventTime::from_millis(1_709_618_828_000);

fn context() -> RecordContext<'static> {
    RecordContext { transport_time: TRANSPORT, service: None }
}

fn decode(record: impl AsRef<[u8]>) -> Result<Vec<LogEvent>, engine::decode::Rejected> {
    let mut events = Vec::new();
    Decoder::default().decode(record.as_ref(), context(), &mut events).map(|()| events)
}

#[test]
fn an_array_of_objects_gives_one_event_each_or_none() {
    assert_eq!(decode(r#"[{"message":"a"},{"message":"b"}]"#).unwrap().len(), 2);
    let mut out = vec![LogEvent::default()];
    let result = Decoder::default().decode(br#"[{"message":"a"},{"message":""}]"#, context(), &mut out);
    assert_eq!(result.unwrap_err().reason, RejectReason::NoMessage);
    assert_eq!(out.len(), 1);
}

#[test]
fn a_pattern_of_the_user_comes_first() {
    let pattern =
        UserPattern::new(r"^(?P<level>\w)\|(?P<timestamp>\d+)\|(?P<service>\w+)\|(?P<message>.*)$").unwrap();
    let decoder = Decoder::new(DecodeSettings { pattern: Some(pattern), ..DecodeSettings::default() });
    let mut events = Vec::new();
    decoder.decode(b"E|1704164645|pay|went wrong", context(), &mut events).unwrap();
    decoder.decode(b"another line", context(), &mut events).unwrap();
    assert_eq!(events[0].timestamp.to_string(), "2024-01-02T03:04:05Z");
    assert_eq!(
        (events[0].level, &*events[0].service, &*events[0].message),
        (Some(Level::Error), "pay", "went wrong")
    );
    assert_eq!(events[1].message, "another line");
    assert!(UserPattern::new("(").is_err());
    assert!(UserPattern::new("no names").unwrap_err().to_string().contains("named group"));
}

#[test]
fn faults_are_told_with_value_and_limit() {
    let cases: [(&[u8], RejectReason, &str); 9] = [
        (b" \n", RejectReason::Empty, "white space"),
        (b"abc \xff\xfe", RejectReason::InvalidUtf8, "byte 4 of 6 (0xff)"),
        (br#"{"message":"x""#, RejectReason::InvalidJson, "byte 14"),
        (br#"{"message":"x"} trailing"#, RejectReason::InvalidJson, "byte 16"),
        (br#"{"timestamp":"soon","message":"x"}"#, RejectReason::InvalidTime, "`timestamp` is `soon`"),
        (br#"{"timestamp":1e300,"message":"x"}"#, RejectReason::InvalidTime, "1e300"),
        (b"{}", RejectReason::NoMessage, "no field"),
        (br#"{"message":null,"level":"info"}"#, RejectReason::NoMessage, "no field"),
        (br#"{"resourceLogs":[]}"#, RejectReason::Empty, "no log record"),
    ];
    for (record, reason, part) in cases {
        let rejected = decode(record).unwrap_err();
        assert_eq!(rejected.reason, reason, "{rejected}");
        assert!(rejected.detail.contains(part), "{rejected}");
    }
}

#[test]
fn limits_hold_at_their_edges() {
    let limits = Limits { max_line_bytes: 100, max_attributes: 2, max_depth: 3, ..Limits::default() };
    let decoder = Decoder::new(DecodeSettings { limits, ..DecodeSettings::default() });
    let reason = |record: &str| {
        let result = decoder.decode(record.as_bytes(), context(), &mut Vec::new());
        result.err().map(|rejected| (rejected.reason, rejected.detail))
    };
    assert_eq!(reason(&"x".repeat(100)), None);
    let (too_long, detail) = reason(&"x".repeat(101)).unwrap();
    assert_eq!(
        (too_long, &*detail),
        (RejectReason::TooLong, "the record has 101 bytes, at most 100 are allowed")
    );
    assert_eq!(reason(r#"{"message":"m","a":1,"b":2}"#), None);
    let (too_many, detail) = reason(r#"{"message":"m","a":1,"b":2,"c":3}"#).unwrap();
    assert_eq!(too_many, RejectReason::TooManyAttributes);
    assert!(detail.contains("3 fields") && detail.contains("at most 2"), "{detail}");
    assert_eq!(reason(r#"{"message":"m","a":{"b":{"c":1}}}"#), None);
    let (too_deep, detail) = reason(r#"{"message":"m","a":{"b":{"c":{}}}}"#).unwrap();
    assert_eq!(too_deep, RejectReason::TooDeep);
    assert!(detail.contains("4 levels") && detail.contains("at most 3"), "{detail}");
    assert_eq!(reason(r#"{"message":"m","a":[[[1]]]}"#).unwrap().0, RejectReason::TooDeep);
}

#[test]
fn a_hundred_thousand_brackets_do_not_overflow_the_stack() {
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let record = format!("{{\"message\":\"m\",\"x\":{}", open.repeat(100_000));
        assert_eq!(decode(&record).unwrap_err().reason, RejectReason::TooDeep);
    }
}

#[test]
fn control_characters_stay_in_the_message() {
    let events = decode("{\"message\":\"a\u{0}b\\u0007\tc\"}").unwrap();
    assert_eq!(events[0].message, "a\u{0}b\u{7}\tc");
    assert_eq!(decode("a\u{0}b").unwrap()[0].message, "a\u{0}b");
}

#[test]
fn a_service_known_from_outside_stands_in_where_the_record_names_none() {
    let context = RecordContext { service: Some("family"), ..context() };
    let mut events = Vec::new();
    for record in [r#"{"message":"m"}"#, "plain", r#"{"message":"m","service":"own"}"#, "ERROR com.a.B: x"] {
        Decoder::default().decode(record.as_bytes(), context, &mut events).unwrap();
    }
    let services: Vec<_> = events.iter().map(|event| &*event.service).collect();
    assert_eq!(services, ["family", "family", "own", "com.a.B"]);
}

#[test]
fn names_and_docs_of_the_shapes_are_unique() {
    let mut names: Vec<_> = DECODERS.iter().map(|shape| shape.name()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    for shape in DECODERS {
        assert!(
            shape
                .name()
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        );
        assert!(!shape.doc().is_empty());
        let settings = DecodeSettings { format: Some(shape.name().to_owned()), ..DecodeSettings::default() };
        assert!(Decoder::checked(settings).is_ok());
    }
    let settings = DecodeSettings { format: Some("xml".to_owned()), ..DecodeSettings::default() };
    assert!(Decoder::checked(settings).unwrap_err().to_string().contains("known are: otlp_proto, pattern"));
}

#[test]
fn a_fixed_format_refuses_other_shapes() {
    let settings = DecodeSettings { format: Some("json".to_owned()), ..DecodeSettings::default() };
    let rejected = Decoder::new(settings).decode(b"plain words", context(), &mut Vec::new()).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Malformed);
    assert!(rejected.detail.contains("`json`"), "{rejected}");
}

#[test]
fn csv_rows_are_read_by_their_columns() {
    let decoder = Decoder::default();
    let header =
        CsvHeader::parse(b"\xef\xbb\xbftimestamp,service,level,message,label,session\r\n", &decoder).unwrap();
    let row = |cells: &[&'static str]| {
        let cells: Vec<&[u8]> = cells.iter().map(|cell| cell.as_bytes()).collect();
        decoder.decode_row(&header, cells.into_iter(), context())
    };
    let event = row(&["2024-01-02T03:04:05Z", "pay", "SEVERE", "declined, again", "1", "s-1"]).unwrap();
    assert_eq!(event.timestamp.to_string(), "2024-01-02T03:04:05Z");
    assert_eq!(
        (event.level, &*event.service, &*event.message),
        (Some(Level::Error), "pay", "declined, again")
    );
    assert_eq!((event.attribute("label"), event.attribute("session")), (Some("1"), Some("s-1")));
    let reason = |cells: &[&'static str]| row(cells).unwrap_err().reason;
    assert_eq!(reason(&["2024-01-02T03:04:05Z", "pay"]), RejectReason::WrongColumnCount);
    assert_eq!(reason(&["then", "pay", "INFO", "m", "", ""]), RejectReason::InvalidTime);
    assert_eq!(reason(&["2024-01-02T03:04:05Z", "pay", "INFO", "", "0", ""]), RejectReason::NoMessage);
    assert_eq!(reason(&["", "", "", "", "", ""]), RejectReason::Empty);
}

#[test]
fn a_faulty_csv_header_is_refused_with_the_way_out() {
    let decoder = Decoder::default();
    let fault = |header: &[u8]| CsvHeader::parse(header, &decoder).unwrap_err().to_string();
    assert!(fault(b"").contains("timestamp,service,level,message"));
    assert!(fault(b"a,b,c").contains("message, msg"));
    assert!(fault(b"message,message").contains("`message` twice"));
    assert!(fault(b"message,\xff").contains("byte 8"));
    assert!(fault(format!("message{}", ",x".repeat(400)).as_bytes()).contains("at most 260"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = decode(&bytes);
    }

    #[test]
    fn no_text_that_looks_like_a_shape_makes_it_panic(
        start in r#"(\{"|\[\{"|"|<1|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\[|I0102 |[a-z]=|- 1117838570 |Jun 1 01:02:03 |)"#,
        rest in r#"[\[\]{}"\\=:,. \-0-9a-zA-Zé#<>/|@\n]{0,60}"#,
    ) {
        let _ = decode(format!("{start}{rest}"));
    }

    #[test]
    fn a_json_record_comes_back_whole(
        micros in 0i64..4_000_000_000_000_000,
        level in 0usize..6,
        service in "[a-z][a-z0-9_-]{0,12}",
        message in "[^{\\s\"\\pC][^\\pC]{0,40}[^\\s\\pC]",
        attribute in "\\PC{1,20}",
    ) {
        let time = EventTime::from_micros(micros);
        let level = Level::ALL[level];
        let record = serde_json::json!({
            "timestamp": time.to_string(), "level": level.as_str(), "service": service, "message": message,
            "extra": { "x": attribute },
        });
        let events = decode(record.to_string()).unwrap();
        prop_assert_eq!(events[0].timestamp, time);
        prop_assert_eq!(events[0].level, Some(level));
        prop_assert_eq!(&events[0].service, &service);
        prop_assert_eq!(&events[0].message, &message);
        prop_assert_eq!(events[0].attribute("extra.x"), Some(&*attribute));
    }

    #[test]
    fn what_was_decoded_before_stays_when_a_record_is_refused(bytes: Vec<u8>) {
        let mut out = vec![LogEvent { message: "before".to_owned(), ..LogEvent::default() }];
        let accepted = Decoder::default().decode(&bytes, context(), &mut out).is_ok();
        prop_assert_eq!(&out[0].message, "before");
        prop_assert_eq!(out.len() > 1, accepted);
    }

    #[test]
    fn a_message_is_never_lost(words in prop::collection::vec("[a-z]{3,8}", 1..6)) {
        let text = words.join(" ");
        let event = &decode(format!("2024-01-02 03:04:05,678 ERROR [main] a.b.C: {text}")).unwrap()[0];
        prop_assert_eq!(&event.message, &text);
        let event = &decode(&text).unwrap()[0];
        prop_assert!(event.message.ends_with(words.last().unwrap()));
    }
}
