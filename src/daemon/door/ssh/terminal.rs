//! The client's side of a terminal: what it is said to be, and what is typed there.

use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};

use russh::Pty;
use tokio::{sync::Semaphore, time::sleep};

use super::{command::Channel, inbox::PIECE};
use crate::{
    daemon::door::{agent::Typist, link::Outbox},
    domain::{
        id::Id,
        terminal::{Wanted, Window},
    },
    protocol::error::Code,
};

/// Ctrl-C, which in a terminal also throws away what nobody has read yet.
const INTERRUPT: u8 = 0x03;
/// So long keys wait before an interrupt behind them takes their place: for a person, or for whoever reads.
const WAITS: Duration = Duration::from_millis(500);

/// A terminal as a client asks for it (RFC 4254, 6.2).
pub fn wanted(name: &str, window: Window, modes: &[(Pty, u32)]) -> Arc<Wanted> {
    // The numbers are the wire's.
    let modes: Vec<_> = modes.iter().map(|(mode, value)| (*mode as u8, *value)).collect();
    Arc::new(Wanted::new(name, window, &modes))
}

impl Channel {
    /// Passes on what is typed, as far as it is let through, and the window's size. Goes on for ever.
    pub(super) async fn types(&self, credit: &Semaphore, tells: Outbox) -> Infallible {
        // The first credit comes when the call can be fed.
        let _one = credit.acquire().await;
        let Some(exec) = self.control.follows.get() else { return pending().await };
        let Some(mut typist) = self.bridge.typist(exec, tells) else { return pending().await };
        let typing = async {
            let mut said = None;
            while let Some(piece) = self.inbox.next(PIECE).await {
                self.type_all(&mut typist, &piece, &mut said).await;
            }
            typist.end();
            pending().await
        };
        tokio::select! {
            never = typing => never,
            never = self.resizes(exec) => never,
        }
    }

    /// What does not go takes with it what was typed behind it, in the belief that it would.
    async fn type_all(&self, typist: &mut Typist, piece: &[u8], said: &mut Option<Code>) {
        let mut rest = piece;
        while !rest.is_empty() {
            let typed = tokio::select! {
                typed = typist.type_some(rest) => typed,
                () = self.interrupted() => {
                    rest = &[INTERRUPT];
                    continue;
                }
            };
            match typed {
                Ok(length) => {
                    rest = &rest[length..];
                    *said = None;
                }
                Err(failure) => {
                    self.inbox.clear();
                    // Key by key it would be the same sentence.
                    let again = *said == Some(failure.code) && failure.code == Code::InputEchoOff;
                    if !again {
                        let _gone = self.say_failure(&failure).await;
                    }
                    *said = Some(failure.code);
                    return;
                }
            }
        }
    }

    async fn interrupted(&self) {
        sleep(WAITS).await;
        self.inbox.take_through(INTERRUPT).await;
    }

    async fn resizes(&self, exec: &Id) -> Infallible {
        let mut window = self.window.clone();
        // What changed before it began counts too.
        let first = self.seat.terminal.as_ref().map(|wanted| wanted.window);
        window.mark_unchanged();
        if first != Some(*window.borrow()) {
            window.mark_changed();
        }
        while window.changed().await.is_ok() {
            let now = *window.borrow_and_update();
            self.bridge.resize(exec, now);
        }
        pending().await
    }
}
