//! Connections that ssh keeps open for others to use (ssh_config(5), ControlMaster).

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{io::AsyncReadExt, net::UnixStream};

use super::{Check, Finding, Ground, keys::files_under, quoted, shown};
use crate::{cli::resolve::said, client};

const CHECK: Check = Check {
    id: "ssh.master",
    why: "whoever shares your uid runs commands over such a connection, with no login at all",
};
/// Sockets that are asked.
const MOST: usize = 64;
/// A master greets at once.
const GREETING: Duration = Duration::from_secs(2);

pub fn check(ground: &Ground) -> Vec<Finding> {
    let sockets = candidates(ground);
    let Ok(runtime) = client::runtime() else { return vec![] };
    let asked = sockets.iter().take(MOST).map(|socket| greets(socket));
    let answers = runtime.block_on(futures::future::join_all(asked));
    let live = sockets.iter().zip(answers).filter(|(_, greets)| *greets);
    let found = live.map(|(socket, _)| {
        CHECK.warn(
            format!("{} is a live ControlMaster connection", shown(socket)),
            format!("ssh -O exit -o ControlPath={} -F none host", quoted(socket)),
        )
    });
    CHECK.all(found.collect(), "no live ControlMaster connection")
}

/// Whether a master answers: it sends `MUX_MSG_HELLO` before anything is asked of it (OpenSSH,
/// PROTOCOL.mux, 1).
async fn greets(socket: &Path) -> bool {
    const HELLO: u32 = 1;
    let greeting = async {
        let mut stream = UnixStream::connect(socket).await?;
        let length = stream.read_u32().await?;
        Ok::<_, std::io::Error>((length, stream.read_u32().await?))
    };
    let heard = tokio::time::timeout(GREETING, greeting).await;
    matches!(heard, Ok(Ok((8..=4096, HELLO))))
}

/// Sockets in and around `~/.ssh`, at ControlPaths, and whatever listens under a name such as ssh
/// makes while it starts.
fn candidates(ground: &Ground) -> BTreeSet<PathBuf> {
    let mut named = Vec::new();
    for home in ground.homes() {
        files_under(&home.join(".ssh"), 2, &mut named);
        files_under(&home.join(".ansible/cp"), 0, &mut named);
    }
    named.extend(said::paths(&ground.account, "controlpath"));
    named.extend(ground.listening().iter().filter_map(|path| final_name(path)));
    named.retain(|path| ground.is_my_socket(path));
    named.into_iter().collect()
}

/// ssh binds `PATH.` and 16 letters, and then links that to PATH, so that nobody meets a socket that
/// does not answer yet (mux.c).
fn final_name(bound: &Path) -> Option<PathBuf> {
    let (name, random) = bound.to_str()?.rsplit_once('.')?;
    let is_random = random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_random.then(|| PathBuf::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_under_which_ssh_binds_leads_to_the_final_one() {
        let named = |path: &str| final_name(path.as_ref());
        assert_eq!(named("/h/.ssh/cm-me@web.AbCdEfGh01234567"), Some("/h/.ssh/cm-me@web".into()));
        assert_eq!(named("/run/agent.sock"), None);
    }
}
