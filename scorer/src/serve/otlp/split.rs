//! Cuts the bytes of an OTLP export into exports of one log record each, without decoding what is in between:
//! nothing that a sender wrote is lost, and memory stays in proportion to the bytes. Judges no record.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, encoded_len_varint};

/// Most records of one export.
pub const MAX_RECORDS: usize = 65_536;

/// Most bytes that an export may have after each record was given its resource and scope.
pub const MAX_SPLIT_BYTES: usize = 32 << 20;

const RESOURCE_LOGS: u32 = 1;
const SCOPE_LOGS: u32 = 2;
const LOG_RECORDS: u32 = 2;

/// Why an export cannot be cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// The bytes are not a protobuf message.
    #[error("not an ExportLogsServiceRequest: {0}")]
    Malformed(String),
    /// Too many records.
    #[error("the export holds more than {MAX_RECORDS} log records; send several smaller exports")]
    TooManyRecords,
    /// Large resource or scope attributes, repeated for each record.
    #[error(
        "the export needs {found} bytes once each log record carries its resource and scope; at most \
         {MAX_SPLIT_BYTES} are allowed: send several smaller exports"
    )]
    TooLarge {
        /// Bytes that it would need.
        found: usize,
    },
}

/// One field of a message.
struct Field {
    number: u32,
    wire: WireType,
    /// The whole field with its key.
    whole: Range<usize>,
    /// Its content, where it has a length.
    content: Range<usize>,
}

/// Cuts an export into exports of one log record each, in the order of the records.
///
/// # Errors
/// The bytes are not an export, or one that needs too much room.
pub fn split(export: &Bytes) -> Result<Vec<Bytes>, SplitError> {
    let mut out = Vec::new();
    let mut total = 0;
    for resource_logs in lengths(export, 0..export.len(), RESOURCE_LOGS)? {
        let resource = rest(export, resource_logs.clone(), SCOPE_LOGS)?;
        for scope_logs in lengths(export, resource_logs, SCOPE_LOGS)? {
            let records = lengths(export, scope_logs.clone(), LOG_RECORDS)?;
            if out.len() + records.len() > MAX_RECORDS {
                return Err(SplitError::TooManyRecords);
            }
            let scope = rest(export, scope_logs, LOG_RECORDS)?;
            let size = |record: &Range<usize>| single_len(resource.len(), scope.len(), record.len());
            total += records.iter().map(size).sum::<usize>();
            if total > MAX_SPLIT_BYTES {
                return Err(SplitError::TooLarge { found: total });
            }
            out.extend(
                records
                    .into_iter()
                    .map(|record| single(&resource, &scope, export.get(record).unwrap_or_default())),
            );
        }
    }
    Ok(out)
}

/// The contents of every field `number` in the message at `range`.
fn lengths(bytes: &[u8], range: Range<usize>, number: u32) -> Result<Vec<Range<usize>>, SplitError> {
    let mut found = Vec::new();
    walk(bytes, range, |field| {
        if field.number == number && field.wire == WireType::LengthDelimited {
            if found.len() > MAX_RECORDS {
                return Err(SplitError::TooManyRecords);
            }
            found.push(field.content);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Every field of the message at `range` but those of `number`.
fn rest(bytes: &[u8], range: Range<usize>, number: u32) -> Result<Bytes, SplitError> {
    let mut kept = BytesMut::new();
    walk(bytes, range, |field| {
        if field.number != number {
            kept.put_slice(bytes.get(field.whole).unwrap_or_default());
        }
        Ok(())
    })?;
    Ok(kept.freeze())
}

fn walk(
    bytes: &[u8],
    range: Range<usize>,
    mut visit: impl FnMut(Field) -> Result<(), SplitError>,
) -> Result<(), SplitError> {
    let malformed = |what: String| SplitError::Malformed(what);
    let mut left = bytes.get(range.clone()).unwrap_or_default();
    while !left.is_empty() {
        let start = range.end - left.len();
        let (number, wire) = decode_key(&mut left).map_err(|error| malformed(error.to_string()))?;
        let skipped = match wire {
            WireType::Varint => {
                decode_varint(&mut left).map_err(|error| malformed(error.to_string()))?;
                0
            }
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => {
                decode_varint(&mut left).map_err(|error| malformed(error.to_string()))?
            }
            WireType::StartGroup | WireType::EndGroup => {
                return Err(malformed(format!("field {number} is a group, which OTLP never has")));
            }
        };
        let content_start = range.end - left.len();
        let (_, after) =
            usize::try_from(skipped).ok().and_then(|length| left.split_at_checked(length)).ok_or_else(
                || malformed(format!("field {number} claims {skipped} bytes, {} are left", left.len())),
            )?;
        left = after;
        let end = range.end - left.len();
        visit(Field { number, wire, whole: start..end, content: content_start..end })?;
    }
    Ok(())
}

fn field_len(content: usize) -> usize {
    1 + encoded_len_varint(content as u64) + content
}

fn single_len(resource: usize, scope: usize, record: usize) -> usize {
    field_len(resource + field_len(scope + field_len(record)))
}

fn single(resource: &[u8], scope: &[u8], record: &[u8]) -> Bytes {
    let scope_logs = scope.len() + field_len(record.len());
    let resource_logs = resource.len() + field_len(scope_logs);
    let mut out = BytesMut::with_capacity(field_len(resource_logs));
    open(&mut out, RESOURCE_LOGS, resource_logs);
    out.put_slice(resource);
    open(&mut out, SCOPE_LOGS, scope_logs);
    out.put_slice(scope);
    open(&mut out, LOG_RECORDS, record.len());
    out.put_slice(record);
    out.freeze()
}

fn open(out: &mut BytesMut, number: u32, length: usize) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn text(value: String) -> Option<AnyValue> {
        Some(AnyValue { value: Some(any_value::Value::StringValue(value)) })
    }

    fn export(shape: &[Vec<u8>], service: &str) -> ExportLogsServiceRequest {
        let record = |n: usize| LogRecord {
            time_unix_nano: n as u64 + 1,
            body: text(format!("record {n}")),
            ..Default::default()
        };
        let scopes = |counts: &[u8]| {
            let scope = |(n, &count): (usize, &u8)| ScopeLogs {
                scope: Some(InstrumentationScope { name: format!("scope{n}"), ..Default::default() }),
                log_records: (0..usize::from(count)).map(record).collect(),
                schema_url: "scope-schema".to_owned(),
            };
            counts.iter().enumerate().map(scope).collect()
        };
        let attributes = vec![KeyValue {
            key: "service.name".to_owned(),
            value: text(service.to_owned()),
            ..Default::default()
        }];
        let resource_logs = |counts: &Vec<u8>| ResourceLogs {
            resource: Some(Resource { attributes: attributes.clone(), ..Default::default() }),
            scope_logs: scopes(counts),
            schema_url: "resource-schema".to_owned(),
        };
        ExportLogsServiceRequest { resource_logs: shape.iter().map(resource_logs).collect() }
    }

    /// What the split must give, by decoding and taking apart.
    fn by_decoding(whole: &ExportLogsServiceRequest) -> Vec<ExportLogsServiceRequest> {
        let mut out = Vec::new();
        for resource_logs in &whole.resource_logs {
            for scope_logs in &resource_logs.scope_logs {
                for record in &scope_logs.log_records {
                    let scope_logs = ScopeLogs { log_records: vec![record.clone()], ..scope_logs.clone() };
                    let one = ResourceLogs { scope_logs: vec![scope_logs], ..resource_logs.clone() };
                    out.push(ExportLogsServiceRequest { resource_logs: vec![one] });
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn each_part_is_the_record_with_its_resource_and_scope(
            shape in proptest::collection::vec(proptest::collection::vec(0u8..4, 0..4), 0..4),
            service in ".{0,300}",
        ) {
            let whole = export(&shape, &service);
            let parts = split(&Bytes::from(whole.encode_to_vec())).unwrap();
            let decoded: Vec<_> =
                parts.iter().map(|part| ExportLogsServiceRequest::decode(part.clone()).unwrap()).collect();
            prop_assert_eq!(decoded, by_decoding(&whole));
        }

        #[test]
        fn any_bytes_are_cut_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = split(&Bytes::from(bytes));
        }

        #[test]
        fn a_cut_off_export_is_never_cut_into_more_records(cut in 0usize..200) {
            let bytes = Bytes::from(export(&[vec![2, 1], vec![3]], "billing").encode_to_vec());
            let cut = cut.min(bytes.len());
            if let Ok(parts) = split(&bytes.slice(..cut)) {
                prop_assert!(parts.len() <= 6);
            }
        }
    }

    #[test]
    fn a_length_beyond_the_bytes_is_named() {
        let error = split(&Bytes::from_static(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])).unwrap_err();
        assert!(error.to_string().contains("claims 4294967295 bytes, 0 are left"), "{error}");
    }

    #[test]
    fn a_large_resource_before_many_records_is_refused_not_multiplied() {
        let mut whole = export(&[vec![255]], &"x".repeat(1 << 20));
        whole.resource_logs[0].scope_logs[0].scope = None;
        let error = split(&Bytes::from(whole.encode_to_vec())).unwrap_err();
        assert!(matches!(error, SplitError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn more_records_than_allowed_are_refused() {
        let mut records = BytesMut::new();
        (0..=MAX_RECORDS).for_each(|_| open(&mut records, LOG_RECORDS, 0));
        let mut scope = BytesMut::new();
        open(&mut scope, SCOPE_LOGS, records.len());
        scope.put_slice(&records);
        let mut whole = BytesMut::new();
        open(&mut whole, RESOURCE_LOGS, scope.len());
        whole.put_slice(&scope);
        assert_eq!(split(&whole.freeze()), Err(SplitError::TooManyRecords));
    }
}
