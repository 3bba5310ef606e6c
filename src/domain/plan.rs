//! Plans: shell lines that a person decides on together, before the first of them runs. Each line that
//! was approved passes once, in its turn, byte for byte.

mod read;

pub use read::{MAX_BYTES, MAX_LINES, Step, Unread, numbers, read};

use jiff::{SignedDuration, Timestamp};

use super::{
    bytes::Bytes,
    digest::{Digest, Digester},
    id::Id,
    identity::Identity,
    judgement::Judgement,
};

/// How long approved lines pass.
pub const HOLDS: SignedDuration = SignedDuration::from_mins(30);

/// What an agent means to run in a session, line by line.
#[derive(Clone, Debug)]
pub struct Plan {
    pub session: Id,
    pub reason: String,
    /// In the order in which they run; at least one.
    pub lines: Vec<Line>,
}

/// One command of a plan.
#[derive(Clone, Debug)]
pub struct Line {
    /// Where it stands in the plan's text, from 1.
    pub number: u32,
    /// Where it runs; absent: where the login starts.
    pub cwd: Option<Bytes>,
    /// As it was written.
    pub line: Bytes,
    /// What a shell on the target reads: sgw's marker left out, the directory in front.
    pub full: Bytes,
    /// What the guard said of [`Line::full`].
    pub judged: Judgement,
}

impl Plan {
    /// What makes two askings the same asking.
    pub fn sameness(&self, identity: &Identity) -> Digest {
        self.fields(Digester::new("plan"), identity).finish()
    }

    /// `place` as for [`super::action::Exec::digest`].
    pub fn digest(
        &self,
        identity: &Identity,
        request: &Id,
        until: Timestamp,
        place: &str,
    ) -> Digest {
        let head = Digester::new("plan request").text("id", request).text("until", until);
        let head = head.text("place", place).text("channel", "exec").text("stdin", "empty");
        let digester = self.fields(head, identity);
        self.lines.iter().fold(digester, |digester, line| line.judged.bind(digester)).finish()
    }

    fn fields(&self, digester: Digester, identity: &Identity) -> Digester {
        let head = digester
            .text("identity", identity)
            .text("session", &self.session)
            .text("reason", &self.reason)
            .text("lines", self.lines.len());
        self.lines.iter().fold(head, |digester, line| {
            digester.text("line", line.number).field("wire", line.full.as_slice())
        })
    }

    /// The policy that all of it was judged by; none where it changed meanwhile.
    pub fn policy(&self) -> Option<Digest> {
        let mut all = self.lines.iter().map(|line| line.judged.policy);
        let first = all.next()?;
        all.all(|policy| policy == first).then_some(first)
    }
}

/// What the operator's yes lets pass of a plan, and what of it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress(Vec<Stage>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stage {
    approved: bool,
    ran: Option<Id>,
}

impl Progress {
    /// A yes to these lines by their numbers; to all of them where none are named.
    ///
    /// # Errors
    /// The number that no line has; 0 where nothing is approved.
    pub fn approved(plan: &Plan, numbers: Option<&[u32]>) -> Result<Self, u32> {
        let all = plan.lines.iter().map(|line| line.number).collect::<Vec<_>>();
        let numbers = numbers.unwrap_or(&all);
        if let Some(unknown) = numbers.iter().find(|number| !all.contains(number)) {
            return Err(*unknown);
        }
        if numbers.is_empty() {
            return Err(0);
        }
        let stage = |number| Stage { approved: numbers.contains(number), ran: None };
        Ok(Self(all.iter().map(stage).collect()))
    }

    /// Which line passes next, by its place in [`Plan::lines`].
    pub fn next(&self) -> Option<usize> {
        self.0.iter().position(|stage| stage.approved && stage.ran.is_none())
    }

    /// What ran last.
    pub fn last(&self) -> Option<&Id> {
        self.0.iter().rev().find_map(|stage| stage.ran.as_ref())
    }

    pub fn runs(&mut self, at: usize, exec: Id) {
        if let Some(stage) = self.0.get_mut(at) {
            stage.ran = Some(exec);
        }
    }

    /// What became of `exec` is that nothing was sent: its line passes yet.
    pub fn give_back(&mut self, exec: &Id) {
        for stage in self.0.iter_mut().filter(|stage| stage.ran.as_ref() == Some(exec)) {
            stage.ran = None;
        }
    }

    pub fn is_approved(&self, at: usize) -> bool {
        self.0.get(at).is_some_and(|stage| stage.approved)
    }

    /// What a line became.
    pub fn exec(&self, at: usize) -> Option<&Id> {
        self.0.get(at).and_then(|stage| stage.ran.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Kind;

    pub fn plan(lines: &[&str]) -> Plan {
        let line = |(at, line): (usize, &&str)| Line {
            number: u32::try_from(at).unwrap() + 1,
            cwd: None,
            line: (*line).into(),
            full: (*line).into(),
            judged: Judgement::for_test(line.as_bytes()),
        };
        let lines = lines.iter().enumerate().map(line).collect();
        Plan { session: Id::from_number(Kind::Session, 1), reason: "r".into(), lines }
    }

    fn digest(plan: &Plan) -> Digest {
        let me = Identity { uid: 1000, token: None };
        let id = Id::from_number(Kind::Request, 7);
        plan.digest(&me, &id, Timestamp::UNIX_EPOCH, "web1")
    }

    #[test]
    fn every_line_and_all_that_is_around_them_is_bound() {
        let whole = plan(&["ls", "uptime"]);
        let changes: [fn(&mut Plan); 8] = [
            |p| p.lines[1].full.0.push(b' '),
            |p| p.lines.swap(0, 1),
            |p| drop(p.lines.pop()),
            |p| p.lines[1].number = 3,
            |p| p.lines[0].judged.policy = Digester::new("another policy").finish(),
            |p| p.lines[0].judged = Judgement::for_test(b"rm -rf /"),
            |p| p.session = Id::from_number(Kind::Session, 2),
            |p| p.reason.push('x'),
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut other = whole.clone();
            change(&mut other);
            assert_ne!(digest(&other), digest(&whole), "{at}");
        }
        assert_eq!(digest(&whole.clone()), digest(&whole));
        // Two lines are not one with both.
        assert_ne!(digest(&plan(&["lsuptime"])), digest(&whole));
    }

    #[test]
    fn approved_lines_pass_once_in_their_order() {
        let plan = plan(&["a", "b", "c"]);
        let exec = |number| Id::from_number(Kind::Exec, number);
        let mut progress = Progress::approved(&plan, Some(&[3, 1])).unwrap();
        assert_eq!((progress.next(), progress.last()), (Some(0), None));
        progress.runs(0, exec(1));
        assert_eq!((progress.next(), progress.last()), (Some(2), Some(&exec(1))));
        progress.runs(2, exec(2));
        assert_eq!(progress.next(), None);
        progress.give_back(&exec(2));
        assert_eq!(progress.next(), Some(2));
        assert!(!progress.is_approved(1) && progress.exec(1).is_none());
    }

    #[test]
    fn a_yes_names_lines_that_are_there() {
        let plan = plan(&["a", "b"]);
        assert_eq!(Progress::approved(&plan, Some(&[1, 4])), Err(4));
        assert_eq!(Progress::approved(&plan, Some(&[])), Err(0));
        assert!(Progress::approved(&plan, None).unwrap().is_approved(1));
    }
}
