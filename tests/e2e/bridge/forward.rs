//! Forwards through sgw: `ssh -W`, `-L`, `-D`, `-R`, with and without leave.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;

use super::{Both, noise, ran, stderr};
use crate::support::{Live, Running, eventually};

/// Everything on the machine itself, but the metadata service.
const ALLOWED: &str = "[[forward]]\nid = \"own.self\"\ndecision = \"allow\"\ndirection = \"any\"\n\
                       host = [\"localhost\"]\n\
                       [[forward]]\nid = \"own.sockets\"\ndecision = \"allow\"\nsocket = [\"/tmp/**\"]\n";

/// Sends back what it is told, then how much that was, and ends.
fn echo(mut from: impl Read, mut to: impl Write) {
    let (mut all, mut piece) = (0, [0; 16 * 1024]);
    while let Ok(count @ 1..) = from.read(&mut piece) {
        all += count;
        if to.write_all(&piece[..count]).is_err() {
            return;
        }
    }
    let _gone = write!(to, "{all}");
}

/// Its port, where the server finds it.
pub fn echoes() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                echo(&stream, &stream);
                let _gone = stream.shutdown(Shutdown::Write);
            });
        }
    });
    port
}

/// What comes back of these bytes, which are then at their end.
fn asks<S: Read + Write + Send>(
    stream: S,
    other: S,
    bytes: &[u8],
    end: impl Fn(&S) + Sync,
) -> Vec<u8> {
    let (mut reader, mut writer) = (stream, other);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _gone = writer.write_all(bytes);
            end(&writer);
        });
        let mut all = Vec::new();
        let _reset = reader.read_to_end(&mut all);
        all
    })
}

/// ssh binds its socket a moment before it listens there.
pub fn connected(path: &Path) -> UnixStream {
    let mut stream = None;
    eventually("it listens", || {
        stream = UnixStream::connect(path).ok();
        stream.is_some()
    });
    stream.unwrap()
}

fn asks_unix(path: &Path, bytes: &[u8]) -> Vec<u8> {
    let stream = connected(path);
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    asks(stream.try_clone().unwrap(), stream, bytes, |one| _ = one.shutdown(Shutdown::Write))
}

fn asks_tcp(port: u16, bytes: &[u8]) -> Vec<u8> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    asks(stream.try_clone().unwrap(), stream, bytes, |one| _ = one.shutdown(Shutdown::Write))
}

fn expected(bytes: &[u8]) -> Vec<u8> {
    [bytes, bytes.len().to_string().as_bytes()].concat()
}

impl Both {
    /// Forwards are given, and the machine itself is allowed.
    pub fn forwarding() -> Self {
        let both = Self::granted(&["--only", "exec,forward"]);
        both.sgw.accepts_policy(ALLOWED);
        both
    }

    /// `ssh -N` with these, and a socket of this machine's that leads to `end` of the server's side.
    pub fn leads(&self, name: &str, end: &str) -> (Running, PathBuf) {
        let socket = self.sgw.path(name);
        let spec = format!("{}:{end}", socket.display());
        let words = ["-N", "-o", "ExitOnForwardFailure=yes", "-L", &spec, "web1"];
        let running = Running::start(&mut self.ssh(&self.through, &words));
        eventually("it listens", || socket.exists());
        (running, socket)
    }

    fn asked(&self) -> Vec<Value> {
        let waits = self.sgw.operator(["requests", "--json"]).ok().json();
        waits["requests"].as_array().unwrap().clone()
    }
}

#[test]
fn a_connection_through_the_server_is_as_a_direct_one() {
    let both = Both::forwarding();
    let port = echoes();
    for bytes in [Vec::new(), b"x".to_vec(), noise(3_000_000)] {
        let output = both.same(&["-W", &format!("127.0.0.1:{port}"), "web1"], &bytes);
        assert!(output.stdout == expected(&bytes), "{} bytes", output.stdout.len());
    }
    // Whoever says nothing hears what is there; an end that nobody listens at is told as the server tells it.
    let greets = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = format!("localhost:{}", greets.local_addr().unwrap().port());
    let greeting = thread::spawn(move || {
        for _ in 0..2 {
            let (mut one, _) = greets.accept().unwrap();
            one.write_all(b"hello\n").unwrap();
        }
    });
    assert_eq!(both.same(&["-W", &at, "web1"], b"").stdout, b"hello\n");
    greeting.join().unwrap();
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = format!("127.0.0.1:{}", closed.local_addr().unwrap().port());
    drop(closed);
    let said = stderr(&both.same(&["-W", &at, "web1"], b""));
    assert!(said.contains("Connection refused"), "{said}");
}

/// The server's side says all it has before the client has said anything, and then hears the rest.
#[test]
fn either_side_may_say_its_end_first() {
    let both = Both::forwarding();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = thread::spawn(move || {
        let (mut one, _) = listener.accept().unwrap();
        one.write_all(b"bye").unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        one.read_to_end(&mut all).unwrap();
        all
    });
    let (_ssh, socket) = both.leads("half.sock", &format!("127.0.0.1:{port}"));
    let mut stream = connected(&socket);
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    assert_eq!(said, b"bye");
    let rest = noise(700_000);
    stream.write_all(&rest).unwrap();
    drop(stream);
    assert!(heard.join().unwrap() == rest);
}

#[test]
fn many_connections_go_over_one_client_at_once() {
    let both = Both::forwarding();
    let (_ssh, socket) = both.leads("many.sock", &format!("127.0.0.1:{}", echoes()));
    thread::scope(|scope| {
        for number in 0..24usize {
            let socket = &socket;
            scope.spawn(move || {
                let bytes = noise(number * 50_000);
                assert!(asks_unix(socket, &bytes) == expected(&bytes), "{number}");
            });
        }
    });
    let sent: Vec<_> = both.sgw.recorded("forward.intent");
    assert_eq!(sent.len(), 24);
    assert_eq!(sent[0]["action"]["direction"], "local");
    eventually("each end is on record", || both.sgw.recorded("forward.result").len() == 24);
    let ended = both.sgw.recorded("forward.result");
    let all: u64 = ended.iter().map(|one| one["result"]["sent_bytes"].as_u64().unwrap()).sum();
    assert_eq!(all, (0..24).map(|number| number * 50_000).sum::<u64>());
}

#[test]
fn sockets_of_the_server_and_a_proxy_of_ones_own_work() {
    let both = Both::forwarding();
    let there = both.sshd.directory().join("there.sock");
    let listener = UnixListener::bind(&there).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            echo(&stream, &stream);
            let _gone = stream.shutdown(Shutdown::Both);
        }
    });
    let (_ssh, socket) = both.leads("socket.sock", there.to_str().unwrap());
    assert!(asks_unix(&socket, b"by a path") == expected(b"by a path"));
    // SOCKS 5 (RFC 1928), with a name.
    let (free, port) = (TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), echoes());
    let proxy = free.local_addr().unwrap().port();
    drop(free);
    let words = ["-N", "-D", &format!("127.0.0.1:{proxy}"), "web1"];
    let _ssh = Running::start(&mut both.ssh(&both.through, &words));
    let mut stream = None;
    eventually("the proxy listens", || {
        stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy)).ok();
        stream.is_some()
    });
    let mut stream = stream.unwrap();
    stream.write_all(&[5, 1, 0]).unwrap();
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [5, 0]);
    let name = b"localhost";
    let mut connect = vec![5, 1, 0, 3, name.len() as u8];
    connect.extend(name.iter().copied().chain(port.to_be_bytes()));
    stream.write_all(&connect).unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[1], 0, "connected");
    let other = stream.try_clone().unwrap();
    let back = asks(stream, other, b"socks", |one| _ = one.shutdown(Shutdown::Write));
    assert!(back == expected(b"socks"));
}

#[test]
fn what_connects_to_the_server_comes_to_the_client() {
    let both = Both::forwarding();
    let spec = format!("127.0.0.1:0:127.0.0.1:{}", echoes());
    let words = ["-N", "-o", "ExitOnForwardFailure=yes", "-R", &spec, "web1"];
    let mut ssh = Running::start(&mut both.ssh(&both.through, &words));
    ssh.says("Allocated port ");
    let port = ssh.stderr();
    let port = port.split("Allocated port ").nth(1).unwrap().split(' ').next().unwrap();
    let port: u16 = port.parse().unwrap();
    thread::scope(|scope| {
        for number in 1..9usize {
            scope.spawn(move || {
                let bytes = noise(number * 40_000);
                assert!(asks_tcp(port, &bytes) == expected(&bytes), "{number}");
            });
        }
    });
    assert_eq!(both.sgw.recorded("forward.intent").len(), 9, "the listening and each connection");
    ssh.signal(Signal::KILL);
    let gone = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err();
    eventually("the server listens no more", gone);
    eventually("its end is on record", || both.sgw.recorded("forward.result").len() == 9);
}

/// What a client says that may not.
fn refused(both: &Both, end: &str) -> String {
    let output = ran(&mut both.ssh(&both.through, &["-W", end, "web1"]), b"");
    assert_eq!(output.status.code(), Some(255), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    stderr(&output)
}

#[test]
fn it_takes_the_capability_and_nothing_is_opened_without() {
    let both = Both::new();
    both.sgw.accepts_policy(ALLOWED);
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    closed.set_nonblocking(true).unwrap();
    let said = refused(&both, &format!("127.0.0.1:{}", closed.local_addr().unwrap().port()));
    assert!(said.contains("error[grant.missing]"), "{said}");
    assert!(closed.accept().is_err(), "nobody connected");
    let spec = "127.0.0.1:0:127.0.0.1:1";
    let output = ran(&mut both.ssh(&both.through, &["-R", spec, "web1", "echo goes on"]), b"");
    assert_eq!(output.stdout, b"goes on\n");
    let said = stderr(&output);
    assert!(said.contains("remote port forwarding failed"), "{said}");
    assert!(said.contains("sgw: error[grant.missing]"), "{said}");
    assert!(both.sgw.recorded("forward.intent").is_empty());
}

#[test]
fn no_destination_is_allowed_by_itself_and_a_yes_holds_for_one_in_the_session() {
    let both = Both::granted(&["--only", "exec,forward"]);
    let (port, other) = (echoes(), echoes());
    let end = format!("127.0.0.1:{port}");
    let said = refused(&both, &end);
    assert!(
        said.contains("error[approval.pending]") && said.contains("forward.unmatched"),
        "{said}"
    );
    let asked = both.asked();
    let id = asked[0]["id"].as_str().unwrap();
    assert!(said.contains(id), "{said}");
    assert_eq!(asked[0]["kind"], "forward");
    assert_eq!((&asked[0]["host"], &asked[0]["port"]), (&"127.0.0.1".into(), &port.into()));
    assert_eq!(asked[0]["target"], "web1");
    // Another form of the same address joins the same question.
    refused(&both, &format!("127.1:{port}"));
    assert_eq!(both.asked().len(), 1);
    let decided = both.sgw.operator(["approve", id, "--yes", "--json"]).ok().json();
    assert_eq!(decided["kind"], "forward");
    for _ in 0..3 {
        let output = ran(&mut both.ssh(&both.through, &["-W", &end, "web1"]), b"x");
        assert_eq!(output.stdout, b"x1", "{}", stderr(&output));
    }
    let said = refused(&both, &format!("127.0.0.1:{other}"));
    assert!(said.contains("approval.pending"), "{said}");
    let id = both.asked()[0]["id"].as_str().unwrap().to_owned();
    both.sgw.operator(["deny", &id, "--message", "not there"]).ok();
    let said = refused(&both, &format!("127.0.0.1:{other}"));
    assert!(said.contains("error[approval.denied]"), "{said}");
    assert_eq!(both.sgw.recorded("forward.approved").len(), 1);
}

#[test]
fn a_person_reads_where_it_leads_and_for_how_long_a_yes_holds() {
    let both = Both::granted(&["--only", "exec,forward"]);
    let port = echoes();
    refused(&both, &format!("127.1:{port}"));
    let id = both.asked()[0]["id"].as_str().unwrap().to_owned();
    let mut terminal = both.sgw.looks_at(&id);
    let screen = terminal.wait_for(r"Give it\?");
    let one = screen.split_whitespace().collect::<Vec<_>>().join("");
    for told in [
        &format!("to127.0.0.1:{port}"),
        "theserverconnectsthere",
        "ayesholdsforexactlythisenduntilthesessionisover",
        "becauseforward.unmatched",
    ] {
        assert!(one.contains(told), "{told}: {screen}");
    }
    // Who asked has left by then, and was looked at before.
    assert!(!one.contains("anunknownprogram"), "{screen}");
    drop(terminal);
    both.sgw.operator(["approve", &id, "--yes", "--json"]).ok();
    let waited = both.sgw.by(&both.token, ["wait", &id, "--json"]).ok().json();
    assert_eq!(waited["kind"], "forward");
    assert_eq!(waited["status"], "approved");
}

#[test]
fn what_the_policy_blocks_is_blocked_in_every_spelling() {
    let both = Both::forwarding();
    for end in [
        "169.254.169.254:80",
        "2852039166:80",
        "[::ffff:169.254.169.254]:80",
        "METADATA.google.internal.:80",
    ] {
        let said = refused(&both, end);
        assert!(
            said.contains("error[guard.blocked]") && said.contains("forward.metadata"),
            "{said}"
        );
    }
    assert!(both.asked().is_empty(), "nobody can say yes");
    assert_eq!(both.sgw.recorded("forward.blocked").len(), 4);
    assert!(both.sgw.recorded("forward.intent").is_empty());
}

#[test]
fn a_master_connection_takes_forwards_later_and_gives_them_up() {
    let both = Both::forwarding();
    let control = both.sgw.path("control");
    let at = format!("ControlPath={}", control.display());
    let words = ["-N", "-o", "ControlMaster=yes", "-o", &at, "web1"];
    let mut master = Running::start(&mut both.ssh(&both.through, &words));
    eventually("the master is there", || control.exists());
    let mux = |words: &[&str]| {
        let words: Vec<&str> = ["-o", &at].iter().chain(words).copied().collect();
        ran(&mut both.ssh(&both.through, &words), b"")
    };
    let fine = |words: &[&str]| {
        let output = mux(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", stderr(&output));
        output
    };
    assert!(stderr(&fine(&["-O", "check", "web1"])).contains("Master running"));
    assert_eq!(fine(&["web1", "echo one"]).stdout, b"one\n");
    let socket = both.sgw.path("later.sock");
    let spec = format!("{}:127.0.0.1:{}", socket.display(), echoes());
    fine(&["-O", "forward", "-L", &spec, "web1"]);
    assert!(asks_unix(&socket, b"later") == expected(b"later"));
    let back = format!("127.0.0.1:0:127.0.0.1:{}", echoes());
    let port = String::from_utf8(fine(&["-O", "forward", "-R", &back, "web1"]).stdout).unwrap();
    let port: u16 = port.trim().parse().unwrap();
    assert!(asks_tcp(port, b"back") == expected(b"back"));
    // As it was asked for: the port was the server's choice.
    fine(&["-O", "cancel", "-R", &back, "web1"]);
    eventually("it listens no more", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    fine(&["-O", "cancel", "-L", &spec, "web1"]);
    assert_eq!(fine(&["web1", "echo two"]).stdout, b"two\n");
    fine(&["-O", "exit", "web1"]);
    eventually("the master is gone", || master.has_ended());
}

#[test]
fn what_is_open_ends_with_the_session_the_token_and_the_lock() {
    for end in ["session", "token", "lock"] {
        let both = Both::forwarding();
        let (_ssh, socket) = both.leads("ends.sock", &format!("127.0.0.1:{}", echoes()));
        let mut stream = connected(&socket);
        stream.write_all(b"x").unwrap();
        let mut back = [0; 1];
        stream.read_exact(&mut back).unwrap();
        match end {
            "session" => _ = both.sgw.by(&both.token, ["close", "web1"]).ok(),
            "token" => _ = both.sgw.operator(["token", "revoke", "ci"]).ok(),
            _ => both.sgw.lock(),
        }
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert!(!matches!(stream.read(&mut back), Ok(1..)), "{end}: it goes on");
    }
}

#[test]
fn while_the_operator_has_the_keyboard_or_has_paused_it_nothing_goes_through() {
    let both = Both::forwarding();
    let (_ssh, socket) = both.leads("held.sock", &format!("127.0.0.1:{}", echoes()));
    let mut stream = connected(&socket);
    let mut says = |word: &[u8], comes: bool| {
        stream.write_all(word).unwrap();
        let wait = if comes { 60_000 } else { 700 };
        stream.set_read_timeout(Some(Duration::from_millis(wait))).unwrap();
        let mut back = [0; 1];
        let came = stream.read_exact(&mut back).is_ok();
        assert_eq!(came, comes, "{word:?}");
        came
    };
    says(b"a", true);
    both.sgw.by(&both.token, ["handoff", "web1", "please look", "--no-wait"]).exits(75);
    says(b"b", false);
    let said = refused(&both, "127.0.0.1:9");
    assert!(said.contains("control.operator"), "{said}");
    both.sgw.operator(["return", "web1"]).ok();
    // What was written meanwhile comes first.
    says(b"", true);
    says(b"c", true);
    both.sgw.operator(["pause", "--all"]).ok();
    says(b"d", false);
    both.sgw.operator(["resume", "--all"]).ok();
    says(b"", true);
    says(b"e", true);
}

#[test]
fn a_watcher_sees_that_one_opened_and_closed() {
    let both = Both::forwarding();
    both.same(&["web1", "true"], b"");
    let session = both.sgw.by(&both.token, ["sessions", "--json"]).ok().json();
    let session = session["sessions"][0]["id"].as_str().unwrap().to_owned();
    let mut live = Live::watch(&both.sgw, &session);
    let port = echoes();
    let output =
        ran(&mut both.ssh(&both.through, &["-W", &format!("127.0.0.1:{port}"), "web1"]), b"secret");
    assert_eq!(output.stdout, b"secret6", "{}", stderr(&output));
    for open in [true, false] {
        let event = live.hears("the forward", |event| event["type"] == "forward");
        assert_eq!(event["forward"]["open"], open);
        assert_eq!(event["forward"]["end"], format!("127.0.0.1:{port}"));
        assert!(!event.to_string().contains("secret"));
    }
}

#[test]
fn a_client_that_does_not_read_its_forward_holds_up_nobody_else() {
    let both = Both::forwarding();
    let floods = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = floods.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in floods.incoming().flatten() {
            thread::spawn(move || while stream.write_all(&[7; 65536]).is_ok() {});
        }
    });
    let (_ssh, flood) = both.leads("flood.sock", &format!("127.0.0.1:{port}"));
    let (_other, echo) = both.leads("echo.sock", &format!("127.0.0.1:{}", echoes()));
    // Nobody reads this.
    let mut unread = connected(&flood);
    let mut first = [0; 1];
    unread.read_exact(&mut first).unwrap();
    thread::sleep(Duration::from_secs(2));
    both.same(&["web1", "echo still here"], b"");
    assert!(asks_unix(&echo, b"x") == expected(b"x"), "another client's");
    // The same client's own: what is behind has its connection to itself.
    let mut second = connected(&flood);
    second.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    second.read_exact(&mut first).unwrap();
    let daemon = both.sgw.daemon().unwrap();
    let memory = || {
        let status = fs::read_to_string(format!("/proc/{daemon}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = memory();
    thread::sleep(Duration::from_secs(1));
    assert!(memory() < before + 8 * 1024, "it does not grow: {before} to {}", memory());
}

#[test]
fn clients_that_are_killed_leave_no_connection_behind() {
    let both = Both::forwarding();
    let (port, daemon) = (echoes(), both.sgw.daemon().unwrap());
    both.same(&["-W", &format!("127.0.0.1:{port}"), "web1"], b"x");
    let open = || fs::read_dir(format!("/proc/{daemon}/fd")).unwrap().count();
    let connections = || {
        let status = both.sgw.agent(["daemon", "status", "--json"]).ok().json();
        status["connections"].as_u64().unwrap_or(0)
    };
    eventually("it is at rest", || connections() <= 2);
    let before = open();
    for round in 0..8 {
        let (ssh, socket) =
            both.leads(&format!("killed-{round}.sock"), &format!("127.0.0.1:{port}"));
        let mut stream = connected(&socket);
        stream.write_all(&noise(100_000)).unwrap();
        if round % 2 == 0 {
            let mut back = [0; 1000];
            stream.read_exact(&mut back).unwrap();
        }
        ssh.signal(Signal::KILL);
    }
    eventually("its descriptors are as before", || open() <= before + 8);
    eventually("its connections too", || connections() <= 3);
    both.same(&["web1", "echo still here"], b"");
}

#[test]
fn odd_ends_are_told_in_words() {
    let both = Both::forwarding();
    let through = |words: &[&str]| {
        let output = ran(&mut both.ssh(&both.through, words), b"");
        (output.status.code(), stderr(&output))
    };
    for end in ["a..b:1", "999.1.1.1:1", "x;y:1", "bücher.example:1"] {
        let (code, said) = through(&["-W", end, "web1"]);
        assert_eq!(code, Some(255), "{said}");
        assert!(said.contains("error[usage.destination]"), "{end}: {said}");
    }
    let spec = format!("{}:/x", both.sgw.path("r.sock").display());
    let (code, said) = through(&["-R", &spec, "web1", "true"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("listening on a socket"), "{said}");
    let policy: Command =
        both.sgw.command(["policy", "check", "--forward", "169.254.169.254:80", "--json"]);
    let said = both.sgw.run(&mut { policy }).ok().json();
    assert_eq!((&said["verdict"], &said["rule"]), (&"block".into(), &"forward.metadata".into()));
}
