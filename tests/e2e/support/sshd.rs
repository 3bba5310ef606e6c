//! A real OpenSSH server for one test: own port, own keys, own log.

use std::{
    fs,
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{
    Key, PATIENCE, Person, eventually, is_alive,
    process::{descendants, signal},
    user::is_root,
};

const SSHD: &str = "/usr/sbin/sshd";

/// A running server. Dropping it ends it and everything that was started through it and did not
/// leave its process tree.
pub struct Sshd {
    directory: TempDir,
    chroot: Option<TempDir>,
    port: u16,
    process: Option<Child>,
    host_key: Key,
    /// Who may log in with [`Sshd::key`].
    pub user: String,
    pub key: Key,
}

/// The configuration beside what every test needs.
#[derive(Default)]
pub struct Settings {
    lines: Vec<String>,
    user: Option<String>,
    host_ca: Option<(PathBuf, Vec<String>)>,
    no_sftp: bool,
    chrooted: bool,
}

impl Settings {
    /// A line of sshd_config(5).
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    pub fn user(mut self, person: &Person) -> Self {
        self.user = Some(person.name.clone());
        self
    }

    /// It shows a certificate that this authority made for these hosts.
    pub fn host_ca(self, authority: &Key, hosts: &str) -> Self {
        self.host_ca_for(authority, &["-n", hosts])
    }

    /// The same, in the words of ssh-keygen(1).
    pub fn host_ca_for(mut self, authority: &Key, how: &[&str]) -> Self {
        let how = ["-h"].iter().chain(how).map(|word| (*word).to_owned()).collect();
        self.host_ca = Some((authority.path.clone(), how));
        self
    }

    /// No SFTP at all.
    pub fn no_sftp(mut self) -> Self {
        self.no_sftp = true;
        self
    }

    /// An SFTP that only reads.
    pub fn read_only(self) -> Self {
        self.line("Subsystem sftp internal-sftp -R")
    }

    /// SFTP alone, within a directory that is root's: `Sshd::chroot`. Needs root.
    pub fn chrooted(mut self) -> Self {
        self.chrooted = true;
        self.line("ForceCommand internal-sftp")
    }

    pub fn start(self) -> Sshd {
        Sshd::start_with(self)
    }
}

impl Sshd {
    /// Who runs the suite may log in with the key.
    pub fn start() -> Self {
        Self::with().start()
    }

    pub fn with() -> Settings {
        Settings::default()
    }

    fn start_with(settings: Settings) -> Self {
        assert!(Path::new(SSHD).exists(), "no {SSHD}: tests/run installs openssh-server");
        let directory = tempfile::Builder::new().prefix("sshd").tempdir_in("/tmp").unwrap();
        // sshd reads authorized_keys as the user who logs in.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let key = Key::ed25519(&directory.path().join("id"));
        fs::write(directory.path().join("authorized_keys"), key.line()).unwrap();
        let host_key = Key::ed25519(&directory.path().join("host_key"));
        let mut lines = settings.lines;
        if let Some((authority, how)) = settings.host_ca {
            let how: Vec<&str> = how.iter().map(String::as_str).collect();
            let made = host_key.certified_by(&authority, &how);
            lines.push(format!("HostCertificate {}", made.display()));
        }
        // The first one counts.
        if !settings.no_sftp && !lines.iter().any(|line| line.starts_with("Subsystem ")) {
            lines.push("Subsystem sftp internal-sftp".to_owned());
        }
        let chroot = settings.chrooted.then(|| {
            assert!(is_root(), "only root makes a chroot");
            // Nobody else may write in it, nor in any directory above: not in /tmp.
            let chroot = tempfile::Builder::new().prefix("sgw-chroot").tempdir_in("/run").unwrap();
            fs::set_permissions(chroot.path(), fs::Permissions::from_mode(0o755)).unwrap();
            lines.push(format!("ChrootDirectory {}", chroot.path().display()));
            chroot
        });
        fs::write(directory.path().join("settings"), lines.join("\n")).unwrap();
        let user = settings.user.unwrap_or_else(|| Person::me().name.clone());
        let mut sshd = Self { directory, chroot, port: 0, process: None, host_key, user, key };
        fs::create_dir(sshd.home()).unwrap();
        // Between choosing a free port and taking it another test can take it.
        for _ in 0..10 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            sshd.port = free.local_addr().unwrap().port();
            drop(free);
            if sshd.listen() {
                return sshd;
            }
        }
        panic!("sshd does not start\n{}", sshd.log());
    }

    /// Whether it got the port.
    fn listen(&mut self) -> bool {
        if is_root() {
            // Its privilege separation wants this directory, which a boot makes and a container not.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let config = self.path("config");
        fs::write(&config, self.config()).unwrap();
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(SSHD);
        command.args(["-D", "-e", "-f"]).arg(&config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut process = command.spawn().expect("sshd");
        let start = Instant::now();
        while !self.answers() {
            if process.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(start.elapsed() < PATIENCE, "sshd never answers\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        self.process = Some(process);
        true
    }

    fn config(&self) -> String {
        let (port, directory) = (self.port, self.directory.path().display());
        let own = fs::read_to_string(self.path("settings")).unwrap();
        // The first value of a keyword counts, so the test's own lines come first. With SHLVL set,
        // bash does not take sshd for a reason to read anybody's ~/.bashrc; and whoever runs the suite
        // has a home without one, for login shells.
        let home = match self.user == Person::me().name {
            true => format!(" HOME={}", self.home().display()),
            false => String::new(),
        };
        format!(
            "{own}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host_key\n\
             PidFile none\nAuthorizedKeysFile {directory}/authorized_keys\nStrictModes no\n\
             UsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nMaxStartups 1000\nUseDNS no\nLogLevel VERBOSE\n\
             SetEnv SHLVL=1{home}\n"
        )
    }

    /// The home of whoever runs the suite, there: empty at first.
    fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// What is `/` for those who log in, with [`Settings::chrooted`].
    pub fn chroot(&self) -> &Path {
        self.chroot.as_ref().expect("it has one").path()
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address()) else { return false };
        let mut version = [0; 4];
        let _ = stream.set_read_timeout(Some(PATIENCE));
        stream.read_exact(&mut version).is_ok() && version == *b"SSH-"
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `sgw request` takes.
    pub fn destination(&self) -> String {
        format!("{}@127.0.0.1:{}", self.user, self.port)
    }

    pub fn host_key_fingerprint(&self) -> String {
        self.host_key.fingerprint()
    }

    /// As known_hosts has it, without the host.
    pub fn host_key_line(&self) -> String {
        self.host_key.line()
    }

    /// A directory for the test's own files, readable by who logs in.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Lets a further key in.
    pub fn allow(&self, key: &Key) {
        let both = format!("{}\n{}\n", self.key.line(), key.line());
        fs::write(self.path("authorized_keys"), both).unwrap();
    }

    /// For the message of a test that fails.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// How often someone has logged in.
    pub fn logins(&self) -> usize {
        // "Accepted key" is an offer that would do.
        let log = self.log();
        log.lines().filter(|line| line.starts_with("Accepted ") && line.contains(" for ")).count()
    }

    /// The server is gone, and its connections with it.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let connections = descendants(process.id());
        let servers = connections.into_iter().filter(|pid| is_sshd(*pid)).collect::<Vec<_>>();
        process.kill().unwrap();
        process.wait().unwrap();
        for pid in &servers {
            signal(*pid, Signal::KILL);
        }
        eventually("sshd has ended", || !servers.iter().any(|pid| is_alive(*pid)));
    }

    /// Listens again on the same port.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none() && self.listen(), "sshd does not start\n{}", self.log());
    }

    /// The same address, another machine.
    pub fn change_host_key(&mut self) {
        self.stop();
        fs::remove_file(self.path("host_key")).unwrap();
        self.host_key = Key::ed25519(&self.path("host_key"));
        self.start_again();
    }

    /// Holds every process of the connections still: a dead network, as its peer sees it.
    pub fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    fn signal_all(&self, what: Signal) {
        let Some(process) = &self.process else { return };
        for pid in descendants(process.id()).into_iter().filter(|pid| is_sshd(*pid)) {
            signal(pid, what);
        }
    }
}

fn is_sshd(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("sshd"))
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        for pid in descendants(process.id()) {
            signal(pid, Signal::KILL);
        }
        let _ = process.kill();
        let _ = process.wait();
        if std::thread::panicking() {
            eprintln!("--- sshd\n{}", self.log());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Running, *};

    fn ssh(sshd: &Sshd, command: &str) -> std::process::Output {
        client(sshd, command).output().unwrap()
    }

    fn client(sshd: &Sshd, command: &str) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-i"]);
        let known = sshd.path("known_hosts");
        let line = format!("[127.0.0.1]:{} {}", sshd.port, sshd.host_key_line());
        fs::write(&known, line).unwrap();
        ssh.arg(&sshd.key.path).arg("-o").arg(format!("UserKnownHostsFile={}", known.display()));
        ssh.args(["-p", &sshd.port.to_string(), &format!("{}@127.0.0.1", sshd.user), command]);
        ssh
    }

    #[test]
    fn its_key_gets_in_and_a_changed_host_key_is_seen() {
        let mut sshd = Sshd::start();
        let said = ssh(&sshd, "echo in");
        assert_eq!(said.stdout, b"in\n", "{said:?}\n{}", sshd.log());
        assert_eq!(sshd.logins(), 1);
        let before = sshd.host_key_fingerprint();
        sshd.change_host_key();
        assert_ne!(sshd.host_key_fingerprint(), before);
        assert_eq!(ssh(&sshd, "echo again").stdout, b"again\n");
    }

    #[test]
    fn an_ordinary_user_logs_in_and_is_removed_afterwards() {
        let person = Person::ordinary();
        let sshd = Sshd::with().user(&person).start();
        let said = ssh(&sshd, "id -u");
        assert_eq!(
            String::from_utf8_lossy(&said.stdout).trim(),
            person.uid.to_string(),
            "{said:?}"
        );
        assert_ne!(person.uid, 0);
        let (name, made) = (person.name.clone(), is_root());
        drop((sshd, person));
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        assert_eq!(passwd.contains(&format!("{name}:")), !made);
    }

    /// Whether OpenSSH's own client can do this.
    fn sftp(sshd: &Sshd, batch: &str) -> (bool, String) {
        ssh(sshd, "true");
        let (known, list) = (sshd.path("known_hosts"), sshd.path("batch"));
        fs::write(&list, batch).unwrap();
        let mut sftp = Command::new("sftp");
        sftp.args(["-F", "none", "-o", "StrictHostKeyChecking=yes", "-i"]).arg(&sshd.key.path);
        sftp.arg("-o").arg(format!("UserKnownHostsFile={}", known.display()));
        sftp.arg("-P").arg(sshd.port.to_string()).arg("-b").arg(&list);
        let said = sftp.arg(format!("{}@127.0.0.1", sshd.user)).output().unwrap();
        let text = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        (said.status.success(), text)
    }

    #[test]
    fn its_sftp_can_be_absent_read_only_or_closed_in() {
        let none = Sshd::with().no_sftp().start();
        assert!(!sftp(&none, "pwd").0);
        let reads = Sshd::with().read_only().start();
        let put = format!("put {} {}/x", reads.key.path.display(), reads.directory().display());
        assert!(sftp(&reads, "pwd").0);
        let (good, said) = sftp(&reads, &put);
        assert!(!good && said.contains("denied"), "{said}");
        if is_root() {
            let closed = Sshd::with().chrooted().start();
            fs::write(closed.chroot().join("inside"), "x").unwrap();
            let (good, said) = sftp(&closed, "ls /");
            assert!(good && said.contains("/inside") && !said.contains("etc"), "{said}");
        }
    }

    #[test]
    fn a_stopped_server_ends_what_was_connected_and_can_come_back() {
        let mut sshd = Sshd::start();
        let running = Running::start(&mut client(&sshd, "sleep 1000"));
        eventually("it logs in", || sshd.logins() == 1);
        sshd.stop();
        assert_eq!(running.ends().code(), 255);
        assert!(TcpStream::connect(sshd.address()).is_err());
        sshd.start_again();
        assert_eq!(ssh(&sshd, "echo back").stdout, b"back\n");
    }
}
