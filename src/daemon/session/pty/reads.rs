//! Who reads what is typed into a terminal: looked for on the target, and where nobody can look, guessed
//! from the screen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{Pty, lock};
use crate::{
    daemon::upstream::Pool,
    domain::{
        guard::Shell,
        prompt,
        typed::{Line, Reader},
    },
};

/// So long a program gets to come to where it reads, …
pub const COMES: Duration = Duration::from_millis(1500);
/// … and is looked at so often.
const AGAIN: Duration = Duration::from_millis(100);

/// Where an input goes.
#[derive(Clone)]
pub struct Reads {
    pub reader: Reader,
    /// The directory that it works in, where that is known.
    pub cwd: Option<String>,
}

impl From<Reader> for Reads {
    fn from(reader: Reader) -> Self {
        Self { reader, cwd: None }
    }
}

/// Looks at what reads on the terminal of the marker's processes.
pub struct Lookout {
    pool: Arc<Pool>,
    marker: String,
    /// Nobody can look at what runs there.
    blind: AtomicBool,
}

/// What can be seen of a terminal from here.
pub trait Seen {
    /// What stands before its cursor, as far as everyone may see.
    fn before_cursor(&self) -> String;

    fn has_ended(&self) -> bool;
}

impl Lookout {
    pub fn new(pool: Arc<Pool>, marker: String) -> Self {
        Self { pool, marker, blind: AtomicBool::new(false) }
    }

    /// Who reads what is typed now; waits for somebody to, so long at most.
    pub async fn reads(&self, comes: Duration, seen: &impl Seen) -> Reads {
        let over = Instant::now() + comes;
        loop {
            if self.blind.load(Ordering::Relaxed) {
                return guessed(seen);
            }
            let Some(look) = self.pool.look(&self.marker).await else {
                self.blind.store(true, Ordering::Relaxed);
                continue;
            };
            let (reader, here) = match &look.running {
                Some(running) => running.reader(),
                None => (Reader::Unseen, false),
            };
            if reader == Reader::Unseen && Instant::now() < over && !seen.has_ended() {
                sleep(AGAIN).await;
                continue;
            }
            let cwd = look.cwd.filter(|_| here).and_then(|cwd| String::from_utf8(cwd).ok());
            return Reads { reader, cwd };
        }
    }
}

/// What stands before the cursor looks like a shell's prompt, or it is not known.
fn guessed(seen: &impl Seen) -> Reads {
    let prompt = prompt::looks_like_a_shells(&seen.before_cursor());
    let reader = if prompt { Reader::Shell(Shell::Unknown) } else { Reader::Unseen };
    Reads { reader, cwd: None }
}

impl Pty {
    /// What stands in its line, as far as it is known.
    pub fn line(&self) -> Line {
        lock(&self.line).clone()
    }

    /// Who reads what is typed now; waits a little for somebody to.
    pub async fn reads(&self) -> Reads {
        self.lookout.reads(COMES, self).await
    }
}

impl Seen for Pty {
    fn before_cursor(&self) -> String {
        self.model().open().before_cursor()
    }

    fn has_ended(&self) -> bool {
        self.over.is_cancelled()
    }
}
