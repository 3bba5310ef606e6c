//! What flags say of a target, and what becomes of it.

use std::{
    io,
    path::{Path, PathBuf},
};

use ssh_key::{Certificate, HashAlg, PublicKey};

use crate::{
    cli::{
        Context, Stop,
        approval::key_file,
        resolve::{file, password},
        ui::{self, prompt},
        values,
    },
    client::operator::Proven,
    domain::{
        bytes::Bytes,
        escape::visible,
        grant::Mode,
        id::{Name, NotAName},
        key,
        secret::Secret,
        target::{
            Destination,
            named::{Authority, Credential, Shell, Target},
        },
    },
    protocol::error::{Code, Failure},
};

/// More than any public key or certificate takes.
const MAX_PUBLIC: usize = 64 << 10;

// What logs in there, and what else `add` and `edit` can say.
#[derive(Debug, clap::Args)]
pub struct Said {
    /// Keep this private key in the vault and log in with it
    #[arg(long, value_name = "FILE", group = "credential")]
    identity: Option<PathBuf>,
    /// The private key's own passphrase, in this file [default: asked for where it has one]
    #[arg(long, value_name = "FILE")]
    identity_passphrase_file: Option<PathBuf>,
    /// The certificate that an authority made for the key of --identity
    #[arg(long, value_name = "FILE", requires = "identity")]
    certificate: Option<PathBuf>,
    /// Log in with this private key, read anew at each approval (borrowed: the agent can use it
    /// without sgw)
    #[arg(long, value_name = "FILE", group = "credential")]
    key_file: Option<PathBuf>,
    /// Keep the password in this file in the vault (-: standard input) and log in with it
    #[arg(long, value_name = "FILE", group = "credential")]
    password_file: Option<PathBuf>,
    /// The same, with a password that is asked for
    #[arg(long, group = "credential")]
    password: bool,
    /// Log in with this key of your ssh-agent (borrowed)
    #[arg(long, value_name = "SHA256:…", group = "credential")]
    agent_key: Option<String>,
    /// Log in with whatever keys your ssh-agent has (borrowed)
    #[arg(long, group = "credential")]
    use_agent: bool,

    /// Take this host key and no other; may be repeated [default: what is known of its address; else
    /// you are asked at the first login]
    #[arg(long, value_name = "SHA256:…", value_parser = values::fingerprint)]
    accept_host_key: Vec<String>,
    /// Take host certificates that this authority made: its public key, in a file; may be repeated
    #[arg(long, value_name = "FILE")]
    host_ca: Vec<PathBuf>,
    /// Reach it through this other target
    #[arg(long, value_name = "NAME")]
    jump: Option<Name>,
    /// Reach it through this command, which sgw runs (%h host, %p port, %r user)
    #[arg(long, value_name = "COMMAND", conflicts_with = "jump")]
    proxy_command: Option<String>,
    /// The account's login shell: sh, bash, zsh, fish, or other where nothing reads as sh does
    #[arg(long)]
    shell: Option<Shell>,
    /// Sessions there may have no terminal
    #[arg(long)]
    no_pty: bool,
    /// Judge commands there at least so strictly
    #[arg(long)]
    mode: Option<Mode>,
    /// The directory that commands begin in
    #[arg(long, value_name = "DIR")]
    directory: Option<String>,
    /// A variable that commands find there; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Mark it in every prompt: what happens there counts
    #[arg(long)]
    prod: bool,
}

// What `edit` can take back.
#[derive(Debug, clap::Args)]
pub struct Changes {
    /// Keep nothing that logs in there: you choose at each approval
    #[arg(long, group = "credential")]
    ask: bool,
    /// Reach it directly
    #[arg(long, conflicts_with_all = ["jump", "proxy_command"])]
    no_jump: bool,
    /// Forget its authorities for host certificates
    #[arg(long, conflicts_with = "host_ca")]
    no_host_ca: bool,
    /// Sessions there may have a terminal
    #[arg(long, conflicts_with = "no_pty")]
    pty: bool,
    /// Forget its variables
    #[arg(long)]
    no_env: bool,
    /// Take the mark away
    #[arg(long, conflicts_with = "prod")]
    no_prod: bool,
}

/// What the vault shall keep apart.
type Value = Option<Secret<Vec<u8>>>;

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, Bytes(value)) = values::assignment(text.as_ref())?;
    let value = String::from_utf8(value).map_err(|_| format!("`{text}` is not UTF-8"))?;
    Ok((name, value))
}

pub fn name(text: &str) -> Result<Name, Failure> {
    text.parse().map_err(|error: NotAName| {
        let message = format!("`{}`: {error}", visible(text, 80));
        Failure::new(Code::UsageName, message, "choose another name, like web1")
    })
}

pub fn destination(text: &str) -> Result<Destination, Failure> {
    text.parse().map_err(|error| {
        let message = format!("`{}` is no destination: {error}", visible(text, 120));
        Failure::new(Code::UsageDestination, message, "give it as [USER@]HOST[:PORT]")
    })
}

impl Said {
    /// Puts what was said into the target. The value of its credential, where one is to be kept.
    pub async fn put_into(
        &self,
        context: &Context,
        proven: &Proven,
        target: &mut Target,
    ) -> Result<Value, Stop> {
        if let Some(jump) = &self.jump {
            (target.jump, target.proxy_command) = (Some(jump.clone()), None);
        }
        if let Some(command) = &self.proxy_command {
            (target.jump, target.proxy_command) = (None, Some(command.clone()));
        }
        if !self.accept_host_key.is_empty() {
            target.host_keys.clone_from(&self.accept_host_key);
        }
        if !self.host_ca.is_empty() {
            let read = self.host_ca.iter().map(|path| authority(path));
            target.host_ca = read.collect::<Result<_, _>>()?;
        }
        let surroundings = &mut target.surroundings;
        surroundings.shell = self.shell.or(surroundings.shell);
        surroundings.directory = self.directory.clone().or(surroundings.directory.take());
        surroundings.environment.extend(self.env.iter().cloned());
        target.guard.mode = self.mode.or(target.guard.mode);
        target.pty &= !self.no_pty;
        target.prod |= self.prod;
        match self.credential(context, proven, target).await? {
            Some((credential, value)) => {
                target.credential = credential;
                Ok(value)
            }
            None => Ok(None),
        }
    }

    async fn credential(
        &self,
        context: &Context,
        proven: &Proven,
        target: &Target,
    ) -> Result<Option<(Credential, Value)>, Stop> {
        let passphrase = self.identity_passphrase_file.as_deref();
        if let Some(path) = &self.identity {
            let key = key_file::load(context, path, passphrase, Code::TargetCredential).await?;
            let fingerprint = key.public_key().fingerprint(HashAlg::Sha256).to_string();
            let value = key::to_wire(&key).map_err(|error| unusable(error.to_string()))?;
            let credential = match &self.certificate {
                Some(path) => {
                    Credential::Certificate { fingerprint, certificate: certificate(path)? }
                }
                None => Credential::Key { fingerprint },
            };
            return Ok(Some((credential, Some(value))));
        }
        if let Some(path) = &self.key_file {
            let key = key_file::load(context, path, passphrase, Code::TargetCredential).await?;
            let fingerprint = Some(key.public_key().fingerprint(HashAlg::Sha256).to_string());
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let path = path.into_os_string().into_string();
            let path = path.map_err(|_| unusable("the file's name is not UTF-8".to_owned()))?;
            return Ok(Some((Credential::KeyFile { path, fingerprint }, None)));
        }
        let password = match &self.password_file {
            Some(path) => {
                let read = password::read(path, &mut io::stdin().lock());
                Some(read.map_err(|error| unusable(error.to_string()))?)
            }
            None if self.password => Some(asked(context, target).await?),
            None => None,
        };
        if let Some(password) = password {
            if proven.is_passphrase(&password)? {
                return Err(unusable("that is the passphrase of sgw".to_owned()).into());
            }
            let value = Secret::new(password.expose().clone().into_bytes());
            return Ok(Some((Credential::Password { bound: Vec::new() }, Some(value))));
        }
        Ok(match (&self.agent_key, self.use_agent) {
            (Some(key), _) => {
                let fingerprint = Some(key.trim_end_matches('=').to_owned());
                Some((Credential::Agent { fingerprint }, None))
            }
            (None, true) => Some((Credential::Agent { fingerprint: None }, None)),
            (None, false) => None,
        })
    }
}

impl Changes {
    pub fn apply(&self, target: &mut Target) {
        if self.ask {
            target.credential = Credential::Asked;
        }
        if self.no_jump {
            (target.jump, target.proxy_command) = (None, None);
        }
        if self.no_host_ca {
            target.host_ca.clear();
        }
        if self.no_env {
            target.surroundings.environment.clear();
        }
        target.pty |= self.pty;
        target.prod &= !self.no_prod;
    }
}

async fn asked(context: &Context, target: &Target) -> Result<Secret<String>, Stop> {
    if context.ui.json || !ui::can_prompt() {
        let message = "the password is asked for in a terminal";
        return Err(Failure::new(Code::OperatorProof, message, "add --password-file FILE").into());
    }
    prompt::password(&format!("Password for {}", visible(&target.hop().to_string(), 200))).await
}

/// A file with a public key, or a known_hosts line with one.
fn authority(path: &Path) -> Result<Authority, Failure> {
    let text = public(path)?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let read = (0..words.len().saturating_sub(1))
        .find_map(|at| PublicKey::from_openssh(&format!("{} {}", words[at], words[at + 1])).ok());
    read.map(Authority)
        .ok_or_else(|| unusable(format!("{}: it is no public key of an authority", shown(path))))
}

fn certificate(path: &Path) -> Result<String, Failure> {
    let text = public(path)?;
    let read = Certificate::from_openssh(text.trim());
    let certificate =
        read.map_err(|_| unusable(format!("{}: it is no certificate", shown(path))))?;
    if certificate.algorithm().is_rsa() {
        let message =
            "sgw does not log in with certificates of RSA keys; make it for an ed25519 key";
        return Err(unusable(message.to_owned()));
    }
    certificate.to_openssh().map_err(|error| unusable(error.to_string()))
}

fn public(path: &Path) -> Result<String, Failure> {
    let read = file::read(path, MAX_PUBLIC);
    let bytes = read.map_err(|error| unusable(format!("{}: {error}", shown(path))))?;
    let text =
        std::str::from_utf8(&bytes).map_err(|_| unusable(format!("{}: not text", shown(path))))?;
    Ok(text.to_owned())
}

fn shown(path: &Path) -> String {
    crate::domain::escape::visible_bytes(path.as_os_str().as_encoded_bytes(), 200)
}

fn unusable(message: String) -> Failure {
    Failure::new(Code::TargetCredential, message, "sgw target add --help")
}
