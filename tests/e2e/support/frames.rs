//! Frames made by hand, to say on a socket what no client of ours would.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::{PATIENCE, canary::Canaries};

/// What daemons said on connections made by hand, for the search at a test's end: the start of it, where
/// it is a flood.
static HEARD: Mutex<Vec<u8>> = Mutex::new(Vec::new());
const MOST_HEARD: usize = 16 * 1024 * 1024;

/// Whether a planted secret was said to any of them.
pub fn sung(canaries: &Canaries) -> bool {
    canaries.sing_in(&HEARD.lock().unwrap_or_else(PoisonError::into_inner))
}

fn heard(bytes: &[u8]) {
    let mut all = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() < MOST_HEARD {
        all.extend_from_slice(bytes);
        all.push(b'\n');
    }
}

/// The kinds of docs/protocol.md.
pub const JSON: u8 = 1;
pub const STDIN: u8 = 2;
pub const SECRET: u8 = 6;

/// A raw connection to one of the daemon's sockets.
pub struct Wire(UnixStream);

impl Wire {
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// `u32 length · u8 kind · u32 request · body`. Whether the daemon still listened.
    pub fn send(&mut self, kind: u8, request: u32, body: &[u8]) -> bool {
        self.send_raw(&frame(kind, request, body))
    }

    pub fn send_raw(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// The next frame's kind, request and body; none when the daemon has closed the connection.
    pub fn receive(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let mut head = [0; 4];
        self.0.read_exact(&mut head).ok()?;
        let mut rest = vec![0; u32::from_be_bytes(head) as usize];
        self.0.read_exact(&mut rest).ok()?;
        heard(&rest);
        let request = u32::from_be_bytes(rest.get(1..5)?.try_into().ok()?);
        Some((*rest.first()?, request, rest.get(5..)?.to_vec()))
    }

    /// Says that nothing more comes.
    pub fn finish(&mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }

    /// Reads on until the daemon hangs up; fails when it never does.
    #[track_caller]
    pub fn is_closed(&mut self) {
        let mut chunk = [0; 4096];
        loop {
            match self.0.read(&mut chunk) {
                Ok(0) => return,
                Ok(length) => heard(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("the daemon keeps the connection: {error}"),
            }
        }
    }
}

pub fn frame(kind: u8, request: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(1 + 4 + body.len()).unwrap();
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.push(kind);
    bytes.extend(request.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A connection to the agent's socket that has said hello.
#[track_caller]
pub fn agent_wire(sgw: &super::Sgw) -> Wire {
    let mut wire = Wire::connect(&sgw.find("agent.sock"));
    assert!(wire.send(JSON, 0, &hello(1)));
    let (kind, request, body) = wire.receive().expect("a welcome");
    assert_eq!((kind, request), (JSON, 0));
    let welcome: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(welcome["protocol"], 1);
    wire
}

/// The same, with a token.
#[track_caller]
pub fn token_wire(sgw: &super::Sgw, token: &str) -> Wire {
    let mut wire = Wire::connect(&sgw.find("agent.sock"));
    let shown = [&1u32.to_be_bytes()[..], token.as_bytes()].concat();
    assert!(wire.send(SECRET, 0, &shown));
    let mut hello: serde_json::Value = serde_json::from_slice(&hello(1)).unwrap();
    hello["token"] = 1.into();
    assert!(wire.send(JSON, 0, hello.to_string().as_bytes()));
    let (_, _, body) = wire.receive().expect("a welcome");
    let welcome: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(welcome["protocol"], 1, "{welcome}");
    wire
}

/// The client's first frame.
pub fn hello(protocol: u16) -> Vec<u8> {
    serde_json::json!({"protocol": protocol, "version": "0.0.0", "features": [], "token": null, "proof": false})
        .to_string()
        .into_bytes()
}

/// Of an `error` message.
pub fn code(body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap();
    json["code"].as_str().unwrap_or_default().to_owned()
}
