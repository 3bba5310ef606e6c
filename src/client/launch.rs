//! Starts the daemon, for the operator's `unlock` alone: fresh, from this very program, with the data
//! key handed over an inherited socketpair.

use std::{
    fs::File,
    io,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::{
    io::{FdFlags, fcntl_getfd, fcntl_setfd},
    process::{Pid, Signal, kill_process, setsid},
};
use tokio::signal::unix::{SignalKind, signal};

use super::{Error, Place};
use crate::{
    domain::seal::DataKey,
    protocol::{
        error::{Code, Failure},
        handover::{Answer, Handover, Ready},
    },
};

/// How long a daemon may take to be ready: it reads the state and the whole audit first.
const READY: Duration = Duration::from_secs(60);
/// What of the operator's environment reaches the daemon: where notifications are shown, and in what
/// language and time zone.
const KEPT: [&str; 11] = [
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
];
/// Not the operator's `PATH`: what the daemon runs must not depend on it.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// The flag by which a process knows that its key waits there.
pub const KEY_ON_STDIN: &str = "--key-on-stdin";

/// A daemon that is ready.
#[derive(Debug)]
pub struct Launched {
    pub ready: Ready,
    child: Child,
}

impl Launched {
    /// Stays with it; Ctrl-C or SIGTERM ends it. True when it ended well.
    pub async fn until_it_ends(mut self) -> Result<bool, Error> {
        let watch = |kind| signal(kind).map_err(Error::local("watch for signals"));
        let mut interrupt = watch(SignalKind::interrupt())?;
        let mut terminate = watch(SignalKind::terminate())?;
        let pid = Pid::from_child(&self.child);
        let mut end = tokio::task::spawn_blocking(move || self.child.wait());
        loop {
            tokio::select! {
                ended = &mut end => {
                    let ended = ended.map_err(|_| Error::Lost)?;
                    return Ok(ended.map_err(Error::local("wait for the daemon"))?.success());
                }
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            // Gone already: then its end is the next thing that we hear.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

/// Starts a daemon and waits until it answers.
pub fn launch(place: &Place, data_key: &DataKey) -> Result<Launched, Error> {
    let (mut ours, theirs) = UnixStream::pair().map_err(Error::local("make a socketpair"))?;
    ours.set_read_timeout(Some(READY)).map_err(Error::local("set up a socket"))?;
    close_on_exec().map_err(Error::local("close inherited descriptors"))?;
    let mut child = command(theirs.into()).spawn().map_err(Error::local("start the daemon"))?;
    let answer =
        Handover::write(data_key, place.path(), &mut ours).and_then(|()| Answer::read(&mut ours));
    match answer {
        Ok(Answer::Ready(ready)) => Ok(Launched { ready, child }),
        Ok(Answer::Failed(failure)) => {
            // It ends by itself now; without this it would stay a zombie until we do.
            let _ = child.wait();
            Err(failure.into())
        }
        Err(error) => {
            let message = match error.kind() {
                io::ErrorKind::WouldBlock => "the daemon was not ready within a minute".to_owned(),
                _ => "the daemon ended while it started".to_owned(),
            };
            let log = place.path().join(crate::home::LOG);
            let hint = format!("its log says why: {}", log.display());
            Err(Failure::new(Code::DaemonFailed, message, hint).into())
        }
    }
}

fn command(socket: OwnedFd) -> Command {
    // Not the path of this program: another one may lie there by now.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("sgw")
        .args(["daemon", "run", KEY_ON_STDIN])
        .env_clear()
        .envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // SAFETY: setsid(2) is async-signal-safe, and touches no memory of ours.
    #[allow(unsafe_code, reason = "a new session can only be begun between fork and exec")]
    unsafe {
        command.pre_exec(|| setsid().map(|_| ()).map_err(io::Error::from));
    }
    command
}

/// What we inherited without the flag (a shell's redirections, a terminal's leaks) stays out of the
/// daemon.
fn close_on_exec() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if number <= 2 {
            continue;
        }
        // SAFETY: the descriptor is only asked about and flagged; one that is closed by now fails.
        #[allow(unsafe_code, reason = "inherited descriptors have no owner in this program")]
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        if let Ok(flags) = fcntl_getfd(descriptor)
            && !flags.contains(FdFlags::CLOEXEC)
        {
            fcntl_setfd(descriptor, flags | FdFlags::CLOEXEC)?;
        }
    }
    Ok(())
}

/// The daemon's end of the socketpair, in a process that was started by [`launch`].
pub fn inherited() -> io::Result<OwnedFd> {
    use std::os::fd::AsFd;
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    // So that nothing that the daemon starts, or reads by mistake, finds the key there.
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(socket)
}
