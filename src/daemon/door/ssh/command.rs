//! A command on a client's channel: its output to the client, the client's input to it, and its end.

use std::sync::{Arc, OnceLock};

use russh::{
    ChannelWriteHalf, Sig,
    server::{Handle, Msg},
};
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use crate::{
    daemon::{
        door::agent::Bridge,
        session::{
            exec::{Exec, Stop},
            output::{Chunk, Next, Stream},
            stdin::CREDIT,
        },
    },
    domain::escape::visible,
    protocol::{
        error::{Class, Code, Failure},
        view::ExecEnd,
    },
};

/// SSH_EXTENDED_DATA_STDERR (RFC 4254, 5.2).
const STDERR: u32 = 1;
/// Pieces of input that lie before a command at once: fewer than its queue takes.
const PIECES: usize = 1000;
/// The longest message that is passed on, in characters.
const MESSAGE: usize = 1000;

/// A channel that something is to run on.
pub struct Channel {
    pub bridge: Arc<Bridge>,
    pub to: ChannelWriteHalf<Msg>,
    pub handle: Handle,
    pub inbox: Arc<Inbox>,
    /// What runs there, once it does.
    pub runs: Arc<OnceLock<Arc<Exec>>>,
    /// The client has closed the channel, or is gone.
    pub gone: CancellationToken,
}

/// The client is gone.
struct Gone;

/// Counts a client in, and out again however it goes.
struct Following(Arc<Exec>);

impl Following {
    fn new(exec: &Arc<Exec>) -> Self {
        exec.came();
        Self(exec.clone())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.went(false);
    }
}

impl Channel {
    /// From the verdict to the end.
    pub async fn run(self, line: Vec<u8>) {
        let ended = match self.bridge.exec(&line).await {
            Ok(exec) => self.follow(exec).await,
            Err(failure) => self.end_with(&failure).await,
        };
        self.inbox.close();
        if ended.is_err() {
            // Nobody is left to tell, but a client that closed the channel alone wants the same of us.
            let _gone = self.handle.close(self.to.id()).await;
        }
    }

    pub async fn refuse_shell(self) {
        let failure = Failure::new(
            Code::UsageCommand,
            "a shell of one's own does not go through ssh yet",
            "give ssh a command, or type into the session's terminal: sgw input SESSION TEXT",
        );
        let _gone = self.end_with(&failure).await;
        self.inbox.close();
    }

    async fn follow(&self, exec: Arc<Exec>) -> Result<(), Gone> {
        let _following = Following::new(&exec);
        // Never set before: a channel runs one command.
        let _first = self.runs.set(exec.clone());
        let end = tokio::select! {
            end = self.deliver(&exec) => end,
            never = feed(&exec, &self.inbox) => match never {},
            () = self.gone.cancelled() => Err(Gone),
        };
        match end {
            Ok(end) => self.tell_end(&end).await,
            Err(Gone) => {
                // Where the operator has the keyboard it goes on, and nobody comes for it.
                if let Ok(_turn) = exec.keyboard.turn(&exec.session) {
                    exec.stop(Stop::Cancelled);
                }
                Err(Gone)
            }
        }
    }

    /// All that it prints, while the agent has the keyboard; how it ended.
    async fn deliver(&self, exec: &Exec) -> Result<ExecEnd, Gone> {
        let mut attachment = exec.output.attach().await;
        loop {
            let next = tokio::select! {
                biased;
                () = exec.keyboard.taken() => {
                    exec.keyboard.agents().await;
                    continue;
                }
                next = attachment.next() => next,
            };
            match next {
                Ok(Next::Chunk(Chunk { stream, offset, bytes })) => {
                    let end = offset + bytes.len() as u64;
                    let sent = match stream {
                        Stream::Stdout => self.to.data_bytes(bytes).await,
                        Stream::Stderr => self.to.extended_data_bytes(STDERR, bytes).await,
                    };
                    sent.map_err(|_| Gone)?;
                    // It was handed out.
                    let _sane = attachment.ack(stream, end);
                }
                Ok(Next::Gone(bytes)) => {
                    let text = format!("sgw: {bytes} bytes of its output were let go\n");
                    self.say(text).await?;
                }
                Ok(Next::Ended(end)) => return Ok(end),
                Err(error) => {
                    tracing::error!(%error, exec = %exec.id, "kept output can't be read");
                    self.say("sgw: the rest of its output can't be read\n".to_owned()).await?;
                    return Err(Gone);
                }
            }
        }
    }

    async fn tell_end(&self, end: &ExecEnd) -> Result<(), Gone> {
        if let Some(failure) = &end.failure {
            return self.end_with(failure).await;
        }
        let id = self.to.id();
        let told = match (end.exit_code, &end.signal) {
            (Some(code), _) => self.handle.exit_status_request(id, code.cast_unsigned()).await,
            (None, Some(name)) => {
                let (name, none) = (Sig::Custom(name.clone()), String::new);
                self.handle.exit_signal_request(id, name, false, none(), none()).await
            }
            (None, None) => Ok(()),
        };
        told.map_err(|()| Gone)?;
        self.close().await
    }

    /// Says why in the two lines of every failure, and ends with its status.
    async fn end_with(&self, failure: &Failure) -> Result<(), Gone> {
        let message = visible(&failure.message, MESSAGE);
        let mut text = format!("sgw: error[{}]: {message}\n", failure.code);
        if !failure.hint.is_empty() {
            text.push_str(&format!("sgw: hint: {}\n", visible(&failure.hint, MESSAGE)));
        }
        self.say(text).await?;
        let status = status(failure.code.class());
        let told = self.handle.exit_status_request(self.to.id(), status).await;
        told.map_err(|()| Gone)?;
        self.close().await
    }

    async fn say(&self, text: String) -> Result<(), Gone> {
        tokio::select! {
            said = self.to.extended_data_bytes(STDERR, text) => said.map_err(|_| Gone),
            () = self.gone.cancelled() => Err(Gone),
        }
    }

    async fn close(&self) -> Result<(), Gone> {
        let id = self.to.id();
        self.handle.eof(id).await.map_err(|()| Gone)?;
        self.handle.close(id).await.map_err(|()| Gone)
    }
}

/// Passes on what the client sends, as the command takes it. Goes on for ever.
async fn feed(exec: &Exec, inbox: &Inbox) -> std::convert::Infallible {
    let (mut credit, mut pieces) = (CREDIT, 0);
    while let Some(piece) = inbox.next().await {
        while credit < piece.len() as u64 || pieces == PIECES {
            credit += exec.stdin.more_credit().await;
            if credit == CREDIT {
                pieces = 0;
            }
        }
        credit -= piece.len() as u64;
        pieces += 1;
        // There is credit for it.
        let _taken = exec.stdin.push(piece);
    }
    // The end can always be said.
    let _said = exec.stdin.push(Vec::new());
    std::future::pending().await
}

/// Asks the server to pass a signal on.
pub async fn signal(exec: Arc<Exec>, signal: Sig) {
    let name = match signal {
        Sig::Custom(name) => name,
        // The variants are named as on the wire.
        known => format!("{known:?}"),
    };
    let name = name.strip_prefix("SIG").unwrap_or(&name).to_owned();
    // An unknown one is no server's.
    if (1..=16).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let sending = exec.signal(&name);
        let _taken = exec.keyboard.write(&exec.session, sending).await;
    }
}

/// As the command line's own statuses: 1 and 2 are always the command's.
fn status(class: Class) -> u32 {
    match class {
        Class::Usage | Class::Failed | Class::Lost => 125,
        Class::NoDaemon => 69,
        Class::NotYet => 75,
        Class::No => 77,
        Class::TimedOut => 124,
        Class::Unreachable => 255,
    }
}
