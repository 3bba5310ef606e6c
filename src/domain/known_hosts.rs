//! What a known_hosts file says of one machine, read as ssh reads it (sshd(8), "SSH_KNOWN_HOSTS FILE
//! FORMAT") from text that anyone may have written.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use ssh_key::{PublicKey, known_hosts::HostPatterns};

/// No more of a file is read; what lies behind is told by [`Found::cut`].
pub const MAX_BYTES: usize = 4 << 20;
/// A longer line is a broken one. RSA with 16,384 bits takes 2,800 bytes.
const MAX_LINE: usize = 8 << 10;
/// So many entries for one machine travel, at most [`MAX_LINE`] each.
const MAX_ENTRIES: usize = 64;
/// So many other names of a key are worth showing.
const MAX_NAMES: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Marker {
    /// `@revoked`: this key must never be accepted.
    Revoked,
    /// `@cert-authority`: the key signs host certificates and is no host key itself.
    CertAuthority,
}

/// One line that names the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub marker: Option<Marker>,
    #[serde(with = "openssh_text")]
    pub key: PublicKey,
    /// Where it stands, for the person: as the caller named the file, and the line from 1.
    pub file: String,
    pub line: usize,
}

/// What one file has on one machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub entries: Vec<Known>,
    /// Lines that can't be read; ssh skips them too.
    pub broken: usize,
    /// The file or the list of entries was longer than what is read of it.
    pub cut: bool,
}

/// The name under which ssh looks a machine up: `host`, or `[host]:port` for another port than 22.
/// A `HostKeyAlias` is used as it is, without a port.
pub fn name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// The entries of `text` whose host patterns match `name`.
pub fn lookup(text: &[u8], file: &str, name: &str) -> Found {
    let name = name.to_ascii_lowercase();
    let mut found = Found { cut: text.len() > MAX_BYTES, ..Found::default() };
    for (line, entry) in entries(text) {
        match entry {
            Err(Broken) => found.broken += 1,
            Ok(entry) if !entry.names(&name) => {}
            Ok(_) if found.entries.len() == MAX_ENTRIES => found.cut = true,
            Ok(Entry { marker, key, .. }) => {
                found.entries.push(Known { marker, key, file: file.to_owned(), line });
            }
        }
    }
    found
}

/// Readable names under which the same key stands: "known as …". Hashed names can't be told.
pub fn names_of(text: &[u8], key: &PublicKey) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (_, entry) in entries(text) {
        let Ok(Entry { marker: None, hosts: HostPatterns::Patterns(patterns), key: known }) = entry
        else {
            continue;
        };
        if known.key_data() == key.key_data() {
            names.extend(patterns.into_iter().filter(|pattern| !pattern.starts_with('!')));
        }
        if names.len() >= MAX_NAMES {
            break;
        }
    }
    names.truncate(MAX_NAMES);
    names
}

struct Broken;

struct Entry {
    marker: Option<Marker>,
    hosts: HostPatterns,
    key: PublicKey,
}

fn entries(text: &[u8]) -> impl Iterator<Item = (usize, Result<Entry, Broken>)> {
    let text = &text[..text.len().min(MAX_BYTES)];
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    lines.filter_map(|(index, line)| match line.trim_ascii() {
        [] | [b'#', ..] => None,
        line => Some((index + 1, Entry::read(line))),
    })
}

impl Entry {
    fn read(line: &[u8]) -> Result<Self, Broken> {
        if line.len() > MAX_LINE {
            return Err(Broken);
        }
        let line = std::str::from_utf8(line).map_err(|_| Broken)?;
        let mut words = line.split_ascii_whitespace();
        let mut next = || words.next().ok_or(Broken);
        let mut hosts = next()?;
        let marker = match hosts {
            "@revoked" => Some(Marker::Revoked),
            "@cert-authority" => Some(Marker::CertAuthority),
            unknown if unknown.starts_with('@') => return Err(Broken),
            _ => None,
        };
        if marker.is_some() {
            hosts = next()?;
        }
        let hosts: HostPatterns = hosts.parse().map_err(|_| Broken)?;
        // ssh knows one salt length only: that of the hash.
        if matches!(&hosts, HostPatterns::HashedName { salt, .. } if salt.len() != 20) {
            return Err(Broken);
        }
        let key = format!("{} {}", next()?, next()?);
        let key = PublicKey::from_openssh(&key).map_err(|_| Broken)?;
        Ok(Self { marker, hosts, key })
    }

    fn names(&self, name: &str) -> bool {
        match &self.hosts {
            HostPatterns::HashedName { salt, hash } => {
                let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(salt) else { return false };
                mac.update(name.as_bytes());
                mac.verify_slice(hash).is_ok()
            }
            HostPatterns::Patterns(patterns) => {
                let mut named = false;
                for pattern in patterns {
                    let pattern = pattern.to_ascii_lowercase();
                    match pattern.strip_prefix('!') {
                        // One negated match takes the whole line away.
                        Some(pattern) if matches(pattern, name) => return false,
                        Some(_) => {}
                        None => named |= matches(&pattern, name),
                    }
                }
                named
            }
        }
    }
}

/// Whether `text` fits a pattern of ssh's: `*` any run of characters, `?` any one, no escapes
/// (ssh_config(5), PATTERNS). Takes time in proportion to the product of both lengths.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Where to go on when the last star has to take one character more.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    at = place + 1;
                    seen = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// A public key in JSON: the line that OpenSSH writes, `ssh-ed25519 AAAA…`.
pub mod openssh_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _, ser::Error as _};
    use ssh_key::PublicKey;

    pub fn serialize<S: Serializer>(key: &PublicKey, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&key.to_openssh().map_err(S::Error::custom)?)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PublicKey, D::Error> {
        let text = String::deserialize(deserializer)?;
        PublicKey::from_openssh(&text).map_err(|_| D::Error::custom("not a public key"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
    const B: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn lines(text: &str, name: &str) -> Vec<usize> {
        lookup(text.as_bytes(), "f", name).entries.iter().map(|entry| entry.line).collect()
    }

    #[test]
    fn names_are_matched_as_ssh_matches_them() {
        let text = format!(
            "# comment\n\nweb1,10.0.0.5 {A} a comment\n*.example.org,!bad.example.org {A}\n\
             [web1]:2222 {A}\n[*]:99 {A}\nw?b1 {A}\nWEB9 {A}\n\t web8\t\t{A}\r\n!web7,* {A}\n"
        );
        for (name, expected) in [
            ("web1", vec![3, 7, 10]),
            ("10.0.0.5", vec![3, 10]),
            ("a.example.org", vec![4, 10]),
            ("bad.example.org", vec![10]),
            ("[web1]:2222", vec![5, 10]),
            ("[anything]:99", vec![6, 10]),
            ("web9", vec![8, 10]),
            ("WeB9", vec![8, 10]),
            ("web8", vec![9, 10]),
            ("web7", vec![]),
        ] {
            assert_eq!(lines(&text, name), expected, "{name}");
        }
    }

    #[test]
    fn the_looked_up_name_holds_the_port_when_it_is_not_22() {
        assert_eq!(name("Web1", 22), "web1");
        assert_eq!(name("::1", 2222), "[::1]:2222");
    }

    #[test]
    fn markers_and_places_are_kept_and_travel_as_json() {
        let text = format!("@revoked web1 {A}\n@cert-authority *.org,web1 {B}\nweb1 {B}\n");
        let found = lookup(text.as_bytes(), "~/.ssh/known_hosts", "web1");
        let markers: Vec<_> = found.entries.iter().map(|entry| entry.marker).collect();
        assert_eq!(markers, [Some(Marker::Revoked), Some(Marker::CertAuthority), None]);
        assert_eq!(found.entries[2].line, 3);
        let json = serde_json::to_string(&found).unwrap();
        assert!(json.contains("~/.ssh/known_hosts") && json.contains("cert-authority"));
        assert_eq!(serde_json::from_str::<Found>(&json).unwrap(), found);
    }

    #[test]
    fn broken_lines_are_skipped_and_counted() {
        let text = format!(
            "web1\nweb1 ssh-ed25519\nweb1 ssh-ed25519 !!!\n@what web1 {A}\n|1|xx|yy {A}\n\
             web1 ssh-rsa AAAA\nweb1 {A}\n{}\n",
            "x".repeat(MAX_LINE + 1)
        );
        let mut text = text.into_bytes();
        text.extend_from_slice(b"web1 \xff\xfe\n");
        let found = lookup(&text, "f", "web1");
        assert_eq!((found.entries.len(), found.broken, found.cut), (1, 8, false));
    }

    #[test]
    fn hostile_files_are_cut_and_that_is_told() {
        let many = format!("web1 {A}\n").repeat(MAX_ENTRIES + 1);
        let found = lookup(many.as_bytes(), "f", "web1");
        assert_eq!((found.entries.len(), found.cut), (MAX_ENTRIES, true));
        let long = vec![b'\n'; MAX_BYTES + 1];
        assert!(lookup(&long, "f", "web1").cut);
        // The naive way to match this takes longer than the universe.
        assert!(!matches(&"*a".repeat(500), &"a".repeat(499)));
    }

    #[test]
    fn names_hashed_by_ssh_keygen_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        std::fs::write(&file, format!("web1 {A}\n[web1]:2222 {B}\n")).unwrap();
        let made = Command::new("ssh-keygen").arg("-H").arg("-f").arg(&file).output().unwrap();
        assert!(made.status.success());
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("|1|") && !text.contains("web1"));
        assert_eq!(lines(&text, "web1"), [1]);
        assert_eq!(lines(&text, "[web1]:2222"), [2]);
        assert_eq!(lines(&text, "web2"), [0; 0]);
    }

    #[test]
    fn other_names_of_a_key_are_told() {
        let text = format!("web1,10.0.0.5 {A}\nweb2,!x {A}\nweb3 {B}\n@revoked web4 {A}\n");
        let key = PublicKey::from_openssh(A).unwrap();
        assert_eq!(names_of(text.as_bytes(), &key), ["web1", "10.0.0.5", "web2"]);
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text: Vec<u8>, name in "[a-z*?!|,.]{0,12}") {
            lookup(&text, "f", &name);
        }

        #[test]
        fn matching_is_what_the_plain_definition_says(
            pattern in "[ab*?]{0,8}", text in "[ab]{0,8}"
        ) {
            fn plain(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern, text) {
                    ([], []) => true,
                    ([b'*', rest @ ..], _) => {
                        plain(rest, text) || (!text.is_empty() && plain(pattern, &text[1..]))
                    }
                    ([b'?', rest @ ..], [_, more @ ..]) => plain(rest, more),
                    ([a, rest @ ..], [b, more @ ..]) => a == b && plain(rest, more),
                    _ => false,
                }
            }
            prop_assert_eq!(
                matches(&pattern, &text), plain(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
