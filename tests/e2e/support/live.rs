//! The operator's `attach` and `watch` as the protocol has them: events come in, keys go out, and what
//! is drawn is kept in a model of a terminal.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use regex::Regex;
use serde_json::{Value, json};
use sgw::{
    client::{
        Connection, Place,
        operator::{Proven, header},
    },
    domain::secret::Secret,
    protocol::frame::{Frame, Kind},
};
use tokio::runtime::Runtime;

use super::{PASSPHRASE, PATIENCE, Sgw};

/// Dropping it is a window that is closed.
pub struct Live {
    runtime: Runtime,
    connection: Connection,
    number: u32,
    /// Each event but those that draw.
    pub events: Vec<Value>,
    answers: HashMap<u32, Value>,
    screen: Option<vt100::Parser>,
    /// Every byte that came to be drawn.
    pub drawn: Vec<u8>,
}

impl Live {
    #[track_caller]
    pub fn attach(sgw: &Sgw, session: &str, private: Option<bool>) -> Self {
        Self::begin(sgw, &attach(session, false, private))
    }

    #[track_caller]
    pub fn attach_fresh(sgw: &Sgw, session: &str, private: Option<bool>) -> Self {
        Self::begin(sgw, &attach(session, true, private))
    }

    #[track_caller]
    pub fn watch(sgw: &Sgw, id: &str) -> Self {
        Self::begin(sgw, &json!({"type": "watch", "id": id}))
    }

    #[track_caller]
    pub fn begin(sgw: &Sgw, request: &Value) -> Self {
        let runtime = sgw::client::runtime().unwrap();
        let place = Place::find(Some(sgw.home().into())).unwrap();
        let passphrase = Secret::new(PASSPHRASE.to_owned());
        let data_key = header(&place).unwrap().open(&passphrase).unwrap();
        let (connection, number) = runtime.block_on(async {
            let mut connection = Proven::new(place, data_key).connect().await.unwrap().read_ahead();
            let number = connection.begin(request).await.unwrap();
            (connection, number)
        });
        let (events, answers, drawn) = (Vec::new(), HashMap::new(), Vec::new());
        Self { runtime, connection, number, events, answers, screen: None, drawn }
    }

    pub fn types(&mut self, keys: &str) {
        let frame = Frame { kind: Kind::Pty, request: self.number, body: keys.as_bytes().to_vec() };
        let Self { runtime, connection, .. } = self;
        runtime.block_on(connection.write(frame)).unwrap();
    }

    /// A request beside the stream, and its answer: `done` or `error`.
    #[track_caller]
    pub fn says(&mut self, request: &Value) -> Value {
        let Self { runtime, connection, .. } = self;
        let number = runtime.block_on(connection.begin(request)).unwrap();
        self.wait("an answer", |me| me.answers.contains_key(&number));
        self.answers.remove(&number).unwrap()
    }

    pub fn cancel(&mut self) {
        let number = self.number;
        let Self { runtime, connection, .. } = self;
        runtime.block_on(connection.say(number, &json!({"type": "cancel"}))).unwrap();
    }

    /// What the terminal shows now.
    pub fn screen(&self) -> String {
        self.screen.as_ref().map(|parser| parser.screen().contents()).unwrap_or_default()
    }

    #[track_caller]
    pub fn shows(&mut self, regex: &str) {
        let regex = Regex::new(regex).unwrap();
        self.wait(&format!("a screen with {regex}"), |me| regex.is_match(&me.screen()));
    }

    /// Waits for an event that `is` it.
    #[track_caller]
    pub fn hears(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.wait(what, |me| me.events.iter().any(&is));
        let at = self.events.iter().position(is).unwrap();
        self.events.remove(at)
    }

    /// Who has the keyboard, once an event says that it is so.
    #[track_caller]
    pub fn control_is(&mut self, control: &str, private: bool) -> Value {
        let last =
            |me: &Self| me.events.iter().rev().find(|event| event["type"] == "control").cloned();
        let is = |event: &Value| event["control"] == control && event["private"] == private;
        self.wait(&format!("control of the {control}, private: {private}"), |me| {
            last(me).as_ref().is_some_and(is)
        });
        last(self).unwrap()
    }

    /// The stream's last word: `done` or `error`.
    #[track_caller]
    pub fn ends(&mut self) -> Value {
        let number = self.number;
        self.wait("the stream's end", |me| me.answers.contains_key(&number));
        self.answers[&number].clone()
    }

    #[track_caller]
    fn wait(&mut self, what: &str, mut is: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !is(self) {
            let over = start.elapsed() > PATIENCE;
            assert!(
                !over && self.read(),
                "never came: {what}\n--- screen\n{}\n--- events\n{:?}\n--- answers\n{:?}",
                self.screen(),
                self.events,
                self.answers
            );
        }
    }

    /// Takes what comes within a moment. False at the connection's end.
    pub fn read(&mut self) -> bool {
        let Self { runtime, connection, .. } = self;
        let next =
            async { tokio::time::timeout(Duration::from_millis(50), connection.read()).await };
        match runtime.block_on(next) {
            Err(_) => true,
            Ok(Ok(frame)) => {
                self.take(&frame);
                true
            }
            Ok(Err(_)) => false,
        }
    }

    fn take(&mut self, frame: &Frame) {
        if frame.kind == Kind::Pty {
            let (at, bytes) = frame.as_output().unwrap();
            assert_eq!(at, self.drawn.len() as u64, "an offset that is none");
            self.drawn.extend_from_slice(bytes);
            self.screen.as_mut().expect("a screen before what is drawn on it").process(bytes);
            return;
        }
        let message: Value = serde_json::from_slice(&frame.body).unwrap();
        match message["type"].as_str().unwrap() {
            "done" | "error" => _ = self.answers.insert(frame.request, message),
            "screen" => {
                let of = |name: &str| {
                    u16::try_from(message[name].as_u64().unwrap()).unwrap().try_into().unwrap()
                };
                self.screen = Some(vt100::Parser::new(of("rows"), of("columns"), 0));
                self.events.push(message);
            }
            _ => self.events.push(message),
        }
    }
}

fn attach(session: &str, fresh: bool, private: Option<bool>) -> Value {
    json!({"type": "attach", "session": session, "fresh": fresh, "rows": 20, "columns": 90,
           "private": private})
}
