//! Secrets planted to be looked for afterwards, in every form that they could leak in.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use regex::bytes::Regex;

use super::{Outcome, process::descendants};

/// Finds planted secrets: as they are, in hex, and in base64 at each of its three alignments.
#[derive(Default)]
pub struct Canaries {
    patterns: Vec<String>,
    regex: Option<Regex>,
}

impl Canaries {
    pub fn plant(&mut self, secret: &[u8]) {
        assert!(secret.len() >= 8, "too short to be told from chance");
        self.patterns.push(literal(secret));
        self.patterns.push(format!("(?i-u:{})", hex::encode(secret)));
        for skip in 0..3 {
            self.patterns.push(regex::escape(&base64_inside(secret, skip)));
        }
        self.regex = Some(Regex::new(&self.patterns.join("|")).expect("a regex of literals"));
    }

    /// The lines between BEGIN and END, and the bytes that they stand for.
    pub fn plant_private_key(&mut self, file: &Path) {
        let text = fs::read_to_string(file).expect("a private key");
        if let Ok(key) = ssh_key::PrivateKey::from_openssh(&text)
            && let Some(pair) = key.key_data().ed25519()
        {
            self.plant(&pair.private.to_bytes());
        }
        // The first lines of OpenSSH's form hold only the kind and the public half.
        let lines: Vec<_> = text.lines().filter(|line| !line.contains("-----")).collect();
        for line in lines.iter().skip(2).filter(|line| line.len() > 40) {
            self.plant(line.as_bytes());
        }
    }

    pub fn sing_in(&self, bytes: &[u8]) -> bool {
        self.regex.as_ref().is_some_and(|regex| regex.is_match(bytes))
    }

    /// Fails when one was printed.
    #[track_caller]
    pub fn none_printed(&self, outcome: &Outcome) {
        let printed = self.sing_in(outcome.bytes()) || self.sing_in(outcome.stderr().as_bytes());
        assert!(!printed, "a planted secret was printed\n{outcome:?}");
    }

    /// What `/proc` shows of a process and what it started, and the files that it holds open.
    pub fn found_in_process(&self, pid: u32) -> Vec<PathBuf> {
        let of = |pid: u32| ["environ", "cmdline"].map(|name| format!("/proc/{pid}/{name}").into());
        let mut places: Vec<PathBuf> = of(pid).into();
        places.extend(descendants(pid).into_iter().flat_map(of));
        // The suite may be root, and sees what has no name any more.
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let is_file = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.is_file());
        places.extend(open.map(|entry| entry.path()).filter(is_file));
        places.retain(|place| self.sing_in(&fs::read(place).unwrap_or_default()));
        places
    }

    /// The files under `directory` that hold one.
    pub fn found_under(&self, directory: &Path) -> Vec<PathBuf> {
        let leaks = |file: &PathBuf| self.sing_in(&fs::read(file).unwrap_or_default());
        files_under(directory).into_iter().filter(leaks).collect()
    }
}

/// Regular files, and no symbolic links: what the daemon left there.
pub fn files_under(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}

fn literal(bytes: &[u8]) -> String {
    let escaped: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("(?-u:{escaped})")
}

/// What base64 makes of the secret inside a longer text, whose length before it is `skip` modulo 3:
/// without the characters at both ends, which depend on the neighbours.
fn base64_inside(secret: &[u8], skip: usize) -> String {
    let padded = [vec![0; skip], secret.to_vec()].concat();
    let whole = &padded[..padded.len() - padded.len() % 3];
    STANDARD.encode(whole)[if skip == 0 { 0 } else { 4 }..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"correct horse \xff battery";

    fn canaries() -> Canaries {
        let mut canaries = Canaries::default();
        canaries.plant(SECRET);
        canaries
    }

    #[test]
    fn a_secret_is_found_in_every_form_and_nothing_else_is() {
        let canaries = canaries();
        for before in 0..5 {
            let text = [vec![b'x'; before], SECRET.to_vec(), b"yz".to_vec()].concat();
            assert!(canaries.sing_in(&text));
            assert!(canaries.sing_in(STANDARD.encode(&text).as_bytes()), "{before}");
            assert!(canaries.sing_in(hex::encode_upper(&text).as_bytes()));
        }
        assert!(!canaries.sing_in(b"correct horse battery"));
        assert!(!Canaries::default().sing_in(SECRET));
    }

    #[test]
    fn a_file_that_holds_one_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("deep")).unwrap();
        let leak = directory.path().join("deep/leak");
        fs::write(&leak, hex::encode(SECRET)).unwrap();
        fs::write(directory.path().join("clean"), "nothing").unwrap();
        assert_eq!(canaries().found_under(directory.path()), [leak]);
    }

    #[test]
    fn a_private_key_is_found_by_its_lines_and_by_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let key = super::super::Key::ed25519(&directory.path().join("key"));
        let mut canaries = Canaries::default();
        canaries.plant_private_key(&key.path);
        let text = fs::read_to_string(&key.path).unwrap();
        assert!(canaries.sing_in(text.as_bytes()));
        let seed = ssh_key::PrivateKey::from_openssh(&text).unwrap();
        let seed = seed.key_data().ed25519().unwrap().private.to_bytes();
        assert!(canaries.sing_in(&seed) && canaries.sing_in(STANDARD.encode(seed).as_bytes()));
        assert!(!canaries.sing_in(key.line().as_bytes()));
    }
}
