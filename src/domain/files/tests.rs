//! Operations, and the commands that stand for them.

use super::{
    replaced::{Before, Change},
    *,
};

fn write(path: &[u8]) -> Operation {
    Operation::Write(Write {
        path: path.to_vec().into(),
        how: How::Replace,
        mode: None,
        parents: false,
        if_sum: None,
    })
}

#[test]
fn the_guard_is_asked_about_a_command_that_does_the_same() {
    let line = |operation: Operation, at: &[&[u8]]| {
        let at: Vec<Vec<u8>> = at.iter().map(|path| path.to_vec()).collect();
        String::from_utf8_lossy(&operation.command(&at)).into_owned()
    };
    assert_eq!(line(write(b"x"), &[b"/etc/cron.d/a b"]), "cat > '/etc/cron.d/a b'");
    let remove = Operation::Remove { path: "x".into(), recursive: true };
    assert_eq!(line(remove, &[b"/srv/x"]), "rm -r -- /srv/x");
    let mode = Operation::SetMode { path: "x".into(), mode: 0o755 };
    assert_eq!(line(mode, &[b"/x"]), "chmod 0755 -- /x");
    let moved = Operation::Move { from: "a".into(), to: "b".into(), replace: false };
    assert_eq!(line(moved, &[b"/a", b"/b"]), "mv -nT -- /a /b");
}

#[test]
fn sensitive_paths_ask_and_ordinary_ones_pass() {
    use crate::domain::guard::Decision;
    let decides = |operation: Operation, path: &[u8]| {
        let command = operation.command(&[path.to_vec(), path.to_vec()]);
        Judgement::for_test(&command).decision
    };
    for path in ["/etc/cron.d/x", "/root/.bashrc", "/etc/systemd/system/x.service"] {
        assert_eq!(decides(write(b""), path.as_bytes()), Decision::Approve, "{path}");
    }
    assert_eq!(decides(write(b""), b"/srv/app/config"), Decision::Allow);
    // Odd names are names: they neither ask by themselves nor hide where they lie.
    let odd = "/srv/a\nb\u{202e}\u{1b}[31m".as_bytes();
    assert_eq!(decides(write(b""), &[odd, b"\xff"].concat()), Decision::Allow);
    assert_eq!(decides(write(b""), b"/etc/cron.d/\n\xff"), Decision::Approve);
    let remove = Operation::Remove { path: "".into(), recursive: true };
    assert_eq!(decides(remove, b"/srv/x"), Decision::Approve);
    let read =
        |path: &[u8]| decides(Operation::Read { path: "".into(), offset: 0, limit: None }, path);
    assert_eq!(read(b"/srv/x"), Decision::Allow);
    assert_eq!(read(b"/etc/shadow"), Decision::Block);
}

#[test]
fn every_part_of_an_operation_is_bound() {
    use crate::domain::id::Kind;
    let files = |operation: Operation| Files {
        session: Id::from_number(Kind::Session, 1),
        operation,
        way: Way::Sftp,
        at: vec![b"/x".to_vec()],
        content: Some(Content::from_static(b"new")),
        replaced: vec![Replaced {
            index: 0,
            before: Before::content(b"old"),
            change: Change::Large,
        }],
        caps: Vec::new(),
        tells_sum: false,
        judged: Judgement::for_test(b"cat > /x"),
        passed_by: Vec::new(),
    };
    let (me, id) = (Identity { uid: 1, token: None }, Id::from_number(Kind::Request, 1));
    let digest = |files: &Files| files.digest(&me, &id, jiff::Timestamp::UNIX_EPOCH, "web1");
    let whole = files(write(b"x"));
    let changes: [fn(&mut Files); 9] = [
        |f| f.way = Way::Sudo,
        |f| f.at[0].push(b'y'),
        |f| f.content = Some(Content::from_static(b"other")),
        |f| f.operation = write(b"y"),
        |f| f.session = Id::from_number(Kind::Session, 2),
        |f| f.content = None,
        |f| f.replaced[0].before = Before::content(b"older"),
        |f| f.replaced[0].before = Before::Nothing,
        |f| f.replaced.clear(),
    ];
    for change in changes {
        let mut other = whole.clone();
        change(&mut other);
        assert_ne!(digest(&other), digest(&whole));
        assert_ne!(other.sameness(&me), whole.sameness(&me));
    }
}

#[test]
fn operations_come_back_from_json() {
    for operation in [
        write(b"/a\xff"),
        Operation::List { path: "/".into(), depth: 2 },
        Operation::Move { from: "a".into(), to: "b".into(), replace: true },
    ] {
        let json = serde_json::to_string(&operation).unwrap();
        assert_eq!(serde_json::from_str::<Operation>(&json).unwrap(), operation);
    }
    let unknown = r#"{"do":"read","path":"/x","offset":0,"limit":null,"sudo":true}"#;
    assert!(serde_json::from_str::<Operation>(unknown).is_err());
}

#[test]
fn a_question_shows_a_change_in_place_of_the_text_and_never_what_is_there_to_who_asks() {
    let mut files = Files {
        session: Id::from_number(crate::domain::id::Kind::Session, 1),
        operation: write(b"x"),
        way: Way::Sftp,
        at: vec![b"/x".to_vec()],
        content: Some(Content::from_static(b"new text")),
        replaced: Vec::new(),
        caps: Vec::new(),
        tells_sum: false,
        judged: Judgement::for_test(b"cat > /x"),
        passed_by: Vec::new(),
    };
    let shown = |files: &Files| files.in_full().to_text_lossy();
    assert!(shown(&files).contains("new text"));
    let before = Before::content(b"secret");
    let change = Change::between(b"secret", b"new text");
    files.replaced = vec![Replaced { index: 0, before, change }];
    let told = shown(&files);
    assert!(!told.contains("new text") && !told.contains("secret"), "{told}");
    assert!(!told.contains(&sum(b"secret")), "{told}");
    files.replaced.clear();
    files.content = Some(Content::from(vec![b'x'; TEXT + 5]));
    assert!(shown(&files).ends_with("\n… and 5 bytes more"));
}
