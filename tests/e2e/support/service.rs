//! sgw as a service of the machine, with three users made for one test: its daemon's, the operator's,
//! an agent's. What systemd does there, `Service` does here: it opens the sockets and hands them over.

use std::{
    cell::RefCell,
    ffi::OsStr,
    fs,
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, net::UnixListener},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::Value;

use super::{
    Destination, Outcome, PASSPHRASE, Person, Running, eventually, is_alive,
    process::signal,
    sgw::make_private,
    user::{is_root, one_at_a_time},
};

/// Dropping it ends the daemon and takes everything away again.
pub struct Service {
    pub prefix: PathBuf,
    pub operator: Person,
    pub agent: Person,
    /// The daemon's user, and the two groups.
    pub names: [String; 3],
    sockets: RefCell<Option<[UnixListener; 2]>>,
    daemons: RefCell<Vec<u32>>,
}

/// What a daemon is told of the sockets that are handed to it.
pub struct Handed<'a> {
    pub pid: &'a str,
    pub count: &'a str,
    pub names: &'a str,
    pub user: &'a str,
    /// A directory of credentials.
    pub credentials: Option<&'a Path>,
}

static MADE: AtomicU32 = AtomicU32::new(0);

impl Service {
    /// Its users are there; nothing is set up yet.
    pub fn new() -> Self {
        assert!(is_root(), "service mode is tried with users that the suite makes: run it as root");
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let of = |kind: &str| format!("sgwt{kind}{}x{number}", std::process::id());
        // A directory that is root's alone, and not mounted nosuid.
        let prefix = PathBuf::from(format!("/opt/{}", of("")));
        fs::create_dir_all(&prefix).unwrap();
        fs::set_permissions(&prefix, fs::Permissions::from_mode(0o755)).unwrap();
        let service = Self {
            prefix,
            operator: Person::ordinary(),
            agent: Person::ordinary(),
            names: [of("d"), of("o"), of("a")],
            sockets: RefCell::default(),
            daemons: RefCell::default(),
        };
        service.write_private("passphrase", PASSPHRASE);
        service
    }

    /// Set up by root, with its sockets open.
    pub fn set_up() -> Self {
        let service = Self::new();
        service.apply().ok();
        service.listen();
        service
    }

    /// The operator has made the vault and unlocked it.
    pub fn unlocked() -> Self {
        let service = Self::set_up();
        service.start();
        service.operator(["init"]).ok();
        service.operator(["unlock"]).ok();
        service
    }

    /// `sgw init --service` as root types it.
    pub fn installer(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sgw"));
        command.args(["init", "--service", "--no-start", "--prefix"]).arg(&self.prefix);
        command.args(["--operator", &self.operator.name, "--agent", &self.agent.name]);
        let [daemon, operators, agents] = &self.names;
        command.args(["--daemon-user", daemon, "--operator-group", operators]);
        command.args(["--agents-group", agents]).args(more);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        one_at_a_time(&command)
    }

    #[track_caller]
    pub fn apply(&self) -> Outcome {
        Running::start(&mut self.installer(&["--apply"])).ends()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.prefix.join(name)
    }

    pub fn program(&self) -> PathBuf {
        self.path("bin/sgw")
    }

    pub fn socket(&self, name: &str) -> PathBuf {
        self.path("run/sgw").join(format!("{name}.sock"))
    }

    pub fn gid(&self, group: &str) -> u32 {
        let groups = fs::read_to_string("/etc/group").unwrap();
        let line = groups.lines().find(|line| line.starts_with(&format!("{group}:"))).unwrap();
        line.split(':').nth(2).unwrap().parse().unwrap()
    }

    pub fn daemon_uid(&self) -> u32 {
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let mut lines = users.lines();
        let line = lines.find(|line| line.starts_with(&format!("{}:", self.names[0]))).unwrap();
        line.split(':').nth(2).unwrap().parse().unwrap()
    }

    /// Opens both sockets, as the units say.
    pub fn listen(&self) {
        let open = |name: &str, group: &str| {
            let path = self.socket(name);
            let _ = fs::remove_file(&path);
            let listener = UnixListener::bind(&path).unwrap();
            std::os::unix::fs::chown(&path, Some(0), Some(self.gid(group))).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
            listener
        };
        let [_, operators, agents] = &self.names;
        *self.sockets.borrow_mut() = Some([open("agent", agents), open("operator", operators)]);
    }

    /// The daemon as the service manager starts it, when somebody connects.
    pub fn start(&self) -> u32 {
        self.start_with(None)
    }

    pub fn start_with(&self, credentials: Option<&Path>) -> u32 {
        let user = self.names[0].clone();
        let handed =
            Handed { pid: "$$", count: "2", names: "agent:operator", user: &user, credentials };
        let pid = self.hand_over(&handed).spawn().expect("sh").id();
        self.daemons.borrow_mut().push(pid);
        pid
    }

    /// A shell becomes the daemon, with the sockets as its descriptors 3 and 4.
    pub fn hand_over(&self, handed: &Handed) -> Command {
        let sockets = self.sockets.borrow();
        let [agent, operator] = sockets.as_ref().expect("sockets");
        let of = |socket: &UnixListener| Stdio::from(OwnedFd::from(socket.try_clone().unwrap()));
        let line = format!(
            "exec 3<&0 4<&1 0</dev/null 1>/dev/null; LISTEN_PID={} LISTEN_FDS={} LISTEN_FDNAMES={} \
             exec setpriv --reuid={user} --regid={user} --clear-groups --no-new-privs {} \
             daemon run --service",
            handed.pid,
            handed.count,
            handed.names,
            self.program().display(),
            user = handed.user,
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line]).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs(handed.credentials.map(|directory| ("CREDENTIALS_DIRECTORY", directory)));
        command.stdin(of(agent)).stdout(of(operator)).current_dir("/");
        command
    }

    /// The installed program as this person runs it, with their groups.
    pub fn command<A: AsRef<OsStr>>(
        &self,
        person: &Person,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        self.command_of(person, &self.program(), arguments)
    }

    /// Any program as this person runs it.
    pub fn command_of<A: AsRef<OsStr>>(
        &self,
        person: &Person,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={}", person.uid)).arg(format!("--regid={}", person.gid));
        command.args(["--init-groups", "--"]).arg(program).args(arguments);
        command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin").env("LANG", "C.UTF-8");
        command.env("HOME", person.home().expect("a user of this test's")).current_dir("/");
        command
    }

    /// A command as the agent types it.
    #[track_caller]
    pub fn agent<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome {
        Running::start(&mut self.command(&self.agent, arguments)).ends()
    }

    /// A command as the operator scripts it.
    #[track_caller]
    pub fn operator<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome {
        Running::start(&mut self.operator_command(arguments)).ends()
    }

    pub fn operator_command<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let all: Vec<_> = arguments.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let end = all.iter().position(|word| word == "--").unwrap_or(all.len());
        let (before, after) = all.split_at(end);
        let mut command = self.command(&self.operator, before);
        command.args(["--i-am-the-operator", "--passphrase-file"]);
        command.arg(self.private("passphrase")).args(after);
        command
    }

    fn private(&self, name: &str) -> PathBuf {
        self.operator.home().expect("a user of this test's").join(name)
    }

    /// A file of the operator's alone.
    pub fn write_private(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.private(name);
        fs::write(&path, content).unwrap();
        make_private(&path);
        let Person { uid, gid, .. } = self.operator;
        std::os::unix::fs::chown(&path, Some(uid), Some(gid)).unwrap();
        path
    }

    /// The agent asks, the operator says yes; the session's id.
    #[track_caller]
    pub fn session(&self, target: &impl Destination) -> String {
        let destination = target.destination();
        let asked = ["request", &destination, "--reason", "a test", "--no-wait", "--json"];
        let request = self.agent(asked).fails(75, "request.pending").waits_on();
        self.approves(&request, target);
        self.agent(["wait", &request]).ok().stdout().trim().to_owned()
    }

    #[track_caller]
    pub fn approves(&self, request: &str, target: &impl Destination) -> Outcome {
        let key = self.write_private("identity", fs::read(target.identity()).unwrap());
        let (key, fingerprint) = (key.display().to_string(), target.fingerprint());
        let words = ["approve", request, "--yes", "--identity", &key];
        self.operator(words.into_iter().chain(["--accept-host-key", &fingerprint])).ok()
    }

    #[track_caller]
    pub fn status(&self) -> Value {
        self.operator(["daemon", "status", "--json"]).ok().json()
    }

    /// The daemon's end is waited for; one that was started here is collected.
    #[track_caller]
    pub fn daemon_is_gone(&self, pid: u32) {
        eventually("the daemon is gone", || !is_alive(pid));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for pid in self.daemons.borrow().iter() {
            signal(*pid, rustix::process::Signal::KILL);
        }
        if std::thread::panicking() {
            let log = fs::read_to_string(self.path("var/lib/sgw/sgw.log")).unwrap_or_default();
            eprintln!("--- the daemon's log\n{log}");
        }
        let _ = fs::remove_dir_all(&self.prefix);
        let [daemon, operators, agents] = &self.names;
        let _ = one_at_a_time(Command::new("userdel").arg(daemon)).output();
        for group in [daemon, operators, agents] {
            let _ = one_at_a_time(Command::new("groupdel").arg(group)).output();
        }
    }
}
