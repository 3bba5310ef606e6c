//! The guard in the daemon: which policy holds, and the thread that judges by it.

use std::{io, sync::Arc};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use tokio::sync::oneshot;

use crate::{
    daemon::policy::Policies,
    domain::{
        digest::Digest,
        guard::{Decision, Files, Policy, Span, Verdict},
        identity::Identity,
        judgement::{Judgement, Manner},
    },
    judge::{Judge, Question},
    protocol::error::Failure,
};

/// What is judged, and where it would run.
pub struct Line<'a> {
    pub bytes: Vec<u8>,
    /// The same without the variables that the operator set there: they are no agent's doing.
    pub own: Option<Vec<u8>>,
    /// The target as it was asked for.
    pub target: &'a str,
    pub identity: &'a Identity,
    pub manner: Manner,
    /// All of its standard input, where that is known and short enough.
    pub stdin: Option<Arc<[u8]>>,
    /// What agents brought to the account.
    pub files: Arc<Files>,
}

/// The policy that holds, and its digest: what an approval binds.
struct Current {
    policy: Arc<Policy>,
    revision: Digest,
}

pub struct Guard {
    judge: Judge,
    policies: Arc<Policies>,
    now: fn() -> Timestamp,
}

impl Guard {
    pub fn start(policies: Arc<Policies>, now: fn() -> Timestamp) -> io::Result<Self> {
        Ok(Self { judge: Judge::start()?, policies, now })
    }

    /// The policy that holds now; who asks and where are for its own rules to tell apart.
    fn current(&self) -> Result<Current, Failure> {
        let in_force = self.policies.in_force();
        Ok(Current { policy: in_force.policy()?, revision: in_force.revision })
    }

    /// Digest of the policy that holds now.
    pub(super) fn revision(&self) -> Digest {
        self.policies.in_force().revision
    }

    /// Judges a line. Where nobody can, a person is asked: never a yes.
    ///
    /// # Errors
    /// The operator's policy can't be read: nothing passes.
    pub async fn judge(&self, line: Line<'_>) -> Result<Judgement, Failure> {
        let Current { policy, revision } = self.current()?;
        let question = |bytes: Vec<u8>| Question {
            line: bytes,
            target: Some(line.target.to_owned()),
            token: line.identity.token.as_ref().map(|token| token.name.to_string()),
            cwd: None,
            today: Some(self.today()),
            manner: line.manner,
            stdin: line.stdin.clone(),
            files: line.files.clone(),
            policy: policy.clone(),
        };
        let verdict = match self.ask(question(line.bytes.clone())).await {
            Ok(verdict) => verdict,
            Err(why) => return Ok(Judgement::unjudged(&line.bytes, line.manner, &why, revision)),
        };
        let verdict = match line.own {
            // What is blocked whoever set a variable is blocked.
            Some(own) if verdict.decision != Decision::Block => {
                match self.ask(question(own.clone())).await {
                    Ok(verdict) => moved(verdict, &own, &line.bytes),
                    Err(_) => verdict,
                }
            }
            _ => verdict,
        };
        let scripts = verdict.scripts.clone();
        let judged = Judgement::new(&line.bytes, line.manner, verdict, revision)
            .with_scripts(&scripts, &line.files);
        let Some(alone) = judged.part_alone() else { return Ok(judged) };
        Ok(match self.ask(question(alone)).await {
            Ok(alone) => judged.with_part_judged(&alone),
            Err(_) => judged,
        })
    }

    async fn ask(&self, question: Question) -> Result<Verdict, String> {
        let (sender, verdict) = oneshot::channel();
        // Whoever asked may be gone.
        let reply = move |verdict| _ = sender.send(verdict);
        self.judge.ask(question, reply).map_err(|why| why.to_string())?;
        verdict.await.map_err(|_| "nobody judges any more".to_owned())
    }

    /// As the operator's calendar says.
    fn today(&self) -> Date {
        (self.now)().to_zoned(TimeZone::system()).date()
    }
}

/// A verdict on what of a line is an agent's own, as one on the whole line, which ends alike.
fn moved(verdict: Verdict, own: &[u8], whole: &[u8]) -> Verdict {
    let alike = own.iter().rev().zip(whole.iter().rev()).take_while(|(a, b)| a == b).count();
    let (from, by) = (own.len() - alike, whole.len().saturating_sub(own.len()));
    let shift = |span: Span| Span { start: span.start + by, end: span.end + by };
    let mut verdict =
        Verdict { span: verdict.span.filter(|span| span.start >= from).map(shift), ..verdict };
    verdict.findings.iter_mut().for_each(|finding| finding.span = shift(finding.span));
    verdict
}
