//! A person at a terminal, played by a test: what is drawn is read back, what is typed arrives.

use std::{
    fs::File,
    io::{Read, Write},
    num::NonZeroU16,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Termios, Winsize, tcgetattr, tcsetwinsize},
};

use super::Tty;

pub struct Person {
    master: File,
    /// Held, so that the terminal outlives whoever took it.
    slave: OwnedFd,
    seen: Arc<Mutex<vt100::Parser>>,
}

impl Person {
    pub fn sits_down(rows: u16, columns: u16) -> (Self, Tty) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let open = |flags| open(name.as_c_str(), flags, Mode::empty()).unwrap();
        let slave = open(flags);
        let size = |size| NonZeroU16::new(size).unwrap();
        let parser = vt100::Parser::new(size(rows), size(columns), 0);
        let person = Self { master: File::from(master), slave, seen: Arc::new(Mutex::new(parser)) };
        person.has_a_window_of(rows, columns);
        let (mut from, seen) = (person.master.try_clone().unwrap(), person.seen.clone());
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut piece) {
                seen.lock().unwrap_or_else(PoisonError::into_inner).process(&piece[..count]);
            }
        });
        let tty = Tty::on(open(flags | OFlags::NONBLOCK)).unwrap();
        (person, tty)
    }

    fn has_a_window_of(&self, ws_row: u16, ws_col: u16) {
        let size = Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
    }

    pub fn resizes(&self, rows: u16, columns: u16) {
        self.has_a_window_of(rows, columns);
        let size = |size| NonZeroU16::new(size).unwrap();
        self.parser().screen_mut().set_size(size(rows), size(columns));
        // The kernel tells a terminal's own processes; this one is nobody's.
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::WINCH)
            .unwrap();
    }

    pub fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    fn parser(&self) -> MutexGuard<'_, vt100::Parser> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn screen(&self) -> String {
        self.parser().screen().contents()
    }

    pub fn last_line(&self) -> String {
        let parser = self.parser();
        let (_, columns) = parser.screen().size();
        parser.screen().rows(0, columns.get()).last().unwrap()
    }

    /// Waits until the screen shows it.
    pub async fn sees(&self, text: &str) {
        self.waits_until(text, |screen| screen.contains(text)).await;
    }

    pub async fn sees_no_more(&self, text: &str) {
        self.waits_until(text, |screen| !screen.contains(text)).await;
    }

    async fn waits_until(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let start = Instant::now();
        while !is_so(&self.screen()) {
            assert!(start.elapsed() < Duration::from_secs(30), "{what:?}\n{}", self.screen());
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    pub fn modes(&self) -> Modes {
        let modes: Termios = tcgetattr(&self.slave).unwrap();
        Modes {
            text: format!("{modes:?}"),
            raw: !modes.local_modes.contains(rustix::termios::LocalModes::ICANON),
        }
    }

    /// On the screen that was there before, as a terminal is by itself.
    pub fn is_back(&self) -> bool {
        let parser = self.parser();
        let screen = parser.screen();
        !screen.alternate_screen()
            && !screen.hide_cursor()
            && super::model::Modes::of(screen) == super::model::Modes::default()
    }

    pub async fn is_taken(&self) {
        self.waits_until("a screen of its own", |_| !self.is_back()).await;
    }

    /// Waits until the terminal is as it was.
    pub async fn gets_back(&self, before: &Modes) {
        assert_eq!(self.modes(), *before);
        self.waits_until("the old screen", |_| self.is_back()).await;
    }
}

/// How a terminal treats what is typed.
#[derive(Debug, PartialEq, Eq)]
pub struct Modes {
    text: String,
    pub raw: bool,
}
