//! `watch`: a session, or one of its commands, as it happens. Whoever stops reading loses what comes
//! meanwhile, and nobody else anything.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{Open, many};
use crate::{
    daemon::{
        door::{link::Gone, operator::Operator},
        session::{Session, exec::Exec, live::Happened, output::Stream},
    },
    domain::{
        bytes::Bytes,
        id::{Id, Kind, prefix_kind},
    },
    protocol::{
        error::{Code, Failure},
        operator::{self, Event},
        view,
    },
};

/// What a watcher was shown of each command's output.
struct Watcher<'o> {
    operator: &'o Operator,
    number: u32,
    session: Arc<Session>,
    /// That command alone.
    only: Option<Id>,
    shown: HashMap<(Id, Stream), u64>,
}

impl Operator {
    /// Shows what happens until it ends or the watcher leaves.
    pub(in crate::daemon::door::operator) async fn watch(
        &self,
        open: &Open,
        word: &str,
    ) -> Result<serde_json::Value, Failure> {
        let number = open.stream.number;
        let (session, exec) = match prefix_kind(word) {
            Some(Kind::Exec) => {
                let (session, exec) = self.parts.sessions.exec(word, None)?;
                (session, Some(exec))
            }
            _ => (self.parts.sessions.to_see(word, None)?, None),
        };
        // Before the first look, so that nothing falls between.
        let happens = session.live.watch();
        let only = exec.as_ref().map(|exec| exec.id.clone());
        let mut watcher = Watcher {
            operator: self,
            number,
            session: session.clone(),
            only,
            shown: HashMap::new(),
        };
        let watching = async {
            watcher.begin(exec.as_ref()).await?;
            if exec.as_ref().is_some_and(|exec| !exec.is_running()) || session.over().is_some() {
                return Ok(());
            }
            watcher.follow(happens).await
        };
        let drawing = many::draw(&self.outbox, number, &session, exec.as_ref());
        let left = tokio::select! {
            biased;
            () = open.stream.cancel.cancelled() => Ok(()),
            left = watching => left,
            left = drawing => left,
            left = self.tell_control(number, &session, false) => left,
            () = session.ended() => Ok(()),
        };
        left.map(|()| serde_json::Value::Null)
            .map_err(|Gone| Failure::new(Code::DaemonLost, "the client is gone", "sgw watch ID"))
    }
}

impl Watcher<'_> {
    /// Where things stand.
    async fn begin(&mut self, exec: Option<&Arc<Exec>>) -> Result<(), Gone> {
        let running = self.session.execs().into_iter().filter(|exec| exec.is_running());
        let first: Vec<_> = match exec {
            Some(exec) => vec![exec.clone()],
            None => running.collect(),
        };
        for exec in first {
            for stream in [Stream::Stdout, Stream::Stderr] {
                self.shown.insert((exec.id.clone(), stream), exec.output.printed(stream));
            }
            self.tell_exec(&exec).await?;
        }
        Ok(())
    }

    /// Until the one command that is watched has ended.
    async fn follow(&mut self, mut happens: Receiver<Happened>) -> Result<(), Gone> {
        loop {
            match happens.recv().await {
                Ok(Happened::Started(exec)) => {
                    if self.watches(&exec.id) {
                        self.tell_exec(&exec).await?;
                    }
                }
                Ok(Happened::Ended(exec)) => {
                    if self.watches(&exec.id) {
                        self.shown.retain(|(id, _), _| *id != exec.id);
                        self.tell_exec(&exec).await?;
                        if self.only.is_some() {
                            return Ok(());
                        }
                    }
                }
                Ok(Happened::Printed { exec, stream, at, bytes }) => {
                    if self.watches(&exec) {
                        self.tell_printed(exec, stream, at, &bytes).await?;
                    }
                }
                Ok(Happened::Files(files)) => {
                    if self.only.is_none() {
                        let session = self.session.id.to_string();
                        let event = Event::Files { session, files: (*files).clone() };
                        self.operator.outbox.json(self.number, &event).await?;
                    }
                }
                Ok(Happened::Terminal) => {}
                Ok(Happened::Forward(forward)) => {
                    if self.only.is_none() && !self.session.keyboard.control().is_private() {
                        self.tell_forward(&forward).await?;
                    }
                }
                Err(RecvError::Lagged(_)) => {
                    if self.catch_up().await? {
                        return Ok(());
                    }
                }
                // The session holds the other end.
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    fn watches(&self, exec: &Id) -> bool {
        self.only.as_ref().is_none_or(|only| only == exec)
    }

    /// Something was lost: the ends among it are told. True where nothing is left to be watched.
    async fn catch_up(&mut self) -> Result<bool, Gone> {
        for exec in self.session.execs() {
            let known = self.shown.keys().any(|(id, _)| *id == exec.id);
            if known && !exec.is_running() {
                self.shown.retain(|(id, _), _| *id != exec.id);
                self.tell_exec(&exec).await?;
                if self.only.as_ref() == Some(&exec.id) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn tell_exec(&self, exec: &Exec) -> Result<(), Gone> {
        let event = Event::Exec { session: self.session.id.to_string(), exec: exec.shown() };
        self.operator.outbox.json(self.number, &event).await
    }

    async fn tell_forward(&self, forward: &view::Forward) -> Result<(), Gone> {
        let (session, forward) = (self.session.id.to_string(), forward.clone());
        self.operator.outbox.json(self.number, &Event::Forward { session, forward }).await
    }

    async fn tell_printed(
        &mut self,
        exec: Id,
        stream: Stream,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), Gone> {
        let place = (exec.clone(), stream);
        let shown = self.shown.insert(place, at + bytes.len() as u64).unwrap_or(0);
        if self.session.keyboard.control().is_private() {
            // Not even how much it was.
            return Ok(());
        }
        let stream = match stream {
            Stream::Stdout => operator::Stream::Stdout,
            Stream::Stderr => operator::Stream::Stderr,
        };
        let event = Event::Printed {
            exec: exec.to_string(),
            stream,
            bytes: Bytes(bytes.to_vec()),
            missed: at.saturating_sub(shown),
        };
        self.operator.outbox.json(self.number, &event).await
    }
}
