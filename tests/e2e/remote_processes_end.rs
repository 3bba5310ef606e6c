//! When a command is over, its remote processes are: whoever runs them, however they cling, and
//! however it was ended.

use std::rc::Rc;

use rustix::process::Signal;

use crate::support::{Person, Sgw, Sshd, eventually, is_root, processes_naming};

/// How a process clings to life. `MARK` stands in the environment or on the command line.
const CLINGING: [(&str, &str); 5] = [
    ("plain", "MARK=@; export MARK; echo on; sleep 600"),
    ("setsid child", "MARK=@; export MARK; setsid sleep 600 >/dev/null 2>&1 & echo on; sleep 601"),
    (
        "ignores TERM",
        "MARK=@; export MARK; trap '' TERM INT HUP; echo on; while :; do sleep 1; done",
    ),
    ("busy loop", "echo on; : @; while :; do :; done"),
    ("background", "MARK=@; export MARK; (sleep 600; echo) & echo on; wait"),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    CtrlC,
    Timeout,
    CloseExec,
    CloseSession,
    Lock,
    KillDaemon,
}

#[test]
fn of_an_ordinary_user_by_ctrl_c() {
    table(&ordinary(), End::CtrlC);
}

#[test]
fn of_an_ordinary_user_by_timeout() {
    table(&ordinary(), End::Timeout);
}

#[test]
fn of_an_ordinary_user_by_close() {
    table(&ordinary(), End::CloseExec);
}

#[test]
fn of_an_ordinary_user_by_close_of_the_session() {
    table(&ordinary(), End::CloseSession);
}

#[test]
fn of_an_ordinary_user_by_lock() {
    table(&ordinary(), End::Lock);
}

#[test]
fn of_an_ordinary_user_after_the_daemon_was_killed() {
    table(&ordinary(), End::KillDaemon);
}

#[test]
fn of_root_by_ctrl_c() {
    as_root(End::CtrlC);
}

#[test]
fn of_root_by_timeout() {
    as_root(End::Timeout);
}

#[test]
fn of_root_by_close() {
    as_root(End::CloseExec);
}

#[test]
fn of_root_by_close_of_the_session() {
    as_root(End::CloseSession);
}

#[test]
fn of_root_by_lock() {
    as_root(End::Lock);
}

#[test]
fn of_root_after_the_daemon_was_killed() {
    as_root(End::KillDaemon);
}

/// A server that has much to do, or slow start-up files, begins when it was looked for already.
#[test]
fn what_a_server_begins_late_ends_too() {
    let person = ordinary();
    let Some(home) = person.home() else {
        return eprintln!("left out: a start-up file of another user takes root");
    };
    std::fs::create_dir(home.join(".ssh")).unwrap();
    std::fs::write(home.join(".ssh/rc"), "rm late 2>/dev/null && exec sleep 2\n").unwrap();
    let sshd = Sshd::with().user(&person).start();
    let sgw = Sgw::unlocked();
    let session = sgw.session(&sshd);
    sgw.agent(["exec", &session, "--", "true"]).ok();
    for number in 0..3 {
        let mark = format!("mark-late-{}-{number}", std::process::id());
        std::fs::write(home.join("late"), "").unwrap();
        let line = format!("MARK={mark}; export MARK; sleep 600");
        let words = ["exec", &session, "--timeout", "300ms", "--json", "--", &line];
        let outcome = sgw.agent(words).exits(124);
        assert!(!home.join("late").exists(), "it was late");
        assert_eq!(outcome.json()["remote"], "ended", "{outcome:?}");
        assert_eq!(processes_naming(&mark), Vec::<u32>::new());
    }
}

fn ordinary() -> Rc<Person> {
    Rc::new(Person::ordinary())
}

fn as_root(end: End) {
    if !is_root() {
        return eprintln!("left out: a root login takes root");
    }
    table(&Rc::new(Person::me()), end);
}

/// Every way to cling against one way to end, on one server.
fn table(person: &Rc<Person>, end: End) {
    let sshd = Sshd::with().user(person).start();
    let sgw = Sgw::unlocked();
    let mut session = sgw.session(&sshd);
    for (number, (how, line)) in CLINGING.iter().enumerate() {
        let mark = format!("mark-{}-{end:?}-{}-{number}", std::process::id(), person.uid);
        let line = line.replace('@', &mark);
        ends(&sgw, &session, end, &line, &mark);
        if end == End::KillDaemon {
            // Nobody is there to end them; the next connection to that target does.
            sgw.unlock();
            session = sgw.session(&sshd);
        }
        eventually(&format!("{how} of {} ends by {end:?}", person.name), || {
            processes_naming(&mark).is_empty()
        });
        if matches!(end, End::CloseSession | End::Lock) {
            if end == End::Lock {
                sgw.unlock();
            }
            session = sgw.session(&sshd);
        }
    }
    // What ends the remains of a command ends nothing else.
    sgw.agent(["exec", &session, "--", "echo", "alive"]).ok().prints("alive\n");
}

#[track_caller]
fn ends(sgw: &Sgw, session: &str, end: End, line: &str, mark: &str) {
    let json = matches!(end, End::CtrlC | End::Timeout);
    let mut arguments = vec!["exec", session];
    if end == End::Timeout {
        arguments.extend(["--timeout", "2s"]);
    }
    if json {
        arguments.push("--json");
    }
    arguments.extend(["--", line]);
    let call = sgw.start(arguments);
    if end != End::Timeout {
        eventually("the command runs", || runs(mark));
    }
    match end {
        End::CtrlC => call.signal(Signal::INT),
        End::Timeout => {}
        End::CloseExec => {
            let id = running(sgw, session);
            sgw.agent(["close", &id]).ok();
        }
        End::CloseSession => drop(sgw.agent(["close", session]).ok()),
        End::Lock => sgw.lock(),
        End::KillDaemon => sgw.kill_daemon(),
    }
    let outcome = call.ends();
    match end {
        End::Timeout => assert_eq!(outcome.code(), 124, "{outcome:?}"),
        _ => assert_ne!(outcome.code(), 0, "{outcome:?}"),
    }
    if json {
        // The call comes back when they have ended, and not before.
        assert_eq!(outcome.json()["remote"], "ended", "{outcome:?}");
        assert_eq!(processes_naming(mark), Vec::<u32>::new());
    }
}

/// A process of the command itself, not the client that holds the line as its own argument.
fn runs(mark: &str) -> bool {
    let client = env!("CARGO_BIN_EXE_sgw");
    let exe = |pid| std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    processes_naming(mark).into_iter().any(|pid| exe(pid) != std::path::Path::new(client))
}

fn running(sgw: &Sgw, session: &str) -> String {
    let json = sgw.agent(["sessions", "--json"]).ok().json();
    let sessions = json["sessions"].as_array().unwrap();
    let mine = sessions.iter().find(|known| known["id"] == session).unwrap();
    mine["running"][0].as_str().unwrap_or_else(|| panic!("nothing runs: {json}")).to_owned()
}
