//! Reads the known_hosts files of a hop, for the daemon to judge its host key by.

use std::path::Path;

use ssh_key::PublicKey;

use crate::domain::{
    escape,
    known_hosts::{self, Found, MAX_BYTES},
};

use super::{
    file::{self, FileError},
    route::Proposal,
};

/// What the files of a hop say of it, all together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    pub found: Found,
    /// Files that could not be read, as sentences for the person.
    pub notes: Vec<String>,
}

/// A file that is missing says nothing; one that can't be read is told.
pub fn read(proposal: &Proposal) -> Read {
    let name = proposal.known_hosts_name();
    let mut read = Read::default();
    for path in &proposal.known_hosts {
        let label = label(path);
        match content(path) {
            Ok((bytes, cut)) => {
                let found = known_hosts::lookup(&bytes, &label, &name);
                read.found.entries.extend(found.entries);
                read.found.broken += found.broken;
                read.found.cut |= found.cut || cut;
            }
            Err(FileError::Missing) => {}
            Err(error) => read.notes.push(format!("{label}: {error}")),
        }
    }
    read
}

/// Other names that the files have for a key, to be shown with its fingerprint.
pub fn other_names(proposal: &Proposal, key: &PublicKey) -> Vec<String> {
    let own = proposal.known_hosts_name();
    let files = proposal.known_hosts.iter().filter_map(|path| content(path).ok());
    let names = files.flat_map(|(bytes, _)| known_hosts::names_of(&bytes, key));
    names.filter(|name| *name != own).map(|name| escape::exact(name.as_bytes(), 100)).collect()
}

fn label(path: &Path) -> String {
    escape::visible_bytes(path.as_os_str().as_encoded_bytes(), 200)
}

/// As much of a file as is looked at, and whether there is more.
fn content(path: &Path) -> Result<(Vec<u8>, bool), FileError> {
    use std::io::Read as _;

    let (file, _) = file::open(path)?;
    let mut bytes = Vec::new();
    let most = MAX_BYTES as u64 + 1;
    file.take(most).read_to_end(&mut bytes).map_err(FileError::Unreadable)?;
    let cut = bytes.len() > MAX_BYTES;
    Ok((bytes, cut))
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        known_hosts::Marker,
        target::{Destination, Hop},
    };

    use super::*;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";

    fn proposal(files: &[&Path]) -> Proposal {
        Proposal {
            asked: Destination { user: None, host: "web1".into(), port: None },
            hop: Hop { user: "me".into(), host: "10.0.0.5".into(), port: 2222 },
            identities: vec![],
            identities_only: false,
            certificates: vec![],
            agent: None,
            host_key_alias: None,
            known_hosts: files.iter().map(|path| path.to_path_buf()).collect(),
        }
    }

    #[test]
    fn all_files_of_a_hop_are_read_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("user"), format!("[10.0.0.5]:2222,web {A}\nbroken\n")).unwrap();
        std::fs::write(path("system"), format!("# x\n@revoked *.5*:2222 {A}\n")).unwrap();
        let proposal = proposal(&[&path("user"), &path("none"), &path("system"), folder.path()]);
        let read = read(&proposal);
        let entries = &read.found.entries;
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[0].marker, entries[0].line), (None, 1));
        assert_eq!(entries[0].file, path("user").to_str().unwrap());
        assert_eq!((entries[1].marker, entries[1].line), (Some(Marker::Revoked), 2));
        assert_eq!((read.found.broken, read.found.cut), (1, false));
        assert_eq!(read.notes.len(), 1);
        assert!(read.notes[0].ends_with("a directory, not a file"));
        assert_eq!(other_names(&proposal, &entries[0].key), ["web"]);
    }

    #[test]
    fn a_file_without_end_is_cut_and_that_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        assert!(read(&proposal(&[&path])).found.cut);
    }
}
