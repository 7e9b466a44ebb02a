//! How messages are read from the wire: as prost does, after a look at how many fields they hold. A message of the
//! largest size could otherwise hold millions of empty lines, each a hundred times its bytes in memory.

use bytes::Buf;
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// Most fields at the top of one message: the lines of the largest batch, and room for what stands beside them.
pub const MAX_FIELDS: usize = 10_100;

/// [`ProstCodec`] with the look before.
#[derive(Clone, Debug)]
pub struct CountedCodec<T, U>(ProstCodec<T, U>);

impl<T, U> Default for CountedCodec<T, U> {
    fn default() -> Self {
        Self(ProstCodec::default())
    }
}

impl<T, U> Codec for CountedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = CountedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        self.0.encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        CountedDecoder(self.0.decoder())
    }
}

/// [`ProstDecoder`] with the look before.
#[derive(Clone, Debug)]
pub struct CountedDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default> Decoder for CountedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if holds_more_fields(source.chunk(), MAX_FIELDS) {
            return Err(Status::invalid_argument(format!(
                "the message holds more than {MAX_FIELDS} fields; send several smaller ones"
            )));
        }
        self.0.decode(source)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}

/// Whether a message has more than `most` fields at its top. Faulty bytes have as many as come before the fault;
/// decoding names the fault.
fn holds_more_fields(mut message: &[u8], most: usize) -> bool {
    for _ in 0..=most {
        let Ok((_, wire)) = decode_key(&mut message) else { return false };
        let skipped = match wire {
            WireType::Varint => decode_varint(&mut message).map(|_| 0),
            WireType::SixtyFourBit => Ok(8),
            WireType::ThirtyTwoBit => Ok(4),
            WireType::LengthDelimited => decode_varint(&mut message),
            WireType::StartGroup | WireType::EndGroup => Ok(0),
        };
        let rest = skipped.ok().and_then(|skipped| message.get(usize::try_from(skipped).ok()?..));
        let Some(rest) = rest else { return false };
        message = rest;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;

    #[test]
    fn a_message_of_empty_lines_is_counted_before_it_is_decoded() {
        let batch = |lines| {
            v1::ScoreBatchRequest { lines: vec![v1::Line::default(); lines], explain: 2 }.encode_to_vec()
        };
        assert!(!holds_more_fields(&batch(9), 10));
        assert!(holds_more_fields(&batch(10), 10));
        assert!(!holds_more_fields(&[], 0));
    }

    #[test]
    fn faulty_bytes_are_left_to_the_decoder() {
        for faulty in [&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0xff; 12], &[0x0a]] {
            assert!(!holds_more_fields(faulty, 10));
        }
    }
}
