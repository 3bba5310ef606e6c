//! Plans: read and judged line by line, put before the operator as one, and run line by line.

use std::{sync::Arc, time::Duration};

use super::{Caller, exec::still_held, view};
use crate::{
    daemon::{
        audit,
        desk::{self, Ground, Next, NotAsked, Planned},
        door::{
            follow::{self, Control, follow},
            link::{Gone, to_its_end, value},
        },
        session::{Session, Way, exec::ORPHAN, feed::Feed},
    },
    domain::{
        action,
        bytes::Bytes,
        capability::Capability,
        guard::{Decision, Files},
        id::{Id, Kind, prefix_kind},
        plan::{self, Line, MAX_LINES, Plan, Step, Unread},
    },
    protocol::{
        agent::{self, Command, Message},
        error::{Code, Failure},
    },
};

impl Caller {
    /// Reads and judges a plan, and waits for what the operator says of it.
    pub(super) async fn plan(
        &self,
        number: u32,
        asked: agent::Plan,
    ) -> Result<serde_json::Value, Failure> {
        let session = self.session(&asked.session, Capability::Exec).await?;
        session.collected();
        self.check_stopped(&session)?;
        let reason = super::reason_of(&asked.reason)?;
        let steps = plan::read(&asked.text.0).map_err(|why| unread(&why))?;
        let (plan, blocked) = self.read_plan(&session, reason, steps).await?;
        if asked.dry_run {
            let lines = desk::lines_shown(&plan, None);
            let verdict = lines.iter().map(|line| line.verdict).max().unwrap_or(Decision::Approve);
            let denied = self.parts.desk.denies_line(&self.asker, &session.place(), &plan);
            let asks = verdict != Decision::Block && denied.is_none();
            return value(&view::DryRun { session: session.id.to_string(), verdict, asks, lines });
        }
        self.check_lines(&session, &plan, blocked).await?;
        let unasked = plan.lines.iter().all(|line| line.judged.decision == Decision::Allow)
            && session.grant().mode != crate::domain::grant::Mode::Each;
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        let (id, new) = self.parts.desk.ask_plan(&self.asker, &ground, plan, asked.no_ask)?;
        if new {
            self.announce(&id).await?;
        }
        if unasked {
            let text = format!(
                "no line of {id} needs the operator's yes by itself: sgw exec runs each at once; \
                 sgw close {id} takes the plan back"
            );
            let _gone = self.outbox.json(number, &Message::Note { text }).await;
        }
        self.say_waiting(number, &id, view::Kind::Plan).await;
        let waiting =
            self.parts.desk.wait(self.identity(), &id, asked.wait_ms.map(Duration::from_millis));
        Self::unless_taken(&session, &id, waiting).await?;
        self.plan_shown(&id)
    }

    /// The plan as it stands, for its own agent.
    pub(super) fn plan_shown(&self, id: &Id) -> Result<serde_json::Value, Failure> {
        let session = |id: &Id| self.parts.session_shown(id);
        value(&self.parts.desk.show(id.as_str(), Some(self.identity()), session)?)
    }

    /// The plan, and those of its lines that the policy blocks.
    async fn read_plan(
        &self,
        session: &Session,
        reason: String,
        steps: Vec<Step>,
    ) -> Result<(Plan, Vec<(u32, action::Exec)>), Failure> {
        let (mut lines, mut blocked) = (Vec::new(), Vec::new());
        // A line is judged with what those before it write.
        let mut files = self.parts.sessions.scripts.of(&session.account());
        for step in steps {
            let (number, cwd, line) = match step {
                Step::Run { number, cwd, line } => (number, cwd.map(Bytes), Bytes(line)),
                // Files have no way to a target yet: here is where it begins.
                Step::Put { number, .. } => return Err(no_files(number)),
            };
            let exec = self.read_step(session, cwd.clone(), line.clone(), files.clone()).await;
            let exec = exec.map_err(|failure| at_line(failure, number))?;
            let (full, judged) = (exec.in_full(), exec.judged.clone());
            if judged.decision == Decision::Block {
                blocked.push((number, exec));
            } else if !judged.written.is_empty() {
                let files = Arc::make_mut(&mut files);
                for (path, content) in &judged.written {
                    files.set(path, content.clone());
                }
            }
            lines.push(Line { number, cwd, line, full, judged });
        }
        Ok((Plan { session: session.id.clone(), reason, lines }, blocked))
    }

    async fn read_step(
        &self,
        session: &Session,
        cwd: Option<Bytes>,
        line: Bytes,
        files: Arc<Files>,
    ) -> Result<action::Exec, Failure> {
        let asked = agent::Exec {
            session: session.id.to_string(),
            command: Command::Line(line),
            stdin: false,
            env: Vec::new(),
            cwd,
            timeout_ms: None,
            orphan_ms: None,
            wait_ms: None,
            no_ask: false,
            reason: None,
        };
        Ok(self.read_line_among(asked, session, files).await?.0)
    }

    /// A line that is blocked, or denied by its rule, refuses the plan whole; it counts as one refusal.
    async fn check_lines(
        &self,
        session: &Session,
        plan: &Plan,
        blocked: Vec<(u32, action::Exec)>,
    ) -> Result<(), Failure> {
        let failure = match desk::blocked_whole(&blocked) {
            Some(failure) => failure,
            None => match self.parts.desk.denies_line(&self.asker, &session.place(), plan) {
                Some((number, failure)) => at_line(failure, number),
                None => return Ok(()),
            },
        };
        let (parts, owner, target) =
            (self.parts.clone(), self.identity().to_string(), session.target());
        // The last is recorded where the refusal is counted.
        let mut blocked: Vec<_> = blocked.into_iter().map(|(_, exec)| exec).collect();
        let last = blocked.pop().map(Box::new);
        let recording = async move {
            for exec in &blocked {
                audit::command_blocked(&parts.evidence, &owner, &target, exec).await?;
            }
            Ok::<(), Failure>(())
        };
        to_its_end(recording).await?;
        Err(self.refused(session, NotAsked { failure, blocked: last }).await)
    }

    /// Runs what is next of an approved plan and follows it; or what ran since the caller looked.
    pub(super) async fn plan_step(
        &self,
        number: u32,
        step: agent::PlanStep,
        control: &Arc<Control>,
    ) -> Result<Result<(), Gone>, Failure> {
        if prefix_kind(&step.id) != Some(Kind::Request) {
            let message = "that is no id of a plan";
            return Err(Failure::new(Code::UsageId, message, "sgw plan run r-…"));
        }
        let id = self.parts.desk.find(&step.id, Some(self.identity()))?;
        if !matches!(self.parts.desk.action(&id, self.identity())?, action::Action::Plan(_)) {
            let message = format!("{id} is no plan");
            return Err(Failure::new(Code::UsageId, message, format!("sgw wait {id}")).about(&id));
        }
        let wait = step.wait_ms.map(Duration::from_millis);
        let over = wait.map(|wait| tokio::time::Instant::now() + wait);
        if self.parts.desk.is_pending(&id) {
            self.say_waiting(number, &id, view::Kind::Plan).await;
        }
        self.parts.desk.wait(self.identity(), &id, wait).await?;
        // Each turn somebody else ran the line.
        for _ in 0..=MAX_LINES {
            let (line, session, last) = match self.parts.desk.next_of_plan(&id, self.identity())? {
                Next::Line { line, session, last } => (line, session, last),
                Next::Done { last } => match self.unseen(last, &step) {
                    Some(last) => return self.follow_later(number, &last, None, control).await,
                    None => return Ok(self.outbox.answer(number, self.plan_shown(&id)).await),
                },
            };
            if let Some(last) = self.unseen(last, &step) {
                return self.follow_later(number, &last, None, control).await;
            }
            let session = self.parts.sessions.to_use(session.as_str(), self.identity())?;
            let held = |failure| still_held(failure, &session.id);
            self.check_stopped(&session).map_err(held)?;
            let files = self.parts.sessions.scripts.of(&session.account());
            let exec = self.read_step(&session, line.cwd, line.line, files).await?;
            if exec.judged.decision != Decision::Block {
                self.logged_in(number, &session, Capability::Exec, false, over).await?;
            }
            match self.planned(&session, Some(&id), exec) {
                Planned::Passes(permit, id) => {
                    let exec = self.run_planned(&session, permit, &id, ORPHAN).await?;
                    let caller = follow::Caller::Starter { stdin: false };
                    return Ok(follow(&self.outbox, number, exec, control.clone(), caller).await);
                }
                Planned::Refused(refused) => {
                    let failure = self.refused(&session, refused).await;
                    return Err(at_line(failure, line.number));
                }
                Planned::Not(_) if self.parts.desk.plan_is_of_another_policy(&id) => {
                    return Err(other_policy(&id));
                }
                Planned::Not(_) => match self.parts.desk.next_of_plan(&id, self.identity())? {
                    // Nobody ran it meanwhile: it is another than the one that was approved.
                    Next::Line { line: next, .. } if next.number == line.number => {
                        return Err(changed(&id, line.number));
                    }
                    Next::Line { .. } | Next::Done { .. } => {}
                },
            }
        }
        let message = format!("{id} is being run elsewhere");
        Err(Failure::new(Code::RequestClosed, message, format!("sgw show {id}")).about(&id))
    }

    /// What ran last, where the caller has not seen its end: it runs, or another call ran it.
    fn unseen(&self, last: Option<Id>, step: &agent::PlanStep) -> Option<Id> {
        let last = last?;
        let seen = match &step.after {
            Some(after) => after == last.as_str(),
            None => {
                let exec = self.parts.sessions.exec(last.as_str(), Some(self.identity()));
                exec.is_ok_and(|(_, exec)| !exec.is_running())
            }
        };
        (!seen).then_some(last)
    }

    /// Whether a plan lets `exec` pass now.
    pub(super) fn planned(
        &self,
        session: &Session,
        id: Option<&Id>,
        exec: action::Exec,
    ) -> Planned {
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        self.parts.desk.permit_planned(id, &self.asker, &ground, exec)
    }

    /// Runs a line of a plan. Where nothing was sent the line passes yet.
    pub(super) async fn run_planned(
        &self,
        session: &Arc<Session>,
        permit: crate::daemon::desk::Permit<action::Exec>,
        id: &Id,
        orphan: Duration,
    ) -> Result<Arc<crate::daemon::session::exec::Exec>, Failure> {
        self.parts.in_use.touch();
        let (parts, session, id) = (self.parts.clone(), session.clone(), id.clone());
        let running = async move {
            let exec = permit.of();
            let ran = parts
                .sessions
                .run(&session, permit, Some(id.clone()), orphan, Feed::empty(), Way::default())
                .await;
            if ran.as_ref().is_err_and(|failure| failure.sent == Some(false)) {
                parts.desk.give_back(&id, &exec);
            }
            ran
        };
        to_its_end(running).await
    }
}

fn unread(why: &Unread) -> Failure {
    let code = match why {
        Unread::TooLong(_) | Unread::TooMany => Code::LimitCommand,
        _ => Code::UsagePlan,
    };
    let hint = "one shell line a line, @cwd DIR, comments with #: sgw plan --help";
    Failure::new(code, format!("the plan can't be read: {why}"), hint).sent(false)
}

fn no_files(number: u32) -> Failure {
    let message = format!("line {number}: @put can't be used yet: this sgw transfers no files");
    let hint = "write the file with `sgw exec SESSION -i 'cat > PATH' < FILE`, and plan the rest";
    Failure::new(Code::UsagePlan, message, hint).sent(false)
}

fn other_policy(id: &Id) -> Failure {
    let message = format!("the policy has changed since {id} was asked, so the yes holds no more");
    let hint = "ask with the lines that are left: sgw plan SESSION --reason TEXT";
    Failure::new(Code::ApprovalExpired, message, hint).about(id).sent(false)
}

fn changed(id: &Id, number: u32) -> Failure {
    let message = format!(
        "line {number} is judged otherwise than when {id} was asked: a script that it runs was \
         written anew, or what the session may do has changed"
    );
    let hint = "ask with the lines that are left: sgw plan SESSION --reason TEXT";
    Failure::new(Code::ApprovalExpired, message, hint).about(id).sent(false)
}

fn at_line(failure: Failure, number: u32) -> Failure {
    Failure { message: format!("line {number}: {}", failure.message), ..failure }
}
