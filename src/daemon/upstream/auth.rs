//! Login at one hop: the credentials in order, each only where it is asked for, and once by each
//! method; then what a person answers.

use std::{future::Future, sync::Arc, time::Duration};

use russh::{
    MethodKind, MethodSet,
    client::{self, AuthResult},
    keys::{Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg},
};
use tokio::time::timeout;

use super::{
    AgentKey, AskOperator, ConnectFault, Credential, HopPlan, Step,
    connection::Leg,
    handler::{Ended, Handler},
    interview::{Person, Said, converse},
};
use crate::domain::secret::Secret;

/// For each answer of the server.
pub(super) const ANSWER: Duration = Duration::from_secs(if cfg!(test) { 4 } else { 15 });
/// For an agent's signature: its owner may have to touch a key first.
const TOUCH: Duration = Duration::from_secs(120);
/// How often a server may say no to what a person answered; and how many steps a login has at most.
const TRIES: usize = 3;
const STEPS: usize = 24;

pub(super) enum Outcome {
    Granted,
    /// Taken, but the server wants another one, by these methods.
    Partial(MethodSet),
    Refused(MethodSet),
    /// It could not even be tried.
    Unusable,
}

impl From<AuthResult> for Outcome {
    fn from(result: AuthResult) -> Self {
        match result {
            AuthResult::Success => Outcome::Granted,
            AuthResult::Failure { remaining_methods, partial_success: true } => {
                Outcome::Partial(remaining_methods)
            }
            AuthResult::Failure { remaining_methods, partial_success: false } => {
                Outcome::Refused(remaining_methods)
            }
        }
    }
}

/// Proves who we are on a connection whose host key was accepted. True: a person had to answer for it.
pub(super) async fn login(
    leg: &mut Leg,
    plan: &HopPlan,
    ask: Option<&dyn AskOperator>,
) -> Result<bool, ConnectFault> {
    // `none` asks which methods there are, so that no password goes where none is wanted.
    let offered = match answer(ANSWER, leg.handle.authenticate_none(&plan.hop.user)).await?.into() {
        Outcome::Granted | Outcome::Unusable => return Ok(false),
        Outcome::Partial(methods) | Outcome::Refused(methods) => methods,
    };
    let person = ask.map(|ask| Person {
        ask,
        hop: &plan.hop,
        lookout: leg.lookout.clone(),
        answered: false,
    });
    let left = plan.credentials.iter().map(Arc::as_ref).collect();
    let mut login = Login { user: &plan.hop.user, left, offered, person, tries: TRIES };
    for _ in 0..STEPS {
        let Some(way) = login.next() else { break };
        match login.attempt(&mut leg.handle, way).await? {
            Outcome::Granted => return Ok(login.person.is_some_and(|person| person.answered)),
            Outcome::Partial(methods) => (login.offered, login.tries) = (methods, TRIES),
            Outcome::Refused(methods) => login.offered = methods,
            Outcome::Unusable => {}
        }
    }
    // Where a password was the answer to the question, it was wrong: a person would do no better.
    let asks =
        ask.is_none() && !plan.credentials.iter().any(|it| matches!(**it, Credential::Password(_)));
    Err(refusal(leg, &login.offered, asks).await)
}

/// A login under way.
struct Login<'a> {
    user: &'a str,
    /// Credentials that may still be tried, in order.
    left: Vec<&'a Credential>,
    /// The methods that the server would go on with.
    offered: MethodSet,
    person: Option<Person<'a>>,
    /// How many more conversations there may be.
    tries: usize,
}

/// What is tried next.
enum Way<'a> {
    Key(&'a Arc<PrivateKey>),
    Certified(&'a Arc<PrivateKey>, &'a Certificate),
    Agent(&'a AgentKey),
    /// By the method `password`.
    Password(&'a Secret<String>),
    /// By answering questions, with the password where one is asked for.
    Questions(Option<&'a Secret<String>>),
}

impl<'a> Login<'a> {
    /// The first credential that is wanted, used up unless it may serve again; then the person alone.
    fn next(&mut self) -> Option<Way<'a>> {
        let offers = |method| self.offered.contains(&method);
        let asks = offers(MethodKind::KeyboardInteractive) && self.tries > 0;
        let password = offers(MethodKind::Password);
        for at in 0..self.left.len() {
            let way = match self.left[at] {
                // Only there a person can be asked for what goes with the password.
                Credential::Password(word) if asks && (self.person.is_some() || !password) => {
                    return Some(Way::Questions(Some(word)));
                }
                Credential::Password(word) if password => Way::Password(word),
                Credential::Key(key) if offers(MethodKind::PublicKey) => Way::Key(key),
                Credential::Certified(key, certificate) if offers(MethodKind::PublicKey) => {
                    Way::Certified(key, certificate)
                }
                Credential::Agent(key) if offers(MethodKind::PublicKey) => Way::Agent(key),
                _ => continue,
            };
            self.left.remove(at);
            return Some(way);
        }
        (asks && self.person.is_some()).then_some(Way::Questions(None))
    }

    async fn attempt(
        &mut self,
        handle: &mut client::Handle<Handler>,
        way: Way<'a>,
    ) -> Result<Outcome, ConnectFault> {
        match way {
            Way::Key(key) => with_key(handle, self.user, key).await,
            Way::Certified(key, certificate) => {
                let (key, certificate) = (Arc::clone(key), certificate.clone());
                let trying = handle.authenticate_openssh_cert(self.user, key, certificate);
                Ok(answer(ANSWER, trying).await?.into())
            }
            Way::Agent(key) => with_agent(handle, self.user, key).await,
            Way::Password(word) => with_password(handle, self.user, word).await,
            Way::Questions(word) => self.converse(handle, word).await,
        }
    }

    async fn converse(
        &mut self,
        handle: &mut client::Handle<Handler>,
        word: Option<&Secret<String>>,
    ) -> Result<Outcome, ConnectFault> {
        self.tries -= 1;
        let (outcome, said) = converse(handle, self.user, word, self.person.as_mut()).await?;
        match (&outcome, said) {
            // It refuses without a question: asking again would bring nothing else.
            (Outcome::Refused(_), Said { password: false, person: false }) => self.tries = 0,
            // It may have been the person's answer that was wrong: the password may serve again.
            (Outcome::Refused(_), Said { person: true, .. }) if self.tries > 0 => {}
            (Outcome::Refused(_), Said { person: true, .. }) => self.spend_password(),
            (_, Said { password: true, .. }) => self.spend_password(),
            _ => {}
        }
        Ok(outcome)
    }

    /// The first password was used, and is not offered a second time.
    fn spend_password(&mut self) {
        let first = self.left.iter().position(|one| matches!(one, Credential::Password(_)));
        if let Some(at) = first {
            self.left.remove(at);
        }
    }
}

/// Why it ended without a login: the server's answer, or the end of the connection.
async fn refusal(leg: &Leg, offered: &MethodSet, asks: bool) -> ConnectFault {
    if offered.is_empty() {
        // russh reports a vanished connection as a refusal that offers nothing.
        let _ = timeout(Duration::from_secs(1), leg.lost.cancelled()).await;
        match leg.farewell.get() {
            Some(Ended::NoAuthMethod) => {}
            _ if leg.lost.is_cancelled() => return leg.closed(Step::Login),
            _ => {}
        }
    } else if asks && offered.iter().all(|method| *method == MethodKind::KeyboardInteractive) {
        return ConnectFault::LoginInteractive;
    }
    ConnectFault::AuthRefused { offered: offered.iter().map(String::from).collect() }
}

async fn with_password(
    handle: &mut client::Handle<Handler>,
    user: &str,
    word: &Secret<String>,
) -> Result<Outcome, ConnectFault> {
    let trying = handle.authenticate_password(user, word.expose().as_str());
    match answer(ANSWER, trying).await {
        Ok(result) => Ok(result.into()),
        Err(ConnectFault::TimedOut(..)) => Err(ConnectFault::PasswordUnanswered(ANSWER)),
        Err(fault) => Err(fault),
    }
}

async fn with_key(
    handle: &mut client::Handle<Handler>,
    user: &str,
    key: &Arc<PrivateKey>,
) -> Result<Outcome, ConnectFault> {
    let Some(hash) = hash_for(handle, key.algorithm().is_rsa()).await? else {
        return Ok(Outcome::Unusable);
    };
    let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
    Ok(answer(ANSWER, handle.authenticate_publickey(user, key)).await?.into())
}

async fn with_agent(
    handle: &mut client::Handle<Handler>,
    user: &str,
    key: &AgentKey,
) -> Result<Outcome, ConnectFault> {
    let public = key.public_key().clone();
    let Some(hash) = hash_for(handle, public.algorithm().is_rsa()).await? else {
        return Ok(Outcome::Unusable);
    };
    let mut signer = key.clone();
    let trying = handle.authenticate_publickey_with(user, public, hash, &mut signer);
    match timeout(TOUCH, trying).await {
        Err(_) => Err(ConnectFault::TimedOut(Step::Login, TOUCH)),
        // It does not hold the key (any more), or its owner said no.
        Ok(Err(error)) => {
            tracing::debug!(%error, "the agent did not sign");
            Ok(Outcome::Unusable)
        }
        Ok(Ok(result)) => Ok(result.into()),
    }
}

/// The hash for an RSA signature; `None` when the server takes SHA-1 only, which is not given.
async fn hash_for(
    handle: &client::Handle<Handler>,
    is_rsa: bool,
) -> Result<Option<Option<HashAlg>>, ConnectFault> {
    if !is_rsa {
        return Ok(Some(None));
    }
    Ok(match answer(ANSWER, handle.best_supported_rsa_hash()).await? {
        Some(Some(hash)) => Some(Some(hash)),
        Some(None) => None,
        // It does not say (RFC 8308): servers since 2016 know both.
        None => Some(Some(HashAlg::Sha256)),
    })
}

pub(super) async fn answer<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, russh::Error>>,
) -> Result<T, ConnectFault> {
    match timeout(patience, asked).await {
        Err(_) => Err(ConnectFault::TimedOut(Step::Login, patience)),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(russh::Error::SendError | russh::Error::RecvError | russh::Error::Inconsistent)) => {
            Err(ConnectFault::Closed { at: Step::Login, words: None })
        }
        Ok(Err(error)) => Err(ConnectFault::Broken(error.to_string())),
    }
}
