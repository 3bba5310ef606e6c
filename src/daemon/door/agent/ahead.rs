//! Reading a command's standard input before anybody is asked, where what comes there would be run.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::Caller;
use crate::{
    daemon::{
        door::follow::{self, Control},
        session::{
            Session,
            feed::Feed,
            held::{Held, MOST},
            stdin::Stdin,
        },
    },
    domain::action,
    protocol::{
        agent::Message,
        error::{Code, Failure},
    },
};

/// Input that is quiet for so long without an end is open: somebody types, or a program talks.
const QUIET: Duration = Duration::from_secs(10);
/// The same where it goes on anyway, judged or not: a program that talks gets its answer.
const TALKS: Duration = Duration::from_millis(500);
/// However it trickles.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// What a call has for its command to read.
pub(super) enum Input {
    Empty,
    /// What the caller will send, unread.
    Open,
    /// What will be typed, each part judged as it comes.
    Typed,
    /// All of it.
    Whole(Arc<Held>),
    /// Its beginning, and what comes after; `why` it was not read to its end.
    Begun {
        first: Arc<Held>,
        then: Arc<Stdin>,
        why: &'static str,
    },
}

impl Input {
    pub fn as_action(&self) -> action::Stdin {
        match self {
            Self::Empty => action::Stdin::Empty,
            Self::Open | Self::Begun { .. } => action::Stdin::Open,
            Self::Typed => action::Stdin::Typed,
            Self::Whole(held) => action::Stdin::Whole(held.whole()),
        }
    }

    pub fn feed(self) -> Feed {
        match self {
            Self::Empty => Feed::empty(),
            Self::Open | Self::Typed => Feed::open(),
            Self::Whole(held) => Feed::whole(held),
            Self::Begun { first, then, .. } => Feed { first: Some(first), then },
        }
    }

    /// What is judged of it.
    pub fn known(&self) -> Option<Arc<[u8]>> {
        match self {
            Self::Whole(held) => held.all().map(Arc::from),
            Self::Empty | Self::Open | Self::Typed | Self::Begun { .. } => None,
        }
    }
}

impl Caller {
    /// Reads a command's input to its end, within bounds.
    ///
    /// # Errors
    /// There is no room for it, or the caller does not want it any more.
    pub(super) async fn read_ahead(
        &self,
        number: u32,
        session: &Session,
        control: &Control,
        goes_anyway: bool,
    ) -> Result<Input, Failure> {
        let patience = if goes_anyway { TALKS } else { QUIET };
        let stdin = Arc::new(Stdin::default());
        let mut keeper = session.keeper(&self.parts.sessions.inputs);
        let opened = follow::open(&self.outbox, number, control, stdin.clone()).await;
        opened.map_err(|_gone| given_up())?;
        let over = Instant::now() + LONGEST;
        let mut quiet = Instant::now() + patience;
        let why = loop {
            tokio::select! {
                chunk = stdin.next() => match chunk {
                    None => break None,
                    Some(chunk) => {
                        keeper.add(&chunk).await?;
                        stdin.took(chunk.len());
                        quiet = Instant::now() + patience;
                        if keeper.bytes() > MOST {
                            break Some("is longer than 64 MiB");
                        }
                    }
                },
                bytes = stdin.more_credit() => {
                    let credit = Message::Credit { bytes };
                    self.outbox.json(number, &credit).await.map_err(|_gone| given_up())?;
                }
                () = sleep_until(quiet.min(over)) => break Some("does not end"),
                () = control.cancel.cancelled() => return Err(given_up()),
                () = control.left.cancelled() => return Err(given_up()),
                () = session.ended() => {
                    let why = session.over().unwrap_or_else(given_up);
                    return Err(why.about(&session.id).sent(false));
                }
            }
        };
        let held = Arc::new(keeper.finish().await?);
        tracing::debug!(session = %session.id, bytes = held.whole().bytes, "input was read ahead");
        Ok(match why {
            None => Input::Whole(held),
            Some(why) => Input::Begun { first: held, then: stdin, why },
        })
    }
}

fn given_up() -> Failure {
    let message = "the call ended while its standard input was read; nothing was sent";
    Failure::new(Code::RequestClosed, message, "run it again").sent(false)
}

/// Nobody could judge it, and a yes would be one to whatever comes.
pub(super) fn refused(why: &str) -> Failure {
    let message = format!("what comes on its standard input would be run as code, and {why}");
    let hint = "give all of it at once (sgw exec -i … < FILE), or use the session's terminal: sgw input; a program \
         that talks to a shell (VS Code) needs a session that the operator gave --opaque allow";
    Failure::new(Code::GuardStdin, message, hint).sent(false)
}
