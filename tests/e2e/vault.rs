//! The vault as a whole: another passphrase, another key, taken elsewhere, and killed at every moment.

mod crashes;
mod moved;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio, time::Duration};

use rustix::process::Signal;

use crate::support::{
    PASSPHRASE, Sgw, SmallDisk, Sshd, eventually,
    frames::{JSON, agent_wire},
    is_alive, signal, still_serves,
};

const ANOTHER: &str = "granite-lantern-otter-meadow-quartz-5512";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The operator's passphrase is this one from now on.
fn remember(sgw: &Sgw, passphrase: &str) {
    sgw.write_private("passphrase", passphrase);
}

fn revision(sgw: &Sgw) -> u64 {
    let unlocked = sgw.operator(["unlock", "--json"]).ok().json();
    sgw.daemon().unwrap();
    unlocked["daemon"]["revision"].as_u64().unwrap()
}

#[test]
fn the_passphrase_changes_and_sessions_go_on() {
    let sgw = Sgw::unlocked();
    let sshd = Sshd::start();
    let s = sgw.session(&sshd);
    let another = sgw.write_private("another", ANOTHER);
    sgw.plant(ANOTHER.as_bytes());
    let weak = sgw.write_private("weak", "short");
    sgw.operator(["vault", "passphrase", "--new-passphrase-file", text(&weak)])
        .fails(2, "operator.passphrase");
    let same = sgw.passphrase_file();
    sgw.operator(["vault", "passphrase", "--new-passphrase-file", text(&same)])
        .fails(2, "operator.passphrase");
    let changed =
        sgw.operator(["vault", "passphrase", "--json", "--new-passphrase-file", text(&another)]);
    assert_eq!(changed.ok().json()["did"], "passphrase");
    sgw.operator(["config", "list"]).fails(77, "operator.proof");
    still_serves(&sgw, &s);
    remember(&sgw, ANOTHER);
    sgw.operator(["config", "list"]).ok();
    sgw.lock();
    remember(&sgw, PASSPHRASE);
    sgw.operator(["unlock"]).fails(77, "operator.proof");
    remember(&sgw, ANOTHER);
    sgw.unlock();
    sgw.operator(["audit", "verify"]).ok();
}

#[test]
fn the_key_changes_under_open_sessions_and_connections() {
    let sgw = Sgw::unlocked();
    let sshd = Sshd::start();
    let s = sgw.session(&sshd);
    sgw.operator(["config", "set", "notify", "/bin/true"]).ok();
    // Proven with the old key, and still there with the new.
    let mut desk = sgw.terminal(["desk", "--plain"]);
    desk.wait_for("(?i)passphrase");
    desk.send(&format!("{PASSPHRASE}\r"));
    desk.wait_for("desk");
    let header = fs::read(sgw.home().join("vault.json")).unwrap();
    let rotated = sgw.operator(["vault", "rotate", "--json"]).ok().json();
    assert_eq!(rotated["did"], "rotate");
    assert_ne!(fs::read(sgw.home().join("vault.json")).unwrap(), header);
    still_serves(&sgw, &s);
    let request = sgw.requests(&sshd, &["--new"]);
    desk.wait_for(&request);
    sgw.approves(&request, &sshd);
    sgw.operator(["audit", "verify"]).ok();
    desk.send("\u{3}");
    sgw.lock();
    sgw.unlock();
    sgw.operator(["audit", "verify"]).ok();
    let settings = sgw.operator(["config", "list", "--json"]).ok().json();
    assert_eq!(settings["settings"][0]["value"][0], "/bin/true");
    let kinds = sgw.operator(["audit", "list", "--json"]).ok().stdout();
    assert!(kinds.contains("vault.rotated"), "{kinds}");
    // The old header holds a key that opens nothing of the vault.
    sgw.lock();
    let new = fs::read(sgw.home().join("vault.json")).unwrap();
    fs::write(sgw.home().join("vault.json"), header).unwrap();
    sgw.operator(["unlock"]).fails(1, "vault.damaged");
    fs::write(sgw.home().join("vault.json"), new).unwrap();
    sgw.unlock();
}

#[test]
fn an_export_is_taken_in_elsewhere() {
    let sgw = Sgw::unlocked();
    sgw.operator(["config", "set", "notify", "/bin/true"]).ok();
    let sshd = Sshd::start();
    sgw.session(&sshd);
    let file = sgw.path("sgw.export");
    let own = sgw.write_private("own", ANOTHER);
    let export = ["vault", "export", text(&file), "--export-passphrase-file", text(&own)];
    sgw.operator(["vault", "export", text(&file)]).fails(77, "operator.proof");
    assert!(!file.exists());
    sgw.operator(export).ok();
    sgw.operator(export).fails(1, "vault.export");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let content = fs::read(&file).unwrap();
    sgw.assert_clean(&content, "the export");
    assert!(content.starts_with(b"sgw export 1\n"));

    let there = Sgw::unlocked();
    let own = there.write_private("own", ANOTHER);
    let with = ["--export-passphrase-file", text(&own)];
    let import = |file: &Path, more: &[&str]| {
        let mut arguments = vec!["vault", "import", text(file)];
        arguments.extend(with);
        arguments.extend(more);
        there.operator(arguments)
    };
    let damaged = there.path("damaged");
    for (place, changed) in
        [(5, b'X'), (20, b'X'), (content.len() / 2, !content[content.len() / 2])]
    {
        let mut bytes = content.clone();
        bytes[place] = changed;
        fs::write(&damaged, bytes).unwrap();
        import(&damaged, &[]).fails(1, "vault.export");
    }
    fs::write(&damaged, &content[..content.len() - 1]).unwrap();
    import(&damaged, &[]).fails(1, "vault.export");
    import(&there.path("nowhere"), &[]).fails(1, "vault.export");
    there
        .operator(["vault", "import", text(&file), "--vault-passphrase"])
        .fails(77, "operator.proof");
    import(&file, &["--replace"]).fails(77, "operator.proof");
    let notify =
        || there.operator(["config", "list", "--json"]).ok().json()["settings"][0]["value"].clone();
    import(&file, &[]).ok();
    assert_eq!(notify(), serde_json::json!([]));
    import(&file, &["--replace", "--yes"]).ok();
    assert_eq!(notify(), serde_json::json!(["/bin/true"]));
    there.lock();
    there.unlock();
    // The host key came along: nobody asks for it again.
    let request = there.requests(&sshd, &[]);
    let key = there.write_private("identity", fs::read(&sshd.key.path).unwrap());
    there.operator(["approve", &request, "--yes", "--identity", text(&key)]).ok();
}

#[test]
fn an_agent_does_none_of_it() {
    let sgw = Sgw::unlocked();
    let file = sgw.path("sgw.export");
    for arguments in
        [&["vault", "passphrase"][..], &["vault", "rotate"], &["vault", "export", text(&file)]]
    {
        sgw.agent(arguments).fails(77, "operator.proof");
    }
    sgw.lock();
    sgw.operator(["vault", "rotate"]).fails(69, "daemon.unreachable");
}

#[test]
fn killed_at_any_moment_of_a_rotation_the_vault_opens() {
    let sgw = Sgw::unlocked();
    sgw.operator(["config", "set", "notify", "/bin/true"]).ok();
    sgw.lock();
    let mut least = revision(&sgw);
    for delay in 0..5 {
        let daemon = sgw.unlock();
        let mut rotation = sgw.operator_command(["vault", "rotate"]);
        let mut rotation = rotation.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The daemon's work begins when the client has derived its keys: the first new file tells.
        let begun = || {
            let names = [".vault.json.new", "vault.db.new"];
            names.iter().any(|name| sgw.home().join(name).exists())
        };
        while !begun() && rotation.try_wait().unwrap().is_none() {}
        std::thread::sleep(Duration::from_micros(1000 * delay));
        signal(daemon, Signal::KILL);
        eventually("the killed daemon is gone", || !is_alive(daemon));
        rotation.wait().unwrap();
        let now = revision(&sgw);
        assert!(now >= least, "{now} after {least}");
        least = now;
        let settings = sgw.operator(["config", "list", "--json"]).ok().json();
        assert_eq!(settings["settings"][0]["value"][0], "/bin/true");
        assert!(!sgw.home().join("vault.db.new").exists());
        sgw.operator(["audit", "verify"]).ok();
    }
}

#[test]
fn killed_amid_changes_the_vault_has_each_or_not() {
    let sgw = Sgw::unlocked();
    for round in 0..4_u32 {
        let daemon = sgw.unlock();
        let value = format!("/bin/{round}");
        sgw.operator(["config", "set", "notify", &value]).ok();
        let next = format!("/bin/next-{round}");
        let mut change = sgw.operator_command(["config", "set", "notify", &next]);
        let mut change = change.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let journal = sgw.home().join("vault.db-journal");
        while !journal.exists() && change.try_wait().unwrap().is_none() {}
        std::thread::sleep(Duration::from_micros(300 * u64::from(round)));
        signal(daemon, Signal::KILL);
        eventually("the killed daemon is gone", || !is_alive(daemon));
        let done = change.wait().unwrap().success();
        sgw.unlock();
        let settings = sgw.operator(["config", "list", "--json"]).ok().json();
        let now = settings["settings"][0]["value"][0].as_str().unwrap().to_owned();
        assert!(now == next || (now == value && !done), "{now}, told: {done}");
    }
}

#[test]
fn a_full_disk_stops_a_rotation_and_harms_nothing() {
    let Some((sgw, disk)) = SmallDisk::with_sgw() else { return };
    sgw.operator(["config", "set", "notify", "/bin/true"]).ok();
    let header = fs::read(sgw.home().join("vault.json")).unwrap();
    let ballast = disk.fill();
    let refused = sgw.operator(["vault", "rotate"]);
    assert_ne!(refused.code(), 0);
    sgw.operator(["config", "set", "notify", "/bin/false"]).exits(1);
    assert_eq!(fs::read(sgw.home().join("vault.json")).unwrap(), header);
    fs::remove_file(ballast).unwrap();
    let settings = sgw.operator(["config", "list", "--json"]).ok().json();
    assert_eq!(settings["settings"][0]["value"][0], "/bin/true");
    sgw.operator(["vault", "rotate"]).ok();
    sgw.lock();
    sgw.unlock();
    sgw.operator(["audit", "verify"]).ok();
    sgw.lock();
}

#[test]
fn nobody_uses_it_and_it_locks_itself() {
    let sgw = Sgw::unlocked();
    for refused in ["0s", "9s", "31d", "soon"] {
        sgw.operator(["config", "set", "auto-lock", refused]).fails(2, "usage.setting");
    }
    let daemon = sgw.daemon().unwrap();
    sgw.operator(["config", "set", "auto-lock", "10s"]).ok();
    let settings = sgw.operator(["config", "list", "--json"]).ok().json();
    let all = settings["settings"].as_array().unwrap();
    let auto_lock = all.iter().find(|setting| setting["name"] == "auto-lock").unwrap();
    assert_eq!(auto_lock["value"], "10s");
    // Who only looks on, or asks, does not use it.
    let mut wire = agent_wire(&sgw);
    let mut number = 0;
    eventually("it locked itself", || {
        number += 1;
        for ask in ["whoami", "sessions", "requests", "status"] {
            let ask = format!(r#"{{"type":"{ask}"}}"#);
            number +=
                u32::from(wire.send(JSON, number, ask.as_bytes()) && wire.receive().is_some());
        }
        !is_alive(daemon)
    });
    sgw.agent(["sessions"]).fails(69, "daemon.unreachable");
    sgw.unlock();
}
