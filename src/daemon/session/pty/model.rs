//! What is kept of a terminal: the transcript and the screen that everyone may see, and beside them,
//! while the operator is private, the screen that only the operator sees.

use super::screen::Screen;
use crate::domain::{terminal::Size, transcript::Transcript};

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

impl Model {
    pub fn new(size: Size) -> Self {
        let (transcript, screen) = (Transcript::new(TRANSCRIPT), Screen::new(size));
        Self { transcript, read_to: 0, screen, private: None }
    }

    /// A new terminal's, that goes on where an ended one's cursors stopped.
    pub fn after(earlier: &mut Self, size: Size) -> Self {
        let mut transcript = std::mem::replace(&mut earlier.transcript, Transcript::new(0));
        transcript.part();
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
