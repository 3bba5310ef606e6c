//! Keys, made by OpenSSH's own tool in every form that people keep them in.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use ssh_key::{HashAlg, PublicKey};

/// How a private key lies in its file.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    OpenSsh,
    Pem,
    Pkcs8,
    Ppk,
}

/// A key pair on disk.
pub struct Key {
    pub path: PathBuf,
    pub public: PublicKey,
}

impl Key {
    pub fn ed25519(path: &Path) -> Self {
        Self::generate(path, &["-t", "ed25519"], "")
    }

    /// Encrypted with `passphrase`.
    pub fn encrypted(path: &Path, passphrase: &str) -> Self {
        Self::generate(path, &["-t", "ed25519"], passphrase)
    }

    /// PEM and PKCS8 are forms of RSA here: OpenSSH writes ed25519 in its own form alone.
    pub fn in_form(path: &Path, form: Form) -> Self {
        match form {
            Form::OpenSsh => Self::ed25519(path),
            Form::Pem => Self::generate(path, &["-t", "rsa", "-b", "2048", "-m", "PEM"], ""),
            Form::Pkcs8 => Self::generate(path, &["-t", "rsa", "-b", "2048", "-m", "PKCS8"], ""),
            Form::Ppk => Self::ed25519(path).into_ppk(),
        }
    }

    fn generate(path: &Path, form: &[&str], passphrase: &str) -> Self {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-C", "", "-N", passphrase, "-f"]).arg(path).args(form);
        tool(&mut command);
        let line = fs::read_to_string(path.with_extension("pub")).expect("its public half");
        Self { path: path.to_owned(), public: PublicKey::from_openssh(&line).expect("a key") }
    }

    fn into_ppk(self) -> Self {
        let path = self.path.with_extension("ppk");
        tool(Command::new("puttygen").arg(&self.path).args(["-O", "private", "-o"]).arg(&path));
        Self { path, ..self }
    }

    /// A certificate of this key, made by the authority whose private key lies there; its file.
    pub fn certified_by(&self, authority: &Path, how: &[&str]) -> PathBuf {
        let public = self.path.with_extension("pub");
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-I", "test", "-s"]).arg(authority).args(how).arg(public);
        tool(&mut command);
        let name = self.path.file_name().expect("a file").to_string_lossy().into_owned();
        self.path.with_file_name(format!("{name}-cert.pub"))
    }

    pub fn fingerprint(&self) -> String {
        self.public.fingerprint(HashAlg::Sha256).to_string()
    }

    /// As authorized_keys and known_hosts want it.
    pub fn line(&self) -> String {
        self.public.to_openssh().expect("a public key")
    }
}

/// Runs a tool that the tests can't do without.
#[track_caller]
pub fn tool(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs what is missing"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
}
