//! Plans: asked for as a whole, approved line by line, and their lines let pass in turn.

use super::{
    Asker, Desk, Ground, NotAsked, Permit, approval_required, closed, commands, expired,
    not_approved, withdrawn,
};
use crate::{
    domain::{
        action::{Action, Exec},
        authorize::{self, Decision, NotApproved},
        digest::Digest,
        guard,
        id::Id,
        identity::Identity,
        plan::{self, HOLDS, Line, Plan, Progress},
        request::{State, WAITS},
    },
    protocol::error::{Code, Failure},
};

/// Where a plan that was approved stands.
pub enum Next {
    /// This passes next; `last` is what ran before it.
    Line { line: Box<Line>, session: Id, last: Option<Id> },
    /// Nothing is left.
    Done { last: Option<Id> },
}

/// What a yes to a plan says of a command.
pub enum Planned {
    /// It is the next line of this plan.
    Passes(Permit<Exec>, Id),
    Refused(NotAsked<Exec>),
    /// No plan speaks of it.
    Not(Exec),
}

impl Desk {
    /// Puts a plan into the queue, or joins the same one there. The flag says whether it is new.
    pub fn ask_plan(
        &self,
        asker: &Asker,
        ground: &Ground<'_>,
        plan: Plan,
        no_ask: bool,
    ) -> Result<(Id, bool), Failure> {
        authorize::check_plan(&asker.identity, ground.leave(), (self.now)())?;
        if no_ask {
            return Err(approval_required());
        }
        let strictest = plan.lines.iter().max_by_key(|line| line.judged.decision);
        let rule = strictest.and_then(|line| line.judged.rule.clone());
        let sameness = plan.sameness(&asker.identity);
        let copy = plan.clone();
        let digest = |id: &Id, until| copy.digest(&asker.identity, id, until, ground.place);
        self.ask(asker, Action::Plan(plan), rule, WAITS, sameness, digest)
    }

    /// What denies a line of a plan that nobody need be asked about: its number and why.
    pub fn denies_line(&self, asker: &Asker, place: &str, plan: &Plan) -> Option<(u32, Failure)> {
        let denied = self.bars.of(&asker.identity, place);
        plan.lines.iter().find_map(|line| {
            let rule = denied.of(&line.judged)?;
            Some((line.number, commands::barred(rule)))
        })
    }

    /// Refuses a yes to a plan's lines that could not be kept: by numbers that it does not have, or by
    /// another policy than the one in force.
    pub fn check_lines(&self, id: &Id, numbers: Option<&[u32]>) -> Result<Progress, Failure> {
        let revision = self.guard.revision();
        self.entry(id, None, |entry| match &entry.request.action {
            Action::Plan(plan) if plan.policy() != Some(revision) => {
                Err(commands::policy_changed(id))
            }
            Action::Plan(plan) => {
                Progress::approved(plan, numbers).map_err(|number| no_line(id, number))
            }
            _ => Err(not_approved(id, NotApproved::OtherKind)),
        })?
    }

    /// The numbers of the lines that a yes is for.
    pub fn numbers_of(&self, id: &Id, progress: &Progress) -> Result<Vec<u32>, Failure> {
        self.entry(id, None, |entry| match &entry.request.action {
            Action::Plan(plan) => {
                let lines = plan.lines.iter().enumerate();
                lines.filter(|(at, _)| progress.is_approved(*at)).map(|(_, l)| l.number).collect()
            }
            _ => Vec::new(),
        })
    }

    /// Records the yes to lines of a plan: they pass from now on.
    pub fn plan_approved(
        &self,
        id: &Id,
        shown: &Digest,
        progress: Progress,
    ) -> Result<(), Failure> {
        let now = (self.now)();
        self.entry(id, None, |entry| {
            let refused = |error| not_approved(id, NotApproved::Request(error));
            entry.request.approve_for(shown, HOLDS, now).map_err(refused)?;
            entry.progress = Some(progress);
            entry.decided_at = Some(now);
            Ok::<(), Failure>(())
        })??;
        self.tell(id);
        Ok(())
    }

    /// Where an approved plan stands now.
    pub fn next_of_plan(&self, id: &Id, identity: &Identity) -> Result<Next, Failure> {
        let now = (self.now)();
        self.entry(id, Some(identity), |entry| {
            let state = entry.request.state(now).clone();
            let (Action::Plan(plan), Some(progress)) = (&entry.request.action, &entry.progress)
            else {
                return Err(closed(id, &state));
            };
            let last = progress.last().cloned();
            let next = progress.next().and_then(|at| plan.lines.get(at));
            match (state, next) {
                (_, None) => Ok(Next::Done { last }),
                (State::Approved { .. }, Some(line)) => {
                    let (line, session) = (Box::new(line.clone()), plan.session.clone());
                    Ok(Next::Line { line, session, last })
                }
                (State::Expired, _) => Err(expired(Code::ApprovalExpired, id)),
                _ => Err(withdrawn(id)),
            }
        })?
    }

    /// Whether `exec` is what passes next of a plan in its session: of `id`, or of any that is approved.
    pub fn permit_planned(
        &self,
        id: Option<&Id>,
        asker: &Asker,
        ground: &Ground<'_>,
        exec: Exec,
    ) -> Planned {
        let now = (self.now)();
        let denied = self.bars.of(&asker.identity, ground.place);
        let mut queue = self.queue();
        let ids = match id {
            Some(id) => vec![id.clone()],
            None => queue.plans_of(&exec.session),
        };
        let mut exec = exec;
        for id in ids {
            let Some(entry) = queue.get(&id) else { continue };
            let (Action::Plan(plan), Some(progress)) = (&entry.request.action, &mut entry.progress)
            else {
                continue;
            };
            let Some(at) = progress.next().filter(|_| entry.request.identity == asker.identity)
            else {
                continue;
            };
            let Some(next) = plan.lines.get(at).cloned() else { continue };
            let (leave, became) = (ground.leave(), exec.id.clone());
            let decision = authorize::authorize_planned_exec(
                &mut entry.request,
                &next,
                leave,
                exec,
                &denied,
                now,
            );
            match decision {
                Decision::Allowed(allowed) => {
                    progress.runs(at, became);
                    return Planned::Passes(Permit::issue(allowed), id);
                }
                Decision::Ask { action, .. } => exec = action,
                Decision::Denied(denied) => {
                    return Planned::Refused(Failure::from(denied).into());
                }
                Decision::Barred { rule } => {
                    return Planned::Refused(commands::barred(&rule).into());
                }
                Decision::Blocked { action, rule, reason } => {
                    let failure = commands::blocked(&rule, &reason);
                    return Planned::Refused(NotAsked { failure, blocked: Some(Box::new(action)) });
                }
            }
        }
        Planned::Not(exec)
    }

    /// Nothing of `exec` was sent: the line of the plan that it was passes yet.
    pub fn give_back(&self, id: &Id, exec: &Id) {
        let _unknown = self.entry(id, None, |entry| {
            if let Some(progress) = &mut entry.progress {
                progress.give_back(exec);
            }
        });
    }

    /// Whether nobody has decided on it yet.
    pub fn is_pending(&self, id: &Id) -> bool {
        let now = (self.now)();
        self.entry(id, None, |entry| entry.request.is_pending(now)).unwrap_or(false)
    }

    /// Whether the guard judges by another policy now than it did for a plan.
    pub fn plan_is_of_another_policy(&self, id: &Id) -> bool {
        let revision = self.guard.revision();
        let same = self.entry(id, None, |entry| match &entry.request.action {
            Action::Plan(plan) => plan.policy() == Some(revision),
            _ => true,
        });
        !same.unwrap_or(true)
    }
}

/// Why a plan with these lines is refused whole: the blocked ones by number and rule.
pub fn blocked_whole(blocked: &[(u32, Exec)]) -> Option<Failure> {
    const NAMED: usize = 10;
    let ((number, first), more) = blocked.split_first()?;
    let rule = |exec: &Exec| exec.judged.rule.clone().unwrap_or_default();
    let reason = first.judged.reason.clone().unwrap_or_default();
    let mut message = format!("line {number}: the policy blocks it: {}, {reason}", rule(first));
    for (number, exec) in more.iter().take(NAMED) {
        message.push_str(&format!("; line {number}: {}", rule(exec)));
    }
    if more.len() > NAMED {
        message.push_str(&format!("; and {} lines more", more.len() - NAMED));
    }
    let failure = commands::blocked("", "");
    Some(Failure { message: format!("{message}; nothing of the plan was taken"), ..failure })
}

/// What a person is shown of a plan's lines.
pub fn lines_shown(
    plan: &Plan,
    progress: Option<&Progress>,
) -> Vec<crate::protocol::view::PlanLine> {
    let line = |(at, line): (usize, &plan::Line)| crate::protocol::view::PlanLine {
        number: line.number,
        command: line.full.clone(),
        verdict: line.judged.decision,
        rule: line.judged.rule.clone().filter(|_| line.judged.decision != guard::Decision::Allow),
        reason: line
            .judged
            .reason
            .clone()
            .filter(|_| line.judged.decision != guard::Decision::Allow),
        span: line.judged.span,
        approved: progress.map(|progress| progress.is_approved(at)),
        exec: progress.and_then(|progress| progress.exec(at)).map(Id::to_string),
    };
    plan.lines.iter().enumerate().map(line).collect()
}

fn no_line(id: &Id, number: u32) -> Failure {
    let message = match number {
        0 => format!("a yes to no line of {id} is a no"),
        number => format!("{id} has no command on line {number}"),
    };
    let hint = format!("sgw approve {id} --lines 1,3-5, or refuse it: sgw deny {id}");
    Failure::new(Code::UsageArguments, message, hint).about(id)
}
