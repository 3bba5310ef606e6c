//! How the daemon's life begins: with sockets that were handed to it, without its key.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use crate::support::{Handed, PASSPHRASE, Running, Service, Sshd};

#[test]
fn until_its_key_is_there_it_answers_69_to_all_but_three() {
    let service = Service::set_up();
    service.start();
    let asks = ["request", "host", "--reason", "x"];
    // Not even a vault yet.
    service.agent(asks).fails(69, "daemon.unreachable");
    service.operator(["requests"]).fails(69, "operator.none");
    service.operator(["unlock"]).fails(69, "operator.none");
    let status = service.status();
    assert_eq!((&status["running"], &status["unlocked"]), (&true.into(), &false.into()));
    service.operator(["init"]).ok();
    service.operator(["init"]).fails(1, "operator.exists");
    // A vault, and no key.
    for words in [asks.as_slice(), &["exec", "s-234", "--", "true"], &["wait", "r-234"]] {
        service.agent(words).fails(69, "daemon.unreachable");
    }
    for words in [&["requests"][..], &["audit", "list"], &["pause", "--all"], &["config", "list"]] {
        service.operator(words).fails(69, "daemon.unreachable");
    }
    assert_eq!(service.agent(["status", "--json"]).ok().json()["unlocked"], false);
    service.operator(["lock"]).ok();
    let wrong = service.write_private("wrong", "not the passphrase at all");
    let mut unlock = service.command(&service.operator, ["unlock", "--i-am-the-operator"]);
    Running::start(unlock.arg("--passphrase-file").arg(&wrong)).ends().fails(77, "operator.proof");
    service.operator(["unlock"]).ok();
    service.operator(["unlock"]).ok().prints("unlocked already\n");
    service.operator(["requests"]).ok();
}

#[test]
fn a_lock_ends_it_and_the_next_one_waits_for_its_key() {
    let (service, sshd) = (Service::unlocked(), Sshd::start());
    let session = service.session(&sshd);
    let pid = u32::try_from(service.status()["pid"].as_u64().unwrap()).unwrap();
    service.operator(["lock"]).ok();
    service.daemon_is_gone(pid);
    let next = service.start();
    assert_ne!(next, pid);
    service.agent(["exec", &session, "--", "true"]).fails(69, "daemon.unreachable");
    service.operator(["unlock"]).ok();
    // Sessions ended with the daemon that had them.
    assert_ne!(service.agent(["exec", &session, "--", "true"]).code(), 0);
    service.operator(["audit", "verify"]).ok();
}

fn credential(service: &Service, passphrase: impl AsRef<[u8]>) -> PathBuf {
    let directory = service.path("credentials");
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("sgw.passphrase");
    fs::write(&file, [passphrase.as_ref(), b"\n"].concat()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    for path in [&directory, &file] {
        std::os::unix::fs::chown(path, Some(service.daemon_uid()), None).unwrap();
    }
    directory
}

#[test]
fn the_machines_credential_unlocks_it_unless_the_operator_has_locked_it() {
    let service = Service::unlocked();
    let ends = |service: &Service| {
        let pid = u32::try_from(service.status()["pid"].as_u64().unwrap()).unwrap();
        crate::support::signal(pid, rustix::process::Signal::TERM);
        service.daemon_is_gone(pid);
    };
    let unlocked = |service: &Service| service.status()["unlocked"] == true;
    let directory = credential(&service, PASSPHRASE);
    ends(&service);
    service.start_with(Some(&directory));
    assert!(unlocked(&service), "by its credential");
    service.operator(["lock"]).ok();
    service.start_with(Some(&directory));
    assert!(!unlocked(&service), "the operator has locked it");
    service.operator(["unlock"]).ok();
    ends(&service);
    service.start_with(Some(&directory));
    assert!(unlocked(&service), "and has unlocked it again");
    let long = "x".repeat(1 << 20);
    let wrong: [&[u8]; 5] = [
        b"another passphrase than the vault's",
        &PASSPHRASE.as_bytes()[..20],
        b"",
        b"\xff\xfe",
        long.as_bytes(),
    ];
    for wrong in wrong {
        ends(&service);
        credential(&service, wrong);
        service.start_with(Some(&directory));
        assert!(!unlocked(&service), "by a wrong credential of {} bytes", wrong.len());
    }
    service.operator(["unlock"]).ok();
}

#[test]
fn it_takes_only_what_was_handed_to_it_by_name_and_to_this_process() {
    let service = Service::set_up();
    let user = service.names[0].clone();
    let right = || Handed {
        pid: "$$",
        count: "2",
        names: "agent:operator",
        user: &user,
        credentials: None,
    };
    let cases = [
        Handed { pid: "1", ..right() },
        Handed { pid: "", ..right() },
        Handed { count: "1", ..right() },
        Handed { count: "3", ..right() },
        Handed { names: "operator:agent", ..right() },
        Handed { names: "agent:agent", ..right() },
        Handed { names: "agent:operator:agent", ..right() },
        Handed { names: "", ..right() },
        Handed { user: &service.agent.name, ..right() },
        Handed { user: &service.operator.name, ..right() },
        Handed { user: "root", ..right() },
    ];
    for case in &cases {
        let output = service.hand_over(case).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{}:{}:{}", case.pid, case.count, case.names);
        assert!(told.contains("sgw: error[") || told.contains("setpriv"), "{told}");
    }
    // Without sockets at all.
    let mut bare =
        service.command_of(&service.agent, &service.program(), ["daemon", "run", "--service"]);
    Running::start(&mut bare).ends().exits(1).says("no sockets were handed over");
    service.operator(["daemon", "run"]).fails(2, "usage.arguments");
    service.start();
    assert_eq!(service.status()["running"], true);
}

#[test]
fn systemds_own_activation_starts_it() {
    let activate = "/usr/bin/systemd-socket-activate";
    if !std::path::Path::new(activate).exists() {
        eprintln!("left out: systemd-socket-activate is not installed");
        return;
    }
    let service = Service::set_up();
    for name in ["agent", "operator"] {
        fs::remove_file(service.socket(name)).unwrap();
    }
    let uid = service.daemon_uid();
    let mut command = std::process::Command::new(activate);
    command.arg("-l").arg(service.socket("agent")).arg("-l").arg(service.socket("operator"));
    command.args(["--fdname=agent:operator", "setpriv"]);
    command.args([format!("--reuid={uid}"), format!("--regid={uid}")]);
    command.args(["--clear-groups", "--no-new-privs"]).arg(service.program());
    command.args(["daemon", "run", "--service"]).env_clear().env("PATH", "/usr/sbin:/usr/bin:/bin");
    let activated = Running::start(&mut command);
    let [_, operators, agents] = &service.names;
    for (name, group) in [("agent", agents), ("operator", operators)] {
        let path = service.socket(name);
        crate::support::eventually("systemd listens", || path.exists());
        std::os::unix::fs::chown(&path, Some(0), Some(service.gid(group))).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
    }
    service.operator(["init"]).ok();
    service.operator(["unlock"]).ok();
    assert_eq!(service.agent(["status", "--json"]).ok().json()["unlocked"], true);
    drop(activated);
}
