//! What is measured on: an sshd, an instance of sgw with a session on it, and `ssh` in the same place.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use super::support::{Destination, Person, Sgw, Sshd, delay::delayed, eventually, is_root};

/// A server whose user has an empty home: a slow `~/.bashrc` would cost more than all else.
pub struct Server {
    sshd: Sshd,
    address: SocketAddr,
    directory: TempDir,
    _person: Person,
}

impl Server {
    pub fn start(lines: &[&str]) -> Self {
        let (person, directory) = (Person::ordinary(), tempfile::tempdir().unwrap());
        let mut settings = Sshd::with();
        for line in lines {
            settings = settings.line(line);
        }
        settings = match is_root() {
            true => settings.user(&person),
            false => settings.line(&format!("SetEnv HOME={}", directory.path().display())),
        };
        let sshd = settings.start();
        let server = Self { address: sshd.address(), sshd, directory, _person: person };
        server.write_known_hosts();
        server
    }

    /// The same server from now on, seen over a link with this round-trip time.
    pub fn seen_over(&mut self, round_trip: Duration) {
        self.address = delayed(self.sshd.address(), round_trip);
        self.write_known_hosts();
    }

    fn write_known_hosts(&self) {
        let line = format!("[127.0.0.1]:{} {}\n", self.address.port(), self.sshd.host_key_line());
        fs::write(self.path("known_hosts"), line).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where the user who logs in can read.
    pub fn readable(&self) -> &Path {
        self.sshd.directory()
    }

    /// A plain `ssh`, connecting anew.
    pub fn ssh(&self, more: &[&str], remote: &str) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.directory.path());
        ssh.args(["-F", "none", "-T", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]);
        ssh.arg("-o").arg(format!("UserKnownHostsFile={}", self.path("known_hosts").display()));
        ssh.arg("-i").arg(&self.sshd.key.path).args(["-p", &self.address.port().to_string()]);
        ssh.args(more).arg(format!("{}@127.0.0.1", self.sshd.user)).arg(remote);
        ssh
    }

    /// What `ssh` is told of this server, without its port.
    fn options(&self) -> Vec<String> {
        let known = self.path("known_hosts").display().to_string();
        let key = self.sshd.key.path.display().to_string();
        let words = ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"];
        let mut options: Vec<String> = words.map(str::to_owned).to_vec();
        options.extend([
            "-o".to_owned(),
            format!("UserKnownHostsFile={known}"),
            "-i".to_owned(),
            key,
        ]);
        options
    }

    fn named(&self, path: &Path) -> String {
        format!("{}@127.0.0.1:{}", self.sshd.user, path.display())
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.directory.path());
        command
    }

    /// `scp -r`, up to the server or down from it.
    pub fn scp(&self, from: &Path, to: &Path, up: bool) -> Command {
        let mut scp = self.program("scp");
        scp.args(["-r", "-q", "-P", &self.address.port().to_string()]).args(self.options());
        match up {
            true => scp.arg(from).arg(self.named(to)),
            false => scp.arg(self.named(from)).arg(to),
        };
        scp
    }

    /// `sftp` with one command.
    pub fn sftp(&self, from: &Path, to: &Path, up: bool) -> Command {
        let verb = if up { "put" } else { "get" };
        let batch = self.path(verb);
        fs::write(&batch, format!("{verb} {} {}\n", from.display(), to.display())).unwrap();
        let mut sftp = self.program("sftp");
        sftp.args(["-q", "-P", &self.address.port().to_string()]).args(self.options());
        sftp.arg("-b").arg(batch).arg(format!("{}@127.0.0.1", self.sshd.user));
        sftp
    }

    /// `rsync -a` of what is in a directory.
    pub fn rsync(&self, from: &Path, to: &Path, up: bool) -> Command {
        let mut rsync = self.program("rsync");
        let shell = format!("ssh -p {} {}", self.address.port(), self.options().join(" "));
        rsync.args(["-a", "-e", &shell]);
        let inside = format!("{}/", from.display());
        match up {
            true => rsync.arg(inside).arg(self.named(to)),
            false => rsync.arg(self.named(Path::new(&inside))).arg(to),
        };
        rsync
    }

    /// The same over `master`.
    pub fn over(&self, master: &Master, remote: &str) -> Command {
        self.ssh(&["-S", master.path.to_str().unwrap()], remote)
    }

    pub fn master(&self, more: &[&str]) -> Master {
        let path = self.path("master");
        let mut arguments = vec!["-M", "-N", "-S", path.to_str().unwrap()];
        arguments.extend(more);
        let mut command = self.ssh(&arguments, "");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // It tells of every session that the server refuses.
        let process = command.stderr(Stdio::null()).spawn().unwrap();
        let master = Master { process, path };
        eventually("the master has connected", || master.path.exists());
        master
    }
}

/// `ssh` with ControlMaster.
pub struct Master {
    process: Child,
    path: PathBuf,
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.path);
    }
}

impl Destination for Server {
    fn destination(&self) -> String {
        format!("{}@{}", self.sshd.user, self.address)
    }

    fn fingerprint(&self) -> String {
        self.sshd.host_key_fingerprint()
    }

    fn identity(&self) -> &Path {
        &self.sshd.key.path
    }
}

/// `sgw exec SESSION -- ARGV`.
pub fn exec(sgw: &Sgw, session: &str, argv: &[&str]) -> Command {
    sgw.command(["exec", session, "--"].into_iter().chain(argv.iter().copied()))
}
