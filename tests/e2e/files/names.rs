//! Names that come to lead elsewhere between the question and the act: nothing is read or written there.

use std::{fs, path::Path};

use sgw::domain::sftp::Call;

use super::{There, odd::Odd};
use crate::support::{
    Running,
    sftp::{Tree, Turn},
};

/// As soon as something was resolved below it `/srv/a` is a link to `/srv/b`.
fn turned() -> impl FnMut(&Call, &mut Tree) -> Turn {
    let mut resolved = false;
    move |call, tree| {
        if resolved {
            tree.link("/srv/a", "/srv/b");
        }
        // What is written is looked at before.
        resolved |= matches!(call, Call::Realpath { path }
            if path.starts_with(b"/srv/a") && tree.resolve(path, true).is_ok());
        Turn::Honest
    }
}

fn filled() -> Odd {
    let odd = Odd::new();
    odd.server.tree(|tree| {
        for at in ["a", "b"] {
            tree.file(format!("/srv/{at}/file"), at).file(format!("/srv/{at}/deep/file"), at);
        }
        tree.directory("/srv/b/only");
    });
    odd
}

#[test]
fn a_directory_that_becomes_a_link_is_followed_by_no_verb() {
    let odd = filled();
    let local = odd.sgw.write_private("local", b"mine");
    let local = local.to_str().unwrap();
    let got = odd.sgw.user_home().join("got");
    let got = got.to_str().unwrap();
    let before = odd.server.tree(|tree| tree.below("/srv/b"));
    let verbs: [&[&str]; 18] = [
        &["read", "/srv/a/file"],
        &["tail", "/srv/a/file"],
        &["sum", "/srv/a/file"],
        &["stat", "/srv/a/file"],
        &["ls", "/srv/a"],
        &["ls", "-R", "/srv/a/deep"],
        &["df", "/srv/a/deep"],
        &["write", "/srv/a/file"],
        &["write", "--append", "/srv/a/file"],
        &["write", "--no-clobber", "/srv/a/new"],
        &["write", "--mkdir", "/srv/a/x/y/new"],
        &["mkdir", "-p", "/srv/a/x/y"],
        &["mkdir", "/srv/a/x"],
        &["mv", "/srv/a/file", "/srv/a/moved"],
        &["chmod", "600", "/srv/a/file"],
        &["ln", "-s", "x", "/srv/a/link"],
        &["get", "/srv/a/file", got],
        &["put", local, "/srv/a/put"],
    ];
    for words in verbs {
        // A directory again.
        odd.server.follows(|_, _| Turn::Honest);
        odd.server.tree(|tree| _ = tree.unlink("/srv/a").directory("/srv/a"));
        odd.server.follows(turned());
        let outcome = match words[0] {
            "write" => odd.writes(&words[1..], b"mine"),
            verb => odd.files(verb, &words[1..]),
        };
        assert_ne!(outcome.code(), 0, "{words:?}: {outcome:?}");
        assert!(!outcome.stdout().contains('b'), "{words:?} read there: {outcome:?}");
        let told = ["files.changed", "files.kind"].map(|code| outcome.stderr().contains(code));
        assert!(told.contains(&true), "{words:?}: {outcome:?}");
        assert_eq!(odd.server.tree(|tree| tree.below("/srv/b")), before, "{words:?}");
        assert_eq!(odd.content("/srv/b/file").unwrap(), b"b", "{words:?}");
        let mode = odd.server.tree(|tree| tree.mode("/srv/b/file"));
        assert_eq!(mode, Some(0o644), "{words:?}");
    }
    odd.serves_on();
}

#[test]
fn what_is_removed_with_all_that_is_in_it_is_what_a_person_said_yes_to() {
    for words in [&["-r", "/srv/a/deep"][..], &["/srv/a/file"]] {
        let odd = filled();
        let all = [&["--no-wait", "--json"], words].concat();
        let request = odd.files("rm", &all).fails(75, "approval.pending").waits_on();
        odd.sgw.operator(["approve", &request, "--yes"]).ok();
        odd.server.tree(|tree| _ = tree.link("/srv/a", "/srv/b"));
        odd.sgw.agent(["wait", &request]).fails(1, "files.changed");
        assert_eq!(odd.content("/srv/b/file").unwrap(), b"b");
        assert_eq!(odd.content("/srv/b/deep/file").unwrap(), b"b");
    }
}

/// Calls on one account at once, one of which turns a name.
#[test]
fn a_name_that_sgw_itself_turns_never_leads_a_read_astray() {
    let there = There::new();
    for at in ["plain", "secret"] {
        fs::create_dir(there.at(at)).unwrap();
        fs::write(there.at(at).join("file"), at).unwrap();
    }
    let own = format!(
        "version = 1\n[[file]]\nid = \"own.secret\"\ndecision = \"approve\"\n\
         direction = \"read\"\npath = [\"{}\"]\nreason = \"secret\"\n",
        there.text("secret/file")
    );
    let own = there.sgw.write_private("own.toml", own);
    there.sgw.operator(["policy", "accept", own.to_str().unwrap(), "--yes", "--json"]).ok();
    let [file, plain, away, gone] = ["plain/file", "plain", "away", "gone"].map(|n| there.text(n));
    for _ in 0..4 {
        // Made by somebody else: sgw asks about a link to what holds this.
        std::os::unix::fs::symlink("secret", there.at("link")).unwrap();
        for turn in [
            there.words("mv", &[&plain, &away]),
            there.words("mv", &[&there.text("link"), &plain]),
            there.words("mv", &["-f", &plain, &gone]),
            there.words("mv", &[&away, &plain]),
        ] {
            let read = || there.sgw.start(there.words("read", &["--no-ask", &file]));
            let (before, turning, after) = (read(), there.sgw.start(&turn), read());
            turning.ends().ok();
            for read in [before, after].map(Running::ends) {
                assert!(["", "plain"].contains(&read.stdout().as_str()), "{read:?}");
            }
        }
        there.files("read", &[&file]).ok().prints("plain");
    }
}

#[test]
fn of_two_that_change_one_file_at_once_one_is_told() {
    let there = There::new();
    let path = there.has("counter", "0");
    let text = path.to_str().unwrap();
    for round in 0..4 {
        let sum = super::sum(Path::new(text));
        let words = there.words("write", &["--if-sum", &sum, text]);
        let mut both: Vec<_> = (0..3).map(|_| there.sgw.start(&words)).collect();
        for (number, one) in both.iter_mut().enumerate() {
            one.try_write(format!("{round} {number}").as_bytes());
        }
        both.iter_mut().for_each(Running::close_stdin);
        let ended: Vec<_> = both.into_iter().map(Running::ends).collect();
        let won: Vec<_> = ended.iter().filter(|one| one.code() == 0).collect();
        assert_eq!(won.len(), 1, "{ended:?}");
        for lost in ended.iter().filter(|one| one.code() != 0) {
            assert!(lost.stderr().contains("files.changed"), "{lost:?}");
        }
        let won = ended.iter().position(|one| one.code() == 0).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{round} {won}"));
    }
    assert_eq!(there.names(), ["counter"]);
}
