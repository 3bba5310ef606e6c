//! Who is held up by a server, by the operator or by itself holds up nobody else on the same account.

use std::{fs, sync::Arc};

use serde_json::json;
use sgw::domain::{
    bytes::Bytes,
    files::{
        Operation,
        transfer::{Item, MOST_ITEMS, Piece, Put, What},
    },
    sftp::{Attrs, Call, OpenFlags, Reply, StatusCode},
};

use super::{There, mode, odd::Odd};
use crate::{
    bridge::{
        program,
        raw::{Raw, new_file, open},
        way,
    },
    support::{
        Live, Sshd, eventually,
        frames::{JSON, STDIN, agent_wire},
        sftp::{Gate, Turn},
    },
};

/// A second session of the account, with an SFTP of its own.
fn another(odd: &Odd) -> String {
    odd.sgw.session_with(&odd.server.sshd, &["--new"])
}

fn moves(odd: &Odd, session: &str, from: &str, to: &str) {
    odd.sgw.agent(["files", "mv", session, from, to]).ok();
    assert!(odd.content(to).is_some());
}

/// The first such call waits at the gate, the others do not.
fn first_waits(odd: &Odd, is: impl Fn(&Call) -> bool + Send + 'static) -> Arc<Gate> {
    let (gate, mut waited) = (Arc::new(Gate::default()), false);
    let at = gate.clone();
    odd.server.follows(move |call, _| match is(call) && !std::mem::replace(&mut waited, true) {
        true => Turn::Later(at.clone()),
        false => Turn::Honest,
    });
    gate
}

#[test]
fn a_server_that_does_not_answer_one_call_holds_up_no_other() {
    let odd = Odd::new();
    odd.server.tree(|tree| _ = tree.file("/srv/file", "x").file("/srv/a", "a"));
    let other = another(&odd);
    moves(&odd, &other, "/srv/a", "/srv/b");
    let opens = |call: &Call| matches!(call, Call::Open { path, .. } if path == b"/srv/file");
    let gate = first_waits(&odd, opens);
    let mut reads = odd.sgw.start(odd.words("read", &["/srv/file"]));
    eventually("it is to be opened", || gate.holds_one());
    moves(&odd, &other, "/srv/b", "/srv/c");
    assert!(!reads.has_ended());
    gate.open();
    // A name was turned meanwhile: what was opened is not known to be what was judged.
    reads.ends().fails(1, "files.failed").says("others went ahead").prints("");
    odd.files("read", &["/srv/file"]).ok().prints("x");
    // And one that turns a name itself.
    let renames = |call: &Call| matches!(call, Call::Rename { from, .. } if from == b"/srv/c");
    let gate = first_waits(&odd, renames);
    let mut turns = odd.sgw.start(odd.words("mv", &["/srv/c", "/srv/d"]));
    eventually("it is to be moved", || gate.holds_one());
    odd.sgw.agent(["files", "read", &other, "/srv/file"]).ok().prints("x");
    assert!(!turns.has_ended());
    gate.open();
    turns.ends().ok();
    odd.serves_on();
}

/// Two directories, one of which a link will stand for where nobody waits.
fn slow_and_its_other() -> (Odd, String) {
    let odd = Odd::new();
    odd.server.tree(|tree| _ = tree.file("/srv/slow/data", "mine").file("/opt/x/data", "theirs"));
    let other = another(&odd);
    (odd, other)
}

#[test]
fn no_name_is_turned_while_what_was_sent_by_it_has_no_answer() {
    let (odd, other) = slow_and_its_other();
    let sends = |call: &Call| {
        let (Call::Setstat { path, .. } | Call::Mkdir { path, .. }) = call else { return false };
        path.starts_with(b"/srv/slow/")
    };
    for (verb, more) in [("chmod", &["600", "/srv/slow/data"][..]), ("mkdir", &["/srv/slow/new"])] {
        let gate = first_waits(&odd, sends);
        let mut changes = odd.sgw.start(odd.words(verb, more));
        eventually("it is to be done", || gate.holds_one());
        let turn = ["files", "mv", &other, "/srv/slow", "/srv/gone"];
        odd.sgw.agent(turn).fails(75, "files.busy");
        odd.sgw.agent(["files", "read", &other, "/opt/x/data"]).ok().prints("theirs");
        assert!(!changes.has_ended());
        gate.open();
        changes.ends().ok();
    }
    let turn = ["files", "mv", &other, "/srv/slow", "/srv/gone"];
    odd.sgw.agent(turn).ok();
    odd.serves_on();
}

#[test]
fn no_name_is_turned_while_a_bridge_makes_a_file_by_it() {
    let (odd, other) = slow_and_its_other();
    let only = ["--only", "files:read,files:write"];
    let (token, through) = way(&odd.sgw, &odd.server.sshd, &only);
    let words = ["-F", through.to_str().unwrap(), "-s", "web1", "sftp"];
    let mut raw = Raw::start(&mut program(&odd.sgw, &token, "ssh", &words));
    let gate = first_waits(
        &odd,
        |call| matches!(call, Call::Open { path, .. } if path.starts_with(b"/srv/slow/")),
    );
    let number = raw.send(open("/srv/slow/new", new_file()));
    eventually("it is to be made", || gate.holds_one());
    let turn = ["files", "mv", &other, "/srv/slow", "/srv/gone"];
    odd.sgw.agent(turn).fails(75, "files.busy");
    gate.open();
    let Reply::Handle(handle) = raw.reply(number) else { panic!("it is open") };
    assert!(matches!(raw.call(Call::Close { handle }), Reply::Status(_)));
    odd.sgw.agent(turn).ok();
    assert!(odd.content("/srv/gone/new").is_some());
}

/// Holds up what sets attributes, as long as a file is there; ends behind what it does, as every server.
const HOLDS: &str = r#"
import os, struct, subprocess, sys, time
hold, server = sys.argv[1], "/usr/lib/openssh/sftp-server"
server = subprocess.Popen([server], stdin=subprocess.PIPE)
def read(length):
    got = b""
    while len(got) < length:
        more = os.read(0, length - len(got))
        if not more:
            server.stdin.close()
            sys.exit(server.wait())
        got += more
    return got
while True:
    head = read(4)
    body = read(struct.unpack(">I", head)[0])
    while body[0] == 9 and os.path.exists(hold):
        open(hold + "s", "w").close()
        time.sleep(0.05)
    server.stdin.write(head + body)
    server.stdin.flush()
"#;

#[test]
fn what_a_client_leaves_behind_is_waited_for_until_it_is_done() {
    let directory = tempfile::Builder::new().prefix("holds").tempdir_in("/tmp").unwrap();
    let (script, hold) = (directory.path().join("slow.py"), directory.path().join("hold"));
    fs::write(&script, HOLDS).unwrap();
    let line = format!("Subsystem sftp /usr/bin/python3 {} {}", script.display(), hold.display());
    let there = There::on(Sshd::with().line(&line).start(), &[]);
    fs::create_dir(there.at("slow")).unwrap();
    there.has("slow/data", "mine");
    let only = ["--only", "files:read,files:write"];
    let (token, through) = way(&there.sgw, &there.sshd, &only);
    let words = ["-F", through.to_str().unwrap(), "-s", "web1", "sftp"];
    let mut raw = Raw::start(&mut program(&there.sgw, &token, "ssh", &words));
    fs::write(&hold, "").unwrap();
    let (path, attrs) = (there.text("slow/data").into(), Attrs::with_permissions(0o600));
    raw.send(Call::Setstat { path, attrs });
    eventually("it is held up", || hold.with_file_name("holds").exists());
    drop(raw);
    let turn = there.words("mv", &[there.text("slow"), there.text("gone")]);
    there.sgw.agent(&turn).fails(75, "files.busy");
    fs::remove_file(&hold).unwrap();
    eventually("it is done", || there.sgw.agent(&turn).code() == 0);
    assert_eq!(mode(&there.at("gone/data")), 0o600);
}

#[test]
fn what_was_overtaken_before_its_last_step_does_nothing() {
    let odd = Odd::new();
    odd.server.tree(|tree| _ = tree.file("/srv/file", "old").file("/srv/a", "a"));
    let other = another(&odd);
    moves(&odd, &other, "/srv/a", "/srv/b");
    // The last look before the name is the new file's.
    let looks = |call: &Call| matches!(call, Call::Lstat { path } if path.starts_with(b"/srv/.file.sgw-new-"));
    let gate = first_waits(&odd, looks);
    let mut writes = odd.sgw.start(odd.words("write", &["/srv/file"]));
    writes.write(b"new");
    writes.close_stdin();
    eventually("it is looked at", || gate.holds_one());
    moves(&odd, &other, "/srv/b", "/srv/c");
    gate.open();
    writes.ends().fails(1, "files.failed").says("others went ahead");
    assert_eq!(odd.content("/srv/file").unwrap(), b"old");
    assert_eq!(odd.server.tree(|tree| tree.below("/srv").len()), 2, "nothing is left beside it");
    odd.serves_on();
}

#[test]
fn a_caller_that_reads_nothing_of_what_it_puts_holds_up_nobody() {
    const FILES: usize = MOST_ITEMS;
    let odd = Odd::new();
    odd.server.tree(|tree| _ = tree.directory("/srv").file("/srv/a", "a"));
    let other = another(&odd);
    moves(&odd, &other, "/srv/a", "/srv/b");
    // Each has something long to be told of it.
    odd.server.follows(|call, _| match call {
        Call::Rename { from, .. } if from.starts_with(b"/srv/.f") => {
            Turn::Reply(Reply::status(StatusCode::Failure, &"no ".repeat(90)))
        }
        _ => Turn::Honest,
    });
    let item = |number: usize| Item {
        path: Bytes(format!("/srv/f{number}").into_bytes()),
        what: What::File { size: 1, offset: 0, sum: None },
        ..Item::default()
    };
    let put = Put { items: (0..FILES).map(item).collect(), fsync: false, texts: Vec::new() };
    let asked = json!({
        "type": "files", "session": odd.session, "operation": Operation::Put(put),
        "wait_ms": null, "no_ask": true,
    });
    let mut wire = agent_wire(&odd.sgw);
    assert!(wire.send(JSON, 1, asked.to_string().as_bytes()));
    let one = |number: usize| {
        let head = json!({"index": number, "size": 1, "mode": null, "modified": null, "offset": 0});
        let pieces = [
            Piece::Head(head.to_string().into_bytes().into()),
            Piece::Data(b"x"[..].into()),
            Piece::End(b""[..].into()),
        ];
        pieces.iter().flat_map(Piece::to_wire).collect::<Vec<u8>>()
    };
    let (kind, _, body) = wire.receive().expect("credit");
    assert!(kind == JSON && String::from_utf8_lossy(&body).contains("credit"), "{body:?}");
    let content: Vec<u8> = (0..FILES).flat_map(one).collect();
    for chunk in content[..content.len().min(900_000)].chunks(30_000) {
        assert!(wire.send(STDIN, 1, chunk));
    }
    // It reads no more; what is told of them fills all that holds it.
    let asked = || odd.server.calls().len();
    let mut before = 0;
    eventually("nothing goes on", || {
        std::thread::sleep(std::time::Duration::from_millis(400));
        std::mem::replace(&mut before, asked()) == asked()
    });
    assert!(before > 2000, "{before}");
    moves(&odd, &other, "/srv/b", "/srv/c");
}

#[test]
fn a_bridge_that_waits_for_the_keyboard_holds_up_nobody() {
    let odd = Odd::new();
    odd.server.tree(|tree| _ = tree.file("/srv/dir/file", "x").file("/srv/a", "a"));
    moves(&odd, &odd.session, "/srv/a", "/srv/b");
    let only = ["--only", "files:read,files:write"];
    let (token, through) = way(&odd.sgw, &odd.server.sshd, &only);
    let words = ["-F", through.to_str().unwrap(), "-s", "web1", "sftp"];
    let mut raw = Raw::start(&mut program(&odd.sgw, &token, "ssh", &words));
    let call =
        Call::Setstat { path: b"/srv/dir/file".to_vec(), attrs: Attrs::with_permissions(0o600) };
    // Resolved for its judge, and once more with names held.
    let (gate, mut times) = (Arc::new(Gate::default()), 0);
    let at = gate.clone();
    odd.server.follows(move |call, _| {
        if matches!(call, Call::Realpath { path } if path == b"/srv/dir/file") {
            times += 1;
            if times == 2 {
                return Turn::Later(at.clone());
            }
        }
        Turn::Honest
    });
    let number = raw.send(call);
    eventually("it is resolved with names held", || gate.holds_one());
    let session = odd.sgw.by(&token, ["sessions", "--json"]).ok().json();
    let session = session["sessions"][0]["id"].as_str().unwrap().to_owned();
    let mut seat = Live::attach(&odd.sgw, &session, None);
    seat.control_is("operator", false);
    gate.open();
    moves(&odd, &odd.session, "/srv/b", "/srv/c");
    moves(&odd, &odd.session, "/srv/c", "/srv/d");
    assert_eq!(odd.server.tree(|tree| tree.mode("/srv/dir/file")), Some(0o644), "not by now");
    seat.says(&json!({"type": "return", "session": session, "message": "done"}));
    seat.ends();
    assert!(matches!(raw.reply(number), Reply::Status(status) if status.code == StatusCode::Ok));
    assert_eq!(odd.server.tree(|tree| tree.mode("/srv/dir/file")), Some(0o600));
    let handle = raw.opens("/srv/dir/file", OpenFlags::READ);
    assert!(matches!(raw.call(Call::Close { handle }), Reply::Status(_)));
}
