//! The doors of a service's daemon that waits for its key: agents are told so, and the operator can
//! look, set it up and unlock it. Nothing else is there yet that could be asked for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    net::UnixStream,
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    link::{self, value},
    places::Guest,
};
use crate::{
    domain::{
        bytes::Bytes,
        pin::{self, PinCheck},
        seal::{DataKey, Header, KEY_BYTES, MAX_HEADER_BYTES},
        secret::Secret,
    },
    home::{Home, random, service::LOCKED as STAYS_LOCKED},
    protocol::{
        agent::Message,
        error::{Code, Failure},
        frame::{self, Frame, Kind},
        handover::Ready,
        hello::Welcome,
        operator::{
            Request,
            service::{self, LOCKED, NEW},
        },
        view::{DaemonStatus, Running},
    },
};

/// A key and a PIN.
const SECRETS: usize = 2;

/// Somebody brings a key.
pub struct Attempt {
    pub data_key: DataKey,
    /// None: another's key was there first.
    pub answer: oneshot::Sender<Result<Option<Ready>, Failure>>,
}

/// A daemon without its key.
pub struct Waiting {
    home: Arc<Home>,
    since: Instant,
    keys: mpsc::Sender<Attempt>,
    /// Comes when the daemon has its key, or ends.
    over: CancellationToken,
    /// One makes the vault.
    making: Mutex<()>,
}

impl Waiting {
    /// Keys come out at the other end, one at a time.
    pub fn new(home: Arc<Home>, over: CancellationToken) -> (Arc<Self>, mpsc::Receiver<Attempt>) {
        let (keys, attempts) = mpsc::channel(1);
        let waiting = Self { home, since: Instant::now(), keys, over, making: Mutex::new(()) };
        (Arc::new(waiting), attempts)
    }

    fn status(&self) -> DaemonStatus {
        DaemonStatus {
            running: true,
            pid: Some(std::process::id()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            uptime_s: Some(self.since.elapsed().as_secs()),
            sessions: Some(0),
            connections: Some(0),
            home: self.home.path().display().to_string(),
            mode: Running::Service,
            unlocked: false,
        }
    }

    fn is_new(&self) -> bool {
        matches!(self.home.header(), Ok(None))
    }

    fn set_up(
        &self,
        header: &Bytes,
        data_key: &DataKey,
        pin: Option<Secret<Vec<u8>>>,
    ) -> Result<(), Failure> {
        let _one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_new() {
            return Err(set_up_already());
        }
        let header = Header::from_json(header.as_slice())
            .map_err(|_| link::out_of_place("a header that is none"))?;
        let pin = match pin {
            Some(pin) => {
                let weak = |weak: pin::Weak| {
                    Failure::new(Code::OperatorPassphrase, weak.to_string(), "choose another PIN")
                };
                pin::judge(pin.expose()).map_err(weak)?;
                let salt = random().map_err(|error| failed(&error))?;
                Some(PinCheck::new(&pin::key(data_key), salt, pin.expose()))
            }
            None => None,
        };
        let nonce = random().map_err(|error| failed(&error))?;
        self.home
            .create_vault(&header, data_key, nonce, pin.as_ref())
            .map_err(|error| Failure::new(error.code(), error.to_string(), "look at its home"))
    }
}

/// An agent's call.
pub async fn turn_away(mut stream: UnixStream) {
    let failure = match link::hello(&mut stream).await {
        Ok(_) => locked(),
        Err(Some(failure)) => failure,
        Err(None) => return,
    };
    if let Ok(frame) = Frame::json(0, &Message::Error(failure)) {
        // One small frame fits the socket's buffer; a peer that is gone needs none.
        let _gone = frame::write(&mut stream, &frame).await;
    }
}

/// An operator's connection.
pub async fn serve(waiting: Arc<Waiting>, mut stream: UnixStream, guest: Guest) {
    tokio::select! {
        () = greet(&waiting, &mut stream, &guest) => {}
        _ = guest.sent_away() => {}
    }
}

async fn greet(waiting: &Arc<Waiting>, stream: &mut UnixStream, guest: &Guest) {
    // Answers are small and few: they are written as they come.
    let (mut from, mut to) = stream.split();
    let mut desk = Desk { waiting: waiting.clone(), secrets: HashMap::new() };
    let first = match link::hello(&mut from).await {
        Ok(begun) if begun.hello.proof => Frame::json(0, &Message::Error(locked())),
        Ok(_) => {
            let state = if waiting.is_new() { NEW } else { LOCKED };
            Frame::json(0, &Welcome { features: vec![state.to_owned()], ..Welcome::new(None) })
        }
        Err(Some(failure)) => Frame::json(0, &Message::Error(failure)),
        Err(None) => return,
    };
    let Ok(first) = first else { return };
    if frame::write(&mut to, &first).await.is_err() {
        return;
    }
    loop {
        let frame = tokio::select! {
            frame = frame::read(&mut from) => frame,
            () = waiting.over.cancelled() => return,
        };
        let Ok(Some(frame)) = frame else { return };
        let _call = guest.calls();
        let number = frame.request;
        let answer = match frame.kind {
            Kind::Secret => match desk.keep(&frame) {
                Ok(()) => continue,
                Err(failure) => Err(failure),
            },
            Kind::Json => desk.answer(&frame).await,
            _ => Err(link::out_of_place("a frame of a kind that is not taken here")),
        };
        let message = match answer {
            Ok(result) => Message::Done { result },
            Err(failure) => Message::Error(failure),
        };
        let Ok(frame) = Frame::json(number, &message) else { return };
        if frame::write(&mut to, &frame).await.is_err() {
            return;
        }
    }
}

struct Desk {
    waiting: Arc<Waiting>,
    secrets: HashMap<u32, Secret<Vec<u8>>>,
}

impl Desk {
    fn keep(&mut self, frame: &Frame) -> Result<(), Failure> {
        let secret = frame.as_secret().filter(|_| self.secrets.len() < SECRETS);
        let (number, secret) = secret.ok_or_else(|| link::out_of_place("a secret out of place"))?;
        self.secrets.insert(number, Secret::new(secret.to_vec()));
        Ok(())
    }

    fn take(&mut self, number: u32) -> Result<Secret<Vec<u8>>, Failure> {
        let secret = self.secrets.remove(&number);
        secret.ok_or_else(|| link::out_of_place("a secret is named that was not sent"))
    }

    fn take_key(&mut self, number: u32) -> Result<DataKey, Failure> {
        let secret = self.take(number)?;
        let bytes: &[u8; KEY_BYTES] = secret
            .expose()
            .as_slice()
            .try_into()
            .map_err(|_| link::out_of_place("a key of another length"))?;
        Ok(DataKey::new(*bytes))
    }

    async fn answer(&mut self, frame: &Frame) -> Result<serde_json::Value, Failure> {
        let request: Request = serde_json::from_slice(&frame.body)
            .map_err(|error| link::out_of_place(&format!("a message that is none: {error}")))?;
        match request {
            Request::Status {} => value(&self.waiting.status()),
            Request::Lock {} => {
                let stays = self.waiting.home.replace(STAYS_LOCKED, b"");
                stays.map_err(|error| failed(&error))?;
                value(&self.waiting.status())
            }
            Request::Service(service::Request::Header {}) => header(&self.waiting.home),
            Request::Service(service::Request::SetUp { header, key, pin }) => {
                let data_key = self.take_key(key)?;
                let pin = pin.map(|pin| self.take(pin)).transpose()?;
                value(&self.waiting.set_up(&header, &data_key, pin)?)
            }
            Request::Service(service::Request::Unlock { key }) => {
                let data_key = self.take_key(key)?;
                let (answer, answered) = oneshot::channel();
                // Whoever was first: the daemon has a key, and nobody waits for another.
                let attempt = self.waiting.keys.send(Attempt { data_key, answer }).await;
                let ready = match attempt {
                    Ok(()) => answered.await.unwrap_or(Ok(None))?,
                    Err(_) => None,
                };
                value(&ready)
            }
            _ => Err(locked()),
        }
    }
}

/// The vault's header, which only the passphrase opens.
pub fn header(home: &Home) -> Result<serde_json::Value, Failure> {
    let header = home.header().map_err(|error| failed(&error))?;
    debug_assert!(header.as_ref().is_none_or(|json| json.len() as u64 <= MAX_HEADER_BYTES));
    let header = header.ok_or_else(|| {
        Failure::new(
            Code::OperatorNone,
            "sgw is not set up here yet",
            "the operator runs: sgw init",
        )
    })?;
    value(&service::Header { header: Bytes(header) })
}

pub fn set_up_already() -> Failure {
    Failure::new(Code::OperatorExists, "there is a vault already", "sgw unlock")
}

fn locked() -> Failure {
    Failure::new(
        Code::DaemonUnreachable,
        "sgw is locked",
        "ask the person at this machine to run: sgw unlock",
    )
}

fn failed(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Code::DaemonFailed, error.to_string(), "look at the disk that holds sgw's home")
}
