//! SFTP call by call: the codes that clients know, both names of what has two, what is open and how far, and
//! what goes on beside a question.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use sgw::domain::sftp::{Attrs, Call, Extended, OpenFlags, Reply, StatusCode};

use super::{
    Both, noise, program,
    raw::{Raw, new_file, open},
    way,
};
use crate::support::{
    Sgw,
    sftp::{ScriptedSftp, Turn},
};

fn raw(both: &Both) -> Raw {
    Raw::start(&mut both.ssh(&both.through, &["-s", "web1", "sftp"]))
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn bytes(path: &Path) -> Vec<u8> {
    text(path).into_bytes()
}

fn extended(name: &str, fields: &[u8]) -> Call {
    let (name, fields) = (name.into(), Bytes::copy_from_slice(fields));
    Call::Extended(Extended::Other { name, fields })
}

/// A person says yes to what waits.
fn yes(sgw: &Sgw) {
    let mut id = None;
    crate::support::eventually("it is asked about", || {
        let waits = sgw.operator(["requests", "--json"]).ok().json();
        id = waits["requests"][0]["id"].as_str().map(str::to_owned);
        id.is_some()
    });
    sgw.operator(["approve", &id.unwrap(), "--yes", "--json"]).ok();
}

#[test]
fn each_refusal_has_the_code_that_clients_know_and_a_sentence() {
    let both = Both::new();
    let here = both.directory("here");
    fs::write(here.join("file"), "x").unwrap();
    let mut raw = raw(&both);
    let missing = bytes(&here.join("missing"));
    for call in [
        Call::Lstat { path: missing.clone() },
        Call::Stat { path: missing.clone() },
        open(&text(&here.join("missing")), OpenFlags::READ),
        Call::Opendir { path: missing.clone() },
        Call::Stat { path: bytes(&here.join("no/such/directory")) },
    ] {
        assert_eq!(raw.status(call.clone()).0, 2, "{call:?}");
    }
    for call in [
        open("/etc/shadow", OpenFlags::READ),
        Call::Setstat { path: b"/etc/passwd".to_vec(), attrs: Attrs::with_permissions(0o666) },
        Call::Remove { path: b"/etc/pam.conf".to_vec() },
        Call::Rename { from: b"/etc/ssh".to_vec(), to: bytes(&here.join("ssh")) },
    ] {
        let (code, said) = raw.status(call.clone());
        assert_eq!(code, 3, "{call:?} {said}");
        assert!(said.contains("the policy blocks it"), "{said}");
    }
    // What sgw does not know no server gets.
    for call in [
        extended("evil@example.org", b"\0\0\0\x04/etc"),
        extended("posix-rename@openssh.com.", b""),
        Call::Other { kind: 22, fields: Bytes::from_static(b"\0\0\0\0") },
    ] {
        let (code, said) = raw.status(call.clone());
        assert_eq!((code, said.contains("does not go through sgw")), (8, true), "{call:?} {said}");
    }
    let directory = bytes(&here);
    assert_eq!(raw.status(Call::Mkdir { path: directory, attrs: Attrs::default() }).0, 4);
    assert_eq!(raw.status(Call::Close { handle: b"none".to_vec() }).0, 4);
    assert_eq!(raw.status(open("", OpenFlags::READ)).0, 4);
    // It goes on as if nothing had been.
    let handle = raw.opens(&text(&here.join("file")), OpenFlags::READ);
    let read = Call::Read { handle: handle.clone(), offset: 0, length: 100 };
    assert_eq!(raw.call(read.clone()), Reply::Data(Bytes::from_static(b"x")));
    let ended = Call::Read { handle: handle.clone(), offset: 1, length: 100 };
    assert_eq!(raw.status(ended).0, 1);
    assert_eq!(raw.status(Call::Close { handle }).0, 0);
    assert_eq!(raw.status(read).0, 4, "it is closed");
    let known = |(name, _): &(Vec<u8>, Vec<u8>)| name == b"posix-rename@openssh.com";
    assert!(raw.extensions.iter().any(known), "{:?}", raw.extensions);
    assert_eq!(raw.ends(), 0);
}

#[test]
fn a_grant_to_read_alone_gets_permission_denied_for_all_that_changes() {
    let both = Both::granted(&["--only", "files:read"]);
    let here = both.directory("here");
    let file = here.join("file");
    fs::write(&file, "x").unwrap();
    let mut raw = raw(&both);
    let (path, other) = (bytes(&file), bytes(&here.join("other")));
    let changes = [
        open(&text(&here.join("new")), new_file()),
        open(&text(&file), OpenFlags::READ | OpenFlags::TRUNCATE),
        open(&text(&file), OpenFlags::READ | OpenFlags::WRITE),
        Call::Remove { path: path.clone() },
        Call::Mkdir { path: other.clone(), attrs: Attrs::default() },
        Call::Rename { from: path.clone(), to: other.clone() },
        Call::Symlink { holds: b"file".to_vec(), link: other.clone() },
        Call::Setstat { path: path.clone(), attrs: Attrs::with_permissions(0o600) },
        Call::Extended(Extended::Hardlink { from: path.clone(), to: other.clone() }),
        Call::Extended(Extended::PosixRename { from: path.clone(), to: other.clone() }),
        Call::Extended(Extended::Lsetstat {
            path: path.clone(),
            attrs: Attrs { times: Some((1, 1)), ..Attrs::default() },
        }),
    ];
    for call in changes {
        let (code, said) = raw.status(call.clone());
        assert_eq!(code, 3, "{call:?} {said}");
        assert!(said.contains("files:write"), "{said}");
    }
    let handle = raw.opens(&text(&file), OpenFlags::READ);
    let set = Call::Fsetstat { handle, attrs: Attrs { size: Some(0), ..Attrs::default() } };
    assert_eq!(raw.status(set).0, 3);
    assert_eq!(fs::read(&file).unwrap(), b"x");
    assert_eq!(fs::read_dir(&here).unwrap().count(), 1);
}

#[test]
fn a_hard_link_is_judged_at_both_names() {
    let both = Both::new();
    let here = both.directory("here");
    let (file, link) = (here.join("file"), here.join("link"));
    fs::write(&file, "x").unwrap();
    symlink("/etc/shadow", here.join("to-shadow")).unwrap();
    let mut raw = raw(&both);
    let hard = |from: &Path, to: &Path| {
        Call::Extended(Extended::Hardlink { from: bytes(from), to: bytes(to) })
    };
    for (from, to) in [
        (Path::new("/etc/shadow"), link.as_path()),
        (&here.join("to-shadow"), &link),
        (&file, Path::new("/etc/ld.so.preload")),
    ] {
        let (code, said) = raw.status(hard(from, to));
        assert_eq!(code, 3, "{said}");
        assert!(!link.exists());
    }
    assert_eq!(raw.status(hard(&file, &link)).0, 0);
    assert_eq!(fs::metadata(&file).unwrap().nlink(), 2);
    let intents = both.sgw.recorded("files.intent");
    assert!(intents.iter().any(|one| one["action"]["operation"]["do"] == "hard_link"));
}

#[test]
fn another_owner_is_asked_about_and_of_a_link_it_is_the_links_own() {
    let both = Both::new();
    let here = both.directory("here");
    let (file, link) = (here.join("file"), here.join("link"));
    fs::write(&file, "x").unwrap();
    symlink("file", &link).unwrap();
    let there = fs::metadata(&file).unwrap();
    let owner = Attrs { owner: Some((there.uid(), there.gid())), ..Attrs::default() };
    let mut raw = raw(&both);
    let id = raw.send(Call::Setstat { path: bytes(&file), attrs: owner.clone() });
    yes(&both.sgw);
    assert!(matches!(raw.reply(id), Reply::Status(status) if status.code == StatusCode::Ok));
    // Where nobody answers in time it is a refusal that says so.
    let times = Attrs { times: Some((1_000_000_000, 1_000_000_000)), ..Attrs::default() };
    let set = Call::Extended(Extended::Lsetstat { path: bytes(&link), attrs: times });
    assert_eq!(raw.status(set).0, 0);
    assert_eq!(fs::symlink_metadata(&link).unwrap().mtime(), 1_000_000_000);
    assert_ne!(fs::metadata(&file).unwrap().mtime(), 1_000_000_000);
    let set = Call::Setstat { path: bytes(&link), attrs: Attrs::with_permissions(0o640) };
    assert_eq!(raw.status(set).0, 0);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    let (code, said) = raw.status(Call::Setstat { path: bytes(&file), attrs: owner });
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("waits for the operator"), "{said}");
}

#[test]
fn a_link_is_not_made_to_what_is_blocked_however_its_words_lead_there() {
    let both = Both::new();
    let here = both.directory("here");
    let mut raw = raw(&both);
    let link = here.join("link");
    for holds in ["/etc/shadow", "../../../../../../etc/./shadow", "x/../../../../../etc/shadow"] {
        let call = Call::Symlink { holds: holds.into(), link: bytes(&link) };
        let (code, said) = raw.status(call);
        assert_eq!(code, 3, "{holds} {said}");
        assert!(said.contains("the policy blocks it"), "{said}");
    }
    assert!(fs::symlink_metadata(&link).is_err());
    let call = Call::Symlink { holds: b"beside".to_vec(), link: bytes(&link) };
    assert_eq!(raw.status(call).0, 0);
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("beside"));
}

const CAPS: &str = "\
[[file]]\nid = \"own.small\"\ndecision = \"block\"\npath = [\"**/capped/**\"]\nmax_size = 1000\n\
reason = \"only small files\"\nmatch = []\n";

#[test]
fn caps_hold_on_what_is_open_however_little_is_said_of_its_size() {
    let both = Both::new();
    both.sgw.accepts_policy(CAPS);
    let here = both.directory("capped");
    fs::write(here.join("large"), [7; 5000]).unwrap();
    let mut raw = raw(&both);
    let new = text(&here.join("new"));
    let handle = raw.opens(&new, new_file());
    let write = |offset, length| Call::Write {
        handle: handle.clone(),
        offset,
        data: Bytes::from(vec![1; length]),
    };
    assert_eq!(raw.status(write(0, 1000)).0, 0);
    let (code, said) = raw.status(write(1000, 1));
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("own.small"), "{said}");
    assert_eq!(raw.status(write(1 << 40, 1)).0, 3);
    let size = Attrs { size: Some(2000), ..Attrs::default() };
    assert_eq!(raw.status(Call::Fsetstat { handle: handle.clone(), attrs: size.clone() }).0, 3);
    assert_eq!(raw.status(Call::Setstat { path: new.clone().into(), attrs: size }).0, 3);
    assert_eq!(fs::metadata(&new).unwrap().len(), 1000);
    let large = here.join("large");
    let (path, attrs) = (text(&large).into(), Attrs::default());
    let (code, said) = raw.status(Call::Open { path, flags: OpenFlags::READ, attrs });
    assert_eq!(code, 3, "{said}");
    // One that grows when it is open.
    fs::write(&large, [7; 900]).unwrap();
    let grown = raw.opens(&text(&large), OpenFlags::READ);
    fs::write(&large, [7; 5000]).unwrap();
    let large = grown;
    let read = |offset| Call::Read { handle: large.clone(), offset, length: 600 };
    assert!(matches!(raw.call(read(0)), Reply::Data(data) if data.len() == 600));
    assert_eq!(raw.status(read(600)).0, 3);
    // Nor by way of the server's own copying.
    let copy = |length| {
        Call::Extended(Extended::CopyData {
            from: large.clone(),
            at: 0,
            length,
            to: handle.clone(),
            to_at: 0,
        })
    };
    assert_eq!((raw.status(copy(0)).0, raw.status(copy(1001)).0), (3, 3));
    assert_eq!(fs::metadata(&new).unwrap().len(), 1000);
}

#[test]
fn a_pipe_is_not_opened_and_holds_nobody_up() {
    let both = Both::new();
    let here = both.directory("pipes");
    let pipe = here.join("pipe");
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut raw = raw(&both);
    let attrs = Attrs::default();
    let (code, said) =
        raw.status(Call::Open { path: text(&pipe).into(), flags: OpenFlags::READ, attrs });
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("no ordinary file"), "{said}");
}

struct Odd {
    sgw: Sgw,
    server: ScriptedSftp,
    token: crate::support::Token,
    through: PathBuf,
}

impl Odd {
    fn new() -> Self {
        let (sgw, server) = (Sgw::unlocked(), ScriptedSftp::start());
        let only = ["--only", "files:read,files:write"];
        let (token, through) = way(&sgw, &server.sshd, &only);
        Self { sgw, server, token, through }
    }

    fn raw(&self) -> Raw {
        let words = ["-F", self.through.to_str().unwrap(), "-s", "web1", "sftp"];
        Raw::start(&mut program(&self.sgw, &self.token, "ssh", &words))
    }

    fn content(&self, path: &str) -> Option<Vec<u8>> {
        self.server.tree(|tree| tree.content(path).map(<[u8]>::to_vec))
    }
}

#[test]
fn what_leads_elsewhere_when_it_is_opened_is_neither_emptied_nor_made() {
    let odd = Odd::new();
    odd.server.tree(|tree| _ = tree.file("/srv/a/file", "a").file("/srv/kept", "kept"));
    let mut raw = odd.raw();
    // The name comes to lead to another file between the look and the open.
    odd.server.follows(|call, tree| {
        if matches!(call, Call::Open { .. }) {
            tree.link("/srv/a/file", "/srv/kept");
        }
        Turn::Honest
    });
    let (code, said) = raw.status(open("/srv/a/file", new_file()));
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("leads elsewhere"), "{said}");
    assert_eq!(odd.content("/srv/kept").unwrap(), b"kept");
    // And to one that is to be made.
    odd.server.follows(|call, tree| {
        if matches!(call, Call::Open { .. }) {
            tree.link("/srv/a/new", "/srv/made");
        }
        Turn::Honest
    });
    assert_eq!(raw.status(open("/srv/a/new", new_file())).0, 4);
    assert_eq!(odd.content("/srv/made"), None);
    odd.server.follows(|_, _| Turn::Honest);
    odd.server.tree(|tree| _ = tree.file("/srv/b", "old old"));
    let handle = raw.opens("/srv/b", new_file());
    assert_eq!(odd.content("/srv/b").unwrap(), b"");
    let write = Call::Write { handle, offset: 0, data: Bytes::from_static(b"new") };
    assert_eq!(raw.status(write).0, 0);
    assert_eq!(odd.content("/srv/b").unwrap(), b"new");
    for call in odd.server.calls() {
        let truncates = matches!(call, Call::Open { flags, .. } if flags.has(OpenFlags::TRUNCATE));
        assert!(!truncates, "{call:?}");
    }
}

#[test]
fn what_is_open_goes_on_in_its_order_beside_a_question() {
    let odd = Odd::new();
    odd.server.tree(|tree| _ = tree.file("/srv/asked", "x"));
    let mut raw = odd.raw();
    let handle = raw.opens("/srv/file", new_file());
    let asked = raw.send(Call::Remove { path: b"/srv/asked".to_vec() });
    let mut writes = Vec::new();
    for number in 0..200_u64 {
        let data = Bytes::from(format!("{number:04}"));
        writes.push(raw.send(Call::Write { handle: handle.clone(), offset: number * 4, data }));
    }
    // Another that names a path waits for the first; what is behind it does not.
    let after = raw.send(Call::Stat { path: b"/srv/asked".to_vec() });
    let read = raw.send(Call::Read { handle: handle.clone(), offset: 0, length: 8 });
    for id in &writes {
        assert!(matches!(raw.reply(*id), Reply::Status(status) if status.code == StatusCode::Ok));
    }
    // It was opened to write alone.
    assert!(matches!(raw.reply(read), Reply::Status(_)));
    assert!(!raw.order.contains(&asked) && !raw.order.contains(&after));
    let replied: Vec<u32> = raw.order.iter().filter(|id| writes.contains(id)).copied().collect();
    assert_eq!(replied, writes);
    yes(&odd.sgw);
    assert!(matches!(raw.reply(asked), Reply::Status(status) if status.code == StatusCode::Ok));
    assert!(
        matches!(raw.reply(after), Reply::Status(status) if status.code == StatusCode::NoSuchFile)
    );
    let whole: String = (0..200).map(|number| format!("{number:04}")).collect();
    assert_eq!(odd.content("/srv/file").unwrap(), whole.as_bytes());
}

/// A client that does not wait: cut off, written again, closed, all in one go.
#[test]
fn calls_on_one_file_are_done_in_their_order() {
    let odd = Odd::new();
    odd.server.tree(|tree| _ = tree.file("/srv/file", "something that is longer"));
    let mut raw = odd.raw();
    let handle = raw.opens("/srv/file", OpenFlags::READ | OpenFlags::WRITE);
    let write = |offset, text: &'static str| Call::Write {
        handle: handle.clone(),
        offset,
        data: Bytes::from_static(text.as_bytes()),
    };
    let cut = Attrs { size: Some(0), ..Attrs::default() };
    let calls = [
        write(0, "never seen"),
        Call::Fsetstat { handle: handle.clone(), attrs: cut },
        write(0, "one"),
        write(3, "two"),
        Call::Read { handle: handle.clone(), offset: 0, length: 100 },
        Call::Close { handle: handle.clone() },
        Call::Rename { from: b"/srv/file".to_vec(), to: b"/srv/moved".to_vec() },
        Call::Stat { path: b"/srv/moved".to_vec() },
    ];
    let ids: Vec<u32> = calls.into_iter().map(|call| raw.send(call)).collect();
    let replies: Vec<Reply> = ids.iter().map(|id| raw.reply(*id)).collect();
    assert_eq!(replies[4], Reply::Data(Bytes::from_static(b"onetwo")), "{replies:?}");
    assert!(matches!(replies[7], Reply::Attrs(_)), "{replies:?}");
    // Before them it was opened.
    assert_eq!(raw.order[1..], ids);
    assert_eq!(odd.content("/srv/moved").unwrap(), b"onetwo");
}

/// It says that it is done before it has heard of its writes, which are more than a window holds (paramiko).
#[test]
fn what_is_closed_at_once_was_written_whole() {
    let both = Both::new();
    let file = both.directory("here").join("file");
    let all = noise(3_000_000);
    let mut raw = raw(&both);
    let handle = raw.opens(&text(&file), new_file());
    let mut ids = Vec::new();
    for (number, piece) in all.chunks(30_000).enumerate() {
        let (offset, data) = (number as u64 * 30_000, Bytes::copy_from_slice(piece));
        ids.push(raw.send(Call::Write { handle: handle.clone(), offset, data }));
    }
    ids.push(raw.send(Call::Close { handle }));
    for id in ids {
        let reply = raw.reply(id);
        assert!(
            matches!(&reply, Reply::Status(status) if status.code == StatusCode::Ok),
            "{reply:?}"
        );
    }
    assert!(fs::read(&file).unwrap() == all);
}
