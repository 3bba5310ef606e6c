//! Who says who they are: other users, namespaces, lying names, parents that are gone, programs that
//! type into a desk, daemons that stand still.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    rc::Rc,
};

use rustix::process::Signal;

use super::super::ordinary;
use crate::support::{PASSPHRASE, Person, Running, Sgw, Sshd, eventually, frames, is_root, signal};

/// The command under another program, which starts it with what comes behind.
fn under(words: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(words[0]);
    outer.args(&words[1..]).arg(command.get_program()).args(command.get_args());
    outer.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer
}

#[test]
fn in_namespaces_of_its_own_an_agent_is_who_it_was() {
    let person = Rc::new(Person::ordinary());
    let sgw = Sgw::of(&person);
    sgw.init();
    sgw.unlock();
    for spaces in ["-Ur", "-Urpf", "-Urmpf", "-Uf"] {
        let words = ["unshare", spaces];
        let mut whoami = under(&words, &sgw.command(["whoami", "--json"]));
        let outcome = sgw.run(person.runs(&mut whoami));
        if outcome.stderr().contains("unshare") {
            eprintln!("left out: no namespaces for users here ({spaces})");
            continue;
        }
        if outcome.code() == 0 {
            assert_eq!(outcome.json()["identity"], format!("uid:{}", person.uid), "{outcome:?}");
        }
        // Root in its own eyes is not the operator, nor does it get a daemon of its own.
        let mut list = under(&words, &sgw.command(["token", "list"]));
        sgw.run(person.runs(&mut list)).fails(77, "operator.proof");
    }
}

/// Bytes that somebody else's connection to the socket gets to read after a hello.
fn heard_by(uid: u32, socket: &std::path::Path) -> usize {
    let script = "use IO::Socket::UNIX; $SIG{PIPE} = 'IGNORE'; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die $!; \
                  local $/; print $s <STDIN>; $s->flush; my $b = <$s>; print length($b // '');";
    let mut perl = Command::new("setpriv");
    let ids = [format!("--reuid={uid}"), format!("--regid={uid}")];
    perl.args(["--clear-groups"]).args(ids).args(["--", "perl", "-e", script]).arg(socket);
    perl.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = Running::start(&mut perl);
    running.write(&frames::frame(frames::JSON, 0, &frames::hello(1)));
    let outcome = running.ends().ok();
    outcome.stdout().parse().unwrap()
}

#[test]
fn another_user_hears_nothing_even_where_the_operator_left_the_doors_open() {
    if !is_root() {
        return eprintln!("left out: only root can be somebody else");
    }
    let sgw = ordinary();
    let stranger = Person::ordinary();
    let open = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&sgw.path(""), 0o755);
    open(&sgw.home(), 0o755);
    open(&sgw.home().join("run"), 0o755);
    for name in ["agent.sock", "operator.sock"] {
        let socket = sgw.find(name);
        open(&socket, 0o666);
        // A user, nobody (whom the kernel shows where it can't map a uid), and root.
        for uid in [stranger.uid, 65534, 0] {
            assert_eq!(heard_by(uid, &socket), 0, "{name} answers uid {uid}");
        }
    }
    open(&sgw.home(), 0o700);
    open(&sgw.home().join("run"), 0o700);
    sgw.agent(["whoami"]).ok();
}

#[test]
fn a_name_that_lies_and_parents_that_are_gone_are_shown_as_seen_and_give_nothing() {
    let (sgw, sshd) = (ordinary(), Sshd::start());
    let destination = sshd.destination();
    // What reads /proc/PID/stat without care takes this for a child of init.
    for name in ["x) S 1 1 1", "a\x1b[2J\nPPid:\t1"] {
        let shell = sgw.path(name);
        fs::copy("/bin/sh", &shell).unwrap();
        fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
        let reason = format!("by {}", name.len());
        let words = ["request", &destination, "--new", "--no-wait", "--json", "--reason", &reason];
        let mut asks = lies(&shell, &sgw.command(words));
        let asked = sgw.run(as_owner(&sgw, &mut asks));
        let request = asked.fails(75, "request.pending").waits_on();
        let passphrase = sgw.passphrase_file().display().to_string();
        let mut terminal = sgw.terminal(["approve", &request, "--passphrase-file", &passphrase]);
        let first = name.split(['\x1b', ' ']).next().unwrap();
        terminal.wait_for(&format!("started by .*{}", regex::escape(first)));
        let raw = String::from_utf8_lossy(&terminal.raw()).into_owned();
        assert!(!raw.contains("\x1b[2J") && !raw.contains("\nPPid"), "{raw:?}");
        terminal.send("\x03");
        terminal.waits_for_end();
        // And nobody is the operator by a name.
        let mut list = lies(&shell, &sgw.command(["approve", &request, "--yes"]));
        sgw.run(as_owner(&sgw, &mut list)).fails(77, "operator.proof");
    }
}

/// The command as a child of a shell that has another name.
fn lies(shell: &std::path::Path, command: &Command) -> Command {
    under(&[shell.to_str().unwrap(), "-c", "\"$0\" \"$@\"; exit $?"], command)
}

/// Who runs the instance.
fn as_owner<'a>(sgw: &Sgw, command: &'a mut Command) -> &'a mut Command {
    use std::os::unix::{fs::MetadataExt, process::CommandExt};
    let home = fs::metadata(sgw.home()).unwrap();
    if is_root() { command.uid(home.uid()).gid(home.gid()) } else { command }
}

#[test]
fn whoever_leaves_the_agents_tree_still_has_no_proof() {
    let (sgw, sshd) = (ordinary(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let fork = "(\"$0\" \"$@\" </dev/null >\"$OUT\" 2>&1; echo \"rc=$?\" >>\"$OUT\") & exit 0";
    for (number, words) in [
        vec!["approve", &request, "--yes"],
        vec!["approve", &request, "--yes", "--i-am-the-operator"],
        vec!["grant", "add", "--target", "*", "--uid", "0"],
        vec!["vault", "passphrase"],
        vec!["desk"],
    ]
    .into_iter()
    .enumerate()
    {
        let out = sgw.path("operator").join(format!("out{number}"));
        let mut gone = under(&["setsid", "-f", "sh", "-c", fork], &sgw.command(words.clone()));
        sgw.run(as_owner(&sgw, gone.env("OUT", &out).env("CLAUDECODE", "1"))).ok();
        let said = || fs::read_to_string(&out).unwrap_or_default();
        eventually("it has ended", || said().contains("rc="));
        let code = said().lines().find_map(|line| line.strip_prefix("rc=")?.parse::<i32>().ok());
        assert!(matches!(code, Some(2 | 77)), "{words:?} {}", said());
    }
    assert_eq!(super::pending(&sgw), 1);
}

#[test]
fn keys_sent_into_a_desk_under_a_real_tmux_meet_the_pin() {
    if Command::new("tmux").arg("-V").output().is_err() {
        return eprintln!("left out: there is no tmux");
    }
    let (sgw, sshd) = (ordinary(), Sshd::start());
    let pin = sgw.write_private("pin", "7314\n");
    sgw.operator(["pin", "--pin-file", pin.to_str().unwrap()]).ok();
    let s = sgw.session_with(&sshd, &["--mode", "each"]);
    let socket = sgw.path("operator/tmux");
    let tmux = |words: &[&str]| {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&socket).args(["-f", "/dev/null"]).args(words).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8").env("TERM", "xterm-256color");
        sgw.run(as_owner(&sgw, command.env("SGW_HOME", sgw.home()).env("HOME", sgw.user_home())))
    };
    let screen = || tmux(&["capture-pane", "-p"]).stdout();
    let desk = sgw.command(["desk", "--i-am-the-operator"]);
    let desk = format!("{} desk --i-am-the-operator", desk.get_program().display());
    tmux(&["new-session", "-d", "-x", "100", "-y", "40", &desk]).ok();
    eventually("it asks", || screen().contains("assphrase"));
    // The operator is there, once.
    tmux(&["send-keys", "-l", PASSPHRASE]).ok();
    tmux(&["send-keys", "Enter"]).ok();
    eventually("the desk is there", || screen().contains("under tmux"));
    let ask = ["exec", &s, "--no-wait", "--json", "--", "echo", "typed-by-an-agent"];
    let request = sgw.agent(ask).fails(75, "approval.pending").waits_on();
    eventually("it is shown", || screen().contains(&format!("> {request}")));
    // Keys before a request was seen count for nothing, nor do keys faster than a person's: one at a
    // time, until one does.
    eventually("it asks for the PIN", || {
        tmux(&["send-keys", "r"]).ok();
        std::thread::sleep(std::time::Duration::from_secs(1));
        screen().contains("your PIN for")
    });
    for count in 1..=3 {
        tmux(&["send-keys", "-l", "1111"]).ok();
        tmux(&["send-keys", "Enter"]).ok();
        eventually("a wrong one is on record", || sgw.recorded("pin.failed").len() == count);
    }
    eventually("the passphrase is asked for", || screen().contains("your passphrase for"));
    tmux(&["send-keys", "Enter"]).ok();
    assert_eq!(super::pending(&sgw), 1, "{}", screen());
    assert!(sgw.recorded("exec.intent").is_empty());
    tmux(&["kill-server"]).ok();
}

#[test]
fn a_daemon_that_stands_still_opens_nothing_and_goes_on_where_it_was() {
    let (sgw, sshd) = (ordinary(), Sshd::start());
    let s = sgw.session_with(&sshd, &["--for", "5s"]);
    let proof = sshd.directory().join("ran");
    let daemon = sgw.daemon().unwrap();
    signal(daemon, Signal::STOP);
    // Past its time it would be a command that nobody allowed: its clock went on.
    let late = sgw.start(["exec", &s, "--", &format!("touch {}", proof.display())]);
    std::thread::sleep(std::time::Duration::from_secs(6));
    signal(daemon, Signal::CONT);
    assert_ne!(late.ends().code(), 0);
    assert!(!proof.exists(), "it ran past its time");
}
