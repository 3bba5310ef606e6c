//! Questions to the person at the terminal. dialoguer can't be cancelled: it asks on a thread of its
//! own, while this one watches for signals and puts the terminal back as it was, however it ends.

use std::io;

use dialoguer::{Confirm, Password, Select, theme::SimpleTheme};
use rustix::termios::{OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use crate::{
    cli::Stop,
    client::{self, Error},
    domain::secret::Secret,
    protocol::error::{Code, Failure},
};

/// Asks for a secret without showing it.
pub fn password(prompt: &str) -> Result<Secret<String>, Stop> {
    let prompt = prompt.to_owned();
    ask(move || Password::new().with_prompt(prompt).allow_empty_password(true).interact())
        .map(Secret::new)
}

/// Asks for a new secret, twice.
pub fn new_password(prompt: &str, again: &str) -> Result<Secret<String>, Stop> {
    let (prompt, again) = (prompt.to_owned(), again.to_owned());
    ask(move || {
        Password::new()
            .with_prompt(prompt)
            .with_confirmation(again, "The two differ: once more from the start.")
            .interact()
    })
    .map(Secret::new)
}

/// Asks for one of several; Enter takes the marked one, Esc none.
pub fn choose(prompt: &str, items: &[impl ToString]) -> Result<usize, Stop> {
    let (prompt, items) = (prompt.to_owned(), items.iter().map(ToString::to_string).collect());
    let items: Vec<String> = items;
    ask(move || {
        let theme = SimpleTheme;
        Select::with_theme(&theme).with_prompt(prompt).items(&items).default(0).interact_opt()
    })?
    .ok_or(Stop::Exit(super::exit::Exit::INTERRUPTED))
}

/// Asks for a yes or a no: `y` or `n`; Enter alone answers nothing.
pub fn confirm(prompt: &str) -> Result<bool, Stop> {
    let prompt = prompt.to_owned();
    ask(move || Confirm::new().with_prompt(prompt).wait_for_newline(false).interact())
}

fn ask<T: Send + 'static>(
    question: impl FnOnce() -> dialoguer::Result<T> + Send + 'static,
) -> Result<T, Stop> {
    let terminal = Terminal::save();
    forget_typed_ahead();
    let runtime = client::runtime().map_err(Error::local("start"))?;
    let answer = runtime.block_on(async {
        let mut signals = Signals::watch().map_err(Error::local("watch for signals"))?;
        let (to, answer) = oneshot::channel();
        std::thread::spawn(move || {
            let _ = to.send(question());
        });
        tokio::select! {
            biased;
            () = signals.any() => Ok(None),
            answer = answer => Ok::<_, Error>(answer.ok()),
        }
    });
    runtime.shutdown_background();
    match answer? {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(dialoguer::Error::IO(error))) if error.kind() != io::ErrorKind::Interrupted => {
            terminal.restore();
            let message = format!("the terminal can't be asked: {error}");
            let hint = "give the answers as flags: see --help";
            Err(Failure::new(Code::OperatorProof, message, hint).into())
        }
        _ => {
            terminal.restore();
            Err(Stop::Exit(super::exit::Exit::INTERRUPTED))
        }
    }
}

/// What ends a question from outside.
pub struct Signals([tokio::signal::unix::Signal; 3]);

impl Signals {
    pub fn watch() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
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

/// The terminal's modes as they were before a question.
struct Terminal(Option<Termios>);

impl Terminal {
    fn save() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }

    fn restore(&self) {
        if let Some(modes) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
        }
        let _ = console::Term::stderr().show_cursor();
        super::raw_line();
    }
}

/// What was typed before a question was there is no answer to it.
pub fn forget_typed_ahead() {
    let _ = tcflush(io::stdin(), QueueSelector::IFlush);
}
