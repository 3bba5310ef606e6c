//! sgw as a service of the machine: set up by root, unlocked by the operator, asked by an agent; four
//! uids, none of which is another's.

mod begins;
mod set_up;

use std::{fs, os::unix::fs::MetadataExt};

use crate::support::{Running, Service, Sshd, eventually, tool};

#[test]
fn three_users_request_approve_and_run() {
    let (service, sshd) = (Service::unlocked(), Sshd::start());
    let session = service.session(&sshd);
    service
        .agent(["exec", &session, "--", "echo", "through the service"])
        .ok()
        .prints("through the service\n");
    let seen = service.agent(["status", "--json"]).ok().json();
    assert_eq!(seen["mode"], "service");
    assert_eq!(seen["identity"], format!("uid:{}", service.agent.uid));
    // The daemon is its own user's, and so is all that it keeps.
    let pid = service.status()["pid"].as_u64().unwrap();
    let uids = [service.daemon_uid(), service.operator.uid, service.agent.uid];
    let of = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let ids = of.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    assert!(ids.split_whitespace().all(|id| id == uids[0].to_string()), "{ids}");
    assert!(uids[0] != uids[1] && uids[1] != uids[2] && uids[0] != uids[2]);
    let home = fs::metadata(service.path("var/lib/sgw")).unwrap();
    assert_eq!((home.uid(), home.mode() & 0o7777), (uids[0], 0o700));
    // The record says on whose word.
    let record = service.operator(["audit", "list", "--json"]).ok().stdout();
    assert!(record.contains(&format!("uid:{}", service.agent.uid)), "{record}");
    service.operator(["audit", "verify"]).ok();
    let text = service.operator(["daemon", "status"]).ok().stdout();
    assert!(text.starts_with("service: runs for "), "{text}");
}

#[test]
fn what_an_operators_command_starts_has_not_the_operators_group() {
    let service = Service::unlocked();
    let group = service.gid(&service.names[1]).to_string();
    let script = "grep -E '^(Gid|Groups):' /proc/self/status";
    let ran = service.operator(["run", "--name", "probe", "--", "sh", "-c", script]);
    let printed = ran.ok().stdout();
    assert!(printed.contains("Gid:"), "{printed}");
    let ids = printed.split_whitespace();
    assert!(!ids.clone().any(|id| id == group), "group {group} in {printed}");
    // `ssh -G`, which an approval runs: one of their own in front of it says what it has.
    let home = service.operator.home().unwrap();
    let bin = home.join("bin");
    fs::create_dir(&bin).unwrap();
    let told = home.join("told");
    let wrapper = format!(
        "#!/bin/sh\ngrep Gid: /proc/self/status >>{}\nexec /usr/bin/ssh \"$@\"\n",
        told.display()
    );
    fs::write(bin.join("ssh"), wrapper).unwrap();
    for (path, mode) in [(bin.clone(), 0o755), (bin.join("ssh"), 0o755)] {
        std::os::unix::fs::chown(&path, Some(service.operator.uid), None).unwrap();
        tool(std::process::Command::new("chmod").arg(format!("{mode:o}")).arg(&path));
    }
    let sshd = Sshd::start();
    let asked = ["request", &sshd.destination(), "--reason", "x", "--no-wait", "--json"];
    let request = service.agent(asked).fails(75, "request.pending").waits_on();
    let key = service.write_private("identity", fs::read(&sshd.key.path).unwrap());
    let (key, fingerprint) = (key.display().to_string(), sshd.host_key_fingerprint());
    let words = ["approve", &request, "--yes", "--identity", &key, "--accept-host-key"];
    let mut approve = service.operator_command(words.into_iter().chain([&*fingerprint]));
    approve.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    Running::start(&mut approve).ends().ok();
    let gids = fs::read_to_string(&told).unwrap_or_default();
    assert!(gids.contains("Gid:") && !gids.split_whitespace().any(|id| id == group), "{gids:?}");
}

#[test]
fn an_ssh_agent_is_passed_connected() {
    let (service, sshd) = (Service::unlocked(), Sshd::start());
    let home = service.operator.home().unwrap();
    let key = service.write_private("identity", fs::read(&sshd.key.path).unwrap());
    let socket = home.join("agent");
    let mut agent =
        service.command_of(&service.operator, "/usr/bin/ssh-agent".as_ref(), ["-D", "-a"]);
    let agent = Running::start(agent.arg(&socket));
    eventually("the ssh-agent listens", || socket.exists());
    let mut add = service.command_of(&service.operator, "/usr/bin/ssh-add".as_ref(), ["-q"]);
    tool(add.arg(&key).env("SSH_AUTH_SOCK", &socket));
    fs::remove_file(&key).unwrap();
    let asked = ["request", &sshd.destination(), "--reason", "x", "--no-wait", "--json"];
    let request = service.agent(asked).fails(75, "request.pending").waits_on();
    let mut approve = service.operator_command(["approve", &request, "--yes", "--use-agent"]);
    approve.args(["--accept-host-key", &sshd.host_key_fingerprint()]);
    Running::start(approve.env("SSH_AUTH_SOCK", &socket)).ends().ok();
    let session = service.agent(["wait", &request]).ok().stdout().trim().to_owned();
    service.agent(["exec", &session, "--", "echo", "lent"]).ok().prints("lent\n");
    drop(agent);
}

#[test]
fn the_daemon_runs_no_command_of_anybodys() {
    let service = Service::unlocked();
    service
        .operator(["config", "set", "notify", "[\"touch\",\"/tmp/x\"]"])
        .fails(1, "service.unfit");
    service
        .operator([
            "target",
            "add",
            "web1",
            "deploy@web1",
            "--proxy-command",
            "nc %h %p",
            "--use-agent",
        ])
        .fails(1, "service.unfit");
}

#[test]
fn an_operator_who_asks_as_an_agent_is_told_what_that_is_worth() {
    let (service, sshd) = (Service::unlocked(), Sshd::start());
    let asked = ["request", &sshd.destination(), "--reason", "x", "--no-wait", "--json"];
    let as_operator =
        |words: &[&str]| Running::start(&mut service.command(&service.operator, words)).ends();
    // Not a member of the agents' group yet.
    as_operator(&asked).fails(69, "daemon.unreachable");
    let findings = || service.operator(["doctor", "--json"]).json()["checks"].clone();
    let shared = |findings: &serde_json::Value| {
        let all = findings.as_array().unwrap();
        all.iter().find(|one| one["id"] == "service.shared").unwrap()["status"].clone()
    };
    let before = findings();
    assert_eq!(shared(&before), "ok", "{before:#}");
    let wrong = before.as_array().unwrap().iter().filter(|one| {
        let id = one["id"].as_str().unwrap();
        (id.starts_with("service.") || id.starts_with("sgw.")) && one["status"] != "ok"
    });
    assert_eq!(wrong.count(), 0, "{before:#}");
    let operator = service.operator.name.clone();
    let mut join = service.installer(&["--apply", "--agent", &operator]);
    Running::start(&mut join).ends().ok();
    assert_eq!(shared(&findings()), "warn");
    let request = as_operator(&asked).fails(75, "request.pending").waits_on();
    service.approves(&request, &sshd).says("personal-grade");
}

#[test]
fn a_home_of_another_in_the_environment_means_nothing() {
    let service = Service::unlocked();
    let elsewhere = service.operator.home().unwrap().join("elsewhere");
    let mut status = service.operator_command(["daemon", "status", "--json"]);
    status.env("SGW_HOME", &elsewhere).env("SGW_CONFIG", &elsewhere);
    let status = Running::start(&mut status).ends().ok().json();
    assert_eq!(status["home"], service.path("var/lib/sgw").to_str().unwrap());
    assert_eq!(status["unlocked"], true);
    let mut init = service.operator_command(["init"]);
    Running::start(init.env("SGW_HOME", &elsewhere)).ends().fails(1, "operator.exists");
    assert!(!elsewhere.exists());
}
