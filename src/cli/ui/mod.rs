//! The only code that writes to stdout and stderr.
//!
//! The law of output: stdout carries the plain result alone, or with `--json` one JSON object (lines
//! of them where a command follows something). What is said to a person goes to stderr and begins
//! with `sgw:`. A failure ends with `sgw: error[CODE]: …` and `sgw: hint: …`; with `--json` it is an
//! object on stdout. Colour only where stderr is a terminal and `NO_COLOR` is not set. What came from
//! an agent or a server goes through [`crate::domain::escape`] first.

pub mod desk;
pub mod exit;
pub mod progress;
pub mod prompt;
mod table;
pub mod terminal;

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use serde_json::json;

pub use table::Table;

use crate::protocol::error::Failure;

/// How this call speaks.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    pub json: bool,
    pub quiet: bool,
    colour: bool,
}

/// A descriptor to write to without a buffer in between, for a command's own bytes.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Ui {
    pub fn new(json: bool, quiet: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { json, quiet, colour: wanted && stderr_is_terminal() }
    }

    /// A line of the result.
    pub fn line(&self, text: &str) {
        // Nobody is left to tell when stdout is closed.
        let _ = writeln!(io::stdout().lock(), "{text}");
    }

    /// The result as JSON, on one line.
    pub fn object(&self, value: &impl Serialize) {
        if let Ok(text) = serde_json::to_string(value) {
            self.line(&text);
        }
    }

    /// For many results: gathered, so that each costs no system call.
    pub fn results(&self) -> Results {
        Results { out: io::BufWriter::with_capacity(64 << 10, io::stdout().lock()), open: true }
    }

    /// Bytes of the result as they are.
    pub fn bytes(&self, bytes: &[u8]) {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
    }

    /// The result: an object with `--json`, else what `text` says.
    pub fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json {
            return self.object(value);
        }
        let text = text();
        if !text.is_empty() {
            self.line(text.trim_end_matches('\n'));
        }
    }

    /// A sentence for the person, which `--quiet` silences.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr().lock(), "sgw: {text}");
        }
    }

    /// Rings, where a terminal can.
    pub fn bell(&self) {
        if !self.quiet && stderr_is_terminal() {
            let _ = write!(io::stderr().lock(), "\x07");
        }
    }

    /// What a person is about to decide on, or was asked for: never silenced.
    pub fn say(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    pub fn failure(&self, failure: &Failure) {
        if self.json {
            return self.object(&json!({ "error": failure }));
        }
        self.failure_text(failure);
    }

    /// The two lines of a failure.
    pub fn failure_text(&self, failure: &Failure) {
        let mut stderr = io::stderr().lock();
        let error = self.red("error");
        let _ = writeln!(stderr, "sgw: {error}[{}]: {}", failure.code, one_line(&failure.message));
        if !self.quiet && !failure.hint.is_empty() {
            let _ = writeln!(stderr, "sgw: hint: {}", one_line(&failure.hint));
        }
    }

    /// How wide what is said to a person may be: as its terminal, or without bound where there is
    /// none.
    pub fn columns(&self) -> usize {
        let size = rustix::termios::tcgetwinsize(io::stderr());
        match size.map(|size| usize::from(size.ws_col)) {
            // A terminal that does not know.
            Ok(0) => 80,
            Ok(columns) => columns,
            Err(_) => usize::MAX,
        }
    }

    pub fn bold(&self, text: &str) -> String {
        self.style(text, "1")
    }

    pub fn dim(&self, text: &str) -> String {
        self.style(text, "2")
    }

    fn red(&self, text: &str) -> String {
        self.style(text, "31")
    }

    fn style(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Lines of JSON on their way to stdout; what is gathered goes out when it ends.
pub struct Results {
    out: io::BufWriter<io::StdoutLock<'static>>,
    open: bool,
}

impl Results {
    pub fn object(&mut self, value: &impl Serialize) {
        let written = serde_json::to_writer(&mut self.out, value).is_ok()
            && self.out.write_all(b"\n").is_ok();
        self.open &= written;
    }

    /// Sends on what was gathered: somebody waits for it.
    pub fn flush(&mut self) {
        self.open &= self.out.flush().is_ok();
    }

    /// Whether anybody still reads.
    pub fn is_open(&self) -> bool {
        self.open
    }
}

impl Stream {
    pub fn open(self) -> io::Result<File> {
        let descriptor = match self {
            Stream::Stdout => io::stdout().as_fd().try_clone_to_owned(),
            Stream::Stderr => io::stderr().as_fd().try_clone_to_owned(),
        };
        descriptor.map(File::from)
    }
}

/// What clap has to say: help and version on stdout, its complaints on stderr.
pub fn clap(error: &clap::Error) {
    let _ = error.print();
}

/// A command's whole help on stdout.
pub fn help(command: &mut clap::Command) {
    let _ = command.print_long_help();
}

pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether nobody reads the result any more.
pub fn stdout_is_closed() -> bool {
    let stdout = io::stdout();
    let mut looked_at = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut looked_at, Some(&now)).is_ok()
        && looked_at[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// Whether a person can be asked.
pub fn can_prompt() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// A question's words, where the answer goes on the same line.
fn prompt(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{text} ").and_then(|()| stderr.flush());
}

/// Part of a question, as it is.
fn write(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Begins a new line where a question was broken off.
fn new_line() {
    let _ = writeln!(io::stderr().lock());
}

/// A failure's parts are sgw's own words, but they may quote a name: nothing in them ends the line.
fn one_line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}
