//! How an operation that a person said yes to ended: kept for whoever waits for it again.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Caller, Sent, value};
use crate::{
    daemon::{
        desk::{Desk, Ended},
        door::{follow::Control, link::Gone},
        files::Running,
    },
    domain::id::Id,
    protocol::{
        error::{Code, Failure},
        frame::{Frame, Kind, MAX_CHUNK},
    },
};

/// What is kept of what one read, in bytes.
const KEPT: usize = 256 * 1024;

impl Caller {
    /// What an operation that has ended read, and how it ended.
    pub(super) async fn again(
        &self,
        number: u32,
        id: &Id,
        ended: &Ended,
        control: &Control,
    ) -> Result<Sent, Failure> {
        let Some(output) = &ended.output else {
            let message = format!("{id} was done, and what it read is not kept");
            let hint = "run the same again: it asks again";
            return Err(Failure::new(Code::OutputGone, message, hint).about(id));
        };
        let mut offset = 0;
        for chunk in output.chunks(MAX_CHUNK) {
            if control.cancel.is_cancelled() {
                break;
            }
            let frame = Frame::output(Kind::Stdout, number, offset, chunk);
            if self.outbox.send(frame).await.is_err() {
                return Ok(Err(Gone));
            }
            offset += chunk.len() as u64;
        }
        let done = ended.done.clone().and_then(|done| value(&done));
        Ok(self.outbox.answer(number, done).await)
    }
}

/// What runs, with what it reads and how it ends kept for whoever comes again. Where its caller goes, it is read
/// on as far as that is kept.
pub(super) fn keeping(desk: Arc<Desk>, id: Id, run: Running, follows: bool) -> Running {
    let Running { mut pieces, notes, end } = run;
    let (on, forwarded) = mpsc::channel(1);
    let ending = async move {
        let mut output = Some(Vec::new());
        loop {
            let piece = tokio::select! {
                biased;
                () = on.closed(), if follows => break,
                piece = pieces.recv() => piece,
            };
            let Some(piece) = piece else { break };
            if let Some(kept) = output.as_mut().filter(|kept| kept.len() + piece.len() <= KEPT) {
                kept.extend_from_slice(&piece);
            } else {
                output = None;
            }
            let gone = on.send(piece).await.is_err();
            if gone && output.is_none() {
                break;
            }
        }
        drop((pieces, on));
        let done = end.await.unwrap_or_else(|error| Err(failed(&error)));
        desk.files_ended(&id, Ended { output, done: done.clone() });
        done
    };
    Running { pieces: forwarded, notes, end: tokio::spawn(ending) }
}

pub(super) fn failed(error: &tokio::task::JoinError) -> Failure {
    let message = format!("the operation failed: {error}");
    Failure::new(Code::DaemonFailed, message, "this is a bug in sgw")
}
