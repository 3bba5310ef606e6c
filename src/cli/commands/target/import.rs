//! `sgw target import`: the Hosts of an ssh_config as targets. It is read as for an approval: nothing that
//! it names is run, and nothing is sent anywhere.

use std::path::{Path, PathBuf};

use serde::Serialize;
use ssh_key::HashAlg;

use super::{call, shown};
use crate::{
    cli::{
        Context, Outcome, Stop,
        proof::Proof,
        resolve::{
            account::Account,
            keys::{self, LoadedKey},
            route::{self, Proposal},
            ssh_config::{Resolver, Sources},
        },
        ui::{self, exit::Exit, prompt},
    },
    client::Connection,
    domain::{
        escape::{visible, visible_bytes},
        id::Name,
        target::named::{Credential, Guard, Surroundings, Target},
    },
    protocol::{
        error::{Code, Failure},
        operator::target::{Draft, Kind, Request, Sessions, Shown, Targets},
    },
};

/// The most Hosts of one reading: each is asked of ssh.
const MOST: usize = 500;

/// What the file comes to.
#[derive(Default, Serialize)]
struct Imported {
    /// What is added, jump hosts before those behind them.
    targets: Vec<Shown>,
    left_out: Vec<LeftOut>,
    added: bool,
}

#[derive(Serialize)]
struct LeftOut {
    host: String,
    why: String,
}

pub async fn import(context: &Context, proof: &Proof, file: Option<PathBuf>, yes: bool) -> Outcome {
    let again = file.as_deref().map_or_else(String::new, |file| {
        format!(" {}", visible_bytes(file.as_os_str().as_encoded_bytes(), 200))
    });
    let sources = file.map_or(Sources::Usual, Sources::File);
    let resolver = Resolver::new(sources, Account::current()).map_err(|error| {
        Failure::new(Code::TargetConfig, error.to_string(), "give another FILE, or add it by hand")
    })?;
    let mut connection = proof.open(context).await?.connect().await?;
    let known: Targets = call(&mut connection, Request::List {}).await?;
    let mut imported = read(&resolver, &known.targets).await;
    if imported.targets.is_empty() {
        context.ui.result(&imported, || text(&imported));
        return Ok(Exit::DONE);
    }
    if !yes {
        if context.ui.json || !ui::can_prompt() {
            context.ui.result(&imported, || text(&imported));
            let note = format!("nothing was added; to add them: sgw target import{again} --yes");
            context.ui.note(&note);
            return Ok(Exit::DONE);
        }
        context.ui.say(&text(&imported));
        let question = format!("Add {}?", imported.targets.len());
        if !prompt::confirm(&question).await? {
            context.ui.say("nothing was added");
            return Ok(Exit::FAILED);
        }
    }
    add(&mut connection, &mut imported).await?;
    context.ui.result(&imported, || text(&imported));
    Ok(Exit::DONE)
}

async fn add(connection: &mut Connection, imported: &mut Imported) -> Result<(), Stop> {
    for one in &mut imported.targets {
        let draft = Draft { target: one.target.clone(), secret: None };
        *one = call(connection, Request::Add(Box::new(draft))).await?;
    }
    imported.added = true;
    Ok(())
}

async fn read(resolver: &Resolver, known: &[Shown]) -> Imported {
    let mut imported = Imported::default();
    let hosts = resolver.hosts();
    for (count, host) in hosts.iter().enumerate() {
        let host_shown = visible(host, 80);
        let left_out = |why: String| LeftOut { host: host_shown.clone(), why };
        if count == MOST {
            let why = format!("no more than {MOST} are read at once");
            imported.left_out.push(left_out(why));
            break;
        }
        match one(resolver, host, known, &imported.targets).await {
            Ok(targets) => {
                let new = targets.into_iter().map(|target| Shown {
                    kind: Kind::Target,
                    way: target.jump.iter().map(Name::to_string).collect(),
                    version: 0,
                    pinned: Vec::new(),
                    broken: None,
                    sessions: Sessions::default(),
                    target,
                });
                imported.targets.extend(new);
            }
            Err(why) => imported.left_out.push(left_out(why)),
        }
    }
    imported
}

/// A Host, after those of its jump hosts that are not there yet.
async fn one(
    resolver: &Resolver,
    host: &str,
    known: &[Shown],
    so_far: &[Shown],
) -> Result<Vec<Target>, String> {
    let named = |name: &Name| {
        let both = known.iter().chain(so_far);
        both.map(|shown| &shown.target).find(|target| target.name == *name)
    };
    let name = name_of(host)?;
    if known.iter().any(|shown| shown.target.name == name) {
        return Err("there is a target of this name already".to_owned());
    }
    let asked = host.parse().map_err(|error| format!("it can't be asked for: {error}"))?;
    let resolved = route::resolve(resolver, &asked).await.map_err(|error| error.to_string())?;
    let mut new: Vec<Target> = Vec::new();
    let mut jump: Option<Name> = None;
    for (at, proposal) in resolved.hops.iter().enumerate() {
        let last = at + 1 == resolved.hops.len();
        let name = if last { name.clone() } else { name_of(&proposal.asked.host)? };
        let target = target(name, proposal, jump.take());
        jump = Some(target.name.clone());
        match named(&target.name) {
            Some(there) if there.hop() == target.hop() && there.jump == target.jump => {}
            Some(_) if last => return Err("it is the jump host of another, otherwise".to_owned()),
            Some(_) => {
                return Err(format!("its jump host {} is there, and is another", target.name));
            }
            None => {
                target.check().map_err(|error| error.to_string())?;
                new.push(target);
            }
        }
    }
    Ok(new)
}

fn name_of(host: &str) -> Result<Name, String> {
    let lower = host.to_ascii_lowercase();
    lower.parse().map_err(|error: crate::domain::id::NotAName| error.to_string())
}

fn target(name: Name, proposal: &Proposal, jump: Option<Name>) -> Target {
    let hop = &proposal.hop;
    Target {
        name,
        host: hop.host.clone(),
        port: hop.port,
        user: hop.user.clone(),
        jump,
        proxy_command: None,
        credential: credential(proposal),
        host_keys: Vec::new(),
        host_ca: Vec::new(),
        surroundings: Surroundings::default(),
        pty: true,
        guard: Guard::default(),
        prod: false,
    }
}

/// The first key file that ssh would try; else the ssh-agent; else the operator chooses.
fn credential(proposal: &Proposal) -> Credential {
    let mut files = proposal.identities.iter().filter(|identity| identity.file);
    let usable = files.find_map(|file| Some((path(&file.path)?, keys::load(&file.path).ok()?)));
    match usable {
        Some((path, LoadedKey::Ready(key))) => {
            let fingerprint = Some(key.public_key().fingerprint(HashAlg::Sha256).to_string());
            Credential::KeyFile { path, fingerprint }
        }
        Some((path, LoadedKey::Encrypted(encrypted))) => {
            Credential::KeyFile { path, fingerprint: encrypted.fingerprint }
        }
        None if proposal.agent.is_some() => Credential::Agent { fingerprint: None },
        None => Credential::Asked,
    }
}

fn path(path: &Path) -> Option<String> {
    path.to_str().map(str::to_owned)
}

fn text(imported: &Imported) -> String {
    let mut text = match imported.targets.is_empty() {
        true => "nothing to add".to_owned(),
        false => shown::list(&imported.targets),
    };
    for LeftOut { host, why } in &imported.left_out {
        text.push_str(&format!("\nleft out: {host}: {}", visible(why, 300)));
    }
    if imported.added {
        text.push_str(&format!("\nadded: {}", imported.targets.len()));
    }
    text
}
