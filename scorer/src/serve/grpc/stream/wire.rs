//! A `ScoreStreamRequest` read where it lies, and the fields of its answer written. Takes only messages whose event
//! is known field by field, each field of it once and in order; everything else is for prost.

use engine::event::{EventTime, Level, Limits};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};
use proto::v1;

use crate::serve::grpc::convert;

/// What a request asks.
pub struct Asked<'r> {
    pub id: u64,
    pub explain: v1::Explain,
    pub line_service: &'r str,
    pub received: Option<EventTime>,
    /// The event as it came, without its time.
    pub event: &'r [u8],
    pub time: Option<EventTime>,
    pub service: &'r str,
    pub level: Option<Level>,
    pub message: &'r str,
}

/// A field's value on the wire.
#[derive(Clone, Copy)]
enum Wire<'r> {
    Varint(u64),
    Bytes(&'r [u8]),
}

/// The next field; `None` where it is of another kind or faulty.
fn next<'r>(rest: &mut &'r [u8]) -> Option<(u32, Wire<'r>)> {
    let (tag, wire) = decode_key(rest).ok()?;
    let number = decode_varint(rest).ok()?;
    match wire {
        WireType::Varint => Some((tag, Wire::Varint(number))),
        WireType::LengthDelimited => {
            let (bytes, after) = rest.split_at_checked(usize::try_from(number).ok()?)?;
            *rest = after;
            Some((tag, Wire::Bytes(bytes)))
        }
        _ => None,
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

impl<'r> Asked<'r> {
    /// Reads a request; `None` where it is not ordinary.
    pub fn read(mut request: &'r [u8], limits: Limits) -> Option<Self> {
        let (mut id, mut explain, mut line) = (0, v1::Explain::Unspecified, None);
        while !request.is_empty() {
            match next(&mut request)? {
                (1, Wire::Varint(number)) => id = number,
                (2, Wire::Bytes(bytes)) if line.is_none() => line = Some(bytes),
                (3, Wire::Varint(number)) => {
                    explain = v1::Explain::try_from(i32::try_from(number).ok()?).ok()?;
                }
                _ => return None,
            }
        }
        let mut line = line?;
        let (mut event, mut line_service, mut received) = (None, "", None);
        while !line.is_empty() {
            match next(&mut line)? {
                (3, Wire::Bytes(bytes)) if event.is_none() => event = Some(bytes),
                (4, Wire::Bytes(bytes)) => line_service = text(bytes)?,
                (5, Wire::Bytes(bytes)) if received.is_none() => received = Some(time(bytes)?),
                _ => return None,
            }
        }
        let mut asked = Self {
            id,
            explain,
            line_service,
            received,
            event: event?,
            time: None,
            service: "",
            level: None,
            message: "",
        };
        asked.read_event(limits)?;
        Some(asked)
    }

    fn read_event(&mut self, limits: Limits) -> Option<()> {
        let mut rest = self.event;
        let (mut last, mut attributes, mut size) = (0, 0, 0);
        while !rest.is_empty() {
            let (tag, value) = next(&mut rest)?;
            // Each once and in order, so that what is passed on means the same to every reader.
            if tag < last || (tag == last && tag != 5) {
                return None;
            }
            last = tag;
            match (tag, value) {
                (1, Wire::Bytes(bytes)) => {
                    self.time = Some(time(bytes)?);
                    self.event = rest;
                }
                // An empty one would undo the line's when both are passed on.
                (2, Wire::Bytes(bytes)) if !bytes.is_empty() => self.service = text(bytes)?,
                (3, Wire::Varint(number)) => self.level = level(number)?,
                (4, Wire::Bytes(bytes)) => self.message = text(bytes)?,
                (5, Wire::Bytes(bytes)) => {
                    let (name, value) = pair(bytes)?;
                    attributes += 1;
                    size += name.len() + value.len();
                }
                _ => return None,
            }
        }
        let is_ordinary = !self.message.trim().is_empty()
            && attributes <= limits.max_attributes
            && size + self.message.len() + self.service.len() <= limits.max_line_bytes;
        is_ordinary.then_some(())
    }

    /// The event's attributes.
    pub fn attributes(&self) -> impl Iterator<Item = (&'r str, &'r str)> {
        let mut rest = self.event;
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                if let (5, Wire::Bytes(bytes)) = next(&mut rest)? {
                    return pair(bytes);
                }
            }
            None
        })
    }
}

fn time(mut bytes: &[u8]) -> Option<EventTime> {
    let mut time = prost_types::Timestamp::default();
    while !bytes.is_empty() {
        match next(&mut bytes)? {
            (1, Wire::Varint(number)) => time.seconds = number.cast_signed(),
            // prost keeps the lower half of what does not fit.
            (2, Wire::Varint(number)) => time.nanos = i32::try_from(number).ok()?,
            _ => return None,
        }
    }
    convert::time_of(time, "event.timestamp").ok()
}

fn level(number: u64) -> Option<Option<Level>> {
    convert::level_of(i32::try_from(number).ok()?).ok()
}

fn pair(mut bytes: &[u8]) -> Option<(&str, &str)> {
    let (mut name, mut value) = ("", "");
    while !bytes.is_empty() {
        match next(&mut bytes)? {
            (1, Wire::Bytes(bytes)) => name = text(bytes)?,
            (2, Wire::Bytes(bytes)) => value = text(bytes)?,
            _ => return None,
        }
    }
    Some((name, value))
}

/// Writes a number that is not the default.
pub fn put_varint(tag: u32, number: u64, out: &mut Vec<u8>) {
    if number != 0 {
        encode_key(tag, WireType::Varint, out);
        encode_varint(number, out);
    }
}

/// Writes a number that is not the default.
pub fn put_double(tag: u32, number: f64, out: &mut Vec<u8>) {
    if number != 0.0 {
        put_optional_double(tag, number, out);
    }
}

/// Writes a number of a field that may be left out.
pub fn put_optional_double(tag: u32, number: f64, out: &mut Vec<u8>) {
    encode_key(tag, WireType::SixtyFourBit, out);
    out.extend_from_slice(&number.to_le_bytes());
}

/// Writes a text or a message that consists of these parts.
pub fn put_bytes(tag: u32, parts: &[&[u8]], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(parts.iter().map(|part| part.len() as u64).sum(), out);
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Writes a message that is the only field of a message that is the only field of a message.
pub fn put_nested(tags: [u32; 3], message: &[u8], out: &mut Vec<u8>) {
    let around = |length: usize| 1 + prost::encoding::encoded_len_varint(length as u64) + length;
    let inner = around(message.len());
    for (tag, length) in tags.into_iter().zip([around(inner), inner, message.len()]) {
        encode_key(tag, WireType::LengthDelimited, out);
        encode_varint(length as u64, out);
    }
    out.extend_from_slice(message);
}

/// Writes a time.
pub fn put_time(tag: u32, time: prost_types::Timestamp, out: &mut Vec<u8>) {
    let mut inside = [0_u8; 24];
    let mut room: &mut [u8] = &mut inside;
    for (tag, number) in [(1, time.seconds.cast_unsigned()), (2, i64::from(time.nanos).cast_unsigned())] {
        if number != 0 {
            encode_key(tag, WireType::Varint, &mut room);
            encode_varint(number, &mut room);
        }
    }
    let length = 24 - room.len();
    put_bytes(tag, &[&inside[..length]], out);
}
