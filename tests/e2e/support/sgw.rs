//! One instance of sgw under a directory of its own: its operator, its agents, its daemon.

use std::{
    cell::RefCell,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::process::Signal;
use serde_json::Value;
use sgw::{
    domain::{
        seal::{Cost, Header, HeaderSeed},
        secret::Secret,
    },
    home::{Home, random},
};
use tempfile::TempDir;

use super::{
    OddServer, Outcome, Person, Pty, Running, Sshd,
    canary::{Canaries, files_under},
    eventually, frames, is_alive,
    process::signal,
    user::is_root,
};

/// Strong enough for `init`, and long enough to be searched for everywhere.
pub const PASSPHRASE: &str = "violet-tundra-plover-mosaic-anchor-0731";

/// Dropping it locks the daemon, sees it end, and searches what it left for the planted secrets.
pub struct Sgw {
    directory: TempDir,
    binary: PathBuf,
    owner: Option<Rc<Person>>,
    daemons: RefCell<Vec<u32>>,
    canaries: Arc<Mutex<Canaries>>,
}

/// Somewhere to log in with a key.
pub trait Destination {
    fn destination(&self) -> String;
    fn fingerprint(&self) -> String;
    fn identity(&self) -> &Path;
}

impl Destination for Sshd {
    fn destination(&self) -> String {
        self.destination()
    }

    fn fingerprint(&self) -> String {
        self.host_key_fingerprint()
    }

    fn identity(&self) -> &Path {
        &self.key.path
    }
}

impl Destination for OddServer {
    fn destination(&self) -> String {
        self.destination()
    }

    fn fingerprint(&self) -> String {
        self.seen().fingerprint()
    }

    fn identity(&self) -> &Path {
        &self.key.path
    }
}

impl Sgw {
    /// Nothing is set up yet.
    pub fn new() -> Self {
        Self::in_new_directory(None)
    }

    /// Everything belongs to this person, and runs as them.
    pub fn of(person: &Rc<Person>) -> Self {
        Self::in_new_directory(Some(Rc::clone(person)))
    }

    /// Set up and unlocked.
    pub fn unlocked() -> Self {
        let sgw = Self::new();
        sgw.init();
        sgw.unlock();
        sgw
    }

    fn in_new_directory(owner: Option<Rc<Person>>) -> Self {
        // Short: the path of a socket has 107 bytes at most.
        let directory = tempfile::Builder::new().prefix("sgw").tempdir_in("/tmp").unwrap();
        let mut binary = PathBuf::from(env!("CARGO_BIN_EXE_sgw"));
        for name in ["home", "operator"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        if owner.is_some() && is_root() {
            // Where the suite was built may be closed to others.
            let copy = directory.path().join("sgw");
            fs::copy(&binary, &copy).unwrap();
            binary = copy;
        }
        let sgw = Self {
            directory,
            binary,
            owner,
            daemons: RefCell::default(),
            canaries: Arc::default(),
        };
        sgw.write_private("passphrase", PASSPHRASE);
        sgw.plant(PASSPHRASE.as_bytes());
        if let Some(person) = &sgw.owner {
            for path in [sgw.directory.path().into(), sgw.user_home(), sgw.path("operator")] {
                give(&path, person);
            }
        }
        sgw
    }

    /// `SGW_HOME`.
    pub fn home(&self) -> PathBuf {
        self.path("s")
    }

    /// `HOME`. The `.ssh` that ssh and sgw look at is here for a person that was made for the test:
    /// both ask the user database where it is.
    pub fn user_home(&self) -> PathBuf {
        let made = self.owner.as_ref().and_then(|person| person.home());
        made.map_or_else(|| self.path("home"), Path::to_owned)
    }

    /// An unlocked instance of someone whose `.ssh` may be written; none where that takes root.
    pub fn of_someone_with_a_home() -> Option<Self> {
        if !is_root() {
            eprintln!("left out: only root can make a user with a home of their own");
            return None;
        }
        let sgw = Self::of(&Rc::new(Person::ordinary()));
        sgw.init();
        sgw.unlock();
        Some(sgw)
    }

    /// The file is the owner's from now on: a key to log in with is nobody else's to read.
    pub fn give(&self, file: &Path) {
        if let Some(person) = &self.owner {
            give(file, person);
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn passphrase_file(&self) -> PathBuf {
        self.path("operator/passphrase")
    }

    /// A file of the operator's that nobody else may read.
    pub fn write_private(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path("operator").join(name);
        fs::write(&path, content).unwrap();
        make_private(&path);
        self.give(&path);
        path
    }

    /// A file under `HOME`, with the directories to it.
    pub fn write_in_user_home(&self, name: &str, content: &str) -> PathBuf {
        let path = self.user_home().join(name);
        let directory = path.parent().unwrap();
        fs::create_dir_all(directory).unwrap();
        fs::write(&path, content).unwrap();
        make_private(&path);
        [directory, &path].into_iter().for_each(|path| self.give(path));
        path
    }

    /// From now on this must not be found in any file of the instance nor in what a command prints.
    pub fn plant(&self, secret: &[u8]) {
        self.canaries().plant(secret);
    }

    fn canaries(&self) -> MutexGuard<'_, Canaries> {
        self.canaries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn plant_private_key(&self, file: &Path) {
        self.canaries().plant_private_key(file);
    }

    /// The program with a clean environment; whoever runs the suite leaves no trace in it.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env_clear().current_dir(self.user_home());
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.user_home()).env("SGW_HOME", self.home()).env("LANG", "C.UTF-8");
        if let Some(person) = &self.owner {
            person.runs(&mut command);
        }
        command
    }

    /// Runs what `command` made, and looks for secrets in what it printed.
    #[track_caller]
    pub fn run(&self, command: &mut Command) -> Outcome {
        self.searched(Running::start(command).ends())
    }

    /// Fails when a planted secret was printed.
    #[track_caller]
    pub fn searched(&self, outcome: Outcome) -> Outcome {
        self.canaries().none_printed(&outcome);
        outcome
    }

    /// Fails when these bytes hold a planted secret.
    #[track_caller]
    pub fn assert_clean(&self, bytes: &[u8], what: &str) {
        assert!(!self.canaries().sing_in(bytes), "a planted secret in {what}");
    }

    /// A command as an agent types it.
    #[track_caller]
    pub fn agent<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome {
        self.run(&mut self.command(arguments))
    }

    /// The same, still running.
    pub fn start<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Running {
        self.watched(Running::start(&mut self.command(arguments)))
    }

    /// What it prints is searched at its end.
    pub fn watched(&self, running: Running) -> Running {
        running.searched_for(&self.canaries)
    }

    /// A command as the operator scripts it: with proof, and also where an agent runs the suite.
    #[track_caller]
    pub fn operator<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome {
        self.run(&mut self.operator_command(arguments))
    }

    pub fn operator_command<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut all: Vec<OsString> = arguments.into_iter().map(|a| a.as_ref().into()).collect();
        let proof = ["--i-am-the-operator".into(), "--passphrase-file".into()];
        let config = self.user_home().join(".ssh/config");
        if all.first().is_some_and(|first| first == "approve") && config.exists() {
            all.splice(1..1, [OsString::from("--ssh-config"), config.into()]);
        }
        let end = all.iter().position(|argument| argument == "--").unwrap_or(all.len());
        all.splice(end..end, proof.into_iter().chain([self.passphrase_file().into()]));
        self.command(all)
    }

    /// A command of the operator's on a terminal, where it asks what it needs.
    pub fn terminal<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Pty {
        Pty::start(&self.at_terminal(arguments))
    }

    /// `Pty` starts a program of its own, which becomes this one: so does the one that makes it its
    /// person's.
    fn at_terminal<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut plain = self.command(arguments);
        plain.arg("--i-am-the-operator");
        let Some(person) = self.owner.as_ref().filter(|_| is_root()) else { return plain };
        let mut command = Command::new("setpriv");
        command.args(["--clear-groups", &format!("--reuid={}", person.uid)]);
        command.arg(format!("--regid={}", person.gid)).arg("--").arg(plain.get_program());
        command.args(plain.get_args()).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    /// The same, on a terminal that calls itself so.
    pub fn terminal_named<A: AsRef<OsStr>>(
        &self,
        term: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Pty {
        Pty::named(term, &self.at_terminal(arguments))
    }

    #[track_caller]
    /// What `sgw init` does, with a header that is opened in milliseconds where the build allows it.
    pub fn init(&self) {
        let cost = if cfg!(debug_assertions) { Cost::OF_TESTS } else { Cost::USUAL };
        let (data_key, salt, nonce) = (random().unwrap(), random().unwrap(), random().unwrap());
        let passphrase = Secret::new(PASSPHRASE.to_owned());
        let seed = HeaderSeed { data_key, salt, nonce };
        let (header, data_key) = Header::create(&passphrase, cost, seed).unwrap();
        let home = Home::open_or_create(&self.home()).unwrap();
        home.create_vault(&header, &data_key, random().unwrap(), None).unwrap();
        self.give(&self.home());
        for file in fs::read_dir(self.home()).unwrap() {
            self.give(&file.unwrap().path());
        }
    }

    /// Starts the daemon, whose end [`Drop`] sees to.
    #[track_caller]
    pub fn unlock(&self) -> u32 {
        self.operator(["unlock"]).ok();
        self.daemon().expect("unlock returns when the daemon answers")
    }

    #[track_caller]
    pub fn lock(&self) {
        self.agent(["lock"]).ok();
    }

    /// The daemon's process; none when it does not run.
    #[track_caller]
    pub fn daemon(&self) -> Option<u32> {
        let status = self.agent(["daemon", "status", "--json"]).json();
        let pid = u32::try_from(status["pid"].as_u64()?).unwrap();
        if !self.daemons.borrow().contains(&pid) {
            self.daemons.borrow_mut().push(pid);
        }
        status["running"].as_bool()?.then_some(pid)
    }

    /// kill -9, and it is gone.
    #[track_caller]
    pub fn kill_daemon(&self) {
        let pid = self.daemon().expect("a running daemon");
        signal(pid, Signal::KILL);
        eventually("the killed daemon is gone", || !is_alive(pid));
    }

    /// Asks for a session and comes back at once with the request's id.
    #[track_caller]
    pub fn requests(&self, target: &impl Destination, more: &[&str]) -> String {
        let destination = target.destination();
        let mut arguments =
            vec!["request", &destination, "--reason", "a test", "--no-wait", "--json"];
        arguments.extend(more);
        self.agent(arguments).fails(75, "request.pending").waits_on()
    }

    /// The operator's yes, with the target's key and its host key.
    #[track_caller]
    pub fn approves(&self, request: &str, target: &impl Destination) -> Value {
        self.plant_private_key(target.identity());
        self.try_approve(request, target).ok().json()
    }

    #[track_caller]
    pub fn try_approve(&self, request: &str, target: &impl Destination) -> Outcome {
        self.run(&mut self.approval(request, target))
    }

    /// The command that says yes, with the target's key and its host key.
    pub fn approval(&self, request: &str, target: &impl Destination) -> Command {
        // The operator's own copy: another user could not read the test's.
        let key = self.write_private("identity", fs::read(target.identity()).unwrap());
        let (identity, fingerprint) = (key.display().to_string(), target.fingerprint());
        let mut arguments = vec!["approve", request, "--yes", "--json", "--identity", &identity];
        arguments.extend(["--accept-host-key", &fingerprint]);
        self.operator_command(arguments)
    }

    /// A request, its approval, and the session's id.
    #[track_caller]
    pub fn session(&self, target: &impl Destination) -> String {
        self.session_with(target, &[])
    }

    /// A person's terminal that shows a request and asks for the decision.
    pub fn looks_at(&self, request: &str) -> Pty {
        let mut terminal = self.terminal(["approve", request]);
        terminal.wait_for("(?i)passphrase");
        terminal.send(&format!("{PASSPHRASE}\r"));
        terminal
    }

    /// With further flags of `request`.
    #[track_caller]
    pub fn session_with(&self, target: &impl Destination, more: &[&str]) -> String {
        let request = self.requests(target, more);
        self.approves(&request, target);
        let session = self.agent(["wait", &request]).ok().stdout().trim().to_owned();
        assert!(session.starts_with("s-"), "a session's id: {session}");
        session
    }

    /// A command that asks, run with `--json` after the operator's yes.
    #[track_caller]
    pub fn runs_after_a_yes<A: AsRef<OsStr>>(&self, exec: &[A]) -> Outcome {
        let mut words: Vec<&OsStr> = exec.iter().map(AsRef::as_ref).collect();
        words.splice(1..1, ["--no-wait", "--json"].map(OsStr::new));
        let request = self.agent(words).fails(75, "approval.pending").waits_on();
        self.operator(["approve", &request, "--yes", "--json"]).ok();
        self.agent(["wait", &request, "--json"])
    }

    /// Lays this over the policy.
    #[track_caller]
    pub fn accepts_policy(&self, own: &str) {
        let file = self.write_private("own.toml", format!("version = 1\n{own}"));
        self.operator(["policy", "accept", file.to_str().unwrap(), "--yes", "--json"]).ok();
    }

    /// A file or socket of the instance, by its name.
    #[track_caller]
    pub fn find(&self, name: &str) -> PathBuf {
        let found = Command::new("find").arg(self.home()).args(["-name", name]).output().unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        found.lines().next().unwrap_or_else(|| panic!("no {name} in the instance")).into()
    }

    /// Everything that the daemon left on disk.
    pub fn files(&self) -> Vec<PathBuf> {
        files_under(&self.home())
    }

    fn logs(&self) -> String {
        let logs = self.files().into_iter().filter(|f| f.extension().is_some_and(|e| e == "log"));
        logs.map(|file| fs::read_to_string(file).unwrap_or_default()).collect()
    }

    fn kill_daemons(&self) {
        self.daemons.borrow().iter().for_each(|pid| signal(*pid, Signal::KILL));
    }

    fn end_daemons(&self) -> bool {
        let _ = Running::start(&mut self.command(["lock"])).ends();
        let daemons = self.daemons.borrow();
        let start = std::time::Instant::now();
        while daemons.iter().any(|pid| is_alive(*pid)) {
            if start.elapsed() > super::PATIENCE {
                daemons.iter().for_each(|pid| signal(*pid, Signal::KILL));
                return false;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        true
    }
}

impl Drop for Sgw {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the daemon's log\n{}", self.logs());
            self.kill_daemons();
            return;
        }
        let leaks = |when: &str| {
            let canaries = self.canaries();
            let mut leaks = canaries.found_under(&self.home());
            for pid in self.daemons.borrow().iter().filter(|pid| is_alive(**pid)) {
                leaks.extend(canaries.found_in_process(*pid));
            }
            if frames::sung(&canaries) {
                leaks.push("what a socket said".into());
            }
            if !leaks.is_empty() {
                self.kill_daemons();
                panic!("planted secrets {when} in {leaks:?}");
            }
        };
        leaks("while the daemon ran");
        assert!(self.end_daemons(), "the daemon outlived its lock\n{}", self.logs());
        leaks("after the daemon's end");
    }
}

/// 0600.
pub fn make_private(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn give(path: &Path, person: &Person) {
    if is_root() {
        std::os::unix::fs::chown(path, Some(person.uid), Some(person.gid)).unwrap();
    }
}

/// That the search at a test's end can fail: each plants one where an agent could read it.
#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::*;

    #[test]
    #[should_panic(expected = "planted secrets while the daemon ran")]
    fn a_secret_in_a_file_is_found() {
        let sgw = Sgw::unlocked();
        fs::write(sgw.home().join("run/left"), STANDARD.encode(PASSPHRASE)).unwrap();
    }

    #[test]
    #[should_panic(expected = "environ")]
    fn a_secret_in_the_environment_of_a_daemon_is_found() {
        // Dropped after what looks at it.
        let daemon = Running::start(Command::new("sleep").arg("600").env("KEY", PASSPHRASE));
        let sgw = Sgw::new();
        let environ = format!("/proc/{}/environ", daemon.pid());
        eventually("it runs", || sgw.canaries().sing_in(&fs::read(&environ).unwrap()));
        sgw.daemons.borrow_mut().push(daemon.pid());
    }

    #[test]
    #[should_panic(expected = "a planted secret was printed")]
    fn a_secret_in_what_is_printed_is_found() {
        let sgw = Sgw::new();
        sgw.watched(Running::start(Command::new("echo").arg(hex::encode(PASSPHRASE)))).ends();
    }

    #[test]
    #[should_panic(expected = "what a socket said")]
    fn a_secret_in_an_answer_of_a_socket_is_found() {
        let sgw = Sgw::new();
        // A secret of its own: what was heard is heard by every test of this process.
        sgw.plant(b"canary-that-a-socket-said");
        let socket = sgw.path("socket");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let mut wire = frames::Wire::connect(&socket);
        let (mut stream, _) = listener.accept().unwrap();
        let said = frames::frame(frames::JSON, 0, b"{\"x\":\"canary-that-a-socket-said\"}");
        std::io::Write::write_all(&mut stream, &said).unwrap();
        wire.receive().unwrap();
    }
}
