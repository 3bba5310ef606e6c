//! `sgw files get`, `sgw files put`, `sgw cp`: what is there is here afterwards, and nothing else is.

mod again;
mod bound;
mod cut_off;
mod deleting;
mod ends;
mod judged;
mod odd;
mod progress;
mod scripted;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use crate::support::{Outcome, Sgw, Sshd};

/// Bytes that no block of another offset equals.
pub fn content(size: usize) -> Vec<u8> {
    (0..size as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// A session on a real server, with a directory for each side.
struct There {
    sshd: Sshd,
    sgw: Sgw,
    session: String,
    here: tempfile::TempDir,
}

impl There {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(more: &[&str]) -> Self {
        Self::on(Sshd::start(), more)
    }

    fn on(sshd: Sshd, more: &[&str]) -> Self {
        let sgw = Sgw::unlocked();
        let session = sgw.session_with(&sshd, more);
        let here = tempfile::Builder::new().prefix("here").tempdir_in("/tmp").unwrap();
        fs::create_dir(sshd.directory().join("there")).unwrap();
        Self { sshd, sgw, session, here }
    }

    fn here(&self, name: &str) -> PathBuf {
        self.here.path().join(name)
    }

    fn there(&self, name: &str) -> PathBuf {
        self.sshd.directory().join("there").join(name)
    }

    /// `sgw files get` or `put`, session first.
    fn files(&self, verb: &str, paths: &[&Path], more: &[&str]) -> Outcome {
        let mut words: Vec<&std::ffi::OsStr> = ["files", verb].map(AsRef::as_ref).to_vec();
        words.extend(more.iter().map(|word| word.as_ref() as &std::ffi::OsStr));
        words.push(self.session.as_ref());
        words.extend(paths.iter().map(|path| path.as_os_str()));
        self.sgw.agent(words)
    }
}

/// Some files in directories, links and odd names among them.
fn plant(root: &Path) {
    fs::create_dir_all(root.join("a/b c/empty")).unwrap();
    fs::write(root.join("one"), "1").unwrap();
    fs::write(root.join("none"), "").unwrap();
    fs::write(root.join("a/large"), content(3_000_000)).unwrap();
    fs::write(root.join("a/b c/new\nline"), "odd").unwrap();
    fs::write(root.join("a/middle"), content(240 * 1024 + 1)).unwrap();
    symlink("../one", root.join("a/link")).unwrap();
    fs::set_permissions(root.join("one"), fs::Permissions::from_mode(0o640)).unwrap();
}

/// All paths below, with content or what a link holds.
fn seen(root: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut all = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap().file_type();
            let held = match (kind.is_dir(), kind.is_symlink()) {
                (true, _) => None,
                (_, true) => {
                    Some(fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes())
                }
                _ => Some(fs::read(&path).unwrap()),
            };
            if kind.is_dir() {
                left.push(path.clone());
            }
            all.push((path.strip_prefix(root).unwrap().to_owned(), held));
        }
    }
    all.sort();
    all
}

#[test]
fn a_tree_goes_there_and_comes_back_as_it_was() {
    let there = There::new();
    plant(&there.here("tree"));
    let tree = there.here("tree");
    there.files("put", &[&tree, &there.there("")], &["-r", "-p"]).ok();
    assert_eq!(seen(&there.there("tree")), seen(&tree));
    // A name that is not there yet is the tree's own.
    there.files("get", &[&there.there("tree"), &there.here("back")], &["-r", "-p"]).ok();
    assert_eq!(seen(&there.here("back")), seen(&tree));
    for name in ["one", "a/large"] {
        let (old, new) = (tree.join(name), there.here("back").join(name));
        let of = |path: &Path| path.metadata().map(|m| (m.mtime(), m.mode())).unwrap();
        assert_eq!(of(&old), of(&new), "{name}");
    }
    // Once more: all is there already, and is left alone.
    let again = there.files("get", &[&there.there("tree"), &there.here("back")], &["-r", "-p"]);
    again.ok();
    assert!(there.here("back/tree/one").exists(), "into a directory that is there");
}

#[test]
fn one_file_goes_by_either_name_of_the_command() {
    let there = There::new();
    fs::write(there.here("x"), content(100_000)).unwrap();
    let to = there.there("y");
    there.files("put", &[&there.here("x"), &to], &["--verify", "--fsync"]).ok();
    assert_eq!(fs::read(&to).unwrap(), content(100_000));
    let from = format!("{}:{}", there.session, to.display());
    let words = ["cp", "--json", &from, there.here.path().to_str().unwrap()];
    let lines = there.sgw.agent(words).ok().json_lines();
    assert_eq!(fs::read(there.here("y")).unwrap(), content(100_000));
    assert_eq!(lines[0]["kind"], "file");
    assert_eq!((&lines[1]["kind"], &lines[1]["bytes"]), (&"transfer".into(), &100_000.into()));
    let back = format!("{}:{}", there.session, there.there("z").display());
    there.sgw.agent(["cp", there.here("y").to_str().unwrap(), &back]).ok();
    assert_eq!(fs::read(there.there("z")).unwrap(), content(100_000));
    // What is there keeps its rights, and nothing is left beside it.
    fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(there.here("x"), "new").unwrap();
    there.files("put", &[&there.here("x"), &to], &[]).ok();
    assert_eq!(fs::read(&to).unwrap(), b"new");
    assert_eq!(to.metadata().unwrap().mode() & 0o777, 0o600);
    let names = |path: &Path| seen(path).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&there.there("")), [PathBuf::from("y"), "z".into()]);
    assert_eq!(names(there.here.path()), [PathBuf::from("x"), "y".into()]);
}

#[test]
fn globs_exclusions_and_a_dry_run() {
    let there = There::new();
    for name in ["a.log", "b.log", "c.txt", ".hidden.log"] {
        fs::write(there.there(name), name).unwrap();
    }
    let names =
        |path: &Path| -> Vec<PathBuf> { seen(path).into_iter().map(|(name, _)| name).collect() };
    let here = there.here.path();
    there.files("get", &[&there.there("*.log"), here], &["--dry-run"]).ok();
    assert!(names(here).is_empty());
    there.files("get", &[&there.there("*.log"), here], &[]).ok();
    assert_eq!(names(here), [PathBuf::from("a.log"), "b.log".into()]);
    there.files("get", &[&there.there("*.none"), here], &[]).fails(1, "files.not_found");
    plant(&there.here("tree"));
    let more = ["-r", "--exclude", "b c", "--exclude", "a/large"];
    there.files("put", &[&there.here("tree"), &there.there("")], &more).ok();
    let put = names(&there.there("tree"));
    assert!(put.contains(&"a/middle".into()), "{put:?}");
    assert!(!put.contains(&"a/b c".into()) && !put.contains(&"a/large".into()), "{put:?}");
    there.files("put", &[&there.here("tree"), &there.there("")], &[]).fails(1, "files.kind");
    there.files("get", &[&there.there("tree"), here], &[]).fails(1, "files.kind");
}

#[test]
fn files_alone_are_counted_and_a_dry_run_counts_the_same() {
    let there = There::new();
    let tree = there.here("tree");
    plant(&tree);
    let (to, back) = (there.there("to"), there.here("back"));
    let both = |verb: &str, paths: &[&Path]| {
        let dry = there.files(verb, paths, &["-r", "--json", "--dry-run"]).ok().json_lines();
        let done = there.files(verb, paths, &["-r", "--json"]).ok().json_lines();
        let (dry, done) = (dry.last().unwrap().clone(), done.last().unwrap().clone());
        assert_eq!((&dry["kind"], &dry["dry_run"]), (&"transfer".into(), &true.into()));
        assert_eq!(done["kind"], "transfer");
        for key in ["files", "bytes", "skipped", "failed"] {
            assert_eq!(dry[key], done[key], "{key} of {verb}: {dry} {done}");
        }
        assert_eq!((&done["missing"], &done["left"]), (&0.into(), &serde_json::json!([])));
        (done["files"].as_u64().unwrap(), done["skipped"].as_u64().unwrap())
    };
    assert_eq!(both("put", &[&tree, &to]), (5, 0));
    assert_eq!(both("get", &[&to, &back]), (5, 0));
    // What is there already is counted as such by both.
    fs::write(tree.join("new"), "new").unwrap();
    assert_eq!(both("put", &[&tree.join("."), &to]), (1, 5));
    fs::write(there.here("f1"), "1").unwrap();
    fs::write(there.here("f2"), "2").unwrap();
    let file = [there.here("f1"), there.here("f2"), to.join("one")];
    let file: Vec<&Path> = file.iter().map(PathBuf::as_path).collect();
    there.files("put", &file, &[]).fails(1, "files.kind").says("is a file there");
}

#[test]
fn a_thousand_small_files_go_and_come() {
    let there = There::new();
    let tree = there.here("tree");
    for directory in 0..20 {
        fs::create_dir_all(tree.join(format!("d{directory}"))).unwrap();
        for file in 0..60 {
            fs::write(tree.join(format!("d{directory}/f{file}")), content(file * 7)).unwrap();
        }
    }
    there.files("put", &[&tree, &there.there("")], &["-r"]).ok();
    assert_eq!(seen(&there.there("tree")), seen(&tree));
    there.files("get", &[&there.there("tree"), &there.here("back")], &["-r"]).ok();
    assert_eq!(seen(&there.here("back")), seen(&tree));
}

/// The last piece of each is of another length, also of those that fit into a reply with no room to spare.
#[test]
fn files_of_every_size_come_whole() {
    let there = There::new();
    let bytes = content(300_000);
    let sizes = (15_900..17_000).chain(261_080..261_130);
    for size in sizes.clone() {
        fs::write(there.there(&size.to_string()), &bytes[..size]).unwrap();
    }
    let here = there.here("got");
    there.files("get", &[&there.there(""), &here], &["-r"]).ok();
    for size in sizes {
        let came = fs::read(here.join(size.to_string())).unwrap();
        assert!(came == bytes[..size], "{size}");
    }
    let again = there.files("put", &[&here.join("."), &there.there("")], &["-r", "--verify"]);
    again.ok().says("1150 left as they are");
}

#[test]
fn what_one_side_can_not_read_or_write_is_told_and_stops_no_other() {
    let there = There::on(Sshd::with().read_only().start(), &[]);
    fs::write(there.here("x"), "x").unwrap();
    let failed = there.files("put", &[&there.here("x"), &there.there("")], &[]);
    failed.exits(1).says("files.denied");
    assert!(seen(&there.there("")).is_empty());
    fs::write(there.there("y"), "y").unwrap();
    // A directory here has the name: that one fails, the other comes.
    fs::create_dir_all(there.here("y/full")).unwrap();
    fs::write(there.there("z"), "z").unwrap();
    let got = there.files("get", &[&there.there("y"), &there.there("z"), there.here.path()], &[]);
    got.exits(1).says("1 of 2 files done");
    assert_eq!(fs::read(there.here("z")).unwrap(), b"z");
}

#[test]
fn a_link_that_is_got_keeps_its_own_name() {
    let there = There::new();
    for name in ["a", "b"] {
        fs::create_dir(there.there(name)).unwrap();
        fs::write(there.there(name).join("x.conf"), name).unwrap();
        symlink(format!("{name}/x.conf"), there.there(&format!("l{name}"))).unwrap();
    }
    symlink("b", there.there("cur")).unwrap();
    fs::create_dir(there.here("got")).unwrap();
    there.files("get", &[&there.there("l*"), &there.here("got")], &[]).ok();
    there.files("get", &[&there.there("cur"), &there.here("got")], &["-r"]).ok();
    for (name, content) in [("la", "a"), ("lb", "b"), ("cur/x.conf", "b")] {
        assert_eq!(fs::read_to_string(there.here("got").join(name)).unwrap(), content, "{name}");
    }
    assert_eq!(fs::read_dir(there.here("got")).unwrap().count(), 3);
}
