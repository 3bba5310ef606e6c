//! A taken terminal as its user sees it: what happens in it, one thing at a time, and pictures for it.

use std::{io, time::Duration};

use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

use super::{
    Happened, Size, Terminal, Tty,
    canvas::{Canvas, Picture},
    pace::Pace,
};

/// Windows that are being resized change many times a second.
const RESIZE: Duration = Duration::from_millis(60);

/// What happens in a window.
#[derive(Debug)]
pub enum Input {
    /// As the terminal sends them.
    Keys(Zeroizing<Vec<u8>>),
    /// It is time to draw what has changed.
    Draw,
    /// It may have another size now.
    Resized,
    /// SIGQUIT.
    Quit,
    /// Nobody sits there any more.
    Gone,
}

pub struct Window {
    terminal: Terminal,
    canvas: Canvas,
    pace: Pace,
    resize_at: Option<Instant>,
}

impl Window {
    pub fn open(tty: Tty) -> io::Result<Self> {
        let terminal = Terminal::take(tty)?;
        let canvas = Canvas::new(terminal.size);
        let mut pace = Pace::default();
        pace.changed();
        Ok(Self { terminal, canvas, pace, resize_at: None })
    }

    pub fn size(&self) -> Size {
        self.canvas.size()
    }

    /// Something is to be drawn.
    pub fn changed(&mut self) {
        self.pace.changed();
    }

    pub fn draw(&mut self, picture: &Picture) {
        self.pace.drawn();
        let bytes = self.canvas.draw(picture);
        self.terminal.put(bytes);
    }

    /// The next thing that happens; without `keys` what is typed waits. Cancel-safe.
    pub async fn next(&mut self, keys: bool) -> Input {
        loop {
            let draw_at = self.pace.next().filter(|_| self.terminal.wants_a_picture());
            if draw_at.is_some_and(|at| at <= Instant::now()) {
                return Input::Draw;
            }
            let wake_at = [draw_at, self.resize_at].into_iter().flatten().min();
            let busy = !self.terminal.is_idle();
            let Terminal { signals, tty, .. } = &mut self.terminal;
            tokio::select! {
                biased;
                happened = signals.next() => match happened {
                    Happened::Quit => return Input::Quit,
                    Happened::Resized => self.resize_at = Some(Instant::now() + RESIZE),
                    Happened::Stop => {
                        self.stop();
                        return Input::Resized;
                    }
                    Happened::Continued => {
                        self.terminal.take_again();
                        self.redraw();
                        return Input::Resized;
                    }
                },
                typed = tty.keys(), if keys => return typed.map_or(Input::Gone, Input::Keys),
                () = tty.room(), if busy => self.terminal.write(),
                () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => {
                    if self.resize_at.is_some_and(|at| at <= Instant::now()) {
                        self.resize_at = None;
                        self.resize();
                        return Input::Resized;
                    }
                }
            }
        }
    }

    /// Gives the terminal back, stops this process, and draws anew when it goes on.
    pub fn stop(&mut self) {
        self.terminal.stop();
        self.redraw();
    }

    fn resize(&mut self) {
        let size = self.terminal.measure();
        if size != self.canvas.size() {
            self.canvas = Canvas::new(size);
        }
        self.pace.changed();
    }

    /// Who knows what the window shows.
    fn redraw(&mut self) {
        self.canvas = Canvas::new(self.terminal.measure());
        self.pace.changed();
    }
}
