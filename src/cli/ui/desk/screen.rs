//! The terminal while the desk has all of it: taken, given back on every way out, and taken again.

use std::{
    io::{self, BufWriter, Stderr, Write},
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crossterm::{
    cursor::{Hide, Show},
    event::{
        DisableBracketedPaste, EnableBracketedPaste, Event, EventStream, KeyCode, KeyEvent,
        KeyEventKind, KeyModifiers,
    },
    execute,
    terminal::{
        Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
        enable_raw_mode,
    },
};
use futures::StreamExt;
use ratatui::{Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};
use rustix::{
    process::{Signal, getpid, kill_process},
    termios::{QueueSelector, tcflush, tcgetwinsize},
};

use super::{
    state::{BURST, Desk, Key, Now},
    view,
};

/// One frame goes out in one write.
const FRAME: usize = 64 * 1024;
/// Keys of one burst: one without end comes in parts.
const MOST_KEYS: usize = 256;
/// How long the reader of keys may take to let go of the terminal.
const LET_GO: Duration = Duration::from_millis(50);

/// Whether the terminal is ours: for a panic, which may come anywhere.
static TAKEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

type Frames = Terminal<CrosstermBackend<BufWriter<Stderr>>>;

/// The terminal, ours until this is dropped.
pub struct Screen {
    terminal: Frames,
    /// Columns and rows of the last frame.
    size: (u16, u16),
    keys: Option<EventStream>,
}

/// What the terminal says.
pub enum Heard {
    /// Each within [`BURST`] of the one before, oldest first; of many the first.
    Keys(Vec<Key>),
    Resized,
}

impl Screen {
    pub fn take() -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            // Else the message would be drawn on a screen that is about to go.
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
            }));
        });
        let terminal = blank(size()?)?;
        let mut screen = Self { terminal, size: size()?, keys: None };
        screen.again()?;
        Ok(screen)
    }

    /// Takes the terminal, also where something else has changed it meanwhile.
    pub fn again(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        execute!(io::stderr(), EnterAlternateScreen, EnableBracketedPaste)?;
        // What was typed before was for something else.
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        self.redraw()?;
        self.keys.get_or_insert_with(EventStream::new);
        Ok(())
    }

    /// Gives the terminal back until [`Self::again`].
    pub fn leave(&mut self) {
        if self.keys.take().is_some() {
            // Its thread reads until it notices; what it takes by then is nobody's.
            let _ = crossterm::event::poll(LET_GO);
        }
        give_back();
    }

    /// Stops this process, as Ctrl-Z does; returns when it goes on.
    pub fn suspend(&mut self) -> io::Result<()> {
        self.leave();
        kill_process(getpid(), Signal::STOP)?;
        self.again()
    }

    /// From nothing: the whole next frame goes out.
    pub fn redraw(&mut self) -> io::Result<()> {
        self.size = size()?;
        execute!(io::stderr(), Clear(ClearType::All), Hide)?;
        self.terminal = blank(self.size)?;
        Ok(())
    }

    pub fn draw(&mut self, desk: &mut Desk, now: Now) -> io::Result<()> {
        if size()? != self.size {
            self.redraw()?;
        }
        desk.size = self.size;
        self.terminal.draw(|frame| view::draw(frame, desk, now))?;
        Ok(())
    }

    pub fn bell(&self) {
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(b"\x07").and_then(|()| stderr.flush());
    }

    /// The next that matters. Cancel-safe.
    pub async fn heard(&mut self) -> io::Result<Heard> {
        let Some(keys) = &mut self.keys else { return std::future::pending().await };
        loop {
            let event = keys.next().await.ok_or(io::ErrorKind::UnexpectedEof)??;
            match event {
                Event::Resize(..) => return Ok(Heard::Resized),
                event => {
                    let Some(key) = key_of(event) else { continue };
                    return Ok(Heard::Keys(with_those_behind(key)?));
                }
            }
        }
    }
}

fn key_of(event: Event) -> Option<Key> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(known(key)),
        Event::Paste(text) => Some(Key::Paste(text)),
        _ => None,
    }
}

/// A key and what comes within [`BURST`] of it. Nothing is drawn meanwhile: a moment, and the stream's
/// own reader of keys stays where it is, so that whoever gets the terminal next gets all of them.
fn with_those_behind(first: Key) -> io::Result<Vec<Key>> {
    let mut keys = vec![first];
    while keys.len() < MOST_KEYS && crossterm::event::poll(BURST)? {
        // A size is looked at before each frame.
        keys.extend(key_of(crossterm::event::read()?));
    }
    Ok(keys)
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Columns and rows. A terminal that does not know counts as 80x24.
pub fn size() -> io::Result<(u16, u16)> {
    let size = tcgetwinsize(io::stderr())?;
    Ok(if size.ws_col == 0 || size.ws_row == 0 { (80, 24) } else { (size.ws_col, size.ws_row) })
}

/// A fixed area: with any other ratatui asks the terminal where its cursor is, and waits for an answer
/// that a slow line or a person's typing can spoil.
fn blank((width, height): (u16, u16)) -> io::Result<Frames> {
    let backend = CrosstermBackend::new(BufWriter::with_capacity(FRAME, io::stderr()));
    let viewport = Viewport::Fixed(Rect { x: 0, y: 0, width, height });
    Terminal::with_options(backend, TerminalOptions { viewport })
}

fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // Nobody is left to tell when the terminal is gone.
    let _ = execute!(io::stderr(), DisableBracketedPaste, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let _ = tcflush(io::stdin(), QueueSelector::IFlush);
}

fn known(key: KeyEvent) -> Key {
    let modified = key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    match key.code {
        KeyCode::Char(char) if key.modifiers == KeyModifiers::CONTROL => Key::Ctrl(char),
        KeyCode::Char(char) if !modified => Key::Char(char),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Tab => Key::Tab,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Backspace => Key::Backspace,
        _ => Key::Other,
    }
}
