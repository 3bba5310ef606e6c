//! The paths that ssh_config names anywhere, for whichever host: what `ssh -G` can't be asked, since
//! it answers for one. Runs nothing, and takes every block for reachable.

use std::path::{Path, PathBuf};

use super::{
    account::Account,
    file,
    look_through::{arguments, glob, words},
    tokens::tilde,
};

const MAX_FILE: usize = 1 << 20;
const MAX_FILES: usize = 64;
const MAX_PATHS: usize = 512;

/// What stands after `keyword` (in lower case), made absolute; a token that depends on the host stands
/// for any name. What can't be read or makes no sense is left out.
pub fn paths(account: &Account, keyword: &str) -> Vec<PathBuf> {
    let mut walk = Walk { account, keyword, files: 0, found: Vec::new() };
    let mut homes = vec![account.home.clone()];
    homes.extend(account.variable("HOME").map(PathBuf::from));
    homes.dedup();
    for home in &homes {
        let directory = home.join(".ssh");
        walk.file(&directory.join("config"), &directory);
    }
    walk.file("/etc/ssh/ssh_config".as_ref(), "/etc/ssh".as_ref());
    walk.found
}

struct Walk<'a> {
    account: &'a Account,
    keyword: &'a str,
    files: usize,
    found: Vec<PathBuf>,
}

impl Walk<'_> {
    fn file(&mut self, path: &Path, base: &Path) {
        self.files += 1;
        if self.files > MAX_FILES {
            return;
        }
        let Ok(bytes) = file::read(path, MAX_FILE) else { return };
        for line in String::from_utf8_lossy(&bytes).lines() {
            let (said, _) = words(line);
            if said == "include" {
                for included in arguments(line, said.len()) {
                    let Some(text) = tilde(&self.account.home, &included) else { continue };
                    for file in glob(&base.join(text)).unwrap_or_default() {
                        self.file(&file, base);
                    }
                }
            } else if said == self.keyword {
                for argument in arguments(line, said.len()) {
                    self.add(&argument);
                }
            }
        }
    }

    fn add(&mut self, text: &str) {
        let Some(path) = tilde(&self.account.home, text).and_then(|text| self.expand(&text)) else {
            return;
        };
        if !path.is_absolute() {
            return;
        }
        let paths = glob(&path).unwrap_or_default();
        self.found.extend(paths.into_iter().take(MAX_PATHS.saturating_sub(self.found.len())));
    }

    fn expand(&self, text: &str) -> Option<PathBuf> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['%', '$']) {
            expanded.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(named) = rest.strip_prefix("${") {
                let (name, after) = named.split_once('}')?;
                expanded.push_str(self.account.variable(name)?);
                rest = after;
                continue;
            }
            let mut chars = rest.chars();
            match (chars.next(), chars.next()) {
                (Some('%'), Some('%')) => expanded.push('%'),
                (Some('%'), Some('d')) => expanded.push_str(self.account.home.to_str()?),
                (Some('%'), Some('u')) => expanded.push_str(&self.account.name),
                (Some('%'), Some('i')) => expanded.push_str(&self.account.uid.to_string()),
                (Some('%'), Some(_)) => expanded.push('*'),
                (Some(char), _) => {
                    expanded.push(char);
                    rest = &rest[char.len_utf8()..];
                    continue;
                }
                (None, _) => break,
            }
            rest = chars.as_str();
        }
        expanded.push_str(rest);
        Some(PathBuf::from(expanded))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_paths_of_every_block_and_every_included_file_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        fs::create_dir_all(home.join(".ssh/more")).unwrap();
        fs::create_dir_all(home.join("keys")).unwrap();
        for name in ["keys/a", "keys/of web", "keys/b", "keys/web-1"] {
            fs::write(home.join(name), "").unwrap();
        }
        fs::write(
            home.join(".ssh/config"),
            "Include more/*\nHost x\n  IdentityFile ~/keys/a\nMatch exec true\n identityfile=\"~/keys/of web\"\n# IdentityFile ~/keys/b\n",
        )
        .unwrap();
        fs::write(
            home.join(".ssh/more/one"),
            "IdentityFile %d/keys/web-%h # x\nIdentityFile ${NONE}/x\nIdentityFile none\n",
        )
        .unwrap();
        let account = Account {
            uid: 7,
            name: "me".into(),
            home: home.to_owned(),
            environment: Default::default(),
        };
        let inside = |path: &PathBuf| path.strip_prefix(home).ok().map(Path::to_owned);
        let found: Vec<_> = paths(&account, "identityfile").iter().filter_map(inside).collect();
        assert_eq!(found, ["keys/web-1", "keys/a", "keys/of web"].map(PathBuf::from));
    }
}
