//! On the machine: memory, files, tracers, signals.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    process::Command,
    rc::Rc,
};

use crate::support::{Person, Running, Sgw, Sshd, eventually, is_alive, is_root, still_serves};

#[test]
fn an_agent_starts_no_daemon_not_even_under_its_tracer() {
    let sgw = Sgw::new();
    sgw.init();
    for words in [vec!["request", "host", "--reason", "x"], vec!["exec", "s-234", "--", "true"]] {
        let plain = sgw.command(&words);
        let mut traced = Command::new("strace");
        traced.args(["-f", "-o", "/dev/null"]).arg(plain.get_program()).args(plain.get_args());
        traced.env_clear().envs(plain.get_envs().filter_map(|(k, v)| Some((k, v?))));
        let mut fooled = Command::new("unshare");
        fooled.arg("-Ur").arg(plain.get_program()).args(plain.get_args());
        fooled.env_clear().envs(plain.get_envs().filter_map(|(k, v)| Some((k, v?))));
        for mut command in [plain, traced, fooled] {
            let outcome = sgw.run(&mut command);
            if outcome.stderr().contains("unshare failed") || outcome.code() == 127 {
                continue;
            }
            outcome.exits(69);
        }
    }
    // Without the key no daemon comes up, whoever starts it.
    let mut daemon = sgw.start(["daemon", "run"]);
    daemon.close_stdin();
    let outcome = daemon.ends();
    assert_ne!(outcome.code(), 0, "{outcome:?}");
    assert_eq!(sgw.daemon(), None);
}

/// Whether a process of this person's can read a file of another.
fn can_read(person: &Person, pid: u32, file: &str) -> bool {
    let mut dd = Command::new("dd");
    let from = format!("if=/proc/{pid}/{file}");
    person.runs(&mut dd);
    dd.args([&from, "of=/dev/null", "count=1"]).env_clear().env("PATH", "/usr/bin:/bin");
    dd.output().unwrap().status.success()
}

#[test]
fn the_memory_of_an_operators_client_is_closed_to_its_own_user() {
    let person = Rc::new(Person::ordinary());
    let sgw = Sgw::of(&person);
    sgw.init();
    sgw.unlock();
    let mut asking = sgw.terminal(["audit", "list"]);
    asking.wait_for("Passphrase");
    let environ = fs::metadata(format!("/proc/{}/environ", asking.pid())).unwrap();
    assert_eq!(environ.uid(), 0, "its process's own user owns what is in /proc of it");
    for file in ["mem", "environ", "maps"] {
        assert!(!can_read(&person, asking.pid(), file), "/proc/PID/{file} can be read");
    }
    asking.send("\x03");
    asking.waits_for_end();
}

#[test]
fn the_memory_of_a_daemon_is_closed_to_its_own_user() {
    let person = Rc::new(Person::ordinary());
    let sgw = Sgw::of(&person);
    sgw.init();
    let pid = sgw.unlock();
    let mut innocent = Running::start(person.runs(Command::new("cat").env("SEEN", "yes")));
    let read = |pid: u32, file: &str| can_read(&person, pid, file);
    // A process like any other can be read by its user: the attack is a real one.
    eventually("it runs", || read(innocent.pid(), "environ"));
    for file in ["mem", "environ", "maps", "auxv"] {
        assert!(!read(pid, file), "/proc/{pid}/{file} can be read");
    }
    let mut ls = Command::new("ls");
    let listed = person.runs(ls.arg(format!("/proc/{pid}/fd"))).output().unwrap();
    assert!(!listed.status.success(), "its descriptors can be listed: {listed:?}");
    let mut strace = Command::new("strace");
    strace.args(["-p", &pid.to_string(), "-o", "/dev/null"]);
    let traced = person.runs(&mut strace).output();
    assert!(traced.is_err() || !traced.unwrap().status.success(), "it can be traced");
    innocent.close_stdin();
    assert!(is_alive(pid));
}

#[test]
fn a_home_that_others_can_write_is_refused() {
    let sgw = Sgw::new();
    sgw.init();
    for mode in [0o777, 0o770, 0o755] {
        fs::set_permissions(sgw.home(), fs::Permissions::from_mode(mode)).unwrap();
        let outcome = sgw.operator(["unlock"]);
        if mode & 0o022 == 0 && outcome.code() == 0 {
            // Readable by others is no danger if what lies in it is not.
            sgw.lock();
            continue;
        }
        outcome.fails(1, "home.unsafe");
    }
    fs::set_permissions(sgw.home(), fs::Permissions::from_mode(0o700)).unwrap();
    let moved = sgw.path("moved");
    fs::rename(sgw.home(), &moved).unwrap();
    symlink(&moved, sgw.home()).unwrap();
    sgw.operator(["unlock"]).fails(1, "home.unsafe");
    fs::remove_file(sgw.home()).unwrap();
    fs::rename(&moved, sgw.home()).unwrap();
    if is_root() {
        std::os::unix::fs::chown(sgw.home(), Some(65534), Some(65534)).unwrap();
        sgw.operator(["unlock"]).fails(1, "home.unsafe");
        std::os::unix::fs::chown(sgw.home(), Some(0), Some(0)).unwrap();
    }
    sgw.unlock();
}

#[test]
fn a_regex_bomb_is_only_a_regex() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session(&sshd);
    let line = "head -c 200000 /dev/zero | tr '\\0' x";
    let id = sgw.agent(["exec", &s, "--json", "--", line]).ok().json();
    let id = id["id"].as_str().unwrap().to_owned();
    for bomb in ["(x+x+)+y", "(x*)*y", "(a|aa)+$", "((x{1,50}){1,50}){1,50}y", "x{9999999}"] {
        let outcome = sgw.agent(["output", &id, "--grep", bomb]);
        assert!(outcome.took().as_secs() < 20, "{bomb} took {outcome:?}");
    }
    still_serves(&sgw, &s);
}

#[test]
fn killing_the_daemon_opens_nothing() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session(&sshd);
    let request = sgw.requests(&sshd, &["--new"]);
    sgw.kill_daemon();
    sgw.agent(["exec", &s, "--", "true"]).fails(69, "daemon.unreachable");
    sgw.unlock();
    // Approvals and sessions end with the daemon that gave them.
    assert_ne!(sgw.agent(["exec", &s, "--", "true"]).code(), 0);
    assert_ne!(sgw.agent(["wait", &request, "--no-wait"]).code(), 0);
}
