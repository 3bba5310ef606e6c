//! Where a check runs: the same directory each time, filled alike, and what is left in it.

use std::{
    fmt, fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

use crate::bridge::{Both, forward::echoes, noise};

/// Long ago: what has this time, or any other of back then, was given it.
const OLD: u64 = 1_000_000_000;

/// Who commits, and when: the same commit has the same name.
const GIT: &[(&str, &str)] = &[
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_SYSTEM", "/dev/null"),
    ("GIT_AUTHOR_NAME", "a test"),
    ("GIT_AUTHOR_EMAIL", "test@example.org"),
    ("GIT_AUTHOR_DATE", "@1000000000 +0000"),
    ("GIT_COMMITTER_NAME", "a test"),
    ("GIT_COMMITTER_EMAIL", "test@example.org"),
    ("GIT_COMMITTER_DATE", "@1000000000 +0000"),
];

/// Speaks to a port of this machine, to a socket, or (with a proxy before it) through SOCKS 5: all its
/// input, its end, and then prints what comes back.
const TALK: &str = include_str!("talk.py");

/// `a`, which is full, `b`, which is empty, and a file `big`.
pub struct Place {
    path: PathBuf,
    direct: PathBuf,
    /// A port that sends back what it hears.
    echo: u16,
    large: Vec<u8>,
}

/// One file, directory or link of those that are left.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Left {
    name: String,
    mode: u32,
    /// Of one that was kept or given; what is new has none.
    time: Option<i64>,
    links: u64,
    content: String,
}

impl fmt::Display for Left {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, mode, time, links, content } = self;
        write!(out, "{name} {mode:o} time {time:?} links {links} {content}")
    }
}

impl Place {
    pub fn new(both: &Both) -> Self {
        let path = both.sgw.path("w");
        let talk = both.sgw.path("talk");
        fs::write(&talk, TALK).unwrap();
        fs::set_permissions(&talk, fs::Permissions::from_mode(0o755)).unwrap();
        Self { path, direct: both.direct.clone(), echo: echoes(), large: noise(3_000_000) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As it was before the last check.
    pub fn fill(&self) {
        let _missing = fs::remove_dir_all(&self.path);
        fs::create_dir(&self.path).unwrap();
        let at = |name: &str| self.path.join(name);
        fs::create_dir_all(at("a/deep/er")).unwrap();
        fs::create_dir(at("b")).unwrap();
        let files: &[(&str, &[u8], u32)] = &[
            ("a/empty", b"", 0o644),
            ("a/text", b"one\ntwo\nthree\n", 0o640),
            ("a/script", b"#!/bin/sh\necho \"$0\" \"$@\"\n", 0o751),
            ("a/deep/noise", &self.large[..700_000], 0o644),
            ("a/deep/er/na me 'quoted' \u{e4}", b"odd", 0o600),
            ("a/deep/er/plain", b"plain", 0o444),
            ("big", &self.large, 0o644),
        ];
        for (number, (name, content, mode)) in files.iter().enumerate() {
            fs::write(at(name), content).unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(*mode)).unwrap();
            aged(&at(name), OLD + number as u64);
        }
        symlink("text", at("a/link")).unwrap();
        for name in ["a/deep/er", "a/deep", "a", "b"] {
            aged(&at(name), OLD + 100);
        }
    }

    pub fn variables(&self, config: &Path) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let talk = self.path.with_file_name("talk");
        let mut all = vec![
            ("C", path(config)),
            ("F", format!("-F {}", config.display())),
            ("W", path(&self.path)),
            ("DIRECT", path(&self.direct)),
            ("ECHO", self.echo.to_string()),
            ("FREE", free.local_addr().unwrap().port().to_string()),
            ("TALK", path(&talk)),
            ("RSYNC_RSH", format!("ssh -F {}", config.display())),
            ("GIT_SSH_COMMAND", format!("ssh -F {}", config.display())),
            ("TZ", "UTC".to_owned()),
        ];
        for (name, value) in GIT {
            all.push((name, (*value).to_owned()));
        }
        all
    }

    /// All that is there, by name.
    pub fn left(&self) -> Vec<Left> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let recent = (now - Duration::from_secs(86_400)).as_secs().cast_signed();
        let mut all = Vec::new();
        let mut next = vec![self.path.clone()];
        while let Some(here) = next.pop() {
            for entry in fs::read_dir(&here).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(&self.path).unwrap().display().to_string();
                let there = fs::symlink_metadata(&path).unwrap();
                let content = if there.is_dir() {
                    next.push(path);
                    String::new()
                } else if there.is_symlink() {
                    format!("-> {}", fs::read_link(&path).unwrap().display())
                } else if name.ends_with(".git/index") {
                    "times and numbers of files".to_owned()
                } else if there.is_file() {
                    let bytes = fs::read(&path).unwrap();
                    format!("{} bytes {}", bytes.len(), hex::encode(Sha256::digest(&bytes)))
                } else {
                    // A socket that its owner is about to remove.
                    continue;
                };
                let time = Some(there.mtime()).filter(|time| *time < recent);
                let links = if there.is_dir() { 0 } else { there.nlink() };
                all.push(Left { name, mode: there.mode(), time, links, content });
            }
        }
        all.sort();
        all
    }
}

fn aged(path: &Path, time: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}
