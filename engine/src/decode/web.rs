//! What an event says of a web request. Reads decoded events only.

use super::FieldNames;
use super::business::values;
use crate::event::LogEvent;

/// A web request as an access log tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebAccess<'e> {
    /// The client's address; empty where the record names none.
    pub ip: &'e str,
    /// The request method.
    pub method: &'e str,
    /// The address asked for.
    pub url: &'e str,
    /// The HTTP status, 100–599.
    pub status: u16,
}

impl<'e> WebAccess<'e> {
    /// The request of an event that has a method, an address and a status.
    pub fn of(event: &'e LogEvent, names: &FieldNames) -> Option<Self> {
        let first = |list: &[String]| values(event, list).map(|(_, value)| value).next();
        let status = first(&names.status)?.parse().ok().filter(|status| (100..600).contains(status))?;
        Some(Self {
            ip: first(&names.ip).unwrap_or_default(),
            method: first(&names.method)?,
            url: first(&names.url)?,
            status,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Decoder, RecordContext};

    #[test]
    fn json_and_common_log_format_tell_the_same_request() {
        let records: [&[u8]; 2] = [
            br#"{"timestamp":1700000000,"ip":"10.0.0.1","method":"GET","url":"/x","status":500}"#,
            br#"10.0.0.1 - - [14/Nov/2023:22:13:20 +0000] "GET /x HTTP/1.1" 500 12"#,
        ];
        let mut events = Vec::new();
        for record in records {
            Decoder::default().decode(record, RecordContext::default(), &mut events).unwrap();
        }
        let expected = WebAccess { ip: "10.0.0.1", method: "GET", url: "/x", status: 500 };
        for event in &events {
            assert_eq!(WebAccess::of(event, &FieldNames::default()), Some(expected));
        }
        assert_eq!(events[0].timestamp, events[1].timestamp);
        assert_eq!(events[0].message, events[1].message);
    }
}
