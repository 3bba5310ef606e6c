//! Starts a real sshd on a free port, with keys of its own.

use std::{
    fs,
    io::Read,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use russh::keys::{Algorithm, PrivateKey, PublicKey, ssh_key::LineEnding};

use super::{Credential, HopPlan, Judge, Plan, Pool, PoolOptions, connect};
use crate::domain::target::Hop;

pub struct Sshd {
    directory: tempfile::TempDir,
    child: Child,
    pub port: u16,
    pub user_key: Arc<PrivateKey>,
    pub host_key: PublicKey,
}

pub fn new_key() -> PrivateKey {
    PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap()
}

impl Sshd {
    /// `lines` come first in its configuration, so they win over what stands below.
    pub fn start(lines: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        // sshd reads the authorized keys as the user who logs in.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let host_key = new_key();
        let user_key = new_key();
        host_key.write_openssh_file(Path::new(&path("host_key")), LineEnding::LF).unwrap();
        let authorized = user_key.public_key().to_openssh().unwrap();
        fs::write(path("authorized_keys"), authorized).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "{lines}\nListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\n\
             PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nLogLevel ERROR\n\
             PrintMotd no\nPrintLastLog no\nSetEnv HOME={}\n",
            path("host_key"),
            path("authorized_keys"),
            // Without anybody's ~/.bashrc.
            directory.path().display(),
        );
        fs::write(path("config"), config).unwrap();
        // sshd(8) wants its directory for privilege separation.
        let _ = fs::create_dir_all("/run/sshd");
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &path("config")])
            .stdin(Stdio::null())
            .stderr(fs::File::create(path("log")).unwrap())
            .spawn()
            .unwrap();
        let host_key = host_key.public_key().clone();
        let sshd = Self { directory, child, port, user_key: Arc::new(user_key), host_key };
        sshd.wait_until_it_answers();
        sshd
    }

    fn wait_until_it_answers(&self) {
        for _ in 0..500 {
            let mut start = [0; 4];
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port))
                && stream.read_exact(&mut start).is_ok()
                && &start == b"SSH-"
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("sshd: {}", fs::read_to_string(self.directory.path().join("log")).unwrap());
    }

    pub fn hop(&self, user: &str) -> Hop {
        Hop { user: user.into(), host: "127.0.0.1".into(), port: self.port }
    }

    pub fn key(&self) -> Arc<Credential> {
        Arc::new(Credential::Key(Arc::clone(&self.user_key)))
    }

    /// The login of whoever runs the tests.
    pub fn plan(&self) -> Plan {
        self.plan_for(&me(), self.port)
    }

    /// For another user, or by another door.
    pub fn plan_for(&self, user: &str, port: u16) -> Plan {
        let hop = Hop { port, ..self.hop(user) };
        Plan { hops: vec![HopPlan { hop, credentials: vec![self.key()] }], ..Plan::default() }
    }

    pub async fn pool(&self) -> Arc<Pool> {
        pool(self.plan(), true).await
    }
}

/// A pool whose judge takes the keys that the first connection showed.
pub async fn pool(plan: Plan, reusable: bool) -> Arc<Pool> {
    let judge = Judge::trusting();
    let plan = Arc::new(plan);
    let mut first = connect(&plan, judge.clone()).await.unwrap();
    if !reusable {
        first.had_a_person_at(plan.hops[0].hop.clone());
    }
    let keys: Vec<PublicKey> =
        judge.shown.lock().unwrap().iter().map(|(_, key)| key.clone()).collect();
    Pool::new(plan, Judge::pinned(&keys), first, PoolOptions { ahead: 2 })
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn me() -> String {
    let id = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().to_owned()
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// An ordinary user who exists as long as this does. Only root can make one.
pub struct Account(pub String);

impl Account {
    pub fn with_shell(shell: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("sgw-t{}-{number}", std::process::id());
        // `*`: no password fits, yet the account is not locked.
        let made = Command::new("useradd")
            .args(["--no-log-init", "-M", "-d", "/", "-p", "*", "-s", shell, &name])
            .status();
        assert!(made.unwrap().success(), "useradd {name}");
        Self(name)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let _ = Command::new("userdel").args(["-f", &self.0]).status();
    }
}
