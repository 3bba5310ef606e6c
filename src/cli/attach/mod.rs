//! The operator at a session's terminal: keys go to the server, the daemon's model of its screen is
//! drawn, and the last line is sgw's own.

mod over;
mod question;
mod reveal;
pub mod shown;
mod told;

use std::{cell::Cell, collections::HashMap, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use self::{
    question::{About, Commands, Question, Wish},
    reveal::Reveal,
    shown::Status,
    told::{Notice, Told},
};
use super::{
    Stop,
    ui::{
        exit::Exit,
        terminal::{
            Size, Tty,
            canvas::Picture,
            escape::{Command, Detector, Escape},
            keys::Keys,
            model::Model,
            window::{Input, Window},
        },
    },
};
use crate::{
    client::{
        Connection, Error,
        live::{Arrival, Live},
    },
    protocol::{
        error::{Code, Failure},
        operator::{Event, Request},
        view,
    },
};

/// How long the daemon may take to say its last word.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long a return may take: the daemon looks at what has changed.
const RETURN: Duration = Duration::from_secs(30);
/// Sessions whose commands are listed.
const LOOKED_AT: usize = 8;

/// How to attach.
#[derive(Clone, Copy, Debug)]
pub struct How {
    pub fresh: bool,
    pub private: Option<bool>,
    /// Also from another terminal of the operator's.
    pub take: bool,
    pub escape: Escape,
}

/// How an attachment ended.
#[derive(Debug, Default)]
pub struct End {
    pub attached: Option<view::Attached>,
    pub returned: Option<view::Returned>,
    /// The operator closed the session.
    pub closed: bool,
    /// The window is gone: nobody is there to be told anything.
    pub window_gone: bool,
}

/// Attaches and stays until the operator leaves, the session's terminal ends, or the window is gone.
/// The terminal is as it was before when this returns, or is dropped; `taken` then says whether the
/// keyboard was taken.
pub async fn run(
    connection: Connection,
    tty: Tty,
    session: &view::Session,
    how: How,
    taken: &Cell<bool>,
) -> Result<End, Stop> {
    let Size { rows, columns } = tty.size().above_the_status_line();
    let How { fresh, private, take, escape } = how;
    let session_id = session.id.clone();
    let request = Request::Attach { session: session_id, fresh, rows, columns, private, take };
    let mut live = Live::start(connection, &request).await?;
    // What is refused is told without a screen that comes and goes.
    let first = live.next().await?;
    let window = Window::open(tty).map_err(Error::local("take the terminal"))?;
    let mut attached = Attached {
        live,
        window,
        session,
        model: None,
        announced: None,
        told: Size { rows, columns },
        status: Status::of(session),
        notice: Notice::default(),
        reveal: Reveal::default(),
        escape,
        detector: Detector::new(escape),
        keys: Keys::default(),
        question: None,
        asked: HashMap::new(),
        leave_by: None,
        typed_at: None,
        end: End::default(),
    };
    if attached.status.asked().is_some() {
        attached.tell(Told::Asked);
    } else if escape.is_off() {
        attached.tell(Told::NoEscape);
    }
    let outcome = match attached.arrived(first) {
        Ok(()) => {
            taken.set(true);
            attached.stay().await
        }
        refused => refused,
    };
    if let Some(why) = attached.unasked(&outcome) {
        over::swallow(&mut attached, &why).await;
    }
    outcome.map(|()| attached.end)
}

/// What was asked beside the stream.
enum Asked {
    Private,
    Sessions,
    History,
    EndCommand(String),
    Close,
    Return,
}

struct Attached<'s> {
    live: Live,
    window: Window,
    session: &'s view::Session,
    model: Option<Model>,
    /// A screen of which nothing has come yet: what stood there before is shown until then.
    announced: Option<Model>,
    /// The size that the daemon knows of.
    told: Size,
    status: Status,
    notice: Notice,
    reveal: Reveal,
    escape: Escape,
    detector: Detector,
    keys: Keys,
    question: Option<Question>,
    asked: HashMap<u32, Asked>,
    /// The operator leaves: keys count no more, and this is how long the daemon's word is waited for.
    leave_by: Option<Instant>,
    /// The last key.
    typed_at: Option<Instant>,
    end: End,
}

impl Attached<'_> {
    async fn stay(&mut self) -> Result<(), Stop> {
        while !self.is_over() {
            let (room, leave_by) = (self.live.has_room(), self.leave_by);
            tokio::select! {
                biased;
                input = self.window.next(room) => match input {
                    Input::Keys(keys) => self.typed(&keys)?,
                    Input::Draw => self.draw(),
                    Input::Resized => self.resized()?,
                    // 128 + SIGQUIT.
                    Input::Quit => return Err(Stop::Exit(Exit(131))),
                    Input::Gone => self.end.window_gone = true,
                },
                arrival = self.live.next() => match arrival {
                    Ok(arrival) => self.arrived(arrival)?,
                    // Said already what was wanted.
                    Err(_) if self.end.closed || self.end.returned.is_some() => return Ok(()),
                    Err(error) => return Err(error.into()),
                },
                () = sleep_until(leave_by.unwrap_or_else(Instant::now)), if leave_by.is_some() => {}
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        let awaited =
            self.asked.values().any(|asked| matches!(asked, Asked::Return | Asked::Close));
        self.end.window_gone
            || (self.end.attached.is_some() && !awaited)
            || self.leave_by.is_some_and(|by| by <= Instant::now())
    }

    /// Why it is over, where the operator neither asked for it nor is gone.
    fn unasked(&self, outcome: &Result<(), Stop>) -> Option<String> {
        if self.leave_by.is_some() || self.end.window_gone {
            return None;
        }
        Some(match outcome {
            Err(Stop::Failure(failure)) => crate::domain::escape::visible(&failure.message, 200),
            Err(Stop::Exit(_)) => return None,
            Ok(()) => match &self.end.attached {
                Some(attached) if attached.control == view::Control::Agent => {
                    "the agent has the keyboard"
                }
                Some(attached) if attached.ended => "the session's terminal has ended",
                _ => "the daemon has ended it",
            }
            .to_owned(),
        })
    }

    fn resized(&mut self) -> Result<(), Error> {
        let size = self.window.size().above_the_status_line();
        if self.told != size {
            self.told = size;
            self.live.ask(&Request::Resize { rows: size.rows, columns: size.columns })?;
        }
        Ok(())
    }

    fn typed(&mut self, keys: &[u8]) -> Result<(), Error> {
        let now = Instant::now();
        self.typed_at = Some(now);
        if self.leave_by.is_some() {
            return Ok(());
        }
        if self.notice.pressed(now) {
            self.window.changed();
        }
        if self.status.note.take().is_some() {
            self.window.changed();
        }
        if let Some(question) = &mut self.question {
            self.window.changed();
            let mut keys = self.keys.read(keys).into_iter();
            return match keys.find_map(|key| question.take(key)) {
                Some(wish) => self.wishes(wish),
                None => Ok(()),
            };
        }
        let waited = self.detector.waits();
        let (on, command) = self.detector.read(keys);
        if waited != self.detector.waits() {
            self.window.changed();
        }
        if !on.is_empty() {
            self.reveal.end();
            self.live.keys(&on)?;
        }
        command.map_or(Ok(()), |command| self.commands(command))
    }

    fn commands(&mut self, command: Command) -> Result<(), Error> {
        self.window.changed();
        self.keys = Keys::default();
        match command {
            Command::Leave => self.question = Some(Question::Leave),
            Command::Help => self.question = Some(Question::Help),
            Command::Stop => {
                self.window.stop();
                self.resized()?;
            }
            Command::Private => {
                let on = !self.status.private;
                self.ask(&Request::Private { on }, Asked::Private)?;
            }
            Command::Commands => {
                self.question = Some(Question::Commands(Commands::awaiting(1)));
                self.ask(&Request::Sessions {}, Asked::Sessions)?;
            }
        }
        Ok(())
    }

    fn wishes(&mut self, wish: Wish) -> Result<(), Error> {
        self.question = None;
        let session = self.session.id.clone();
        let leave = match wish {
            Wish::Stay => return Ok(()),
            Wish::End(id) => {
                return self.ask(&Request::Close { id: id.clone() }, Asked::EndCommand(id));
            }
            Wish::Keep => {
                self.live.cancel()?;
                FAREWELL
            }
            Wish::CloseSession => {
                self.ask(&Request::Close { id: session }, Asked::Close)?;
                RETURN
            }
            Wish::HandBack { word } => {
                self.status.note = Some("handing the keyboard back …".to_owned());
                self.ask(&Request::Return { session, message: word }, Asked::Return)?;
                RETURN
            }
        };
        self.leave_by = Some(Instant::now() + leave);
        Ok(())
    }

    fn ask(&mut self, request: &Request, asked: Asked) -> Result<(), Error> {
        let number = self.live.ask(request)?;
        self.asked.insert(number, asked);
        Ok(())
    }

    fn arrived(&mut self, arrival: Arrival) -> Result<(), Stop> {
        match arrival {
            Arrival::Drawn(bytes) => {
                if self.announced.is_some() {
                    self.reveal.end();
                }
                self.model = self.announced.take().or(self.model.take());
                if let Some(model) = &mut self.model {
                    self.reveal.draw(model, &bytes);
                    self.window.changed();
                }
            }
            Arrival::Event(event) => self.event(*event),
            Arrival::Note(text) => self.note(&text),
            Arrival::Answer { number, answer } => {
                if let Some(asked) = self.asked.remove(&number) {
                    self.answered(asked, answer)?;
                }
            }
            Arrival::Ended(Ok(value)) => {
                self.end.attached = Some(serde_json::from_value(value).map_err(Error::from)?);
            }
            Arrival::Ended(Err(failure)) => return Err(ended(failure).into()),
        }
        Ok(())
    }

    fn tell(&mut self, told: Told) {
        self.notice.tell(told, Instant::now());
        self.window.changed();
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Screen { session, rows, columns, title: _ } if session == self.session.id => {
                self.announced = Some(Model::new(rows, columns));
            }
            Event::Control { session, control, private, message } if session == self.session.id => {
                if self.status.private && !private {
                    self.reveal.begin();
                    self.tell(Told::Shared);
                }
                if let Some(told) = self.status.take(control, private, message.as_deref()) {
                    self.tell(told);
                }
                self.window.changed();
            }
            _ => {}
        }
    }

    fn answered(&mut self, asked: Asked, answer: Result<Value, Failure>) -> Result<(), Error> {
        self.window.changed();
        let value = match answer {
            Ok(value) => value,
            Err(failure) => {
                if matches!(asked, Asked::Return | Asked::Close) {
                    self.leave_by = None;
                }
                self.note(&failure.message);
                return Ok(());
            }
        };
        match asked {
            Asked::Private => {}
            Asked::EndCommand(id) => self.note(&format!("{id} is ended")),
            Asked::Sessions => {
                let all: view::Sessions = serde_json::from_value(value)?;
                self.look_into(&all)?;
            }
            Asked::History => {
                let history: view::History = serde_json::from_value(value)?;
                if let Some(Question::Commands(commands)) = &mut self.question {
                    commands.awaited = commands.awaited.saturating_sub(1);
                    commands.add(history.commands());
                }
            }
            Asked::Close => {
                self.end.closed = true;
                self.leave_by = Some(Instant::now() + FAREWELL);
            }
            Asked::Return => {
                self.end.returned = Some(serde_json::from_value(value)?);
                self.leave_by = Some(Instant::now() + FAREWELL);
            }
        }
        Ok(())
    }

    /// What runs in the sessions that this keyboard stands for: a machine may have many names, so they
    /// are those of the account that the agent can't use now.
    fn look_into(&mut self, all: &view::Sessions) -> Result<(), Error> {
        let ours = |other: &&view::Session| {
            other.identity == self.session.identity
                && other.user == self.session.user
                && other.control == view::Control::Operator
                && !other.running.is_empty()
        };
        let ids: Vec<_> =
            all.sessions.iter().filter(ours).take(LOOKED_AT).map(|s| s.id.clone()).collect();
        if let Some(Question::Commands(commands)) = &mut self.question {
            commands.awaited = ids.len();
        }
        for session in ids {
            self.ask(&Request::History { session }, Asked::History)?;
        }
        Ok(())
    }

    fn note(&mut self, text: &str) {
        self.status.note = Some(crate::domain::escape::visible(text, 200));
        self.window.changed();
    }

    fn draw(&mut self) {
        let Size { rows, columns } = self.window.size();
        let (rows, columns) = (usize::from(rows), usize::from(columns));
        let (session, escape) = (self.session.id.as_str(), self.escape);
        let password = self.status.password();
        let about = About { session, escape, asked: self.status.asked(), rows, columns, password };
        let hint = match &self.question {
            Some(_) => String::new(),
            None => Status::hint(escape),
        };
        let (mut panel, status, typing);
        match &self.question {
            Some(question) => {
                panel = question.panel(&about);
                (status, typing) = question.status(&about, &mut panel);
            }
            None => {
                let about = told::About { session, escape, rows, columns };
                panel = self.notice.lines(self.status.asked(), &about);
                typing = None;
                status = match self.detector.waits() {
                    true => self.status.offer(escape),
                    false => self.status.line(columns, &hint),
                };
            }
        }
        let model = self.reveal.before().or(self.model.as_ref());
        let picture = Picture {
            screen: model.map(Model::screen),
            panel: &panel,
            status: &status,
            hint: &hint,
            typing,
            keys: self.question.is_none(),
        };
        self.window.draw(&picture);
    }
}

/// The daemon's own word that it ends is what every command says where none runs.
fn ended(failure: Failure) -> Failure {
    match failure.code {
        Code::DaemonLost => {
            let message = "the daemon has ended, and with it what was attached";
            Failure::new(Code::DaemonUnreachable, message, "sgw unlock starts it again")
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests;
