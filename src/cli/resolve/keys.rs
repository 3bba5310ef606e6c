//! Private keys in files, in every form that people have them: OpenSSH, PEM (PKCS#1, SEC1), PKCS#8 and
//! PuTTY's, encrypted or not.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use russh::keys::decode_secret_key;
use ssh_key::PrivateKey;

use crate::domain::{
    escape,
    hostkey::fingerprint,
    key::{self, Unfit},
    secret::Secret,
};

use super::{
    file::{self, FileError},
    pem::{self, PemError},
};

/// PuTTY's default is 8 MiB; a file could ask for all memory.
const MAX_ARGON2_KIB: u64 = 1 << 20;

// One at a time, and not for long.
#[allow(clippy::large_enum_variant)]
pub enum LoadedKey {
    Ready(PrivateKey),
    Encrypted(EncryptedKey),
}

/// A key file that needs its passphrase.
pub struct EncryptedKey {
    text: Secret<String>,
    /// Readable before the passphrase is known in OpenSSH's form only.
    pub fingerprint: Option<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", escape::visible_bytes(path.as_os_str().as_encoded_bytes(), 200))]
pub struct KeyFileError {
    pub path: PathBuf,
    #[source]
    pub error: KeyError,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("others can read it, so ssh and sgw refuse it; run: chmod 600 {0}")]
    OpenToOthers(String),
    #[error("it is a public key; the private one is usually beside it, without .pub")]
    Public,
    #[error("it is no private key that sgw knows (OpenSSH, PEM, PKCS#8, PuTTY)")]
    Unknown,
    #[error("it is a private key that can't be read: {0}")]
    Broken(String),
    #[error("the passphrase does not open it")]
    Passphrase,
    #[error("its encryption ({0}) is too old; `ssh-keygen -p -f FILE` writes it anew")]
    Cipher(String),
    #[error("its encryption needs more memory than sgw gives it")]
    Memory,
    #[error("{}{}", .0, if *.0 == Unfit::SecurityKey { "; use it over ssh-agent" } else { "" })]
    Unfit(#[from] Unfit),
}

/// Reads a key file that the operator or their ssh_config names.
pub fn load(path: &Path) -> Result<LoadedKey, KeyFileError> {
    let fail = |error| KeyFileError { path: path.to_owned(), error };
    let (mut open, metadata) = file::open(path).map_err(|error| fail(error.into()))?;
    let bytes = file::read_open(&mut open, key::MAX_BYTES).map_err(|error| fail(error.into()))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| fail(KeyError::Unknown))?;
    // Before the permissions: a public key may be readable, and that answer helps more.
    if is_public(text) {
        return Err(fail(KeyError::Public));
    }
    // As ssh has it: the mode counts for files of one's own.
    let mine = metadata.uid() == rustix::process::getuid().as_raw();
    if mine && file::open_to_others(&metadata) {
        let path = path.as_os_str().as_encoded_bytes();
        return Err(fail(KeyError::OpenToOthers(escape::visible_bytes(path, 200))));
    }
    read(text).map_err(fail)
}

/// Reads the text of a key file.
pub fn read(text: &str) -> Result<LoadedKey, KeyError> {
    let text = text.trim_start_matches('\u{feff}');
    match Form::of(text)? {
        Form::OpenSsh(text) => {
            let key = PrivateKey::from_openssh(text).map_err(broken)?;
            key::check_public(key.public_key())?;
            if key.is_encrypted() {
                return Ok(encrypted(text, Some(fingerprint(key.public_key()))));
            }
            ready(key)
        }
        Form::Putty if !putty_is_plain(text) => Ok(encrypted(text, None)),
        Form::EncryptedPem | Form::EncryptedPkcs8 => Ok(encrypted(text, None)),
        Form::Putty | Form::Plain => ready(decode_secret_key(text, None).map_err(broken)?),
    }
}

fn encrypted(text: &str, fingerprint: Option<String>) -> LoadedKey {
    LoadedKey::Encrypted(EncryptedKey { text: Secret::new(text.to_owned()), fingerprint })
}

fn ready(key: PrivateKey) -> Result<LoadedKey, KeyError> {
    key::check(&key)?;
    Ok(LoadedKey::Ready(key))
}

impl EncryptedKey {
    /// Takes as long as the file's key derivation wants: a second or so. Not for an async task.
    pub fn decrypt(&self, passphrase: &Secret<String>) -> Result<PrivateKey, KeyError> {
        let (text, passphrase) = (self.text.expose().as_str(), passphrase.expose().as_str());
        let key = match Form::of(text)? {
            Form::OpenSsh(text) => {
                let key = PrivateKey::from_openssh(text).map_err(broken)?;
                key.decrypt(passphrase).map_err(|_| KeyError::Passphrase)?
            }
            Form::EncryptedPem => {
                let plain = pem::decrypt(text, passphrase)?;
                // A wrong passphrase passes the padding once in 256 times.
                decode_secret_key(&plain, None).map_err(|_| KeyError::Passphrase)?
            }
            Form::Putty => {
                putty_memory(text)?;
                decode_secret_key(text, Some(passphrase)).map_err(wrong)?
            }
            Form::EncryptedPkcs8 | Form::Plain => {
                decode_secret_key(text, Some(passphrase)).map_err(wrong)?
            }
        };
        key::check(&key)?;
        Ok(key)
    }
}

enum Form<'a> {
    /// From its first line on.
    OpenSsh(&'a str),
    Putty,
    EncryptedPem,
    EncryptedPkcs8,
    Plain,
}

impl<'a> Form<'a> {
    fn of(text: &'a str) -> Result<Self, KeyError> {
        if text.trim_start().starts_with("PuTTY-User-Key-File-") {
            return Ok(Form::Putty);
        }
        let place = text.find("-----BEGIN ").ok_or(KeyError::Unknown)?;
        // OpenSSL writes `EC PARAMETERS` first.
        let labels = text[place..].lines().filter_map(|line| {
            line.strip_prefix("-----BEGIN ")?.trim_end().strip_suffix("PRIVATE KEY-----")
        });
        match labels.map(str::trim_end).next() {
            Some("OPENSSH") => Ok(Form::OpenSsh(&text[place..])),
            Some("ENCRYPTED") => Ok(Form::EncryptedPkcs8),
            Some("DSA") => Err(Unfit::Type("ssh-dss".into()).into()),
            Some("RSA" | "EC") if pem::is_encrypted(text) => Ok(Form::EncryptedPem),
            Some("RSA" | "EC" | "") => Ok(Form::Plain),
            _ => Err(KeyError::Unknown),
        }
    }
}

fn is_public(text: &str) -> bool {
    let start = text.trim_start();
    let one_line = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];
    one_line.iter().any(|kind| start.starts_with(kind))
        || start.starts_with("---- BEGIN SSH2 PUBLIC KEY ----")
        || (text.contains(" PUBLIC KEY-----") && !text.contains("PRIVATE KEY-----"))
}

fn putty_is_plain(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == "Encryption: none")
}

fn putty_memory(text: &str) -> Result<(), KeyError> {
    let wanted = text.lines().find_map(|line| line.strip_prefix("Argon2-Memory: "));
    match wanted.map(|kib| kib.trim_end().parse::<u64>()) {
        Some(Ok(kib)) if kib > MAX_ARGON2_KIB => Err(KeyError::Memory),
        _ => Ok(()),
    }
}

fn broken(error: impl std::fmt::Display) -> KeyError {
    KeyError::Broken(escape::visible(&error.to_string(), 120))
}

/// What a decoder says after it was given a passphrase: its types don't tell a wrong one from a broken
/// file, and the first is the usual one.
fn wrong(error: russh::keys::Error) -> KeyError {
    match error {
        russh::keys::Error::UnknownAlgorithm(_) => broken(error),
        _ => KeyError::Passphrase,
    }
}

impl From<PemError> for KeyError {
    fn from(error: PemError) -> Self {
        match error {
            PemError::Cipher(cipher) => KeyError::Cipher(escape::visible(&cipher, 40)),
            PemError::Broken => KeyError::Broken(error.to_string()),
            PemError::Passphrase => KeyError::Passphrase,
        }
    }
}

#[cfg(test)]
mod tests;
