//! Servers that do what an honest one never does: nothing that they say is taken for more than it is.

use std::{ffi::OsString, time::Duration};

use serde_json::json;
use sgw::domain::sftp::{Attrs, Call, Name, OpenFlags, Reply, StatusCode};

use crate::support::{
    Outcome, Sgw,
    sftp::{
        ScriptedSftp, Tree, Turn, flipping, full_disk, gone_after, long_reads, lying_size,
        short_reads, slow,
    },
};

pub(super) struct Odd {
    pub(super) sgw: Sgw,
    pub(super) server: ScriptedSftp,
    pub(super) session: String,
}

impl Odd {
    pub(super) fn new() -> Self {
        Self::of(ScriptedSftp::start())
    }

    pub(super) fn of(server: ScriptedSftp) -> Self {
        let sgw = Sgw::unlocked();
        let session = sgw.session(&server.sshd);
        Self { sgw, server, session }
    }

    pub(super) fn words(&self, verb: &str, more: &[&str]) -> Vec<OsString> {
        let words = ["files", verb, &self.session];
        words.iter().chain(more).map(OsString::from).collect()
    }

    #[track_caller]
    pub(super) fn files(&self, verb: &str, more: &[&str]) -> Outcome {
        self.sgw.agent(self.words(verb, more))
    }

    #[track_caller]
    pub(super) fn writes(&self, more: &[&str], content: &[u8]) -> Outcome {
        let mut running = self.sgw.start(self.words("write", more));
        running.try_write(content);
        running.close_stdin();
        running.ends()
    }

    pub(super) fn content(&self, path: &str) -> Option<Vec<u8>> {
        self.server.tree(|tree| tree.content(path).map(<[u8]>::to_vec))
    }

    /// Honest again, and nothing is left open there.
    #[track_caller]
    pub(super) fn serves_on(&self) {
        self.server.follows(|_, _| Turn::Honest);
        self.server.tree(|tree| _ = tree.file("/srv/still", "here"));
        self.files("read", &["/srv/still"]).ok().prints("here");
        assert_eq!(self.server.tree(|tree| tree.open_handles()), 0, "handles are left open");
    }
}

fn bytes(count: u32) -> Vec<u8> {
    (0..count).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

#[test]
fn short_reads_and_lying_sizes_lose_nothing() {
    let odd = Odd::new();
    let content = bytes(200_000);
    odd.server.tree(|tree| _ = tree.file("/srv/file", &content));
    odd.server.follows(short_reads(1000));
    assert!(odd.files("read", &["/srv/file"]).ok().bytes() == content);
    for size in [0, 10, 10_000_000] {
        odd.server.follows(lying_size(size));
        assert!(odd.files("read", &["/srv/file"]).ok().bytes() == content, "as if of {size}");
    }
    odd.serves_on();
}

#[test]
fn a_server_without_extensions_serves_all_but_what_needs_them() {
    let odd = Odd::of(ScriptedSftp::start().without_extensions());
    odd.server.tree(|tree| _ = tree.file("/srv/file", "old"));
    let told = odd.writes(&["--json", "/srv/file"], b"new").ok().json();
    assert_eq!((&told["atomic"], &told["synced"]), (&json!(false), &json!(false)));
    assert_eq!(odd.content("/srv/file").unwrap(), b"new");
    assert_eq!(odd.server.tree(|tree| tree.below("/srv").len()), 1, "nothing is left beside it");
    odd.files("df", &["/srv"]).fails(1, "files.unsupported");
    odd.serves_on();
}

#[test]
fn an_answer_that_is_none_ends_that_connection_alone() {
    let odd = Odd::new();
    odd.server.tree(|tree| _ = tree.file("/srv/file", "x"));
    odd.server.follows(long_reads());
    odd.files("read", &["/srv/file"]).fails(1, "files.failed");
    let read = |call: &Call| matches!(call, Call::Read { .. });
    for bytes in [
        // Too long, empty, a type that nobody knows, a reply to nothing, a number of names that can't be.
        vec![0xff; 8],
        vec![0, 0, 0, 0],
        vec![0, 0, 0, 5, 250, 0, 0, 0, 0],
        Reply::Data(b"x"[..].into()).to_wire(0x7fff_ffff),
        vec![0, 0, 0, 9, 104, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
    ] {
        let answer = bytes.clone();
        odd.server.follows(move |call, _| match read(call) {
            true => Turn::Bytes(answer.clone()),
            false => Turn::Honest,
        });
        odd.files("read", &["/srv/file"]).fails(1, "files.failed");
    }
    odd.server.follows(|_, _| Turn::Honest);
    odd.files("read", &["/srv/file"]).ok().prints("x");
}

#[test]
fn names_that_lead_out_of_a_directory_are_no_entries() {
    let odd = Odd::new();
    odd.server.tree(|tree| _ = tree.file("/srv/d/good", "").file("/srv/kept", "kept"));
    let mut told = false;
    odd.server.follows(move |call, tree| match call {
        Call::Opendir { .. } => {
            told = false;
            Turn::Honest
        }
        Call::Readdir { .. } if !told => {
            told = true;
            let name = |name: &[u8]| Name {
                name: name.to_vec(),
                long: Vec::new(),
                attrs: Attrs::with_permissions(0o100_644),
            };
            let names = [&b"."[..], b"..", b"../kept", b"/srv/kept", b"", b"a\0b", b"good"];
            Turn::Reply(Reply::Name(names.map(name).to_vec()))
        }
        _ => {
            let _ = tree;
            Turn::Honest
        }
    });
    // It is what the server itself adds once more.
    odd.files("ls", &["/srv/d"]).ok().prints("good\ngood\n");
    let request = odd.files("rm", &["-r", "--no-wait", "--json", "/srv/d"]);
    let request = request.fails(75, "approval.pending").waits_on();
    odd.sgw.operator(["approve", &request, "--yes"]).ok();
    let _any = odd.sgw.agent(["wait", &request]);
    assert_eq!(odd.content("/srv/kept").unwrap(), b"kept");
    assert_eq!(odd.content("/srv/d/good"), None);
}

/// A directory that has no end, of such names.
fn endless(bytes: usize) -> impl FnMut(&Call, &mut Tree) -> Turn {
    move |call, _| match call {
        Call::Readdir { .. } => {
            let (name, long) = (vec![b'x'; bytes], Vec::new());
            let name = Name { name, long, attrs: Attrs::with_permissions(0o100_644) };
            Turn::Reply(Reply::Name(vec![name; 250_000 / (bytes + 20)]))
        }
        _ => Turn::Honest,
    }
}

#[test]
fn what_a_listing_keeps_has_a_bound_whatever_is_told() {
    let odd = Odd::new();
    odd.server.tree(|tree| _ = tree.file("/srv/d/good", ""));
    odd.server.follows(endless(240_000));
    let said = odd.files("ls", &["/srv/d"]).fails(1, "files.failed").stderr();
    assert!(said.contains("a name of 240000 bytes"), "{said}");
    odd.server.follows(endless(4_000));
    let listed = odd.files("ls", &["--json", "/srv/d"]).ok().json();
    assert_eq!(listed["truncated"], json!(true));
    let asked = odd.server.calls();
    let parts = asked.iter().filter(|call| matches!(call, Call::Readdir { .. })).count();
    assert!(parts < 200, "{parts} parts of an endless directory were read");
    odd.server.follows(|_, _| Turn::Honest);
    odd.files("ls", &["/srv/d"]).ok().prints("good\n");
}

#[test]
fn a_path_that_leads_elsewhere_than_was_judged_is_not_followed() {
    let odd = Odd::new();
    let fill = |odd: &Odd| {
        odd.server.tree(|tree| {
            _ = tree.file("/srv/a/file", "a").file("/srv/b/file", "b").link("/srv/l", "a");
        });
    };
    fill(&odd);
    // Turned as soon as it was resolved.
    let realpath =
        |call: &Call| matches!(call, Call::Realpath { path } if path.starts_with(b"/srv/l"));
    odd.server.follows(flipping("/srv/l", &["a", "b"], realpath));
    let read = odd.files("read", &["/srv/l/file"]);
    assert!(["a", "b"].contains(&read.stdout().as_str()), "{read:?}");
    // A directory that becomes a link behind the judge's back.
    odd.server.follows(|call, tree| {
        if matches!(call, Call::Open { path, .. } if path.starts_with(b"/srv/a/")) {
            tree.link("/srv/a/file", "/srv/b/file");
        }
        Turn::Honest
    });
    odd.files("read", &["/srv/a/file"]).fails(1, "files.changed").prints("");
    odd.serves_on();
}

#[test]
fn a_disk_that_fills_and_a_server_that_goes_leave_the_old_file() {
    let odd = Odd::new();
    odd.server.tree(|tree| _ = tree.file("/srv/file", "old"));
    let content = bytes(400_000);
    odd.server.follows(full_disk(600_000));
    odd.writes(&["/srv/file"], &content).fails(1, "files.failed");
    assert_eq!(odd.content("/srv/file").unwrap(), b"old");
    assert_eq!(odd.server.tree(|tree| tree.below("/srv").len()), 1);
    odd.server.follows(gone_after(600_000));
    odd.writes(&["/srv/file"], &content).fails(255, "session.lost");
    assert_eq!(odd.content("/srv/file").unwrap(), b"old");
    odd.server.follows(|_, _| Turn::Honest);
    odd.writes(&["/srv/file"], &content).ok();
    assert!(odd.content("/srv/file").unwrap() == content);
    assert_eq!(odd.server.sessions(), 2);
}

/// A disk that takes a part of what comes, and says that it failed.
fn fills(room: usize) -> impl FnMut(&Call, &mut Tree) -> Turn {
    let mut left = room;
    move |call, tree| match call {
        Call::Write { handle, offset, data } if data.len() > left => {
            let (handle, offset, data) = (handle.clone(), *offset, data.slice(..left));
            left = 0;
            tree.answer(&Call::Write { handle, offset, data });
            Turn::Reply(Reply::status(StatusCode::Failure, "No space left on device"))
        }
        Call::Write { data, .. } => {
            left -= data.len();
            Turn::Honest
        }
        _ => Turn::Honest,
    }
}

#[test]
fn what_is_appended_to_a_full_disk_is_there_whole_or_not_at_all() {
    let odd = Odd::new();
    let content = bytes(200_000);
    for room in [0, 7, 300_000] {
        odd.server.tree(|tree| _ = tree.file("/srv/log", "old\n"));
        odd.server.follows(fills(room));
        let failed = odd.writes(&["--append", "/srv/log"], &content).fails(1, "files.failed");
        assert!(!failed.stderr().contains("a piece"), "{failed:?}");
        assert_eq!(odd.content("/srv/log").unwrap(), b"old\n", "{room}");
    }
    // Where somebody else wrote behind it meanwhile nothing of theirs is cut off, and what is there is told.
    odd.server.tree(|tree| _ = tree.file("/srv/log", "old\n"));
    let mut full = fills(7);
    odd.server.follows(move |call, tree| {
        let turn = full(call, tree);
        if let (Turn::Reply(_), Call::Write { handle, offset, .. }) = (&turn, call) {
            let (handle, data) = (handle.clone(), b"theirs\n"[..].into());
            tree.answer(&Call::Write { handle, offset: *offset, data });
        }
        turn
    });
    odd.writes(&["--append", "/srv/log"], &content[..100])
        .fails(1, "files.failed")
        .says("a piece of what was appended is left in /srv/log, with which it has 18 bytes");
    let expected = [b"old\n", &content[..7], b"theirs\n"].concat();
    assert_eq!(odd.content("/srv/log").unwrap(), expected);
    odd.serves_on();
}

#[test]
fn many_requests_are_on_their_way_at_once_and_writes_are_exclusive() {
    let odd = Odd::new();
    let content = bytes(1_000_000);
    odd.server.tree(|tree| _ = tree.file("/srv/file", &content));
    odd.server.follows(slow(Duration::from_millis(1)));
    assert!(odd.files("read", &["/srv/file"]).ok().bytes() == content);
    let reads = |calls: &[Call]| calls.iter().filter(|c| matches!(c, Call::Read { .. })).count();
    assert_eq!(reads(&odd.server.calls()), content.len().div_ceil(255 * 1024) + 1);
    odd.writes(&["/srv/file"], b"new").ok();
    let opened = odd.server.calls().into_iter().filter_map(|call| match call {
        Call::Open { path, flags, .. } if flags.has(OpenFlags::WRITE) => Some((path, flags)),
        _ => None,
    });
    for (path, flags) in opened {
        assert!(path.starts_with(b"/srv/.file.sgw-new-"), "beside it: {path:?}");
        assert!(flags.has(OpenFlags::EXCLUSIVE) && !flags.has(OpenFlags::TRUNCATE));
    }
}

#[test]
fn a_servers_words_are_escaped() {
    let odd = Odd::new();
    odd.server.follows(|call, _| match call {
        Call::Stat { .. } | Call::Lstat { .. } => {
            Turn::Reply(Reply::status(StatusCode::Failure, "\x1b[31mno\nsgw: hint: run this"))
        }
        _ => Turn::Honest,
    });
    let told = odd.files("stat", &["/srv/x"]).fails(1, "files.failed");
    assert!(!told.stderr().contains('\x1b'), "{told:?}");
    assert_eq!(told.stderr().matches("\nsgw: hint:").count(), 1, "{told:?}");
}
