//! The guard in the daemon: which policy holds, and the thread that judges by it.

use std::{io, sync::Arc};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use tokio::sync::oneshot;

use crate::{
    daemon::policy::Policies,
    domain::{
        bytes::Bytes,
        digest::Digest,
        files::{Operation, acts},
        grant,
        guard::{
            self, Decision, Files, Finding, Policy, Span, Verdict,
            files::{Act, Canonical, Place},
        },
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
    /// The directory that it runs in, where that is known.
    pub cwd: Option<String>,
    /// All of its standard input, where that is known and short enough.
    pub stdin: Option<Arc<[u8]>>,
    /// What agents brought to the account.
    pub files: Arc<Files>,
}

/// What is said of an operation on files.
pub struct JudgedFiles {
    pub judged: Judgement,
    /// Those of many files that are refused while the others go on, each with its rule.
    pub refused: Vec<(usize, String)>,
    /// For each of the paths: beyond so many bytes it is to be judged anew.
    pub caps: Vec<Option<u64>>,
    /// No size that is not known yet can change it.
    pub sized: bool,
}

/// The policy that holds, and its digest: what an approval binds.
pub(super) struct Current {
    pub policy: Arc<Policy>,
    pub revision: Digest,
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
    pub(super) fn current(&self) -> Result<Current, Failure> {
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
        let question = |bytes: Vec<u8>| self.question(&line, &policy, bytes);
        let verdict = match self.ask(question(line.bytes.clone())).await {
            Ok(verdict) => verdict,
            Err(why) => return Ok(Judgement::unjudged(&line.bytes, line.manner, &why, revision)),
        };
        let mut judged_own = None;
        let verdict = match &line.own {
            // What is blocked whoever set a variable is blocked.
            Some(own) if verdict.decision != Decision::Block => {
                match self.ask(question(own.clone())).await {
                    Ok(verdict) => {
                        judged_own = Some(Box::new(Bytes(own.clone())));
                        moved(verdict, own, &line.bytes)
                    }
                    Err(_) => verdict,
                }
            }
            _ => verdict,
        };
        let scripts = verdict.scripts.clone();
        let mut judged = Judgement::new(&line.bytes, line.manner, verdict, revision)
            .with_scripts(&scripts, &line.files);
        judged.own = judged_own;
        let Some(alone) = judged.part_alone() else { return Ok(judged) };
        Ok(match self.ask(question(alone)).await {
            Ok(alone) => judged.with_part_judged(&alone),
            Err(_) => judged,
        })
    }

    /// What the judge is asked of some bytes, where `line` would run.
    pub(super) fn question(
        &self,
        line: &Line<'_>,
        policy: &Arc<Policy>,
        bytes: Vec<u8>,
    ) -> Question {
        Question {
            line: bytes,
            target: Some(line.target.to_owned()),
            token: line.identity.token.as_ref().map(|token| token.name.to_string()),
            cwd: line.cwd.clone(),
            today: Some(self.today()),
            manner: line.manner,
            stdin: line.stdin.clone(),
            files: line.files.clone(),
            policy: policy.clone(),
        }
    }

    /// Judges an operation on files where it leads: by the rules for paths, and where one command would do the
    /// same also as that command. `sizes`: what is read or will be there, as far as it is known.
    ///
    /// # Errors
    /// The operator's policy can't be read: nothing passes.
    pub async fn judge_files(
        &self,
        line: Line<'_>,
        operation: &Operation,
        (at, sizes): (&[Vec<u8>], &[Option<u64>]),
        home: &Canonical,
    ) -> Result<JudgedFiles, Failure> {
        let Current { policy, revision } = self.current()?;
        let token = token_of(line.identity);
        let context = self.context(line.target, token.as_deref());
        // The session's mode is the desk's own to keep.
        let place = Place { context, mode: grant::Mode::Guarded, home };
        let paths = acts::judge(operation, at, sizes, &place, &policy);
        let sized = !paths.asks_for_sizes(sizes);
        let acts::Judged { mut verdict, refused, caps } = paths;
        if operation.is_a_command() {
            let question = self.question(&line, &policy, line.bytes.clone());
            match self.ask(question).await {
                Ok(command) => verdict = both(command, verdict),
                Err(why) => {
                    let judged = Judgement::unjudged(&line.bytes, line.manner, &why, revision);
                    return Ok(JudgedFiles { judged, refused, caps, sized });
                }
            }
        }
        let said = verdict.clone();
        let judged = Judgement::new(&line.bytes, line.manner, verdict, revision);
        let judged = match operation {
            // What it reads or writes, and where, is all that it was judged by.
            Operation::Served { .. } => judged.with_part_judged(&said),
            _ => judged,
        };
        Ok(JudgedFiles { judged, refused, caps, sized })
    }

    /// What the rules for paths say of one thing that is done to a file which is open already: how far it may go
    /// is known only now.
    ///
    /// # Errors
    /// The operator's policy can't be read: nothing passes.
    pub fn judge_act(
        &self,
        target: &str,
        identity: &Identity,
        home: &Canonical,
        act: &Act<'_>,
    ) -> Result<guard::files::Verdict, Failure> {
        let Current { policy, .. } = self.current()?;
        let token = token_of(identity);
        let context = self.context(target, token.as_deref());
        Ok(guard::files::judge(act, &Place { context, mode: grant::Mode::Guarded, home }, &policy))
    }

    fn context<'a>(&self, target: &'a str, token: Option<&'a str>) -> guard::Context<'a> {
        let today = Some(self.today());
        guard::Context { target: Some(target), token, today, ..guard::Context::default() }
    }

    pub(super) async fn ask(&self, question: Question) -> Result<Verdict, String> {
        let (sender, verdict) = oneshot::channel();
        // Whoever asked may be gone.
        let reply = move |verdict| _ = sender.send(verdict);
        self.judge.ask(question, reply).map_err(|why| why.to_string())?;
        verdict.await.map_err(|_| "nobody judges any more".to_owned())
    }

    /// As the operator's calendar says.
    pub(super) fn today(&self) -> Date {
        (self.now)().to_zoned(TimeZone::system()).date()
    }
}

fn token_of(identity: &Identity) -> Option<String> {
    identity.token.as_ref().map(|token| token.name.to_string())
}

/// What is said of a command, and of its paths: the strictest of both. That no rule allows the command is no
/// matter where rules for paths say what is allowed.
fn both(command: Verdict, paths: Verdict) -> Verdict {
    let of_commands =
        |finding: &Finding| !matches!(finding.rule.as_str(), "unmatched" | "read.unknown");
    let mut findings: Vec<Finding> = command.findings.into_iter().filter(of_commands).collect();
    findings.extend(paths.findings);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.decision));
    let first = findings.first();
    Verdict {
        decision: first.map_or(Decision::Allow, |first| first.decision),
        rule: first.map(|first| first.rule.clone()),
        reason: first.map(|first| first.reason.clone()),
        span: first.map(|first| first.span),
        chain: first.map(|first| first.chain.clone()).unwrap_or_default(),
        resolved: command.resolved,
        findings,
        reads_stdin: command.reads_stdin,
        scripts: command.scripts,
        written: Vec::new(),
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
