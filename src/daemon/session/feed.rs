//! What a command reads on its standard input, on its way to the channel.

use std::sync::Arc;

use super::{
    exec::{Exec, Stop},
    held::Held,
    stdin::Stdin,
};
use crate::{
    daemon::upstream::Writer,
    domain::{action, authorize::Denied},
    protocol::error::{Code, Failure},
};

/// What was read before it was judged, and what comes after.
pub struct Feed {
    pub first: Option<Arc<Held>>,
    pub then: Arc<Stdin>,
}

impl Feed {
    pub fn empty() -> Self {
        Self { first: None, then: Arc::new(Stdin::empty()) }
    }

    /// What its caller sends.
    pub fn open() -> Self {
        Self { first: None, then: Arc::default() }
    }

    /// These bytes and no others.
    pub fn whole(held: Arc<Held>) -> Self {
        Self { first: Some(held), then: Arc::new(Stdin::empty()) }
    }

    /// Whether it is what was permitted.
    pub(super) fn is(&self, permitted: action::Stdin) -> bool {
        match permitted {
            action::Stdin::Empty => self.first.is_none() && self.then.has_ended(),
            action::Stdin::Open | action::Stdin::Typed => true,
            action::Stdin::Whole(whole) => {
                let first = self.first.as_ref().is_some_and(|held| held.whole() == whole);
                first && self.then.has_ended()
            }
        }
    }
}

/// Whether more can be sent.
#[derive(PartialEq)]
enum Sent {
    All,
    /// The channel is gone, or the command is being ended.
    Over,
}

/// What the caller sends goes on while the gate is open, and stays here while it is not.
pub async fn pump(exec: Arc<Exec>, first: Option<Arc<Held>>, writer: Writer) {
    if let Some(held) = first {
        for number in 0..held.chunks() {
            let held = held.clone();
            let read = tokio::task::spawn_blocking(move || held.chunk(number)).await;
            let Ok(Ok(chunk)) = read else {
                let message = "its standard input, which was kept, can't be read again";
                let hint = "the operator should look at the disk that holds sgw's home";
                exec.stop(Stop::Over(Failure::new(Code::LimitSpool, message, hint)));
                return;
            };
            if send(&exec, &writer, &chunk, |_| ()).await == Sent::Over {
                return;
            }
        }
    }
    while let Some(chunk) = exec.stdin.next().await {
        if send(&exec, &writer, &chunk, |written| exec.stdin.took(written)).await == Sent::Over {
            return;
        }
    }
    // A channel that is gone needs no end.
    while exec.gate.pass(writer.eof()).await.is_err() {
        exec.gate.opens().await;
    }
}

async fn send(exec: &Exec, writer: &Writer, chunk: &[u8], took: impl Fn(usize)) -> Sent {
    // Before it goes: what is counted afterwards has gone.
    let mut rest = exec.within_budget(chunk);
    let cut = rest.len() < chunk.len();
    while !rest.is_empty() {
        match exec.gate.pass(writer.write_some(rest)).await {
            Ok(Ok(written)) => {
                took(written);
                rest = &rest[written..];
            }
            Ok(Err(_)) => return Sent::Over,
            Err(_shut) => exec.gate.opens().await,
        }
    }
    if cut {
        exec.stop(Stop::Over(Denied::StandingExhausted.into()));
        return Sent::Over;
    }
    Sent::All
}
