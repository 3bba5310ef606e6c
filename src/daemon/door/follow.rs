//! A caller that follows a command: its output goes out, acknowledgements and input come in.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::link::{Gone, Outbox, out_of_place};
use crate::{
    daemon::session::{
        exec::{Exec, Stop},
        keyboard,
        output::{Attachment, Next, Stream},
        stdin::{CREDIT, Stdin},
    },
    domain::id::Id,
    protocol::{
        agent::Message,
        error::{Code, Failure},
        frame::{Frame, Kind},
        view::ExecEnd,
    },
};

/// How long the last acknowledgements are waited for.
const LAST_ACKS: Duration = Duration::from_secs(30);
/// A time that never comes within a call.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What the reader of a connection passes to the call that carries its stream.
pub struct Control {
    pub acks: watch::Sender<(u64, u64)>,
    pub cancel: CancellationToken,
    pub left: CancellationToken,
    /// Set once this call may feed a command.
    pub feeds: OnceLock<Arc<Stdin>>,
    /// The command that this call follows, once it does.
    pub follows: OnceLock<Id>,
    /// Its caller can't come back with `wait`: while the operator has the keyboard it stays, and hears
    /// nothing.
    stays: bool,
}

impl Control {
    pub fn new() -> Arc<Self> {
        Self::of(false)
    }

    /// For a caller that can't come back.
    pub fn staying() -> Arc<Self> {
        Self::of(true)
    }

    fn of(stays: bool) -> Arc<Self> {
        Arc::new(Self {
            acks: watch::Sender::new((0, 0)),
            cancel: CancellationToken::new(),
            left: CancellationToken::new(),
            feeds: OnceLock::new(),
            follows: OnceLock::new(),
            stays,
        })
    }
}

/// Counts a caller in, and out again however its call ends.
struct Following {
    exec: Arc<Exec>,
    control: Arc<Control>,
}

impl Following {
    fn new(exec: Arc<Exec>, control: Arc<Control>) -> Self {
        exec.came();
        Self { exec, control }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.exec.went(self.control.left.is_cancelled());
    }
}

/// A caller may acknowledge with its last breath, and be gone before that was looked at: what it has
/// written is not sent again.
struct Heard<'c> {
    attachment: Attachment<ExecEnd>,
    control: &'c Control,
}

impl Drop for Heard<'_> {
    fn drop(&mut self) {
        let (stdout, stderr) = *self.control.acks.borrow();
        let _sane = acknowledge(&self.attachment, stdout, stderr);
    }
}

/// Which call follows a command.
pub enum Caller {
    /// The one that started it, and may feed it.
    Starter { stdin: bool },
    /// `wait`, for so long.
    Waiter { limit: Option<Duration> },
}

/// Follows a command until it ends or the limit is over; its answer has been sent then.
pub async fn follow(
    outbox: &Outbox,
    request: u32,
    exec: Arc<Exec>,
    control: Arc<Control>,
    caller: Caller,
) -> Result<(), Gone> {
    let _following = Following::new(exec.clone(), control.clone());
    // Never set before: a call follows one command.
    let _first = control.follows.set(exec.id.clone());
    // Beside all else: whoever reads nothing more can still end it.
    let heeding = async {
        control.cancel.cancelled().await;
        if let Ok(_turn) = exec.keyboard.turn(&exec.session) {
            exec.stop(Stop::Cancelled);
        }
        std::future::pending().await
    };
    tokio::select! {
        done = carry(outbox, request, &exec, &control, caller) => done,
        never = heeding => never,
    }
}

async fn carry(
    outbox: &Outbox,
    request: u32,
    exec: &Arc<Exec>,
    control: &Control,
    caller: Caller,
) -> Result<(), Gone> {
    let (feeding, limit) = match caller {
        Caller::Starter { stdin } => (stdin, None),
        Caller::Waiter { limit } => (false, limit),
    };
    let over = Instant::now() + limit.unwrap_or(NEVER);
    let mut heard = tokio::select! {
        attachment = exec.output.attach() => Heard { attachment, control },
        () = tokio::time::sleep_until(over) => return leave(outbox, request, exec, control).await,
        () = control.left.cancelled() => return leave(outbox, request, exec, control).await,
        () = exec.keyboard.taken(), if !control.stays => {
            return taken(outbox, request, exec, control).await;
        }
    };
    let [stdout, stderr] =
        [Stream::Stdout, Stream::Stderr].map(|stream| exec.output.acknowledged(stream));
    let started = Message::Started { id: exec.id.to_string(), stdout, stderr };
    outbox.json(request, &started).await?;
    if feeding {
        open(outbox, request, control, exec.stdin.clone()).await?;
    } else if !exec.stdin.has_ended() && exec.is_running() {
        let text = "its standard input was cut off with the call that fed it".to_owned();
        outbox.json(request, &Message::Note { text }).await?;
    }
    let mut acks = control.acks.subscribe();
    let mut sent = (stdout, stderr);
    let end = loop {
        tokio::select! {
            next = heard.attachment.next() => match next {
                Ok(Next::Chunk(chunk)) => {
                    let kind = kind(chunk.stream);
                    let end = chunk.offset + chunk.bytes.len() as u64;
                    match chunk.stream {
                        Stream::Stdout => sent.0 = end,
                        Stream::Stderr => sent.1 = end,
                    }
                    outbox.send(Frame::output(kind, request, chunk.offset, &chunk.bytes)).await?;
                }
                Ok(Next::Gone(bytes)) => {
                    let text = format!("{bytes} bytes of its output were let go before anybody came for them");
                    outbox.json(request, &Message::Note { text }).await?;
                }
                Ok(Next::Ended(end)) => break end,
                Err(error) => {
                    let failure = Failure::new(
                        Code::OutputGone,
                        format!("its kept output can't be read: {error}"),
                        "the operator should look at the disk that holds sgw's home",
                    );
                    return outbox.answer(request, Err(failure.about(&exec.id))).await;
                }
            },
            changed = acks.changed() => {
                if changed.is_err() {
                    return Err(Gone);
                }
                let (stdout, stderr) = *acks.borrow_and_update();
                if !acknowledge(&heard.attachment, stdout, stderr) {
                    let failure = out_of_place("more is acknowledged than was sent");
                    return outbox.answer(request, Err(failure.about(&exec.id))).await;
                }
            }
            bytes = exec.stdin.more_credit(), if feeding => {
                outbox.json(request, &Message::Credit { bytes }).await?;
            }
            () = tokio::time::sleep_until(over) => {
                return leave(outbox, request, exec, control).await;
            }
            () = control.left.cancelled() => {
                return leave(outbox, request, exec, control).await;
            }
            () = exec.keyboard.taken(), if control.stays => exec.keyboard.agents().await,
            () = exec.keyboard.taken(), if !control.stays => {
                taken(outbox, request, exec, control).await?;
                last_acks(&heard.attachment, &mut acks, sent).await;
                return Ok(());
            }
        }
    };
    outbox.answer(request, ended(&end)).await?;
    last_acks(&heard.attachment, &mut acks, (end.stdout_bytes, end.stderr_bytes)).await;
    Ok(())
}

/// From now on the caller may send input, unless it may already.
pub async fn open(
    outbox: &Outbox,
    request: u32,
    control: &Control,
    stdin: Arc<Stdin>,
) -> Result<(), Gone> {
    match control.feeds.set(stdin) {
        Ok(()) => outbox.json(request, &Message::Credit { bytes: CREDIT }).await,
        Err(_open_already) => Ok(()),
    }
}

/// The operator has taken the keyboard: whoever followed is sent away, and comes back with `wait`.
async fn taken(outbox: &Outbox, request: u32, exec: &Exec, control: &Control) -> Result<(), Gone> {
    control.left.cancel();
    let failure = keyboard::taken(&exec.session).about(&exec.id);
    let hint = format!("it goes on; don't repeat it: sgw wait {}", exec.id);
    outbox.answer(request, Err(Failure { hint, ..failure })).await
}

/// It leaves on purpose, as it asked, and hears how things stand.
async fn leave(outbox: &Outbox, request: u32, exec: &Exec, control: &Control) -> Result<(), Gone> {
    control.left.cancel();
    outbox.answer(request, Ok(running(exec))).await
}

fn running(exec: &Exec) -> serde_json::Value {
    serde_json::to_value(exec.state()).unwrap_or_default()
}

fn ended(end: &ExecEnd) -> Result<serde_json::Value, Failure> {
    super::link::value(end)
}

fn kind(stream: Stream) -> Kind {
    match stream {
        Stream::Stdout => Kind::Stdout,
        Stream::Stderr => Kind::Stderr,
    }
}

/// False when the caller acknowledges what it never got.
fn acknowledge(attachment: &Attachment<ExecEnd>, stdout: u64, stderr: u64) -> bool {
    attachment.ack(Stream::Stdout, stdout).is_ok() && attachment.ack(Stream::Stderr, stderr).is_ok()
}

/// The answer is out; what the caller still acknowledges needs not be sent again.
async fn last_acks(
    attachment: &Attachment<ExecEnd>,
    acks: &mut watch::Receiver<(u64, u64)>,
    sent: (u64, u64),
) {
    let all = |acks: &(u64, u64)| acks.0 >= sent.0 && acks.1 >= sent.1;
    let waiting = async {
        loop {
            let (stdout, stderr) = *acks.borrow_and_update();
            if !acknowledge(attachment, stdout, stderr) || all(&(stdout, stderr)) {
                return;
            }
            if acks.changed().await.is_err() {
                return;
            }
        }
    };
    // Whoever does not acknowledge gets it again.
    let _late = tokio::time::timeout(LAST_ACKS, waiting).await;
}
