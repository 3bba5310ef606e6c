//! A pause: nothing new of the agent's reaches the server, what runs prints on, and what was held goes on after.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

use sgw::domain::sftp::{Call, Reply};

use super::{
    Both, forward, ran,
    raw::{Raw, new_file},
    stderr,
};
use crate::support::{Running, eventually};

/// Long enough for a byte that goes through to have come.
const MOMENT: Duration = Duration::from_millis(700);

#[test]
fn standard_input_waits_while_what_runs_prints_on() {
    let both = Both::new();
    let mut all = Vec::new();
    for way in ["ssh", "exec"] {
        let (go, heard) = (both.sgw.path(&format!("{way}-go")), both.sgw.path(way));
        let line = format!(
            "(until [ -e {} ]; do sleep 0.05; done; echo ran on) & tee {}; wait",
            go.display(),
            heard.display()
        );
        let mut runs = match way {
            "ssh" => Running::start(&mut both.ssh(&both.through, &["web1", &line])),
            _ => {
                let mut exec = both.sgw.command(["exec", "-i", "web1", "--", &line]);
                Running::start(exec.env("SGW_TOKEN", &both.token.text))
            }
        };
        runs.write(b"one\n");
        runs.prints("one\n");
        all.push((runs, go, heard));
    }
    both.sgw.operator(["pause"]).ok();
    all[0].0.says("sgw: control.paused: the operator has paused this");
    for (runs, ..) in &mut all {
        runs.write(b"two\n");
        // The end waits behind it.
        runs.close_stdin();
    }
    let output = ran(&mut both.ssh(&both.through, &["web1", "true"]), b"");
    assert!(stderr(&output).contains("control.paused"), "{}", stderr(&output));
    for (runs, go, heard) in &mut all {
        fs::write(go, "").unwrap();
        runs.prints("ran on\n");
        assert_eq!(fs::read(heard).unwrap(), b"one\n");
        assert!(!runs.has_ended());
    }
    both.sgw.operator(["resume"]).ok();
    for (runs, _, heard) in all {
        let outcome = runs.ends().ok();
        assert!(outcome.stdout().ends_with("ran on\ntwo\n"), "{outcome:?}");
        assert_eq!(fs::read(heard).unwrap(), b"one\ntwo\n");
    }
}

#[test]
fn calls_of_sftp_wait_and_only_a_close_goes_through() {
    let both = Both::new();
    let (file, other) = (both.sgw.path("file"), both.sgw.path("other"));
    let mut raw = Raw::start(&mut both.ssh(&both.through, &["-s", "web1", "sftp"]));
    let handle = raw.opens(file.to_str().unwrap(), new_file());
    let closes = raw.opens(other.to_str().unwrap(), new_file());
    let write = |offset, data: &[u8]| Call::Write {
        handle: handle.clone(),
        offset,
        data: bytes::Bytes::copy_from_slice(data),
    };
    assert_eq!(raw.status(write(0, b"one")).0, 0);
    both.sgw.operator(["pause"]).ok();
    assert_eq!(raw.status(Call::Close { handle: closes }).0, 0);
    let written = raw.send(write(3, b"two"));
    let looked = raw.send(Call::Stat { path: other.to_str().unwrap().into() });
    std::thread::sleep(MOMENT);
    assert_eq!(fs::read(&file).unwrap(), b"one");
    both.sgw.operator(["resume"]).ok();
    assert!(matches!(raw.reply(written), Reply::Status(status) if status.code.number() == 0));
    assert!(matches!(raw.reply(looked), Reply::Attrs(_)));
    assert_eq!(fs::read(&file).unwrap(), b"onetwo");
    assert_eq!(raw.ends(), 0);
}

#[test]
fn a_forward_carries_what_the_server_says_and_holds_what_the_agent_does() {
    let both = Both::forwarding();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let end = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    let (_ssh, socket) = both.leads("held.sock", &end);
    let mut near = forward::connected(&socket);
    let (mut far, _) = listener.accept().unwrap();
    let mut byte = [0; 1];
    near.write_all(b"a").unwrap();
    far.read_exact(&mut byte).unwrap();
    both.sgw.operator(["pause"]).ok();
    near.write_all(b"b").unwrap();
    for said in 0..10 {
        far.write_all(&[said]).unwrap();
        near.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [said]);
    }
    far.set_read_timeout(Some(MOMENT)).unwrap();
    assert!(far.read_exact(&mut byte).is_err(), "{byte:?} came through");
    both.sgw.operator(["resume"]).ok();
    far.set_read_timeout(None).unwrap();
    far.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"b");
}

/// What a client's terminal is fed is refused instead, key by key: `control.rs` shows it.
#[test]
fn much_that_is_held_is_whole_afterwards() {
    let both = Both::new();
    let there = both.sgw.path("there");
    let line = format!("echo begun; cat > {}", there.display());
    let mut runs = Running::start(&mut both.ssh(&both.through, &["web1", &line]));
    runs.prints("begun\n");
    let sent = super::noise(20_000_000);
    both.sgw.operator(["pause"]).ok();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            runs.write(&sent);
            runs.close_stdin();
        });
        std::thread::sleep(MOMENT);
        assert_eq!(fs::read(&there).unwrap().len(), 0);
        both.sgw.operator(["resume"]).ok();
    });
    runs.ends().ok();
    eventually("all of it is there", || fs::read(&there).unwrap() == sent);
}

/// Neither while it is paused nor while the operator has the keyboard; then it is the last that there was.
#[test]
fn a_window_that_changes_meanwhile_is_the_terminals_afterwards() {
    let both = Both::new();
    let line = "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done";
    let mut pty = both.at(&["web1", line]);
    pty.wait_for("30 100");
    let handoff =
        || _ = both.sgw.by(&both.token, ["handoff", "web1", "look", "--no-wait"]).exits(75);
    let stops: [(&dyn Fn(), &[&str]); 2] =
        [(&|| _ = both.sgw.operator(["pause"]).ok(), &["resume"]), (&handoff, &["return", "web1"])];
    for (rows, (stop, goes_on)) in [40, 50].into_iter().zip(stops) {
        stop();
        pty.resize(rows, 77);
        std::thread::sleep(MOMENT);
        pty.resize(rows + 1, 78);
        std::thread::sleep(MOMENT);
        assert!(!pty.screen().contains(&format!("{} 78", rows + 1)), "{}", pty.screen());
        both.sgw.operator(goes_on).ok();
        pty.wait_for(&format!("{} 78", rows + 1));
        assert!(!pty.screen().contains(&format!("{rows} 77")), "{}", pty.screen());
    }
}
