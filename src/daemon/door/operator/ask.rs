//! Questions to the operator in the middle of an approval, which may be withdrawn.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::Operator;
use crate::{
    daemon::{
        door::link::Outbox,
        upstream::{Answer, AskOperator, Typed},
    },
    domain::{hostkey::Unknown, id::Id, secret::Secret, target::Hop},
    protocol::{
        error::Failure,
        operator::{self, Ask, Event, Question},
    },
};

/// What the operator answered.
pub enum Reply {
    Yes,
    No,
    Text(Secret<Vec<u8>>),
}

/// The questions of one connection.
#[derive(Clone)]
pub struct Questions(Arc<Inner>);

struct Inner {
    outbox: Outbox,
    next: AtomicU32,
    open: Mutex<HashMap<u32, oneshot::Sender<Reply>>>,
}

impl Questions {
    pub fn new(outbox: Outbox) -> Self {
        let (next, open) = (AtomicU32::new(1), Mutex::default());
        Self(Arc::new(Inner { outbox, next, open }))
    }

    /// An answer to a question that is not open is dropped.
    pub fn answer(&self, number: u32, reply: Reply) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = open.remove(&number) {
            // Whoever asked may be gone.
            let _late = waiting.send(reply);
        }
    }

    /// Asks within the call `request`. Dropping the future withdraws the question.
    async fn ask(&self, request: u32, id: &Id, hop: &Hop, ask: Ask) -> Option<Reply> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, sender);
        let withdraw = Withdraw { questions: self.clone(), request, number, answered: false };
        let question = Question { number, id: id.to_string(), hop: hop.to_string(), ask };
        self.0.outbox.json(request, &Event::Question(question)).await.ok()?;
        let reply = receiver.await.ok();
        withdraw.answered();
        reply
    }
}

struct Withdraw {
    questions: Questions,
    request: u32,
    number: u32,
    answered: bool,
}

impl Withdraw {
    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Withdraw {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let Inner { open, .. } = &*self.questions.0;
        open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
        let (questions, request, number) = (self.questions.clone(), self.request, self.number);
        tokio::spawn(async move {
            let withdrawn = Event::Withdrawn { question: number };
            let _gone = questions.0.outbox.json(request, &withdrawn).await;
        });
    }
}

impl Operator {
    pub(super) fn reply(&self, reply: operator::Reply) -> Result<Reply, Failure> {
        Ok(match reply {
            operator::Reply::Yes => Reply::Yes,
            operator::Reply::No => Reply::No,
            operator::Reply::Secret(number) => Reply::Text(self.take_secret(number)?),
        })
    }
}

/// Asks within one approval.
pub struct Asking {
    pub questions: Questions,
    pub request: u32,
    pub id: Id,
    /// Whether a server's own question was put to the operator.
    pub quoted: AtomicBool,
}

impl Asking {
    pub fn has_quoted(&self) -> bool {
        self.quoted.load(Ordering::Relaxed)
    }
}

impl AskOperator for Asking {
    fn accepts<'a>(
        &'a self,
        hop: &'a Hop,
        algorithm: &'a str,
        fingerprint: &'a str,
        unknown: &'a Unknown,
    ) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let ask = Ask::HostKey {
                algorithm: algorithm.to_owned(),
                fingerprint: fingerprint.to_owned(),
                known_to_ssh: unknown.known_to_ssh,
                certificate_expected: unknown.ca_named,
                other_types: unknown.other_types.clone(),
                same_key_as: unknown.same_key_as.clone(),
            };
            match self.questions.ask(self.request, &self.id, hop, ask).await {
                Some(Reply::Yes) => Answer::Yes,
                Some(Reply::No | Reply::Text(_)) => Answer::No,
                None => Answer::NotAsked,
            }
        })
    }

    fn answers<'a>(&'a self, hop: &'a Hop, text: &'a str, echo: bool) -> BoxFuture<'a, Typed> {
        Box::pin(async move {
            self.quoted.store(true, Ordering::Relaxed);
            let ask = Ask::Text { text: text.to_owned(), echo };
            match self.questions.ask(self.request, &self.id, hop, ask).await {
                Some(Reply::Text(answer)) => answer.into_text().map_or(Typed::No, Typed::Text),
                Some(Reply::Yes | Reply::No) => Typed::No,
                None => Typed::NotAsked,
            }
        })
    }
}
