//! OTLP exports in JSON and in protobuf.

use engine::decode::{DecodeSettings, Decoder, RejectReason};
use engine::event::Level;

use super::{context, decode};

const OTLP_JSON: &str = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"pay"}}]},"scopeLogs":[{"scope":{"name":"lib"},"logRecords":[
    {"timeUnixNano":"1704164645123456789","severityNumber":17,"severityText":"Error","body":{"stringValue":"declined"},"attributes":[{"key":"user","value":{"intValue":"7"}},{"key":"tags","value":{"arrayValue":{"values":[{"stringValue":"a"},{"intValue":"1"}]}}},{"key":"http","value":{"kvlistValue":{"values":[{"key":"status","value":{"intValue":500}}]}}}],"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"},
    {"observedTimeUnixNano":"1704164645000000000","severityNumber":"SEVERITY_NUMBER_INFO2","body":{"kvlistValue":{"values":[{"key":"message","value":{"stringValue":"structured"}}]}}},
    {"timeUnixNano":"1704164645000000000","body":{"stringValue":"2024-01-02 03:04:04 WARN [main] a.b.C - raw line"}}]}]}]}"#;

#[test]
fn otlp_in_json_gives_one_event_per_log_record() {
    let events = decode(OTLP_JSON).unwrap();
    assert_eq!(events.len(), 3);
    let first = &events[0];
    assert_eq!(first.timestamp.to_string(), "2024-01-02T03:04:05.123456Z");
    assert_eq!((first.level, &*first.service, &*first.message), (Some(Level::Error), "pay", "declined"));
    assert_eq!(first.attribute("user"), Some("7"));
    assert_eq!(first.attribute("tags"), Some("[\"a\",1]"));
    assert_eq!(first.attribute("http.status"), Some("500"));
    assert_eq!(first.attribute("trace_id"), Some("5b8efff798038103d269b633813fc60c"));
    assert_eq!(first.attribute("otel.scope.name"), Some("lib"));
    assert_eq!((events[1].level, &*events[1].message), (Some(Level::Info), "structured"));
    assert_eq!((events[2].level, &*events[2].message), (Some(Level::Warn), "raw line"));
    assert_eq!(events[2].timestamp.to_string(), "2024-01-02T03:04:04Z");
}

/// A protobuf field of bytes.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

fn pair(key: &str, value: &[u8]) -> Vec<u8> {
    [field(1, key.as_bytes()), field(2, value)].concat()
}

fn export(records: &[Vec<u8>]) -> Vec<u8> {
    let resource = field(1, &field(1, &pair("service.name", &field(1, b"pay"))));
    let records: Vec<u8> = records.iter().flat_map(|record| field(2, record)).collect();
    let scope = field(2, &[field(1, &field(1, b"lib")), records].concat());
    field(1, &[resource, scope].concat())
}

fn log_record(body: &[u8]) -> Vec<u8> {
    let mut record = vec![1 << 3 | 1];
    record.extend_from_slice(&1_704_164_645_123_456_789u64.to_le_bytes());
    record.extend_from_slice(&[2 << 3, 17]);
    record.extend(field(5, body));
    record
}

#[test]
fn otlp_in_protobuf_is_found_and_read() {
    let nested = field(6, &field(1, &pair("status", &[3 << 3, 0xF4, 0x03])));
    let tags = field(5, &[field(1, &field(1, b"a")), field(1, &[3 << 3, 1])].concat());
    let mut record = log_record(&field(1, b"declined"));
    record.extend(field(6, &pair("http", &nested)));
    record.extend(field(6, &pair("tags", &tags)));
    record.extend(field(9, &[0x5b; 16]));
    let events = decode(export(&[record, log_record(&field(1, b"second"))])).unwrap();
    assert_eq!(events.len(), 2);
    let first = &events[0];
    assert_eq!(first.timestamp.to_string(), "2024-01-02T03:04:05.123456Z");
    assert_eq!((first.level, &*first.service, &*first.message), (Some(Level::Error), "pay", "declined"));
    assert_eq!(first.attribute("http.status"), Some("500"));
    assert_eq!(first.attribute("tags"), Some("[\"a\",1]"));
    assert_eq!(first.attribute("trace_id"), Some(&*"5b".repeat(16)));
    assert_eq!((&*events[1].message, &*events[1].service), ("second", "pay"));
}

#[test]
fn an_export_cannot_ask_for_more_than_its_limits() {
    let mut deep = field(1, b"x");
    for _ in 0..40 {
        deep = field(6, &field(1, &pair("k", &deep)));
    }
    let mut record = log_record(&field(1, b"m"));
    record.extend(field(6, &pair("a", &deep)));
    assert_eq!(decode(export(&[record])).unwrap_err().reason, RejectReason::TooDeep);
    let mut record = log_record(&field(1, b"m"));
    for number in 0..300 {
        record.extend(field(6, &pair(&format!("k{number}"), &field(1, b"v"))));
    }
    assert_eq!(decode(export(&[record])).unwrap_err().reason, RejectReason::TooManyAttributes);
    let many = vec![log_record(&field(1, b"m")); 33_000];
    let rejected = decode(export(&many)).unwrap_err();
    assert!(matches!(rejected.reason, RejectReason::TooManyAttributes | RejectReason::TooLong), "{rejected}");
    let mut cut = export(&[log_record(&field(1, b"declined"))]);
    cut.truncate(cut.len() - 3);
    let settings = DecodeSettings { format: Some("otlp_proto".to_owned()), ..DecodeSettings::default() };
    let rejected = Decoder::new(settings).decode(&cut, context(), &mut Vec::new()).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Malformed);
}
