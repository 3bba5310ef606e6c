//! Questions to the person at the terminal. dialoguer can't be cancelled: it asks on a thread of its
//! own. Whoever drops a question (a signal, a daemon that withdraws it) gets the terminal back as it
//! was. What was typed before a question stood there is no answer to it.

use std::{io, time::Duration};

use dialoguer::{Confirm, Select, theme::SimpleTheme};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::{LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};
use zeroize::Zeroizing;

use super::{Ui, exit::Exit};
use crate::{
    cli::Stop,
    domain::secret::Secret,
    protocol::error::{Code, Failure},
};

/// A terminal's line has at most 4,095 bytes (termios(3), canonical mode).
const MAX_LINE: usize = 4096;
/// A person does not notice that this lies between two looks at the keyboard.
const LOOK_AGAIN: Duration = Duration::from_millis(30);

/// Asks for a secret without showing it. It can be dropped like [`line`].
pub async fn password(prompt: &str) -> Result<Secret<String>, Stop> {
    line(&format!("{prompt}:"), false).await.map_err(|error| no_terminal(&error))
}

/// Asks for a new secret, twice. One that will not do is refused, in the words of `judge`, before it
/// is asked for again.
pub async fn new_password(
    ui: Ui,
    prompt: &str,
    again: &str,
    judge: impl Fn(&Secret<String>) -> Result<(), String>,
) -> Result<Secret<String>, Stop> {
    loop {
        let chosen = password(prompt).await?;
        if let Err(why) = judge(&chosen) {
            ui.say(&why);
            continue;
        }
        if password(again).await?.expose() == chosen.expose() {
            return Ok(chosen);
        }
        ui.say("The two differ: once more from the start.");
    }
}

/// Asks for one of several with the arrow keys; Enter takes the marked one, Esc ends everything.
pub async fn choose(prompt: &str, items: &[String]) -> Result<usize, Stop> {
    let (prompt, items) = (prompt.to_owned(), items.to_vec());
    ask(move || {
        let theme = SimpleTheme;
        Select::with_theme(&theme).with_prompt(prompt).items(&items).default(0).interact_opt()
    })
    .await?
    .ok_or(Stop::Exit(Exit::INTERRUPTED))
}

/// Asks for a yes or a no: `y` or `n`; Enter alone answers nothing.
pub async fn confirm(prompt: &str) -> Result<bool, Stop> {
    let prompt = prompt.to_owned();
    ask(move || Confirm::new().with_prompt(prompt).wait_for_newline(false).interact()).await
}

async fn ask<T: Send + 'static>(
    question: impl FnOnce() -> dialoguer::Result<T> + Send + 'static,
) -> Result<T, Stop> {
    let mut terminal = Terminal::save();
    let (to, answer) = oneshot::channel();
    std::thread::spawn(move || {
        // Whoever asked may be gone.
        let _ = to.send(question());
    });
    match answer.await {
        Ok(Ok(answer)) => {
            terminal.keep();
            Ok(answer)
        }
        Ok(Err(dialoguer::Error::IO(error))) if error.kind() != io::ErrorKind::Interrupted => {
            Err(no_terminal(&error))
        }
        _ => Err(Stop::Exit(Exit::INTERRUPTED)),
    }
}

fn no_terminal(error: &io::Error) -> Stop {
    let message = format!("the terminal can't be asked: {error}");
    Failure::new(Code::OperatorProof, message, "give the answers as flags: see --help").into()
}

/// Asks for a line. It can be dropped at any moment: a question that the daemon withdraws leaves
/// nothing behind that would read the next one's answer.
pub async fn line(prompt: &str, echo: bool) -> io::Result<Secret<String>> {
    let mut terminal = Terminal::save();
    if !echo {
        terminal.hide();
    }
    super::prompt(prompt);
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE));
    loop {
        while !has_a_line()? {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let mut piece = Zeroizing::new([0; 512]);
        // Ready in canonical mode means that a line is there: this does not wait.
        let count = rustix::io::read(io::stdin(), &mut *piece)?;
        line.extend_from_slice(&piece[..count]);
        if count == 0 && line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if count == 0 || line.ends_with(b"\n") || line.len() >= MAX_LINE {
            break;
        }
    }
    terminal.keep();
    let text = String::from_utf8_lossy(&line);
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn has_a_line() -> io::Result<bool> {
    let stdin = io::stdin();
    let mut waiting = [PollFd::new(&stdin, PollFlags::IN)];
    Ok(poll(&mut waiting, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0)
}

/// What ends a command's questions from outside.
pub struct Signals([Signal; 3]);

impl Signals {
    pub fn watch() -> io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    pub async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// The terminal's modes as they were before a question; put back when the question is dropped.
pub struct Terminal {
    before: Option<Termios>,
    broken_off: bool,
}

impl Terminal {
    pub fn save() -> Self {
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        Self { before: tcgetattr(io::stdin()).ok(), broken_off: true }
    }

    fn hide(&mut self) {
        if let Some(before) = &self.before {
            let mut modes = before.clone();
            modes.local_modes.remove(LocalModes::ECHO);
            modes.local_modes.insert(LocalModes::ECHONL);
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
        }
    }

    /// The question was answered, and whoever asked has put everything back.
    pub fn keep(&mut self) {
        self.broken_off = false;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // What was half typed for a question that is gone is not for whoever reads next.
            let how = if self.broken_off { OptionalActions::Flush } else { OptionalActions::Now };
            let _ = tcsetattr(io::stdin(), how, before);
        }
        if self.broken_off {
            let _ = console::Term::stderr().show_cursor();
            super::new_line();
        }
    }
}
