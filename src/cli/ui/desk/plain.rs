//! The desk without a screen: a line a request, and a typed line for the answer. For screen readers
//! and terminals that can't be drawn on.

use std::{cell::Cell, io, rc::Rc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{
    Events, broken_off,
    calls::{Answer, Proofs, told},
    guard,
    guard::{Guard, Proof},
    outside,
    signals::{Signalled, Signals},
    state::{Desk, TYPE_IT, is_input},
    stop_here, words,
};
use crate::{
    cli::{
        Context, Outcome, Stop,
        approval::{Answers, Approval, Extent},
        ui::{exit::Exit, prompt},
        values::spoken,
        views,
    },
    client::operator::Proven,
    domain::escape::{exact, visible},
    protocol::{
        error::{Code, Failure},
        operator::{Event, Remember, Request},
        view::{self, RequestStatus},
    },
};

const HELP: &str = "\
look ID          all about a request
all ID           the same with all bytes
yes ID           give it; it is shown, and asked once more. Of a handoff: take the
                 keyboard, and come back here when you leave it
yes ID LINES     of a plan let only these lines pass, like 1,3-5
keep ID          give a command, and let exactly what was asked about pass again until
                 its session ends
no ID [WORD …]   refuse it, with a word to the agent or without
never ID [WORD …]  the same to all that its rule finds there, until its session ends
list             what waits        sessions   what is open
pause [NAME]     stop everyone, an identity or a target
resume           let everything go on
return ID [WORD …]   give the keyboard of a session back to the agent
quit";

const PROMPT: &str = "desk>";

struct Plain<'a> {
    context: &'a Context,
    answers: &'a Answers,
    proven: Rc<Proven>,
    proofs: Option<Proofs>,
    guard: Guard,
    start: Instant,
    waiting: Vec<view::Request>,
    began: Timestamp,
    /// An attached window has the terminal, and stops by itself.
    away: Rc<Cell<bool>>,
}

/// Shows the desk until it is left.
pub async fn run(
    context: &Context,
    proven: Proven,
    answers: &Answers,
    word: String,
    mut signals: Signals,
) -> Outcome {
    let opened = signals.unless_ended(Events::open(&proven)).await.map_err(super::terminal)?;
    let (mut events, has_pin) = match opened {
        Ok(opened) => opened?,
        Err(exit) => return Ok(exit),
    };
    let proven = Rc::new(proven);
    let mut plain = Plain {
        context,
        answers,
        proofs: Some(Proofs::new(proven.clone())),
        proven,
        guard: guard(has_pin),
        start: Instant::now(),
        waiting: Vec::new(),
        began: Timestamp::now(),
        away: Rc::default(),
    };
    if !word.is_empty() {
        context.ui.say(&word);
    }
    context.ui.say("desk: requests come as lines; `help` tells what to type");
    loop {
        let line = {
            let line = prompt::line(PROMPT, true);
            tokio::pin!(line);
            loop {
                tokio::select! {
                    biased;
                    signal = signals.next() => match signal {
                        Signalled::Interrupt => return Ok(Exit::INTERRUPTED),
                        Signalled::End(exit) => return Ok(exit),
                        Signalled::Suspend => stop_here()?,
                        Signalled::GoOn => {}
                    },
                    // Stands first: what comes is told below the prompt, and the prompt again.
                    line = &mut line => break line,
                    event = events.next() => plain.event(event?),
                }
            }
        };
        let line = match line {
            Ok(line) => line.expose().trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Exit::DONE),
            Err(error) => return Err(super::terminal(error)),
        };
        let away = plain.away.clone();
        let answered = {
            let answer = plain.answer(&line);
            tokio::pin!(answer);
            loop {
                tokio::select! {
                    biased;
                    signal = signals.next() => match signal {
                        Signalled::Interrupt => break Err(Stop::Exit(Exit::INTERRUPTED)),
                        Signalled::End(exit) => return Ok(exit),
                        Signalled::Suspend if !away.get() => stop_here()?,
                        Signalled::Suspend | Signalled::GoOn => {}
                    },
                    answered = &mut answer => break answered,
                }
            }
        };
        match answered {
            Ok(true) => {}
            Ok(false) => return Ok(Exit::DONE),
            Err(Stop::Exit(_)) => context.ui.say("nothing was decided"),
            Err(Stop::Failure(failure)) if failure.code == Code::DaemonUnreachable => {
                return Err(failure.into());
            }
            Err(Stop::Failure(failure)) => context.ui.say(&words::plain(&failure)),
        }
    }
}

impl Plain<'_> {
    fn since(&self) -> Duration {
        self.start.elapsed()
    }

    fn event(&mut self, event: Event) {
        let ui = self.context.ui;
        let Event::Request { request, by } = event else { return };
        let known = self.waiting.iter().position(|one| one.id == request.id);
        match (request.status == RequestStatus::Pending, known) {
            (true, None) => {
                if request.created_at >= self.began {
                    ui.bell();
                }
                self.told(&line(&request));
                self.waiting.push(request);
            }
            (false, Some(at)) => {
                self.waiting.remove(at);
                self.told(&words::over(&request, by.as_deref()));
            }
            _ => {}
        }
    }

    /// Below the prompt that stands there, and the prompt once more.
    fn told(&self, line: &str) {
        self.context.ui.say(&format!("\n{line}"));
        prompt(PROMPT);
    }

    /// False: no more.
    async fn answer(&mut self, typed: &str) -> Result<bool, Stop> {
        let now = self.since();
        self.guard.used(now);
        let (verb, rest) = typed.split_once(' ').unwrap_or((typed, ""));
        let (id, word) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        let ui = self.context.ui;
        match verb {
            "" => {}
            "help" | "?" => ui.say(HELP),
            "quit" | "q" => return Ok(false),
            "list" if self.waiting.is_empty() => ui.say("nothing waits"),
            "list" => self.waiting.iter().for_each(|request| ui.say(&line(request))),
            "sessions" => {
                let sessions: view::Sessions = self.call(&Request::Sessions {}).await?;
                ui.say(&views::sessions(&sessions.sessions, true));
            }
            "look" => ui.say(&self.look(id).await?.text()),
            "all" => {
                for row in self.look(id).await?.rows(Extent::Whole) {
                    ui.say(&format!("  {:<8} {}", row.name, row.text));
                }
            }
            "yes" => self.yes(id, None, word.trim()).await?,
            "keep" => self.yes(id, Some(Remember::Session { times: None }), "").await?,
            "no" | "never" => {
                let message = (!word.trim().is_empty()).then(|| word.trim().to_owned());
                let deny = Request::Deny { id: whole(id)?, message, rule: verb == "never" };
                let decided: view::Decided = self.call(&deny).await?;
                self.forget(&decided);
            }
            "pause" => {
                let what = (!rest.trim().is_empty()).then(|| rest.trim().to_owned());
                let _: serde_json::Value = self.call(&Request::Pause { what }).await?;
                ui.say("paused");
            }
            "resume" => {
                self.prove().await?;
                let _: serde_json::Value =
                    self.call(&Request::Resume { what: None, rule: None }).await?;
                ui.say("everything goes on");
            }
            "return" => {
                self.prove().await?;
                let message = (!word.trim().is_empty()).then(|| word.trim().to_owned());
                let give_back = Request::Return { session: id.to_owned(), message };
                let returned: view::Returned = self.call(&give_back).await?;
                ui.say(&views::given_back(&returned));
            }
            _ => ui.say("not a word of the desk: `help` tells what to type"),
        }
        Ok(true)
    }

    async fn call<T: serde::de::DeserializeOwned>(&self, request: &Request) -> Result<T, Stop> {
        Ok(self.proven.connect().await?.call(request).await?)
    }

    async fn look(&self, id: &str) -> Result<Approval<'_>, Stop> {
        let question = self.call(&Request::Question { id: id.to_owned() }).await?;
        Approval::of(self.context, &self.proven, question, self.answers).await
    }

    /// Shows it, asks once more, and gives it; of a plan only `lines`, where some are named.
    async fn yes(&mut self, id: &str, remember: Option<Remember>, lines: &str) -> Result<(), Stop> {
        let id = whole(id)?;
        let request = self.waiting.iter().find(|one| one.id == id);
        let handed = request.filter(|one| one.kind == view::Kind::Handoff);
        let session = handed.and_then(|one| one.session.clone());
        let Some((_, what)) = request.map(|one| one.kind).and_then(Desk::yes_key) else {
            let message = format!("{} does not wait", exact(id.as_bytes(), 40));
            return Err(Failure::new(Code::RequestUnknown, message, "list").into());
        };
        self.prove().await?;
        if let Some(session) = session {
            self.away.set(true);
            let told = outside::attach(self.proven.clone(), session).await;
            self.away.set(false);
            self.context.ui.say(&told);
            return Ok(());
        }
        let (context, answers) = (self.context, self.answers);
        let mut connection = self.proven.connect().await?.read_ahead();
        let proven = &self.proven;
        let mut approval = Approval::look(context, proven, &mut connection, &id, answers).await?;
        if let Some(remember) = remember {
            approval.remember(remember)?;
        }
        if !lines.is_empty() {
            approval.choose(lines)?;
            context.ui.say(&approval.text());
        }
        let what = if is_input(&approval.rows(Extent::Usual)) { TYPE_IT } else { what };
        let question = format!("Type yes to {what}:");
        let typed = prompt::line(&question, true).await.map_err(super::terminal)?;
        if typed.expose().trim() != "yes" {
            return Err(broken_off(&id).into());
        }
        let decided = approval.give(&mut connection).await?;
        self.forget(&decided);
        Ok(())
    }

    /// What was decided here is told once, not again when its event comes.
    fn forget(&mut self, decided: &view::Decided) {
        self.waiting.retain(|one| one.id != decided.id);
        self.context.ui.say(&views::decided(decided));
    }

    /// Asks who is there, where somebody else could type.
    async fn prove(&mut self) -> Result<(), Stop> {
        while self.guard.asks(self.since()) {
            let proof = self.guard.proof();
            let what = match proof {
                Proof::Pin => "Your PIN",
                Proof::Passphrase => "Your passphrase",
            };
            let typed = prompt::password(what).await?;
            if typed.expose().is_empty() {
                return Err(Stop::Exit(Exit::INTERRUPTED));
            }
            let Some(proofs) = self.proofs.take() else {
                return Err(Stop::Exit(Exit::INTERRUPTED));
            };
            let typed = Zeroizing::new(typed.expose().clone());
            let Answer::Proved(checked, proofs) = proofs.check(self.context, proof, typed).await
            else {
                return Err(Stop::Exit(Exit::INTERRUPTED));
            };
            self.proven = proofs.proven.clone();
            self.proofs = Some(proofs);
            match checked {
                Ok(_) => {
                    let now = self.since();
                    self.guard.proved(now);
                    return Ok(());
                }
                Err(failure) => {
                    self.guard.wrong();
                    self.context.ui.say(&words::failure(&told(failure.into())));
                }
            }
        }
        Ok(())
    }
}

/// A decision takes a whole id.
fn whole(word: &str) -> Result<String, Failure> {
    word.parse::<crate::domain::id::Id>().map(|id| id.to_string()).map_err(|_| {
        Failure::new(Code::UsageId, "a decision takes the whole id of a request", "list")
    })
}

fn line(request: &view::Request) -> String {
    let what = match (&request.command, &request.reason) {
        (Some(command), _) => exact(command.as_slice(), 200),
        (None, Some(reason)) => match request.line_count {
            Some(lines) => format!("{lines} lines \"{}\"", visible(reason, 200)),
            None => format!("\"{}\"", visible(reason, 200)),
        },
        (None, None) => String::new(),
    };
    let age = Timestamp::now().as_second() - request.created_at.as_second();
    format!(
        "{} {} by {} on {}, {} ago: {what}",
        exact(request.id.as_bytes(), 20),
        views::kind(request.kind),
        exact(request.identity.as_bytes(), 60),
        exact(request.target.as_bytes(), 60),
        spoken(age.max(0).unsigned_abs()),
    )
}
