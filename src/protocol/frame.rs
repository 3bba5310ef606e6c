//! Frames: `u32 length · u8 kind · u32 request · body`, big-endian; length counts what follows it.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroize;

/// The most that `length` may say.
pub const MAX_LENGTH: usize = 1024 * 1024;
/// The most bytes of a stream in one frame.
pub const MAX_CHUNK: usize = 64 * 1024;
/// Kind and request number.
const HEAD: usize = 5;
/// The most bytes in a JSON body.
pub const MAX_JSON: usize = MAX_LENGTH - HEAD;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Json = 1,
    /// Bytes for a command's standard input; an empty body is its end.
    Stdin = 2,
    /// `u64 offset`, then bytes.
    Stdout = 3,
    /// `u64 offset`, then bytes.
    Stderr = 4,
    /// From the daemon `u64 offset`, then bytes; to the daemon bytes alone.
    Pty = 5,
    /// `u32 number`, then the secret. Only towards the daemon; JSON names the number.
    Secret = 6,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        use Kind::*;
        [Json, Stdin, Stdout, Stderr, Pty, Secret].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// One frame. Its body is wiped when it carried a secret.
#[derive(PartialEq, Eq)]
pub struct Frame {
    pub kind: Kind,
    /// Chosen by the client; answers carry the same.
    pub request: u32,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}#{} ({} bytes)", self.kind, self.request, self.body.len())
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if self.kind == Kind::Secret {
            self.body.zeroize();
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {0} bytes; at most {MAX_LENGTH} are taken")]
    TooLong(u32),
    #[error("a frame too short for its head")]
    TooShort,
    #[error("a frame of unknown kind {0}")]
    UnknownKind(u8),
    #[error("a chunk of {0} bytes; at most {MAX_CHUNK} are taken")]
    ChunkTooLong(usize),
    #[error("the stream ended in the middle of a frame")]
    Truncated,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Frame {
    pub fn json(request: u32, message: &impl serde::Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self { kind: Kind::Json, request, body: serde_json::to_vec(message)? })
    }

    /// A chunk of output that starts at `offset` of its stream.
    pub fn output(kind: Kind, request: u32, offset: u64, bytes: &[u8]) -> Self {
        let mut body = Vec::with_capacity(8 + bytes.len());
        body.extend_from_slice(&offset.to_be_bytes());
        body.extend_from_slice(bytes);
        Self { kind, request, body }
    }

    /// The offset and bytes of an output chunk; `None` when the body is too short.
    pub fn as_output(&self) -> Option<(u64, &[u8])> {
        let (offset, bytes) = self.body.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*offset), bytes))
    }

    /// Number and value of a secret.
    pub fn as_secret(&self) -> Option<(u32, &[u8])> {
        let (number, value) = self.body.split_first_chunk::<4>()?;
        Some((u32::from_be_bytes(*number), value))
    }

    fn check(kind: Kind, body: usize) -> Result<(), FrameError> {
        let most = match kind {
            Kind::Json | Kind::Secret => MAX_JSON,
            Kind::Stdin => MAX_CHUNK,
            Kind::Stdout | Kind::Stderr | Kind::Pty => MAX_CHUNK + 8,
        };
        if body > most { Err(FrameError::ChunkTooLong(body)) } else { Ok(()) }
    }
}

/// Reads one frame; `None` at a clean end. Not cancel-safe: give it a task of its own.
pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<Frame>, FrameError> {
    let mut length = [0; 4];
    match from.read(&mut length[..1]).await? {
        0 => return Ok(None),
        _ => from.read_exact(&mut length[1..]).await.map_err(truncated)?,
    };
    let length = u32::from_be_bytes(length);
    if length as usize > MAX_LENGTH {
        return Err(FrameError::TooLong(length));
    }
    let Some(body) = (length as usize).checked_sub(HEAD) else {
        return Err(FrameError::TooShort);
    };
    let mut head = [0; HEAD];
    from.read_exact(&mut head).await.map_err(truncated)?;
    let [kind, request @ ..] = head;
    let kind = Kind::from_byte(kind).ok_or(FrameError::UnknownKind(kind))?;
    Frame::check(kind, body)?;
    let mut frame = Frame { kind, request: u32::from_be_bytes(request), body: vec![0; body] };
    from.read_exact(&mut frame.body).await.map_err(truncated)?;
    Ok(Some(frame))
}

fn truncated(error: std::io::Error) -> FrameError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => FrameError::Truncated,
        _ => FrameError::Io(error),
    }
}

/// Writes one frame. A body over the limits is refused before a byte is written.
pub async fn write(to: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> Result<(), FrameError> {
    Frame::check(frame.kind, frame.body.len())?;
    // `check` keeps the sum far below u32::MAX.
    let length = (HEAD + frame.body.len()) as u32;
    let mut head = [0; 4 + HEAD];
    head[..4].copy_from_slice(&length.to_be_bytes());
    head[4] = frame.kind as u8;
    head[5..].copy_from_slice(&frame.request.to_be_bytes());
    if frame.body.len() <= 4096 && frame.kind != Kind::Secret {
        // One write, one wake-up of the other side.
        to.write_all(&[head.as_slice(), &frame.body].concat()).await?;
    } else {
        to.write_all(&head).await?;
        to.write_all(&frame.body).await?;
    }
    to.flush().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn encoded(frame: &Frame) -> Vec<u8> {
        let mut bytes = Vec::new();
        block(write(&mut bytes, frame)).unwrap();
        bytes
    }

    fn decoded(mut bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
        block(read(&mut bytes))
    }

    proptest! {
        #[test]
        fn frames_come_back(kind in 1u8..=6, request: u32, body in prop::collection::vec(any::<u8>(), 0..9000)) {
            let frame = Frame { kind: Kind::from_byte(kind).unwrap(), request, body };
            prop_assert_eq!(decoded(&encoded(&frame)).unwrap().unwrap(), frame);
        }

        #[test]
        fn any_bytes_are_a_frame_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _any = decoded(&bytes);
        }

        #[test]
        fn a_cut_frame_is_never_taken_for_one(body in prop::collection::vec(any::<u8>(), 0..64), cut: prop::sample::Index) {
            let bytes = encoded(&Frame { kind: Kind::Json, request: 1, body });
            let at = cut.index(bytes.len());
            match decoded(&bytes[..at]) {
                Ok(None) => prop_assert_eq!(at, 0),
                Err(FrameError::Truncated) => prop_assert!(at > 0),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn lengths_are_judged_before_memory_is_taken() {
        assert!(matches!(decoded(&u32::MAX.to_be_bytes()), Err(FrameError::TooLong(u32::MAX))));
        assert!(matches!(decoded(&4u32.to_be_bytes()), Err(FrameError::TooShort)));
        let unknown = [&5u32.to_be_bytes()[..], &[9, 0, 0, 0, 0]].concat();
        assert!(matches!(decoded(&unknown), Err(FrameError::UnknownKind(9))));
        let stdin = [&((MAX_CHUNK + 6) as u32).to_be_bytes()[..], &[2, 0, 0, 0, 0]].concat();
        assert!(matches!(decoded(&stdin), Err(FrameError::ChunkTooLong(_))));
    }

    #[test]
    fn too_much_is_refused_before_a_byte_is_written() {
        let mut bytes = Vec::new();
        let frame = Frame { kind: Kind::Json, request: 1, body: vec![b' '; MAX_JSON + 1] };
        assert!(block(write(&mut bytes, &frame)).is_err());
        assert!(bytes.is_empty());
    }
}
