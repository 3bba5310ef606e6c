//! A person's terminal: the program runs in a pseudo-terminal, and the screen is read back.

use std::{
    fs::File,
    io::{Read, Write},
    num::NonZeroU16,
    os::unix::process::ExitStatusExt,
    process::{Child, Command},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use regex::Regex;
use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use super::PATIENCE;

const ROWS: u16 = 60;
const COLUMNS: u16 = 120;

/// A program on a terminal of 120 by 60.
pub struct Pty {
    child: Child,
    keyboard: File,
    /// The program's side, held so that its modes outlive the program.
    held: Option<File>,
    reader: JoinHandle<()>,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    screen: vt100::Parser,
    raw: Vec<u8>,
}

impl Pty {
    /// The terminal is the program's own: `setsid --ctty` makes it so.
    pub fn start(program: &Command) -> Self {
        Self::start_with(program, (ROWS, COLUMNS))
    }

    /// In a window of so many rows and columns. `TERM` is the program's own where it has one.
    pub fn start_with(program: &Command, size: (u16, u16)) -> Self {
        let own = program.get_envs().find(|(name, _)| *name == "TERM");
        let own = own.and_then(|(_, value)| value?.to_str());
        Self::open(own.unwrap_or("xterm-256color"), program, size)
    }

    /// On a terminal that calls itself so.
    pub fn named(term: &str, program: &Command) -> Self {
        Self::open(term, program, (ROWS, COLUMNS))
    }

    fn open(term: &str, program: &Command, (rows, columns): (u16, u16)) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = || File::from(open(name.as_c_str(), flags, Mode::empty()).unwrap());
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args()).env_clear();
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("TERM", term);
        command.stdin(terminal()).stdout(terminal()).stderr(terminal());
        let child = command.spawn().unwrap();
        let held = Some(terminal());
        drop(command);
        let (rows, columns) = (NonZeroU16::new(rows).unwrap(), NonZeroU16::new(columns).unwrap());
        let screen = vt100::Parser::new(rows, columns, 0);
        let seen = Arc::new(Mutex::new(Seen { screen, raw: Vec::new() }));
        let keyboard = File::from(master);
        let reader = watch(keyboard.try_clone().unwrap(), Arc::clone(&seen));
        Self { child, keyboard, held, reader, seen }
    }

    /// The program's process: `setsid` becomes it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How the terminal treats what is typed and shown (termios(3)).
    pub fn modes(&self) -> String {
        format!("{:?}", tcgetattr(self.held.as_ref().unwrap()).unwrap())
    }

    /// Whether the program has left the alternate screen, and what it set is as a terminal has it by
    /// itself.
    pub fn is_plain(&self) -> bool {
        let seen = self.seen();
        let screen = seen.screen.screen();
        !screen.alternate_screen()
            && !screen.hide_cursor()
            && !screen.bracketed_paste()
            && !screen.application_cursor()
            && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None
    }

    /// The window has another size now; the program is told.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // The model first: what is drawn for the new size must not meet the old one.
        if let (Some(rows), Some(columns)) = (NonZeroU16::new(rows), NonZeroU16::new(columns)) {
            self.seen().screen.screen_mut().set_size(rows, columns);
        }
        tcsetwinsize(&self.keyboard, size).unwrap();
    }

    /// The window's last line.
    pub fn last_line(&self) -> String {
        let seen = self.seen();
        let screen = seen.screen.screen();
        let last = screen.rows(0, screen.size().1.get()).last();
        last.unwrap_or_default()
    }

    /// Types: `\r` is Enter, `\x03` Ctrl-C.
    pub fn send(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    pub fn screen(&self) -> String {
        self.seen().screen.screen().contents()
    }

    /// Every byte that the program wrote, escape sequences included.
    pub fn raw(&self) -> Vec<u8> {
        self.seen().raw.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the screen matches.
    #[track_caller]
    pub fn wait_for(&mut self, regex: &str) -> String {
        self.wait_for_within(regex, PATIENCE)
    }

    #[track_caller]
    pub fn wait_for_within(&mut self, regex: &str, limit: Duration) -> String {
        let regex = Regex::new(regex).unwrap();
        let start = Instant::now();
        loop {
            let ended = self.child.try_wait().unwrap().is_some();
            let screen = self.screen();
            if regex.is_match(&screen) {
                return screen;
            }
            let waited = start.elapsed();
            let over = waited > limit || (ended && waited > Duration::from_secs(2));
            assert!(!over, "the screen never showed {regex}\n--- screen\n{screen}");
            thread::sleep(Duration::from_millis(15));
        }
    }

    /// Lines are edited and echoed by the terminal, as a shell has it.
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.keyboard).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Waits for the end; the program's exit status, the signal that ended it as 128 and more.
    #[track_caller]
    pub fn waits_for_end(&mut self) -> i32 {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it wrote last is read in a moment: as long as there is more, there is more.
                let mut written = self.raw().len();
                loop {
                    thread::sleep(Duration::from_millis(200));
                    let now = self.raw().len();
                    if now == written {
                        break;
                    }
                    written = now;
                }
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
            assert!(start.elapsed() < PATIENCE, "never ended\n--- screen\n{}", self.screen());
            thread::sleep(Duration::from_millis(15));
        }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until the program has ended or written nothing for a second: for a test that answers
    /// questions whose words it does not know.
    pub fn settle(&mut self) {
        let mut written = self.raw().len();
        let mut quiet = Instant::now();
        while !self.has_ended() && quiet.elapsed() < Duration::from_secs(1) {
            thread::sleep(Duration::from_millis(20));
            let now = self.raw().len();
            if now != written {
                (written, quiet) = (now, Instant::now());
            }
        }
    }

    /// The program's exit status.
    #[track_caller]
    pub fn ends(mut self) -> (i32, String) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // With nobody left on the terminal its last bytes are followed by its end.
                self.held = None;
                let ended = Instant::now();
                while !self.reader.is_finished() && ended.elapsed() < Duration::from_secs(5) {
                    thread::sleep(Duration::from_millis(5));
                }
                return (status.code().unwrap_or(-1), self.screen());
            }
            assert!(start.elapsed() < PATIENCE, "never ended\n--- screen\n{}", self.screen());
            thread::sleep(Duration::from_millis(15));
        }
    }
}

fn watch(mut master: File, seen: Arc<Mutex<Seen>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut chunk = [0; 16 * 1024];
        // EIO is the end: nobody holds the terminal any more.
        while let Ok(length @ 1..) = master.read(&mut chunk) {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.screen.process(&chunk[..length]);
            seen.raw.extend_from_slice(&chunk[..length]);
        }
    })
}

impl Drop for Pty {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_asks_on_its_own_terminal_and_gets_the_answer() {
        let mut shell = Command::new("/bin/sh");
        let script =
            "printf 'name? ' >/dev/tty; read name; printf '\\033[1mhello %s\\n' $name; exit 3";
        shell.arg("-c").arg(script).env("PATH", "/usr/bin:/bin");
        let mut terminal = Pty::start(&shell);
        terminal.wait_for("name\\? $");
        terminal.send("you\r");
        terminal.wait_for("hello you");
        assert!(terminal.raw().windows(4).any(|bytes| bytes == b"\x1b[1m"));
        let (code, screen) = terminal.ends();
        assert_eq!(code, 3);
        assert!(screen.contains("hello you") && !screen.contains('\x1b'));
    }
}
