//! Who reads what is typed into a terminal: looked for on the target, and where nobody can look, guessed
//! from the screen.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Pty, lock};
use crate::domain::{
    guard::Shell,
    prompt,
    typed::{Line, Reader},
};

/// So long a program gets to come to where it reads, …
const COMES: Duration = Duration::from_millis(1500);
/// … and is looked at so often.
const AGAIN: Duration = Duration::from_millis(100);

/// Where an input goes.
pub struct Reads {
    pub reader: Reader,
    /// The directory that it works in, where that is known.
    pub cwd: Option<String>,
}

impl Pty {
    /// What stands in its line, as far as it is known.
    pub fn line(&self) -> Line {
        lock(&self.line).clone()
    }

    /// Who reads what is typed now; waits a little for somebody to.
    pub async fn reads(&self) -> Reads {
        let over = Instant::now() + COMES;
        loop {
            if self.blind.load(Ordering::Relaxed) {
                return self.guessed();
            }
            let Some(look) = self.pool.look(&self.marker).await else {
                self.blind.store(true, Ordering::Relaxed);
                continue;
            };
            let (reader, here) = match &look.running {
                Some(running) => running.reader(),
                None => (Reader::Unseen, false),
            };
            if reader == Reader::Unseen && Instant::now() < over && !self.has_ended() {
                sleep(AGAIN).await;
                continue;
            }
            let cwd = look.cwd.filter(|_| here).and_then(|cwd| String::from_utf8(cwd).ok());
            return Reads { reader, cwd };
        }
    }

    /// What stands before the cursor looks like a shell's prompt, or it is not known.
    fn guessed(&self) -> Reads {
        let prompt = prompt::looks_like_a_shells(&self.model().open().before_cursor());
        let reader = if prompt { Reader::Shell(Shell::Unknown) } else { Reader::Unseen };
        Reads { reader, cwd: None }
    }
}
