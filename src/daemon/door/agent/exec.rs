//! Running commands, and coming back for them.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{
    Caller,
    ahead::{self, Input},
};
use crate::{
    daemon::{
        audit,
        desk::{Ground, Line, NotAsked, Outcome, Planned, Verdict},
        door::{
            follow::{self, Control, follow},
            link::{Gone, to_its_end, value},
        },
        session::{
            Session,
            exec::{ORPHAN, Stop},
            feed::Feed,
        },
    },
    domain::{
        action::{self, Action, Stdin},
        bytes::Bytes,
        capability::Capability,
        guard,
        id::{Id, Kind, prefix_kind},
        judgement::{Judgement, Manner},
        shell,
        target::named::Shell,
    },
    home::random,
    protocol::{
        agent,
        error::{Code, Failure},
    },
};

/// What has been sent, or why nothing was.
pub(super) type Sent = Result<(), Gone>;

/// How often one who waits for a paused session looks at it.
const LOOK: Duration = Duration::from_secs(2);
/// Longer than any call lives.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How a command is to be run.
pub(super) struct Wishes {
    orphan: Duration,
    wait: Option<Duration>,
    pub over: Option<Instant>,
    pub no_ask: bool,
}

impl Wishes {
    pub fn new(orphan_ms: Option<u64>, wait: Option<Duration>, no_ask: bool) -> Self {
        let orphan = orphan_ms.map_or(ORPHAN, Duration::from_millis);
        Self { orphan, wait, over: wait.map(|wait| Instant::now() + wait), no_ask }
    }
}

impl Caller {
    /// Judges a command, waits for the operator where that is asked, runs it and follows it.
    pub(super) async fn exec(
        &self,
        number: u32,
        asked: agent::Exec,
        control: &Arc<Control>,
    ) -> Result<Sent, Failure> {
        let session = self.session(&asked.session, Capability::Exec).await?;
        session.collected();
        self.check_stopped(&session)?;
        self.tell_news(number, &session).await;
        if self.way.terminal.is_some() {
            self.may_type(&session)?;
        }
        let wishes =
            Wishes::new(asked.orphan_ms, asked.wait_ms.map(Duration::from_millis), asked.no_ask);
        let read = self.read_exec(number, asked, &session, control).await?;
        self.run_judged(number, &session, read, wishes, control).await
    }

    /// A command that was judged: waits for the operator where that is asked, runs it and follows it.
    pub(super) async fn run_judged(
        &self,
        number: u32,
        session: &Arc<Session>,
        (action, input): (action::Exec, Input),
        wishes: Wishes,
        control: &Arc<Control>,
    ) -> Result<Sent, Failure> {
        let Wishes { orphan, wait, over, no_ask } = wishes;
        let needs = action.needs();
        if let Input::Whole(held) = &input {
            session.hold(&action.id, held.clone());
        }
        // What is blocked is refused before a person is asked to log in for it.
        if action.judged.decision != guard::Decision::Block {
            self.logged_in(number, session, needs, no_ask, over).await?;
        }
        self.check_paused(session)?;
        let planned = match self.way.terminal {
            // A plan's lines have none.
            Some(_) => Planned::Not(action),
            None => self.planned(session, None, action),
        };
        let action = match planned {
            Planned::Not(action) => action,
            Planned::Passes(permit, id) => {
                let exec = self.run_planned(session, permit, &id, orphan).await?;
                let caller = follow::Caller::Starter { stdin: false };
                return Ok(follow(&self.outbox, number, exec, control.clone(), caller).await);
            }
            Planned::Refused(refused) => return Err(self.refused(session, refused).await),
        };
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        let verdict = match self.parts.desk.judge_exec(&self.asker, &ground, action, no_ask) {
            Ok(verdict) => verdict,
            Err(refused) => return Err(self.refused(session, refused).await),
        };
        let (permit, request) = match verdict {
            Verdict::Permit(permit) => (permit, None),
            Verdict::Asked { id, new } => {
                if new {
                    self.announce(&id).await?;
                }
                let waiting = self.parts.desk.wait(self.identity(), &id, wait);
                match self.waits(number, session, &id, waiting).await? {
                    Outcome::Ran(exec) => {
                        return self.follow_later(number, &exec, wait, control).await;
                    }
                    _ => {
                        // The yes is kept: `sgw wait` comes back for it.
                        let stopped = self.check_stopped(session);
                        stopped.map_err(|stopped| stopped_until(stopped, &id))?;
                        let logged_in = self.logged_in(number, session, needs, no_ask, over);
                        logged_in.await.map_err(|failure| still_held(failure, &id))?;
                        (self.permit_approved(&id, session)?, Some(id))
                    }
                }
            }
        };
        self.parts.in_use.touch();
        let stdin = matches!(input.as_action(), Stdin::Open | Stdin::Typed);
        let (feed, way) = (input.feed(), self.way.clone());
        let running = self.parts.sessions.run(session, permit, request, orphan, feed, way);
        let exec = running.await?;
        let caller = follow::Caller::Starter { stdin };
        Ok(follow(&self.outbox, number, exec, control.clone(), caller).await)
    }

    pub(super) fn check_paused(&self, session: &Session) -> Result<(), Failure> {
        let names = session.names();
        let checked = self.parts.desk.pauses.check(self.identity(), &names);
        checked.map_err(|paused| stopped_until(paused, &session.id))
    }

    /// Refuses what an agent does while it is paused or the operator has the keyboard.
    pub(super) fn check_stopped(&self, session: &Session) -> Result<(), Failure> {
        self.check_paused(session)?;
        session.keyboard.check_agent(&session.id)
    }

    /// Stays while the session is paused or the operator has the keyboard, at most until `over`.
    pub(super) async fn goes_on(
        &self,
        session: &Session,
        over: Option<Instant>,
    ) -> Result<(), Failure> {
        loop {
            let changed = self.parts.desk.pauses.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(why) = session.over() {
                return Err(why.about(&session.id));
            }
            let mut changes = session.keyboard.changes();
            let stopped = match self.check_stopped(session) {
                Ok(()) => return Ok(()),
                Err(stopped) => stopped,
            };
            if over.is_some_and(|over| Instant::now() >= over) {
                return Err(stopped);
            }
            // The session's end wakes nobody: look again now and then.
            let next = Instant::now() + LOOK;
            tokio::select! {
                () = changed => {}
                _ = changes.changed() => {}
                () = sleep_until(over.map_or(next, |over| over.min(next))) => {}
            }
        }
    }

    /// Stays while the operator has the keyboard, at most until `over`.
    pub(super) async fn back_to_exec(
        &self,
        session: &Session,
        over: Option<Instant>,
    ) -> Result<(), Failure> {
        let never = Instant::now() + LONGEST;
        tokio::select! {
            biased;
            () = session.keyboard.agents() => Ok(()),
            () = sleep_until(over.unwrap_or(never)) => session.keyboard.check_agent(&session.id),
        }
    }

    pub(super) fn permit_approved(
        &self,
        id: &Id,
        session: &Session,
    ) -> Result<crate::daemon::desk::Permit<action::Exec>, Failure> {
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        let scripts = self.parts.sessions.scripts.of(&session.account());
        self.parts.desk.permit_approved(id, self.identity(), &ground, &scripts)
    }

    /// INT, TERM, QUIT, HUP and KILL end a command, also while it is paused; others are passed on where what an
    /// agent sends is.
    pub(super) async fn signal(
        &self,
        word: &str,
        signal: &str,
    ) -> Result<serde_json::Value, Failure> {
        let name = signal.strip_prefix("SIG").unwrap_or(signal).to_ascii_uppercase();
        if prefix_kind(word) != Some(Kind::Exec) {
            return self.signal_terminal(word, &name).await;
        }
        let (session, exec) = self.parts.sessions.exec(word, Some(self.identity()))?;
        let _turn = session.keyboard.turn(&session.id)?;
        match name.as_str() {
            "INT" | "TERM" | "QUIT" | "HUP" | "KILL" => exec.stop(Stop::Cancelled),
            "EOF" => {
                // The end can always be said.
                let _said = exec.stdin.push(Vec::new());
            }
            "TSTP" | "CONT" | "USR1" | "USR2" => {
                let sent = loop {
                    self.check_stopped(&session)?;
                    // Where the gate shut meanwhile nothing was sent.
                    if let Ok(sent) = session.gate.pass(exec.signal(&name)).await {
                        break sent;
                    }
                };
                if !sent {
                    return Err(Failure::new(
                        Code::ExecUnknown,
                        format!("{} has ended", exec.id),
                        format!("sgw show {}", exec.id),
                    ));
                }
            }
            _ => {
                return Err(Failure::new(
                    Code::UsageArguments,
                    "that is no signal that can be sent",
                    "INT TERM QUIT HUP KILL TSTP CONT USR1 USR2 EOF",
                ));
            }
        }
        value(&exec.state())
    }

    /// What the policy blocks is put on record; what was refused is counted.
    pub(super) async fn refused(
        &self,
        session: &Session,
        refused: NotAsked<action::Exec>,
    ) -> Failure {
        let NotAsked { failure, blocked } = refused;
        let blocked = blocked.map(Action::Exec);
        self.refused_action(session, failure, blocked).await
    }

    /// The same of any action that the guard judges.
    pub(super) async fn refused_action(
        &self,
        session: &Session,
        failure: Failure,
        blocked: Option<Action>,
    ) -> Failure {
        if !matches!(failure.code, Code::GuardBlocked | Code::ApprovalDenied) {
            return failure;
        }
        let (parts, id) = (self.parts.clone(), session.id.clone());
        let (owner, target) = (self.identity().to_string(), session.target());
        let recording = async move {
            let evidence = &parts.evidence;
            let recorded = match blocked {
                Some(Action::Exec(exec)) => {
                    audit::command_blocked(evidence, &owner, &target, &exec).await
                }
                Some(Action::Input(input)) => {
                    audit::input_blocked(evidence, &owner, &target, &input).await
                }
                Some(Action::Forward(forward)) => {
                    audit::forward_blocked(evidence, &owner, &target, &forward).await
                }
                _ => Ok(()),
            };
            parts.refused(&id).await;
            recorded
        };
        match to_its_end(recording).await {
            Ok(()) if failure.id.is_some() => failure,
            Ok(()) => failure.about(&session.id),
            Err(failure) => failure,
        }
    }

    /// A command and its standard input, which is read ahead where it would be run as code.
    async fn read_exec(
        &self,
        number: u32,
        asked: agent::Exec,
        session: &Session,
        control: &Control,
    ) -> Result<(action::Exec, Input), Failure> {
        let unread = self.unread(asked.stdin);
        let (mut exec, own) = self.read_line(asked, session).await?;
        if exec.stdin == Stdin::Empty || !exec.judged.reads_stdin {
            return Ok((exec, unread));
        }
        let goes_anyway = exec.judged.decision == guard::Decision::Allow;
        let input = self.read_ahead(number, session, control, goes_anyway).await?;
        let files = self.parts.sessions.scripts.of(&session.account());
        exec.judged = self.judge(session, exec.in_full().as_slice(), own, &input, files).await?;
        exec.stdin = input.as_action();
        if let Input::Begun { why, .. } = &input
            && exec.judged.decision == guard::Decision::Approve
        {
            return Err(ahead::refused(why).about(&session.id));
        }
        Ok((exec, input))
    }

    fn unread(&self, stdin: bool) -> Input {
        match (&self.way.terminal, stdin) {
            (Some(_), _) => Input::Typed,
            (None, true) => Input::Open,
            (None, false) => Input::Empty,
        }
    }

    /// A command with nothing read of its standard input; and what of it is the agent's own, where the
    /// operator set variables there.
    pub(super) async fn read_line(
        &self,
        asked: agent::Exec,
        session: &Session,
    ) -> Result<(action::Exec, Option<Vec<u8>>), Failure> {
        let files = self.parts.sessions.scripts.of(&session.account());
        self.read_line_among(asked, session, files).await
    }

    /// The same with other files than those that were brought by now.
    pub(super) async fn read_line_among(
        &self,
        asked: agent::Exec,
        session: &Session,
        files: Arc<guard::Files>,
    ) -> Result<(action::Exec, Option<Vec<u8>>), Failure> {
        let line = match &asked.command {
            agent::Command::Line(line) => line.0.clone(),
            agent::Command::Argv(words) => {
                let words: Vec<Vec<u8>> = words.iter().map(|word| word.0.clone()).collect();
                shell::quote_argv(&words).map_err(|error| not_a_command(&error))?
            }
        };
        if line.iter().all(u8::is_ascii_whitespace) {
            return Err(Failure::new(
                Code::UsageCommand,
                "there is no command",
                "sgw exec SESSION -- COMMAND [ARG…]",
            ));
        }
        if asked.reason.as_ref().is_some_and(|reason| reason.len() > super::REASON) {
            return Err(Failure::new(
                Code::LimitReason,
                "the reason is too long",
                "say it in one line",
            ));
        }
        let (id, marker) = self.marked()?;
        let env: Vec<(String, Vec<u8>)> =
            asked.env.into_iter().map(|(name, value)| (name, value.0)).collect();
        let cwd = asked.cwd.map(|cwd| cwd.0);
        let surroundings = &session.surroundings;
        let own = surroundings.own_part(&env, cwd.as_deref(), &line);
        let own = own.map_err(|error| not_a_command(&error))?;
        let wire = surroundings.wire(&marker, env, cwd, &line);
        let wire = wire.map_err(|error| not_a_command(&error))?;
        let full = action::without_prefix(&wire, &marker);
        let input = self.unread(asked.stdin);
        let judged = self.judge(session, full, own.clone(), &input, files).await?;
        let exec = action::Exec {
            id,
            session: session.id.clone(),
            marker,
            line: Bytes(line),
            wire,
            stdin: input.as_action(),
            timeout_ms: asked.timeout_ms,
            reason: asked.reason,
            judged,
            passed_by: Vec::new(),
            served: None,
        };
        Ok((exec, own))
    }

    /// A new command's id, and its marker.
    pub(super) fn marked(&self) -> Result<(Id, String), Failure> {
        let id = self.parts.ids.next(Kind::Exec)?;
        let secret: [u8; 8] = random().map_err(|error| {
            Failure::new(
                Code::DaemonFailed,
                format!("no randomness from the kernel: {error}"),
                "this machine is broken",
            )
        })?;
        let marker = format!("{id}-{}", hex::encode(secret));
        Ok((id, marker))
    }

    /// What the guard says of what a shell on the target would read.
    async fn judge(
        &self,
        session: &Session,
        line: &[u8],
        own: Option<Vec<u8>>,
        input: &Input,
        files: Arc<guard::Files>,
    ) -> Result<Judgement, Failure> {
        let (bytes, target) = (line.to_vec(), session.target());
        let shell = match session.surroundings.shell {
            Some(Shell::Sh | Shell::Bash) => guard::Shell::Posix,
            Some(Shell::Zsh) => guard::Shell::Zsh,
            Some(Shell::Fish) => guard::Shell::Fish,
            Some(Shell::Other) | None => guard::Shell::Unknown,
        };
        let manner = Manner { shell, stdin: input.as_action(), ..Manner::of(&session.grant()) };
        let (stdin, identity) = (input.known(), self.identity());
        let line = Line { bytes, own, target: &target, identity, manner, cwd: None, stdin, files };
        self.parts.desk.guard.judge(line).await
    }
}

/// What a command is fed that was asked about and is now run by whoever waited for it.
pub(super) fn fed(session: &Session, exec: &action::Exec) -> Result<Feed, Failure> {
    match exec.stdin {
        Stdin::Empty => Ok(Feed::empty()),
        Stdin::Open | Stdin::Typed => Ok(Feed::open()),
        Stdin::Whole(_) => session.held(&exec.id).map(Feed::whole).ok_or_else(|| {
            let message = "what it was to be fed is gone, so it was not run";
            Failure::new(Code::RequestClosed, message, "run the command again")
        }),
    }
}

/// `sgw wait` with this id stays until it goes on. Where the operator has to act, that is what to do first.
pub(super) fn stopped_until(stopped: Failure, id: &Id) -> Failure {
    if stopped.code == Code::LimitRefusals {
        return stopped.about(id);
    }
    Failure { hint: format!("sgw wait {id}"), ..stopped.about(id) }
}

/// What holds a command up whose yes is kept: waiting for the yes is waiting for that too.
pub(super) fn still_held(failure: Failure, id: &Id) -> Failure {
    match failure.code {
        Code::ControlPaused
        | Code::LimitRefusals
        | Code::ControlOperator
        | Code::RequestPending => stopped_until(failure, id),
        _ => failure,
    }
}

pub(super) fn not_a_command(error: &shell::ShellError) -> Failure {
    match error {
        shell::ShellError::TooLong(_) => Failure::new(
            Code::LimitCommand,
            error.to_string(),
            "put it into a file on the target, or pass it on standard input: sgw exec -i",
        )
        .sent(false),
        _ => Failure::new(
            Code::UsageCommand,
            error.to_string(),
            "sgw exec SESSION -- COMMAND [ARG…]",
        )
        .sent(false),
    }
}
