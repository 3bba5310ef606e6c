//! From private to shared: the daemon's picture begins anew, so that nothing of what was private is
//! seen by others. The operator's own eyes lose nothing: what stood there stays until something comes.

use crate::cli::ui::terminal::model::Model;

#[derive(Default)]
pub struct Reveal {
    /// The new picture is to come.
    awaited: bool,
    /// What stood there before it.
    before: Option<Model>,
}

impl Reveal {
    /// It is private no more.
    pub fn begin(&mut self) {
        self.awaited = true;
    }

    /// Something goes on: what comes is what is there.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    /// Draws on the model, and keeps what a new picture wipes away.
    pub fn draw(&mut self, model: &mut Model, bytes: &[u8]) {
        if !self.awaited {
            return model.draw(bytes);
        }
        let before = self.before.take().unwrap_or_else(|| model.copy());
        model.draw(bytes);
        if model.is_blank() {
            self.before = Some(before).filter(|before| !before.is_blank());
        }
    }

    /// What is shown in place of the model.
    pub fn before(&self) -> Option<&Model> {
        self.before.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stood_there_stays_until_something_comes() {
        let mut model = Model::new(4, 20);
        let mut reveal = Reveal::default();
        reveal.draw(&mut model, b"private: $ ");
        reveal.begin();
        reveal.draw(&mut model, b"ls");
        assert!(reveal.before().is_none());
        reveal.draw(&mut model, b"\x1b[2J\x1b[H");
        assert_eq!(reveal.before().unwrap().rows()[0], "private: $ ls");
        reveal.draw(&mut model, b"\x1b[m");
        assert_eq!(reveal.before().unwrap().rows()[0], "private: $ ls");
        reveal.draw(&mut model, b"$ ");
        assert!(reveal.before().is_none());
        // What a program clears later is clear.
        reveal.end();
        reveal.draw(&mut model, b"\x1b[2J");
        assert!(reveal.before().is_none());
    }
}
