//! Docker's json-file driver: `{"log":"text\n","stream":"stdout","time":"…"}`. The text is a record of its own; the
//! runtime's time is kept, as it is exact and has a zone.

use super::json::Json;
use super::reject::Rejected;
use super::shape::{Decoded, Record, Scope, Shape};
use crate::decode::Events;

/// How every record begins.
pub(super) const HEAD: &[u8] = br#"{"log":""#;

/// See the module.
pub(super) struct Docker;

impl Shape for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn doc(&self) -> &'static str {
        r#"Docker's JSON file driver, such as `{"log":"text\n","stream":"stdout","time":"2024-01-01T00:00:00Z"}`"#
    }

    fn sniff(&self, record: &Record<'_>) -> bool {
        record.bytes().starts_with(HEAD)
            && [br#""stream":"stdout""#, br#""stream":"stderr""#]
                .iter()
                .any(|stream| memchr::memmem::find(record.bytes(), *stream).is_some())
    }

    fn decode(&self, record: &Record<'_>, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
        Json.decode(record, &scope.keeping_time(), out)
    }
}
