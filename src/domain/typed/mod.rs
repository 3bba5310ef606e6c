//! What an agent types into a terminal, as lines that can be judged, and what can't be known of them.
//!
//! A line at a shell's prompt is what was sent only if it was sent as printable text, Backspace and Enter,
//! with nothing pending before it. Any other key makes it opaque: what stands in the line then is the line
//! editor's secret. A program that is no shell gets data, which is judged by what the program makes of it.

mod behind;
mod keys;
#[cfg(test)]
mod tests;
pub mod words;

pub use self::behind::Behind;
use self::keys::Key;
use super::{guard::Shell, target::named};

/// Of what was typed and is not judged yet this much is kept, in bytes; beyond, it counts as unknown.
const MOST: usize = 64 * 1024;
/// … and of what a program was told before.
const TOLD: usize = 8 * 1024;

/// How much of what came together is judged by itself where a shell reads: all up to the first Enter, and an
/// interrupt alone.
pub fn first_line(bytes: &[u8]) -> usize {
    let mut all = keys::placed(bytes).map(|(at, key)| (at, key, key == Key::Enter));
    match all.next() {
        Some((_, Key::Interrupt | Key::Stop, _)) => 1,
        Some((_, Key::Enter, _)) => 1,
        _ => all.find(|(.., ends)| *ends).map_or(bytes.len(), |(at, ..)| at + 1),
    }
}

/// Whether nothing of it is more than a character or a Backspace, which submit nothing to a shell.
pub fn is_plain(bytes: &[u8]) -> bool {
    keys::read(bytes).all(|key| matches!(key, Key::Text(_) | Key::Back))
}

/// Whether it is one key that the terminal itself takes, to interrupt or to stop.
pub fn is_interrupt(bytes: &[u8]) -> bool {
    matches!(bytes, [only] if matches!(keys::read(&[*only]).next(), Some(Key::Interrupt | Key::Stop)))
}

/// Whether it ends a line.
pub fn has_enter(bytes: &[u8]) -> bool {
    keys::read(bytes).any(|key| key == Key::Enter)
}

/// What reads a terminal's keys, as far as can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A shell, at its prompt.
    Shell(Shell),
    /// Programs wait for keys.
    Programs {
        names: Vec<String>,
        /// One by one, so that nothing of it is left for whoever comes after them.
        by_keys: bool,
    },
    /// Nobody reads just now, or who does can't be seen: what is typed is typed ahead.
    Unseen,
}

/// A terminal's line, as far as what was typed there is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Typed since the last Enter. None: not known.
    pending: Option<Vec<u8>>,
    /// Lines before it that are not over: a command that goes on, or what a program was told already.
    open: Vec<u8>,
    /// Who read when it was last seen.
    reader: Option<Reader>,
    /// What keys mean there was changed.
    rebound: bool,
    /// Typed to programs that read by keys since the last Enter.
    since: Vec<u8>,
    /// Whoever reads next may find something that was typed.
    left: bool,
}

/// What typing some bytes would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub what: What,
    /// What stood in the line, as far as it is known, and the bytes behind it: for a person.
    pub shown: Vec<u8>,
    /// The line afterwards.
    pub after: Line,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Nothing is submitted.
    Nothing,
    /// A shell gets exactly this; each line ends with a newline.
    Lines(Lines),
    /// Programs get this.
    Data(Data),
    /// What is submitted is not known.
    Opaque(Opaque),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    pub shell: Shell,
    /// With the unfinished lines before.
    pub text: Vec<u8>,
    /// Where in it [`Step::shown`] begins.
    pub from: usize,
    /// `text` from there on has byte for byte what is shown: no Backspace took anything away.
    pub verbatim: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    pub programs: Vec<String>,
    /// What they were told since a person last looked, in lines.
    pub text: Vec<u8>,
    /// Where in it what is new begins.
    pub from: usize,
    /// Other keys than text, Backspace and Enter came with it: an editor of lines makes of it what it will.
    pub keys: bool,
    /// What may come to a shell of it.
    pub behind: Behind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opaque {
    pub why: Why,
    /// The text of it, as if keys did nothing.
    pub text: Vec<u8>,
    pub shell: Shell,
}

/// Why a line is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Another key than text, Backspace and Enter.
    Keys,
    /// What stands in the line already.
    Pending,
    /// What reads it.
    Unseen,
    /// What keys mean there.
    Rebound,
}

impl Reader {
    /// One shell within another reads on where that one stopped.
    fn is_like(&self, other: &Self) -> bool {
        self == other || matches!((self, other), (Self::Shell(_), Self::Shell(_)))
    }

    /// Who reads first in a terminal that is opened for the first input.
    pub fn of_login(shell: Option<named::Shell>) -> Self {
        Self::Shell(match shell {
            Some(named::Shell::Sh | named::Shell::Bash) => Shell::Posix,
            Some(named::Shell::Zsh) => Shell::Zsh,
            Some(named::Shell::Fish) => Shell::Fish,
            Some(named::Shell::Other) | None => Shell::Unknown,
        })
    }
}

impl Default for Line {
    /// A new terminal's.
    fn default() -> Self {
        Self {
            pending: Some(Vec::new()),
            open: Vec::new(),
            reader: None,
            rebound: false,
            since: Vec::new(),
            left: false,
        }
    }
}

impl Line {
    /// What typing `bytes` would do where `reader` reads.
    pub fn take(&self, bytes: &[u8], reader: &Reader) -> Step {
        let seen = self.reader.as_ref().filter(|_| *reader != Reader::Unseen);
        let same = seen.is_none_or(|before| before.is_like(reader));
        // What another program has not read of it may be read by this one, or not.
        let none = Vec::new();
        let pending = match seen {
            _ if !same && self.left => None,
            Some(Reader::Programs { by_keys: true, .. }) if !same => Some(&none),
            _ => self.pending.as_ref().filter(|pending| same || pending.is_empty()),
        };
        let shown = [pending.map_or(&[][..], Vec::as_slice), bytes].concat();
        let taken = Taking {
            known: pending.is_some(),
            open: if same { &self.open } else { &[] },
            rebound: self.rebound,
            since: &self.since,
            left: self.left,
            shown: &shown,
            new: bytes,
        };
        let (what, mut after) = match reader {
            Reader::Shell(shell) => taken.by_shell(*shell),
            Reader::Programs { names, .. } => taken.by_programs(names, reader),
            Reader::Unseen => taken.unseen(),
        };
        after.pending = after.pending.filter(|pending| pending.len() <= MOST);
        after.reader = match reader {
            Reader::Unseen => self.reader.clone(),
            seen => Some(seen.clone()),
        };
        Step { what, shown, after }
    }

    /// Somebody else typed: what stands there is known only behind an Enter or an interrupt of theirs.
    pub fn disturb(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        let clean = matches!(last, b'\r' | b'\n' | 0x03);
        let since = std::mem::take(&mut self.since);
        let pending = clean.then(Vec::new);
        *self = Self { pending, rebound: self.rebound, since, ..Self::default() };
    }

    /// It is not known what was typed of it.
    pub fn cut_short(&mut self) {
        self.pending = None;
    }

    /// The command goes on in the next line. Of one that is too long the next line is not known.
    pub fn goes_on(&mut self, text: &[u8]) {
        if text.len() > MOST {
            self.forget();
            return self.cut_short();
        }
        self.open = text.to_vec();
    }

    /// Nothing that was told before counts any more.
    pub fn forget(&mut self) {
        self.open.clear();
    }

    /// A shell that comes after the program may find something that was typed to it.
    pub fn leaves(&mut self) {
        self.left = true;
    }

    /// From now on keys may mean anything.
    pub fn rebind(&mut self) {
        self.rebound = true;
    }
}

/// Bytes on their way to whoever reads.
struct Taking<'a> {
    /// What stood there before is known.
    known: bool,
    open: &'a [u8],
    rebound: bool,
    since: &'a [u8],
    left: bool,
    shown: &'a [u8],
    new: &'a [u8],
}

impl Taking<'_> {
    fn after(&self, pending: Option<Vec<u8>>) -> Line {
        let (open, since) = (self.open.to_vec(), self.since.to_vec());
        Line { pending, open, since, rebound: self.rebound, ..Line::default() }
    }

    /// Nothing stands there any more.
    fn clean(&self) -> Line {
        Line { open: Vec::new(), ..self.after(Some(Vec::new())) }
    }

    fn opaque(&self, why: Why, shell: Shell) -> (What, Line) {
        let text = keys::text(self.shown);
        let ends = keys::read(self.shown).last().is_some_and(|key| matches!(key, Key::Enter));
        let opaque = What::Opaque(Opaque { why, text, shell });
        (opaque, self.after(ends.then(Vec::new)))
    }

    /// An interrupt by itself throws away what stands there, whatever that is.
    fn only_interrupts(&self) -> bool {
        let mut all = keys::read(self.new);
        all.next() == Some(Key::Interrupt) && all.next().is_none()
    }

    fn by_shell(&self, shell: Shell) -> (What, Line) {
        if self.only_interrupts() {
            return (What::Nothing, self.clean());
        }
        if self.rebound {
            return self.opaque(Why::Rebound, shell);
        }
        let Some(read) = ShellLine::read(self.shown, self.known) else {
            return self.opaque(Why::Keys, shell);
        };
        if !read.certain {
            return self.opaque(if self.known { Why::Keys } else { Why::Pending }, shell);
        }
        let after = match read.interrupted {
            true => self.clean(),
            false => self.after(read.rest.map(|rest| self.shown[rest..].to_vec())),
        };
        let blank = self.open.is_empty() && read.text.iter().all(u8::is_ascii_whitespace);
        if read.text.is_empty() || blank {
            return (What::Nothing, after);
        }
        let text = [self.open, &read.text].concat();
        let lines = Lines { shell, text, from: self.open.len(), verbatim: read.verbatim };
        (What::Lines(lines), Line { open: Vec::new(), ..after })
    }

    fn by_programs(&self, names: &[String], reader: &Reader) -> (What, Line) {
        // Where it may be ignored it ends nothing.
        if self.only_interrupts() && !self.rebound {
            return (What::Nothing, Line { since: Vec::new(), ..self.clean() });
        }
        let behind = Behind::read(self.shown, self.new, self.since, reader);
        let read = ProgramText::read(self.shown, self.known);
        let keys = read.keys || self.rebound;
        let pending = Line {
            since: behind.since.clone(),
            left: behind.left,
            ..self.after(read.certain.then_some(read.rest))
        };
        if read.text.is_empty() && !read.unknown && behind.is_nothing() {
            return (What::Nothing, pending);
        }
        let told = [self.open, &read.text].concat();
        // A statement's end is an end; and what is long is begun anew, which makes it uncertain once.
        let long = told.len() > TOLD;
        let over = long || told.trim_ascii_end().ends_with(b";");
        let data = Data {
            programs: names.to_vec(),
            from: self.open.len(),
            keys: keys || long,
            text: told.clone(),
            behind,
        };
        let open = if over { Vec::new() } else { told };
        (What::Data(data), Line { open, ..pending })
    }

    fn unseen(&self) -> (What, Line) {
        let mut all = keys::read(self.new).peekable();
        let first = all.next();
        let alone = all.next().is_none();
        let empty = self.known && self.shown.len() == self.new.len();
        let since = behind::unseen(self.since, self.new);
        let (what, line) = match first {
            Some(Key::Interrupt) if alone => (What::Nothing, self.clean()),
            // It may stop who works; where nobody does, what stands there stays.
            Some(Key::Stop) if alone => (What::Nothing, self.after(empty.then(Vec::new))),
            Some(Key::Enter | Key::End) if alone && empty => (What::Nothing, self.clean()),
            _ => {
                let plain =
                    |key: Key| matches!(key, Key::Text(_) | Key::Back | Key::Moves | Key::Clear);
                match !self.rebound && keys::read(self.new).all(plain) {
                    true => (What::Nothing, self.after(None)),
                    false => self.opaque(Why::Unseen, Shell::Unknown),
                }
            }
        };
        let left = self.left && !self.only_interrupts();
        (what, Line { since, left, ..line })
    }
}

/// Keys as a shell's line editor takes them.
struct ShellLine {
    /// Lines that were ended.
    text: Vec<u8>,
    /// They are what was typed, all of them.
    certain: bool,
    /// No Backspace took anything away.
    verbatim: bool,
    interrupted: bool,
    /// Where the last line begins; none where what stands there is not known.
    rest: Option<usize>,
}

impl ShellLine {
    /// None: a key that may do anything.
    fn read(shown: &[u8], known: bool) -> Option<Self> {
        let (mut line, mut begin, mut now) = (Vec::new(), 0, known);
        let (mut text, mut certain, mut verbatim) = (Vec::new(), true, true);
        let mut interrupted = false;
        for (at, key) in keys::placed(shown) {
            match key {
                // What comes behind an interrupt may be lost with it.
                _ if interrupted => return None,
                Key::Text(character) => line.extend_from_slice(character),
                Key::Back => {
                    verbatim = false;
                    // Of a character of several bytes a terminal may take one.
                    now &= line.pop().is_none_or(|last: u8| last.is_ascii());
                }
                Key::Enter => {
                    certain &= now;
                    text.append(&mut line);
                    text.push(b'\n');
                    (begin, now) = (at + 1, true);
                }
                Key::End | Key::Clear if begin == at && now => begin = at + 1,
                Key::Moves | Key::Clear => now = false,
                Key::Interrupt => interrupted = true,
                Key::End | Key::Stop | Key::Other => return None,
            }
        }
        Some(Self { text, certain, verbatim, interrupted, rest: now.then_some(begin) })
    }
}

/// Keys as a program gets them that is no shell.
struct ProgramText {
    /// In lines, each that came before an Enter or another key.
    text: Vec<u8>,
    keys: bool,
    /// A line was ended that is not known.
    unknown: bool,
    /// What is not ended, and whether it is known.
    rest: Vec<u8>,
    certain: bool,
}

impl ProgramText {
    fn read(shown: &[u8], known: bool) -> Self {
        let (text, rest) = (Vec::new(), Vec::new());
        let mut read = Self { text, keys: !known, unknown: false, rest, certain: known };
        for key in keys::read(shown) {
            match key {
                Key::Text(character) => read.rest.extend_from_slice(character),
                Key::Back => {
                    read.certain &= read.rest.pop().is_none_or(|last| last.is_ascii());
                }
                Key::Enter | Key::End | Key::Interrupt => {
                    read.unknown |= !read.certain;
                    read.certain = true;
                    read.ends();
                }
                // Where nothing stands there, nothing is left of it.
                Key::Stop if read.rest.is_empty() => {}
                Key::Moves | Key::Clear | Key::Stop | Key::Other => {
                    read.certain = false;
                    read.ends();
                }
            }
        }
        read.keys |= read.unknown || !read.certain;
        read
    }

    fn ends(&mut self) {
        if !self.rest.is_empty() {
            self.text.append(&mut self.rest);
            self.text.push(b'\n');
        }
    }
}
