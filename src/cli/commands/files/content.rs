//! `read` and `tail`.

use std::{
    ffi::OsString,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::json;

use super::{There, Told, call, captured, path};
use crate::{
    cli::{
        Context, Outcome, Stop,
        ui::{self, Stream, exit::Exit},
        values,
    },
    client::{
        Error,
        stream::{Cut, Feed, Sink},
    },
    domain::{bytes::Bytes, escape, files::Operation},
    protocol::{
        error::{Code, Failure},
        files::Done,
    },
};

/// What a terminal is shown of a file at most, in bytes.
const TERMINAL: u64 = 256 * 1024;
/// What one JSON object holds of a file at most.
const JSON: u64 = 1024 * 1024;

/// Print a file
///
/// To a pipe or a file the exact bytes; a terminal is shown escaped text, and no more than 256 KiB. With --json
/// no more than 1 MiB, and SHA-256 of the file where all of it was read: what `write --if-sum` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files read s-4fk /etc/nginx/nginx.conf
  sgw files read s-4fk -n --lines 100:140 /srv/app/main.py
  sgw files read s-4fk --offset 1M --limit 4k /var/log/syslog
  sgw files read s-4fk --json /etc/hosts")]
pub struct Read {
    #[command(flatten)]
    there: There,
    #[arg(value_name = "PATH")]
    path: OsString,
    /// From this byte on, like 4096 or 1M
    #[arg(long, value_name = "SIZE", value_parser = values::size, conflicts_with = "lines")]
    offset: Option<u64>,
    /// At most so many bytes
    #[arg(long, value_name = "SIZE", value_parser = values::size, conflicts_with = "lines")]
    limit: Option<u64>,
    /// These lines alone: A:B, A: or :B, from 1
    #[arg(long, value_name = "A:B", value_parser = lines)]
    lines: Option<(u64, u64)>,
    /// Number the lines
    #[arg(short, long)]
    number: bool,
}

impl Read {
    pub fn run(self, context: &Context) -> Outcome {
        let bounded = context.ui.json || self.plain_to_a_terminal();
        let most = if context.ui.json { JSON } else { TERMINAL };
        let limit = match bounded && self.lines.is_none() {
            true => Some(self.limit.unwrap_or(most).min(most)),
            false => self.limit,
        };
        let (path, offset) = (path(self.path.clone()), self.offset.unwrap_or(0));
        let operation = Operation::Read { path, offset, limit };
        match context.ui.json {
            true => self.print_json(context, operation),
            false => self.print_bytes(context, operation),
        }
    }

    fn plain_to_a_terminal(&self) -> bool {
        ui::stdout_is_terminal()
    }

    fn print_json(self, context: &Context, operation: Operation) -> Outcome {
        let keeper = crate::cli::kept::Keeper::new(crate::cli::kept::Kept::new(JSON as usize, 0));
        let (sink, enough) = self.through(Box::new(keeper.clone()));
        let told =
            context.interactive(call(context, &self.there, operation, sink, Feed::Nothing))?;
        let (bytes, cut) = keeper.with(|kept| (kept.joined(|_| String::new()), kept.cut()));
        let Done::Content { path, size, offset, bytes: read, sha256 } = told.done else {
            return Err(super::odd().into());
        };
        let selected = self.lines.is_some();
        let more = size.is_some_and(|size| offset + read < size);
        let truncated = cut > 0 || (!selected && self.limit.is_none() && more);
        context.ui.object(&json!({
            "kind": "content",
            "path": path,
            "size": size,
            "offset": offset,
            "bytes": bytes.len(),
            "sha256": sha256.filter(|_| !enough.load(Ordering::Acquire)),
            "content": Bytes(bytes),
            "truncated": truncated,
        }));
        Ok(Exit::DONE)
    }

    fn print_bytes(self, context: &Context, operation: Operation) -> Outcome {
        let out = Stream::Stdout.open().map_err(Error::local("open our own output"))?;
        let terminal = ui::stdout_is_terminal();
        let unended = Arc::new(AtomicBool::new(false));
        let inner: Sink = match terminal {
            true => Box::new(Escaped { unended: unended.clone(), ..Escaped::new(out) }),
            false => Box::new(out),
        };
        let (sink, enough) = self.through(inner);
        let Told { done, cut } =
            context.interactive(call(context, &self.there, operation, sink, Feed::Nothing))?;
        match cut {
            Some(Cut::Closed) if !enough.load(Ordering::Acquire) => return Ok(Exit::CLOSED),
            Some(Cut::Unwritable(kind)) => return Err(unwritable(kind).into()),
            _ => {}
        }
        if let Done::Content { size: Some(size), offset, bytes, .. } = done
            && terminal
            && self.lines.is_none()
            && self.limit.is_none()
            && offset + bytes < size
        {
            let next = offset + bytes;
            let left = size - next;
            if unended.load(Ordering::Acquire) {
                context.ui.line("");
            }
            context.ui.note(&format!("{left} bytes more: --offset {next}, or into a pipe"));
        }
        Ok(Exit::DONE)
    }

    /// Picks and numbers lines; the flag says that there are no more of them.
    fn through(&self, inner: Sink) -> (Sink, Arc<AtomicBool>) {
        let enough = Arc::new(AtomicBool::new(false));
        if self.lines.is_none() && !self.number {
            return (inner, enough);
        }
        let (first, last) = self.lines.unwrap_or((1, u64::MAX));
        let picks = Lines {
            inner,
            first,
            last,
            number: self.number,
            line: 1,
            begun: false,
            enough: enough.clone(),
        };
        (Box::new(picks), enough)
    }
}

fn unwritable(kind: io::ErrorKind) -> Failure {
    let message = format!("our standard output can't be written: {kind}");
    Failure::new(Code::DaemonFailed, message, "look at the disk that it goes to")
}

/// `A:B`, both included.
fn lines(text: &str) -> Result<(u64, u64), String> {
    let wrong = || format!("`{text}` is no range of lines like 10:20, 10: or :20");
    let (first, last) = text.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str, absent: u64| match text {
        "" => Ok(absent),
        text => text.parse::<u64>().map_err(|_| wrong()),
    };
    let (first, last) = (number(first, 1)?, number(last, u64::MAX)?);
    if first == 0 || last < first { Err(wrong()) } else { Ok((first, last)) }
}

/// Passes some lines on.
struct Lines {
    inner: Sink,
    first: u64,
    last: u64,
    number: bool,
    /// The one that is being read.
    line: u64,
    /// Some of it was passed on.
    begun: bool,
    enough: Arc<AtomicBool>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line > self.last {
                self.enough.store(true, Ordering::Release);
                // The caller stops reading.
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            if self.line >= self.first {
                if self.number && !self.begun {
                    write!(self.inner, "{:>6}\t", self.line)?;
                }
                self.inner.write_all(piece)?;
                self.begun = true;
            }
            if piece.ends_with(b"\n") {
                self.line += 1;
                self.begun = false;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// For a terminal: lines and tabs stand, all else that is no text is escaped.
struct Escaped<W> {
    inner: W,
    /// A line that may go on.
    line: Vec<u8>,
    /// What was shown last is no whole line.
    unended: Arc<AtomicBool>,
}

/// A longer line is shown in pieces, in bytes.
const LONG: usize = 16 * 1024;

impl<W: Write> Escaped<W> {
    fn new(inner: W) -> Self {
        Self { inner, line: Vec::new(), unended: Arc::default() }
    }

    fn show(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let (line, end) = match line.strip_suffix(b"\n") {
            Some(line) => (line, "\n"),
            None => (line.as_slice(), ""),
        };
        for (number, cell) in line.split(|byte| *byte == b'\t').enumerate() {
            let tab = if number > 0 { "\t" } else { "" };
            // What is shown is read, not run: a backslash stands for itself.
            let shown = escape::visible_bytes(cell, usize::MAX).replace("\\\\", "\\");
            write!(self.inner, "{tab}{shown}")?;
        }
        if !(line.is_empty() && end.is_empty()) {
            self.unended.store(end.is_empty(), Ordering::Release);
        }
        write!(self.inner, "{end}")
    }
}

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() > LONG {
                self.show()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.show()?;
        self.inner.flush()
    }
}

/// Print the last lines of a file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files tail s-4fk /var/log/syslog
  sgw files tail s-4fk -n 50 -f /var/log/nginx/error.log")]
pub struct Tail {
    #[command(flatten)]
    there: There,
    #[arg(value_name = "PATH")]
    path: OsString,
    /// How many lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: u64,
    /// Also what comes after them, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
}

impl Tail {
    pub fn run(self, context: &Context) -> Outcome {
        let Self { there, path: given, lines, follow } = self;
        let operation = Operation::Tail { path: path(given), lines, follow };
        if context.ui.json && follow {
            let message = "a file that is followed is no JSON object";
            let hint = "sgw files tail -f without --json, or --json without -f";
            return Err(Failure::new(Code::UsageArguments, message, hint).into());
        }
        if context.ui.json {
            let told = captured(context, &there, operation, JSON as usize);
            let (done, bytes, cut) = context.interactive(told)?;
            let Done::Content { path, size, offset, .. } = done else {
                return Err(super::odd().into());
            };
            context.ui.object(&json!({
                "kind": "content",
                "path": path,
                "size": size,
                "offset": offset,
                "bytes": bytes.len(),
                "sha256": null,
                "content": Bytes(bytes),
                "truncated": cut > 0,
            }));
            return Ok(Exit::DONE);
        }
        let out = Stream::Stdout.open().map_err(Error::local("open our own output"))?;
        let sink: Sink = match ui::stdout_is_terminal() {
            true => Box::new(Escaped::new(out)),
            false => Box::new(out),
        };
        let told = context
            .block_on(async { Ok(call(context, &there, operation, sink, Feed::Nothing).await) })?;
        match told {
            // How a file that is followed is left.
            Err(Stop::Exit(Exit::INTERRUPTED)) if follow => Ok(Exit::INTERRUPTED),
            Err(stop) => Err(stop),
            Ok(Told { cut: Some(Cut::Closed), .. }) => Ok(Exit::CLOSED),
            Ok(Told { cut: Some(Cut::Unwritable(kind)), .. }) => Err(unwritable(kind).into()),
            Ok(_) => Ok(Exit::DONE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::kept::{Keeper, Kept};

    fn picked(range: &str, number: bool, pieces: &[&str]) -> String {
        let keeper = Keeper::new(Kept::new(1000, 0));
        let (first, last) = lines(range).unwrap();
        let mut picks = Lines {
            inner: Box::new(keeper.clone()),
            first,
            last,
            number,
            line: 1,
            begun: false,
            enough: Arc::default(),
        };
        for piece in pieces {
            if picks.write(piece.as_bytes()).is_err() {
                break;
            }
        }
        String::from_utf8(keeper.with(|kept| kept.joined(|_| String::new()))).unwrap()
    }

    #[test]
    fn lines_are_picked_however_they_come() {
        assert_eq!(picked("2:3", false, &["a\nb", "b\nc\nd\n"]), "bb\nc\n");
        assert_eq!(picked("2:", true, &["a\nb", "b\nc"]), "     2\tbb\n     3\tc");
        assert_eq!(picked(":1", false, &["a\n", "b\n"]), "a\n");
        for wrong in ["", "5", "0:3", "3:2", "a:b"] {
            assert!(lines(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_terminal_is_shown_text_alone() {
        let keeper = Keeper::new(Kept::new(1000, 0));
        let mut escaped = Escaped::new(keeper.clone());
        escaped.write_all(b"a\tb\\n\n\x1b[31mred\xff").unwrap();
        escaped.flush().unwrap();
        let shown = keeper.with(|kept| kept.joined(|_| String::new()));
        assert_eq!(String::from_utf8(shown).unwrap(), "a\tb\\n\n\\x1b[31mred\\xff");
    }
}
