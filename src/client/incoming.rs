//! Frames from the daemon, read by a task of their own so that a caller can wait for them and for
//! other things at once (reading a frame must not be interrupted).

use tokio::sync::mpsc;

use super::{Error, connection::Greeted};
use crate::protocol::frame::Frame;

/// Frames read ahead: half a megabyte of output.
const AHEAD: usize = 8;

pub struct Incoming(mpsc::Receiver<Result<Frame, Error>>);

impl Incoming {
    pub(super) fn start(mut from: Greeted) -> Self {
        let (to, frames) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            loop {
                let next = from.next().await;
                let last = next.is_err();
                if to.send(next).await.is_err() || last {
                    return;
                }
            }
        });
        Self(frames)
    }

    /// Cancel-safe. After an error there is nothing more.
    pub async fn next(&mut self) -> Result<Frame, Error> {
        self.0.recv().await.unwrap_or(Err(Error::Lost))
    }
}
