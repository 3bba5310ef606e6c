//! An ordinary user: root passes every permission check, and so proves nothing.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

use super::{
    PATIENCE,
    key::tool,
    process::{all, signal},
};

/// Someone who can log in and own processes. Made for one test when the suite runs as root, and then
/// removed; whoever runs the suite otherwise.
pub struct Person {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// Set only for a user that was made here.
    pub password: Option<String>,
    made: Option<TempDir>,
}

static MADE: AtomicU32 = AtomicU32::new(0);

impl Person {
    /// Who runs the suite.
    pub fn me() -> Self {
        let uid = rustix::process::getuid().as_raw();
        let passwd = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let mut lines = passwd.lines().map(fields);
        let line = lines.find(|f| f.len() == 7 && f[2] == uid.to_string()).expect("my account");
        let gid = line[3].parse().expect("a group id");
        Self { name: line[0].clone(), uid, gid, password: None, made: None }
    }

    /// Never root.
    pub fn ordinary() -> Self {
        if is_root() { Self::made() } else { Self::me() }
    }

    /// Needs root: someone else than who runs the suite.
    fn made() -> Self {
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let name = format!("sgwt{}x{number}", std::process::id());
        let password = format!("canary-password-of-{name}");
        let home = tempfile::Builder::new().prefix("sgwhome").tempdir_in("/tmp").unwrap();
        let hashed = Command::new("openssl").args(["passwd", "-6", &password]).output();
        let hashed = String::from_utf8(hashed.expect("openssl").stdout).unwrap();
        let mut add = Command::new("useradd");
        add.args(["-M", "-N", "-g", "nogroup", "-s", "/bin/sh", "-p", hashed.trim(), "-d"]);
        tool(&mut one_at_a_time(add.arg(home.path()).arg(&name)));
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let line = passwd.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        let ids: Vec<u32> = line.split(':').filter_map(|field| field.parse().ok()).collect();
        let (uid, gid) = (ids[0], ids[1]);
        std::os::unix::fs::chown(home.path(), Some(uid), Some(gid)).unwrap();
        Self { name, uid, gid, password: Some(password), made: Some(home) }
    }

    /// The home that the user database has; none but for a user that was made here, since another's
    /// files are not a test's to change.
    pub fn home(&self) -> Option<&Path> {
        self.made.as_ref().map(TempDir::path)
    }

    /// With another login shell; of a user that was made here.
    pub fn logs_in_with(&self, shell: &str) {
        assert!(self.made.is_some(), "another's account is not a test's to change");
        let mut change = Command::new("usermod");
        tool(&mut one_at_a_time(change.args(["-s", shell, &self.name])));
    }

    /// The command runs as this person.
    pub fn runs<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if is_root() { command.uid(self.uid).gid(self.gid) } else { command }
    }

    fn processes(&self) -> Vec<u32> {
        let mine = |pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
            uid.and_then(|ids| ids.split_whitespace().next()) == Some(&self.uid.to_string())
        };
        all().filter(mine).collect()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if self.made.is_none() {
            return;
        }
        for pid in self.processes() {
            signal(pid, rustix::process::Signal::KILL);
        }
        let mut remove = Command::new("userdel");
        let _ = one_at_a_time(remove.arg("-f").arg(&self.name)).output();
    }
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `useradd` fails when another test's holds the lock on /etc/passwd: takes turns by a lock of ours.
pub(super) fn one_at_a_time(command: &Command) -> Command {
    let mut turn = Command::new("flock");
    turn.args(["-w", &PATIENCE.as_secs().to_string(), "/tmp/sgw-tests-useradd.lock"]);
    turn.arg(command.get_program()).args(command.get_args());
    turn
}
