//! `sgw doctor`: what an agent reaches without sgw is named with what to type about it, and typing that
//! helps.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    rc::Rc,
};

use serde_json::Value;

use crate::support::{Key, Outcome, Person, Running, Sgw, Sshd, eventually, is_root, tool};

/// Someone whose whole home is the test's: `~/.ssh` is looked up in the user database.
struct Someone {
    sgw: Sgw,
    person: Rc<Person>,
}

impl Someone {
    fn new() -> Option<Self> {
        if !is_root() {
            eprintln!("left out: only root can make a user with a home of their own");
            return None;
        }
        let person = Rc::new(Person::ordinary());
        let sgw = Sgw::of(&person);
        Some(Self { sgw, person })
    }

    fn doctor(&self) -> Outcome {
        self.sgw.agent(["doctor", "--json"])
    }

    /// Types a remedy into their shell.
    #[track_caller]
    fn types(&self, line: &str) {
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).env("HOME", self.sgw.user_home()).stdin(Stdio::null());
        tool(self.person.runs(&mut shell));
    }

    /// A key in their home that needs no passphrase, and is no canary: its file is theirs.
    fn key(&self, name: &str) -> Key {
        let folder = tempfile::tempdir().unwrap();
        let made = Key::ed25519(&folder.path().join("key"));
        let text = fs::read_to_string(&made.path).unwrap();
        self.sgw.plant_private_key(&made.path);
        let path = self.sgw.write_in_user_home(name, &text);
        Key { path, ..made }
    }
}

/// The findings that are wrong, but for what is this machine's and nobody made for the test.
fn wrong(outcome: &Outcome) -> Vec<Value> {
    let json = outcome.json();
    let checks = json["checks"].as_array().unwrap();
    let mut exit = 0;
    let is_wrong = |check: &&Value| {
        let wrong = matches!(check["status"].as_str(), Some("warn" | "fail"));
        for field in ["id", "what", "why"] {
            assert!(
                check[field].as_str().is_some_and(|text| !text.is_empty()),
                "{field} of {check}"
            );
        }
        assert!(check.get("remedy").is_some(), "{check}");
        exit |= i32::from(wrong);
        let machine = check["id"].as_str().is_some_and(|id| id.starts_with("machine."));
        wrong && !machine && check["id"] != "user.containers" && check["id"] != "user.sudo"
    };
    let found = checks.iter().filter(is_wrong).cloned().collect();
    assert_eq!(outcome.code(), exit, "{outcome:?}");
    found
}

/// The one thing that is wrong: what to type about it.
#[track_caller]
fn remedy(outcome: &Outcome, id: &str, names: &str) -> String {
    let found = wrong(outcome);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["id"], id, "{found:?}");
    assert!(found[0]["what"].as_str().unwrap().contains(names), "{found:?}");
    found[0]["remedy"].as_str().unwrap().to_owned()
}

#[test]
fn a_clean_home_is_well_before_init_locked_unlocked_and_under_an_agent() {
    let Some(someone) = Someone::new() else { return };
    let sgw = &someone.sgw;
    let well = |when: &str| {
        let found = wrong(&someone.doctor());
        assert!(found.is_empty(), "{when}: {found:?}");
    };
    well("before init");
    assert!(!sgw.home().exists(), "it looks and makes nothing");
    sgw.init();
    well("locked");
    sgw.unlock();
    well("unlocked");
    let mut under = sgw.command(["doctor", "--json"]);
    let outcome = sgw.run(under.env("CLAUDECODE", "1"));
    assert!(wrong(&outcome).is_empty(), "{outcome:?}");
    let daemon = outcome.json();
    let checks = daemon["checks"].as_array().unwrap();
    let daemon = checks.iter().find(|check| check["id"] == "sgw.daemon").unwrap();
    assert!(daemon["what"].as_str().unwrap().contains("its memory is closed"), "{daemon}");
    // What was not as sgw made it.
    let db = sgw.home().join("audit.log");
    fs::set_permissions(&db, fs::Permissions::from_mode(0o644)).unwrap();
    let line = remedy(&someone.doctor(), "sgw.files", "audit.log");
    someone.types(&line);
    well("after chmod");
    let plain = sgw.agent(["doctor"]);
    assert!(plain.stdout().contains("sgw.files"), "{plain:?}");
}

#[test]
fn a_key_an_agent_and_a_master_are_named_and_their_remedies_help() {
    let Some(someone) = Someone::new() else { return };
    let (sgw, sshd) = (&someone.sgw, Sshd::start());
    let key = someone.key(".ssh/id_of web");
    let line = remedy(&someone.doctor(), "ssh.keys", "id_of web");
    // It asks for the new passphrase; here nobody types one.
    someone.types(&format!("{line} -P '' -N 'a new passphrase'"));
    assert!(wrong(&someone.doctor()).is_empty());
    someone.types(&format!("{line} -P 'a new passphrase' -N ''"));

    let socket = sgw.user_home().join("my agent.sock");
    let mut agent = Command::new("ssh-agent");
    agent.args(["-D", "-a"]).arg(&socket).env_clear();
    let mut agent = Running::start(someone.person.runs(&mut agent));
    agent.prints("SSH_AUTH_SOCK");
    let add = format!("SSH_AUTH_SOCK='{}' ssh-add '{}'", socket.display(), key.path.display());
    someone.types(&add);

    let config = format!(
        "Host target\n HostName 127.0.0.1\n Port {}\n User {}\n IdentityFile \"{}\"\n StrictHostKeyChecking no\n \
         UserKnownHostsFile /dev/null\n ControlMaster auto\n ControlPath ~/.ssh/to-%C\n",
        sshd.port(),
        sshd.destination().split('@').next().unwrap(),
        key.path.display(),
    );
    sshd.allow(&key);
    sgw.write_in_user_home(".ssh/config", &config);
    let mut ssh = Command::new("ssh");
    ssh.args(["-N", "-o", "IdentityAgent=none", "target"]).env("HOME", sgw.user_home());
    let mut master = Running::start(someone.person.runs(&mut ssh));
    let control = |name: &str| name.starts_with("to-") && !name.contains('.');
    eventually("the master listens", || {
        let names = fs::read_dir(sgw.user_home().join(".ssh")).unwrap().flatten();
        names.into_iter().any(|entry| control(&entry.file_name().to_string_lossy()))
    });

    let found = wrong(&someone.doctor());
    let ids: Vec<_> = found.iter().map(|check| check["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["ssh.keys", "ssh.agent", "ssh.master"], "{found:?}");
    assert!(found[1]["what"].as_str().unwrap().ends_with("holds 1 key"), "{found:?}");
    for check in &found[1..] {
        someone.types(check["remedy"].as_str().unwrap());
    }
    eventually("the master is gone", || master.has_ended());
    fs::remove_file(&key.path).unwrap();
    assert!(wrong(&someone.doctor()).is_empty());
    drop(agent);
}

#[test]
fn tokens_multiplexers_and_sudo_are_named_and_no_secret_is_shown() {
    let Some(someone) = Someone::new() else { return };
    let sgw = &someone.sgw;
    let secret = "canary-of-the-netrc-7Q2x";
    sgw.plant(secret.as_bytes());
    sgw.write_in_user_home(".netrc", &format!("machine host login me password {secret}\n"));
    let line = remedy(&someone.doctor(), "credentials.files", ".netrc");
    let told = sgw.agent(["doctor"]).exits(1);
    assert!(told.stdout().contains("WARN  credentials.files") && told.stdout().contains(&line));
    someone.types(&line);
    assert!(wrong(&someone.doctor()).is_empty());

    let mut inside = sgw.command(["doctor", "--json"]);
    inside.env("TMUX", "/tmp/tmux-1/default,1,0").env("GITHUB_TOKEN", secret);
    let found = wrong(&sgw.run(&mut inside));
    let ids: Vec<_> = found.iter().map(|check| check["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["credentials.environment", "terminal.shared"]);

    let sudo = sgw.write_in_user_home("bin/sudo", "#!/bin/sh\n[ \"$*\" = '-n true' ]\n");
    fs::set_permissions(&sudo, fs::Permissions::from_mode(0o755)).unwrap();
    let status = |path: &Path| {
        let mut with = sgw.command(["doctor", "--json"]);
        let json = sgw.run(with.env("PATH", path)).json();
        let checks = json["checks"].as_array().unwrap().clone();
        checks.iter().find(|check| check["id"] == "user.sudo").unwrap()["status"].clone()
    };
    assert_eq!(status(sudo.parent().unwrap()), "fail");
    assert_eq!(status(Path::new("/nowhere")), "ok");
}
