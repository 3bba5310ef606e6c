//! From a destination as it was asked for to the machines on the way, and what could open each.

use std::path::{Path, PathBuf};

use crate::domain::{
    escape, known_hosts,
    target::{Destination, Hop, MAX_HOPS, Route},
};

use super::{
    ssh_config::{ConfigError, Resolver, Settings},
    tokens::Tokens,
};

/// A proposal to the operator: nothing of it is decided, and nothing was sent anywhere.
#[derive(Debug)]
pub struct Resolved {
    pub route: Route,
    /// One for each hop of the route, in its order.
    pub hops: Vec<Proposal>,
    /// What the operator should know besides, as sentences.
    pub notes: Vec<String>,
}

/// What ssh_config proposes for one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// As written by the agent, or in a ProxyJump.
    pub asked: Destination,
    pub hop: Hop,
    pub identities: Vec<Identity>,
    /// Keys that are not among `identities` are not to be tried, not even those of the agent.
    pub identities_only: bool,
    /// OpenSSH certificates for the keys; existing files.
    pub certificates: Vec<PathBuf>,
    /// The socket of the ssh-agent.
    pub agent: Option<PathBuf>,
    pub host_key_alias: Option<String>,
    /// The files that ssh would look the host key up in, in its order; they need not exist.
    pub known_hosts: Vec<PathBuf>,
}

/// An IdentityFile. At least one of the two halves is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub path: PathBuf,
    /// Whether there is a file at `path`.
    pub file: bool,
    /// `path.pub`, if it is there: it names a key that an agent may hold.
    pub public: Option<PathBuf>,
}

/// Something that ssh_config made of what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub what: &'static str,
    /// `None`: nothing was said of it.
    pub asked: Option<String>,
    pub resolved: String,
}

impl Proposal {
    /// "As asked → resolves to", for the prompt. Escape it before showing.
    pub fn differences(&self) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut differ = |what, asked: Option<String>, resolved: String, usual: &str| {
            if resolved != asked.as_deref().unwrap_or(usual) {
                differences.push(Difference { what, asked, resolved });
            }
        };
        differ("host", Some(self.asked.host.to_ascii_lowercase()), self.hop.host.clone(), "");
        differ(
            "port",
            self.asked.port.map(|port| port.to_string()),
            self.hop.port.to_string(),
            "22",
        );
        differ("user", self.asked.user.clone(), self.hop.user.clone(), "");
        if let Some(alias) = &self.host_key_alias {
            differ("host key alias", None, alias.clone(), "");
        }
        differences
    }

    /// The name under which known_hosts files have this machine.
    pub fn known_hosts_name(&self) -> String {
        match &self.host_key_alias {
            Some(alias) => alias.to_ascii_lowercase(),
            None => known_hosts::name(&self.hop.host, self.hop.port),
        }
    }
}

/// Resolves a destination and every jump host on the way, each by itself, as ssh does.
pub async fn resolve(
    resolver: &Resolver,
    destination: &Destination,
) -> Result<Resolved, ConfigError> {
    // Backwards, the target first.
    let mut hops: Vec<Proposal> = Vec::new();
    let mut next = Some(destination.clone());
    while let Some(asked) = next.take() {
        let settings = resolver.settings(&asked, None).await?;
        let jumps = jumps(resolver, &asked, &settings)?;
        hops.push(propose(resolver, asked, settings));
        // ssh starts `ssh -J A,B -W … C` for the chain A,B,C: only the first machine's own ProxyJump
        // still counts, the others' are overridden.
        let mut chain = jumps.as_slice();
        while let [before @ .., last] = chain {
            if hops.len() == MAX_HOPS {
                return Err(ConfigError::TooFar(way(&hops)));
            }
            if before.is_empty() {
                next = Some(last.clone());
            } else {
                let via: Vec<String> = before.iter().map(Destination::to_string).collect();
                let settings = resolver.settings(last, Some(&via.join(","))).await?;
                hops.push(propose(resolver, last.clone(), settings));
            }
            chain = before;
        }
    }
    hops.reverse();
    let route = Route::try_from(hops.iter().map(|hop| hop.hop.clone()).collect::<Vec<_>>());
    let route = route.map_err(|error| {
        let twice = (1..hops.len()).any(|at| hops[..at].iter().any(|hop| hop.hop == hops[at].hop));
        if twice { ConfigError::TooFar(way(&hops)) } else { ConfigError::Route(way(&hops), error) }
    })?;
    Ok(Resolved { route, notes: notes(resolver), hops })
}

/// For a way that is decided already: what ssh_config proposes for each of its machines. Where it leads
/// elsewhere by now, or can't be followed, each machine is looked up by its own name.
pub async fn known(
    resolver: &Resolver,
    asked: Option<&Destination>,
    hops: Vec<Hop>,
) -> Result<Resolved, ConfigError> {
    let before = match asked {
        Some(asked) => resolve(resolver, asked).await.map(|found| found.hops).unwrap_or_default(),
        None => Vec::new(),
    };
    let mut proposals = Vec::new();
    for hop in &hops {
        if let Some(found) = before.iter().find(|found| found.hop == *hop) {
            proposals.push(found.clone());
            continue;
        }
        let (user, port) = (Some(hop.user.clone()), Some(hop.port));
        let asked = Destination { user, host: hop.host.clone(), port };
        let settings = resolver.settings(&asked, None).await?;
        // What it would make of the name does not count: the way is what it is.
        proposals.push(Proposal { hop: hop.clone(), ..propose(resolver, asked, settings) });
    }
    let route = Route::try_from(hops);
    let route = route.map_err(|error| ConfigError::Route(way(&proposals), error))?;
    Ok(Resolved { route, notes: notes(resolver), hops: proposals })
}

fn way(hops: &[Proposal]) -> String {
    let names: Vec<String> = hops.iter().map(|hop| hop.hop.to_string()).collect();
    escape::visible(&names.join(" → "), 300)
}

fn notes(resolver: &Resolver) -> Vec<String> {
    let mut notes: Vec<String> = resolver
        .left_out()
        .map(|place| format!("left out, since it asks the DNS before you answer: {place}"))
        .collect();
    if !resolver.has_ssh() {
        notes.push(String::from("no ssh in PATH: ssh_config was not read"));
    }
    notes
}

/// The machines of a ProxyJump, in the order of the way.
fn jumps(
    resolver: &Resolver,
    asked: &Destination,
    settings: &Settings,
) -> Result<Vec<Destination>, ConfigError> {
    let Some(written) = &settings.proxy_jump else { return Ok(Vec::new()) };
    let tokens = tokens(resolver, asked, settings);
    let bad = || ConfigError::Jump(escape::visible(written, 200));
    written
        .split(',')
        .map(|item| {
            let item = item.trim();
            // Newer ssh has expanded this already; an address with a zone then has a `%` of its own.
            let item = tokens.text(item).unwrap_or_else(|| item.to_owned());
            item.parse().map_err(|_| bad())
        })
        .collect()
}

fn tokens<'a>(
    resolver: &'a Resolver,
    asked: &'a Destination,
    settings: &'a Settings,
) -> Tokens<'a> {
    Tokens {
        account: &resolver.account,
        asked: &asked.host,
        host: &settings.host,
        port: settings.port,
        user: &settings.user,
        alias: settings.host_key_alias.as_deref(),
    }
}

fn propose(resolver: &Resolver, asked: Destination, settings: Settings) -> Proposal {
    let tokens = tokens(resolver, &asked, &settings);
    let paths = |texts: &[String]| -> Vec<PathBuf> {
        texts.iter().filter_map(|text| tokens.path(text)).collect()
    };
    let identities = paths(&settings.identity_files).into_iter().filter_map(identity).collect();
    let certificates =
        paths(&settings.certificate_files).into_iter().filter(|path| path.is_file()).collect();
    let agent = agent(&tokens, settings.identity_agent.as_deref());
    let known_hosts = paths(&settings.known_hosts);
    Proposal {
        identities,
        certificates,
        agent,
        known_hosts,
        identities_only: settings.identities_only,
        hop: Hop { user: settings.user, host: settings.host, port: settings.port },
        host_key_alias: settings.host_key_alias,
        asked,
    }
}

fn identity(path: PathBuf) -> Option<Identity> {
    let beside = path.with_added_extension("pub");
    let public = beside.is_file().then_some(beside);
    let file = path.exists();
    (file || public.is_some()).then_some(Identity { path, file, public })
}

/// IdentityAgent: `none`, a path, `SSH_AUTH_SOCK`, `$NAME`; unset means SSH_AUTH_SOCK
/// (ssh_config(5)).
fn agent(tokens: &Tokens<'_>, setting: Option<&str>) -> Option<PathBuf> {
    let variable = |name: &str| tokens.account.variable(name).map(PathBuf::from);
    let socket = match setting {
        None | Some("SSH_AUTH_SOCK") => variable("SSH_AUTH_SOCK"),
        Some(none) if none.eq_ignore_ascii_case("none") => None,
        Some(text) => match text.strip_prefix('$') {
            Some(name) if !name.starts_with('{') => variable(name),
            _ => tokens.path(text),
        },
    };
    socket.filter(|path: &PathBuf| Path::is_absolute(path))
}

#[cfg(test)]
mod tests;
