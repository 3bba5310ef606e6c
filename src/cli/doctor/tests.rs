//! Every check, with both of its answers.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{ground::Limits, *};
use crate::cli::resolve::account::Account;

/// A ground of its own, on which all is well.
struct Played {
    _directory: tempfile::TempDir,
    ground: Ground,
}

impl Played {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("sgw").tempdir_in("/tmp").unwrap();
        let home = directory.path().join("h");
        for name in [".ssh", "bin", "proc/net", "proc/sys/kernel/yama"] {
            fs::create_dir_all(home.join(name)).unwrap();
        }
        let account = Account {
            uid: rustix::process::getuid().as_raw(),
            name: "me".into(),
            home: home.clone(),
            environment: [("PATH".to_owned(), home.join("bin").display().to_string())].into(),
        };
        let ground = Ground {
            account,
            sgw: Some(home.join("state")),
            service: None,
            program: None,
            proc: home.join("proc"),
            containers: Vec::new(),
            now: SystemTime::now(),
            limits: Limits {
                open_files: Some(1024),
                locked_memory: Some(8 << 20),
                core: Some(0),
                file_size: None,
            },
            release: "6.12.1-test".into(),
            landlock: 6,
            synchronised: Some(true),
        };
        Self { _directory: directory, ground }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.ground.account.home.join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        chmod(&path, 0o600);
        path
    }

    fn set(&mut self, name: &str, value: &str) {
        self.ground.account.environment.insert(name.into(), value.into());
    }

    /// A home as sgw makes it.
    fn set_up(&self) -> PathBuf {
        let home = self.path("state");
        fs::create_dir(&home).unwrap();
        chmod(&home, 0o700);
        for name in ["vault.json", "state.sealed", "audit.log", "sgw.log", "lock"] {
            self.write(&format!("state/{name}"), "x");
        }
        home
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn well(found: &[Finding]) {
    assert!(found.iter().all(|finding| finding.status == Status::Ok), "{found:?}");
    assert!(!found.is_empty());
}

/// One finding, of this kind, that names this and says what to type.
#[track_caller]
fn one(found: &[Finding], status: Status, names: &str) {
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].status, status, "{found:?}");
    assert!(found[0].what.contains(names), "{found:?}");
    assert!(found[0].remedy.as_ref().is_some_and(|remedy| !remedy.is_empty()), "{found:?}");
}

fn key(name: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let passphrase = if name == "closed" { "its passphrase" } else { "" };
    let mut keygen = std::process::Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", passphrase, "-f"]).arg(&path);
    assert!(keygen.status().unwrap().success());
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_key_without_a_passphrase_is_found_wherever_ssh_would_look() {
    let played = Played::new();
    well(&keys::check(&played.ground));
    played.write(".ssh/id_closed", &key("closed"));
    played.write(".ssh/id_closed.pub", "ssh-ed25519 AAAA me");
    well(&keys::check(&played.ground));
    let plain = key("plain");
    played.write(".ssh/work/of a client", &plain);
    one(&keys::check(&played.ground), Status::Warn, "of a client");
    fs::remove_file(played.path(".ssh/work/of a client")).unwrap();
    played.write("elsewhere/key-web", &plain);
    well(&keys::check(&played.ground));
    played.write(".ssh/config", "Host *\n  IdentityFile ~/elsewhere/key-%h\n");
    one(&keys::check(&played.ground), Status::Warn, "key-web");
    chmod(&played.path("elsewhere/key-web"), 0o644);
    let found = keys::check(&played.ground);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[1].remedy.as_ref().unwrap().starts_with("chmod 600 "));
}

#[test]
fn what_lies_in_files_that_programs_share_is_found_and_never_shown() {
    let secret = "canary-Zq81hG";
    for (name, with, without) in credentials::tests::samples(secret) {
        let played = Played::new();
        well(&credentials::files(&played.ground));
        played.write(name, without);
        well(&credentials::files(&played.ground));
        played.write(name, &with);
        let found = credentials::files(&played.ground);
        one(&found, Status::Warn, name);
        assert!(!format!("{found:?}").contains(secret));
    }
}

#[test]
fn a_fifo_in_the_place_of_a_credential_holds_nobody_up() {
    let played = Played::new();
    let path = played.path(".netrc");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
    well(&credentials::files(&played.ground));
}

#[test]
fn a_secret_in_the_environment_is_named_and_not_shown() {
    let mut played = Played::new();
    well(&credentials::environment(&played.ground));
    played.set("GITHUB_TOKEN", "");
    well(&credentials::environment(&played.ground));
    played.set("GITHUB_TOKEN", "canary");
    let found = credentials::environment(&played.ground);
    one(&found, Status::Warn, "GITHUB_TOKEN");
    assert!(!format!("{found:?}").contains("canary"));
}

#[test]
fn sudo_without_a_password_and_root_itself_are_told() {
    let mut played = Played::new();
    played.ground.account.uid = 1000;
    well(&privilege::sudo(&played.ground));
    let sudo = played.write("bin/sudo", "#!/bin/sh\n[ \"$*\" = '-n true' ]\n");
    chmod(&sudo, 0o700);
    one(&privilege::sudo(&played.ground), Status::Fail, "no password");
    fs::write(&sudo, "#!/bin/sh\nexit 1\n").unwrap();
    well(&privilege::sudo(&played.ground));
    played.ground.account.uid = 0;
    one(&privilege::user(&played.ground), Status::Warn, "root");
    played.ground.account.uid = 1000;
    well(&privilege::user(&played.ground));
}

#[test]
fn a_multiplexer_around_the_terminal_is_named() {
    let mut played = Played::new();
    well(&privilege::terminal(&played.ground));
    played.set("TMUX", "/tmp/tmux-0/default,1,0");
    one(&privilege::terminal(&played.ground), Status::Warn, "tmux");
}

#[test]
fn a_container_daemon_that_is_open_is_as_good_as_root() {
    let mut played = Played::new();
    played.ground.account.uid = 1000;
    played.ground.containers = vec![played.path("docker.sock")];
    well(&privilege::containers(&played.ground));
    let _listener = UnixListener::bind(played.path("docker.sock")).unwrap();
    one(&privilege::containers(&played.ground), Status::Fail, "docker.sock");
}

#[test]
fn a_home_that_is_not_as_sgw_made_it_is_named_file_by_file() {
    let played = Played::new();
    one(&own::home(&played.ground), Status::Note, "not there");
    let home = played.set_up();
    well(&own::home(&played.ground));
    chmod(&home.join("state.sealed"), 0o640);
    one(&own::home(&played.ground), Status::Fail, "state.sealed has mode 0640");
    chmod(&home.join("state.sealed"), 0o600);
    fs::write(home.join("notes.txt"), "").unwrap();
    one(&own::home(&played.ground), Status::Warn, "notes.txt");
    fs::remove_file(home.join("notes.txt")).unwrap();
    fs::hard_link(home.join("audit.log"), played.path("other")).unwrap();
    one(&own::home(&played.ground), Status::Fail, "2 names");
    fs::remove_file(home.join("audit.log")).unwrap();
    symlink(played.path("other"), home.join("audit.log")).unwrap();
    one(&own::home(&played.ground), Status::Fail, "symbolic link");
    fs::remove_file(home.join("audit.log")).unwrap();
    fs::create_dir(home.join("run")).unwrap();
    chmod(&home.join("run"), 0o700);
    let _listener = UnixListener::bind(home.join("run/agent.sock")).unwrap();
    chmod(&home.join("run/agent.sock"), 0o600);
    well(&own::home(&played.ground));
    chmod(&home.join("run/agent.sock"), 0o666);
    one(&own::home(&played.ground), Status::Fail, "agent.sock");
    fs::remove_dir_all(home.join("run")).unwrap();
    chmod(&home, 0o755);
    one(&own::home(&played.ground), Status::Fail, "mode 0755");
}

#[test]
fn another_who_can_write_above_the_home_is_named() {
    let played = Played::new();
    played.set_up();
    well(&own::way(&played.ground));
    chmod(&played.path(""), 0o777);
    one(&own::way(&played.ground), Status::Warn, "mode 0777");
    chmod(&played.path(""), 0o1777);
    well(&own::way(&played.ground));
}

#[test]
fn a_program_that_its_user_may_write_can_be_replaced() {
    let mut played = Played::new();
    let program = played.write("bin/sgw", "");
    chmod(&program, 0o755);
    played.ground.program = Some(program);
    if played.ground.account.uid != 0 {
        one(&program::replaceable(&played.ground), Status::Note, "bin/sgw");
    }
    played.ground.account.uid = rustix::process::getuid().as_raw() + 1000;
    well(&program::first_in_path(&played.ground));
    played.ground.program = Some(played.write("other/sgw", ""));
    one(&program::first_in_path(&played.ground), Status::Note, "bin/sgw");
    played.ground.program = Some(played.path("gone"));
    one(&program::replaceable(&played.ground), Status::Warn, "no longer");
}

#[test]
fn the_kernels_answers_are_read() {
    let mut played = Played::new();
    one(&machine::tracing(&played.ground), Status::Note, "Yama");
    played.write("proc/sys/kernel/yama/ptrace_scope", "0\n");
    one(&machine::tracing(&played.ground), Status::Note, "ptrace_scope");
    played.write("proc/sys/kernel/yama/ptrace_scope", "1\n");
    well(&machine::tracing(&played.ground));
    let head = "Filename\tType\tSize\n";
    played.write("proc/swaps", &format!("{head}/dev/zram0 partition 1\n"));
    well(&machine::swap(&played.ground));
    played.write("proc/swaps", &format!("{head}/swapfile file 1\n"));
    one(&machine::swap(&played.ground), Status::Note, "/swapfile");
    well(&machine::kernel(&played.ground));
    played.ground.landlock = 3;
    one(&machine::kernel(&played.ground), Status::Note, "Landlock 3");
    played.ground.landlock = 0;
    one(&machine::kernel(&played.ground), Status::Note, "no Landlock");
    played.ground.release = "4.19.0".into();
    one(&machine::kernel(&played.ground), Status::Warn, "4.19.0");
}

#[test]
fn a_clock_that_disagrees_with_the_files_is_told() {
    let mut played = Played::new();
    played.set_up();
    well(&machine::clock(&played.ground));
    played.ground.synchronised = Some(false);
    one(&machine::clock(&played.ground), Status::Note, "clock");
    played.ground.now = SystemTime::now() - Duration::from_secs(3600);
    one(&machine::clock(&played.ground), Status::Warn, "ahead");
    played.ground.now = SystemTime::UNIX_EPOCH;
    one(&machine::clock(&played.ground), Status::Fail, "before");
}

#[test]
fn limits_that_would_get_in_the_way_are_told() {
    let mut played = Played::new();
    well(&machine::limits(&played.ground));
    well(&machine::cores(&played.ground));
    played.ground.limits.core = None;
    one(&machine::cores(&played.ground), Status::Note, "core");
    played.ground.limits.open_files = Some(64);
    one(&machine::limits(&played.ground), Status::Warn, "64 files");
    played.ground.limits.open_files = None;
    played.ground.limits.file_size = Some(1 << 20);
    one(&machine::limits(&played.ground), Status::Warn, "1024 KiB");
    played.ground.limits.file_size = None;
    played.ground.limits.locked_memory = Some(0);
    one(&machine::limits(&played.ground), Status::Note, "0 KiB");
}

#[test]
fn no_daemon_is_well_and_a_silent_one_is_not() {
    let played = Played::new();
    well(&own::daemon(&played.ground));
    let home = played.set_up();
    well(&own::daemon(&played.ground));
    fs::create_dir(home.join("run")).unwrap();
    chmod(&home.join("run"), 0o700);
    let _silent = UnixListener::bind(home.join("run/operator.sock")).unwrap();
    one(&own::daemon(&played.ground), Status::Warn, "does not answer");
}

#[test]
fn many_findings_of_a_kind_are_cut_and_the_cut_told() {
    const CHECK: Check = Check { id: "x", why: "y" };
    let many = |count| (0..count).map(|at: usize| CHECK.warn(at.to_string(), "z")).collect();
    assert_eq!(CHECK.all(many(MOST), "").len(), MOST);
    let cut = CHECK.all(many(MOST + 5), "");
    assert_eq!(cut.last().unwrap().what, "and 5 more of this kind");
    assert!(is_wrong(&cut[MOST..]));
    well(&CHECK.all(many(0), "well"));
}

#[test]
fn a_name_that_would_draw_on_the_terminal_is_shown_and_quoted_plainly() {
    let path = Path::new("/h/\x1b[2Jid\n'x");
    assert!(!shown(path).contains(['\x1b', '\n']) && !quoted(path).contains(['\x1b', '\n']));
    assert_eq!(quoted("/h/of a client".as_ref()), "'/h/of a client'");
    assert!(!is_wrong(&[]));
}
