//! The status line of an attached terminal: who sees what, where one is, what the agent asked for.

use super::told::Told;
use crate::{
    cli::ui::terminal::{escape::Escape, text},
    domain::escape::visible,
    protocol::view,
};

/// A narrow window has room for the word alone.
const NARROW: usize = 60;
/// Columns for a handoff's message: more than it may have bytes, each of them escaped.
const MESSAGE: usize = 8000;

/// What is known of the session and its keyboard.
#[derive(Debug)]
pub struct Status {
    pub session: String,
    /// `user@target`, escaped.
    place: String,
    /// What the daemon said last of who sees it; none before it did.
    pub control: Option<view::Control>,
    pub private: bool,
    /// What a handoff asks, escaped.
    message: Option<String>,
    /// A sentence of sgw's own, until the next key.
    pub note: Option<String>,
    ends_in_secrets: bool,
}

impl Status {
    pub fn of(session: &view::Session) -> Self {
        let place = place(session);
        let message =
            session.waiting.as_ref().filter(|waiting| waiting.kind == view::Kind::Handoff);
        let mut status = Self {
            session: session.id.clone(),
            place: visible(&place, 60),
            control: None,
            private: false,
            message: None,
            note: None,
            ends_in_secrets: false,
        };
        if let Some(waiting) = message {
            status.asks(waiting.message.as_deref());
        }
        status
    }

    /// Takes what the daemon says of the keyboard; what of it has to be told.
    pub fn take(
        &mut self,
        control: view::Control,
        private: bool,
        message: Option<&str>,
    ) -> Option<Told> {
        self.control = Some(control);
        self.private = private;
        self.ends_in_secrets |= private;
        let before = self.message.take();
        self.asks(message);
        match (&before, &self.message) {
            (before, Some(now)) if before.as_ref() != Some(now) => Some(Told::Asked),
            (Some(_), None) if control == view::Control::Operator => Some(Told::TakenBack),
            _ => None,
        }
    }

    /// What the agent asks, escaped.
    pub fn asked(&self) -> Option<&str> {
        self.message.as_deref()
    }

    fn asks(&mut self, message: Option<&str>) {
        const SECRETS: [&str; 6] = ["sudo", "password", "passphrase", "passwd", "pin", "code"];
        let Some(message) = message else { return };
        let lower = message.to_lowercase();
        let words = lower.split(|char: char| !char.is_alphanumeric());
        self.ends_in_secrets |= words.into_iter().any(|word| SECRETS.contains(&word));
        self.message = Some(visible(message, MESSAGE));
    }

    /// Whether a password may have been typed in this session.
    pub fn password(&self) -> bool {
        self.ends_in_secrets
    }

    fn mode(&self, columns: usize) -> &'static str {
        match (self.control, self.private, columns < NARROW) {
            (None, ..) => "attaching …",
            (Some(view::Control::Agent), ..) => "THE AGENT HAS THE KEYBOARD",
            (_, true, true) => "PRIVATE",
            (_, true, false) => "PRIVATE - the agent sees nothing",
            (_, false, _) => "SHARED",
        }
    }

    /// While the escape character is held back: what may follow it.
    pub fn offer(&self, escape: Escape) -> String {
        format!(" {}  {escape} . leave  p private  k commands  ? help", self.mode(0))
    }

    /// The words of the status line, without its right end, which keeps its room: what an agent asks
    /// may be long.
    pub fn line(&self, columns: usize, hint: &str) -> String {
        let room = match columns < NARROW || hint.is_empty() {
            true => columns,
            false => columns.saturating_sub(text::width(hint) + 2),
        };
        text::clipped(&self.words(columns), room)
    }

    fn words(&self, columns: usize) -> String {
        let mode = self.mode(columns);
        let mut line = format!(" {mode}  {} {}", self.place, self.session);
        if let Some(note) = &self.note {
            return format!("{line}  {note}");
        }
        if let Some(message) = &self.message {
            line.push_str(&format!("  the agent asks: \u{201c}{message}\u{201d}"));
        }
        line
    }

    /// Its right end.
    pub fn hint(escape: Escape) -> String {
        match escape.is_off() {
            true => "leave: close the window ".to_owned(),
            false => format!("Enter {escape} ? help "),
        }
    }
}

/// `user@target`; a target that names its user says it once.
pub fn place(session: &view::Session) -> String {
    match session.target.contains('@') {
        true => session.target.clone(),
        false => format!("{}@{}", session.user, session.target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            session: "s-4fk".into(),
            place: "deploy@web1".into(),
            control: None,
            private: false,
            message: None,
            note: None,
            ends_in_secrets: false,
        }
    }

    #[test]
    fn it_says_first_who_sees_what_is_typed() {
        let mut status = status();
        assert!(status.words(80).starts_with(" attaching"));
        status.take(view::Control::Operator, true, Some("log in to \x1b[7mdb"));
        assert_eq!(
            status.words(80),
            " PRIVATE - the agent sees nothing  deploy@web1 s-4fk  the agent asks: \u{201c}log in to \\x1b[7mdb\u{201d}"
        );
        assert!(status.words(30).starts_with(" PRIVATE  deploy"));
        status.take(view::Control::Operator, false, Some("log in"));
        assert!(status.words(80).starts_with(" SHARED  "), "{}", status.words(80));
        assert!(status.words(80).contains("log in"), "what was asked stays");
    }

    #[test]
    fn what_is_asked_is_told_once_and_so_is_that_it_is_asked_no_more() {
        let mut status = status();
        let mut hears = |message| status.take(view::Control::Operator, true, message);
        assert_eq!(hears(None), None);
        assert_eq!(hears(Some("log in")), Some(Told::Asked));
        assert_eq!(hears(Some("log in")), None);
        assert_eq!(hears(Some("log in; look at it")), Some(Told::Asked));
        assert_eq!(hears(None), Some(Told::TakenBack));
        assert_eq!(hears(None), None);
        assert!(!status.words(80).contains("asks"), "{}", status.words(80));
        // Given back, it is answered.
        status.take(view::Control::Operator, true, Some("log in"));
        assert_eq!(status.take(view::Control::Agent, false, None), None);
    }

    #[test]
    fn what_an_agent_asks_pushes_the_help_nowhere() {
        let mut status = status();
        status.take(view::Control::Operator, false, Some(&"please ".repeat(40)));
        let hint = Status::hint(Escape::default());
        let line = text::line(&status.line(80, &hint), &hint, 80);
        assert!(line.ends_with(&hint) && line.contains('\u{2026}'), "{line}");
    }

    #[test]
    fn a_password_is_remembered_until_the_end() {
        for (message, private, password) in [
            (None, false, false),
            (Some("look at this"), false, false),
            (Some("please type the sudo password"), false, true),
            (None, true, true),
        ] {
            let mut status = status();
            status.take(view::Control::Operator, private, message);
            status.take(view::Control::Operator, false, None);
            assert_eq!(status.password(), password, "{message:?}");
        }
    }
}
