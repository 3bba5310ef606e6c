//! A yes for a named target needs nothing else: what logs in there is in the vault, or is borrowed as
//! the target says.

use super::*;
use crate::support::{Key, OddServer, PASSWORD, Person, eventually};

#[test]
fn a_request_by_name_is_answered_with_a_yes_alone() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    add(&sgw, "web1", &sshd, &["--prod"]);
    let request = ask(&sgw, "web1");
    let said = sgw.operator(["approve", &request, "--yes"]).ok();
    let (name, place) = ("web1 = ", sshd.destination());
    for shown in [name, &place, "PROD", &sshd.key.fingerprint(), "held in the vault"] {
        assert!(said.stderr().contains(shown), "{shown:?} is not shown: {said:?}");
    }
    assert!(said.stderr().contains(&sshd.host_key_fingerprint()), "{said:?}");
    let session = sgw.agent(["wait", &request, "--json"]).ok().json();
    assert_eq!((&session["target"], &session["port"]), (&"web1".into(), &sshd.port().into()));
    works(&sgw, "web1");
}

#[test]
fn the_agents_own_words_do_not_tell_which_targets_there_are() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    add(&sgw, "web1", &sshd, &[]);
    assert_eq!(sgw.agent(["whoami", "--json"]).ok().json()["targets"], serde_json::json!([]));
    let unknown = sgw.agent(["exec", "wbe1", "--json", "--", "true"]);
    assert!(!unknown.stdout().contains("web1"), "{unknown:?}");
    // The question of somebody without proof holds no more than was asked.
    let request = ask(&sgw, "web1");
    let requests = sgw.agent(["requests", "--json"]);
    assert!(!requests.stdout().contains(&sshd.port().to_string()), "{requests:?}");
    yes(&sgw, &request).ok();
}

#[test]
fn a_name_counts_more_than_a_host_of_ssh_config() {
    let Some(sgw) = Sgw::of_someone_with_a_home() else { return };
    let (sshd, other) = (Sshd::start(), Sshd::start());
    let config = format!("Host web1\n  HostName 127.0.0.1\n  Port {}\n", other.port());
    sgw.write_in_user_home(".ssh/config", &config);
    add(&sgw, "web1", &sshd, &[]);
    let session = session(&sgw, "web1");
    works(&sgw, &session);
    assert_eq!((sshd.logins() > 0, other.logins()), (true, 0));
}

#[test]
fn a_password_logs_in_and_is_found_nowhere() {
    let (sgw, server) = (Sgw::unlocked(), OddServer::start(Default::default()));
    sgw.plant(PASSWORD.as_bytes());
    let (file, key) = (text(&server.password_file), server.seen().fingerprint());
    let with = ["--password-file", &file, "--accept-host-key", &key];
    let added = try_add(&sgw, "odd", &server.destination(), &with).ok().json();
    assert_eq!(added["credential"], serde_json::json!({ "kind": "password", "bound": [key] }));
    let session = session(&sgw, "odd");
    works(&sgw, &session);
}

#[test]
fn a_real_server_s_password_is_kept() {
    let person = Person::ordinary();
    let Some(password) = person.password.clone() else {
        return eprintln!("left out: only root can make a user with a password");
    };
    let sshd = Sshd::with().user(&person).line("PasswordAuthentication yes").start();
    let sgw = Sgw::unlocked();
    sgw.plant(password.as_bytes());
    let file = text(&sgw.write_private("password", &password));
    let key = sshd.host_key_fingerprint();
    let with = ["--password-file", &file, "--accept-host-key", &key];
    try_add(&sgw, "web1", &sshd.destination(), &with).ok();
    let session = session(&sgw, "web1");
    works(&sgw, &session);
}

#[test]
fn a_login_that_takes_a_person_is_repeated_with_what_the_vault_holds() {
    let rounds: [&[_]; 2] = [&[("Password: ", false, PASSWORD)], &[("Code: ", true, "123456")]];
    let server = OddServer::interviewing(&rounds, false);
    let sgw = Sgw::unlocked();
    sgw.plant(PASSWORD.as_bytes());
    let (file, key) = (text(&server.password_file), server.seen().fingerprint());
    let with = ["--password-file", &file, "--accept-host-key", &key];
    try_add(&sgw, "odd", &server.destination(), &with).ok();
    let request = ask(&sgw, "odd");
    let proof = text(&sgw.passphrase_file());
    let answer = |request: &str| {
        let mut terminal = sgw.terminal(["approve", request, "--passphrase-file", &proof]);
        terminal.wait_for("Give it");
        terminal.send("y");
        // The password is known; the code is the person's.
        terminal.wait_for("Code:[\\s\\S]*Your answer");
        terminal.send("123456\r");
        let (code, screen) = terminal.ends();
        assert_eq!(code, 0, "{screen}");
    };
    answer(&request);
    let session = sgw.agent(["wait", &request]).ok().stdout().trim().to_owned();
    works(&sgw, &session);
    server.seen().hang_up();
    eventually("the session is lost", || {
        sgw.agent(["show", &session, "--json"]).ok().json()["status"] == "lost"
    });
    let again = sgw.agent(["exec", &session, "--no-wait", "--json", "--", "echo", "works"]);
    let login = again.fails_as(75, &["approval.pending", "request.pending"]).waits_on();
    answer(&login);
    works(&sgw, &session);
}

#[test]
fn a_certificate_of_a_user_logs_in_where_the_key_alone_does_not() {
    let sgw = Sgw::unlocked();
    let authority = Key::ed25519(&sgw.path("authority"));
    let trusted = format!("TrustedUserCAKeys {}", authority.path.with_extension("pub").display());
    let sshd = Sshd::with().line(&trusted).start();
    let key = Key::ed25519(&sgw.path("certified"));
    let certificate = text(&key.certified_by(&authority.path, &["-n", &sshd.user]));
    let (identity, host_key) = (text(&key.path), sshd.host_key_fingerprint());
    let plain = ["--identity", &identity, "--accept-host-key", &host_key];
    try_add(&sgw, "plain", &sshd.destination(), &plain).ok();
    yes(&sgw, &ask(&sgw, "plain")).fails(77, "target.auth");
    let with = [&plain[..], &["--certificate", &certificate]].concat();
    let added = try_add(&sgw, "web1", &sshd.destination(), &with).ok().json();
    assert_eq!(added["credential"]["kind"], "certificate");
    let session = session(&sgw, "web1");
    works(&sgw, &session);
    // Another key's certificate, and a host's, are none.
    let foreign = Key::ed25519(&sgw.path("foreign"));
    let other = text(&foreign.certified_by(&authority.path, &["-n", &sshd.user]));
    let with = ["--identity", &identity, "--certificate", &other];
    try_add(&sgw, "x", "me@x", &with).fails(2, "target.unfit");
    let hosts = text(&key.certified_by(&authority.path, &["-h", "-n", "x"]));
    let with = ["--identity", &identity, "--certificate", &hosts];
    try_add(&sgw, "x", "me@x", &with).fails(2, "target.unfit");
}

#[test]
fn a_jump_host_is_a_target_too() {
    let (sgw, jump, inner) = (Sgw::unlocked(), Sshd::start(), Sshd::start());
    add(&sgw, "bastion", &jump, &[]);
    add(&sgw, "inner", &inner, &["--jump", "bastion"]);
    let request = ask(&sgw, "inner");
    let said = sgw.operator(["approve", &request, "--yes"]).ok();
    assert!(said.stderr().contains("bastion = ") && said.stderr().contains("inner = "), "{said:?}");
    let session = sgw.agent(["wait", &request]).ok().stdout().trim().to_owned();
    works(&sgw, &session);
    assert!(jump.logins() > 0 && inner.logins() > 0);
}

#[test]
fn a_command_of_the_operator_s_leads_there() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    // `%p` alone: where nothing listens the target's own host and port lead nowhere.
    let pipe = format!(
        "/bin/bash -c 'exec 3<>/dev/tcp/127.0.0.1/{}; cat <&3 & cat >&3; kill %%1'",
        sshd.port()
    );
    let identity = text(&sgw.write_private("identity", fs::read(&sshd.key.path).unwrap()));
    let key = sshd.host_key_fingerprint();
    let destination = format!("{}@nowhere.invalid", sshd.user);
    let with = ["--identity", &identity, "--accept-host-key", &key, "--proxy-command", &pipe];
    try_add(&sgw, "web1", &destination, &with).ok();
    let request = ask(&sgw, "web1");
    let said = sgw.operator(["approve", &request, "--yes"]).ok();
    assert!(said.stderr().contains("a command that sgw runs here"), "{said:?}");
    let session = sgw.agent(["wait", &request]).ok().stdout().trim().to_owned();
    works(&sgw, &session);
    sgw.agent(["close", &session]).ok();
    // One that leads nowhere is told, and so is one that can't be understood.
    sgw.operator(["target", "edit", "web1", "--proxy-command", "false"]).ok();
    yes(&sgw, &ask(&sgw, "web1")).fails(255, "target.unreachable");
    sgw.operator(["target", "edit", "web1", "--proxy-command", "nc %n"]).ok();
    yes(&sgw, &ask(&sgw, "web1")).fails(255, "target.unreachable");
}

#[test]
fn a_login_repeated_after_the_target_moved_goes_by_the_session_s_own_command() {
    let server = OddServer::interviewing(&[&[("Code: ", true, "123456")]], true);
    let sgw = Sgw::unlocked();
    let pipe = format!(
        "/bin/bash -c 'exec 3<>/dev/tcp/127.0.0.1/{}; cat <&3 & cat >&3; kill %%1'",
        server.seen().address().port()
    );
    let identity = text(&sgw.write_private("identity", fs::read(&server.key.path).unwrap()));
    let key = server.seen().fingerprint();
    let with = ["--identity", &identity, "--accept-host-key", &key, "--proxy-command", &pipe];
    try_add(&sgw, "odd", "odd@nowhere.invalid", &with).ok();
    let proof = text(&sgw.passphrase_file());
    let answer = |request: &str, more: &[&str]| {
        let words = ["approve", request, "--passphrase-file", &proof];
        let mut terminal = sgw.terminal(words.iter().chain(more));
        terminal.wait_for("Give it");
        let shown = terminal.screen();
        assert!(shown.contains("a command that sgw runs here"), "{shown}");
        terminal.send("y");
        terminal.wait_for("Code:[\\s\\S]*Your answer");
        terminal.send("123456\r");
        let (code, screen) = terminal.ends();
        assert_eq!(code, 0, "{screen}");
    };
    let request = ask(&sgw, "odd");
    answer(&request, &[]);
    let session = sgw.agent(["wait", &request]).ok().stdout().trim().to_owned();
    sgw.operator(["target", "edit", "odd", "--dest", "odd@elsewhere.invalid"]).ok();
    server.seen().hang_up();
    eventually("the session is lost", || {
        sgw.agent(["show", &session, "--json"]).ok().json()["status"] == "lost"
    });
    let again = sgw.agent(["exec", &session, "--no-wait", "--json", "--", "echo", "works"]);
    let login = again.fails_as(75, &["approval.pending", "request.pending"]).waits_on();
    answer(&login, &["--identity", &identity]);
    works(&sgw, &session);
}

#[test]
fn a_borrowed_key_file_is_read_at_each_approval() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let file = sgw.write_private("borrowed", fs::read(&sshd.key.path).unwrap());
    let (path, key) = (text(&file), sshd.host_key_fingerprint());
    let with = ["--key-file", &path, "--accept-host-key", &key];
    try_add(&sgw, "web1", &sshd.destination(), &with).ok();
    let session = session(&sgw, "web1");
    works(&sgw, &session);
    // Another key in its place is not what was said.
    let other = Key::ed25519(&sgw.path("other"));
    fs::write(&file, fs::read(&other.path).unwrap()).unwrap();
    let request = ask(&sgw, "web1");
    yes(&sgw, &request).fails(1, "request.credential");
    fs::remove_file(&file).unwrap();
    yes(&sgw, &request).fails(1, "request.credential");
}

#[test]
fn where_nothing_is_kept_the_operator_chooses() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let key = sshd.host_key_fingerprint();
    try_add(&sgw, "web1", &sshd.destination(), &["--accept-host-key", &key]).ok();
    let request = ask(&sgw, "web1");
    yes(&sgw, &request).fails(1, "request.credential");
    let identity = text(&sgw.write_private("identity", fs::read(&sshd.key.path).unwrap()));
    sgw.operator(["approve", &request, "--yes", "--json", "--identity", &identity]).ok();
    let session = sgw.agent(["wait", &request]).ok().stdout();
    works(&sgw, session.trim());
}

#[test]
fn commands_find_the_directory_and_the_variables_of_the_target() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    add(&sgw, "web1", &sshd, &["--directory", "/usr", "--env", "CITY=Köln", "--env", "A=1"]);
    let session = session(&sgw, "web1");
    let show = ["exec", &session, "--", "pwd; echo $CITY $A"];
    sgw.agent(show).ok().prints("/usr\nKöln 1\n");
    let own = ["exec", &session, "--cwd", "/tmp", "--env", "A=2", "--", "pwd; echo $CITY $A"];
    sgw.agent(own).ok().prints("/tmp\nKöln 2\n");
    let typed = sgw.agent(["input", &session, "pwd; echo $CITY", "--wait-for", "Köln"]).ok();
    assert!(typed.stdout().contains("/usr"), "{typed:?}");
}

#[test]
fn a_target_without_terminals_gives_none_and_its_mode_holds() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    add(&sgw, "web1", &sshd, &["--no-pty", "--mode", "each"]);
    let session = session(&sgw, "web1");
    sgw.agent(["input", &session, "id", "--json"]).fails(77, "grant.missing");
    let exec = ["exec", &session, "--no-wait", "--json", "--", "true"];
    sgw.agent(exec).fails(75, "approval.pending");
}

#[test]
fn a_target_that_changed_after_it_was_shown_is_not_what_the_yes_was_for() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    add(&sgw, "web1", &sshd, &[]);
    let request = ask(&sgw, "web1");
    let proof = text(&sgw.passphrase_file());
    let mut terminal = sgw.terminal(["approve", &request, "--passphrase-file", &proof]);
    terminal.wait_for("Give it");
    sgw.operator(["target", "edit", "web1", "--directory", "/srv"]).ok();
    let logins = sshd.logins();
    terminal.send("y");
    let (code, screen) = terminal.ends();
    assert!(code != 0 && screen.contains("request.changed"), "{code} {screen}");
    assert_eq!(sshd.logins(), logins);
    yes(&sgw, &request).ok();
}
