//! What is kept of a terminal: the transcript and the screen that everyone may see, and beside them,
//! while the operator is private, the screen that only the operator sees.

use super::screen::Screen;
use crate::domain::{echo::Place, terminal::Size, transcript::Transcript};

/// What is kept of the bytes that came; grows only as they come.
const TRANSCRIPT: usize = 768 * 1024;
/// … and after the session's end.
const AFTERWARDS: usize = 64 * 1024;

pub struct Model {
    pub transcript: Transcript,
    /// Where the agent's last read ended.
    pub read_to: u64,
    screen: Screen,
    /// The live screen, while `screen` shows what stood there before.
    private: Option<Screen>,
}

/// Where a terminal stood before something was typed.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    /// The transcript's end, and where its last line began.
    pub from: u64,
    pub line: u64,
    pub place: Place,
}

impl Model {
    pub fn new(size: Size) -> Self {
        let mut transcript = Transcript::new(TRANSCRIPT);
        transcript.set_width(size.columns);
        Self { transcript, read_to: 0, screen: Screen::new(size), private: None }
    }

    /// A new terminal's, that goes on where an ended one's cursors stopped.
    pub fn after(earlier: &mut Self, size: Size) -> Self {
        let mut transcript = std::mem::replace(&mut earlier.transcript, Transcript::new(0));
        transcript.part();
        transcript.set_width(size.columns);
        Self { transcript, read_to: earlier.read_to, ..Self::new(size) }
    }

    /// Takes bytes until a turn's work is done, and says how many. What is private is kept nowhere.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        match &mut self.private {
            Some(screen) => screen.feed(bytes),
            None => {
                let taken = self.screen.feed(bytes);
                self.transcript.push(&bytes[..taken]);
                taken
            }
        }
    }

    pub fn before(&self) -> Before {
        let (from, line) = (self.transcript.cursor(), self.transcript.line_start());
        Before { from, line, place: self.open().place() }
    }

    pub fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// From here on only the operator sees what comes.
    pub fn hide(&mut self) {
        if self.private.is_none() {
            let before = Screen::like(&self.screen.shown(), self.screen.size());
            self.private = Some(std::mem::replace(&mut self.screen, before));
        }
    }

    /// From here on everyone sees what comes, and nothing of what was: parser and screen begin anew.
    pub fn reveal(&mut self) {
        if let Some(private) = self.private.take() {
            self.screen = Screen::new(private.size());
            self.transcript.part();
        }
    }

    /// What everyone may see.
    pub fn open(&self) -> &Screen {
        &self.screen
    }

    /// What is there.
    pub fn live(&self) -> &Screen {
        self.private.as_ref().unwrap_or(&self.screen)
    }

    pub fn take_answers(&mut self) -> Vec<u8> {
        self.private.as_mut().unwrap_or(&mut self.screen).take_answers()
    }

    pub fn size(&self) -> Size {
        self.live().size()
    }

    pub fn resize(&mut self, size: Size) {
        self.screen.resize(size);
        self.transcript.set_width(size.columns);
        if let Some(private) = &mut self.private {
            private.resize(size);
        }
    }

    /// Nothing more comes.
    pub fn end(&mut self) {
        self.transcript.end();
    }

    /// The session is over: its last lines can be read a while, and a screen takes no more room.
    pub fn fade(&mut self) {
        self.transcript.shrink(AFTERWARDS);
        self.screen = Screen::new(Size::LEAST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::transcript::Want;

    fn feed(model: &mut Model, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[model.feed(bytes)..];
        }
    }

    fn lines(model: &Model) -> Vec<String> {
        let page = model.transcript.read(0, Want::First(usize::MAX), |_| true);
        page.lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn what_is_private_is_kept_nowhere_and_moves_nothing() {
        let mut model = Model::new(Size::USUAL);
        feed(&mut model, b"$ su\r\n\x1b[31mPassw");
        let before = model.before();
        model.hide();
        feed(&mut model, b"ord: secret\x1b]0;secret\x07\x1b[6n\r\n# \x1b[");
        assert!(model.live().lines().concat().contains("secret"));
        assert_eq!(model.open().lines(), ["$ su", "Passw"]);
        assert_eq!(model.open().shown().title, None);
        let now = model.before();
        assert_eq!((now.from, now.place), (before.from, before.place));
        // The one who sees it also gets its programs answered.
        assert_eq!(model.take_answers(), b"\x1b[2;17R");
        model.resize(Size::new(10, 20).unwrap());
        assert_eq!(model.size(), Size::new(10, 20).unwrap());
        model.reveal();
        // What was half of a sequence is none any more, and nothing of the screen is left.
        feed(&mut model, b"Jafter\r\n");
        assert_eq!(model.open().lines(), ["Jafter"]);
        assert_eq!(lines(&model), ["$ su", "Passw", "Jafter"]);
        assert_eq!(model.transcript.cursor(), before.from + 8);
        assert!(!model.is_private());
        model.reveal();
        assert_eq!(model.open().lines(), ["Jafter"]);
    }

    #[test]
    fn a_new_terminal_goes_on_where_the_ended_one_stopped() {
        let mut first = Model::new(Size::USUAL);
        feed(&mut first, b"one\r\nexit\x1b[");
        first.end();
        first.read_to = 5;
        let mut second = Model::after(&mut first, Size::USUAL);
        assert_eq!((second.transcript.cursor(), second.read_to), (11, 5));
        feed(&mut second, b"two\r\n");
        assert_eq!(lines(&second), ["one", "exit", "two"]);
        assert_eq!(second.open().lines(), ["two"]);
        assert!(lines(&first).is_empty());
    }

    #[test]
    fn a_transcript_is_bounded_and_fades() {
        let mut model = Model::new(Size::new(2, 10).unwrap());
        for number in 0..200_000 {
            feed(&mut model, format!("line {number}\r\n").as_bytes());
        }
        let (begin, kept) = model.transcript.raw(0);
        assert!(begin > 0 && kept.len() <= TRANSCRIPT && kept.len() > TRANSCRIPT / 2);
        assert!(kept.ends_with(b"line 199999\r\n"));
        assert_eq!(begin + kept.len() as u64, model.transcript.cursor());
        model.fade();
        assert!(model.transcript.raw(0).1.len() <= AFTERWARDS);
        assert_eq!(lines(&model).last().unwrap(), "line 199999");
    }
}
