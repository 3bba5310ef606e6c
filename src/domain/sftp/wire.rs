//! The fields of a packet: numbers big-endian, strings with their length in front (RFC 4251, 5).

use bytes::{Buf, Bytes};

use super::{MAX_HANDLE, Malformed, Pairs};

/// Reads fields off the front.
pub(super) struct Reader {
    rest: Bytes,
}

impl Reader {
    pub fn new(rest: Bytes) -> Self {
        Self { rest }
    }

    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.rest.try_get_u8().map_err(|_| Malformed::Cut)
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.rest.try_get_u32().map_err(|_| Malformed::Cut)
    }

    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.rest.try_get_u64().map_err(|_| Malformed::Cut)
    }

    /// A string that shares the packet's memory.
    pub fn data(&mut self) -> Result<Bytes, Malformed> {
        let length = self.u32()? as usize;
        if length > self.rest.len() {
            return Err(Malformed::Cut);
        }
        Ok(self.rest.split_to(length))
    }

    pub fn string(&mut self) -> Result<Vec<u8>, Malformed> {
        Ok(self.data()?.to_vec())
    }

    pub fn handle(&mut self) -> Result<Vec<u8>, Malformed> {
        let handle = self.data()?;
        match handle.len() {
            fits if fits <= MAX_HANDLE => Ok(handle.to_vec()),
            long => Err(Malformed::Handle(long)),
        }
    }

    /// Pairs up to the packet's end.
    pub fn pairs(&mut self) -> Result<Pairs, Malformed> {
        let mut pairs = Vec::new();
        while !self.rest.is_empty() {
            pairs.push((self.string()?, self.string()?));
        }
        Ok(pairs)
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub fn rest(&mut self) -> Bytes {
        self.rest.split_off(0)
    }

    /// How many things of at least `least` bytes the rest can hold: what a count may claim.
    pub fn holds(&self, least: usize) -> usize {
        self.rest.len() / least
    }

    pub fn end(&self) -> Result<(), Malformed> {
        match self.rest.len() {
            0 => Ok(()),
            trailing => Err(Malformed::Trailing(trailing)),
        }
    }
}

/// Writes fields behind each other; the length comes in front at the end.
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub fn new(kind: u8) -> Self {
        Self { bytes: vec![0, 0, 0, 0, kind] }
    }

    /// Fields alone, for what stands within a packet.
    pub fn bare() -> Self {
        Self { bytes: Vec::new() }
    }

    pub fn u32(mut self, value: u32) -> Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn u64(mut self, value: u64) -> Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn string(mut self, value: &[u8]) -> Self {
        self.bytes.reserve(4 + value.len());
        // No string outgrows a packet, and no packet 32 bits: what does is refused by its reader.
        self.bytes.extend_from_slice(&(value.len() as u32).to_be_bytes());
        self.bytes.extend_from_slice(value);
        self
    }

    pub fn raw(mut self, value: &[u8]) -> Self {
        self.bytes.extend_from_slice(value);
        self
    }

    pub fn pairs(self, pairs: &Pairs) -> Self {
        pairs.iter().fold(self, |writer, (name, value)| writer.string(name).string(value))
    }

    pub fn fields(self) -> Vec<u8> {
        self.bytes
    }

    /// The packet, its length in front.
    pub fn packet(mut self) -> Vec<u8> {
        let length = self.bytes.len().saturating_sub(4) as u32;
        if let Some(head) = self.bytes.first_chunk_mut::<4>() {
            *head = length.to_be_bytes();
        }
        self.bytes
    }
}
