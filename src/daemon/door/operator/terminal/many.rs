//! The terminals of a session as one watcher sees them: its own and those of its commands, one at a time,
//! whichever showed something last.

use std::sync::Arc;

use futures::{FutureExt, future::select_all};
use tokio::{
    sync::{
        broadcast::{Receiver, error::RecvError},
        watch,
    },
    time::{Duration, sleep},
};

use super::draw::Canvas;
use crate::{
    daemon::{
        door::link::{Gone, Outbox},
        session::{
            Session,
            exec::Exec,
            live::Happened,
            pty::{Pty, Shown},
            tty::Tty,
        },
    },
    domain::id::Id,
};

/// A state is drawn at once, and the next not before so long after it.
const FRAME: Duration = Duration::from_millis(15);

/// A terminal, and what tells that it shows something else.
struct One {
    id: Id,
    what: What,
    drawn: watch::Receiver<u64>,
}

enum What {
    Session(Arc<Pty>),
    Exec(Arc<Exec>, Arc<Tty>),
}

impl One {
    fn of_session(session: &Session) -> Option<Self> {
        let pty = session.open_pty().filter(|pty| !pty.has_ended())?;
        Some(Self { id: session.id.clone(), drawn: pty.drawn(), what: What::Session(pty) })
    }

    fn of_exec(exec: Arc<Exec>) -> Option<Self> {
        let tty = exec.tty.clone().filter(|_| exec.is_running())?;
        Some(Self { id: exec.id.clone(), drawn: tty.drawn(), what: What::Exec(exec, tty) })
    }

    fn shown(&self) -> Shown {
        match &self.what {
            What::Session(pty) => pty.screen(),
            What::Exec(_, tty) => tty.shown(),
        }
    }

    fn has_ended(&self) -> bool {
        match &self.what {
            What::Session(pty) => pty.has_ended(),
            What::Exec(exec, _) => !exec.is_running(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (&self.what, &other.what) {
            (What::Session(one), What::Session(other)) => Arc::ptr_eq(one, other),
            (What::Exec(one, _), What::Exec(other, _)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

/// Draws the terminals of a session, or that of one command, until the watcher is gone. While the operator
/// is private they stay as they were.
pub async fn draw(
    outbox: &Outbox,
    number: u32,
    session: &Session,
    only: Option<&Arc<Exec>>,
) -> Result<(), Gone> {
    let mut happens = session.live.watch();
    let mut canvas = Canvas::new(outbox, number, &session.id);
    let mut all: Vec<One> = Vec::new();
    loop {
        let now = match only {
            Some(exec) => One::of_exec(exec.clone()).into_iter().collect(),
            None => {
                let execs = session.execs().into_iter().filter_map(One::of_exec);
                One::of_session(session).into_iter().chain(execs).collect::<Vec<_>>()
            }
        };
        for mut one in now {
            if !all.iter().any(|known| known.is(&one)) {
                one.drawn.mark_changed();
                all.push(one);
            }
        }
        let drew = async {
            match all.is_empty() {
                true => std::future::pending().await,
                false => select_all(all.iter_mut().map(|one| one.drawn.changed().boxed())).await.1,
            }
        };
        tokio::select! {
            at = drew => {
                canvas.draw_of(&all[at].id, all[at].shown()).await?;
                if all[at].has_ended() {
                    all.remove(at);
                }
                sleep(FRAME).await;
            }
            () = terminals_change(&mut happens) => {
                // What came last is shown too.
                all.retain(|one| !one.has_ended() || one.drawn.has_changed().unwrap_or(true));
            }
        }
    }
}

async fn terminals_change(happens: &mut Receiver<Happened>) {
    loop {
        match happens.recv().await {
            Ok(Happened::Printed { .. }) => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            // The session holds the other end.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
