//! A standing grant alive: what was used of it, counted so that no crash gives any of it back.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

use crate::{
    daemon::vault::{Change, Vault, VaultError},
    domain::{
        authorize::{Denied, Live},
        grant::standing::{Standing, Usage, Used},
    },
    protocol::error::{Code, Failure},
};

/// A budget is reserved on the disk in so many parts: a crash costs one of them at most, and no more
/// writes than these are ever waited for.
const PARTS: u64 = 64;

/// What sessions live under. Shared by all of them.
pub struct Under {
    pub standing: Standing,
    meter: Mutex<Meter>,
    removed: AtomicBool,
    /// Absent for what lives with a program: that ends with the daemon.
    keeper: Option<Arc<Vault>>,
    /// Woken when the bytes are used up, or it was taken back.
    shaken: Arc<Notify>,
}

struct Meter {
    used: Used,
    /// What the disk says was used: never less than `used`, where it is limited.
    reserved: Used,
}

impl Under {
    pub fn new(
        standing: Standing,
        used: Used,
        keeper: Option<Arc<Vault>>,
        shaken: Arc<Notify>,
    ) -> Self {
        let meter = Mutex::new(Meter { used, reserved: used });
        Self { standing, meter, removed: AtomicBool::new(false), keeper, shaken }
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As `authorize` judges it, now.
    pub fn live(&self) -> Live<'_> {
        let removed = self.removed.load(Ordering::Acquire);
        Live { standing: &self.standing, used: self.meter().used, removed }
    }

    /// Commands and bytes that are left, where they are limited.
    pub fn left(&self) -> (Option<u64>, Option<u64>) {
        let (budget, used) = (self.standing.budget, self.meter().used);
        (budget.commands_left(&used), budget.bytes_left(&used))
    }

    pub fn is_kept(&self) -> bool {
        self.keeper.is_some()
    }

    /// It gives nothing from here on.
    pub fn remove(&self) {
        self.removed.store(true, Ordering::Release);
        self.shaken.notify_one();
    }

    /// Counts one command, before it is sent: of two at once one may come too late. It may write to
    /// the disk first: call it where a thread may block.
    pub fn take_command(&self) -> Result<(), Failure> {
        let live = self.live();
        if live.removed {
            return Err(Denied::StandingRemoved.into());
        }
        let budget = self.standing.budget;
        let mut meter = self.meter();
        if !budget.is_left(&meter.used) {
            return Err(Denied::StandingExhausted.into());
        }
        let used = Used { commands: meter.used.commands + 1, ..meter.used };
        self.use_up(&mut meter, used)
    }

    /// It was not sent.
    pub fn give_back_command(&self) {
        let mut meter = self.meter();
        meter.used.commands = meter.used.commands.saturating_sub(1);
    }

    /// Counts what is to go to a target or came from it, and says how many of these bytes may pass on:
    /// none that is beyond the budget. Where that is the last of it, what lives under it is ended. It may
    /// write to the disk first, as [`Under::take_command`].
    #[must_use = "what is beyond the budget must not pass"]
    pub fn take_bytes(&self, bytes: usize) -> usize {
        let budget = self.standing.budget;
        let mut meter = self.meter();
        let left = budget.bytes_left(&meter.used).and_then(|left| usize::try_from(left).ok());
        let fit = left.map_or(bytes, |left| left.min(bytes));
        let count = meter.used.bytes.saturating_add(fit as u64);
        let used = Used { bytes: count, ..meter.used };
        let kept = self.use_up(&mut meter, used).is_ok();
        if !kept {
            // What can't be counted does not pass.
            meter.used.bytes = budget.max_bytes.unwrap_or(count);
        }
        if !kept || budget.bytes_left(&meter.used) == Some(0) {
            self.shaken.notify_one();
        }
        if kept { fit } else { 0 }
    }

    /// Counts what is to go to a target whole or not at all, before it is sent. What lives under it is
    /// not ended by the last of it before that is sent.
    pub fn take_all_bytes(&self, bytes: usize) -> Result<(), Failure> {
        let mut meter = self.meter();
        let left = self.standing.budget.bytes_left(&meter.used);
        if left.is_some_and(|left| left < bytes as u64) {
            return Err(Denied::StandingExhausted.into());
        }
        let used = Used { bytes: meter.used.bytes.saturating_add(bytes as u64), ..meter.used };
        self.use_up(&mut meter, used)
    }

    /// It was not sent.
    pub fn give_back_bytes(&self, bytes: usize) {
        let mut meter = self.meter();
        meter.used.bytes = meter.used.bytes.saturating_sub(bytes as u64);
    }

    /// Why nothing may go on under it, if nothing may. A budget of commands that is used up lets those
    /// that run go on.
    pub fn over(&self, now: jiff::Timestamp) -> Option<Failure> {
        let live = self.live();
        let bytes = Used { commands: 0, bytes: live.used.bytes };
        if live.removed {
            Some(Denied::StandingRemoved.into())
        } else if self.standing.is_over(now) {
            Some(Denied::StandingExpired.into())
        } else if !self.standing.budget.is_left(&bytes) {
            Some(Denied::StandingExhausted.into())
        } else {
            None
        }
    }

    /// What the disk is to say at the daemon's end.
    pub fn to_settle(&self) -> Option<Usage> {
        self.keeper.as_ref()?;
        let meter = self.meter();
        (meter.used != meter.reserved && !self.removed.load(Ordering::Acquire)).then(|| Usage {
            id: self.standing.id.clone(),
            used: meter.used,
            last_used: None,
        })
    }

    /// Makes `used` so; on the disk first where that says less.
    fn use_up(&self, meter: &mut Meter, used: Used) -> Result<(), Failure> {
        let budget = self.standing.budget;
        let reserved = Used {
            commands: ahead(used.commands, meter.reserved.commands, budget.max_commands),
            bytes: ahead(used.bytes, meter.reserved.bytes, budget.max_bytes),
        };
        if let Some(vault) = &self.keeper
            && reserved != meter.reserved
        {
            let usage = Usage { id: self.standing.id.clone(), used: reserved, last_used: None };
            let written = tokio::task::block_in_place(|| vault.change(|change| put(change, usage)));
            written.map_err(|error| {
                Failure::new(
                    Code::DaemonFailed,
                    format!("the grant's use could not be counted: {error}"),
                    "the operator should look at the disk that holds sgw's home",
                )
                .sent(false)
            })?;
        }
        (meter.used, meter.reserved) = (used, reserved);
        Ok(())
    }
}

/// What to have reserved so that `used` is covered: what there is, or a part of the budget more.
fn ahead(used: u64, reserved: u64, most: Option<u64>) -> u64 {
    match most {
        // Nothing hangs on it: it is written at the end alone.
        None => reserved,
        Some(_) if used <= reserved => reserved,
        Some(most) => used.saturating_add(most / PARTS).min(most.max(used)),
    }
}

/// Writes usage in place of what was there.
pub fn put(change: &mut Change<'_>, usage: Usage) -> Result<(), VaultError> {
    match change.get::<Usage>(usage.id.as_str()) {
        Some(stored) => change.edit(stored.version, usage),
        None => change.add(usage),
    }
}

#[cfg(test)]
mod tests;
