//! The signals that a desk heeds: each leaves the terminal as it was.

use std::io;

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::ui::exit::Exit;

pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    stop: Signal,
    go_on: Signal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalled {
    /// Ctrl-C from a question, or from outside.
    Interrupt,
    End(Exit),
    Suspend,
    /// It was stopped, and something else had the terminal.
    GoOn,
}

impl Signals {
    pub fn watch() -> io::Result<Self> {
        let of = |number: Number| signal(SignalKind::from_raw(number.as_raw()));
        Ok(Self {
            interrupt: of(Number::INT)?,
            terminate: of(Number::TERM)?,
            hangup: of(Number::HUP)?,
            stop: of(Number::TSTP)?,
            go_on: of(Number::CONT)?,
        })
    }

    /// The next one. Cancel-safe.
    pub async fn next(&mut self) -> Signalled {
        let ends = |number: Number| Signalled::End(Exit(128 + number.as_raw() as u8));
        tokio::select! {
            _ = self.interrupt.recv() => Signalled::Interrupt,
            _ = self.terminate.recv() => ends(Number::TERM),
            _ = self.hangup.recv() => ends(Number::HUP),
            _ = self.stop.recv() => Signalled::Suspend,
            _ = self.go_on.recv() => Signalled::GoOn,
        }
    }
}
