//! The command that leads to a machine in place of a TCP connection (ssh_config(5), `ProxyCommand`). It
//! is the operator's own word, kept in the vault, and ends with the connection.

use std::{
    io,
    pin::Pin,
    process::Stdio,
    task::{Context, Poll},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    process::{Child, ChildStdin, ChildStdout, Command},
};
use tokio_util::sync::CancellationToken;

use super::{ConnectFault, wire::Wire};
use crate::domain::target::Hop;

/// What the command says and hears.
struct Proxy {
    stdout: ChildStdout,
    stdin: ChildStdin,
    /// Killed with its whole group when the connection is over.
    _group: Group,
    _child: Child,
}

struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // It may have ended by itself.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Runs the command; what it prints is what the machine says.
pub(super) fn start(command: &str, hop: &Hop) -> Result<(Wire, CancellationToken), ConnectFault> {
    let line = expand(command, hop)?;
    let failed = |error: io::Error| ConnectFault::Proxy(error.to_string());
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("exec {line}")).current_dir("/").env_clear();
    shell.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    shell.envs(std::env::vars_os().filter(|(name, _)| name == "HOME" || name == "USER"));
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = shell.process_group(0).kill_on_drop(true).spawn().map_err(failed)?;
    let group = Group(child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())));
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(ConnectFault::Proxy(String::from("it has no pipes")));
    };
    let cut = CancellationToken::new();
    let proxy = Proxy { stdout, stdin, _group: group, _child: child };
    Ok((Wire::new(proxy, cut.clone()), cut))
}

/// `%h`, `%p`, `%r` and `%%`. Host and user have no character that a shell would take for more than a
/// letter; a user that has one is refused.
fn expand(command: &str, hop: &Hop) -> Result<String, ConnectFault> {
    let refused = |why: &str| Err(ConnectFault::Proxy(why.to_owned()));
    let mut line = String::new();
    let mut chars = command.chars();
    while let Some(char) = chars.next() {
        match char {
            '%' => match chars.next() {
                Some('h') => line.push_str(&hop.host),
                Some('p') => line.push_str(&hop.port.to_string()),
                Some('r') if hop.user.contains(['$', '\\']) => {
                    return refused("%r, and a shell would read the user as something else");
                }
                Some('r') => line.push_str(&hop.user),
                Some('%') => line.push('%'),
                _ => return refused("it knows %h, %p, %r and %% alone"),
            },
            other => line.push(other),
        }
    }
    Ok(line)
}

impl AsyncRead for Proxy {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(context, buffer)
    }
}

impl AsyncWrite for Proxy {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_become_the_hop_and_nothing_else() {
        let hop = |user: &str| Hop { user: user.into(), host: "web1".into(), port: 2222 };
        assert_eq!(expand("nc -x 100%% %h %p", &hop("me")).unwrap(), "nc -x 100% web1 2222");
        assert_eq!(expand("ssh gate -l %r", &hop("me")).unwrap(), "ssh gate -l me");
        for (command, user) in [("a %n", "me"), ("a %", "me"), ("a %r", "$IFS"), ("a %r", "a\\b")] {
            assert!(expand(command, &hop(user)).is_err(), "{command} {user}");
        }
    }
}
