//! Killed at any moment of a change to the whole vault, or without room for it: what is there afterwards
//! is the old vault or the new one.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Daemon,
    /// Whoever asked for it.
    Client,
}

/// Every victim, at several moments after the daemon's work has begun, in microseconds.
const MOMENTS: [(Victim, u64); 6] = [
    (Victim::Daemon, 0),
    (Victim::Daemon, 300),
    (Victim::Daemon, 1_000),
    (Victim::Daemon, 3_000),
    (Victim::Client, 0),
    (Victim::Client, 500),
];

/// Begins a change, and kills the victim at its moment after the first of these files has shown that
/// it is being made. Whether the client was told that it is done.
fn killed(sgw: &Sgw, change: &[&str], files: &[&str], (victim, moment): (Victim, u64)) -> bool {
    let daemon = sgw.unlock();
    // What the last one that was killed left half-written is nobody's, and tells nothing here.
    files.iter().for_each(|name| drop(fs::remove_file(sgw.home().join(name))));
    let mut change = sgw.operator_command(change.iter().copied());
    let mut change = change.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_written = || files.iter().any(|name| sgw.home().join(name).exists());
    while !is_written() && change.try_wait().unwrap().is_none() {}
    std::thread::sleep(Duration::from_micros(moment));
    match victim {
        Victim::Daemon => signal(daemon, Signal::KILL),
        Victim::Client => change.kill().unwrap(),
    }
    let told = change.wait().unwrap().success();
    match victim {
        Victim::Daemon => eventually("the killed daemon is gone", || !is_alive(daemon)),
        // Whoever asked is gone; it comes to its end all the same.
        Victim::Client => eventually("it was made or not", || !is_written()),
    }
    told
}

/// Whether this is the operator's passphrase now. Where the daemon runs, unlocking proves nothing.
fn opens(sgw: &Sgw, passphrase: &str) -> bool {
    remember(sgw, passphrase);
    sgw.operator(["unlock"]);
    sgw.daemon();
    sgw.operator(["config", "list"]).code() == 0
}

#[test]
fn killed_at_any_moment_of_a_new_passphrase_one_of_the_two_opens() {
    let sgw = Sgw::unlocked();
    sgw.operator(["config", "set", "notify", "/bin/true"]).ok();
    let (mut now, mut other) = (PASSPHRASE, ANOTHER);
    for moment in MOMENTS {
        let new = sgw.write_private("another", other);
        let change = ["vault", "passphrase", "--new-passphrase-file", text(&new)];
        let told = killed(&sgw, &change, &[".vault.json.new"], moment);
        // With a daemon that runs a wrong passphrase is told from a right one, too.
        let changed = opens(&sgw, other);
        if changed {
            (now, other) = (other, now);
        }
        assert!(changed || !told, "{moment:?}: told, and not so");
        assert!(!opens(&sgw, other), "{moment:?}: both open it");
        assert!(opens(&sgw, now), "{moment:?}: none opens it");
        let settings = sgw.operator(["config", "list", "--json"]).ok().json();
        assert_eq!(settings["settings"][0]["value"][0], "/bin/true");
        sgw.operator(["audit", "verify"]).ok();
    }
}

/// Everything that tells one vault from another here: a setting, a secret and a token.
fn content(sgw: &Sgw) -> [String; 3] {
    let settings = sgw.operator(["config", "list", "--json"]).ok().json();
    let secrets = sgw.operator(["secret", "list", "--json"]).ok().json();
    let tokens = sgw.operator(["token", "list", "--json"]).ok().json();
    [
        &settings["settings"][0]["value"],
        &secrets["secrets"][0]["name"],
        &tokens["tokens"][0]["name"],
    ]
    .map(ToString::to_string)
}

/// The files of two vaults that are other in everything, and what each holds. The second is there.
fn two(sgw: &Sgw) -> [(String, [String; 3]); 2] {
    ["one", "two"].map(|name| {
        let empty = sgw.path("empty").display().to_string();
        match name {
            "one" => sgw.operator(["vault", "export", &empty, "--vault-passphrase"]).ok(),
            _ => import(sgw, &empty).ok(),
        };
        let value = sgw.write_private("value", "a-value-that-nobody-guesses");
        sgw.operator(["config", "set", "notify", &format!("/bin/{name}")]).ok();
        sgw.operator(["secret", "add", name, "--value-file", text(&value)]).ok();
        sgw.operator(["token", "create", name]).ok();
        let file = sgw.path(name).display().to_string();
        sgw.operator(["vault", "export", &file, "--vault-passphrase"]).ok();
        (file, content(sgw))
    })
}

fn import(sgw: &Sgw, file: &str) -> crate::support::Outcome {
    sgw.operator(["vault", "import", file, "--replace", "--yes", "--vault-passphrase"])
}

#[test]
fn killed_at_any_moment_of_an_import_the_vault_is_the_old_or_the_new() {
    let sgw = Sgw::unlocked();
    let [mut other, mut now] = two(&sgw);
    for moment in MOMENTS {
        let change = ["vault", "import", &other.0, "--replace", "--yes", "--vault-passphrase"];
        let told = killed(&sgw, &change, &["vault.db-journal"], moment);
        sgw.unlock();
        let found = content(&sgw);
        if found == other.1 {
            std::mem::swap(&mut now, &mut other);
        }
        assert_eq!(found, now.1, "{moment:?}: a part of each, or of none");
        // What the daemon says is what the next one finds.
        sgw.lock();
        sgw.unlock();
        assert_eq!(content(&sgw), found, "{moment:?}");
        assert!(!told || moment.0 == Victim::Client || found == now.1);
        sgw.operator(["audit", "verify"]).ok();
    }
}

#[test]
fn a_full_disk_stops_an_import_and_a_new_passphrase_and_harms_nothing() {
    let Some((sgw, disk)) = SmallDisk::with_sgw() else { return };
    let [one, two] = two(&sgw);
    let new = sgw.write_private("another", ANOTHER);
    let passphrase = ["vault", "passphrase", "--new-passphrase-file", text(&new)];
    let ballast = disk.fill();
    for refused in [import(&sgw, &one.0), sgw.operator(passphrase)] {
        assert_ne!(refused.code(), 0, "{refused:?}");
        assert!(refused.error_code().is_some(), "{refused:?}");
    }
    fs::remove_file(ballast).unwrap();
    assert_eq!(content(&sgw), two.1);
    sgw.lock();
    sgw.unlock();
    assert_eq!(content(&sgw), two.1);
    import(&sgw, &one.0).ok();
    assert_eq!(content(&sgw), one.1);
    sgw.operator(["audit", "verify"]).ok();
    sgw.lock();
}

#[test]
fn of_two_who_change_the_passphrase_at_once_each_is_told_the_truth() {
    let sgw = Sgw::unlocked();
    let words = [ANOTHER, "amber-thistle-harbor-violin-cobalt-2841"];
    let files = [0, 1].map(|at| sgw.write_private(&format!("new-{at}"), words[at]));
    let start = |file: &Path| {
        let change = ["vault", "passphrase", "--json", "--new-passphrase-file", text(file)];
        crate::support::Running::start(&mut sgw.operator_command(change))
    };
    let both = [start(&files[0]), start(&files[1])];
    let told = both.map(|one| one.ends());
    assert!(told.iter().any(|one| one.code() == 0), "{told:?}");
    for one in told.iter().filter(|one| one.code() != 0) {
        let codes = ["vault.changed", "operator.proof"];
        assert!(codes.contains(&one.error_code().unwrap().as_str()), "{one:?}");
    }
    let open: Vec<bool> = words.iter().map(|word| opens(&sgw, word)).collect();
    assert_eq!(open.iter().filter(|opens| **opens).count(), 1, "{told:?}");
    let now = open.iter().position(|opens| *opens).unwrap();
    assert_eq!(told[now].code(), 0, "{told:?}");
    remember(&sgw, words[now]);
}
