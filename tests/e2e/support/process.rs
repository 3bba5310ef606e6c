//! Processes: started, waited for with a limit, found and told dead by their id.

use std::{
    fs,
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{Outcome, PATIENCE, canary::Canaries};

/// Waits until `claim` holds; fails with `what` when it does not in time.
#[track_caller]
pub fn eventually(what: &str, claim: impl FnMut() -> bool) {
    eventually_within(PATIENCE, what, claim);
}

/// [`eventually`], for what takes longer.
#[track_caller]
pub fn eventually_within(limit: Duration, what: &str, mut claim: impl FnMut() -> bool) {
    let start = Instant::now();
    while !claim() {
        assert!(start.elapsed() < limit, "never came true: {what}");
        thread::sleep(Duration::from_millis(15));
    }
}

/// Whether a process runs. One that has ended and waits to be collected does not.
pub fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    match after_name(&stat).first() {
        // A killed process still holds its files while one of its threads has not ended.
        Some(&"Z") => fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|task| task.count() > 1),
        Some(&"X") | None => false,
        Some(_) => true,
    }
}

/// The processes that carry `word` on their command line or in their environment, but not this one.
pub fn processes_naming(word: &str) -> Vec<u32> {
    let holds = |pid: u32, file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        bytes.windows(word.len()).any(|window| window == word.as_bytes())
    };
    let others = all().filter(|pid| *pid != std::process::id() && is_alive(*pid));
    others.filter(|pid| holds(*pid, "cmdline") || holds(*pid, "environ")).collect()
}

/// The processes that hold a file, a socket or a lock open under `directory`.
pub fn processes_with_files_under(directory: &std::path::Path) -> Vec<u32> {
    let sockets = sockets_under(directory);
    let holds = |pid: &u32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.any(|to| to.starts_with(directory) || sockets.contains(&to.display().to_string()))
    };
    all().filter(holds).collect()
}

/// The bound Unix sockets, as /proc/PID/fd names them.
fn sockets_under(directory: &std::path::Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let inside = lines.filter(|line| {
        line.get(7).is_some_and(|path| std::path::Path::new(path).starts_with(directory))
    });
    inside.map(|line| format!("socket:[{}]", line[6])).collect()
}

/// The children of a process, theirs, and so on.
pub fn descendants(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = all().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&of) = found.get(next) {
        found.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// Sends a signal to one process; one that has ended is no error.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed()) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

pub fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    after_name(&stat).get(1)?.parse().ok()
}

/// The fields of /proc/PID/stat from the state on: a process can name itself `x) S 1`.
fn after_name(stat: &str) -> Vec<&str> {
    stat.rsplit_once(')').map_or(vec![], |(_, rest)| rest.split_whitespace().collect())
}

/// A command that runs: its output is collected while the test goes on.
pub struct Running {
    what: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Stream,
    stderr: Stream,
    started: Instant,
    /// Not to be found in what it prints.
    canaries: Option<Arc<Mutex<Canaries>>>,
}

type Bytes = Arc<Mutex<Vec<u8>>>;

/// A pipe that a thread empties into memory.
struct Stream {
    bytes: Bytes,
    reader: JoinHandle<()>,
}

impl Stream {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Bytes::default();
        let into = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut chunk = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                locked(&into).extend_from_slice(&chunk[..length]);
            }
        });
        Self { bytes, reader }
    }

    fn so_far(&self) -> Vec<u8> {
        locked(&self.bytes).clone()
    }
}

fn locked(bytes: &Bytes) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let what = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let stdout = Stream::of(child.stdout.take().expect("piped"));
        let stderr = Stream::of(child.stderr.take().expect("piped"));
        let stdin = child.stdin.take();
        Self { what, child, stdin, stdout, stderr, started: Instant::now(), canaries: None }
    }

    /// What it prints is searched at its end.
    pub fn searched_for(mut self, canaries: &Arc<Mutex<Canaries>>) -> Self {
        self.canaries = Some(Arc::clone(canaries));
        self
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout.so_far()).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.so_far()).into_owned()
    }

    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("its stdin was closed");
        stdin.write_all(bytes).expect("it reads its stdin");
        stdin.flush().expect("it reads its stdin");
    }

    /// The same of one that may stop reading before the end.
    pub fn try_write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("its stdin was closed");
        let _ended = stdin.write_all(bytes);
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Only to this process, not to its children: as a tool does that kills its command.
    pub fn signal(&self, signal: rustix::process::Signal) {
        self::signal(self.pid(), signal);
    }

    /// Waits until what it has printed on stdout contains `text`.
    #[track_caller]
    pub fn prints(&mut self, text: &str) {
        self.waits_for("stdout", text, |me| me.stdout());
    }

    /// The same for stderr.
    #[track_caller]
    pub fn says(&mut self, text: &str) {
        self.waits_for("stderr", text, |me| me.stderr());
    }

    #[track_caller]
    fn waits_for(&mut self, stream: &str, text: &str, so_far: impl Fn(&Self) -> String) {
        let start = Instant::now();
        loop {
            let ended = !is_alive(self.pid());
            if so_far(self).contains(text) {
                return;
            }
            let waited = start.elapsed();
            // Its last bytes may still be in the pipe when it has just ended.
            if waited > PATIENCE || (ended && waited > Duration::from_secs(2)) {
                self.give_up(&format!("never said {text:?} on {stream}"));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_some()
    }

    /// Closes its stdin and waits for its end.
    #[track_caller]
    pub fn ends(self) -> Outcome {
        self.ends_within(PATIENCE)
    }

    #[track_caller]
    pub fn ends_within(mut self, limit: Duration) -> Outcome {
        self.close_stdin();
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                break status;
            }
            if start.elapsed() > limit {
                self.give_up(&format!("did not end within {limit:?}"));
            }
            thread::sleep(Duration::from_millis(3));
        };
        let took = self.started.elapsed();
        self.collected();
        let outcome = self.outcome(status, took);
        if let Some(canaries) = &self.canaries {
            let canaries = canaries.lock().unwrap_or_else(PoisonError::into_inner);
            canaries.none_printed(&outcome);
        }
        outcome
    }

    /// A process that it started and left behind could hold its pipes open for ever.
    #[track_caller]
    fn collected(&mut self) {
        let start = Instant::now();
        while !(self.stdout.reader.is_finished() && self.stderr.reader.is_finished()) {
            if start.elapsed() > Duration::from_secs(20) {
                self.give_up("ended, but something that it started keeps its output open");
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn outcome(&self, status: ExitStatus, took: Duration) -> Outcome {
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let (stdout, stderr) = (self.stdout.so_far(), self.stderr.so_far());
        Outcome { what: self.what.clone(), code, stdout, stderr, took }
    }

    #[track_caller]
    fn give_up(&mut self, why: &str) -> ! {
        let (stdout, stderr) = (self.stdout(), self.stderr());
        let _ = self.child.kill();
        let _ = self.child.wait();
        panic!("{}\n{why}\n--- stdout\n{stdout}\n--- stderr\n{stderr}", self.what)
    }
}

/// Nothing that a failed test started stays behind.
impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
