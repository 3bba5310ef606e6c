//! By what means an operation on files reaches a server.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{How, Operation, Write, plain};
use crate::domain::{capability::Capability, shell};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    #[default]
    Sftp,
    /// By a program of sgw's own for the account's shell. No capability of commands is needed for it: the agent
    /// has no say in its words, and it does to the paths that were judged what SFTP would. An SFTP server is
    /// begun by the account's shell, too, where it is not sshd's own.
    Exec,
    /// The same as root, by sudo.
    Sudo,
}

impl Way {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sftp => "sftp",
            Self::Exec => "exec",
            Self::Sudo => "sudo",
        }
    }

    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// What a session has to be given for it, beside what the operation needs.
    pub fn needs(self) -> Option<Capability> {
        (self == Self::Sudo).then_some(Capability::Sudo)
    }

    /// [`Operation::command`], as whom it is done.
    pub fn command(self, operation: &Operation, at: &[Vec<u8>]) -> Vec<u8> {
        if self != Self::Sudo {
            return operation.command(at);
        }
        let sudo = |words: &[&str], path: &[u8]| {
            let words =
                ["sudo", "-n", "--"].iter().chain(words).map(|word| word.as_bytes().to_vec());
            let words: Vec<_> = words.chain([plain(path)]).collect();
            // A path with a NUL byte is refused before.
            shell::quote_argv(&words).unwrap_or_default()
        };
        match operation {
            // A redirection would be the account's own.
            Operation::Write(Write { how, mode, .. }) => {
                let path = at.first().map_or(&b""[..], Vec::as_slice);
                let line = match how {
                    How::Append => sudo(&["tee", "-a", "--"], path),
                    How::Replace | How::Create => sudo(&["tee", "--"], path),
                };
                match mode {
                    Some(mode) => {
                        let chmod = sudo(&["chmod", &format!("{mode:04o}"), "--"], path);
                        [line, b"; ".to_vec(), chmod].concat()
                    }
                    None => line,
                }
            }
            other => [b"sudo -n -- ".to_vec(), other.command(at)].concat(),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_is_judged_says_that_it_is_as_root() {
        let write = |how, mode| {
            Operation::Write(Write { path: "x".into(), how, mode, parents: false, if_sum: None })
        };
        let at = [b"/etc/a b".to_vec()];
        let of = |way: Way, operation: &Operation| {
            String::from_utf8(way.command(operation, &at)).unwrap()
        };
        let remove = Operation::Remove { path: "x".into(), recursive: true };
        assert_eq!(of(Way::Sudo, &remove), "sudo -n -- rm -r -- '/etc/a b'");
        assert_eq!(of(Way::Exec, &remove), "rm -r -- '/etc/a b'");
        let replace = write(How::Replace, Some(0o640));
        let line = "sudo -n -- tee -- '/etc/a b'; sudo -n -- chmod 0640 -- '/etc/a b'";
        assert_eq!(of(Way::Sudo, &replace), line);
        assert_eq!(of(Way::Sudo, &write(How::Append, None)), "sudo -n -- tee -a -- '/etc/a b'");
        assert_eq!(of(Way::Sftp, &write(How::Append, None)), "cat >> '/etc/a b'");
    }
}
