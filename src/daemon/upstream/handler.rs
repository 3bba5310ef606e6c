//! What russh asks and reports while it runs a connection.

use std::sync::{Arc, Mutex, PoisonError};

use russh::{
    ChannelId, ChannelOpenFailure,
    client::{self, ChannelOpenHandle, DisconnectReason, Msg, Session},
    keys::{HashAlg, PublicKey, PublicKeyOrCertificate},
};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{HostKeyJudge, HostKeyRefusal, forward::Listeners, machine::Known, slots::Slots};
use crate::domain::target::Hop;

/// Of what a server says, this much is kept.
const WORDS: usize = 200;

/// Where a handshake stands; tells whose time is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Handshake,
    Judging,
    Judged,
}

/// How a connection ended, once it has.
#[derive(Clone, Default)]
pub(super) struct Farewell(Arc<Mutex<Option<Ended>>>);

#[derive(Clone, Debug)]
pub(super) enum Ended {
    /// The server said good-bye, with these words.
    Said(String),
    /// The server offered no way to go on with the login.
    NoAuthMethod,
    Broke,
}

impl Farewell {
    pub fn get(&self) -> Option<Ended> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, ended: Ended) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Russh(#[from] russh::Error),
    #[error(transparent)]
    HostKey(#[from] HostKeyRefusal),
}

pub(super) struct Handler {
    pub hop: Hop,
    pub judge: Arc<dyn HostKeyJudge>,
    pub phase: watch::Sender<Phase>,
    pub slots: Arc<Slots>,
    pub listeners: Arc<Listeners>,
    pub farewell: Farewell,
    pub known: Known,
    pub cut: CancellationToken,
    /// Says `lost` however russh's task ends.
    pub _lost: DropGuard,
}

impl Handler {
    async fn judge(&self, key: &PublicKeyOrCertificate) -> Result<bool, HostKeyRefusal> {
        let (judging, shown) = match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                (self.judge.judge(&self.hop, key), key.clone())
            }
            PublicKeyOrCertificate::Certificate(certificate) => (
                self.judge.judge_certificate(&self.hop, certificate),
                PublicKey::from(certificate.public_key().clone()),
            ),
        };
        let presented = shown.fingerprint(HashAlg::Sha256).to_string();
        tokio::select! {
            verdict = judging => verdict.map(|()| {
                self.known.has(std::slice::from_ref(&shown));
                true
            }),
            () = self.cut.cancelled() => Err(HostKeyRefusal::Declined { presented }),
        }
    }
}

/// The server's words, short enough to keep.
pub(super) fn words(text: &str) -> String {
    text.trim().chars().take(WORDS).collect()
}

/// A server may not open other channels to us: dropping the handle refuses.
macro_rules! refused {
    ($($name:ident($($argument:ty),*);)*) => {$(
        async fn $name(
            &mut self,
            _: russh::Channel<Msg>,
            $(_: $argument,)*
            _: ChannelOpenHandle,
            _: &mut Session,
        ) -> Result<(), Fault> {
            Ok(())
        }
    )*};
}

impl client::Handler for Handler {
    type Error = Fault;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Fault> {
        self.phase.send_replace(Phase::Judging);
        let verdict = self.judge(key).await;
        self.phase.send_replace(Phase::Judged);
        Ok(verdict?)
    }

    async fn openssh_ext_host_keys_announced(
        &mut self,
        keys: Vec<PublicKey>,
        _: &mut Session,
    ) -> Result<(), Fault> {
        self.known.has(&keys);
        Ok(())
    }

    async fn channel_open_confirmation(
        &mut self,
        id: ChannelId,
        _max_packet_size: u32,
        _window_size: u32,
        _session: &mut Session,
    ) -> Result<(), Fault> {
        self.slots.confirmed(id);
        Ok(())
    }

    async fn channel_open_failure(
        &mut self,
        _id: ChannelId,
        reason: ChannelOpenFailure,
        description: &str,
        _language: &str,
        _session: &mut Session,
    ) -> Result<(), Fault> {
        let said = if description.is_empty() { reason.description() } else { description };
        self.slots.refused(words(said));
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Fault> {
        self.slots.closed(id);
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Fault>) -> Result<(), Fault> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                self.farewell.set(Ended::Said(words(&info.message)));
                Ok(())
            }
            DisconnectReason::Error(fault) => {
                self.farewell.set(match &fault {
                    Fault::Russh(russh::Error::NoAuthMethod) => Ended::NoAuthMethod,
                    other => {
                        tracing::info!(fault = ?other, "connection broke");
                        Ended::Broke
                    }
                });
                Err(fault)
            }
        }
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: russh::Channel<Msg>,
        address: &str,
        port: u32,
        from: &str,
        from_port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Fault> {
        self.listeners.arrived(address, port, (words(from), from_port), channel, reply);
        Ok(())
    }

    refused! {
        server_channel_open_session();
        server_channel_open_agent_forward();
        server_channel_open_forwarded_streamlocal(&str);
        server_channel_open_direct_tcpip(&str, u32, &str, u32);
        server_channel_open_direct_streamlocal(&str);
        server_channel_open_x11(&str, u32);
    }
}
