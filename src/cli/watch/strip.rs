//! What commands print, as lines under their ids: escaped, whole, and a bounded number of them.

use std::collections::VecDeque;

use crate::{
    domain::escape::{exact, visible, visible_bytes},
    protocol::{operator::Stream, view},
};

/// A line that never ends is shown in pieces of this size.
const LINE: usize = 4096;
/// Streams whose unfinished lines are kept apart.
const STREAMS: usize = 64;

/// The lines of several commands, each whole.
#[derive(Debug, Default)]
pub struct Lines {
    unfinished: VecDeque<Unfinished>,
}

#[derive(Debug)]
struct Unfinished {
    exec: String,
    stream: Stream,
    bytes: Vec<u8>,
}

impl Lines {
    /// The lines that this finishes.
    pub fn printed(
        &mut self,
        exec: &str,
        stream: Stream,
        bytes: &[u8],
        missed: u64,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        let known = |one: &Unfinished| one.exec == exec && one.stream == stream;
        let mut rest = match self.unfinished.iter().position(known) {
            Some(at) => self.unfinished.remove(at).map(|one| one.bytes).unwrap_or_default(),
            None => Vec::new(),
        };
        if missed > 0 {
            if !rest.is_empty() {
                lines.push(line(exec, stream, &std::mem::take(&mut rest)));
            }
            lines.push(format!("{} … {missed} bytes were too many to show", visible(exec, 20)));
        }
        rest.extend_from_slice(bytes);
        while let Some(end) = end(&rest) {
            let behind = rest.split_off(end);
            lines.push(line(exec, stream, &rest));
            rest = behind;
        }
        if !rest.is_empty() {
            self.unfinished.push_back(Unfinished { exec: exec.to_owned(), stream, bytes: rest });
        }
        if self.unfinished.len() > STREAMS
            && let Some(oldest) = self.unfinished.pop_front()
        {
            lines.push(line(&oldest.exec, oldest.stream, &oldest.bytes));
        }
        lines
    }

    /// A command has started or ended: what it left unfinished, and a line that says so.
    pub fn ran(&mut self, run: &view::Run) -> Vec<String> {
        let mut lines = Vec::new();
        let id = visible(&run.id, 20);
        if run.running {
            lines.push(format!("{id} $ {}", exact(run.command.as_slice(), LINE)));
            return lines;
        }
        self.unfinished.retain(|one| {
            if one.exec == run.id {
                lines.push(line(&one.exec, one.stream, &one.bytes));
            }
            one.exec != run.id
        });
        let how = match (run.exit_code, &run.signal) {
            (Some(code), _) => format!("ended with {code}"),
            (None, Some(signal)) => format!("ended by signal {}", visible(signal, 20)),
            (None, None) => "ended".to_owned(),
        };
        lines.push(format!("{id} = {how}"));
        lines
    }

    /// What has come of lines that are still to end.
    pub fn unfinished(&self) -> impl Iterator<Item = String> {
        self.unfinished.iter().map(|one| line(&one.exec, one.stream, &one.bytes))
    }
}

/// Something with files, in a line: what, and how it ended where it has.
pub fn files(run: &view::FilesRun) -> String {
    let does = exact(run.command.as_slice(), LINE);
    let bytes = run.bytes.map(|bytes| format!(", {bytes} bytes")).unwrap_or_default();
    let by = run.request.as_deref().map(|id| format!(", approved by {}", visible(id, 20)));
    let by = by.unwrap_or_default();
    match (run.running, &run.outcome) {
        (true, _) => format!("$ {does}"),
        (false, None) => format!("= {does}: done{bytes}{by}"),
        (false, Some(code)) => format!("= {does}: {}{by}", visible(code, 40)),
    }
}

/// Behind the first line's end.
fn end(bytes: &[u8]) -> Option<usize> {
    let found = bytes.iter().take(LINE).position(|byte| *byte == b'\n');
    found.map(|at| at + 1).or((bytes.len() >= LINE).then_some(LINE))
}

fn line(exec: &str, stream: Stream, bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    // What a lone CR starts over is over (progress bars).
    let bytes = bytes.rsplit(|byte| *byte == b'\r').next().unwrap_or(bytes);
    let mark = match stream {
        Stream::Stdout => '|',
        Stream::Stderr => '!',
    };
    format!("{} {mark} {}", visible(exec, 20), visible_bytes(bytes, LINE))
}

/// The last lines, for a window.
#[derive(Debug, Default)]
pub struct Strip {
    lines: VecDeque<String>,
}

impl Strip {
    /// More than a window has.
    const MOST: usize = 500;

    pub fn add(&mut self, lines: Vec<String>) {
        self.lines.extend(lines);
        let over = self.lines.len().saturating_sub(Self::MOST);
        self.lines.drain(..over);
    }

    /// The last of them and of what is unfinished, at most `most`.
    pub fn last(&self, unfinished: &Lines, most: usize) -> Vec<String> {
        let mut all: Vec<String> =
            unfinished.unfinished().collect::<Vec<_>>().into_iter().rev().take(most).collect();
        let room = most - all.len();
        all.extend(self.lines.iter().rev().take(room).cloned());
        all.reverse();
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::bytes::Bytes;

    fn run(running: bool) -> view::Run {
        view::Run {
            id: "x-7k3".into(),
            kind: view::Kind::Exec,
            command: Bytes::from("make \u{1b}[2J"),
            exit_code: (!running).then_some(2),
            signal: None,
            running,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            duration_ms: None,
            request: None,
        }
    }

    #[test]
    fn a_command_is_told_under_its_id_from_its_start_to_its_end() {
        let mut lines = Lines::default();
        assert_eq!(lines.ran(&run(true)), ["x-7k3 $ make \\x1b[2J"]);
        assert!(lines.printed("x-7k3", Stream::Stdout, b"one\r\ntw", 0) == ["x-7k3 | one"]);
        assert_eq!(
            lines.printed("x-7k3", Stream::Stderr, b"\x1b]0;x\x07\n", 0),
            ["x-7k3 ! \\x1b]0;x\\x07"]
        );
        assert_eq!(lines.printed("x-7k3", Stream::Stdout, b"o\n", 0), ["x-7k3 | two"]);
        assert_eq!(
            lines.printed("x-7k3", Stream::Stdout, b"10%\r20%\r99%\nrest", 7),
            ["x-7k3 … 7 bytes were too many to show", "x-7k3 | 99%"]
        );
        assert_eq!(lines.unfinished().collect::<Vec<_>>(), ["x-7k3 | rest"]);
        assert_eq!(lines.ran(&run(false)), ["x-7k3 | rest", "x-7k3 = ended with 2"]);
        assert_eq!(lines.unfinished().count(), 0);
    }

    #[test]
    fn a_line_without_end_and_streams_without_end_are_bounded() {
        let mut lines = Lines::default();
        assert_eq!(lines.printed("x-1", Stream::Stdout, &vec![b'a'; 3 * LINE + 5], 0).len(), 3);
        for number in 0..200 {
            lines.printed(&format!("x-{number}"), Stream::Stdout, b"begun", 0);
        }
        assert!(lines.unfinished().count() <= STREAMS);
        let mut strip = Strip::default();
        strip.add(vec!["line".to_owned(); 2000]);
        assert_eq!(strip.lines.len(), Strip::MOST);
        assert_eq!(strip.last(&Lines::default(), 3), ["line"; 3]);
        assert_eq!(strip.last(&lines, 0), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn cuts_change_no_line(text in "[a-z\n]{0,60}", cut: prop::sample::Index) {
            let all = |pieces: &[&[u8]]| {
                let mut lines = Lines::default();
                let mut told: Vec<_> =
                    pieces.iter().flat_map(|piece| lines.printed("x-1", Stream::Stdout, piece, 0)).collect();
                told.extend(lines.unfinished());
                told
            };
            let (first, second) = text.as_bytes().split_at(cut.index(text.len() + 1));
            prop_assert_eq!(all(&[first, second]), all(&[text.as_bytes()]));
        }
    }
}
