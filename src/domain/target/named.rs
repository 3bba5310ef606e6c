//! A named target: a machine that the operator set up once, with its account, its way, its credential
//! and the keys that vouch for it. The credential's value is not in it: the vault seals that apart.

mod chain;
mod check;
mod surroundings;

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use ssh_key::PublicKey;

pub use chain::{NoWay, chain};
pub use check::Unfit;

use super::Hop;
use crate::domain::{
    digest::{Digest, Digester},
    grant::Mode,
    hostkey::fingerprint,
    id::Name,
    known_hosts::openssh_text,
};

/// What the vault keeps of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub name: Name,
    pub host: String,
    pub port: u16,
    pub user: String,
    /// The target that it is reached through, which may itself be reached through another.
    #[serde(default)]
    pub jump: Option<Name>,
    /// A command that the daemon runs to reach it (ssh_config(5), `ProxyCommand`), as the operator
    /// typed it; in place of a jump.
    #[serde(default)]
    pub proxy_command: Option<String>,
    pub credential: Credential,
    /// Fingerprints of the host keys that are taken; none: what is pinned for its address.
    #[serde(default)]
    pub host_keys: Vec<String>,
    /// Authorities whose host certificates are taken (sshd(8), `@cert-authority`).
    #[serde(default)]
    pub host_ca: Vec<Authority>,
    #[serde(default)]
    pub surroundings: Surroundings,
    /// Whether sessions there may have a terminal.
    #[serde(default = "yes")]
    pub pty: bool,
    #[serde(default)]
    pub guard: Guard,
    /// Marked in every prompt: what happens there counts.
    #[serde(default)]
    pub prod: bool,
}

fn yes() -> bool {
    true
}

/// What logs in there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Credential {
    /// Nothing is kept: the operator chooses at each approval.
    Asked,
    /// A private key in the vault.
    Key { fingerprint: String },
    /// A private key in the vault, with the certificate that an authority made for it, in OpenSSH's
    /// form (`ssh-ed25519-cert-v01@openssh.com AAAA…`).
    Certificate { fingerprint: String, certificate: String },
    /// A password in the vault.
    Password {
        /// What vouched for the machine that it was first offered to: fingerprints of host keys or of
        /// authorities. It is offered to no other; empty until then.
        #[serde(default)]
        bound: Vec<String>,
    },
    /// A private key that stays in its file, borrowed for each approval.
    KeyFile { path: String, fingerprint: Option<String> },
    /// Keys of the operator's ssh-agent: this one, or whichever it has.
    Agent { fingerprint: Option<String> },
}

impl Credential {
    /// The vault keeps a value for it, so that nobody has to be there.
    pub fn is_held(&self) -> bool {
        use Credential::*;
        matches!(self, Key { .. } | Certificate { .. } | Password { .. })
    }

    /// As `list` and the prompt call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Credential::Asked => "asked",
            Credential::Key { .. } => "key",
            Credential::Certificate { .. } => "certificate",
            Credential::Password { .. } => "password",
            Credential::KeyFile { .. } => "key-file",
            Credential::Agent { .. } => "agent",
        }
    }

    /// Of the public half, where it is known.
    pub fn fingerprint(&self) -> Option<&str> {
        match self {
            Credential::Key { fingerprint } | Credential::Certificate { fingerprint, .. } => {
                Some(fingerprint)
            }
            Credential::KeyFile { fingerprint, .. } | Credential::Agent { fingerprint } => {
                fingerprint.as_deref()
            }
            Credential::Asked | Credential::Password { .. } => None,
        }
    }

    /// What it is, in words for a record.
    pub fn named(&self) -> String {
        match (self.kind(), self.fingerprint()) {
            (kind, Some(fingerprint)) => format!("{kind} {fingerprint}"),
            (kind, None) => kind.to_owned(),
        }
    }
}

/// A public key that signs host certificates, as OpenSSH writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Authority(#[serde(with = "openssh_text")] pub PublicKey);

impl Authority {
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.0)
    }
}

/// What commands find there unless they say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Surroundings {
    /// The account's login shell, as far as the operator said.
    pub shell: Option<Shell>,
    pub directory: Option<String>,
    pub environment: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shell {
    Sh,
    Bash,
    Zsh,
    Fish,
    /// No shell that reads as sh does: a router's, a chroot's own.
    Other,
}

impl Shell {
    pub const ALL: [Shell; 5] = [Shell::Sh, Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Other];

    pub fn as_str(self) -> &'static str {
        match self {
            Shell::Sh => "sh",
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
            Shell::Other => "other",
        }
    }
}

impl fmt::Display for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a remote shell is sh, bash, zsh, fish or other")]
pub struct NotAShell;

impl FromStr for Shell {
    type Err = NotAShell;

    fn from_str(word: &str) -> Result<Self, NotAShell> {
        Shell::ALL.into_iter().find(|shell| shell.as_str() == word).ok_or(NotAShell)
    }
}

/// What the guard starts from there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Guard {
    /// The policy that holds there, by its name.
    pub policy: Option<Name>,
    /// The mode that sessions there have at least.
    pub mode: Option<Mode>,
}

impl Target {
    pub fn hop(&self) -> Hop {
        Hop { user: self.user.clone(), host: self.host.clone(), port: self.port }
    }

    /// Under which id the vault keeps the value of its credential.
    pub fn secret_id(&self) -> String {
        format!("target/{}", self.name)
    }

    /// Everything that a yes to it means; what a password was bound to meanwhile is no change of it.
    fn bind(&self, digester: Digester) -> Digester {
        let Surroundings { shell, directory, environment } = &self.surroundings;
        let authorities: Vec<_> = self.host_ca.iter().map(Authority::fingerprint).collect();
        let certificate = match &self.credential {
            Credential::Certificate { certificate, .. } => Some(certificate),
            _ => None,
        };
        let file = match &self.credential {
            Credential::KeyFile { path, .. } => Some(path),
            _ => None,
        };
        let digester = digester
            .text("target", &self.name)
            .text("hop", self.hop())
            .optional("jump", self.jump.as_ref())
            .optional("proxy-command", self.proxy_command.as_ref())
            .text("credential", self.credential.named())
            .optional("certificate", certificate)
            .optional("file", file)
            .text("host-keys", self.host_keys.join(" "))
            .text("host-ca", authorities.join(" "))
            .optional("shell", shell.as_ref())
            .optional("directory", directory.as_ref())
            .text("pty", self.pty)
            .optional("policy", self.guard.policy.as_ref())
            .optional("mode", self.guard.mode.as_ref())
            .text("prod", self.prod);
        environment.iter().fold(digester, |digester, (name, value)| {
            digester.text("variable", name).field("value", value.as_bytes())
        })
    }
}

/// The way that a session was opened by, to know later whether its names still mean it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub digest: Digest,
    /// Jump hosts first, the target last.
    pub targets: Vec<Name>,
}

impl Taken {
    pub fn of(way: &[Target]) -> Self {
        let targets = way.iter().map(|target| target.name.clone()).collect();
        Self { digest: digest(way), targets }
    }

    pub fn target(&self) -> Option<&Name> {
        self.targets.last()
    }
}

/// Binds a yes to the whole way, jump hosts first.
pub fn digest(way: &[Target]) -> Digest {
    way.iter().fold(Digester::new("named way"), |digester, target| target.bind(digester)).finish()
}

#[cfg(test)]
pub fn sample(name: &str) -> Target {
    Target {
        name: name.parse().expect("a name"),
        host: format!("{name}.example.org"),
        port: 22,
        user: "deploy".into(),
        jump: None,
        proxy_command: None,
        credential: Credential::Asked,
        host_keys: vec![],
        host_ca: vec![],
        surroundings: Surroundings::default(),
        pty: true,
        guard: Guard::default(),
        prod: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_kept_and_read_again_as_it_was() {
        let mut target = sample("web1");
        target.credential = Credential::Password { bound: vec!["SHA256:x".into()] };
        target.surroundings.shell = Some(Shell::Fish);
        target.surroundings.environment.insert("LANG".into(), "C".into());
        target.guard.mode = Some(Mode::Each);
        let json = serde_json::to_string(&target).unwrap();
        assert_eq!(serde_json::from_str::<Target>(&json).unwrap(), target);
        let newer = json.replacen('{', r#"{"later":1,"#, 1);
        assert!(serde_json::from_str::<Target>(&newer).is_err(), "a field would be lost");
    }

    #[test]
    fn whatever_changes_what_a_yes_means_changes_its_digest() {
        let target = sample("web1");
        let changes: Vec<fn(&mut Target)> = vec![
            |target| target.host = "web2.example.org".into(),
            |target| target.port = 2222,
            |target| target.user = "root".into(),
            |target| target.jump = "bastion".parse().ok(),
            |target| target.proxy_command = Some("nc %h %p".into()),
            |target| target.credential = Credential::Password { bound: vec![] },
            |target| target.credential = Credential::Agent { fingerprint: None },
            |target| target.host_keys = vec!["SHA256:x".into()],
            |target| target.surroundings.shell = Some(Shell::Other),
            |target| target.surroundings.directory = Some("/srv".into()),
            |target| _ = target.surroundings.environment.insert("A".into(), "b".into()),
            |target| target.pty = false,
            |target| target.guard.mode = Some(Mode::Each),
            |target| target.prod = true,
        ];
        let mut digests = vec![digest(std::slice::from_ref(&target))];
        for change in changes {
            let mut other = target.clone();
            change(&mut other);
            let other = digest(&[other]);
            assert!(!digests.contains(&other), "{}", digests.len());
            digests.push(other);
        }
        // A binding that came with the first login is not something else to say yes to.
        let bound = |keys: &[&str]| Target {
            credential: Credential::Password { bound: keys.iter().map(|k| (*k).into()).collect() },
            ..sample("web1")
        };
        assert_eq!(digest(&[bound(&[])]), digest(&[bound(&["SHA256:x"])]));
    }
}
