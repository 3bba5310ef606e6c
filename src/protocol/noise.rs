//! The operator's session: both ends prove that they have the data key, and every byte after that is
//! authentic and encrypted. Noise (rev. 34) messages behind a u16 length; a plain byte stream on top.

use std::{io, sync::Arc, time::Duration};

use snow::{Builder, HandshakeState, StatelessTransportState};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

mod stream;

pub use stream::{NoiseReader, NoiseWriter};

use crate::domain::seal::{DataKey, Key};

/// No static keys: the pre-shared key, mixed in first, is the proof (Noise, section 9).
const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";
/// An ephemeral key and the tag of an empty payload.
const HANDSHAKE_BYTES: usize = 32 + TAG_BYTES;
const TAG_BYTES: usize = 16;
/// A Noise message's most (Noise, section 3), its tag included.
const MAX_MESSAGE_BYTES: usize = 65_535;
const MAX_PLAIN_BYTES: usize = MAX_MESSAGE_BYTES - TAG_BYTES;

/// How long the other end may take for its proof.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum NoiseError {
    /// The other end has another data key, or none, or saw other hellos.
    #[error("the other side could not prove that it has the vault's key")]
    Unproven,
    #[error("the other side did not finish its proof in time")]
    Late,
    #[error("the connection broke before the proof: {0}")]
    Io(#[from] io::Error),
    #[error("the encrypted session can't be set up: {0}")]
    Setup(snow::Error),
}

/// Both halves of a proven session.
#[derive(Debug)]
pub struct Session<R, W> {
    pub reader: NoiseReader<R>,
    pub writer: NoiseWriter<W>,
}

/// The key that both ends of an operator's session prove.
pub fn session_key(data_key: &DataKey) -> Key {
    data_key.derive("operator-session")
}

/// The client's end. `prologue` is the bytes of both hellos, so that neither was changed on the way.
pub async fn initiate<R, W>(
    mut reader: R,
    mut writer: W,
    key: &Key,
    prologue: &[u8],
    deadline: Duration,
) -> Result<Session<R, W>, NoiseError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let hands = async {
        let mut state = builder(key, prologue)?.build_initiator().map_err(NoiseError::Setup)?;
        send(&mut state, &mut writer).await?;
        receive(&mut state, &mut reader).await?;
        let session = transport(state, reader, writer)?;
        // Whoever replays an old first message gets no further: this one needs the answer's key.
        let Session { reader, mut writer } = session;
        writer.confirm().await?;
        Ok(Session { reader, writer })
    };
    within(deadline, hands).await
}

/// The daemon's end. Returns once the client has proven itself, afresh.
pub async fn respond<R, W>(
    mut reader: R,
    mut writer: W,
    key: &Key,
    prologue: &[u8],
    deadline: Duration,
) -> Result<Session<R, W>, NoiseError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let hands = async {
        let mut state = builder(key, prologue)?.build_responder().map_err(NoiseError::Setup)?;
        receive(&mut state, &mut reader).await?;
        send(&mut state, &mut writer).await?;
        let Session { mut reader, writer } = transport(state, reader, writer)?;
        reader.confirm().await.map_err(unproven)?;
        Ok(Session { reader, writer })
    };
    within(deadline, hands).await
}

async fn within<T>(
    deadline: Duration,
    hands: impl Future<Output = Result<T, NoiseError>>,
) -> Result<T, NoiseError> {
    tokio::time::timeout(deadline, hands).await.unwrap_or(Err(NoiseError::Late))
}

fn builder<'a>(key: &'a Key, prologue: &'a [u8]) -> Result<Builder<'a>, NoiseError> {
    let params = PATTERN.parse().map_err(NoiseError::Setup)?;
    let builder = Builder::new(params).psk(0, key.expose()).map_err(NoiseError::Setup)?;
    builder.prologue(prologue).map_err(NoiseError::Setup)
}

async fn send<W: AsyncWrite + Unpin>(
    state: &mut HandshakeState,
    writer: &mut W,
) -> Result<(), NoiseError> {
    let mut message = [0; 2 + HANDSHAKE_BYTES];
    let (length, body) = message.split_at_mut(2);
    length.copy_from_slice(&(HANDSHAKE_BYTES as u16).to_be_bytes());
    match state.write_message(&[], body) {
        Ok(HANDSHAKE_BYTES) => {}
        Ok(_) => return Err(NoiseError::Setup(snow::Error::Input)),
        Err(error) => return Err(NoiseError::Setup(error)),
    }
    writer.write_all(&message).await?;
    Ok(writer.flush().await?)
}

async fn receive<R: AsyncRead + Unpin>(
    state: &mut HandshakeState,
    reader: &mut R,
) -> Result<(), NoiseError> {
    let mut message = [0; HANDSHAKE_BYTES];
    let length = reader.read_u16().await.map_err(unproven)?;
    if usize::from(length) != HANDSHAKE_BYTES {
        return Err(NoiseError::Unproven);
    }
    reader.read_exact(&mut message).await.map_err(unproven)?;
    match state.read_message(&message, &mut [0; HANDSHAKE_BYTES]) {
        Ok(0) => Ok(()),
        _ => Err(NoiseError::Unproven),
    }
}

/// A peer that hangs up here did not like our proof, or has none.
fn unproven(error: io::Error) -> NoiseError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => NoiseError::Unproven,
        _ => NoiseError::Io(error),
    }
}

fn transport<R, W>(state: HandshakeState, reader: R, writer: W) -> Result<Session<R, W>, NoiseError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let state: Arc<StatelessTransportState> =
        Arc::new(state.into_stateless_transport_mode().map_err(NoiseError::Setup)?);
    Ok(Session {
        reader: NoiseReader::new(reader, state.clone()),
        writer: NoiseWriter::new(writer, state),
    })
}

#[cfg(test)]
mod tests;
