//! Walks to a machine to see how far one gets, each step with its time. What it opened is closed again.

use std::{sync::Arc, time::Duration};

use russh::{Channel, ChannelMsg, client::Msg};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    ConnectFault, HopPlan, HostKeyJudge, Plan, Step, auth,
    connect::{PATIENCE, connect_to, look_up, shake_hands, tunnel},
    connection::Leg,
    machine::Known,
    proxy,
    slots::Refusal,
};

/// A step of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Name,
    Tcp,
    /// A jump host's channel or a proxy command, in place of name and TCP.
    Tunnel,
    HostKey,
    Login,
    Shell,
    Sftp,
}

/// How one step went.
#[derive(Debug)]
pub struct Probed {
    /// Which machine of the plan, from 0.
    pub hop: usize,
    pub stage: Stage,
    pub took: Duration,
    /// What was found, or why it goes no further.
    pub outcome: Result<Option<String>, ConnectFault>,
}

/// What SFTP's client says first: version 3 (draft-ietf-secsh-filexfer-02, 4).
const SFTP_INIT: &[u8] = &[0, 0, 0, 5, 1, 0, 0, 0, 3];
/// What it is answered with begins with this, after its length.
const SFTP_VERSION: u8 = 2;
/// A login shell may print this much before it comes to the point.
const MOST: usize = 64 << 10;

/// Goes as far as the way leads, or until the last machine has shown its key. The steps in order; at
/// most the last of them failed, but for SFTP, without which a machine is of use too.
pub async fn probe(
    plan: &Plan,
    judge: Arc<dyn HostKeyJudge>,
    host_key_only: bool,
    with_shell: bool,
) -> Vec<Probed> {
    let mut walk = Walk { judge, steps: Vec::new(), legs: Vec::new(), hop: 0 };
    for (at, next) in plan.hops.iter().enumerate() {
        walk.hop = at;
        let last = at + 1 == plan.hops.len();
        let command = plan.proxy_command.as_deref();
        if walk.reach(next, command, last && host_key_only).await.is_none() {
            return walk.steps;
        }
    }
    if let Some(target) = walk.legs.last().filter(|_| !host_key_only) {
        let started = Instant::now();
        let shell = match with_shell {
            true => bounded(Step::Session, shell(target)).await,
            false => Ok(Some(String::from("not tried: no shell that reads as sh does"))),
        };
        let goes_on = shell.is_ok();
        let took = started.elapsed();
        let sftp_at = Instant::now();
        let sftp = match goes_on {
            true => Some(bounded(Step::Session, sftp(target)).await),
            false => None,
        };
        let hop = walk.hop;
        walk.steps.push(Probed { hop, stage: Stage::Shell, took, outcome: shell });
        let took = sftp_at.elapsed();
        walk.steps.extend(sftp.map(|outcome| Probed { hop, stage: Stage::Sftp, took, outcome }));
    }
    walk.steps
}

struct Walk {
    judge: Arc<dyn HostKeyJudge>,
    steps: Vec<Probed>,
    legs: Vec<Leg>,
    hop: usize,
}

impl Walk {
    /// Notes a step; what it brought, where it succeeded.
    fn note<T>(
        &mut self,
        stage: Stage,
        started: Instant,
        outcome: Result<(T, Option<String>), ConnectFault>,
    ) -> Option<T> {
        let (got, outcome) = match outcome {
            Ok((got, found)) => (Some(got), Ok(found)),
            Err(fault) => (None, Err(fault)),
        };
        let took = started.elapsed();
        self.steps.push(Probed { hop: self.hop, stage, took, outcome });
        got
    }

    async fn reach(&mut self, next: &HopPlan, command: Option<&str>, key_only: bool) -> Option<()> {
        let started = Instant::now();
        let (wire, cut) = match (self.legs.last(), command) {
            (Some(jump), _) => {
                let outcome =
                    tunnel(jump, &next.hop).await.map(|(wire, cut, _)| ((wire, cut), None));
                self.note(Stage::Tunnel, started, outcome)?
            }
            (None, Some(command)) => {
                let outcome = proxy::start(command, &next.hop).map(|wire| (wire, None));
                self.note(Stage::Tunnel, started, outcome)?
            }
            (None, None) => {
                let deadline = started + PATIENCE;
                let late = || ConnectFault::TimedOut(Step::Connecting, PATIENCE);
                let found =
                    timeout_at(deadline, look_up(&next.hop)).await.unwrap_or_else(|_| Err(late()));
                let found = found.map(|all| {
                    let said: Vec<_> = all.iter().map(|one| one.ip().to_string()).collect();
                    (all, Some(said.join(", ")))
                });
                let addresses = self.note(Stage::Name, started, found)?;
                let started = Instant::now();
                let outcome = connect_to(&addresses, deadline).await;
                let outcome =
                    outcome.map(|(wire, cut, address)| ((wire, cut), Some(address.to_string())));
                self.note(Stage::Tcp, started, outcome)?
            }
        };
        let started = Instant::now();
        let judge = Arc::clone(&self.judge);
        let outcome = shake_hands(wire, cut, Known::default(), &next.hop, &judge)
            .await
            .map(|leg| (leg, None));
        let mut leg = self.note(Stage::HostKey, started, outcome)?;
        if key_only {
            return Some(());
        }
        let started = Instant::now();
        let outcome = match auth::login(&mut leg, next, None).await {
            Ok(_) => Ok(((), None)),
            Err(ConnectFault::Closed { at, words: None }) => Err(leg.closed(at)),
            Err(fault) => Err(fault),
        };
        self.note(Stage::Login, started, outcome)?;
        self.legs.push(leg);
        Some(())
    }
}

type Found = Result<Option<String>, ConnectFault>;

async fn bounded(step: Step, doing: impl Future<Output = Found>) -> Found {
    timeout(PATIENCE, doing).await.unwrap_or(Err(ConnectFault::TimedOut(step, PATIENCE)))
}

async fn channel(leg: &Leg) -> Result<Channel<Msg>, ConnectFault> {
    leg.slots.begin();
    match leg.handle.channel_open_session().await {
        Ok(channel) => Ok(channel),
        Err(russh::Error::ChannelOpenFailure(_)) => {
            Err(ConnectFault::NoSession(match leg.slots.refusal().await {
                Refusal::Never(words) => words,
                Refusal::Full => String::from("full"),
            }))
        }
        Err(_) => Err(leg.closed(Step::Session)),
    }
}

/// Whether the account's shell runs a command.
async fn shell(leg: &Leg) -> Found {
    let mut channel = channel(leg).await?;
    let broken = |_| leg.closed(Step::Session);
    channel.exec(true, "exit 0").await.map_err(broken)?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::ExitStatus { exit_status: 0 }) => return Ok(None),
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                let words = format!("its shell ended a plain `exit 0` with {exit_status}");
                return Err(ConnectFault::NoSession(words));
            }
            Some(ChannelMsg::Failure) => {
                return Err(ConnectFault::NoSession(String::from("it runs no command")));
            }
            Some(_) => {}
            None => {
                let words = String::from("its shell ended without saying how");
                return Err(ConnectFault::NoSession(words));
            }
        }
    }
}

/// Which version of SFTP it speaks.
async fn sftp(leg: &Leg) -> Found {
    let none = |why: &str| Err(ConnectFault::NoSession(format!("no SFTP: {why}")));
    let mut channel = channel(leg).await?;
    let broken = |_| leg.closed(Step::Session);
    channel.request_subsystem(true, "sftp").await.map_err(broken)?;
    channel.data(SFTP_INIT).await.map_err(broken)?;
    let mut answer = Vec::new();
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Data { data }) => {
                answer.extend_from_slice(&data);
                match *answer.as_slice() {
                    [_, _, _, _, SFTP_VERSION, a, b, c, d, ..] => {
                        return Ok(Some(format!("version {}", u32::from_be_bytes([a, b, c, d]))));
                    }
                    [_, _, _, _, other, ..] if other != SFTP_VERSION => {
                        return none("something else answers");
                    }
                    _ if answer.len() > MOST => return none("something else answers"),
                    _ => {}
                }
            }
            Some(ChannelMsg::Failure) => return none("the server has no such subsystem"),
            Some(_) => {}
            None => return none("it ended without an answer"),
        }
    }
}
