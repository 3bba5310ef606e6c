//! The guard in the daemon: which policy holds, and the thread that judges by it.

use std::{io, sync::Arc};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use tokio::sync::oneshot;

use crate::{
    domain::{
        digest::{Digest, Digester},
        guard::{Policy, Verdict, policy},
        identity::Identity,
        judgement::Judgement,
    },
    judge::{Judge, Question},
};

/// What is judged, and where it would run.
pub struct Line<'a> {
    pub bytes: Vec<u8>,
    /// The target as it was asked for.
    pub target: &'a str,
    pub identity: &'a Identity,
}

/// The policy that holds, and its digest: what an approval binds.
pub struct Current {
    pub policy: Arc<Policy>,
    pub revision: Digest,
}

pub struct Guard {
    judge: Judge,
    built_in: Digest,
    now: fn() -> Timestamp,
}

impl Guard {
    pub fn start(now: fn() -> Timestamp) -> io::Result<Self> {
        let built_in = Digester::new("policy").text("built-in", policy::BUILT_IN).finish();
        Ok(Self { judge: Judge::start()?, built_in, now })
    }

    /// The policy that holds now; who asks and where are for its own rules to tell apart.
    pub fn current(&self) -> Current {
        Current { policy: Policy::built_in(), revision: self.built_in }
    }

    /// Judges a line. Where nobody can, a person is asked: never a yes.
    pub async fn judge(&self, line: Line<'_>) -> Judgement {
        let Current { policy, revision } = self.current();
        let question = |bytes: Vec<u8>| Question {
            line: bytes,
            target: Some(line.target.to_owned()),
            token: line.identity.token.as_ref().map(|token| token.name.to_string()),
            cwd: None,
            today: Some(self.today()),
            policy: policy.clone(),
        };
        let verdict = match self.ask(question(line.bytes.clone())).await {
            Ok(verdict) => verdict,
            Err(why) => return Judgement::unjudged(line.bytes, &why, revision),
        };
        let judged = Judgement::new(line.bytes, verdict, revision);
        let Some(alone) = judged.part_alone() else { return judged };
        match self.ask(question(alone)).await {
            Ok(alone) => judged.with_part_judged(&alone),
            Err(_) => judged,
        }
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
