//! The way to a named target, as the vault has it: nothing of it comes from ssh_config, and what the vault
//! holds is not asked for.

use std::path::PathBuf;

use super::Way;
use crate::{
    cli::resolve::{
        account::Account,
        route::{Identity, Proposal, Resolved},
    },
    domain::{
        escape::exact,
        target::{
            Destination, Hop, NotARoute, Route,
            named::{Credential, Target},
        },
    },
    protocol::operator::target::{self, WayHop},
};

/// With what the operator's known_hosts files say, which can only refuse.
pub(super) fn way(named: target::Way) -> Result<Way, NotARoute> {
    let account = Account::current();
    let hops: Vec<Proposal> = named.hops.iter().map(|hop| proposal(&account, hop)).collect();
    let route = Route::try_from(hops.iter().map(|hop| hop.hop.clone()).collect::<Vec<_>>())?;
    let resolved = Resolved { route, hops, notes: Vec::new() };
    Ok(Way { named: Some(named), ..super::looked_up(resolved) })
}

/// A machine as the ways of logging in need it.
fn proposal(account: &Account, WayHop { target, hop, .. }: &WayHop) -> Proposal {
    let Hop { user, host, port } = hop.clone();
    let identities = match &target.credential {
        Credential::KeyFile { path, .. } => {
            let path = expand(account, path);
            vec![Identity { file: path.exists(), public: None, path }]
        }
        _ => Vec::new(),
    };
    Proposal {
        asked: Destination { user: Some(user), host, port: Some(port) },
        hop: hop.clone(),
        identities,
        identities_only: false,
        certificates: Vec::new(),
        agent: account.variable("SSH_AUTH_SOCK").map(PathBuf::from),
        host_key_alias: None,
        known_hosts: vec![account.home.join(".ssh/known_hosts"), "/etc/ssh/ssh_known_hosts".into()],
    }
}

fn expand(account: &Account, path: &str) -> PathBuf {
    path.strip_prefix("~/").map_or_else(|| PathBuf::from(path), |rest| account.home.join(rest))
}

/// The rows of a way: each machine, what leads there, its keys, and what logs in.
pub fn rows(named: &target::Way, add: &mut impl FnMut(&'static str, String, bool)) {
    for (at, hop) in named.hops.iter().enumerate() {
        let last = at + 1 == named.hops.len();
        let target = &hop.target;
        let prod = if target.prod { "  PROD" } else { "" };
        let text = format!("{} = {}{prod}", target.name, word(&hop.hop.to_string()));
        add(if last { "leads to" } else { "over" }, text, true);
        if let Some(command) = &target.proxy_command {
            add("", by_command(command), false);
        }
        add("", keys(hop), false);
        add("", format!("log in: {}", credential(target)), false);
    }
    if let Some(target) = named.hops.last().map(|hop| &hop.target) {
        let surroundings = &target.surroundings;
        if let Some(directory) = &surroundings.directory {
            add("begins", format!("in {}", word(directory)), false);
        }
        for (name, value) in &surroundings.environment {
            add("", format!("with {}={}", word(name), word(value)), false);
        }
    }
    if !named.pty {
        add("note", "no terminal there: the target says so".to_owned(), false);
    }
}

pub fn by_command(command: &str) -> String {
    format!("by a command that sgw runs here: {}", exact(command.as_bytes(), 400))
}

/// What logs in again at each machine.
pub fn log_in_rows(named: &target::Way, add: &mut impl FnMut(&'static str, String, bool)) {
    for hop in &named.hops {
        add("log in", format!("at {}: {}", hop.target.name, credential(&hop.target)), false);
    }
}

/// What logs in there, and whether anybody else has it.
pub fn credential(target: &Target) -> String {
    let fingerprint = target.credential.fingerprint().map(word);
    let fingerprint = fingerprint.map(|one| format!(" {one}")).unwrap_or_default();
    match &target.credential {
        Credential::Asked => "you choose after your yes".to_owned(),
        Credential::Key { .. } => format!("key{fingerprint}, held in the vault"),
        Credential::Certificate { .. } => {
            format!("key{fingerprint} with its certificate, held in the vault")
        }
        Credential::Password { bound } if bound.is_empty() => {
            "a password, held in the vault; it will be bound to the host key that it is offered to"
                .to_owned()
        }
        Credential::Password { .. } => {
            "a password, held in the vault and bound to the machine's key".to_owned()
        }
        Credential::KeyFile { path, .. } => {
            format!("key file {}{fingerprint} (borrowed)", word(path))
        }
        Credential::Agent { .. } => format!("your ssh-agent{fingerprint} (borrowed)"),
    }
}

fn keys(hop: &WayHop) -> String {
    let mut said: Vec<String> = hop.host_keys.iter().map(|key| word(key)).collect();
    let authorities = hop.target.host_ca.iter();
    said.extend(authorities.map(|authority| format!("signed by {}", authority.fingerprint())));
    match said.is_empty() {
        true => "host key: none known yet; sgw asks you".to_owned(),
        false => format!("host key {}", said.join(", ")),
    }
}

fn word(text: &str) -> String {
    exact(text.as_bytes(), 200)
}
