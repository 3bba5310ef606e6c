//! Login at one hop: the credentials in order, each at most once, each only where it is asked for.

use std::{future::Future, sync::Arc, time::Duration};

use russh::{
    MethodKind, MethodSet,
    client::{self, AuthResult, KeyboardInteractiveAuthResponse as Interactive},
    keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg},
};
use tokio::time::timeout;

use super::{
    AgentKey, ConnectFault, Credential, HopPlan, Step,
    connection::Leg,
    handler::{Ended, Handler},
};

/// For each answer of the server.
const ANSWER: Duration = Duration::from_secs(15);
/// For an agent's signature: its owner may have to touch a key first.
const TOUCH: Duration = Duration::from_secs(120);
/// A server that asks more rounds of questions than this is not going to end.
const ROUNDS: usize = 8;

enum Outcome {
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

/// Proves who we are on a connection whose host key was accepted.
pub(super) async fn login(leg: &mut Leg, plan: &HopPlan) -> Result<(), ConnectFault> {
    // `none` asks which methods there are, so that no password goes where none is wanted.
    let mut offered =
        match answer(ANSWER, leg.handle.authenticate_none(&plan.hop.user)).await?.into() {
            Outcome::Granted | Outcome::Unusable => return Ok(()),
            Outcome::Partial(methods) | Outcome::Refused(methods) => methods,
        };
    let mut left: Vec<&Credential> = plan.credentials.iter().map(Arc::as_ref).collect();
    while let Some(next) = left.iter().position(|credential| suits(credential, &offered)) {
        let credential = left.remove(next);
        match attempt(&mut leg.handle, &plan.hop.user, credential, &offered).await? {
            Outcome::Granted => return Ok(()),
            Outcome::Partial(methods) | Outcome::Refused(methods) => offered = methods,
            Outcome::Unusable => {}
        }
        if offered.is_empty() {
            break;
        }
    }
    // Where a password was the answer to the question, it was wrong: a person would do no better.
    let asks = !plan.credentials.iter().any(|it| matches!(**it, Credential::Password(_)));
    Err(refusal(leg, &offered, asks).await)
}

fn suits(credential: &Credential, offered: &MethodSet) -> bool {
    match credential {
        Credential::Password(_) => {
            offered.contains(&MethodKind::Password)
                || offered.contains(&MethodKind::KeyboardInteractive)
        }
        Credential::Key(_) | Credential::Agent(_) => offered.contains(&MethodKind::PublicKey),
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

async fn attempt(
    handle: &mut client::Handle<Handler>,
    user: &str,
    credential: &Credential,
    offered: &MethodSet,
) -> Result<Outcome, ConnectFault> {
    match credential {
        Credential::Password(password) if offered.contains(&MethodKind::Password) => {
            let trying = handle.authenticate_password(user, password.expose().as_str());
            Ok(answer(ANSWER, trying).await?.into())
        }
        Credential::Password(password) => one_question(handle, user, password.expose()).await,
        Credential::Key(key) => with_key(handle, user, key).await,
        Credential::Agent(key) => with_agent(handle, user, key).await,
    }
}

/// Answers `keyboard-interactive` (RFC 4256) where it is a password prompt by another name: one
/// question in all, whose answer is not to be shown.
async fn one_question(
    handle: &mut client::Handle<Handler>,
    user: &str,
    password: &str,
) -> Result<Outcome, ConnectFault> {
    let mut reply =
        answer(ANSWER, handle.authenticate_keyboard_interactive_start(user, None)).await?;
    let mut answered = false;
    for _ in 0..ROUNDS {
        let prompts = match reply {
            Interactive::Success => return Ok(Outcome::Granted),
            Interactive::Failure { remaining_methods, partial_success: true } => {
                return Ok(Outcome::Partial(remaining_methods));
            }
            Interactive::Failure { remaining_methods, .. } => {
                return Ok(Outcome::Refused(remaining_methods));
            }
            Interactive::InfoRequest { prompts, .. } => prompts,
        };
        let answers = match prompts.as_slice() {
            [] => Vec::new(),
            [only] if !only.echo && !answered => {
                answered = true;
                vec![password.to_owned()]
            }
            _ => return Err(ConnectFault::LoginInteractive),
        };
        reply = answer(ANSWER, handle.authenticate_keyboard_interactive_respond(answers)).await?;
    }
    Err(ConnectFault::LoginInteractive)
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

async fn answer<T>(
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
