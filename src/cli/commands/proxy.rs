//! `sgw proxy`: carries a stock SSH client's connection to the daemon.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, IoSlice, Read, Write},
    mem::MaybeUninit,
    net::Shutdown,
    os::{fd::AsFd, unix::net::UnixStream},
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
    /// The port, as ssh has it: 22 is any [default: 22]
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
        let ui = context.ui;
        let stream = context.block_on(async {
            let waiting = |message: &Message| match message {
                Message::Waiting { id, kind } => follow::waiting(ui, id, *kind),
                Message::Note { text } => ui.note(text),
                _ => {}
            };
            let stream = context.place()?.bridge(context::token()?, asked, waiting).await?;
            stream.into_std().map_err(Error::local("take the connection"))
        })?;
        let carried = stream.set_nonblocking(false).and_then(|()| match pass {
            // Clients that know ssh's configuration but not this way of it gave us a pipe.
            true if takes_descriptors()? => hand_over(&stream),
            _ => carry(stream),
        });
        carried.map_err(Error::local("carry the connection"))?;
        Ok(Exit::DONE)
    }
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
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let passed = [stream.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&passed));
    let stdout = Stream::Stdout.open()?;
    sendmsg(&stdout, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Both ways, until the daemon has said all. Past the buffers of std, which would hold bytes back.
fn carry(mut stream: UnixStream) -> io::Result<()> {
    let mut from = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut to = Stream::Stdout.open()?;
    let mut up = stream.try_clone()?;
    // It ends with the process where the daemon has said all before the client has.
    thread::spawn(move || {
        let _gone = pass(&mut from, &mut up);
        let _gone = up.shutdown(Shutdown::Write);
    });
    pass(&mut stream, &mut to)
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
