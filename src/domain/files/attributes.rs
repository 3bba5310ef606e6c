//! What an SFTP client sets at once: rights, owner, size and times.

use serde::Serialize;

use super::*;

/// Each may be absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attributes {
    pub path: Bytes,
    /// Of what a link leads to, rather than of the link itself.
    pub follow: bool,
    pub mode: Option<u32>,
    /// uid and gid.
    pub owner: Option<(u32, u32)>,
    /// Cut off there, or filled up with zeros; in bytes.
    pub size: Option<u64>,
    pub times: bool,
}

impl Attributes {
    pub(super) fn command(&self, path: &[u8]) -> Vec<u8> {
        let line = |words: &[&str]| {
            let words = words.iter().map(|word| word.as_bytes().to_vec());
            let words: Vec<_> = words.chain([path.to_vec()]).collect();
            shell::quote_argv(&words).unwrap_or_default()
        };
        let owner = self.owner.map(|(user, group)| {
            let owner = format!("{user}:{group}");
            match self.follow {
                true => line(&["chown", "--", &owner]),
                false => line(&["chown", "-h", "--", &owner]),
            }
        });
        let mode = self.mode.map(|mode| chmod(mode, path.to_vec()));
        // As much as opening it to write it anew.
        let size = self.size.map(|_| [&b"cat > "[..], &line(&[])].concat());
        let all = [owner, mode, size].into_iter().flatten().collect::<Vec<_>>();
        match all.is_empty() {
            true => line(&["touch", "-c", "--"]),
            false => all.join(&b"; "[..]),
        }
    }

    /// What is set, for people.
    pub(super) fn told(&self) -> String {
        let mode = self.mode.map(|mode| format!(" mode {mode:04o}"));
        let owner = self.owner.map(|(user, group)| format!(" owner {user}:{group}"));
        let size = self.size.map(|size| format!(" size {size}"));
        let times = self.times.then(|| " times".to_owned());
        [mode, owner, size, times].into_iter().flatten().collect()
    }
}
