//! How to log in at each machine on the way: as flags say, or as the operator chooses. What is borrowed
//! (a key file, the ssh-agent) the agent could use without sgw, and the prompt says so.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use ssh_key::{HashAlg, PrivateKey};

use super::{Answers, Approval, Way, key_file};
use crate::{
    cli::{
        Context, Stop,
        resolve::{
            keys::{self, LoadedKey},
            password,
            route::Proposal,
            ssh_agent::Agent,
        },
        ui::{self, prompt},
    },
    client::operator::Proven,
    domain::{
        escape::{exact, visible, visible_bytes},
        key,
        secret::Secret,
        target::named,
    },
    protocol::{
        error::{Code, Failure},
        operator::Credential,
    },
};

/// How often a passphrase or a file is asked for.
const TRIES: usize = 3;

/// Everything that goes with the yes.
#[derive(Default)]
pub struct Chosen {
    /// For each hop, in order.
    pub credentials: Vec<Vec<Credential>>,
    /// By their numbers, from 1.
    pub secrets: Vec<Secret<Vec<u8>>>,
    /// By their numbers, from 0.
    pub agents: Vec<OwnedFd>,
}

pub async fn choose(approval: &Approval<'_>, way: &Way) -> Result<Chosen, Stop> {
    let Approval { context, answers, .. } = *approval;
    let resolved = &way.resolved;
    let proven = &approval.proven;
    let said = !answers.identities.is_empty() || answers.password.is_some() || answers.use_agent;
    let (chosen, agents) = (Chosen::default(), Vec::new());
    let mut choice = Choice { context, proven, answers, chosen, agents };
    for (at, hop) in resolved.hops.iter().enumerate() {
        let target = at + 1 == resolved.hops.len();
        let kept = way.named.as_ref().map(|named| &named.hops[at].target.credential);
        if let Some(kept) = kept.filter(|kept| **kept != named::Credential::Asked) {
            if said {
                context.ui.note(&format!(
                    "the target says what logs in at {}: what flags say is not used there",
                    exact_hop(hop)
                ));
            }
            let lent = choice.lend(kept, hop).await?;
            choice.chosen.credentials.push(lent);
            continue;
        }
        let credentials = match said {
            true => choice.as_said(hop, target).await?,
            false if context.ui.json || answers.yes || !ui::can_prompt() => choice.proposed(hop)?,
            false => choice.ask(hop).await?,
        };
        choice.chosen.credentials.push(credentials);
    }
    choice.finish()
}

fn missing(hop: &Proposal) -> Failure {
    let message = format!("nothing says how to log in at {}", exact_hop(hop));
    let hint = "add --identity FILE, --password-file FILE or --use-agent";
    Failure::new(Code::RequestCredential, message, hint)
}

struct Choice<'a> {
    context: &'a Context,
    proven: &'a Proven,
    answers: &'a Answers,
    chosen: Chosen,
    /// Connected, by the path of their socket.
    agents: Vec<(PathBuf, Agent)>,
}

impl Choice<'_> {
    /// What a named target borrows; nothing where the vault has it.
    async fn lend(
        &mut self,
        kept: &named::Credential,
        hop: &Proposal,
    ) -> Result<Vec<Credential>, Stop> {
        match kept {
            named::Credential::KeyFile { path, .. } => {
                let found = hop.identities.first().map(|identity| identity.path.clone());
                let key = self.load(&found.unwrap_or_else(|| expand(path))).await?;
                Ok(vec![self.key(&key)?])
            }
            named::Credential::Agent { fingerprint } => {
                let Some(at) = self.connect(hop).await? else {
                    let hint = "start one: eval $(ssh-agent); ssh-add";
                    return Err(
                        Failure::new(Code::RequestCredential, "no ssh-agent runs", hint).into()
                    );
                };
                let agent = &self.agents[at].1;
                let keys: Vec<Credential> = match fingerprint {
                    Some(wanted) => agent.by_fingerprint(wanted).into_iter().collect::<Vec<_>>(),
                    None => agent.proposed(hop),
                }
                .into_iter()
                .map(|key| agent_key(at, key.fingerprint.clone()))
                .collect();
                match keys.is_empty() {
                    true => {
                        let message = "the ssh-agent does not hold the key that logs in there";
                        Err(Failure::new(Code::RequestCredential, message, "ssh-add FILE").into())
                    }
                    false => Ok(keys),
                }
            }
            _ => Ok(Vec::new()),
        }
    }

    /// What flags name: keys for every machine, the password for the target alone.
    async fn as_said(&mut self, hop: &Proposal, target: bool) -> Result<Vec<Credential>, Stop> {
        let mut credentials = Vec::new();
        for path in &self.answers.identities {
            let key = self.load(path).await?;
            credentials.push(self.key(&key)?);
        }
        if self.answers.use_agent {
            credentials.extend(self.of_agent(hop).await?);
        }
        if let Some(path) = self.answers.password.as_ref().filter(|_| target) {
            let password = password::read(path, &mut io::stdin().lock());
            let password = password.map_err(|error| unusable(error.to_string()))?;
            credentials.push(self.password(password));
        }
        if credentials.is_empty() {
            let message = format!("nothing says how to log in at {}", exact_hop(hop));
            let hint = "add --identity FILE or --use-agent: a password is for the target alone";
            return Err(Failure::new(Code::RequestCredential, message, hint).into());
        }
        Ok(credentials)
    }

    /// Where nobody is asked: the key files that ssh_config proposes, as far as they need no question.
    fn proposed(&mut self, hop: &Proposal) -> Result<Vec<Credential>, Failure> {
        let ui = self.context.ui;
        let mut credentials = Vec::new();
        for identity in hop.identities.iter().filter(|identity| identity.file) {
            let path = shown(&identity.path);
            match keys::load(&identity.path) {
                Ok(LoadedKey::Ready(key)) => {
                    ui.note(&format!(
                        "key file {path} as ssh would have it at {}; it is borrowed: the agent can \
                         use it without sgw",
                        exact_hop(hop)
                    ));
                    credentials.push(self.key(&key)?);
                }
                Ok(LoadedKey::Encrypted(_)) => {
                    ui.note(&format!("key file {path} has a passphrase of its own: left out"));
                }
                Err(error) => ui.note(&format!("{error}: left out")),
            }
        }
        if credentials.is_empty() { Err(missing(hop)) } else { Ok(credentials) }
    }

    /// Asks, with what ssh_config and the agent propose first. What can't be used is told, and asked
    /// for again.
    async fn ask(&mut self, hop: &Proposal) -> Result<Vec<Credential>, Stop> {
        loop {
            match self.ask_once(hop).await {
                Err(Stop::Failure(failure)) if failure.code == Code::RequestCredential => {
                    self.context.ui.say(&format!("{}. Once more.", failure.message));
                }
                asked => return asked,
            }
        }
    }

    async fn ask_once(&mut self, hop: &Proposal) -> Result<Vec<Credential>, Stop> {
        let mut ways: Vec<(String, Choosing)> = Vec::new();
        if let Some(at) = self.connect(hop).await? {
            for key in self.agents[at].1.proposed(hop) {
                let comment = visible(&key.comment, 60);
                let text = format!("ssh-agent: {comment} {}", key.fingerprint);
                ways.push((text, Choosing::Agent(at, key.fingerprint.clone())));
            }
        }
        for identity in hop.identities.iter().filter(|identity| identity.file) {
            let text = format!("key file {}", shown(&identity.path));
            ways.push((text, Choosing::File(identity.path.clone())));
        }
        ways.push(("a password".to_owned(), Choosing::Password));
        ways.push(("another key file".to_owned(), Choosing::OtherFile));
        ways.push(("nothing but answers to what the server asks".to_owned(), Choosing::Answers));
        let items: Vec<String> = ways.iter().map(|(text, _)| text.clone()).collect();
        if items.len() > 3 {
            self.context.ui.note("keys of your ssh-agent and key files are borrowed: the agent can use them without sgw");
        }
        let prompt = format!("Log in at {} with", exact_hop(hop));
        let chosen = prompt::choose(&prompt, &items).await?;
        let credential = match ways.swap_remove(chosen).1 {
            Choosing::Agent(at, fingerprint) => agent_key(at, fingerprint),
            Choosing::File(path) => {
                let key = self.load(&path).await?;
                self.key(&key)?
            }
            Choosing::OtherFile => {
                let key = self.other_file().await?;
                self.key(&key)?
            }
            Choosing::Password => {
                let text = format!("Password for {}", exact_hop(hop));
                let password = prompt::password(&text).await?;
                if self.proven.is_passphrase(&password)? {
                    return Err(unusable("that is the passphrase of sgw".to_owned()).into());
                }
                self.password(password)
            }
            Choosing::Answers => return Ok(Vec::new()),
        };
        Ok(vec![credential])
    }

    async fn of_agent(&mut self, hop: &Proposal) -> Result<Vec<Credential>, Failure> {
        let Some(at) = self.connect(hop).await? else {
            let hint = "start one: eval $(ssh-agent); ssh-add";
            return Err(Failure::new(Code::RequestCredential, "no ssh-agent runs", hint));
        };
        let proposed = self.agents[at].1.proposed(hop);
        if proposed.is_empty() {
            let message = "the ssh-agent has no key for this machine";
            return Err(Failure::new(Code::RequestCredential, message, "ssh-add FILE"));
        }
        Ok(proposed.iter().map(|key| agent_key(at, key.fingerprint.clone())).collect())
    }

    /// Which of the connected agents serves this hop.
    async fn connect(&mut self, hop: &Proposal) -> Result<Option<usize>, Failure> {
        let Some(path) = &hop.agent else { return Ok(None) };
        if let Some(at) = self.agents.iter().position(|(known, _)| known == path) {
            return Ok(Some(at));
        }
        match Agent::connect(path).await {
            Ok(agent) => {
                self.agents.push((path.clone(), agent));
                Ok(Some(self.agents.len() - 1))
            }
            Err(error) if self.answers.use_agent => Err(unusable(error.to_string())),
            Err(error) => {
                self.context.ui.note(&error.to_string());
                Ok(None)
            }
        }
    }

    async fn load(&self, path: &Path) -> Result<PrivateKey, Stop> {
        let passphrase = self.answers.identity_passphrase.as_deref();
        key_file::load(self.context, path, passphrase, Code::RequestCredential).await
    }

    /// Asks for a key file until there is one.
    async fn other_file(&self) -> Result<PrivateKey, Stop> {
        for _ in 0..TRIES {
            let path = prompt::line("Which file:", true).await.map_err(no_answer)?;
            match self.load(&expand(path.expose())).await {
                Err(Stop::Failure(failure)) if failure.code == Code::RequestCredential => {
                    self.context.ui.say(&failure.message);
                }
                loaded => return loaded,
            }
        }
        Err(tried_enough(format!("{TRIES} files were no keys")))
    }

    fn key(&mut self, key: &PrivateKey) -> Result<Credential, Failure> {
        let fingerprint = key.public_key().fingerprint(HashAlg::Sha256).to_string();
        let wire = key::to_wire(key).map_err(|error| unusable(error.to_string()))?;
        Ok(Credential::Key { secret: self.number(wire), fingerprint })
    }

    fn password(&mut self, password: Secret<String>) -> Credential {
        let bytes = Secret::new(password.expose().clone().into_bytes());
        Credential::Password { secret: self.number(bytes) }
    }

    fn number(&mut self, secret: Secret<Vec<u8>>) -> u32 {
        self.chosen.secrets.push(secret);
        self.chosen.secrets.len() as u32
    }

    fn finish(self) -> Result<Chosen, Stop> {
        let Self { mut chosen, agents, .. } = self;
        for (_, agent) in agents {
            let descriptor = agent.into_fd().map_err(|error| unusable(error.to_string()))?;
            chosen.agents.push(descriptor);
        }
        Ok(chosen)
    }
}

/// Ends it, rather than that another question reads the next passphrase.
fn tried_enough(message: String) -> Stop {
    Failure::new(Code::OperatorProof, message, "sgw approve ID").into()
}

enum Choosing {
    Agent(usize, String),
    File(PathBuf),
    OtherFile,
    Password,
    Answers,
}

fn agent_key(at: usize, fingerprint: String) -> Credential {
    Credential::Agent { socket: at as u32, fingerprint }
}

fn unusable(message: String) -> Failure {
    Failure::new(Code::RequestCredential, message, "sgw approve --help")
}

fn no_answer(error: io::Error) -> Stop {
    Failure::new(Code::OperatorProof, format!("no answer: {error}"), "sgw approve ID").into()
}

/// `~/` as a shell would have it: a prompt has none.
fn expand(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

fn shown(path: &Path) -> String {
    visible_bytes(path.as_os_str().as_encoded_bytes(), 200)
}

fn exact_hop(hop: &Proposal) -> String {
    exact(hop.hop.to_string().as_bytes(), 200)
}
