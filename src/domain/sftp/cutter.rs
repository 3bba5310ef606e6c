//! A stream of bytes, cut into whole packets however it comes.

use bytes::{Buf, Bytes, BytesMut};

use super::{MAX_PACKET, Malformed};

/// One packet as it came: its type and fields, without the length in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw(Bytes);

impl Raw {
    /// The packet's type (draft, section 3).
    pub fn kind(&self) -> u8 {
        self.0.first().copied().unwrap_or(0)
    }

    /// Type and fields.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// As it goes over a channel, the length in front.
    pub fn to_wire(&self) -> Vec<u8> {
        // A packet is at most MAX_PACKET long.
        let length = (self.0.len() as u32).to_be_bytes();
        [&length, self.0.as_ref()].concat()
    }
}

/// Takes bytes cut anywhere and gives whole packets. Holds at most what was fed; who feeds it takes
/// the packets out before feeding more.
#[derive(Debug, Default)]
pub struct Cutter {
    waiting: BytesMut,
}

impl Cutter {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next whole packet; `None` where more bytes are needed. After an error nothing of the
    /// stream means anything.
    pub fn next_packet(&mut self) -> Result<Option<Raw>, Malformed> {
        let Some(head) = self.waiting.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*head);
        match length as usize {
            0 => return Err(Malformed::Empty),
            too_long if too_long > MAX_PACKET => return Err(Malformed::TooLong(length)),
            whole if self.waiting.len() < 4 + whole => return Ok(None),
            _ => self.waiting.advance(4),
        }
        Ok(Some(Raw(self.waiting.split_to(length as usize).freeze())))
    }

    /// Whether the stream stands between two packets.
    pub fn is_clear(&self) -> bool {
        self.waiting.is_empty()
    }
}
