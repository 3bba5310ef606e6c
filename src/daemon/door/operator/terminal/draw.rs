//! Draws a terminal's model for a client: whole, then what has changed, never faster than the client
//! reads: it gets fewer, later states.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    daemon::{
        door::link::{Gone, Outbox},
        session::pty::Shown,
    },
    domain::id::Id,
    protocol::{
        frame::{Frame, Kind, MAX_CHUNK},
        operator::Event,
    },
};

/// A state is drawn at once, and the next not before so long after it.
const FRAME: Duration = Duration::from_millis(15);

/// Where a terminal is drawn.
pub struct Canvas<'o> {
    outbox: &'o Outbox,
    number: u32,
    session: String,
    drawn: Option<Shown>,
    /// Bytes sent so far.
    sent: u64,
}

impl<'o> Canvas<'o> {
    pub fn new(outbox: &'o Outbox, number: u32, session: &Id) -> Self {
        Self { outbox, number, session: session.to_string(), drawn: None, sent: 0 }
    }

    /// Draws a state of one of several terminals; from scratch where it was another one before.
    pub async fn draw_of(&mut self, terminal: &Id, shown: Shown) -> Result<(), Gone> {
        if self.session != terminal.as_str() {
            self.session = terminal.to_string();
            self.drawn = None;
        }
        self.draw(shown).await
    }

    /// Draws until the terminal has ended.
    pub async fn follow(
        &mut self,
        mut drawn: watch::Receiver<u64>,
        shown: impl Fn() -> Shown,
    ) -> Result<(), Gone> {
        loop {
            drawn.borrow_and_update();
            let next = Instant::now() + FRAME;
            self.draw(shown()).await?;
            if drawn.changed().await.is_err() {
                // What came last is shown too.
                return self.draw(shown()).await;
            }
            sleep_until(next).await;
        }
    }

    async fn draw(&mut self, now: Shown) -> Result<(), Gone> {
        let bytes = match &self.drawn {
            Some(before) if same_frame(before, &now) => now.screen.state_diff(&before.screen),
            _ => {
                let (rows, columns) = now.screen.size();
                let (rows, columns) = (rows.get(), columns.get());
                let (session, title) = (self.session.clone(), now.title.clone());
                let event = Event::Screen { session, rows, columns, title };
                self.outbox.json(self.number, &event).await?;
                now.screen.state_formatted()
            }
        };
        self.drawn = Some(now);
        for chunk in bytes.as_bytes().chunks(MAX_CHUNK) {
            let frame = Frame::output(Kind::Pty, self.number, self.sent, chunk);
            self.sent += chunk.len() as u64;
            self.outbox.send(frame).await?;
        }
        Ok(())
    }
}

/// Whether a difference can be told: another size, or another title, begins anew.
fn same_frame(before: &Shown, now: &Shown) -> bool {
    before.screen.size() == now.screen.size() && before.title == now.title
}
