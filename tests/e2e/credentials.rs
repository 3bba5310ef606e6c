//! What the operator logs in with, and that it goes nowhere else.

use std::{fs, path::Path, process::Command};

use crate::support::{Form, Key, OddServer, PASSWORD, Person, Running, Sgw, Sshd};

/// Approves with these flags in place of the target's usual key.
fn approve(sgw: &Sgw, request: &str, fingerprint: &str, with: &[&str]) -> crate::support::Outcome {
    let mut arguments = vec!["approve", request, "--yes", "--json"];
    arguments.extend(["--accept-host-key", fingerprint]);
    arguments.extend(with);
    sgw.operator(arguments)
}

#[track_caller]
fn works(sgw: &Sgw, request: &str) {
    let session = sgw.agent(["wait", request]).ok().stdout().trim().to_owned();
    sgw.agent(["exec", &session, "--", "echo", "works"]).ok().prints("works\n");
}

#[test]
fn private_keys_work_in_every_form() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    for form in [Form::OpenSsh, Form::Pem, Form::Pkcs8, Form::Ppk] {
        let key = Key::in_form(&sgw.path(&format!("key-{form:?}").to_lowercase()), form);
        sshd.allow(&key);
        let request = sgw.requests(&sshd, &["--new", "--for", &format!("{}m", form as u32 + 10)]);
        let identity = key.path.display().to_string();
        let fingerprint = sshd.host_key_fingerprint();
        let outcome = approve(&sgw, &request, &fingerprint, &["--identity", &identity]);
        assert_eq!(outcome.code(), 0, "{form:?} {outcome:?}");
        let session = sgw.agent(["wait", &request]).ok().stdout();
        sgw.agent(["exec", session.trim(), "--", "true"]).ok();
    }
}

#[test]
fn an_encrypted_key_asks_for_its_passphrase_on_the_terminal() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let secret = "canary-passphrase-of-a-key";
    sgw.plant(secret.as_bytes());
    let key = Key::encrypted(&sgw.path("locked"), secret);
    sshd.allow(&key);
    let request = sgw.requests(&sshd, &[]);
    let identity = key.path.display().to_string();
    let fingerprint = sshd.host_key_fingerprint();
    // Without a terminal nothing prompts: what is missing is an error.
    let refused = approve(&sgw, &request, &fingerprint, &["--identity", &identity]);
    assert_ne!(refused.code(), 0, "{refused:?}");

    let passphrase = sgw.passphrase_file().display().to_string();
    let mut arguments = vec!["approve", &request, "--yes", "--identity", &identity];
    arguments.extend(["--accept-host-key", &fingerprint, "--passphrase-file", &passphrase]);
    let mut terminal = sgw.terminal(arguments);
    terminal.wait_for("(?i)passphrase");
    terminal.send(&format!("{secret}\r"));
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains(secret), "{screen}");
    works(&sgw, &request);
}

#[test]
fn a_password_works_and_is_found_nowhere() {
    let (sgw, server) = (Sgw::unlocked(), OddServer::start(Default::default()));
    sgw.plant(PASSWORD.as_bytes());
    let request = sgw.requests(&server, &[]);
    let file = server.password_file.display().to_string();
    let fingerprint = server.seen().fingerprint();
    approve(&sgw, &request, &fingerprint, &["--password-file", &file]).ok();
    works(&sgw, &request);
}

#[test]
fn a_real_server_takes_the_password_of_an_ordinary_user() {
    let person = Person::ordinary();
    let Some(password) = person.password.clone() else {
        return eprintln!("left out: only root can make a user with a password");
    };
    let sshd = Sshd::with().user(&person).line("PasswordAuthentication yes").start();
    let sgw = Sgw::unlocked();
    sgw.plant(password.as_bytes());
    let file = sgw.write_private("password", &password).display().to_string();
    let request = sgw.requests(&sshd, &[]);
    let fingerprint = sshd.host_key_fingerprint();
    approve(&sgw, &request, &fingerprint, &["--password-file", &file]).ok();
    works(&sgw, &request);
}

#[test]
fn a_password_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (sgw, server) = (Sgw::unlocked(), OddServer::start(Default::default()));
    fs::set_permissions(&server.password_file, fs::Permissions::from_mode(0o644)).unwrap();
    let request = sgw.requests(&server, &[]);
    let file = server.password_file.display().to_string();
    let fingerprint = server.seen().fingerprint();
    let outcome = approve(&sgw, &request, &fingerprint, &["--password-file", &file]);
    assert_ne!(outcome.code(), 0, "{outcome:?}");
    assert_eq!(server.seen().credentials(), 0);
}

#[test]
fn keyboard_interactive_with_one_hidden_question_takes_the_password() {
    let server = OddServer::asking(&[("Password: ", false, PASSWORD)]);
    let sgw = Sgw::unlocked();
    sgw.plant(PASSWORD.as_bytes());
    let request = sgw.requests(&server, &[]);
    let file = server.password_file.display().to_string();
    let fingerprint = server.seen().fingerprint();
    approve(&sgw, &request, &fingerprint, &["--password-file", &file]).ok();
    works(&sgw, &request);
}

#[test]
fn keyboard_interactive_that_asks_for_more_is_not_answered_with_the_password() {
    for questions in [
        [("Password: ", false, PASSWORD), ("Code: ", false, "123456")].as_slice(),
        &[("What do you see? ", true, PASSWORD)],
    ] {
        let server = OddServer::asking(questions);
        let sgw = Sgw::unlocked();
        let request = sgw.requests(&server, &[]);
        let file = server.password_file.display().to_string();
        let fingerprint = server.seen().fingerprint();
        let outcome = approve(&sgw, &request, &fingerprint, &["--password-file", &file]);
        outcome.fails_as(77, &["login.interactive", "target.auth"]);
        assert_eq!(server.seen().credentials(), 0, "an answer was sent");
    }
}

/// An ssh-agent that holds one key.
struct SshAgent {
    socket: String,
    _process: Running,
}

impl SshAgent {
    fn holding(sgw: &Sgw, key: &Path) -> Self {
        let socket = sgw.path("ssh-agent").display().to_string();
        let mut process = Running::start(Command::new("ssh-agent").args(["-D", "-a", &socket]));
        process.prints("SSH_AUTH_SOCK");
        let mut add = Command::new("ssh-add");
        let added = add.arg(key).env("SSH_AUTH_SOCK", &socket).output().unwrap();
        assert!(added.status.success(), "{added:?}");
        Self { socket, _process: process }
    }
}

#[test]
fn the_operators_ssh_agent_logs_in_and_the_agent_never_sees_its_socket() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let agent = SshAgent::holding(&sgw, &sshd.key.path);
    let request = sgw.requests(&sshd, &[]);
    let fingerprint = sshd.host_key_fingerprint();
    let mut arguments = vec!["approve", &request, "--yes", "--json", "--use-agent"];
    arguments.extend(["--accept-host-key", &fingerprint]);
    let mut command = sgw.operator_command(arguments);
    sgw.run(command.env("SSH_AUTH_SOCK", &agent.socket)).ok();
    works(&sgw, &request);
}

#[test]
fn ssh_config_proposes_host_port_user_and_key() {
    let Some(sgw) = Sgw::of_someone_with_a_home() else { return };
    let sshd = Sshd::start();
    sgw.give(&sshd.key.path);
    let (port, user, key) = (sshd.port(), &sshd.user, sshd.key.path.display());
    let config = format!(
        "Host web1\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile {key}\n"
    );
    sgw.write_in_user_home(".ssh/config", &config);
    let ask = ["request", "web1", "--reason", "a test", "--no-wait", "--json"];
    let request = sgw.agent(ask).fails(75, "request.pending").waits_on();
    approve(&sgw, &request, &sshd.host_key_fingerprint(), &[]).ok();
    let session = sgw.agent(["wait", &request, "--json"]).ok().json();
    assert_eq!(session["target"], "web1");
    assert_eq!((&session["host"], &session["port"]), (&"127.0.0.1".into(), &port.into()));
    sgw.agent(["exec", "web1", "--", "echo", "works"]).ok().prints("works\n");
}

#[test]
fn a_chain_of_jump_hosts_is_walked_and_each_host_key_counts() {
    let Some(sgw) = Sgw::of_someone_with_a_home() else { return };
    let (jump, inner) = (Sshd::start(), Sshd::start());
    [&jump, &inner].into_iter().for_each(|sshd| sgw.give(&sshd.key.path));
    let block = |name: &str, sshd: &Sshd, more: &str| {
        let (port, user, key) = (sshd.port(), &sshd.user, sshd.key.path.display());
        format!(
            "Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  \
             IdentityFile {key}\n{more}\n"
        )
    };
    let both = block("bastion", &jump, "") + &block("inner", &inner, "  ProxyJump bastion");
    sgw.write_in_user_home(".ssh/config", &both);
    let ask = ["request", "inner", "--reason", "a test", "--no-wait", "--json"];
    let request = sgw.agent(ask).fails(75, "request.pending").waits_on();
    // One host key of two is not enough.
    approve(&sgw, &request, &jump.host_key_fingerprint(), &[]).fails(77, "hostkey.unknown");
    assert_eq!(inner.logins(), 0);
    let innermost = inner.host_key_fingerprint();
    let with = ["--accept-host-key", &innermost];
    approve(&sgw, &request, &jump.host_key_fingerprint(), &with).ok();
    works(&sgw, &request);
    assert!(jump.logins() > 0 && inner.logins() > 0);
}

#[test]
fn a_config_that_would_run_a_command_is_refused_with_the_line_and_runs_none() {
    let Some(sgw) = Sgw::of_someone_with_a_home() else { return };
    let sshd = Sshd::start();
    let proof = sgw.path("ran");
    let touch = format!("touch {}", proof.display());
    for line in [
        format!("Match exec \"{touch}\"\n  User nobody"),
        format!("Host web1\n  ProxyCommand {touch}; nc %h %p"),
        format!("Host web1\n  KnownHostsCommand /bin/sh -c '{touch}'"),
    ] {
        let fresh = format!("{line}\nHost web1\n  HostName 127.0.0.1\n  Port {}\n", sshd.port());
        sgw.write_in_user_home(".ssh/config", &fresh);
        let ask = ["request", "web1", "--reason", "a test", "--no-wait", "--json"];
        let request = sgw.agent(ask).fails(75, "request.pending").waits_on();
        let outcome = approve(&sgw, &request, &sshd.host_key_fingerprint(), &[]);
        let outcome = outcome.fails(77, "target.config");
        let keyword = line.split_whitespace().find(|word| word.len() > 8 || *word == "Match");
        let keyword = keyword.unwrap();
        assert!(outcome.stdout().contains(keyword), "{keyword} is not named: {outcome:?}");
        assert!(!proof.exists(), "it ran: {line}");
        sgw.agent(["close", &request]).ok();
    }
}

#[test]
fn a_closed_session_forgets_its_credential() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    sgw.agent(["exec", &session, "--", "true"]).ok();
    sgw.agent(["close", &session]).ok();
    let outcome = sgw.agent(["exec", &session, "--", "true"]);
    outcome.fails_as(125, &["session.closed", "session.unknown"]);
    let destination = sshd.destination();
    sgw.agent(["exec", &destination, "--", "true"]).fails(77, "grant.missing");
    sgw.requests(&sshd, &[]);
}

#[test]
fn the_daemon_opens_no_path_that_its_clients_name() {
    // The key is read by the operator's own client: gone from the disk, the session still works.
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let copy = sgw.path("copy-of-the-key");
    fs::copy(&sshd.key.path, &copy).unwrap();
    let request = sgw.requests(&sshd, &[]);
    let identity = copy.display().to_string();
    approve(&sgw, &request, &sshd.host_key_fingerprint(), &["--identity", &identity]).ok();
    fs::remove_file(copy).unwrap();
    works(&sgw, &request);
}
