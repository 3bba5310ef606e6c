//! A request that carries streams: a command runs, its output arrives, ours goes to it, and this call
//! may end before the command does.

use std::{io::ErrorKind, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, mpsc},
    time::{Instant, sleep_until},
};

use super::{
    Connection, Error,
    connection::{To, message},
    incoming::Incoming,
    output::{State, Writer},
    stdin,
};
pub use super::{output::Sink, stdin::Feed};
use crate::protocol::{
    agent::{Message, Request},
    error::Failure,
    frame::{self, Frame, Kind, MAX_CHUNK},
    view,
};

/// What is written is acknowledged after so many bytes, …
const ACK_BYTES: u64 = 64 * 1024;
/// … or so much later.
const ACK_AFTER: Duration = Duration::from_millis(20);
/// When a command's id is worth a line.
const LONG: Duration = Duration::from_secs(10);
/// How long the daemon may take to answer that we leave.
const FAREWELL: Duration = Duration::from_secs(3);

/// How a call treats its streams.
pub struct Streams {
    pub stdout: Sink,
    pub stderr: Sink,
    pub stdin: Feed,
    /// When this call leaves a command that still runs.
    pub leave_at: Option<Instant>,
}

/// What the caller is told on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A person is waited for.
    Waiting {
        id: String,
        kind: view::Kind,
    },
    /// The command has run for a while.
    Long {
        id: String,
    },
    Note(String),
}

/// Why the call ended when it was not the command that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Ctrl-C.
    Interrupted,
    /// Nobody reads our standard output any more.
    Closed,
    /// Our standard output can't be written.
    Unwritable(ErrorKind),
    /// The command goes on; this call has waited long enough.
    Left,
}

#[derive(Debug)]
pub struct Ended {
    /// The daemon's last word; none when we left without it.
    pub result: Option<Result<Value, Failure>>,
    /// The command's id, if one started.
    pub started: Option<String>,
    pub cut: Option<Cut>,
    /// So much of each stream was delivered to earlier calls.
    pub earlier: (u64, u64),
}

/// Sends the request and stays until it ends, or until the call does.
pub async fn run(
    mut connection: Connection,
    request: &impl Serialize,
    streams: Streams,
    tell: &mut (dyn FnMut(Told) + Send),
) -> Result<Ended, Error> {
    let mut interrupts =
        signal(SignalKind::interrupt()).map_err(Error::local("watch for Ctrl-C"))?;
    let number = connection.begin(request).await?;
    let (incoming, to) = connection.split();
    let wake = Arc::new(Notify::new());
    let mut call = Call {
        number,
        to,
        tell,
        stdout: Writer::new(streams.stdout, wake.clone()),
        stderr: Writer::new(streams.stderr, wake.clone()),
        acked: (0, 0),
        earlier: (0, 0),
        ack_at: None,
        held: None,
        stdin: match streams.stdin {
            Feed::Nothing => None,
            feed => Some(Input::NotYet(feed)),
        },
        credit: 0,
        waiting: false,
        started: None,
        long_at: None,
        leave_at: streams.leave_at,
        give_up_at: None,
        result: None,
        cut: None,
    };
    call.follow(incoming, &mut interrupts, &wake).await?;
    call.settle(&mut interrupts, &wake).await?;
    let Call { result, started, cut, earlier, .. } = call;
    Ok(Ended { result, started, cut, earlier })
}

enum Input {
    /// Nothing is read before the command takes it.
    NotYet(Feed),
    Open(mpsc::Receiver<Vec<u8>>),
    /// A chunk larger than the credit: what is left of it.
    Held(mpsc::Receiver<Vec<u8>>, Vec<u8>),
    Ended,
}

struct Call<'t> {
    number: u32,
    to: To,
    tell: &'t mut (dyn FnMut(Told) + Send),
    stdout: Writer,
    stderr: Writer,
    acked: (u64, u64),
    /// Where this call took over.
    earlier: (u64, u64),
    ack_at: Option<Instant>,
    /// Output that its writer has no room for yet. Until it has, no frame is read.
    held: Option<Frame>,
    stdin: Option<Input>,
    credit: u64,
    /// For a person, before anything has started.
    waiting: bool,
    started: Option<String>,
    long_at: Option<Instant>,
    leave_at: Option<Instant>,
    give_up_at: Option<Instant>,
    result: Option<Result<Value, Failure>>,
    cut: Option<Cut>,
}

impl Call<'_> {
    /// Until the daemon's last word, or ours.
    async fn follow(
        &mut self,
        mut frames: Incoming,
        interrupts: &mut Signal,
        wake: &Notify,
    ) -> Result<(), Error> {
        while self.result.is_none() {
            let deadline = self.deadline();
            let (room, hungry) = (self.held.is_none(), self.hungry());
            tokio::select! {
                biased;
                Some(()) = interrupts.recv() => {
                    if self.interrupted().await? {
                        return Ok(());
                    }
                }
                () = wake.notified() => self.wrote().await?,
                frame = frames.next(), if room => match frame {
                    Ok(frame) => self.take(frame).await?,
                    Err(_) if self.cut == Some(Cut::Left) => return Ok(()),
                    Err(error) => return Err(self.lost(error)),
                },
                chunk = next_chunk(&mut self.stdin), if hungry => self.feed(chunk).await?,
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    if self.time().await? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Until everything that came is written and acknowledged.
    async fn settle(&mut self, interrupts: &mut Signal, wake: &Notify) -> Result<(), Error> {
        self.stdout.finish();
        self.stderr.finish();
        loop {
            let states = [self.stdout.state(), self.stderr.state()];
            if states.iter().all(|state| matches!(state, State::Finished(_))) {
                break;
            }
            tokio::select! {
                Some(()) = interrupts.recv() => {
                    self.cut = Some(Cut::Interrupted);
                    return Ok(());
                }
                () = wake.notified() => {}
            }
        }
        if let (State::Finished(Some(kind)), None) = (self.stdout.state(), self.cut) {
            self.cut = Some(closed_or_not(kind));
        }
        // The daemon may be gone by now, which changes nothing for this call.
        let _ = self.acknowledge().await;
        let _ = self.to.shutdown().await;
        Ok(())
    }

    async fn take(&mut self, frame: Frame) -> Result<(), Error> {
        if frame.request != self.number && frame.request != 0 {
            return Ok(());
        }
        match frame.kind {
            Kind::Stdout | Kind::Stderr => self.output(frame),
            _ => self.word(message(&frame)?).await?,
        }
        Ok(())
    }

    fn output(&mut self, frame: Frame) {
        let writer = match frame.kind {
            Kind::Stdout => &mut self.stdout,
            _ => &mut self.stderr,
        };
        self.held = writer.push(frame).err();
    }

    async fn word(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Waiting { id, kind } => {
                self.waiting = true;
                (self.tell)(Told::Waiting { id, kind });
            }
            Message::Note { text } => (self.tell)(Told::Note(text)),
            Message::Credit { bytes } => {
                self.credit = self.credit.saturating_add(bytes);
                self.stdin = match self.stdin.take() {
                    Some(Input::NotYet(Feed::Content(content))) => {
                        Some(Input::Open(stdin::of(content)))
                    }
                    Some(Input::NotYet(_)) => Some(Input::Open(stdin::start())),
                    other => other,
                };
            }
            Message::Started { id, stdout, stderr } => {
                self.stdout.start_at(stdout);
                self.stderr.start_at(stderr);
                self.acked = (stdout, stderr);
                self.earlier = self.acked;
                self.started = Some(id);
                self.waiting = false;
                self.long_at = Some(Instant::now() + LONG);
            }
            Message::Done { result } => self.result = Some(Ok(result)),
            Message::Error(failure) => self.result = Some(Err(failure)),
        }
        Ok(())
    }

    /// A writer has made progress, or has failed.
    async fn wrote(&mut self) -> Result<(), Error> {
        if let Some(frame) = self.held.take() {
            self.output(frame);
        }
        if let (State::Broken(kind), None) = (self.stdout.state(), self.cut) {
            self.cut = Some(closed_or_not(kind));
            self.say(&Request::Cancel {}).await?;
        }
        let written = (self.stdout.written(), self.stderr.written());
        let open = (written.0 - self.acked.0) + (written.1 - self.acked.1);
        if open >= ACK_BYTES {
            self.acknowledge().await?;
        } else if open > 0 && self.ack_at.is_none() {
            self.ack_at = Some(Instant::now() + ACK_AFTER);
        }
        Ok(())
    }

    async fn acknowledge(&mut self) -> Result<(), Error> {
        self.ack_at = None;
        let written = (self.stdout.written(), self.stderr.written());
        if written == self.acked {
            return Ok(());
        }
        self.acked = written;
        self.say(&Request::Ack { stdout: written.0, stderr: written.1 }).await
    }

    /// Whether a piece of our standard input can be taken and sent now.
    fn hungry(&self) -> bool {
        self.credit > 0 && matches!(self.stdin, Some(Input::Open(_) | Input::Held(..)))
    }

    async fn feed(&mut self, chunk: Option<Vec<u8>>) -> Result<(), Error> {
        let mut chunk = chunk.unwrap_or_default();
        let (ended, most) = (chunk.is_empty(), self.credit.min(MAX_CHUNK as u64) as usize);
        let rest = chunk.split_off(most.min(chunk.len()));
        self.credit -= chunk.len() as u64;
        self.stdin = match self.stdin.take() {
            Some(Input::Open(chunks) | Input::Held(chunks, _)) if !ended => {
                Some(if rest.is_empty() { Input::Open(chunks) } else { Input::Held(chunks, rest) })
            }
            _ => Some(Input::Ended),
        };
        let frame = Frame { kind: Kind::Stdin, request: self.number, body: chunk };
        Ok(frame::write(&mut self.to, &frame).await?)
    }

    /// Ctrl-C: the first ends the command, the second leaves. True: leave now.
    async fn interrupted(&mut self) -> Result<bool, Error> {
        let first = self.cut.is_none();
        self.cut = Some(Cut::Interrupted);
        if !first {
            return Ok(true);
        }
        // What waits for a person is not withdrawn; what runs, or may, is ended.
        let leaves = self.waiting;
        self.say(&if leaves { Request::Leave {} } else { Request::Cancel {} }).await?;
        Ok(leaves)
    }

    fn deadline(&self) -> Option<Instant> {
        let leave_at = self.leave_at.filter(|_| self.started.is_some() && self.cut.is_none());
        [self.ack_at, self.long_at, leave_at, self.give_up_at].into_iter().flatten().min()
    }

    /// A moment has come. True: leave now.
    async fn time(&mut self) -> Result<bool, Error> {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.give_up_at) {
            return Ok(true);
        }
        if due(self.ack_at) {
            self.acknowledge().await?;
        }
        if due(self.long_at) {
            self.long_at = None;
            if let Some(id) = self.started.clone() {
                (self.tell)(Told::Long { id });
            }
        }
        if due(self.leave_at) && self.started.is_some() && self.cut.is_none() {
            self.cut = Some(Cut::Left);
            self.give_up_at = Some(now + FAREWELL);
            self.acknowledge().await?;
            self.say(&Request::Leave {}).await?;
        }
        Ok(false)
    }

    async fn say(&mut self, request: &Request) -> Result<(), Error> {
        Ok(frame::write(&mut self.to, &Frame::json(self.number, request)?).await?)
    }

    fn lost(&self, error: Error) -> Error {
        let failure = Failure::from(error).sent(true);
        Error::Told(match &self.started {
            Some(id) => failure.about(id),
            None => failure,
        })
    }
}

async fn next_chunk(stdin: &mut Option<Input>) -> Option<Vec<u8>> {
    match stdin {
        Some(Input::Open(chunks)) => chunks.recv().await,
        Some(Input::Held(_, rest)) => Some(std::mem::take(rest)),
        _ => None,
    }
}

fn closed_or_not(kind: ErrorKind) -> Cut {
    match kind {
        ErrorKind::BrokenPipe => Cut::Closed,
        other => Cut::Unwritable(other),
    }
}

#[cfg(test)]
mod tests;
