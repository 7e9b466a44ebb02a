//! What an input shape is, and the list of all of them.

use std::fmt;

use super::reject::{RejectReason, Rejected};
use super::settings::NameTable;
use super::{DecodeSettings, Decoder, RecordContext};
use crate::decode::Events;

/// How often a text inside a record is read as a record of its own.
pub(super) const MAX_WRAPPING: usize = 4;

/// One record's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    bytes: &'a [u8],
    text: Option<&'a str>,
}

impl<'a> Record<'a> {
    /// A record of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, text: simdutf8::basic::from_utf8(bytes).ok() }
    }

    /// A record that is known to be text.
    pub fn of_text(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), text: Some(text) }
    }

    /// The bytes as they came.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The record as text without the line end.
    ///
    /// # Errors
    /// It is not UTF-8; the position of the first faulty byte is told.
    pub fn text(&self) -> Result<&'a str, Rejected> {
        match self.text {
            Some(text) => Ok(text.trim_end_matches(['\n', '\r'])),
            None => Err(self.not_utf8()),
        }
    }

    fn not_utf8(&self) -> Rejected {
        let at = std::str::from_utf8(self.bytes).err().map_or(0, |error| error.valid_up_to());
        let byte = self.bytes.get(at).copied().unwrap_or_default();
        Rejected::new(
            RejectReason::InvalidUtf8,
            format!("byte {at} of {} (0x{byte:02x}) is not valid UTF-8", self.bytes.len()),
        )
    }
}

/// What a shape's `decode` needs besides the record.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    decoder: &'a Decoder,
    /// What the transport knows.
    pub context: RecordContext<'a>,
    wrapping: usize,
    /// Whether the time of the record proper wins over one that its text holds.
    pub(super) keeps_time: bool,
}

impl<'a> Scope<'a> {
    pub(super) fn new(decoder: &'a Decoder, context: RecordContext<'a>) -> Self {
        Self { decoder, context, wrapping: 0, keeps_time: false }
    }

    /// The settings.
    pub fn settings(&self) -> &'a DecodeSettings {
        &self.decoder.settings
    }

    pub(super) fn names(&self) -> &'a NameTable {
        &self.decoder.names
    }

    pub(super) fn keeping_time(&self) -> Self {
        Self { keeps_time: true, ..*self }
    }

    /// The scope for a record inside this one, `None` when records are wrapped too often to be meant.
    pub(super) fn inner(&self, context: RecordContext<'a>) -> Option<Self> {
        (self.wrapping < MAX_WRAPPING).then(|| Self { context, wrapping: self.wrapping + 1, ..*self })
    }
}

/// Whether a shape took a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Its events were appended.
    Yes,
    /// It is of another shape; nothing was appended.
    No,
}

/// One input shape. Stateless: what a record decodes to depends on nothing but the record, its context and the
/// settings.
pub trait Shape: Sync {
    /// Its name in the setting `format`.
    fn name(&self) -> &'static str;

    /// What it looks like, in one sentence.
    fn doc(&self) -> &'static str;

    /// Whether a record may be of this shape: cheap, and never false for one that is.
    fn sniff(&self, record: &Record<'_>) -> bool;

    /// Appends the record's events.
    ///
    /// # Errors
    /// The record is of this shape and breaks one of its rules.
    fn decode(&self, record: &Record<'_>, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected>;
}

impl fmt::Debug for dyn Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Every shape, in the order in which they are tried.
pub static DECODERS: &[&dyn Shape] = &[
    &super::otlp::OtlpProto,
    &super::pattern::Pattern,
    &super::otlp::OtlpJson,
    &super::docker::Docker,
    &super::json::Json,
    &super::syslog::Rfc5424,
    &super::cri::Cri,
    &super::klog::Klog,
    &super::apache::ApacheError,
    &super::bluegene::BlueGene,
    &super::syslog::Bsd,
    &super::access::Access,
    &super::logfmt::Logfmt,
    &super::plain::Plain,
];

/// The shape of a name.
pub(super) fn by_name(name: &str) -> Option<&'static dyn Shape> {
    DECODERS.iter().copied().find(|shape| shape.name() == name)
}

/// Tries every shape in order.
pub(super) fn find_and_decode(
    record: &Record<'_>,
    scope: &Scope<'_>,
    out: &mut Events,
) -> Result<(), Rejected> {
    for shape in DECODERS {
        if shape.sniff(record) && shape.decode(record, scope, out)? == Decoded::Yes {
            return Ok(());
        }
    }
    record.text().map(drop)?;
    Err(Rejected::new(RejectReason::NoMessage, "the record holds no text that could be a message"))
}
