//! The signals that a desk heeds: each leaves the terminal as it was.

use std::io;

use rustix::process::{Signal as Number, getpid, kill_process};
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

    /// What `work` gives, or the exit where a signal ends this process before.
    pub async fn unless_ended<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> io::Result<Result<T, Exit>> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                signal = self.next() => match signal {
                    Signalled::Interrupt => return Ok(Err(Exit::INTERRUPTED)),
                    Signalled::End(exit) => return Ok(Err(exit)),
                    Signalled::Suspend => kill_process(getpid(), Number::STOP)?,
                    Signalled::GoOn => {}
                },
                done = &mut work => return Ok(Ok(done)),
            }
        }
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
