//! Whether the directories that files go into are still where they were resolved to: asked for many files at once.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::{sync::Mutex, task::yield_now, time::timeout};

use crate::daemon::files::{client::Sftp, fault::Fault, leads_elsewhere, resolve::resolved};

/// How long those who want to know are gathered while an earlier question is on its way: over a slow link the
/// next does not wait for its answer.
const GATHERED: Duration = Duration::from_millis(4);

/// The directories that files go into.
pub(super) struct Watches<'w> {
    sftp: &'w Sftp,
    watches: HashMap<&'w [u8], Watch<'w>>,
}

#[derive(Default)]
struct Watch<'w> {
    /// How many wanted to know so far.
    wanted: AtomicU64,
    last: Mutex<Option<Question<'w>>>,
}

struct Question<'w> {
    /// It is sent when so many had begun to want it.
    wanted: u64,
    answer: Shared<BoxFuture<'w, Result<(), Fault>>>,
}

impl<'w> Watches<'w> {
    pub fn of(sftp: &'w Sftp, directories: impl Iterator<Item = &'w [u8]>) -> Self {
        let watches = directories.map(|directory| (directory, Watch::default())).collect();
        Self { sftp, watches }
    }

    /// The question is younger than the call.
    pub async fn stay(&self, directory: &[u8]) -> Result<(), Fault> {
        let Some((directory, watch)) = self.watches.get_key_value(directory) else {
            return Err(leads_elsewhere(directory).into());
        };
        let own = watch.wanted.fetch_add(1, Ordering::Relaxed) + 1;
        let mut last = watch.last.lock().await;
        let answer = match &*last {
            Some(question) if question.wanted >= own => question.answer.clone(),
            before => {
                if let Some(before) = before {
                    let _late = timeout(GATHERED, before.answer.clone()).await;
                }
                // Whoever comes at the same moment shares the question, too.
                yield_now().await;
                let wanted = watch.wanted.load(Ordering::Relaxed);
                let answer = stays(self.sftp, directory).boxed().shared();
                *last = Some(Question { wanted, answer: answer.clone() });
                answer
            }
        };
        drop(last);
        answer.await
    }
}

async fn stays(sftp: &Sftp, directory: &[u8]) -> Result<(), Fault> {
    match resolved(sftp, directory).await? == directory {
        true => Ok(()),
        false => Err(leads_elsewhere(directory).into()),
    }
}
