//! What of a target can't be: told before anything is kept.

use ssh_key::Certificate;

use super::{Credential, Target};
use crate::domain::target::{is_host, is_user};

/// The most variables, host keys and authorities of one target, and the longest text.
const MOST: usize = 64;
const TEXT: usize = 4096;

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unfit {
    #[error("the user has a character that sgw does not pass on")]
    User,
    #[error("the host has a character that sgw does not pass on")]
    Host,
    #[error("the port is not 1 to 65535")]
    Port,
    #[error("a target has a jump host or a proxy command, not both")]
    TwoWays,
    #[error("{0} is empty, longer than {TEXT} bytes, or has a control character")]
    Text(&'static str),
    #[error("`{0}` is not a fingerprint: SHA256: and 43 characters of base64")]
    Fingerprint(String),
    #[error("`{0}` is no name that a shell can export")]
    Variable(String),
    #[error("more than {MOST} {0}")]
    TooMany(&'static str),
    #[error("the certificate can't be read")]
    Certificate,
    #[error("the certificate is for a host, not for a user")]
    HostCertificate,
    #[error("the certificate is for another key: {0}")]
    OtherKey(String),
}

impl Target {
    /// Whether it can be kept. That its jump host is there, the chain says.
    pub fn check(&self) -> Result<(), Unfit> {
        if !is_user(&self.user) {
            return Err(Unfit::User);
        }
        if !is_host(&self.host) {
            return Err(Unfit::Host);
        }
        if self.port == 0 {
            return Err(Unfit::Port);
        }
        if self.jump.is_some() && self.proxy_command.is_some() {
            return Err(Unfit::TwoWays);
        }
        let texts = [
            ("the proxy command", &self.proxy_command),
            ("the directory", &self.surroundings.directory),
        ];
        for (what, text) in texts {
            if text.as_ref().is_some_and(|text| !is_text(text)) {
                return Err(Unfit::Text(what));
            }
        }
        for key in &self.host_keys {
            is_fingerprint(key).then_some(()).ok_or_else(|| Unfit::Fingerprint(key.clone()))?;
        }
        for (what, count) in [
            ("host keys", self.host_keys.len()),
            ("authorities", self.host_ca.len()),
            ("variables", self.surroundings.environment.len()),
        ] {
            if count > MOST {
                return Err(Unfit::TooMany(what));
            }
        }
        for (name, value) in &self.surroundings.environment {
            if !is_variable(name) {
                return Err(Unfit::Variable(name.clone()));
            }
            if !(value.is_empty() || is_text(value)) {
                return Err(Unfit::Text("a variable's value"));
            }
        }
        check_credential(&self.credential)
    }
}

fn check_credential(credential: &Credential) -> Result<(), Unfit> {
    if let Some(fingerprint) = credential.fingerprint()
        && !is_fingerprint(fingerprint)
    {
        return Err(Unfit::Fingerprint(fingerprint.to_owned()));
    }
    match credential {
        Credential::KeyFile { path, .. } if !is_text(path) => Err(Unfit::Text("the key file")),
        Credential::Certificate { fingerprint, certificate } => {
            let read = Certificate::from_openssh(certificate).map_err(|_| Unfit::Certificate)?;
            if !read.cert_type().is_user() {
                return Err(Unfit::HostCertificate);
            }
            let of = read.public_key().fingerprint(ssh_key::HashAlg::Sha256).to_string();
            if of == *fingerprint { Ok(()) } else { Err(Unfit::OtherKey(of)) }
        }
        _ => Ok(()),
    }
}

/// `SHA256:` and the base64 of 32 bytes without padding, as OpenSSH writes it.
pub fn is_fingerprint(text: &str) -> bool {
    text.strip_prefix("SHA256:").is_some_and(|hash| {
        hash.len() == 43
            && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
    })
}

fn is_text(text: &str) -> bool {
    (1..=TEXT).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn is_variable(name: &str) -> bool {
    let fits = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    (1..=255).contains(&name.len())
        && name.bytes().all(fits)
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name != crate::domain::shell::MARKER
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    #[test]
    fn what_can_t_be_kept_is_named() {
        let fingerprint = format!("SHA256:{}", "a".repeat(43));
        let changes: Vec<(fn(&mut Target), Unfit)> = vec![
            (|target| target.user = "a b".into(), Unfit::User),
            (|target| target.host = "-oProxyCommand=x".into(), Unfit::Host),
            (|target| target.port = 0, Unfit::Port),
            (
                |target| {
                    target.jump = "a".parse().ok();
                    target.proxy_command = Some("x".into());
                },
                Unfit::TwoWays,
            ),
            (|target| target.proxy_command = Some(String::new()), Unfit::Text("the proxy command")),
            (
                |target| target.surroundings.directory = Some("a\nb".into()),
                Unfit::Text("the directory"),
            ),
            (|target| target.host_keys = vec!["x".into()], Unfit::Fingerprint("x".into())),
            (
                |target| _ = target.surroundings.environment.insert("1A".into(), "".into()),
                Unfit::Variable("1A".into()),
            ),
            (
                |target| _ = target.surroundings.environment.insert("SGW_EXEC".into(), "".into()),
                Unfit::Variable("SGW_EXEC".into()),
            ),
            (
                |target| target.host_keys = vec![format!("SHA256:{}", "a".repeat(43)); 65],
                Unfit::TooMany("host keys"),
            ),
            (
                |target| {
                    target.credential = Credential::Certificate {
                        fingerprint: format!("SHA256:{}", "a".repeat(43)),
                        certificate: "x".into(),
                    };
                },
                Unfit::Certificate,
            ),
        ];
        for (change, expected) in changes {
            let mut target = sample("web1");
            change(&mut target);
            assert_eq!(target.check(), Err(expected));
        }
        let mut target = sample("web1");
        target.host_keys = vec![fingerprint.clone()];
        target.credential = Credential::Key { fingerprint };
        assert_eq!(target.check(), Ok(()));
    }
}
