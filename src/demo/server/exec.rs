//! One command of the server: `/bin/sh -c`, its streams on a channel, its process group ended with it.

use std::{
    ffi::OsStr,
    io,
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    path::Path,
    process::{ExitStatus, Stdio},
    sync::Arc,
};

use russh::{
    Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig,
    server::{Handle, Msg},
};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    process::{Child, ChildStdin, Command},
};

use super::Wire;

const CHUNK: usize = 32 * 1024;

/// The stream of an SSH channel that carries stderr (RFC 4254 section 5.2).
const STDERR: u32 = 1;

pub(super) struct Process {
    child: Child,
    group: Group,
}

/// The command's process group, which nobody outlives.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // Fails when all of it has ended.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

impl Process {
    /// Nothing of the server's own environment gets through.
    pub(super) fn start(command: &[u8], directory: &Path) -> io::Result<Self> {
        let child = Command::new("/bin/sh")
            .arg("-c")
            .arg(OsStr::from_bytes(command))
            .current_dir(directory)
            .env_clear()
            .env("HOME", directory)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { child, group: Group(group) })
    }

    /// Carries the streams until the command has ended or the client has closed the channel. With a
    /// `wire`, hangs up the whole connection after the first output.
    pub(super) async fn run(
        mut self,
        channel: Channel<Msg>,
        handle: Handle,
        wire: Option<Arc<Wire>>,
    ) {
        let (from_client, to_client) = channel.split();
        let stdin = self.child.stdin.take();
        let status = tokio::select! {
            status = deliver(&mut self.child, &to_client, wire.as_deref()) => status,
            () = obey(from_client, stdin, &self.group) => None,
        };
        // All fail alike when the connection is gone, and then nobody is left to tell.
        let id = to_client.id();
        if let Some(status) = status {
            let _ = match status.signal() {
                None => handle.exit_status_request(id, status.code().unwrap_or(255) as u32).await,
                Some(number) => {
                    let name = Sig::Custom(signal_name(number).to_owned());
                    let core = status.core_dumped();
                    handle.exit_signal_request(id, name, core, String::new(), String::new()).await
                }
            };
            let _ = handle.eof(id).await;
        }
        let _ = handle.close(id).await;
    }
}

/// Output to the client, all of it, and then how the command ended.
async fn deliver(
    child: &mut Child,
    to_client: &ChannelWriteHalf<Msg>,
    wire: Option<&Wire>,
) -> Option<ExitStatus> {
    let stdout = copy(child.stdout.take(), to_client.make_writer(), wire);
    let stderr = copy(child.stderr.take(), to_client.make_writer_ext(Some(STDERR)), wire);
    let (stdout, stderr) = tokio::join!(stdout, stderr);
    if stdout.and(stderr).is_err() {
        return None;
    }
    child.wait().await.ok()
}

async fn copy(
    source: Option<impl AsyncRead + Unpin>,
    mut target: impl AsyncWrite + Unpin,
    wire: Option<&Wire>,
) -> io::Result<()> {
    let Some(mut source) = source else { return Ok(()) };
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = source.read(&mut chunk).await?;
        let Some(bytes) = chunk.get(..length).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        target.write_all(bytes).await?;
        target.flush().await?;
        if let Some(wire) = wire {
            hang_up(wire).await;
        }
    }
}

/// The chunk has only been handed to russh: it gets a moment to reach the client, so that the
/// connection breaks in the middle of the output and not before it.
async fn hang_up(wire: &Wire) {
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    wire.cut();
}

/// Input and signals from the client. Returns when the channel is closed or the connection lost.
async fn obey(mut from_client: ChannelReadHalf, mut stdin: Option<ChildStdin>, group: &Group) {
    while let Some(message) = from_client.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                if let Some(pipe) = &mut stdin
                    && pipe.write_all(&data).await.is_err()
                {
                    stdin = None;
                }
            }
            ChannelMsg::Eof => stdin = None,
            ChannelMsg::Signal { signal } => {
                if let Some(signal) = signal_number(&signal) {
                    group.signal(signal);
                }
            }
            ChannelMsg::Close => return,
            _ => {}
        }
    }
}

/// The names of RFC 4254 section 6.9.
const SIGNALS: [(&str, Signal); 13] = [
    ("ABRT", Signal::ABORT),
    ("ALRM", Signal::ALARM),
    ("FPE", Signal::FPE),
    ("HUP", Signal::HUP),
    ("ILL", Signal::ILL),
    ("INT", Signal::INT),
    ("KILL", Signal::KILL),
    ("PIPE", Signal::PIPE),
    ("QUIT", Signal::QUIT),
    ("SEGV", Signal::SEGV),
    ("TERM", Signal::TERM),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
];

fn signal_name(number: i32) -> &'static str {
    let known = SIGNALS.iter().find(|(_, signal)| signal.as_raw() == number);
    known.map_or("TERM", |(name, _)| name)
}

fn signal_number(signal: &Sig) -> Option<Signal> {
    let name = match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => name,
    };
    SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, signal)| *signal)
}
