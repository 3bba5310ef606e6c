//! The desk on a full screen: one loop over the daemon's events, keys, answers, signals and time.
//! What they mean is the state's business, which is pure; what is done about it, here.

mod calls;
mod detail;
mod fold;
pub mod guard;
mod keys;
mod outside;
pub mod plain;
#[cfg(test)]
mod samples;
mod screen;
pub mod signals;
mod state;
mod view;
mod words;

use std::{rc::Rc, time::Duration};

use futures::{FutureExt, StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior};

use self::{
    calls::{Answer, Proofs, look},
    guard::Guard,
    screen::{Heard, Screen},
    signals::{Signalled, Signals},
    state::{Desk, Effect, Now, Shown},
};
use crate::{
    cli::{
        Context, Outcome, Stop,
        approval::{Answers, Approval, Extent},
        ui::exit::Exit,
        views,
    },
    client::{Connection, Error, operator::Proven},
    domain::escape::{exact, visible},
    protocol::{
        agent::Message,
        error::{Code, Failure},
        frame::Frame,
        operator::{Event, Remember, Request},
        view::{Decided, Settings},
    },
};

/// Ages are counted in seconds.
const TICK: Duration = Duration::from_secs(1);

/// The desk and everything around it.
struct Driver<'a> {
    context: &'a Context,
    answers: &'a Answers,
    proofs: Option<Proofs>,
    proven: Rc<Proven>,
    events: Events,
    desk: Desk,
    screen: Screen,
    signals: Signals,
    calls: FuturesUnordered<LocalBoxFuture<'a, Answer<'a>>>,
    /// What the marked request's yes is made of.
    approval: Option<(String, Box<Approval<'a>>)>,
    /// The connection that has claimed a request.
    decision: Option<Connection>,
    clock: Clock,
}

#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> Now {
        Now { since: self.0.elapsed(), at: Timestamp::now() }
    }
}

/// The daemon's events, on a connection of their own.
struct Events {
    connection: Connection,
    number: u32,
}

impl Events {
    /// Subscribes, and says whether a PIN is set.
    async fn open(proven: &Proven) -> Result<(Self, bool), Error> {
        let mut connection = proven.connect().await?.read_ahead();
        let settings: Settings = connection.call(&Request::Settings {}).await?;
        let pin = settings.settings.iter().find(|setting| setting.name == "pin");
        let has_pin = pin.is_some_and(|setting| setting.value != setting.default);
        let number = connection.begin(&Request::Subscribe {}).await?;
        Ok((Self { connection, number }, has_pin))
    }

    /// The next one. Cancel-safe.
    async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            let frame = self.connection.read().await.map_err(|_| gone())?;
            if let Some(event) = self.event(&frame)? {
                return Ok(event);
            }
        }
    }

    fn event(&self, frame: &Frame) -> Result<Option<Event>, Failure> {
        if let Ok(event) = serde_json::from_slice(&frame.body) {
            return Ok((frame.request == self.number).then_some(event));
        }
        match crate::client::connection::message(frame) {
            Ok(Message::Error(failure)) if failure.code == Code::DaemonLost => Err(gone()),
            Ok(Message::Error(failure)) => Err(failure),
            Ok(Message::Done { .. }) => Err(gone()),
            Ok(_) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn gone() -> Failure {
    Failure::new(Code::DaemonUnreachable, words::GONE, "sgw desk starts it again")
}

/// What this terminal is shared with, and whether there is a PIN for it.
fn guard(has_pin: bool) -> Guard {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    Guard::new(guard::shared(is_set), has_pin)
}

/// Shows the desk until it is left. `word` is what there is to tell at the beginning.
pub async fn run(
    context: &Context,
    proven: Proven,
    answers: &Answers,
    word: String,
    mut signals: Signals,
) -> Outcome {
    let (events, has_pin) =
        match signals.unless_ended(Events::open(&proven)).await.map_err(terminal)? {
            Ok(opened) => opened?,
            Err(exit) => return Ok(exit),
        };
    let screen = Screen::take().map_err(terminal)?;
    let clock = Clock(Instant::now());
    let size = screen::size().map_err(terminal)?;
    let mut desk = Desk::new(clock.now(), size, guard(has_pin));
    desk.word = word;
    let proven = Rc::new(proven);
    let mut driver = Driver {
        context,
        answers,
        proofs: Some(Proofs::new(proven.clone())),
        proven,
        events,
        desk,
        screen,
        signals,
        calls: FuturesUnordered::new(),
        approval: None,
        decision: None,
        clock,
    };
    driver.drive().await
}

fn terminal(error: std::io::Error) -> Stop {
    let message = format!("the terminal can't be drawn on: {error}");
    Failure::new(Code::OperatorProof, message, "sgw desk --plain").into()
}

impl<'a> Driver<'a> {
    async fn drive(&mut self) -> Outcome {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.screen.draw(&mut self.desk, self.clock.now()).map_err(terminal)?;
            let effects = tokio::select! {
                biased;
                signal = self.signals.next() => match signal {
                    Signalled::Interrupt => return Ok(Exit::INTERRUPTED),
                    Signalled::End(exit) => return Ok(exit),
                    Signalled::Suspend => vec![Effect::Suspend],
                    Signalled::GoOn => {
                        self.screen.again().map_err(terminal)?;
                        Vec::new()
                    }
                },
                event = self.events.next() => self.desk.event(event?, self.clock.now()),
                Some(answer) = self.calls.next() => self.answered(answer),
                heard = self.screen.heard() => match heard.map_err(terminal)? {
                    Heard::Keys(keys) => self.desk.typed(keys, self.clock.now()),
                    Heard::Resized => Vec::new(),
                },
                _ = tick.tick() => self.desk.tick(self.clock.now()),
            };
            if let Some(exit) = self.perform(effects).await? {
                return Ok(exit);
            }
        }
    }

    /// Does what the state wants; an exit where that is to leave.
    async fn perform(&mut self, effects: Vec<Effect>) -> Result<Option<Exit>, Stop> {
        let mut all = std::collections::VecDeque::from(effects);
        while let Some(effect) = all.pop_front() {
            let more = match effect {
                Effect::Quit => return Ok(Some(Exit::DONE)),
                Effect::Suspend => {
                    self.screen.suspend().map_err(terminal)?;
                    self.desk.returned(self.clock.now());
                    Vec::new()
                }
                Effect::Redraw => {
                    self.screen.redraw().map_err(terminal)?;
                    Vec::new()
                }
                Effect::Give(id) => match self.give(id).await? {
                    Ok(effects) => effects,
                    Err(exit) => return Ok(Some(exit)),
                },
                Effect::Attach(session) => {
                    let work = outside::attach(self.proven.clone(), session);
                    match self.outside(work, Stops::ByItself, None).await? {
                        Ok(told) => self.come_back(told.done()),
                        Err(exit) => return Ok(Some(exit)),
                    }
                }
                Effect::Watch(session) => {
                    let work = outside::watch(self.proven.clone(), session);
                    match self.outside(work, Stops::ByItself, None).await? {
                        Ok(told) => self.come_back(told.done()),
                        Err(exit) => return Ok(Some(exit)),
                    }
                }
                other => {
                    self.begin(other);
                    Vec::new()
                }
            };
            all.extend(more);
        }
        Ok(None)
    }

    /// What goes on beside the drawing.
    fn begin(&mut self, effect: Effect) {
        let proven = self.proven.clone();
        let call = match effect {
            Effect::Look(id) => look(self.context, self.answers, proven, id).boxed_local(),
            Effect::Claim(id) => calls::claim(proven, id).boxed_local(),
            Effect::Run(id) => match (self.decision.take(), self.approval_of(&id)) {
                (Some(on), Some(approval)) => calls::run(on, approval, id).boxed_local(),
                _ => not_shown(id).boxed_local(),
            },
            Effect::Keep(id) => match (self.decision.take(), self.approval_of(&id)) {
                (Some(on), Some(mut approval)) => {
                    match approval.remember(Remember::Session { times: None }) {
                        Ok(()) => calls::run(on, approval, id).boxed_local(),
                        Err(why) => calls::refused(id, why).boxed_local(),
                    }
                }
                _ => not_shown(id).boxed_local(),
            },
            Effect::Lines(id, named) => match (self.decision.take(), self.approval_of(&id)) {
                (Some(on), Some(mut approval)) => match approval.choose(&named) {
                    Ok(()) => calls::run(on, approval, id).boxed_local(),
                    Err(why) => calls::refused(id, why).boxed_local(),
                },
                _ => not_shown(id).boxed_local(),
            },
            Effect::Deny(id, word) => match self.decision.take() {
                Some(on) => calls::deny(on, id, word, false).boxed_local(),
                None => not_shown(id).boxed_local(),
            },
            Effect::DenyRule(id, word) => match self.decision.take() {
                Some(on) => calls::deny(on, id, word, true).boxed_local(),
                None => not_shown(id).boxed_local(),
            },
            Effect::Check(proof, typed) => match self.proofs.take() {
                Some(proofs) => proofs.check(self.context, proof, typed).boxed_local(),
                None => return,
            },
            Effect::Pause(what) => {
                let told = match &what {
                    Some(what) => format!("{} is paused", visible(what, 60)),
                    None => "everyone is paused".to_owned(),
                };
                calls::tell(proven, Request::Pause { what }, told).boxed_local()
            }
            Effect::Resume => {
                let told = "resumed: everything goes on".to_owned();
                calls::tell(proven, Request::Resume { what: None, rule: None }, told).boxed_local()
            }
            Effect::Return(session, message) => {
                let told = format!("{} is the agent's again", exact(session.as_bytes(), 20));
                calls::tell(proven, Request::Return { session, message }, told).boxed_local()
            }
            Effect::Release => return self.decision = None,
            Effect::Bell => return self.screen.bell(),
            _ => return,
        };
        self.calls.push(call);
    }

    fn approval_of(&mut self, id: &str) -> Option<Box<Approval<'a>>> {
        self.approval.take_if(|(of, _)| of == id).map(|(_, approval)| approval)
    }

    fn answered(&mut self, answer: Answer<'a>) -> Vec<Effect> {
        let now = self.clock.now();
        match answer {
            Answer::Looked { id, approval } => {
                if self.desk.mark.as_ref() == Some(&id) {
                    self.looked(id, approval);
                }
                Vec::new()
            }
            Answer::Claimed { id, connection } => {
                let (connection, refused) = match connection {
                    Ok(connection) => (Some(connection), None),
                    Err(failure) => (None, Some(words::failure(&failure))),
                };
                self.decision = connection;
                self.desk.claimed(&id, refused, now)
            }
            Answer::Decided { id, decided } => self.decided(&id, decided),
            Answer::Proved(checked, proofs) => {
                self.proven = proofs.proven.clone();
                self.proofs = Some(proofs);
                let wrong = checked.err().map(|failure| words::failure(&failure));
                self.desk.proved(wrong, now)
            }
            Answer::Told(word) => {
                self.desk.word = word;
                Vec::new()
            }
        }
    }

    fn looked(&mut self, id: String, approval: Result<Box<Approval<'a>>, Failure>) {
        let shown = match &approval {
            Ok(approval) => Shown {
                id: id.clone(),
                rows: approval.rows(Extent::Usual),
                whole: approval.rows(Extent::Whole),
                read: false,
                failed: None,
            },
            Err(failure) => Shown {
                id: id.clone(),
                rows: Vec::new(),
                whole: Vec::new(),
                read: false,
                failed: Some(words::failure(failure)),
            },
        };
        self.approval = approval.ok().map(|approval| (id, approval));
        self.desk.looked(shown);
    }

    fn decided(&mut self, id: &str, decided: Result<Decided, Failure>) -> Vec<Effect> {
        let (told, is_over) = match decided {
            Ok(decided) => (views::decided(&decided), true),
            Err(failure) => (words::failure(&failure), false),
        };
        self.desk.decided(id, told, is_over, self.clock.now())
    }

    /// Leaves the screen to give access, and comes back.
    async fn give(&mut self, id: String) -> Result<Result<Vec<Effect>, Exit>, Stop> {
        let (Some(on), Some(approval)) = (self.decision.take(), self.approval_of(&id)) else {
            self.calls.push(not_shown(id).boxed_local());
            return Ok(Ok(Vec::new()));
        };
        let work = outside::give(self.context, approval, on);
        Ok(match self.outside(work, Stops::Here, Some(&id)).await? {
            Ok(Came::Done(decided)) => Ok(self.decided(&id, decided)),
            Ok(Came::BrokenOff) => Ok(self.decided(&id, Err(broken_off(&id)))),
            Ok(Came::Over { word, mut effects }) => {
                effects.extend(self.desk.decided(&id, word, true, self.clock.now()));
                Ok(effects)
            }
            Err(exit) => Err(exit),
        })
    }

    /// Does something with the terminal as it was: until it is done, Ctrl-C breaks it off, or the
    /// request that it is about waits no longer.
    async fn outside<T>(
        &mut self,
        work: impl Future<Output = T>,
        stops: Stops,
        about: Option<&str>,
    ) -> Result<Result<Came<T>, Exit>, Stop> {
        self.screen.leave();
        let came = {
            tokio::pin!(work);
            let mut effects = Vec::new();
            loop {
                tokio::select! {
                    biased;
                    signal = self.signals.next() => match signal {
                        Signalled::Interrupt => break Came::BrokenOff,
                        Signalled::End(exit) => return Ok(Err(exit)),
                        Signalled::Suspend if stops == Stops::Here => stop_here()?,
                        Signalled::Suspend | Signalled::GoOn => {}
                    },
                    done = &mut work => break Came::Done(done),
                    event = self.events.next(), if about.is_some() => {
                        let event = event?;
                        let word = about.and_then(|id| words::ends(&event, id));
                        effects.extend(self.desk.event(event, self.clock.now()));
                        if effects.contains(&Effect::Bell) {
                            effects.retain(|effect| *effect != Effect::Bell);
                            self.screen.bell();
                        }
                        if let Some(word) = word {
                            break Came::Over { word, effects };
                        }
                    }
                }
            }
        };
        self.screen.again().map_err(terminal)?;
        self.desk.returned(self.clock.now());
        Ok(Ok(came))
    }

    fn come_back(&mut self, told: Option<String>) -> Vec<Effect> {
        self.desk.word = told.unwrap_or_default();
        Vec::new()
    }
}

/// What something that was done outside of the screen came to.
enum Came<T> {
    Done(T),
    /// By Ctrl-C.
    BrokenOff,
    /// The request that it was about waits no longer.
    Over {
        word: String,
        effects: Vec<Effect>,
    },
}

impl<T> Came<T> {
    fn done(self) -> Option<T> {
        match self {
            Came::Done(done) => Some(done),
            Came::BrokenOff | Came::Over { .. } => None,
        }
    }
}

/// Who stops this process at Ctrl-Z while the desk's screen is left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stops {
    Here,
    /// What was begun holds the terminal, and puts it back first.
    ByItself,
}

fn stop_here() -> Result<(), Stop> {
    use rustix::process::{Signal, getpid, kill_process};
    kill_process(getpid(), Signal::STOP).map_err(|error| terminal(error.into()))
}

async fn not_shown<'a>(id: String) -> Answer<'a> {
    let failure = Failure::new(Code::RequestChanged, words::NOT_SHOWN, "sgw requests");
    Answer::Decided { id, decided: Err(failure) }
}

fn broken_off(id: &str) -> Failure {
    let message = format!("broken off: {id} still waits");
    Failure::new(Code::OperatorProof, message, "sgw requests")
}
