//! A session, or one command, watched live: a window with the terminal's screen and a strip of what
//! commands print, or plain lines where nothing can be drawn. Read only.

mod rows;
mod strip;

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until};

use self::strip::{Lines, Strip};
use super::{
    Context, Stop, attach,
    ui::{
        self,
        exit::Exit,
        terminal::{
            Tty,
            canvas::Picture,
            model::Model,
            text,
            window::{Input, Window},
        },
    },
};
use crate::{
    client::{
        Connection, Error,
        live::{Arrival, Live},
    },
    domain::escape::visible,
    protocol::{
        operator::{Event, Request},
        view::{self, Thing},
    },
};

/// A screen is told as lines when nothing more was drawn for so long, …
const SETTLED: Duration = Duration::from_millis(200);
/// … or at the latest so long after the first change.
const AT_LATEST: Duration = Duration::from_secs(1);
/// Columns of a row that is told as a line.
const ROW: usize = 4096;

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What was watched has ended.
    Over,
    /// The watcher left.
    Left,
    /// Nobody is there to watch.
    Gone,
}

/// In a window, until what is watched ends or the watcher leaves.
pub async fn in_window(
    connection: Connection,
    tty: Tty,
    thing: &Thing,
    id: &str,
) -> Result<End, Stop> {
    let mut live = Live::start(connection, &Request::Watch { id: id.to_owned() }).await?;
    let first = live.next().await?;
    let mut window = Window::open(tty).map_err(Error::local("take the terminal"))?;
    let mut watched = Watched { place: place(thing), ..Watched::default() };
    if watched.take(first)? {
        return Ok(End::Over);
    }
    loop {
        tokio::select! {
            biased;
            input = window.next(true) => match input {
                // Ctrl-C too; Ctrl-Z stops.
                Input::Keys(keys) if keys.iter().any(|key| matches!(key, b'q' | 3)) => {
                    return Ok(End::Left);
                }
                Input::Keys(keys) if keys.contains(&0x1a) => window.stop(),
                Input::Keys(_) | Input::Resized => {}
                Input::Draw => watched.draw(&mut window),
                // 128 + SIGQUIT.
                Input::Quit => return Err(Stop::Exit(Exit(131))),
                Input::Gone => return Ok(End::Gone),
            },
            arrival = live.next() => {
                if watched.take(arrival?)? {
                    return Ok(End::Over);
                }
                window.changed();
            }
        }
    }
}

/// What is known of what is watched.
#[derive(Default)]
struct Watched {
    /// Where it is, escaped.
    place: String,
    model: Option<Model>,
    announced: Option<Model>,
    size: (u16, u16),
    lines: Lines,
    strip: Strip,
    /// Whether any command was told of.
    ran: bool,
    control: Option<(view::Control, bool)>,
}

impl Watched {
    /// True: it is over.
    fn take(&mut self, arrival: Arrival) -> Result<bool, Stop> {
        match arrival {
            Arrival::Drawn(bytes) => {
                self.model = self.announced.take().or(self.model.take());
                if let Some(model) = &mut self.model {
                    model.draw(&bytes);
                }
            }
            Arrival::Event(event) => self.event(*event),
            Arrival::Note(text) => self.tell(vec![format!("sgw: {}", visible(&text, ROW))]),
            Arrival::Answer { .. } => {}
            Arrival::Ended(Ok(_)) => return Ok(true),
            Arrival::Ended(Err(failure)) => return Err(failure.into()),
        }
        Ok(false)
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Screen { rows, columns, .. } => {
                self.size = (rows, columns);
                self.announced = Some(Model::new(rows, columns));
            }
            Event::Control { control, private, .. } => self.control = Some((control, private)),
            event => {
                let lines = lines_of(&mut self.lines, &event);
                self.tell(lines);
            }
        }
    }

    fn tell(&mut self, lines: Vec<String>) {
        self.ran |= !lines.is_empty();
        self.strip.add(lines);
    }

    fn draw(&self, window: &mut Window) {
        let size = window.size();
        let (above, columns) =
            (usize::from(size.rows.saturating_sub(1)), usize::from(size.columns));
        let room = if self.model.is_some() { (above / 3).min(10) } else { above };
        let mut panel = Vec::new();
        if self.model.is_some() && self.ran && room > 1 {
            panel.push("\u{2500}".repeat(columns));
            panel.extend(self.strip.last(&self.lines, room - 1));
        } else if self.model.is_none() {
            panel = self.strip.last(&self.lines, room);
        }
        let status = self.status(size.rows, columns);
        window.draw(&Picture {
            screen: self.model.as_ref().map(Model::screen),
            panel: &panel,
            status: &status,
            hint: "q leaves ",
            ..Picture::default()
        });
    }

    fn status(&self, rows: u16, columns: usize) -> String {
        let keyboard = match self.control {
            None => "",
            Some((view::Control::Agent, _)) => "  the agent types",
            Some((view::Control::Operator, false)) => "  the operator types",
            Some((view::Control::Operator, true)) => "  PRIVATE: nothing is shown",
        };
        let (its_rows, its_columns) = self.size;
        let cut = its_rows >= rows || usize::from(its_columns) > columns;
        let cut = match self.model.is_some() && cut {
            true => format!("  cut from {its_columns}x{its_rows}"),
            false => String::new(),
        };
        text::cut(&format!(" WATCHING  {}{keyboard}{cut}", self.place), columns)
    }
}

/// As plain lines, or with `--json` as events.
pub async fn as_lines(
    context: &Context,
    connection: Connection,
    thing: &Thing,
    id: &str,
) -> Result<End, Stop> {
    let mut live = Live::start(connection, &Request::Watch { id: id.to_owned() }).await?;
    let mut plain = Plain { context, lines: Lines::default(), screen: None };
    if !context.ui.json {
        context.ui.note(&format!("watching {}; Ctrl-C leaves", place(thing)));
    }
    loop {
        let tell_at = plain.screen.as_ref().and_then(|screen| screen.tell_at());
        tokio::select! {
            biased;
            () = sleep_until(tell_at.unwrap_or_else(Instant::now)), if tell_at.is_some() => {
                plain.tell_screen();
            }
            arrival = live.next() => match arrival? {
                Arrival::Drawn(bytes) => {
                    if let Some(screen) = &mut plain.screen {
                        screen.draw(&bytes);
                    }
                }
                Arrival::Event(event) => plain.event(*event),
                Arrival::Note(text) => context.ui.note(&visible(&text, ROW)),
                Arrival::Answer { .. } => {}
                Arrival::Ended(ended) => {
                    ended?;
                    plain.finish();
                    return Ok(End::Over);
                }
            },
        }
        if ui::stdout_is_closed() {
            return Ok(End::Gone);
        }
    }
}

struct Plain<'c> {
    context: &'c Context,
    lines: Lines,
    screen: Option<Told>,
}

/// A screen, and what of it was told.
struct Told {
    session: String,
    model: Model,
    rows: Vec<String>,
    first_change: Option<Instant>,
    last_change: Instant,
}

impl Told {
    fn draw(&mut self, bytes: &[u8]) {
        self.model.draw(bytes);
        self.last_change = Instant::now();
        self.first_change.get_or_insert(self.last_change);
    }

    fn tell_at(&self) -> Option<Instant> {
        let first = self.first_change?;
        Some((first + AT_LATEST).min(self.last_change + SETTLED))
    }
}

impl Plain<'_> {
    fn event(&mut self, event: Event) {
        if let Event::Screen { session, rows, columns, .. } = &event {
            self.tell_screen();
            let rows_told = self.screen.take().map_or_else(Vec::new, |screen| screen.rows);
            self.screen = Some(Told {
                session: session.clone(),
                model: Model::new(*rows, *columns),
                rows: rows_told,
                first_change: None,
                last_change: Instant::now(),
            });
        }
        if self.context.ui.json {
            return self.context.ui.object(&event);
        }
        for line in lines_of(&mut self.lines, &event) {
            self.context.ui.line(&line);
        }
    }

    /// The screen as it stands now, as far as it is new.
    fn tell_screen(&mut self) {
        let Some(screen) = self.screen.as_mut().filter(|screen| screen.first_change.is_some())
        else {
            return;
        };
        screen.first_change = None;
        let now = screen.model.rows();
        if self.context.ui.json {
            let (row, column) = screen.model.screen().cursor_position();
            self.context.ui.object(&json!({
                "type": "drawn", "session": screen.session, "lines": now, "cursor": [row, column],
            }));
        } else {
            for (number, row) in rows::news(&screen.rows, &now) {
                let session = visible(&screen.session, 20);
                self.context.ui.line(&format!("{session} {number:>3} {}", visible(row, ROW)));
            }
        }
        screen.rows = now;
    }

    fn finish(&mut self) {
        self.tell_screen();
        if !self.context.ui.json {
            self.lines.unfinished().for_each(|line| self.context.ui.line(&line));
        }
    }
}

/// What an event is in lines.
fn lines_of(lines: &mut Lines, event: &Event) -> Vec<String> {
    match event {
        Event::Printed { exec, stream, bytes, missed } => {
            lines.printed(exec, *stream, bytes.as_slice(), *missed)
        }
        Event::Exec { exec, .. } => lines.ran(exec),
        Event::Files { files, .. } => vec![strip::files(files)],
        Event::Forward { session, forward } => {
            let view::Forward { direction, end, from, open } = forward;
            let how = if *open { "opened" } else { "closed" };
            let from = from
                .as_deref()
                .map_or(String::new(), |from| format!(" from {}", visible(from, 80)));
            let end =
                format!("{} forward {}{from} {how}", visible(direction, 10), visible(end, 300));
            vec![format!("{} * {end}", visible(session, 20))]
        }
        Event::Control { session, control, private, message } => {
            let who = match (control, private) {
                (view::Control::Agent, _) => "the agent has the keyboard",
                (view::Control::Operator, false) => "the operator has the keyboard",
                (view::Control::Operator, true) => "the operator has the keyboard, private",
            };
            let message = message.as_deref().map(|message| format!(": {}", visible(message, 500)));
            vec![format!("{} * {who}{}", visible(session, 20), message.unwrap_or_default())]
        }
        _ => Vec::new(),
    }
}

/// What is watched, escaped.
fn place(thing: &Thing) -> String {
    let place = match thing {
        Thing::Session(session) => format!("{} {}", attach::shown::place(session), session.id),
        Thing::Exec(exec) => format!("{} in {}", exec.run.id, exec.session),
        Thing::Request(request) => request.id.clone(),
        Thing::Token(token) => token.id.clone(),
        Thing::Grant(grant) => grant.id.clone(),
    };
    visible(&place, 100)
}
