//! The program itself: started in this terminal, told what sgw is told, and its status passed on.

use std::{
    ffi::OsString,
    io::{self, ErrorKind},
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
};

use rustix::process::{Pid, Signal, getpgrp, kill_process};
use tokio::{
    process::{Child, Command},
    signal::unix::{Signal as Waited, SignalKind, signal},
};

use crate::{
    cli::{sandbox::Sandbox, ui::exit::Exit},
    domain::escape::visible,
    protocol::error::{Code, Failure},
};

/// env(1) gives these.
const NOT_STARTED: Exit = Exit(126);
const NOT_FOUND: Exit = Exit(127);

/// It could not be started.
pub struct Failed {
    pub failure: Failure,
    pub exit: Exit,
}

/// With a sandbox it is closed in, and so is all that it starts.
pub fn start(
    words: &[OsString],
    mut environment: Vec<(OsString, OsString)>,
    sandbox: Option<&Sandbox>,
) -> Result<Child, Failed> {
    let program = words.first().cloned().unwrap_or_default();
    let mut command = Command::new(&program);
    environment.extend(sandbox.map(Sandbox::environment).unwrap_or_default());
    command.args(words.iter().skip(1)).env_clear().envs(environment);
    let runtime = tokio::runtime::Handle::current();
    let spawned = match sandbox {
        None => command.spawn(),
        Some(sandbox) => sandbox
            .inside(|| {
                // Its end is heard of by this runtime.
                let _entered = runtime.enter();
                command.spawn()
            })
            .map_err(|failure| Failed { failure, exit: NOT_STARTED })?,
    };
    spawned.map_err(|error| {
        let exit = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_STARTED };
        let name = visible(&program.to_string_lossy(), 200);
        let message = format!("{name} could not be started: {error}");
        let hint = "sgw run -- PROGRAM [ARG…]";
        Failed { failure: Failure::new(Code::UsageCommand, message, hint), exit }
    })
}

/// Signals that would end sgw, and are the program's.
pub struct Passed([(Signal, Waited); 6]);

impl Passed {
    pub fn watch() -> io::Result<Self> {
        let waited = |kind: SignalKind, number: Signal| Ok::<_, io::Error>((number, signal(kind)?));
        Ok(Self([
            waited(SignalKind::interrupt(), Signal::INT)?,
            waited(SignalKind::quit(), Signal::QUIT)?,
            waited(SignalKind::terminate(), Signal::TERM)?,
            waited(SignalKind::hangup(), Signal::HUP)?,
            waited(SignalKind::user_defined1(), Signal::USR1)?,
            waited(SignalKind::user_defined2(), Signal::USR2)?,
        ]))
    }

    pub async fn next(&mut self) -> Signal {
        let came = self.0.iter_mut().map(|(number, waited)| {
            Box::pin(async move {
                waited.recv().await;
                *number
            })
        });
        futures::future::select_all(came).await.0
    }
}

/// Passes a signal on, unless the terminal gave it to the program too: Ctrl-C goes to everyone in the
/// foreground, and would come twice.
pub fn pass(child: &Child, signal: Signal) {
    if matches!(signal, Signal::INT | Signal::QUIT | Signal::HUP) && is_in_foreground() {
        return;
    }
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended at this moment.
        let _gone = kill_process(pid, signal);
    }
}

fn is_in_foreground() -> bool {
    let terminal = std::fs::File::open("/dev/tty");
    terminal.is_ok_and(|tty| rustix::termios::tcgetpgrp(&tty).is_ok_and(|group| group == getpgrp()))
}

/// Its own status, or 128 and the signal that ended it.
pub fn exit(status: ExitStatus) -> Exit {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Exit(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
