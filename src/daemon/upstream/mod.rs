//! The SSH client side: reach a target through its jump hosts, prove who we are, keep connections
//! warm, hand out exec channels, end what runs there.
//!
//! A [`Plan`] says where and with which credentials, a [`HostKeyJudge`] whether a server is the one
//! that was meant; [`connect`] makes the first [`Connection`] of a session, a [`Pool`] keeps it and
//! its siblings.

mod agent;
mod auth;
mod channel;
mod connect;
mod connection;
mod end;
mod error;
mod failure;
mod forward;
mod handler;
mod hosts;
mod interview;
mod lane;
mod look;
mod machine;
mod pool;
mod probe;
mod proxy;
mod rest;
mod slots;
mod supply;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures::future::BoxFuture;
use russh::keys::{Algorithm, Certificate, PrivateKey, PublicKey};

pub use agent::{Agent, AgentKey};
pub use channel::{Channel, Event, Reader, Writer};
pub use connect::{connect, connect_asking};
pub use connection::Connection;
pub use end::RemoteEnd;
pub use error::{ChannelError, ConnectError, ConnectFault, HostKeyRefusal, OpenError, Step};
pub use failure::failure;
pub use forward::{Came, Carrier, Listening, NotOpened, Through, ThroughWriter};
pub use hosts::{Answer, Hosts, Vouched};
pub use lane::Lane;
pub use look::Look;
pub use machine::Machine;
pub use pool::{Pool, PoolOptions};
pub use probe::{Stage, probe};
pub use rest::{Rest, Running};

use crate::domain::{hostkey::Unknown, secret::Secret, target::Hop};

/// One way to prove who we are. A password is also the answer to a `keyboard-interactive` question
/// that asks for one; where no person can be asked, to a single one whose answer is not shown.
pub enum Credential {
    Password(Secret<String>),
    Key(Arc<PrivateKey>),
    /// A key with what an authority certified of it.
    Certified(Arc<PrivateKey>, Box<Certificate>),
    Agent(AgentKey),
}

/// One machine on the way, and what is tried there, in this order.
pub struct HopPlan {
    pub hop: Hop,
    pub credentials: Vec<Arc<Credential>>,
}

/// The whole way: jump hosts first, the target last. Empty where there is no going it again.
#[derive(Default)]
pub struct Plan {
    pub hops: Vec<HopPlan>,
    /// What is run to reach the first of them, in place of a TCP connection.
    pub proxy_command: Option<String>,
}

/// Says whether a server is the one that was meant (security.md 8: "Hosts").
pub trait HostKeyJudge: Send + Sync {
    /// Host key algorithms to ask the server for first: those of the keys known for this hop.
    fn preferred(&self, hop: &Hop) -> Vec<Algorithm>;

    /// Asked once a handshake, after the server has proven that it holds `key` and before anything
    /// of ours is shown to it. May wait for a person: no deadline runs meanwhile. The login happens
    /// on the same connection. The future is dropped when the connection goes away.
    fn judge<'a>(
        &'a self,
        hop: &'a Hop,
        key: &'a PublicKey,
    ) -> BoxFuture<'a, Result<(), HostKeyRefusal>>;

    /// Whether some authority could vouch for this hop: then its certificates are asked for.
    fn knows_authorities(&self, _hop: &Hop) -> bool {
        false
    }

    /// As [`HostKeyJudge::judge`], for a server that showed a certificate of its key. That it holds the
    /// key is proven; whether anybody vouches for it is not.
    fn judge_certificate<'a>(
        &'a self,
        _hop: &'a Hop,
        _certificate: &'a Certificate,
    ) -> BoxFuture<'a, Result<(), HostKeyRefusal>> {
        let refusal = HostKeyRefusal::Certificate(String::from("nobody asked for it"));
        Box::pin(async { Err(refusal) })
    }
}

/// Somebody who can be asked while a connection is made. A future that is dropped takes its question
/// back.
pub trait AskOperator: Send + Sync {
    /// Whether an unknown host key is the right one.
    fn accepts<'a>(
        &'a self,
        hop: &'a Hop,
        algorithm: &'a str,
        fingerprint: &'a str,
        unknown: &'a Unknown,
    ) -> BoxFuture<'a, Answer>;

    /// What to answer to a server's own words.
    fn answers<'a>(&'a self, hop: &'a Hop, text: &'a str, echo: bool) -> BoxFuture<'a, Typed>;
}

/// What a person says to a server's question.
pub enum Typed {
    Text(Secret<String>),
    No,
    /// Nobody can be asked any more.
    NotAsked,
}
