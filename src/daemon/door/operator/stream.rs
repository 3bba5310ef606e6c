//! What streams to the operator: one stream for each connection, which `cancel` ends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::protocol::error::{Code, Failure};

/// The stream of a connection, while there is one.
#[derive(Default)]
pub struct Streaming(Mutex<Option<(u32, CancellationToken)>>);

/// A stream that goes on; over when this is dropped.
pub struct Stream<'s> {
    streaming: &'s Streaming,
    pub cancelled: CancellationToken,
}

impl Streaming {
    fn lock(&self) -> MutexGuard<'_, Option<(u32, CancellationToken)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection for the request of this number.
    pub fn begin(&self, number: u32) -> Result<Stream<'_>, Failure> {
        let mut open = self.lock();
        if open.is_some() {
            return Err(Failure::new(
                Code::LimitStreams,
                "this connection carries a stream already",
                "open another connection for the second",
            ));
        }
        let cancelled = CancellationToken::new();
        *open = Some((number, cancelled.clone()));
        Ok(Stream { streaming: self, cancelled })
    }

    /// Ends the stream of that request, if there is one.
    pub fn cancel(&self, number: u32) {
        if let Some((_, cancelled)) = self.lock().as_ref().filter(|(open, _)| *open == number) {
            cancelled.cancel();
        }
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        *self.streaming.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_carries_one_stream_at_a_time() {
        let streaming = Streaming::default();
        let first = streaming.begin(1).unwrap();
        assert_eq!(streaming.begin(2).err().unwrap().code, Code::LimitStreams);
        streaming.cancel(2);
        assert!(!first.cancelled.is_cancelled());
        streaming.cancel(1);
        assert!(first.cancelled.is_cancelled());
        drop(first);
        assert!(streaming.begin(3).is_ok());
    }
}
