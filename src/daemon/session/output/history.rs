//! Looking again at what a command printed: its first and its last 5 MiB, and what lies before the
//! client.

use std::sync::Arc;

use bytes::Bytes;

use super::Shared;
use super::attachment::read_slot;
use super::block::{Run, Stream};
use super::log::Body;
use crate::daemon::session::spool::SpoolError;

/// Part of what was printed. Where a piece begins behind the end of the one before, the bytes in
/// between are no longer kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes printed before it, both streams together.
    pub position: u64,
    pub stream: Stream,
    pub bytes: Bytes,
}

/// A walk through history, oldest first.
pub struct History<R> {
    shared: Arc<Shared<R>>,
    /// The next byte that is wanted, and the block to look in first.
    position: u64,
    number: u64,
    /// The block at hand: where its next run begins in bytes printed, and in the body.
    open: Option<(u64, Bytes, usize)>,
}

impl<R> History<R> {
    pub(super) fn new(shared: &Arc<Shared<R>>, position: u64) -> Self {
        Self { shared: Arc::clone(shared), position, number: 0, open: None }
    }

    /// `None` at the end of what was printed so far; asked again later it goes on. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Piece>, SpoolError> {
        loop {
            if let Some(piece) = self.next_run() {
                return Ok(Some(piece));
            }
            let Some(page) = self.shared.lock().log.page(self.number, self.position) else {
                return Ok(None);
            };
            let body = match page.body {
                Body::Memory(body, _) => body,
                Body::Sealed(slot) => read_slot(slot).await?,
            };
            self.number = page.number;
            self.open = Some((page.position, body, 0));
        }
    }

    fn next_run(&mut self) -> Option<Piece> {
        while let Some((position, body, at)) = self.open.as_mut() {
            let Some(run) = Run::at(body, *at) else {
                self.open = None;
                break;
            };
            let start = *position;
            *at = run.end();
            *position += run.len as u64;
            let skip = self.position.saturating_sub(start).min(run.len as u64) as usize;
            if skip < run.len {
                let bytes = body.slice(run.start + skip..run.end());
                self.position = *position;
                return Some(Piece { position: start + skip as u64, stream: run.stream, bytes });
            }
        }
        None
    }
}
