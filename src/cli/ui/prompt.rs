//! Questions to the person at the terminal. dialoguer can't be cancelled: it asks on a thread of its
//! own. Whoever drops a question (a signal, a daemon that withdraws it) gets the terminal back as it
//! was. What was typed before a question stood there is no answer to it.

use std::{io, time::Duration};

use dialoguer::Confirm;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::Signal as Number,
    termios::{
        LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr,
        tcgetwinsize, tcsetattr,
    },
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};
use zeroize::Zeroizing;

use super::{Ui, exit::Exit, terminal::text::clipped};
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

/// Asks for one of several with the arrow keys; Enter takes the marked one, Esc ends everything. It
/// can be dropped like [`line`].
pub async fn choose(prompt: &str, items: &[String]) -> Result<usize, Stop> {
    let mut terminal = Terminal::save();
    terminal.key_by_key();
    let columns = tcgetwinsize(io::stderr()).map_or(80, |size| usize::from(size.ws_col));
    let mut marked = 0;
    super::write(&format!("{prompt}:\n{}", list(items, marked, columns)));
    loop {
        while !has_a_line().map_err(|error| no_terminal(&error))? {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let mut typed = [0; 64];
        let count = rustix::io::read(io::stdin(), &mut typed)
            .map_err(|errno| no_terminal(&errno.into()))?;
        match chosen(&typed[..count], &mut marked, items.len()) {
            Choice::Open => {
                let list = list(items, marked, columns);
                super::write(&format!("\x1b[{}A{list}", items.len()));
            }
            Choice::Taken => {
                terminal.keep();
                return Ok(marked);
            }
            Choice::None => return Err(Stop::Exit(Exit::INTERRUPTED)),
        }
    }
}

/// What keys made of a choice.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Open,
    Taken,
    None,
}

/// Moves the mark, around the ends. A terminal sends the keys with a sequence in one piece.
fn chosen(mut typed: &[u8], marked: &mut usize, many: usize) -> Choice {
    let last = many.saturating_sub(1);
    if typed.is_empty() {
        return Choice::None;
    }
    while let Some(&first) = typed.first() {
        let length = match typed {
            [0x1b, b'[' | b'O', ..] => 3.min(typed.len()),
            _ => 1,
        };
        match (first, &typed[..length]) {
            (b'k', _) | (_, [0x1b, _, b'A']) => *marked = marked.checked_sub(1).unwrap_or(last),
            (b'j', _) | (_, [0x1b, _, b'B']) => {
                *marked = if *marked >= last { 0 } else { *marked + 1 };
            }
            (b'\r' | b'\n', _) => return Choice::Taken,
            (_, [0x1b] | [4]) => return Choice::None,
            _ => {}
        }
        typed = &typed[length..];
    }
    Choice::Open
}

/// A line each, which never wraps.
fn list(items: &[String], marked: usize, columns: usize) -> String {
    let line = |(at, item): (usize, &String)| {
        let mark = if at == marked { '>' } else { ' ' };
        let line = clipped(&format!("{mark} {item}"), columns.saturating_sub(1));
        format!("\r\x1b[K{line}\n")
    };
    items.iter().enumerate().map(line).collect()
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

/// Asks for some words; what was typed is shown. It can be dropped like [`line`].
pub async fn answer(prompt: &str) -> Result<String, Stop> {
    let typed = line(prompt, true).await.map_err(|error| no_terminal(&error))?;
    Ok(typed.expose().clone())
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

    /// The first to come, as what it ends a process with: 128 and its number. Cancel-safe.
    pub async fn any(&mut self) -> Exit {
        let [interrupt, terminate, hangup] = &mut self.0;
        let by = tokio::select! {
            _ = interrupt.recv() => Number::INT,
            _ = terminate.recv() => Number::TERM,
            _ = hangup.recv() => Number::HUP,
        };
        Exit(128 + by.as_raw() as u8)
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

    /// Each key comes at once, and is not shown. Ctrl-C is a signal as ever.
    fn key_by_key(&mut self) {
        if let Some(before) = &self.before {
            let mut modes = before.clone();
            modes.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
            modes.special_codes[SpecialCodeIndex::VMIN] = 1;
            modes.special_codes[SpecialCodeIndex::VTIME] = 0;
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_moves_around_its_ends_and_enter_takes_it() {
        for (typed, marked, choice) in [
            ("\x1b[A", 2, Choice::Open),
            ("\x1b[A\x1b[A\r", 1, Choice::Taken),
            ("jjj", 0, Choice::Open),
            ("\x1bOBk\n", 0, Choice::Taken),
            ("xy\x1b[C\x1b[3~", 0, Choice::Open),
            ("j\x1b", 1, Choice::None),
            ("", 0, Choice::None),
        ] {
            let mut at = 0;
            assert_eq!((chosen(typed.as_bytes(), &mut at, 3), at), (choice, marked), "{typed:?}");
        }
    }

    #[test]
    fn a_long_item_takes_one_line() {
        let items = ["x".repeat(200), "東京".repeat(40)];
        let list = list(&items, 1, 80);
        let lines: Vec<&str> =
            list.lines().map(|line| line.trim_start_matches("\r\x1b[K")).collect();
        assert!(lines[0].starts_with("  x") && lines[1].starts_with("> 東"), "{lines:?}");
        assert!(lines.iter().all(|line| crate::cli::ui::terminal::text::width(line) < 80));
    }
}
