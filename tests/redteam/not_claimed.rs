//! Not claimed: these attacks succeed, and SECURITY.md says so. When one fails, the table is wrong.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use rustix::process::Signal;

use crate::support::{PASSPHRASE, Pty, Running, Sgw, Sshd, processes_naming, signal};

#[test]
fn whoever_replaces_the_program_gets_the_passphrase() {
    let sgw = Sgw::unlocked();
    let loot = sgw.path("loot");
    let fake = sgw.path("bin");
    fs::create_dir(&fake).unwrap();
    let script = format!(
        "#!/bin/sh\nprintf 'Passphrase: '; stty -echo; read p; printf %s \"$p\" > {}\n",
        loot.display()
    );
    fs::write(fake.join("sgw"), script).unwrap();
    fs::set_permissions(fake.join("sgw"), fs::Permissions::from_mode(0o755)).unwrap();
    // A line in the shell's rc file is enough to put it first.
    let mut shell = Command::new("sh");
    shell.args(["-c", "sgw unlock"]).env("PATH", format!("{}:/usr/bin:/bin", fake.display()));
    let mut terminal = Pty::start(&shell);
    terminal.wait_for("Passphrase");
    terminal.send(&format!("{PASSPHRASE}\r"));
    terminal.ends();
    assert_eq!(fs::read_to_string(loot).unwrap(), PASSPHRASE);
}

#[test]
fn whoever_types_into_the_operators_terminal_is_the_operator() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let identity = sshd.key.path.display().to_string();
    let fingerprint = sshd.host_key_fingerprint();
    let mut approve = vec!["approve", &request, "--identity", &identity];
    approve.extend(["--accept-host-key", &fingerprint]);
    let mut terminal = sgw.terminal(approve);
    terminal.wait_for("(?i)passphrase");
    // The person proves who they are; the rest is typed by whoever holds the terminal's other end.
    terminal.send(&format!("{PASSPHRASE}\r"));
    terminal.wait_for("a test");
    for _ in 0..5 {
        if terminal.has_ended() {
            break;
        }
        terminal.settle();
        terminal.send("y\r");
    }
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    sgw.agent(["wait", &request]).ok();
}

#[test]
fn what_hides_on_the_target_stays_there() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session(&sshd);
    let number = 700_000 + std::process::id();
    // Its environment is cleared and its command line its own: no marker leads to it.
    let line = format!("env -i setsid sleep {number} >/dev/null 2>&1 </dev/null & echo left");
    sgw.agent(["exec", &s, "--", &line]).ok().prints("left\n");
    sgw.agent(["close", &s]).ok();
    let name = number.to_string();
    let left: Vec<u32> = processes_naming(&name)
        .into_iter()
        .filter(|pid| fs::read(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == b"sleep\n"))
        .collect();
    assert_eq!(left.len(), 1, "it was found after all");
    left.into_iter().for_each(|pid| signal(pid, Signal::KILL));
}

#[test]
fn a_borrowed_key_is_the_agents_too() {
    // A key file that the agent's user can read needs no sgw: only what the vault holds is held.
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    sgw.session(&sshd);
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]);
    ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-i"]).arg(&sshd.key.path);
    ssh.args(["-p", &sshd.port().to_string(), &format!("{}@127.0.0.1", sshd.user), "echo in"]);
    assert_eq!(ssh.output().unwrap().stdout, b"in\n");
}

#[test]
fn within_one_uid_a_token_is_a_label_that_others_can_wear() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    sgw.target("web1", &sshd);
    let token = sgw.token("ci", &[]);
    sgw.grant(&["--token", "ci", "--target", "web1"]);
    let agent = Running::start(Command::new("sleep").arg("600").env("SGW_TOKEN", &token.text));
    // Another agent of this uid reads the environment of the first.
    let environment = fs::read(format!("/proc/{}/environ", agent.pid())).unwrap();
    let mut variables = environment.split(|byte| *byte == 0);
    let worn = variables.find_map(|one| one.strip_prefix(b"SGW_TOKEN=")).expect("its token");
    let worn = String::from_utf8(worn.to_vec()).unwrap();
    let me = sgw.by_text(&worn, ["whoami", "--json"]).ok().json();
    assert_eq!(me["token"], "ci");
    sgw.by_text(&worn, ["exec", "web1", "--", "echo", "as ci"]).ok().prints("as ci\n");
    agent.signal(Signal::KILL);
    agent.ends();
}
