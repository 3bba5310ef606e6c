//! What the desk asks of the daemon, each call on a connection of its own: while one is slow, the desk
//! draws on; a decision is claimed by its connection, and let go with it.

use std::rc::Rc;

use zeroize::Zeroizing;

use super::guard::Proof;
use crate::{
    cli::{
        Context, Stop,
        approval::{self, Answers, Approval},
    },
    client::{
        Connection, Error,
        operator::{self, Proven},
    },
    domain::secret::Secret,
    protocol::{
        error::{Code, Failure},
        operator::Request,
        view,
    },
};

/// The number of the secret frame with a PIN.
const PIN: u32 = 1;

/// What a call came to.
pub enum Answer<'a> {
    Looked {
        id: String,
        approval: Result<Box<Approval<'a>>, Failure>,
    },
    Claimed {
        id: String,
        connection: Result<Connection, Failure>,
    },
    Decided {
        id: String,
        decided: Result<view::Decided, Failure>,
    },
    Proved(Result<Proof, Failure>, Proofs),
    /// Nothing is waited for: a word to show.
    Told(String),
}

/// What shows who is there: the connection that counts wrong PINs, and the proof that opens others.
pub struct Proofs {
    pub proven: Rc<Proven>,
    pins: Option<Connection>,
}

impl Proofs {
    pub fn new(proven: Rc<Proven>) -> Self {
        Self { proven, pins: None }
    }

    /// Checks what was typed. A right passphrase is a new proof, with a new count of PINs.
    pub async fn check<'a>(
        mut self,
        context: &Context,
        proof: Proof,
        typed: Zeroizing<String>,
    ) -> Answer<'a> {
        let checked = match proof {
            Proof::Pin => self.pin(&typed).await,
            Proof::Passphrase => self.passphrase(context, typed).await,
        };
        Answer::Proved(checked.map(|()| proof).map_err(told), self)
    }

    async fn pin(&mut self, typed: &str) -> Result<(), Stop> {
        let mut connection = match self.pins.take() {
            Some(connection) => connection,
            None => self.proven.connect().await?,
        };
        connection.send_secret(0, PIN, typed.as_bytes()).await?;
        let answer: Result<serde_json::Value, Error> =
            connection.call(&Request::Pin { secret: PIN }).await;
        self.pins = Some(connection);
        Ok(answer.map(|_| ())?)
    }

    async fn passphrase(
        &mut self,
        context: &Context,
        typed: Zeroizing<String>,
    ) -> Result<(), Stop> {
        let place = context.place()?;
        let header = operator::header(&place)?;
        let typed = Secret::new(String::clone(&typed));
        // Half a second of work: the desk draws on.
        let opened = tokio::task::spawn_blocking(move || header.open(&typed)).await;
        let opened = opened.map_err(|_| Failure::new(Code::DaemonFailed, "it failed", "sgw"))?;
        let data_key = opened.map_err(operator::cannot_open)?;
        self.proven = Rc::new(Proven::new(place, data_key));
        self.pins = None;
        Ok(())
    }
}

/// Everything about a request, and where it leads.
pub async fn look<'a>(
    context: &'a Context,
    answers: &'a Answers,
    proven: Rc<Proven>,
    id: String,
) -> Answer<'a> {
    let looked = async {
        let mut connection = proven.connect().await?;
        let question = connection.call(&Request::Question { id: id.clone() }).await?;
        Approval::of(context, &proven, question, answers).await
    };
    let approval = looked.await.map(Box::new).map_err(told);
    Answer::Looked { id, approval }
}

pub async fn claim<'a>(proven: Rc<Proven>, id: String) -> Answer<'a> {
    let claimed = async {
        let mut connection = proven.connect().await?.read_ahead();
        approval::claim(&mut connection, &id).await?;
        Ok(connection)
    };
    let connection = claimed.await.map_err(told);
    Answer::Claimed { id, connection }
}

/// The yes to what was shown, which needs no further question.
pub async fn run<'a>(mut on: Connection, approval: Box<Approval<'a>>, id: String) -> Answer<'a> {
    let decided = approval.give(&mut on).await.map_err(told);
    Answer::Decided { id, decided }
}

/// What was typed names nothing that could be said yes to.
pub async fn refused<'a>(id: String, why: Failure) -> Answer<'a> {
    Answer::Decided { id, decided: Err(why) }
}

/// With `rule`, to all that the request's rule finds there.
pub async fn deny<'a>(
    mut on: Connection,
    id: String,
    message: Option<String>,
    rule: bool,
) -> Answer<'a> {
    let deny = Request::Deny { id: id.clone(), message, rule };
    let decided = on.call(&deny).await.map_err(Failure::from);
    Answer::Decided { id, decided }
}

/// Narrows or lets go on; `done` is what is told then.
pub async fn tell<'a>(proven: Rc<Proven>, request: Request, done: String) -> Answer<'a> {
    let called = async {
        let _: serde_json::Value = proven.connect().await?.call(&request).await?;
        Ok::<(), Error>(())
    };
    Answer::Told(match called.await {
        Ok(()) => done,
        Err(error) => super::words::failure(&Failure::from(error)),
    })
}

/// What the desk tells of a call that stopped.
pub fn told(stop: Stop) -> Failure {
    match stop {
        Stop::Failure(failure) => failure,
        Stop::Exit(_) => Failure::new(Code::OperatorProof, "broken off", "sgw requests"),
    }
}
