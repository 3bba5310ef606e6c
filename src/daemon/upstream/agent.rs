//! Keys that the operator's ssh-agent holds: it signs, we never see them.

use std::{os::unix::net, sync::Arc};

use russh::{
    AgentAuthError, SendError, Signer,
    keys::{
        Error, HashAlg, PublicKey,
        agent::{AgentIdentity, client::AgentClient},
    },
};
use tokio::{net::UnixStream, sync::Mutex};

/// A connected ssh-agent. Requests go through it one after another; a request given up half way
/// ends its use, since the late answer would be taken for the next one's.
#[derive(Clone)]
pub struct Agent(Arc<Mutex<Option<AgentClient<UnixStream>>>>);

/// One key that an agent serves.
#[derive(Clone)]
pub struct AgentKey {
    agent: Agent,
    key: PublicKey,
}

impl Agent {
    pub fn new(stream: UnixStream) -> Self {
        Self(Arc::new(Mutex::new(Some(AgentClient::connect(stream)))))
    }

    /// The socket as it arrives from the operator's client. Needs a tokio runtime.
    pub fn from_std(stream: net::UnixStream) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self::new(UnixStream::from_std(stream)?))
    }

    /// The plain keys that it holds, with their comments, in its order. Certificates are left out.
    pub async fn keys(&self) -> Result<Vec<(AgentKey, String)>, Error> {
        let mut place = self.0.lock().await;
        let mut client = place.take().ok_or(Error::AgentFailure)?;
        let identities = client.request_identities().await?;
        *place = Some(client);
        drop(place);
        let plain = identities.into_iter().filter_map(|identity| match identity {
            AgentIdentity::PublicKey { key, comment } => Some((self.key(key), comment)),
            AgentIdentity::Certificate { .. } => None,
        });
        Ok(plain.collect())
    }

    /// A key that is known to be there.
    pub fn key(&self, key: PublicKey) -> AgentKey {
        AgentKey { agent: self.clone(), key }
    }
}

impl AgentKey {
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }
}

impl Signer for AgentKey {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, AgentAuthError> {
        let mut place = self.agent.0.lock().await;
        let mut client = place.take().ok_or(AgentAuthError::Send(SendError {}))?;
        let outcome = client.sign_request(identity, hash, data).await;
        match outcome {
            // The agent said no, and its stream is in order.
            Ok(_) | Err(Error::AgentFailure) => *place = Some(client),
            Err(_) => {}
        }
        Ok(outcome?)
    }
}
