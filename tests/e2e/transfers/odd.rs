//! Servers that lie: nothing is written outside of where it should go, and what came whole is told from what did not.

use std::{fs, os::unix::ffi::OsStrExt, path::Path};

use sgw::domain::sftp::{Attrs, Call, Reply};

use super::content;
use crate::support::{
    Outcome, Sgw,
    sftp::{ScriptedSftp, Turn, entry, long_reads, lying_size, short_reads},
};

struct There {
    server: ScriptedSftp,
    sgw: Sgw,
    session: String,
    here: tempfile::TempDir,
}

impl There {
    fn on(server: ScriptedSftp) -> Self {
        let sgw = Sgw::unlocked();
        let session = sgw.session(&server.sshd);
        let here = tempfile::Builder::new().prefix("here").tempdir_in("/tmp").unwrap();
        Self { server, sgw, session, here }
    }

    fn get(&self, remote: &str, local: &Path) -> Outcome {
        let local = local.to_str().unwrap();
        self.sgw.agent(["files", "get", "-r", &self.session, remote, local])
    }
}

fn count(path: &Path) -> usize {
    fs::read_dir(path).unwrap().count()
}

#[test]
fn short_reads_and_no_extensions_change_nothing_but_the_time() {
    let there = There::on(ScriptedSftp::start().without_extensions());
    let (large, small) = (content(700_000), content(50));
    there.server.tree(|tree| _ = tree.file("/srv/large", &large).file("/srv/small", &small));
    there.server.follows(short_reads(10_000));
    let here = there.here.path();
    there.get("/srv", &here.join("got")).ok();
    assert_eq!(fs::read(here.join("got/large")).unwrap(), large);
    assert_eq!(fs::read(here.join("got/small")).unwrap(), small);
    let got = here.join("got").display().to_string();
    let words = ["files", "put", "-r", &there.session, &got, "/srv"];
    there.sgw.agent(words).ok();
    // Over what is there, too, where nothing replaces at once.
    there.sgw.agent(words).ok();
    there.server.tree(|tree| {
        assert_eq!(tree.content("/srv/got/large"), Some(large.as_slice()));
        assert_eq!(tree.below("/srv/got").len(), 2);
        assert_eq!(tree.open_handles(), 0);
    });
}

#[test]
fn a_size_that_is_a_lie_is_told_and_nothing_has_the_name() {
    let there = There::on(ScriptedSftp::start());
    there.server.tree(|tree| _ = tree.file("/srv/x", content(300_000)));
    for size in [299_999, 300_001, 1 << 40] {
        there.server.follows(lying_size(size));
        there.get("/srv/x", there.here.path()).exits(1).says("files.changed");
        assert!(!there.here.path().join("x").exists(), "{size}");
    }
    there.server.follows(long_reads());
    let outcome = there.get("/srv/x", there.here.path());
    assert_ne!(outcome.code(), 0, "{outcome:?}");
    assert!(!there.here.path().join("x").exists());
}

#[test]
fn names_that_lead_elsewhere_are_no_names_and_odd_ones_are() {
    let there = There::on(ScriptedSftp::start());
    let odd: &[u8] = b"/srv/d/\xff\xfe\n\x1b[31m";
    there.server.tree(|tree| _ = tree.file(odd, "odd").file("/srv/d/plain", "plain"));
    there.server.follows(|call, tree| {
        let Call::Readdir { .. } = call else { return Turn::Honest };
        let Reply::Name(mut names) = tree.answer(call) else { return Turn::Honest };
        let size = Attrs { size: Some(1), permissions: Some(0o100_644), ..Attrs::default() };
        for name in [&b"../escaped"[..], b"/tmp/escaped", b"..", b"a/b", b""] {
            names.push(entry(name, size.clone()));
        }
        Turn::Reply(Reply::Name(names))
    });
    let here = there.here.path().join("in");
    fs::create_dir(&here).unwrap();
    there.get("/srv/d", &here).ok();
    let got = here.join("d");
    assert_eq!(fs::read(got.join("plain")).unwrap(), b"plain");
    assert_eq!(fs::read(got.join(std::ffi::OsStr::from_bytes(&odd[7..]))).unwrap(), b"odd");
    assert_eq!((count(&got), count(&here), count(there.here.path())), (2, 1, 1));
}

#[test]
fn a_link_of_the_server_leads_no_file_out_of_where_it_goes() {
    let there = There::on(ScriptedSftp::start());
    let outside = there.here.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let target = outside.to_str().unwrap().to_owned();
    there.server.tree(|tree| {
        tree.link("/srv/d/out", &target).link("/srv/d/in", "x").file("/srv/d/x", "x");
    });
    let here = there.here.path().join("in");
    there.get("/srv/d", &here).ok().says("leads out of what is copied");
    assert!(here.join("out").symlink_metadata().is_err());
    assert_eq!(fs::read_link(here.join("in")).unwrap(), Path::new("x"));
    // A directory of the same name now: the link that is there is not gone through.
    std::os::unix::fs::symlink(&outside, here.join("sub")).unwrap();
    there.server.tree(|tree| _ = tree.file("/srv/e/sub/y", "y"));
    let into = there.here.path().join("in2");
    fs::create_dir(&into).unwrap();
    fs::create_dir(into.join("e")).unwrap();
    std::os::unix::fs::symlink(&outside, into.join("e/sub")).unwrap();
    assert_ne!(there.get("/srv/e", &into).code(), 0);
    assert_eq!(count(&outside), 0);
}

#[test]
fn a_file_that_turns_into_a_link_between_look_and_open_is_not_read() {
    let there = There::on(ScriptedSftp::start());
    there.server.tree(|tree| _ = tree.file("/srv/x", "harmless").file("/etc/shadow", "secret"));
    let mut opened = false;
    there.server.follows(move |call, tree| {
        if matches!(call, Call::Open { .. }) && !opened {
            opened = true;
            tree.link("/srv/x", "/etc/shadow");
        }
        Turn::Honest
    });
    there.get("/srv/x", there.here.path()).exits(1).says("leads elsewhere");
    assert_eq!(count(there.here.path()), 0);
    there.server.tree(|tree| assert_eq!(tree.open_handles(), 0));
}
