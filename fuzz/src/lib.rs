//! What each fuzz target does with its bytes; the engine's tests replay the corpora through the same functions.
//! Every function holds the engine's promises to whatever it is given: no panic, and what is accepted keeps the rules.

use std::sync::LazyLock;

use engine::artifact;
use engine::decode::csv::CsvHeader;
use engine::decode::multiline::{JoinSettings, Joiner};
use engine::decode::{DecodeSettings, Decoder, RecordContext};
use engine::event::{EventTime, Level, Limits, LogEvent};
use engine::filter::Filter;
use engine::redact::Redactor;

/// A target's name and function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 12] = [
    ("json", json),
    ("csv", csv),
    ("plain", plain),
    ("syslog", syslog),
    ("access", access),
    ("logfmt_cri", logfmt_cri),
    ("otlp_proto", otlp_proto),
    ("otlp_json", otlp_json),
    ("multiline", multiline),
    ("redact", redact),
    ("filter", filter),
    ("artifact", artifact),
];

static REDACTOR: LazyLock<Redactor> = LazyLock::new(Redactor::default);
static DECODERS: LazyLock<Vec<(&str, Decoder)>> = LazyLock::new(|| {
    let names = engine::decode::DECODERS.iter().map(|shape| shape.name());
    let settings = |name: &str| DecodeSettings { format: Some(name.to_owned()), ..DecodeSettings::default() };
    names.map(|name| (name, Decoder::new(settings(name)))).collect()
});

const NOW: EventTime = EventTime::from_millis(1_709_618_828_000);

fn context() -> RecordContext<'static> {
    RecordContext { transport_time: NOW, service: None }
}

fn check(events: &[LogEvent]) {
    let limits = Limits::default();
    for event in events {
        assert!(!event.message.trim().is_empty(), "an accepted record has a message");
        assert!(event.attributes.len() <= limits.max_attributes, "attributes are bounded");
        assert!(!event.timestamp.to_string().ends_with("us"), "a time can be printed");
    }
}

fn decode_as(formats: &[&str], data: &[u8]) {
    for (_, decoder) in DECODERS.iter().filter(|(name, _)| formats.contains(name)) {
        let mut events = Vec::new();
        let accepted = decoder.decode(data, context(), &mut events).is_ok();
        assert_eq!(accepted, !events.is_empty(), "an accepted record gives events, a rejected one none");
        check(&events);
    }
}

/// JSON objects, arrays and strings.
pub fn json(data: &[u8]) {
    decode_as(&["json", "docker"], data);
}

/// A header line and rows.
pub fn csv(data: &[u8]) {
    let decoder = Decoder::default();
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let Ok(header) = CsvHeader::parse(&data[..end], &decoder) else { return };
    let rest = data.get(end + 1..).unwrap_or_default();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(rest);
    let mut row = csv::ByteRecord::new();
    while let Ok(true) = reader.read_byte_record(&mut row) {
        let cells: Vec<&[u8]> = row.iter().collect();
        if let Ok(event) = decoder.decode_row(&header, cells.into_iter(), context()) {
            check(&[event]);
        }
    }
}

/// Lines of text, and any record whose shape is to be found.
pub fn plain(data: &[u8]) {
    decode_as(&["plain"], data);
    let mut events = Vec::new();
    let accepted = Decoder::default().decode(data, context(), &mut events).is_ok();
    assert_eq!(accepted, !events.is_empty());
    check(&events);
}

/// Both forms of syslog.
pub fn syslog(data: &[u8]) {
    decode_as(&["rfc5424", "syslog"], data);
}

/// Access logs and other servers' logs.
pub fn access(data: &[u8]) {
    decode_as(&["access", "apache_error", "klog", "bluegene"], data);
}

/// logfmt and container logs.
pub fn logfmt_cri(data: &[u8]) {
    decode_as(&["logfmt", "cri"], data);
}

/// OTLP in protobuf.
pub fn otlp_proto(data: &[u8]) {
    decode_as(&["otlp_proto"], data);
}

/// OTLP in JSON.
pub fn otlp_json(data: &[u8]) {
    decode_as(&["otlp_json"], data);
}

/// Lines of two sources with time passing; no line is lost.
pub fn multiline(data: &[u8]) {
    let settings = JoinSettings { max_bytes: 512, max_lines: 16, max_sources: 2, ..JoinSettings::default() };
    let mut joiner = Joiner::new(settings);
    let mut out = Vec::new();
    let mut now = NOW.as_micros();
    let mut lines = 0;
    for (position, line) in data.split(|byte| *byte == b'\n').enumerate() {
        let source = ["a", "b", "c"][line.len() % 3];
        now += i64::from(line.first().copied().unwrap_or_default()) * 4_000;
        joiner.push(source, line, position, EventTime::from_micros(now), &mut out);
        lines += 1;
    }
    joiner.flush(&mut out);
    assert_eq!(out.iter().map(|joined| joined.lines).sum::<usize>(), lines);
    assert!(out.iter().all(|joined| joined.first <= joined.last));
    assert_eq!(joiner.pending().count(), 0);
}

/// Secrets in messages and attributes.
pub fn redact(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (name, value) = text.split_once('\n').unwrap_or((text, text));
    let mut event = LogEvent {
        message: text.to_owned(),
        attributes: vec![(name.to_owned(), value.to_owned())],
        ..LogEvent::default()
    };
    let before = event.clone();
    let changed = REDACTOR.redact(&mut event);
    assert_eq!(changed == 0, event == before);
}

/// Filter expressions, on two events.
pub fn filter(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let Ok(filter) = Filter::compile(source) else { return };
    let full = LogEvent {
        timestamp: NOW,
        service: "billing".to_owned(),
        level: Some(Level::Error),
        message: "card refused".to_owned(),
        attributes: vec![("region".to_owned(), "eu".to_owned())],
        ..LogEvent::default()
    };
    for event in [LogEvent::default(), full] {
        let _ = filter.matches(&event);
    }
}

/// A model file, as it is and as the payload of a file whose checksums are right.
pub fn artifact(data: &[u8]) {
    let _ = artifact::from_bytes(data);
    for version in artifact::VERSION_BEFORE..=artifact::VERSION {
        payload(data, version);
    }
}

fn payload(data: &[u8], version: u32) {
    let mut file = Vec::with_capacity(data.len() + 64);
    file.extend_from_slice(b"\x89ISOLOG\n");
    file.extend_from_slice(&version.to_le_bytes());
    file.extend_from_slice(&64u32.to_le_bytes());
    file.extend_from_slice(&(data.len() as u64).to_le_bytes());
    file.extend_from_slice(blake3::hash(data).as_bytes());
    file.extend_from_slice(&[0; 4]);
    let checksum = crc32c::crc32c(&file);
    file.extend_from_slice(&checksum.to_le_bytes());
    file.extend_from_slice(data);
    if let Ok(model) = artifact::from_bytes(&file) {
        assert_eq!(
            artifact::to_bytes(&model).as_ref(),
            Ok(&file),
            "a model that was read is written as it was"
        );
    }
}
