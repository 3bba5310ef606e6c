//! An SFTP client that says exactly what a test wants, and when: as sshfs, WinSCP or paramiko would.

use std::{
    collections::HashMap,
    io::{Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use sgw::domain::sftp::{
    Attrs, Call, Cutter, FromClient, FromServer, OpenFlags, Pairs, Reply, Status,
};

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Raw {
    child: Child,
    to: Option<ChildStdin>,
    from: Receiver<(u32, Reply)>,
    /// Replies that nobody asked for yet.
    come: HashMap<u32, Reply>,
    /// In which order they came.
    pub order: Vec<u32>,
    pub extensions: Pairs,
    next: u32,
}

impl Raw {
    /// By `ssh … -s web1 sftp`.
    pub fn start(ssh: &mut Command) -> Self {
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = ssh.spawn().unwrap();
        let (mut to, mut out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        to.write_all(&FromClient::Init { version: 3, extensions: Pairs::new() }.to_wire()).unwrap();
        let (say, from) = channel();
        let (greet, greeting) = channel();
        thread::spawn(move || {
            let (mut cutter, mut buffer) = (Cutter::default(), vec![0; 64 << 10]);
            while let Ok(length @ 1..) = out.read(&mut buffer) {
                cutter.feed(&buffer[..length]);
                while let Some(raw) = cutter.next_packet().unwrap() {
                    match FromServer::parse(&raw).unwrap() {
                        FromServer::Version { extensions, .. } => greet.send(extensions).unwrap(),
                        FromServer::Reply { id, reply } => _ = say.send((id, reply)),
                    }
                }
            }
        });
        let extensions = greeting.recv_timeout(PATIENCE).expect("a version");
        let (come, order) = (HashMap::new(), Vec::new());
        Self { child, to: Some(to), from, come, order, extensions, next: 0 }
    }

    /// Sends and does not wait.
    pub fn send(&mut self, call: Call) -> u32 {
        self.next += 1;
        self.to.as_mut().unwrap().write_all(&call.to_wire(self.next)).unwrap();
        self.next
    }

    pub fn reply(&mut self, id: u32) -> Reply {
        loop {
            if let Some(reply) = self.come.remove(&id) {
                return reply;
            }
            let (come, reply) = self.from.recv_timeout(PATIENCE).expect("a reply");
            self.order.push(come);
            self.come.insert(come, reply);
        }
    }

    pub fn call(&mut self, call: Call) -> Reply {
        let id = self.send(call);
        self.reply(id)
    }

    /// The status that it ends with, and what is said.
    #[track_caller]
    pub fn status(&mut self, call: Call) -> (u32, String) {
        match self.call(call) {
            Reply::Status(status) => (status.code.number(), message(&status)),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn handle(&mut self, call: Call) -> Vec<u8> {
        match self.call(call) {
            Reply::Handle(handle) => handle,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn opens(&mut self, path: &str, flags: OpenFlags) -> Vec<u8> {
        self.handle(open(path, flags))
    }

    pub fn ends(mut self) -> i32 {
        self.to = None;
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _over = self.child.kill();
        let _reaped = self.child.wait();
    }
}

pub fn open(path: &str, flags: OpenFlags) -> Call {
    Call::Open { path: path.into(), flags, attrs: Attrs::default() }
}

pub fn new_file() -> OpenFlags {
    OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE
}

fn message(status: &Status) -> String {
    String::from_utf8_lossy(status.message()).into_owned()
}
