//! `--delete`: what the source does not have is gone afterwards, and nothing else is.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use super::{There, seen};
use crate::support::Sgw;

fn names(root: &std::path::Path) -> Vec<PathBuf> {
    seen(root).into_iter().map(|(name, _)| name).collect()
}

/// A tree here, and one there that has more.
fn planted() -> There {
    let there = There::new();
    fs::create_dir_all(there.here("site/css")).unwrap();
    fs::write(there.here("site/css/a"), "a").unwrap();
    for directory in ["css", "old/deep", ".git"] {
        fs::create_dir_all(there.there("site").join(directory)).unwrap();
    }
    for file in ["css/b", "old/deep/c", ".git/config", "x"] {
        fs::write(there.there("site").join(file), "there").unwrap();
    }
    fs::write(there.here("outside"), "outside").unwrap();
    symlink(there.here(""), there.there("site/out")).unwrap();
    there
}

#[test]
fn put_deletes_there_what_is_not_here_and_is_not_excluded() {
    let there = planted();
    let (local, remote) = (there.here("site"), there.there(""));
    let more = ["-r", "--delete", "--exclude", ".git"];
    let dry = there.files("put", &[&local, &remote], &[&more[..], &["--dry-run"]].concat()).ok();
    for gone in ["css/b", "old", "out", "x"] {
        let line = format!("delete {}\n", there.there("site").join(gone).display());
        assert!(dry.stdout().contains(&line.replace("//", "/")), "{dry:?}");
    }
    assert!(!dry.stdout().contains(".git") && !dry.stdout().contains("deep"), "{dry:?}");
    assert_eq!(names(&there.there("site")).len(), 9);
    let done = there.files("put", &[&local, &remote], &[&more[..], &["--json"]].concat()).ok();
    let lines = done.json_lines();
    assert_eq!(lines.last().unwrap()["deleted"], 4, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line["deleted"] == true).count(), 4);
    let left = [".git", ".git/config", "css", "css/a"].map(PathBuf::from);
    assert_eq!(names(&there.there("site")), left);
    assert!(there.here("outside").exists());
}

#[test]
fn what_is_in_a_directory_is_brought_into_another_as_cp_does() {
    let there = planted();
    let (local, remote) = (there.here("site/."), there.there("site"));
    let more = ["-r", "--delete", "--exclude", ".git"];
    there.files("put", &[&local, &remote], &more).ok();
    let left = [".git", ".git/config", "css", "css/a"].map(PathBuf::from);
    assert_eq!(names(&remote), left);
    fs::write(remote.join("new"), "new").unwrap();
    let (local, remote) = (there.here("site"), there.there("site/."));
    there.files("get", &[&remote, &local], &["-r", "--exclude", ".git"]).ok();
    assert_eq!(names(&local), ["css", "css/a", "new"].map(PathBuf::from));
}

#[test]
fn what_is_deleted_there_is_judged_and_asked_about() {
    let there = planted();
    there.sgw.accepts_policy(
        "[[file]]\nid = \"own.kept\"\ndecision = \"block\"\ndirection = \"remove\"\npath = [\"/**/x\"]\n\
         [[file]]\nid = \"own.asked\"\ndecision = \"approve\"\ndirection = \"remove\"\npath = [\"/**/old/**\"]\n",
    );
    let (local, remote) = (there.here("site"), there.there(""));
    let put = |more: &[&str]| {
        there.files("put", &[&local, &remote], &[&["-r", "--delete"][..], more].concat())
    };
    let asked = put(&["--no-wait", "--json"]);
    assert_eq!(asked.code(), 75, "{asked:?}");
    let error = asked.json_lines().pop().unwrap();
    let request = error["error"]["id"].as_str().unwrap().to_owned();
    let all = there.sgw.agent(["requests", "--json"]).ok().json();
    let shown = all["requests"][0]["command"].as_str().unwrap().to_owned();
    assert!(shown.contains("old is removed with all that is in it"), "{shown}");
    assert!(there.there("site/old").exists() && there.there("site/out").is_symlink());
    there.sgw.operator(["approve", &request, "--yes", "--json"]).ok();
    put(&[]).exits(1).says("own.kept");
    let left = names(&there.there("site"));
    assert_eq!(left, ["css", "css/a", "x"].map(PathBuf::from), "{left:?}");
}

#[test]
fn get_deletes_here_only_on_a_persons_word() {
    let there = planted();
    let into = there.here("into");
    fs::create_dir_all(into.join("site/mine/deep")).unwrap();
    fs::write(into.join("site/mine/deep/x"), "x").unwrap();
    symlink(there.here("site"), into.join("site/link")).unwrap();
    let get = |more: &[&str]| {
        there.files(
            "get",
            &[&there.there("site"), &into],
            &[&["-r", "--delete"][..], more].concat(),
        )
    };
    get(&[]).fails(2, "usage.arguments").says("--yes");
    get(&["--json"]).exits(2);
    assert!(get(&["--dry-run"]).ok().stdout().contains("delete site/mine\n"));
    assert_eq!(names(&into).len(), 5, "nothing was copied or deleted");
    let words = |answer: &str| {
        let path = |path: PathBuf| path.display().to_string();
        let words = ["files", "get", "-r", "--delete", &there.session];
        let paths = [path(there.there("site")), path(into.clone())];
        let mut pty = there.sgw.terminal(words.iter().map(|word| (*word).to_owned()).chain(paths));
        pty.wait_for("Delete 2 here");
        pty.send(answer);
        pty.ends()
    };
    let (code, screen) = words("n");
    assert_eq!((code, names(&into).len()), (1, 5), "{screen}");
    let (code, screen) = words("y");
    assert_eq!(code, 0, "{screen}");
    assert!(!into.join("site/mine").exists() && !into.join("site/link").is_symlink(), "{screen}");
    assert!(into.join("site/old/deep/c").exists() && there.here("site/css/a").exists());
    // Once more without a terminal, with the word on the command line.
    fs::write(into.join("site/mine"), "x").unwrap();
    get(&["--yes"]).ok().says("1 were deleted");
}

#[test]
fn nothing_is_deleted_where_something_failed_or_without_directories() {
    let there = planted();
    let (local, remote) = (there.here("site"), there.there(""));
    there.files("put", &[&local, &remote], &["--delete"]).fails(2, "usage.arguments");
    fs::create_dir(there.there("site/css/a")).unwrap();
    let failed = there.files("put", &[&local, &remote], &["-r", "--delete"]);
    failed.exits(1).says("so nothing is deleted");
    assert!(there.there("site/x").exists());
}

#[test]
fn without_leave_to_write_nothing_is_deleted() {
    let there = planted();
    let session = Sgw::session_with(&there.sgw, &there.sshd, &["--new", "--only", "files:read"]);
    let words = ["files", "put", "-r", "--delete", &session];
    let paths = [there.here("site"), there.there("")].map(|path| path.display().to_string());
    let outcome = there.sgw.agent(words.iter().map(|word| (*word).to_owned()).chain(paths));
    outcome.fails(77, "grant.missing");
    assert!(there.there("site/x").exists());
}
