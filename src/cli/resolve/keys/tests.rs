//! With keys made by ssh-keygen and puttygen.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use super::*;

const PASSPHRASE: &str = "pass phrase ä";

struct Keys(tempfile::TempDir);

impl Keys {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A key of ssh-keygen's; `more` holds its type and format.
    fn generate(&self, name: &str, passphrase: &str, more: &[&str]) -> PathBuf {
        let path = self.path(name);
        run(Command::new("ssh-keygen")
            .args(["-q", "-N", passphrase, "-C", "", "-f"])
            .arg(&path)
            .args(more));
        path
    }

    /// The same key in a form of puttygen's.
    fn putty(&self, from: &Path, name: &str, passphrase: &str, more: &[&str]) -> PathBuf {
        let new = self.write("new-passphrase", passphrase);
        let path = self.path(name);
        run(Command::new("puttygen")
            .arg(from)
            .args(["-O", "private", "-o"])
            .arg(&path)
            .arg("--new-passphrase")
            .arg(new)
            .args(more));
        path
    }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
}

fn public_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path.with_extension("pub")).unwrap();
    fingerprint(&ssh_key::PublicKey::from_openssh(&text).unwrap())
}

/// Opens the file with the passphrase, where it needs one, and gives the fingerprint of the key.
fn opened(path: &Path) -> String {
    let key = match load(path).unwrap() {
        LoadedKey::Ready(key) => key,
        LoadedKey::Encrypted(encrypted) => {
            let wrong = encrypted.decrypt(&Secret::new("wrong".into()));
            assert!(matches!(wrong, Err(KeyError::Passphrase)), "{path:?}: {:?}", wrong.err());
            encrypted.decrypt(&Secret::new(PASSPHRASE.into())).unwrap()
        }
    };
    // It signs, and it travels.
    let back = key::parse(&key::to_wire(&key).unwrap()).unwrap();
    let signed = back.sign("file", ssh_key::HashAlg::Sha512, b"x").unwrap();
    assert!(key.public_key().verify("file", b"x", &signed).is_ok());
    fingerprint(key.public_key())
}

fn error(path: &Path) -> String {
    match load(path) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{path:?} was read"),
    }
}

#[test]
fn every_form_of_openssh_and_openssl_is_read() {
    let keys = Keys::new();
    let types: [&[&str]; 5] = [
        &["-t", "ed25519"],
        &["-t", "rsa", "-b", "2048"],
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "ecdsa", "-b", "521"],
    ];
    for (index, kind) in types.into_iter().enumerate() {
        for form in ["RFC4716", "PEM", "PKCS8"] {
            // ssh-keygen writes ed25519 in its own form whatever it is told.
            for (lock, passphrase) in [("open", ""), ("locked", PASSPHRASE)] {
                let name = format!("{index}-{form}-{lock}");
                let path = keys.generate(&name, passphrase, &[kind, &["-m", form]].concat());
                let encrypted = matches!(load(&path), Ok(LoadedKey::Encrypted(_)));
                assert_eq!(encrypted, lock == "locked", "{name}");
                assert_eq!(opened(&path), public_of(&path), "{name}");
            }
        }
    }
}

#[test]
fn every_form_of_putty_is_read() {
    let keys = Keys::new();
    for (name, kind) in [("ed", "ed25519"), ("rsa", "rsa"), ("ec", "ecdsa")] {
        let made = keys.generate(name, "", &["-t", kind]);
        for version in ["2", "3"] {
            for (lock, passphrase) in [("open", ""), ("locked", PASSPHRASE)] {
                let file = format!("{name}-{version}-{lock}.ppk");
                let more = [format!("version={version}")];
                let more = ["--ppk-param", &more[0]];
                let path = keys.putty(&made, &file, passphrase, &more);
                assert_eq!(opened(&path), public_of(&made), "{file}");
            }
        }
    }
}

#[test]
fn an_encrypted_openssh_key_names_itself_before_it_is_opened() {
    let keys = Keys::new();
    let path = keys.generate("key", PASSPHRASE, &["-t", "ed25519"]);
    let Ok(LoadedKey::Encrypted(encrypted)) = load(&path) else { panic!("not encrypted") };
    assert_eq!(encrypted.fingerprint, Some(public_of(&path)));
}

#[test]
fn what_is_no_usable_key_file_is_told_apart() {
    let keys = Keys::new();
    let made = keys.generate("key", "", &["-t", "ed25519"]);
    assert!(error(&made.with_extension("pub")).ends_with("usually beside it, without .pub"));
    assert!(error(&keys.path("none")).ends_with("there is no such file"));
    assert!(error(keys.0.path()).ends_with("a directory, not a file"));
    assert!(error(&keys.write("long", &"x".repeat(70_000))).ends_with("longer than 64 KiB"));
    assert!(error(&keys.write("text", "hello")).contains("no private key that sgw knows"));
    assert!(error(&keys.write("empty", "")).contains("no private key that sgw knows"));
    assert!(error(&keys.write("pgp", "-----BEGIN PGP PRIVATE KEY BLOCK-----")).contains("no priv"));
    let text = std::fs::read_to_string(&made).unwrap();
    assert!(error(&keys.write("half", &text[..200])).contains("can't be read"));
    assert!(error(&keys.write("dsa", "-----BEGIN DSA PRIVATE KEY-----\n")).contains("ssh-dss"));
    let des = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
               DEK-Info: DES-EDE3-CBC,0011223344556677\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let Ok(LoadedKey::Encrypted(des)) = load(&keys.write("des", des)) else { panic!() };
    assert!(matches!(des.decrypt(&Secret::new("x".into())), Err(KeyError::Cipher(_))));
}

#[test]
fn a_file_that_others_can_read_is_refused_with_the_line_to_type() {
    let keys = Keys::new();
    let path = keys.generate("key", "", &["-t", "ed25519"]);
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert!(error(&path).ends_with(&format!("run: chmod 600 {}", path.display())));
}

#[test]
fn weak_and_hardware_keys_are_refused() {
    let keys = Keys::new();
    let weak = keys.generate("weak", PASSPHRASE, &["-t", "rsa", "-b", "1024"]);
    assert!(error(&weak).contains("an RSA key of 1024 bits is too weak"));
    // The file of a security key holds a handle alone; made by hand, since making one needs the device.
    let public =
        ssh_key::public::SkEd25519::new(ssh_key::public::Ed25519PublicKey([7; 32]), "ssh:");
    let handle = ssh_key::private::SkEd25519::new(public, 1, vec![1, 2, 3]).unwrap();
    let key = PrivateKey::try_from(ssh_key::private::KeypairData::SkEd25519(handle)).unwrap();
    let text = key.to_openssh(ssh_key::LineEnding::LF).unwrap();
    assert!(error(&keys.write("sk", &text)).ends_with("use it over ssh-agent"));
}

#[test]
fn a_putty_file_that_wants_all_memory_is_refused() {
    let keys = Keys::new();
    let made = keys.generate("key", "", &["-t", "ed25519"]);
    let path = keys.putty(&made, "key.ppk", PASSPHRASE, &[]);
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().find(|line| line.starts_with("Argon2-Memory")).unwrap();
    let greedy = keys.write("greedy.ppk", &text.replace(line, "Argon2-Memory: 4000000000"));
    let Ok(LoadedKey::Encrypted(greedy)) = load(&greedy) else { panic!("not encrypted") };
    let opened = greedy.decrypt(&Secret::new(PASSPHRASE.into()));
    assert!(matches!(opened, Err(KeyError::Memory)));
}
