//! ssh-agents that answer: their keys are counted, none is used.

use std::{collections::BTreeSet, path::PathBuf};

use super::{Check, Finding, Ground, shown};
use crate::{
    cli::resolve::{
        said,
        ssh_agent::{Agent, AgentError},
    },
    client,
};

const CHECK: Check = Check {
    id: "ssh.agent",
    why: "whoever shares your uid logs in with what an agent holds; sgw and you are not asked",
};
/// Sockets that are asked.
const MOST: usize = 32;
/// Where agents listen whose sockets have a fixed place, below a home.
const KNOWN: [&str; 6] = [
    ".1password/agent.sock",
    ".bitwarden-ssh-agent.sock",
    ".gnupg/S.gpg-agent.ssh",
    ".ssh/agent.sock",
    ".var/app/com.bitwarden.desktop/data/.bitwarden-ssh-agent.sock",
    "Library/Group Containers/2BUA8C4S2C.com.1password/t/agent.sock",
];

pub fn check(ground: &Ground) -> Vec<Finding> {
    let sockets = candidates(ground);
    let Ok(runtime) = client::runtime() else { return vec![] };
    let asked = sockets.iter().take(MOST).map(|socket| Agent::connect(socket));
    let answers = runtime.block_on(futures::future::join_all(asked));
    let count = |agent: Agent| agent.keys.len() + agent.skipped;
    let mut found = Vec::new();
    let mut empty = 0;
    for (socket, answer) in sockets.iter().zip(answers) {
        match answer.map(count) {
            Ok(0) => empty += 1,
            Ok(keys) => {
                let keys = if keys == 1 { "1 key".to_owned() } else { format!("{keys} keys") };
                let what = format!("the ssh-agent at {} holds {keys}", shown(socket));
                let remedy = format!("SSH_AUTH_SOCK={} ssh-add -D", super::quoted(socket));
                found.push(CHECK.warn(what, remedy));
            }
            Err(AgentError::Refused) => empty += 1,
            // Something else listens there, or nobody does any more.
            Err(_) => {}
        }
    }
    let well = match empty {
        0 => "no ssh-agent answers".to_owned(),
        1 => "one ssh-agent answers, and it is empty or locked".to_owned(),
        more => format!("{more} ssh-agents answer, all empty or locked"),
    };
    CHECK.all(found, well)
}

/// Sockets of this uid that are called as agents' are.
fn candidates(ground: &Ground) -> BTreeSet<PathBuf> {
    let mut named: Vec<PathBuf> =
        ground.variable("SSH_AUTH_SOCK").map(PathBuf::from).into_iter().collect();
    named.extend(said::paths(&ground.account, "identityagent"));
    for home in ground.homes() {
        named.extend(KNOWN.iter().map(|name| home.join(name)));
    }
    named.extend(ground.listening().into_iter().filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // gpg-agent's other sockets speak another language.
        let other = name.starts_with("S.gpg-agent") && !name.ends_with(".ssh");
        !other && (name.contains("agent") || name.contains("ssh"))
    }));
    named.retain(|path| {
        path.is_absolute()
            && ground.is_my_socket(path)
            // sgw's own is no ssh-agent.
            && !path.with_file_name("operator.sock").exists()
    });
    let same = |path: PathBuf| path.canonicalize().unwrap_or(path);
    named.into_iter().map(same).collect()
}
