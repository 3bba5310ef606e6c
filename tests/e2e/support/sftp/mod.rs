//! An SFTP server that follows a script: what no honest server does, at a moment of the test's choosing. A real
//! sshd has it as its subsystem, through a process that only carries bytes between the two.

mod tree;

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use bytes::Bytes;
use sgw::domain::sftp::{Attrs, Call, Cutter, FromClient, FromServer, Pairs, Reply, StatusCode};
use tempfile::TempDir;

pub use tree::{HOME, Tree, entry};

use super::{Settings, Sshd};

/// What becomes of one request.
pub enum Turn {
    /// A good server's answer.
    Honest,
    Reply(Reply),
    /// In the place of an answer, whatever it is.
    Bytes(Vec<u8>),
    /// A good server's answer, once it is let through; other connections go on meanwhile.
    Later(Arc<Gate>),
    /// The server ends.
    Gone,
}

/// Where an answer waits.
#[derive(Default)]
pub struct Gate {
    /// Whether one waits, and whether it is let through.
    state: Mutex<(bool, bool)>,
    opened: Condvar,
}

impl Gate {
    /// Lets through what waits here, and what comes.
    pub fn open(&self) {
        self.state().1 = true;
        self.opened.notify_all();
    }

    pub fn holds_one(&self) -> bool {
        self.state().0
    }

    fn pass(&self) {
        let mut state = self.state();
        state.0 = true;
        let _passed = self.opened.wait_while(state, |state| !state.1);
    }

    fn state(&self) -> MutexGuard<'_, (bool, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Script = Box<dyn FnMut(&Call, &mut Tree) -> Turn + Send>;

/// Carries bytes between its own ends and a port, until one of the two is done.
const CARRY: &str = "\
exec 3<>/dev/tcp/127.0.0.1/$1
cat <&3 & out=$!
cat <&0 >&3 & in=$!
wait -n
kill $out $in
";

/// Calls that are kept; of what is written its first bytes.
const KEPT: usize = 100_000;
const KEPT_BYTES: usize = 64;

pub struct ScriptedSftp {
    pub sshd: Sshd,
    port: u16,
    play: Arc<Mutex<Play>>,
    _directory: TempDir,
}

struct Play {
    tree: Tree,
    extensions: Pairs,
    script: Script,
    calls: Vec<Call>,
    sessions: usize,
}

impl ScriptedSftp {
    /// Honest, on an empty home.
    pub fn start() -> Self {
        Self::with_settings(Sshd::with())
    }

    pub fn with_settings(settings: Settings) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let play = Play {
            tree: Tree::new(),
            extensions: tree::extensions(),
            script: Box::new(|_, _| Turn::Honest),
            calls: Vec::new(),
            sessions: 0,
        };
        let play = Arc::new(Mutex::new(play));
        let shared = play.clone();
        thread::spawn(move || {
            // Ends with the process: nobody connects once its sshd is gone.
            for stream in listener.incoming().flatten() {
                let play = shared.clone();
                thread::spawn(move || serve(stream, &play));
            }
        });
        let directory = tempfile::Builder::new().prefix("sftp").tempdir_in("/tmp").unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let carry = directory.path().join("carry");
        fs::write(&carry, CARRY).unwrap();
        let subsystem = format!("Subsystem sftp /bin/bash {} {port}", carry.display());
        let sshd = settings.line(&subsystem).start();
        Self { sshd, port, play, _directory: directory }
    }

    /// Asked before each answer.
    pub fn follows(&self, script: impl FnMut(&Call, &mut Tree) -> Turn + Send + 'static) {
        self.play().script = Box::new(script);
    }

    /// Its files, to be filled and looked at.
    pub fn tree<T>(&self, with: impl FnOnce(&mut Tree) -> T) -> T {
        with(&mut self.play().tree)
    }

    pub fn without_extensions(self) -> Self {
        self.play().extensions.clear();
        self
    }

    /// What was asked so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.play().calls.clone()
    }

    /// How often it was started.
    pub fn sessions(&self) -> usize {
        self.play().sessions
    }

    fn play(&self) -> MutexGuard<'_, Play> {
        lock(&self.play)
    }
}

/// At most so many bytes are read at once.
pub fn short_reads(most: u32) -> impl FnMut(&Call, &mut Tree) -> Turn {
    move |call, tree| match call {
        Call::Read { handle, offset, length } if *length > most => {
            Turn::Reply(tree.answer(&Call::Read {
                handle: handle.clone(),
                offset: *offset,
                length: most,
            }))
        }
        _ => Turn::Honest,
    }
}

/// More bytes than were asked for.
pub fn long_reads() -> impl FnMut(&Call, &mut Tree) -> Turn {
    move |call, _| match call {
        Call::Read { length, .. } => {
            Turn::Reply(Reply::Data(Bytes::from(vec![b'x'; *length as usize + 1])))
        }
        _ => Turn::Honest,
    }
}

/// Files have this size, it says.
pub fn lying_size(size: u64) -> impl FnMut(&Call, &mut Tree) -> Turn {
    move |call, tree| match (call, tree.answer_to_look(call)) {
        (_, Some(Reply::Attrs(attrs))) if !is_directory(&attrs) => {
            Turn::Reply(Reply::Attrs(Attrs { size: Some(size), ..attrs }))
        }
        _ => Turn::Honest,
    }
}

/// Each answer takes so long.
pub fn slow(each: Duration) -> impl FnMut(&Call, &mut Tree) -> Turn {
    move |_, _| {
        thread::sleep(each);
        Turn::Honest
    }
}

/// Once its files have so many bytes nothing is written any more.
pub fn full_disk(bytes: u64) -> impl FnMut(&Call, &mut Tree) -> Turn {
    move |call, tree| match call {
        Call::Write { data, .. } if tree.bytes() + data.len() as u64 > bytes => {
            Turn::Reply(Reply::status(StatusCode::Failure, "No space left on device"))
        }
        _ => Turn::Honest,
    }
}

/// It ends once so many bytes were read or written, and is honest from then on.
pub fn gone_after(bytes: u64) -> impl FnMut(&Call, &mut Tree) -> Turn {
    let mut left = Some(bytes);
    move |call, _| {
        let size = match call {
            Call::Write { data, .. } => data.len() as u64,
            Call::Read { length, .. } => u64::from(*length),
            _ => 0,
        };
        match left {
            Some(still) if size > still => {
                left = None;
                Turn::Gone
            }
            _ => {
                left = left.map(|still| still - size);
                Turn::Honest
            }
        }
    }
}

/// A name that leads elsewhere each time the server looks at it: before each request that `when` says, the link
/// is turned to the next of these.
pub fn flipping(
    link: &'static str,
    targets: &'static [&'static str],
    when: fn(&Call) -> bool,
) -> impl FnMut(&Call, &mut Tree) -> Turn {
    let mut next = 0;
    move |call, tree| {
        if when(call) {
            tree.link(link, targets[next % targets.len()]);
            next += 1;
        }
        Turn::Honest
    }
}

fn is_directory(attrs: &Attrs) -> bool {
    attrs.permissions.is_some_and(|mode| mode & 0o170_000 == 0o040_000)
}

impl Tree {
    /// The honest answer where the call only asks for attributes.
    fn answer_to_look(&mut self, call: &Call) -> Option<Reply> {
        match call {
            Call::Stat { .. } | Call::Lstat { .. } | Call::Fstat { .. } => Some(self.answer(call)),
            _ => None,
        }
    }
}

/// One session, to its end.
fn serve(mut stream: TcpStream, play: &Mutex<Play>) {
    lock(play).sessions += 1;
    let (mut cutter, mut buffer) = (Cutter::default(), vec![0; 256 << 10]);
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        cutter.feed(&buffer[..length]);
        while let Ok(Some(raw)) = cutter.next_packet() {
            let answer = match FromClient::parse(&raw) {
                Ok(FromClient::Init { .. }) => {
                    let extensions = lock(play).extensions.clone();
                    Some(FromServer::Version { version: 3, extensions }.to_wire())
                }
                Ok(FromClient::Call { id, call }) => {
                    let turn = lock(play).turn(&call);
                    if let Turn::Later(gate) = &turn {
                        gate.pass();
                    }
                    lock(play).answer(id, &call, turn)
                }
                Err(_) => None,
            };
            let Some(answer) = answer else {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            };
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

impl Play {
    fn turn(&mut self, call: &Call) -> Turn {
        if self.calls.len() < KEPT {
            self.calls.push(match call {
                Call::Write { handle, offset, data } => Call::Write {
                    handle: handle.clone(),
                    offset: *offset,
                    data: data.slice(..data.len().min(KEPT_BYTES)),
                },
                call => call.clone(),
            });
        }
        (self.script)(call, &mut self.tree)
    }

    /// What goes out; nothing where it ends.
    fn answer(&mut self, id: u32, call: &Call, turn: Turn) -> Option<Vec<u8>> {
        match turn {
            Turn::Honest | Turn::Later(_) => Some(self.tree.answer(call).to_wire(id)),
            Turn::Reply(reply) => Some(reply.to_wire(id)),
            Turn::Bytes(bytes) => Some(bytes),
            Turn::Gone => None,
        }
    }
}

fn lock(play: &Mutex<Play>) -> MutexGuard<'_, Play> {
    play.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{super::PATIENCE, *};

    /// OpenSSH's own client, as a yardstick for the honest part.
    fn sftp(server: &ScriptedSftp, batch: &str) -> (bool, String) {
        let directory = server.sshd.directory();
        let (known, list) = (directory.join("known_hosts"), directory.join("batch"));
        let line = format!("[127.0.0.1]:{} {}", server.sshd.port(), server.sshd.host_key_line());
        fs::write(&known, line).unwrap();
        fs::write(&list, batch).unwrap();
        let mut sftp = Command::new("sftp");
        sftp.args(["-F", "none", "-o", "StrictHostKeyChecking=yes", "-i"]);
        sftp.arg(&server.sshd.key.path);
        sftp.arg("-o").arg(format!("UserKnownHostsFile={}", known.display()));
        sftp.arg("-P").arg(server.sshd.port().to_string()).arg("-b").arg(&list);
        sftp.arg(format!("{}@127.0.0.1", server.sshd.user));
        let said = sftp.output().unwrap();
        let text = [said.stdout, said.stderr].concat();
        (said.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    #[test]
    fn openssh_takes_it_for_a_server() {
        let server = ScriptedSftp::start();
        let big: Vec<u8> = (0..1_000_000_u32).map(|n| (n / 7) as u8).collect();
        server.tree(|tree| _ = tree.file("/srv/big", &big).link("/srv/link", "big").file("x", "x"));
        let local = server.sshd.directory().display().to_string();
        let batch = format!(
            "pwd\nls -l /srv\nget /srv/link {local}/got\nput {local}/got /srv/put\nmkdir /srv/d\nrename /srv/put /srv/d/put\nrm x\n"
        );
        let (good, said) = sftp(&server, &batch);
        assert!(good && said.contains("/home/odd"), "{said}");
        assert!(fs::read(format!("{local}/got")).unwrap() == big);
        server.tree(|tree| {
            assert!(tree.content("/srv/d/put").unwrap() == big);
            assert!(tree.content("x").is_none());
            assert_eq!(tree.open_handles(), 0);
        });
        assert_eq!(server.sessions(), 1);
    }

    #[test]
    fn it_departs_from_honesty_where_the_script_says() {
        let server = ScriptedSftp::start().without_extensions();
        server.tree(|tree| _ = tree.file("/srv/x", vec![7; 300_000]));
        let local = server.sshd.directory().join("got");
        let get = format!("get /srv/x {}\n", local.display());
        server.follows(short_reads(1000));
        let (good, said) = sftp(&server, &get);
        assert!(good && fs::read(&local).unwrap() == vec![7; 300_000], "{said}");
        let mut gone = gone_after(100_000);
        server.follows(move |call, tree| gone(call, tree));
        let (good, said) = sftp(&server, &get);
        assert!(!good && said.to_lowercase().contains("connection"), "{said}");
        assert_eq!(server.sessions(), 2);
        server.follows(full_disk(300_010));
        let (good, said) =
            sftp(&server, &format!("put {} /srv/y\n", server.sshd.key.path.display()));
        assert!(!good && said.contains("write remote"), "{said}");
    }

    /// What it answers to these calls, without SSH around them.
    fn answers(server: &ScriptedSftp, calls: &[Call]) -> Vec<Vec<u8>> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = |bytes: Vec<u8>| {
            stream.write_all(&bytes).unwrap();
            let mut head = [0; 4];
            stream.read_exact(&mut head).unwrap();
            let mut body = vec![0; u32::from_be_bytes(head) as usize];
            stream.read_exact(&mut body).unwrap();
            [head.to_vec(), body].concat()
        };
        answer(FromClient::Init { version: 3, extensions: Vec::new() }.to_wire());
        calls.iter().map(|call| answer(call.to_wire(7))).collect()
    }

    fn parsed(bytes: &[u8]) -> Reply {
        let mut cutter = Cutter::default();
        cutter.feed(bytes);
        match FromServer::parse(&cutter.next_packet().unwrap().unwrap()).unwrap() {
            FromServer::Reply { id: 7, reply } => reply,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_of_its_lies_is_one() {
        let server = ScriptedSftp::start();
        server.tree(|tree| _ = tree.file("a", "1234").file("b\n\u{ff}", "5").link("l", "a"));
        let stat = |path: &str| Call::Stat { path: path.into() };
        let open = Call::Open {
            path: "a".into(),
            flags: sgw::domain::sftp::OpenFlags::READ,
            attrs: Attrs::default(),
        };
        let said = |calls: &[Call]| -> Vec<Reply> {
            answers(&server, calls).iter().map(|bytes| parsed(bytes)).collect()
        };
        server.follows(lying_size(1 << 40));
        let size = |reply: &Reply| match reply {
            Reply::Attrs(attrs) => attrs.size.unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(size(&said(&[stat("a")])[0]), 1 << 40);
        assert_eq!(size(&said(&[stat("/")])[0]), 4096);

        server.follows(long_reads());
        let Reply::Handle(handle) = said(std::slice::from_ref(&open)).remove(0) else { panic!() };
        let read = Call::Read { handle, offset: 0, length: 2 };
        assert_eq!(said(&[read]), [Reply::Data(Bytes::from_static(b"xxx"))]);

        server.follows(slow(Duration::from_millis(30)));
        let start = std::time::Instant::now();
        said(&[stat("a")]);
        assert!(start.elapsed() >= Duration::from_millis(30));

        server.follows(flipping("l", &["a", "/etc"], |call| matches!(call, Call::Realpath { .. })));
        let real = || Call::Realpath { path: "l".into() };
        let names: Vec<Vec<u8>> = said(&[real(), real(), real()])
            .into_iter()
            .map(|reply| match reply {
                Reply::Name(mut names) => names.remove(0).name,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(names, [&b"/home/odd/a"[..], b"/etc", b"/home/odd/a"]);
        assert_eq!(
            server.calls().iter().filter(|call| matches!(call, Call::Realpath { .. })).count(),
            3
        );

        server.follows(|_, _| Turn::Bytes(vec![0, 0, 0, 1, 101]));
        assert_eq!(answers(&server, &[real()]), [[0, 0, 0, 1, 101]]);
        server.tree(|tree| {
            assert_eq!(tree.below(HOME).len(), 3);
            assert_eq!(entry(b"x", Attrs::default()).name, b"x");
        });
    }
}
