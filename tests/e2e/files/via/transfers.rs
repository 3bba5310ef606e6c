//! `get` and `put` without SFTP.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
};

use super::{There, mode, no_sftp, odd_names, set_mode};

/// What is below a directory: names, contents, rights, what links hold.
fn tree(root: &Path) -> Vec<(String, Vec<u8>, u32)> {
    let mut found = Vec::new();
    let mut below = vec![root.to_owned()];
    while let Some(directory) = below.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let holds = match (meta.is_symlink(), meta.is_dir()) {
                (true, _) => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
                (_, true) => Vec::new(),
                _ => fs::read(&path).unwrap(),
            };
            if meta.is_dir() {
                below.push(path.clone());
            }
            let rights = if meta.is_symlink() { 0 } else { meta.mode() };
            found.push((format!("{:?}", path.strip_prefix(root).unwrap()), holds, rights));
        }
    }
    found.sort();
    found
}

fn plant(root: &Path) {
    fs::create_dir_all(root.join("a/empty")).unwrap();
    fs::write(root.join("large"), (0..3_000_000u32).map(|n| (n >> 3) as u8).collect::<Vec<_>>())
        .unwrap();
    fs::write(root.join("a/none"), "").unwrap();
    for name in odd_names() {
        fs::write(root.join("a").join(&name), name.as_encoded_bytes()).unwrap();
    }
    set_mode(&root.join("a/none"), 0o751);
    symlink("none", root.join("a/link")).unwrap();
}

impl There {
    fn copies<A: AsRef<OsStr>>(&self, verb: &str, more: &[A]) -> crate::support::Outcome {
        let words: Vec<_> = ["files", verb, "--via", "exec", "-r", "-p", &self.session]
            .map(AsRef::<OsStr>::as_ref)
            .to_vec();
        let words = words.into_iter().chain(more.iter().map(AsRef::as_ref));
        self.sgw.agent(words)
    }
}

#[test]
fn trees_come_and_go_as_they_are() {
    let there = no_sftp();
    let here = tempfile::tempdir_in("/tmp").unwrap();
    plant(&here.path().join("tree"));
    there
        .copies("put", &[here.path().join("tree").as_os_str(), there.directory().as_os_str()])
        .ok();
    assert_eq!(tree(&there.at("tree")), tree(&here.path().join("tree")));
    assert_eq!(mode(&there.at("tree/a/none")), 0o751);
    let time = |path: &Path| fs::metadata(path).unwrap().mtime();
    assert_eq!(time(&there.at("tree/large")), time(&here.path().join("tree/large")));
    there.copies("get", &[there.at("tree").as_os_str(), here.path().join("back").as_os_str()]).ok();
    assert_eq!(tree(&here.path().join("back")), tree(&there.at("tree")));
}

#[test]
fn one_that_can_not_be_put_stops_no_other() {
    let there = no_sftp();
    let here = tempfile::tempdir_in("/tmp").unwrap();
    for name in ["a", "b", "c"] {
        fs::write(here.path().join(name), name).unwrap();
    }
    fs::create_dir(there.at("b")).unwrap();
    let files = ["a", "b", "c"].map(|name| here.path().join(name).into_os_string());
    let mut words = files.to_vec();
    words.push(there.directory().into_os_string());
    let told = there.copies("put", &words);
    assert_eq!(told.code(), 1, "{}", told.stderr());
    assert!(told.stderr().contains("is a directory"), "{}", told.stderr());
    assert_eq!(there.names(), ["a", "b", "c"]);
    assert_eq!(fs::read_to_string(there.at("c")).unwrap(), "c");
}
