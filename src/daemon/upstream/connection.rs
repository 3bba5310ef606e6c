//! One connection to a target: the chain of legs through its jump hosts, and its session channels.

use std::{
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use russh::{Disconnect, client};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    ConnectFault, Pool, Step,
    forward::Listeners,
    handler::{Ended, Farewell, Handler},
    machine::{Known, Machine},
    slots::{Refusal, Slots},
    wire::Lookout,
};
use crate::domain::target::Hop;

/// How long a good-bye may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// SSH with one machine. Dropping it cuts the stream, and that of every leg behind it.
pub(super) struct Leg {
    pub handle: client::Handle<Handler>,
    pub slots: Arc<Slots>,
    pub farewell: Farewell,
    pub known: Known,
    /// Cancelled once it is over, from whatever cause.
    pub lost: CancellationToken,
    pub cut: CancellationToken,
    pub lookout: Lookout,
    pub listeners: Arc<Listeners>,
}

/// A connection that is logged in at the target.
pub struct Connection {
    // Dropped in this order: the target's leg first.
    target: Leg,
    jumps: Vec<Leg>,
    /// Cancelled by [`Connection::close`]: its channels end.
    pub(super) closing: CancellationToken,
    pub(super) pool: OnceLock<Weak<Pool>>,
    asked_at: Vec<Hop>,
}

/// Why a session channel could not be opened.
#[derive(Debug)]
pub(super) enum NoChannel {
    Refused(Refusal),
    Lost,
}

impl Leg {
    /// How the other side left, as an error.
    pub fn closed(&self, at: Step) -> ConnectFault {
        let words = match self.farewell.get() {
            Some(Ended::Said(words)) if !words.is_empty() => Some(words),
            _ => None,
        };
        ConnectFault::Closed { at, words }
    }

    async fn disconnect(&self) {
        let goodbye = async {
            let said = self.handle.disconnect(Disconnect::ByApplication, "", "en").await;
            if said.is_ok() {
                self.lost.cancelled().await;
            }
        };
        let _ = timeout(FAREWELL, goodbye).await;
        self.cut.cancel();
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

impl Connection {
    pub(super) fn new(target: Leg, jumps: Vec<Leg>, asked_at: Vec<Hop>) -> Self {
        let (closing, pool) = (CancellationToken::new(), OnceLock::new());
        Self { target, jumps, closing, pool, asked_at }
    }

    #[cfg(test)]
    pub(super) fn had_a_person_at(&mut self, hop: Hop) {
        self.asked_at.push(hop);
    }

    /// The machines at which a person had to answer something: such a login can't be repeated.
    pub fn asked_at(&self) -> &[Hop] {
        &self.asked_at
    }

    /// What is known of the target, beside its name.
    pub fn machine(&self) -> Machine {
        self.target.known.get()
    }

    pub fn is_lost(&self) -> bool {
        self.target.lost.is_cancelled() || self.target.handle.is_closed()
    }

    /// Returns once the connection is over.
    pub async fn lost(&self) {
        self.target.lost.cancelled().await;
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.target.slots
    }

    pub(super) fn leg(&self) -> &Leg {
        &self.target
    }

    /// Asks for a session channel and puts it with those opened ahead. The caller has announced it
    /// with [`Slots::begin`]. Not to be given up half way: the channel would stay open unused.
    pub(super) async fn open_ahead(&self) -> Result<(), NoChannel> {
        match self.target.handle.channel_open_session().await {
            Ok(channel) => {
                self.target.slots.arrived(channel).await;
                Ok(())
            }
            Err(russh::Error::ChannelOpenFailure(_)) => {
                Err(NoChannel::Refused(self.target.slots.refusal().await))
            }
            Err(_) => Err(NoChannel::Lost),
        }
    }

    /// Ends its channels and says good-bye; takes a few seconds at most.
    pub async fn close(&self) {
        self.closing.cancel();
        self.target.disconnect().await;
        for jump in self.jumps.iter().rev() {
            jump.disconnect().await;
        }
    }
}
