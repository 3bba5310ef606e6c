//! Service mode: the last column of SECURITY.md's table. The agent has a uid of its own, and so have the
//! operator and the daemon.

use std::{
    fs,
    io::Write,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    thread,
};

use rustix::{
    process::{Gid, Uid},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

use crate::support::{
    PASSPHRASE, Person, Pty, Running, Service, Sshd, eventually, frames, is_alive, tool,
};

/// What a program of this uid and group finds at a socket: whether it gets in, and whether somebody
/// answers its hello. Its own program: this thread.
fn answered(socket: &Path, uid: u32, gid: u32) -> Result<bool, std::io::Error> {
    let socket = socket.to_owned();
    thread::spawn(move || {
        let (user, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        set_thread_groups(&[])?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)?;
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(crate::support::PATIENCE))?;
        let hello = br#"{"protocol":1,"version":"0.1.0","features":[],"token":null,"proof":false}"#;
        let _gone = stream.write_all(&frames::frame(frames::JSON, 0, hello));
        let mut byte = [0];
        let read = std::io::Read::read(&mut stream, &mut byte);
        Ok(matches!(read, Ok(1)))
    })
    .join()
    .unwrap()
}

#[test]
fn the_operators_socket_takes_one_uid_with_one_group_and_no_other() {
    let service = Service::unlocked();
    let path = service.socket("operator");
    let group = service.gid(&service.names[1]);
    let (operator, agent) = (&service.operator, &service.agent);
    // As it is: whoever has not the group does not get in at all.
    for person in [operator, agent] {
        assert!(answered(&path, person.uid, person.gid).is_err(), "{} got in", person.name);
    }
    // Though its file were open to all, the daemon goes by what the kernel says of the peer.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    for (uid, gid) in [
        (operator.uid, operator.gid),
        (agent.uid, agent.gid),
        (agent.uid, group),
        (service.daemon_uid(), group),
        (0, 0),
        (0, group),
        (65534, group),
    ] {
        assert!(!answered(&path, uid, gid).unwrap(), "uid {uid} gid {gid} was answered");
    }
    assert!(answered(&path, operator.uid, group).unwrap(), "the attack is a real one");
    // The agents' says who they are, and its file lets members of the group in alone.
    let agents = service.gid(&service.names[2]);
    assert!(answered(&service.socket("agent"), agent.uid, agents).unwrap());
    assert!(answered(&service.socket("agent"), 65534, 65534).is_err());
    service.operator(["requests"]).ok();
}

#[test]
fn the_group_is_given_to_the_installed_program_alone_and_untraced() {
    let service = Service::unlocked();
    let operator = &service.operator;
    let home = operator.home().unwrap().to_owned();
    let words = ["requests", "--i-am-the-operator"];
    let run = |program: &str, before: &[&str]| {
        let mut all: Vec<String> = before.iter().map(|word| (*word).to_owned()).collect();
        all.push(service.program().display().to_string());
        all.extend(words.map(str::to_owned));
        Running::start(&mut service.command_of(operator, Path::new(program), all)).ends()
    };
    run("/usr/bin/env", &[]).ok();
    run("/usr/bin/setpriv", &["--no-new-privs", "--"]).fails(77, "operator.proof");
    run("/usr/bin/strace", &["-f", "-o", "/dev/null"]).fails(77, "operator.proof");
    let fooled = run("/usr/bin/unshare", &["-Ur"]);
    assert!(fooled.code() != 0, "{fooled:?}");
    // A copy has no group, and no service that it believes in.
    let copy = home.join("bin/sgw");
    fs::create_dir(home.join("bin")).unwrap();
    fs::copy(service.program(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let mut copied = service.command_of(operator, &copy, words);
    let copied = Running::start(&mut copied).ends();
    assert_ne!(copied.code(), 0, "{copied:?}");
    // Not even where it is made to.
    let etc = home.join("etc");
    fs::create_dir(&etc).unwrap();
    std::os::unix::fs::symlink(service.path("etc/sgw"), etc.join("sgw")).unwrap();
    let mut copied = service.command_of(operator, &copy, words);
    Running::start(&mut copied).ends().fails(1, "home.unsafe");
    // What the loader is told by the environment reaches the copy, and not the real one.
    let planted = home.join("planted.so").display().to_string();
    let preloaded = |program: PathBuf| {
        // Set by a program in between, which is not preloaded itself.
        let words = [format!("LD_PRELOAD={planted}"), program.display().to_string()];
        let mut command = service.command_of(operator, Path::new("/usr/bin/env"), words);
        Running::start(command.arg("--version")).ends().ok().stderr()
    };
    assert!(preloaded(copy).contains("planted.so"), "the attack is a real one");
    assert!(!preloaded(service.program()).contains("planted.so"), "it was listened to");
}

/// Whether a process of this person's can read a file of another.
fn can_read(service: &Service, person: &Person, file: &str) -> bool {
    let words = [format!("if={file}"), "of=/dev/null".into(), "count=1".into()];
    let mut dd = service.command_of(person, Path::new("/usr/bin/dd"), words);
    dd.output().unwrap().status.success()
}

fn can_trace(service: &Service, person: &Person, pid: u32) -> bool {
    let words = ["-p".to_owned(), pid.to_string(), "-o".into(), "/dev/null".into()];
    let mut strace = service.command_of(person, Path::new("/usr/bin/strace"), words);
    strace.output().unwrap().status.success()
}

#[test]
fn the_memory_of_daemon_and_operators_client_is_closed_to_all_three() {
    let service = Service::unlocked();
    let daemon = u32::try_from(service.status()["pid"].as_u64().unwrap()).unwrap();
    let plain = service.command(&service.operator, ["audit", "list", "--i-am-the-operator"]);
    let mut asking = Pty::start(&plain);
    asking.wait_for("Passphrase");
    for person in [&service.operator, &service.agent] {
        for pid in [daemon, asking.pid()] {
            for file in ["mem", "environ", "maps", "auxv"] {
                let path = format!("/proc/{pid}/{file}");
                assert!(!can_read(&service, person, &path), "{} reads {path}", person.name);
            }
            assert!(!can_trace(&service, person, pid), "{} traces {pid}", person.name);
        }
    }
    asking.send("\x03");
    asking.waits_for_end();
    assert!(is_alive(daemon));
    // The attack is a real one: a program like any other can be read by its user.
    let mut cat = service.command_of(&service.agent, Path::new("/bin/cat"), [] as [&str; 0]);
    let innocent = Running::start(&mut cat);
    let path = format!("/proc/{}/environ", innocent.pid());
    eventually("its own is open", || can_read(&service, &service.agent, &path));
}

#[test]
fn an_agent_replaces_and_ends_nothing() {
    let (service, sshd) = (Service::unlocked(), Sshd::start());
    let session = service.session(&sshd);
    let daemon = u32::try_from(service.status()["pid"].as_u64().unwrap()).unwrap();
    let digest = |path: &Path| fs::read(path).unwrap();
    let program = digest(&service.program());
    let inode = fs::metadata(service.socket("operator")).unwrap().ino();
    let prefix = service.prefix.display();
    for line in [
        format!("rm -f {prefix}/run/sgw/operator.sock"),
        format!("mv {prefix}/run/sgw/agent.sock {prefix}/run/sgw/old"),
        format!("mv {prefix}/run/sgw {prefix}/run/old"),
        format!("touch {prefix}/run/sgw/planted"),
        format!("cp /bin/true {prefix}/bin/sgw"),
        format!("mv {prefix}/bin/sgw {prefix}/bin/old"),
        format!("echo operator = {} >>{prefix}/etc/sgw/service.toml", service.agent.uid),
        format!("cat {prefix}/var/lib/sgw/vault.json"),
        format!("ls {prefix}/var/lib/sgw"),
        format!("rm -rf {prefix}/var/lib/sgw"),
        format!("kill -9 {daemon}"),
        format!("kill -STOP {daemon}"),
    ] {
        for person in [&service.agent, &service.operator] {
            let mut sh = service.command_of(person, Path::new("/bin/sh"), ["-c", &line]);
            let tried = Running::start(&mut sh).ends();
            // `rm -f` of what is there and stays is a failure too.
            assert_ne!(tried.code(), 0, "{} did: {line}", person.name);
        }
    }
    assert_eq!(digest(&service.program()), program);
    assert_eq!(fs::metadata(service.socket("operator")).unwrap().ino(), inode);
    service.agent(["exec", &session, "--", "echo", "still here"]).ok().prints("still here\n");
    // What the agent's own program says as the operator's.
    service.agent(["approve", "r-234", "--yes", "--i-am-the-operator"]).fails(77, "operator.proof");
    service.agent(["lock", "--i-am-the-operator"]).fails(77, "operator.proof");
    service.agent(["unlock", "--i-am-the-operator"]).fails(77, "operator.proof");
    assert!(is_alive(daemon));
}

#[test]
fn a_client_believes_nobody_but_root_and_the_daemon() {
    let service = Service::unlocked();
    // Somebody else listens, at the right path, put there by root's mistake.
    let path = service.socket("operator");
    fs::rename(&path, path.with_extension("aside")).unwrap();
    let agent = (service.agent.uid, service.agent.gid);
    let at = path.clone();
    std::os::unix::fs::chown(service.path("run/sgw"), Some(agent.0), None).unwrap();
    let fake = thread::spawn(move || {
        let (user, group) = (Some(Uid::from_raw(agent.0)), Some(Gid::from_raw(agent.1)));
        set_thread_res_gid(group, group, group).unwrap();
        set_thread_res_uid(user, user, user).unwrap();
        UnixListener::bind(at).unwrap()
    });
    let fake = fake.join().unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    // The way there is no longer root's: it does not even go.
    service.operator(["requests"]).fails(1, "home.unsafe");
    std::os::unix::fs::chown(service.path("run/sgw"), Some(0), None).unwrap();
    service.operator(["requests"]).fails(1, "home.unsafe").says("belongs to uid");
    service.operator(["unlock"]).fails(1, "home.unsafe");
    fake.set_nonblocking(true).unwrap();
    while let Ok((mut stream, _)) = fake.accept() {
        let mut heard = Vec::new();
        stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        std::io::Read::read_to_end(&mut stream, &mut heard).unwrap();
        assert!(heard.is_empty(), "it was told {} bytes", heard.len());
    }
    fs::rename(path.with_extension("aside"), &path).unwrap();
    service.operator(["requests"]).ok();
    // A way that leads through a link is none.
    let (run, moved) = (service.path("run/sgw"), service.path("run/moved"));
    fs::rename(&run, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &run).unwrap();
    service.operator(["requests"]).fails(1, "home.unsafe");
}

#[test]
fn nothing_that_was_planted_is_left_where_an_agent_reads() {
    let (service, sshd) = (Service::unlocked(), Sshd::start());
    let session = service.session(&sshd);
    service.agent(["exec", &session, "--", "true"]).ok();
    let key = fs::read_to_string(&sshd.key.path).unwrap();
    let key = key.lines().nth(2).unwrap();
    let mut found = std::process::Command::new("grep");
    found.args(["-rlF", "-e", PASSPHRASE, "-e", key]).arg(service.path("var"));
    assert_eq!(String::from_utf8(found.output().unwrap().stdout).unwrap(), "");
    let mut plain = std::process::Command::new("test");
    tool(plain.arg("-d").arg(service.path("var/lib/sgw")));
}
