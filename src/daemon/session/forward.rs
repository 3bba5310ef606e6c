//! Forwards of a session: counted and on record before they are opened, and how they ended after.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{Session, Sessions, no_channel, record};
pub use crate::daemon::upstream::{Came, Listening, NotOpened, Through, ThroughWriter};
use crate::{
    daemon::{desk::Permit, evidence::Evidence, upstream::Carrier},
    domain::{
        authorize::Denied,
        escape::visible,
        forward::Forward,
        guard::forward::{End, Way},
        id::Id,
        record::{Kind, Record},
    },
    protocol::error::{Code, Failure},
};

/// The most connections that one client's forwards are spread over.
const CARRIERS: usize = 4;
/// Of a server's words, in characters.
const WORDS: usize = 200;

/// One that is on record, and is about to be opened or open.
pub struct Forwarding {
    pub session: Arc<Session>,
    pub way: Way,
    evidence: Arc<Evidence>,
    request: Option<Id>,
    /// Who connected to where the server listens.
    from: Option<(String, u32)>,
    started: Instant,
    /// Bytes to the server, and from it.
    sent: AtomicU64,
    received: AtomicU64,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    ToServer,
    ToClient,
}

/// The connections that one client's forwards go over.
#[derive(Default)]
pub struct Carriers(tokio::sync::Mutex<Vec<Arc<Shared>>>);

/// One of them, and how many of its forwards' readers are behind.
pub struct Shared {
    carrier: Carrier,
    behind: AtomicUsize,
}

/// A reader is behind as long as this is there.
pub struct Behind(Arc<Shared>);

impl Sessions {
    /// Takes a permitted forward up: counted, and on record. Nothing has been opened yet.
    pub async fn forward(
        &self,
        session: &Arc<Session>,
        permit: Permit<Forward>,
        request: Option<Id>,
    ) -> Result<Forwarding, Failure> {
        let forward = permit.spend();
        if let Some(why) = session.over() {
            return Err(why.sent(false));
        }
        session.keyboard.check_agent(&session.id).map_err(|taken| taken.sent(false))?;
        session.count_operation(0)?;
        let forwarding = Forwarding {
            session: session.clone(),
            way: forward.way,
            evidence: self.evidence.clone(),
            request,
            from: None,
            started: Instant::now(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        };
        let mut intent = forwarding.record(Kind::ForwardIntent);
        intent.durable = forwarding.request.is_some();
        intent.decision = Some(record::fields([
            ("guard", Ok(forward.judged.recorded())),
            ("passed_by", serde_json::to_value(&forward.passed_by)),
        ]));
        record::write(&self.evidence, intent).await?;
        Ok(forwarding)
    }
}

impl Forwarding {
    /// Has the server connect.
    pub async fn open(&self, shared: &Shared) -> Result<Through, NotOpened> {
        let opened = match &self.way.end {
            End::Port(host, port) => shared.carrier.connect(&host.wire(), *port).await,
            End::Socket(path) => {
                let path = String::from_utf8_lossy(path.as_bytes()).into_owned();
                shared.carrier.connect_to_socket(&path).await
            }
        };
        opened.inspect(|_| self.tell(true))
    }

    /// Has the server listen.
    pub async fn listen(&self, shared: &Shared) -> Result<Listening, NotOpened> {
        match &self.way.end {
            End::Port(host, port) => {
                let listening = shared.carrier.listen(&host.wire(), *port).await;
                listening.inspect(|_| self.tell(true))
            }
            End::Socket(_) => Err(NotOpened::Lost),
        }
    }

    /// A connection that came to where the server listens: counted and on record by itself.
    pub async fn came(&self, from: (String, u32)) -> Result<Self, Failure> {
        let session = &self.session;
        session.keyboard.check_agent(&session.id)?;
        session.count_operation(0)?;
        let one = Self {
            session: session.clone(),
            way: self.way.clone(),
            evidence: self.evidence.clone(),
            request: self.request.clone(),
            from: Some(from),
            started: Instant::now(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        };
        record::write(&self.evidence, one.record(Kind::ForwardIntent)).await?;
        one.tell(true);
        Ok(one)
    }

    /// How much of so many bytes may go on; less than all is the last.
    pub fn within(&self, going: Going, bytes: usize) -> usize {
        let may = match self.session.under() {
            Some(under) => under.take_bytes(bytes),
            None => bytes,
        };
        let counter = match going {
            Going::ToServer => &self.sent,
            Going::ToClient => &self.received,
        };
        counter.fetch_add(may as u64, Ordering::Relaxed);
        may
    }

    /// Why it ends where less than all may go on.
    pub fn used_up() -> Failure {
        Failure::from(Denied::StandingExhausted)
    }

    /// It is over: on record, with what it was.
    pub async fn ended(&self, port: Option<u16>, why: Option<&Failure>) {
        self.tell(false);
        let mut result = self.record(Kind::ForwardResult);
        result.outcome = why.map(|why| why.code.as_str().to_owned());
        result.result = Some(record::fields([
            ("sent_bytes", serde_json::to_value(self.sent.load(Ordering::Relaxed))),
            ("received_bytes", serde_json::to_value(self.received.load(Ordering::Relaxed))),
            ("duration_ms", serde_json::to_value(self.started.elapsed().as_millis() as u64)),
            ("port", serde_json::to_value(port)),
        ]));
        if let Err(failure) = record::write(&self.evidence, result).await {
            let (session, code) = (&self.session.id, failure.code);
            tracing::error!(%session, %code, "a forward's end was not recorded");
        }
    }

    fn tell(&self, open: bool) {
        let from = self.from.as_ref().map(|(host, _)| host.as_str());
        self.session.live.forward(&self.way, from, open);
    }

    fn record(&self, kind: Kind) -> Record {
        let mut record = Record::new(kind, self.session.owner.to_string());
        record.target = Some(self.session.target());
        record.session = Some(self.session.id.clone());
        record.request = self.request.clone();
        record.action = self.described();
        record
    }

    fn described(&self) -> Map<String, Value> {
        let [direction, end] = self.way.words();
        let from = self.from.as_ref().map(|(host, port)| json!({"host": host, "port": port}));
        record::fields([
            ("direction", serde_json::to_value(direction)),
            ("end", serde_json::to_value(end)),
            ("from", serde_json::to_value(from)),
        ])
    }
}

impl Carriers {
    /// One whose readers keep up, or a new one.
    pub async fn one(&self, session: &Session) -> Result<Arc<Shared>, Failure> {
        // Held while one is made: those who come meanwhile go over it too.
        let mut all = self.0.lock().await;
        all.retain(|shared| !shared.carrier.is_lost());
        let keeps_up = |shared: &&Arc<Shared>| shared.behind.load(Ordering::Relaxed) == 0;
        if let Some(shared) = all.iter().find(keeps_up) {
            return Ok(shared.clone());
        }
        if all.len() >= CARRIERS
            && let Some(least) = all.iter().min_by_key(|one| one.behind.load(Ordering::Relaxed))
        {
            return Ok(least.clone());
        }
        match session.pool.carrier().await {
            Ok(carrier) => {
                let shared = Arc::new(Shared { carrier, behind: AtomicUsize::new(0) });
                all.push(shared.clone());
                Ok(shared)
            }
            Err(error) => match all.first() {
                Some(shared) => Ok(shared.clone()),
                None => Err(no_channel(&error).about(&session.id)),
            },
        }
    }
}

impl Shared {
    /// The reader of one of its forwards is behind: new ones go elsewhere.
    pub fn behind(self: &Arc<Self>) -> Behind {
        self.behind.fetch_add(1, Ordering::Relaxed);
        Behind(self.clone())
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.0.behind.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a server did not do, and its own words for it, escaped.
pub fn not_opened(why: &NotOpened) -> Failure {
    let message = match why {
        NotOpened::Refused { words, .. } if words.is_empty() => {
            "the server could not do it".to_owned()
        }
        NotOpened::Refused { words, .. } => visible(words, WORDS),
        NotOpened::Late => "the server did not connect in time".to_owned(),
        NotOpened::Lost => "the connection to the server is lost".to_owned(),
    };
    Failure::new(Code::TargetRefused, message, "look whether anybody listens there")
}
