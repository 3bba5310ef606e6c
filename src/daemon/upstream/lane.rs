//! Connections of one client's own, out of the warm ones: what it does not read holds up nobody else.

use std::sync::Weak;

use super::{OpenError, Pool, Reader, Writer};
use crate::domain::terminal::Wanted;

/// The first of its channels makes an idle connection its own, as long as nobody else waits for one;
/// further channels go there too. Where none can be spared it shares. Dropped, it gives them back.
pub struct Lane {
    pool: Weak<Pool>,
    number: u64,
}

impl Lane {
    pub(super) fn new(pool: Weak<Pool>, number: u64) -> Self {
        Self { pool, number }
    }

    /// As [`Pool::exec`].
    pub async fn exec(&self, command: &[u8]) -> Result<(Reader, Writer), OpenError> {
        let pool = self.pool.upgrade().ok_or(OpenError::Closed)?;
        pool.exec_by(Some(self.number), command).await
    }

    /// As [`Pool::terminal`].
    pub async fn terminal(
        &self,
        wanted: &Wanted,
        command: &[u8],
    ) -> Result<(Reader, Writer), OpenError> {
        let pool = self.pool.upgrade().ok_or(OpenError::Closed)?;
        pool.terminal_by(Some(self.number), wanted, command).await
    }

    /// As [`Pool::subsystem`].
    pub async fn subsystem(&self, name: &str) -> Result<(Reader, Writer), OpenError> {
        let pool = self.pool.upgrade().ok_or(OpenError::Closed)?;
        pool.subsystem_by(Some(self.number), name).await
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.leave(self.number);
        }
    }
}
