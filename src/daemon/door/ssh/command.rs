//! A command on a client's channel. It is called as `sgw exec` calls it, from within; what such a caller
//! is told goes out as SSH has it, and the client's input goes the other way.

use std::{sync::Arc, time::Duration};

use russh::{
    ChannelWriteHalf, Sig,
    server::{Handle, Msg},
};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::inbox::{Inbox, PIECE};
use crate::{
    daemon::door::{
        agent::{Bridge, Seat},
        follow::Control,
        link::{Inside, Outbox},
    },
    domain::{escape::visible, shell, terminal::Window},
    protocol::{
        agent::Message,
        error::{Class, Code, Failure},
        frame::{Frame, Kind},
        view::ExecEnd,
    },
};

/// SSH_EXTENDED_DATA_STDERR (RFC 4254, 5.2).
pub const STDERR: u32 = 1;
/// Pieces up to here, in bytes, can be more than the queue before a command takes.
const TINY: usize = 1024;
/// When one of them is tried again.
const AGAIN: Duration = Duration::from_millis(20);
/// The longest piece that is looked at for a server's complaint, in bytes.
const COMPLAINT: usize = 4096;
/// What it is told to whoever gets one.
const NO_SHELL: &str = "sgw: the account seems to read no shell's commands (a forced command)\n\
                        sgw: hint: the operator can say so: sgw target add NAME DEST --shell other\n";
/// The longest message that is passed on, in characters.
const MESSAGE: usize = 1000;
/// How long a command whose client is gone may take to end.
const ENDS: Duration = Duration::from_secs(10);

/// A channel that something is to run on.
pub struct Channel {
    pub bridge: Arc<Bridge>,
    pub to: ChannelWriteHalf<Msg>,
    pub handle: Handle,
    pub inbox: Arc<Inbox>,
    pub seat: Seat,
    /// How large the client's window is.
    pub window: watch::Receiver<Window>,
    /// The call that runs there.
    pub control: Arc<Control>,
    /// The client has closed the channel, or is gone.
    pub gone: CancellationToken,
}

/// What is to run on a channel.
pub enum What {
    Command(Vec<u8>),
    Shell,
}

/// The client is gone.
pub struct Gone;

impl Channel {
    /// From the verdict to the end.
    pub async fn run(self, what: What) {
        let (outbox, mut inside) = Outbox::within();
        let (seat, tells) = (self.seat.clone(), outbox.clone());
        let call = async {
            match what {
                What::Command(line) => self.bridge.exec(line, seat, &self.control, outbox).await,
                What::Shell => self.bridge.shell(seat, &self.control, outbox).await,
            }
        };
        tokio::pin!(call);
        let credit = Semaphore::new(0);
        let mut answered = false;
        let carried = {
            let carrying = self.carry(&mut inside, &credit);
            let feeding = async {
                match self.seat.terminal {
                    Some(_) => self.types(&credit, tells).await,
                    None => feed(&self.control, &self.inbox, &credit).await,
                }
            };
            let holding = self.tell_holds(|| self.control.follows.get().is_some());
            tokio::pin!(carrying, feeding, holding);
            loop {
                tokio::select! {
                    carried = &mut carrying => break carried,
                    never = &mut feeding => match never {},
                    never = &mut holding => match never {},
                    () = self.gone.cancelled() => break Err(Gone),
                    () = &mut call, if !answered => answered = true,
                }
            }
        };
        self.inbox.close();
        if carried.is_ok() {
            return;
        }
        // Where the operator has the keyboard it goes on, and nobody comes for it.
        self.control.cancel.cancel();
        let drained = async {
            while let Some(frame) = inside.next().await {
                acknowledge(&self.control, &frame);
            }
        };
        let ending = async {
            if !answered {
                call.await;
            }
        };
        let _late = timeout(ENDS, async { tokio::join!(drained, ending) }).await;
        // A client that closed the channel alone wants the same of us.
        let _gone = self.handle.close(self.to.id()).await;
    }

    /// Says when what is sent to what runs is held. Goes on for ever.
    pub(super) async fn tell_holds(&self, runs: impl Fn() -> bool) -> std::convert::Infallible {
        loop {
            let code = self.bridge.held().await;
            // On a terminal it is typed over, and its screen is not ours.
            if self.seat.terminal.is_none() && runs() {
                let why = match code {
                    Code::ControlPaused => {
                        "the operator has paused this; what is sent to it waits until they resume it"
                    }
                    _ => "the operator has the keyboard; this goes on after it",
                };
                // Who is gone needs no word.
                let _gone = self.say(format!("sgw: {code}: {why}\n")).await;
            }
            self.bridge.goes_on().await;
        }
    }

    /// What the call is told, to the client.
    async fn carry(&self, inside: &mut Inside, credit: &Semaphore) -> Result<(), Gone> {
        let mut unread = false;
        while let Some(mut frame) = inside.next().await {
            match frame.kind {
                Kind::Stdout | Kind::Stderr => {
                    let acknowledged = Acknowledged::of(&frame);
                    let bytes = bytes::Bytes::from(std::mem::take(&mut frame.body)).split_off(8);
                    unread |= frame.kind == Kind::Stderr && names_prefix(&bytes);
                    let sent = match frame.kind {
                        Kind::Stdout => self.to.data_bytes(bytes).await,
                        _ => self.to.extended_data_bytes(STDERR, bytes).await,
                    };
                    sent.map_err(|_| Gone)?;
                    acknowledged.tell(&self.control);
                }
                _ => {
                    let Ok(message) = serde_json::from_slice(&frame.body) else { return Err(Gone) };
                    match message {
                        Message::Credit { bytes } => credit.add_permits(bytes as usize),
                        Message::Waiting { id, .. } => {
                            self.say(format!("sgw: {id} waits for the operator\n")).await?;
                        }
                        Message::Note { text } => self.say(format!("sgw: {text}\n")).await?,
                        Message::Started { .. } => {}
                        Message::Done { result } => {
                            let end: ExecEnd = serde_json::from_value(result).map_err(|_| Gone)?;
                            if unread && end.exit_code != Some(0) {
                                self.say(NO_SHELL.to_owned()).await?;
                            }
                            return self.tell_end(&end).await;
                        }
                        Message::Error(failure) => return self.end_with(&failure).await,
                    }
                }
            }
        }
        Err(Gone)
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
    pub async fn end_with(&self, failure: &Failure) -> Result<(), Gone> {
        self.say_failure(failure).await?;
        let status = status(failure.code.class());
        let told = self.handle.exit_status_request(self.to.id(), status).await;
        told.map_err(|()| Gone)?;
        self.close().await
    }

    pub async fn say_failure(&self, failure: &Failure) -> Result<(), Gone> {
        self.say(two_lines(failure)).await
    }

    async fn say(&self, text: String) -> Result<(), Gone> {
        let text = match self.seat.terminal {
            // It has its lines from the server, and stands anywhere in one.
            Some(_) => format!("\r\n{}", text.replace('\n', "\r\n")),
            None => text,
        };
        tokio::select! {
            said = self.to.extended_data_bytes(STDERR, text) => said.map_err(|_| Gone),
            () = self.gone.cancelled() => Err(Gone),
        }
    }

    pub async fn close(&self) -> Result<(), Gone> {
        let id = self.to.id();
        self.handle.eof(id).await.map_err(|()| Gone)?;
        self.handle.close(id).await.map_err(|()| Gone)
    }
}

/// As every failure is told.
pub fn two_lines(failure: &Failure) -> String {
    let message = visible(&failure.message, MESSAGE);
    let mut text = format!("sgw: error[{}]: {message}\n", failure.code);
    if !failure.hint.is_empty() {
        text.push_str(&format!("sgw: hint: {}\n", visible(&failure.hint, MESSAGE)));
    }
    text
}

/// Whether a server complains of what sgw puts in front of a command.
fn names_prefix(said: &[u8]) -> bool {
    let prefix = format!("export {}=", shell::MARKER).into_bytes();
    said.len() <= COMPLAINT && said.windows(prefix.len()).any(|window| window == prefix)
}

/// As `sgw signal` takes it.
pub fn signal_name(signal: Sig) -> String {
    match signal {
        Sig::Custom(name) => name,
        // The variants are named as on the wire.
        known => format!("{known:?}"),
    }
}

/// How far a stream has been written.
#[derive(Clone, Copy)]
struct Acknowledged {
    kind: Kind,
    end: u64,
}

impl Acknowledged {
    fn of(frame: &Frame) -> Self {
        let (offset, bytes) = frame.as_output().unwrap_or_default();
        Self { kind: frame.kind, end: offset + bytes.len() as u64 }
    }

    fn tell(self, control: &Control) {
        control.acks.send_modify(|(stdout, stderr)| match self.kind {
            Kind::Stdout => *stdout = self.end,
            _ => *stderr = self.end,
        });
    }
}

/// Of output that nobody wants any more.
fn acknowledge(control: &Control, frame: &Frame) {
    if matches!(frame.kind, Kind::Stdout | Kind::Stderr) {
        Acknowledged::of(frame).tell(control);
    }
}

/// Passes on what the client sends, as far as the call takes it. Goes on for ever.
async fn feed(control: &Control, inbox: &Inbox, credit: &Semaphore) -> std::convert::Infallible {
    loop {
        // The first credit comes when the call can be fed.
        if let Ok(one) = credit.acquire().await {
            one.forget();
        }
        let most = (1 + credit.available_permits()).min(PIECE);
        let piece = inbox.next(most).await.unwrap_or_default();
        credit.forget_permits(piece.len().saturating_sub(1));
        let Some(stdin) = control.feeds.get() else { continue };
        let ended = piece.is_empty();
        if piece.len() > TINY {
            // There is credit for it.
            let _taken = stdin.push(piece);
            continue;
        }
        // Of tiny ones only so many lie there: while the operator has the keyboard, none is taken.
        while stdin.push(piece.clone()).is_err() {
            tokio::time::sleep(AGAIN).await;
        }
        if ended {
            std::future::pending::<()>().await;
        }
    }
}

/// As the command line's own statuses: 1 and 2 are always the command's.
pub fn status(class: Class) -> u32 {
    match class {
        Class::Usage | Class::Failed | Class::Lost => 125,
        Class::NoDaemon => 69,
        Class::NotYet => 75,
        Class::No => 77,
        Class::TimedOut => 124,
        Class::Unreachable => 255,
    }
}
