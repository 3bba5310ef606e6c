//! `sgw proxy`: carries a stock SSH client's connection to the daemon.

mod farewell;

use std::{
    ffi::OsString,
    fs::File,
    io::{self, IoSlice, Read, Write},
    mem::MaybeUninit,
    net::Shutdown,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::mpsc,
    thread,
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::{
    cli::{
        Context, Outcome, Run,
        context::{self, Asking},
        follow,
        ui::{Stream, exit::Exit},
    },
    client::Error,
    domain::escape,
    protocol::{
        agent::Message,
        error::{Code, Failure},
        ssh::Bridge,
    },
};

/// How long a person is waited for: an SSH client can't be told "not yet".
const PATIENCE_MS: u64 = 5000;
/// What every SSH client says first (RFC 4253, 4.2).
const GREETING: &[u8] = b"SSH-";
/// What is carried at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// Carry an SSH client's connection to the daemon, which is its server
///
/// For ssh's ProxyCommand; `sgw ssh-config` prints a configuration that uses it. The client needs no key:
/// what it does there is judged, recorded and watched as `sgw exec` is. Without a session on DEST the
/// person is asked and waited for, 5 seconds at most.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ssh -o ProxyCommand=\"sgw proxy -- '%r@%n' %p\" -o PreferredAuthentications=none deploy@web1
  sgw ssh web1 uptime")]
pub struct Proxy {
    /// Where to: [USER@]HOST, a target's name, or a session's
    #[arg(value_name = "DEST", add = super::completions::ids("sessions"))]
    destination: OsString,
    /// The port, as ssh has it: 22 is the target's own [default: 22]
    #[arg(value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Hand the connection to ssh over standard output, if that is a socket, and leave (ssh's ProxyUseFdpass)
    #[arg(long)]
    pass_fd: bool,
    #[command(flatten)]
    asking: Asking,
}

impl Run for Proxy {
    fn run(self, context: &Context) -> Outcome {
        let pass = self.pass_fd;
        let asked = Bridge {
            destination: destination(self.destination)?,
            port: self.port,
            wait_ms: PATIENCE_MS,
            no_ask: self.asking.never(),
        };
        // Clients that know ssh's configuration but not this way of it gave us a pipe.
        let passes = pass && takes_descriptors().map_err(Error::local("look at stdout"))?;
        let stream = match ask(context, asked) {
            Ok(stream) => stream,
            Err(failure) => {
                if passes {
                    // Why not is told in any case.
                    let _gone = farewell::farewell().and_then(|none| hand_over(&none));
                }
                return Err(failure.into());
            }
        };
        let carried = stream.set_nonblocking(false).and_then(|()| match passes {
            true => hand_over(&stream),
            false => carry(stream),
        });
        match carried {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(no_ssh().into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(cut().into()),
            // The client has gone.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::DONE),
            carried => {
                carried.map_err(Error::local("carry the connection"))?;
                Ok(Exit::DONE)
            }
        }
    }
}

/// The way in, which carries SSH from here on.
fn ask(context: &Context, asked: Bridge) -> Result<UnixStream, Failure> {
    let ui = context.ui;
    context.block_on(async {
        let waiting = |message: &Message| match message {
            Message::Waiting { id, kind } => follow::waiting(ui, id, *kind),
            Message::Note { text } => ui.note(text),
            _ => {}
        };
        let stream = context.place()?.bridge(context::token()?, asked, waiting).await?;
        stream.into_std().map_err(Error::local("take the connection"))
    })
}

/// Whether there is a way in; a person is asked for it as ssh's proxy would ask them.
///
/// # Errors
/// Why there is none, or not yet.
pub(super) fn try_first(
    context: &Context,
    destination: String,
    port: Option<u16>,
) -> Result<(), Failure> {
    let no_ask = Asking { no_ask: false }.never();
    let asked = Bridge { destination, port, wait_ms: PATIENCE_MS, no_ask };
    ask(context, asked).map(drop)
}

fn destination(word: OsString) -> Result<String, Failure> {
    word.into_string().map_err(|word| {
        let shown = escape::exact(word.as_encoded_bytes(), 60);
        let message = format!("`{shown}` is no destination: users and hosts are plain text");
        Failure::new(Code::UsageDestination, message, "sgw proxy [USER@]HOST [PORT]")
    })
}

/// Whether standard output is a socket, as ssh makes it.
fn takes_descriptors() -> io::Result<bool> {
    let about = rustix::fs::fstat(Stream::Stdout.open()?)?;
    Ok(rustix::fs::FileType::from_raw_mode(about.st_mode) == rustix::fs::FileType::Socket)
}

/// One byte with the connection, over the socket that ssh made our standard output.
fn hand_over(stream: &UnixStream) -> io::Result<()> {
    send_with(&Stream::Stdout.open()?, &[0], &stream.as_fd())
}

fn send_with(to: &impl AsFd, bytes: &[u8], passed: &BorrowedFd) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let passed = [*passed];
    control.push(SendAncillaryMessage::ScmRights(&passed));
    sendmsg(to, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Both ways, until the daemon has said all. Past the buffers of std, which would hold bytes back.
fn carry(mut stream: UnixStream) -> io::Result<()> {
    let mut from = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut to = Stream::Stdout.open()?;
    let mut up = stream.try_clone()?;
    let (odd, is_odd) = mpsc::channel();
    // It ends with the process where the daemon has said all before the client has.
    thread::spawn(move || {
        let up_to = match greeting(&mut from, &mut up) {
            Ok(true) => {
                let _gone = pass(&mut from, &mut up);
                Shutdown::Write
            }
            Ok(false) => {
                let _gone = odd.send(());
                Shutdown::Both
            }
            Err(_gone) => Shutdown::Write,
        };
        let _gone = up.shutdown(up_to);
    });
    let carried = pass(&mut stream, &mut to);
    match is_odd.try_recv() {
        Ok(()) => Err(io::ErrorKind::InvalidData.into()),
        Err(_) => carried,
    }
}

/// Passes on what a client says first; false where no SSH client says that.
fn greeting(from: &mut impl Read, to: &mut impl Write) -> io::Result<bool> {
    let mut first = [0; GREETING.len()];
    let mut there = 0;
    while there < first.len() {
        let read = match from.read(&mut first[there..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            return Ok(there == 0);
        }
        there += read;
        if !GREETING.starts_with(&first[..there]) {
            return Ok(false);
        }
    }
    to.write_all(&first)?;
    Ok(true)
}

fn no_ssh() -> Failure {
    let message =
        "what came on standard input is not SSH: this is for an SSH client's ProxyCommand";
    Failure::new(Code::UsageArguments, message, "sgw ssh DEST [COMMAND…]")
}

/// It has been sent away, or the daemon is gone.
fn cut() -> Failure {
    let message = "the daemon cut the connection: what came was not SSH, or it is locked by now";
    Failure::new(Code::DaemonLost, message, "sgw daemon status; sgw ssh DEST [COMMAND…]")
}

fn pass(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match from.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        match chunk.get(..read).filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => to.write_all(bytes)?,
            None => return Ok(()),
        }
    }
}
