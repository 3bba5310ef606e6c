//! What is typed to a program and may come to a shell: to the one behind it, once it ends, and to the one
//! that it calls.

use super::{
    Reader,
    keys::{self, Key},
};

/// So many lines are followed from each place where a program may end, …
const LINES: usize = 8;
/// … and so many such places at once.
const PLACES: usize = 64;
/// Of what was typed since the last Enter so much is kept, in bytes.
const SINCE: usize = 8 * 1024;
/// So many texts are looked at, and so many bytes of them: one byte may stand in very many.
const TEXTS: usize = 512;
const BYTES: usize = 1024 * 1024;
/// What takes as many bytes as it was told, and leaves the rest of a line.
const BY_BYTES: &[&str] = &["head", "dd"];
/// Where Escape ends what was begun.
const EDITORS: &[&str] = &["vi", "vim", "nvim", "view", "rvim", "rview", "vimdiff", "ex"];
/// What is behind such a mark may be a shell's line.
const MARKS: &[u8] = b"!|";

/// What a shell may be given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// Lines from each place where the program may end.
    pub shells: Vec<Vec<u8>>,
    /// What the program may give to a shell itself.
    pub called: Vec<Vec<u8>>,
    /// Another key came before an Enter there, or there is more than is followed.
    pub unknown: bool,
    /// Whoever comes after the program may find a part of it.
    pub left: bool,
    /// What was typed since the last Enter, for the next time.
    pub since: Vec<u8>,
    /// Bytes that were looked at.
    looked: usize,
}

/// Where a program may end, with the rest unread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Lines,
    Bytes,
    Keys,
}

impl Behind {
    /// Where `shown` stands in the line, of which `new` is typed now.
    pub fn read(shown: &[u8], new: &[u8], since: &[u8], reader: &Reader) -> Self {
        let Reader::Programs { names, by_keys } = reader else { return Self::default() };
        let any = |all: &[&str]| names.iter().any(|name| all.contains(&name.as_str()));
        let editor = any(EDITORS);
        // What came before was read, where keys are.
        let (bytes, ends) = match (by_keys, any(BY_BYTES)) {
            (true, _) => (new, Ends::Keys),
            (false, true) => (shown, Ends::Bytes),
            (false, false) => (shown, Ends::Lines),
        };
        let mut behind = Self { since: since.to_vec(), ..Self::default() };
        behind.ends(bytes, ends, editor);
        if *by_keys {
            behind.calls(new, editor);
            let mut keys = keys::read(new);
            let (one, last) =
                (keys.next().is_some() && keys.next().is_none(), keys::read(new).last());
            let over = matches!(last, Some(Key::Enter | Key::Interrupt));
            behind.left = !one && !over && ![&b"ZZ"[..], b"ZQ"].contains(&new);
        }
        behind
    }

    pub fn is_nothing(&self) -> bool {
        self.shells.is_empty() && self.called.is_empty() && !self.unknown
    }

    /// The shell behind it.
    fn ends(&mut self, bytes: &[u8], ends: Ends, editor: bool) {
        let mut live = vec![Vec::new()];
        let (mut began, mut odd) = (false, false);
        for (place, (at, key)) in keys::placed(bytes).enumerate() {
            let escape = editor && key == Key::Other && bytes[at] == 0x1b;
            let starts = match key {
                Key::Text(character) => {
                    live.iter_mut().for_each(|line| line.extend_from_slice(character));
                    match ends {
                        Ends::Lines => false,
                        Ends::Bytes => true,
                        Ends::Keys => place == 0 || b"qQZ".contains(&character[0]),
                    }
                }
                Key::Back => {
                    live.iter_mut().for_each(back);
                    false
                }
                Key::Enter => {
                    self.unknown |= odd;
                    live.iter_mut().for_each(|line| line.push(b'\n'));
                    let long = |line: &Vec<u8>| line.iter().filter(|byte| **byte == b'\n').count();
                    let (done, rest) = live.into_iter().partition(|line| long(line) >= LINES);
                    live = rest;
                    self.add_all(done);
                    true
                }
                Key::End | Key::Interrupt => true,
                Key::Moves | Key::Clear => {
                    odd |= began;
                    false
                }
                Key::Stop | Key::Other => {
                    odd |= began && !escape;
                    // It may be one that submits what stands there.
                    for line in &live {
                        self.add(line, b"\n");
                    }
                    true
                }
            };
            began |= starts || ends == Ends::Keys && matches!(key, Key::Text(_));
            if starts && !live.iter().any(Vec::is_empty) {
                live.push(Vec::new());
            }
            if live.len() > PLACES {
                live.remove(0);
                self.unknown = true;
            }
        }
        self.add_all(live);
    }

    fn add_all(&mut self, lines: Vec<Vec<u8>>) {
        for line in lines {
            self.add(&line, b"");
        }
    }

    fn add(&mut self, line: &[u8], end: &[u8]) {
        if !self.has_room(line.len() + end.len(), self.shells.len()) {
            return;
        }
        let mut line = [line, end].concat();
        let whole = line.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        line.truncate(whole);
        if !line.iter().all(u8::is_ascii_whitespace) && !self.shells.contains(&line) {
            self.shells.push(line);
        }
    }

    /// Whether so many bytes are looked at, besides so many texts of their kind; if not, that is told.
    fn has_room(&mut self, bytes: usize, texts: usize) -> bool {
        let room = texts < TEXTS && self.looked + bytes <= BYTES;
        self.unknown |= !room;
        self.looked += if room { bytes } else { 0 };
        room
    }

    /// The shell that it calls.
    fn calls(&mut self, new: &[u8], editor: bool) {
        let all = [&self.since, new].concat();
        let (mut line, mut odd, mut begin) = (Vec::new(), None, 0);
        for (at, key) in keys::placed(&all) {
            let escape = editor && key == Key::Other && all[at] == 0x1b;
            match key {
                Key::Text(character) => line.extend_from_slice(character),
                // An editor may take it for a movement.
                Key::Back if line.last().is_some_and(|last| MARKS.contains(last)) => {
                    odd = Some(line.len());
                }
                Key::Back => back(&mut line),
                Key::Enter => {
                    self.ended(&line, odd);
                    (begin, odd) = (at + 1, None);
                    line.clear();
                }
                Key::Other if escape => {
                    self.ended(&line, None);
                    (begin, odd) = (at + 1, None);
                    line.clear();
                }
                _ if line.is_empty() => {}
                _ => odd = Some(line.len()),
            }
        }
        self.since = all[begin..].to_vec();
        if self.since.len() > SINCE {
            self.since = match (line.is_empty(), is_marked(&line)) {
                (true, _) => Vec::new(),
                (false, true) => b"!\x1f".to_vec(),
                (false, false) => b":\x1f".to_vec(),
            };
        }
    }

    /// `odd`: before so much of it came another key.
    fn ended(&mut self, line: &[u8], odd: Option<usize>) {
        if !is_marked(line) {
            return;
        }
        let last = odd.and_then(|odd| line.get(odd..)).unwrap_or(line);
        self.unknown |= odd.is_some() && !is_forced(last);
        for (at, _) in line.iter().enumerate().filter(|(_, byte)| MARKS.contains(byte)) {
            // A movement, or a place, may stand before it.
            let behind = (1..=3).filter_map(|skip| line.get(at + skip..));
            for code in behind.filter(|code| !code.trim_ascii().is_empty()) {
                if !self.has_room(code.len() + 1, self.called.len()) {
                    return;
                }
                self.called.push([code, b"\n"].concat());
            }
        }
    }
}

/// What is kept of what was typed to nobody who was seen.
pub fn unseen(since: &[u8], new: &[u8]) -> Vec<u8> {
    let mut behind = Behind { since: since.to_vec(), ..Behind::default() };
    behind.calls(new, false);
    behind.since
}

fn is_marked(line: &[u8]) -> bool {
    line.iter().any(|byte| MARKS.contains(byte))
}

/// `:q!`, which calls nobody.
fn is_forced(text: &[u8]) -> bool {
    let word = text.strip_prefix(b":").and_then(|text| text.strip_suffix(b"!"));
    word.is_some_and(|word| !word.is_empty() && word.iter().all(u8::is_ascii_alphabetic))
}

/// A character less, in its last line.
fn back(line: &mut Vec<u8>) {
    while let Some(last) = line.pop_if(|last| *last != b'\n') {
        if last & 0xc0 != 0x80 {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(name: &str, by_keys: bool) -> Reader {
        Reader::Programs { names: vec![name.to_owned()], by_keys }
    }

    fn text(lines: &[Vec<u8>]) -> Vec<String> {
        lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    fn shells(name: &str, by_keys: bool, typed: &[u8]) -> Behind {
        Behind::read(typed, typed, b"", &reader(name, by_keys))
    }

    #[test]
    fn what_comes_behind_a_programs_end_is_a_shells() {
        let line = "systemctl restart x\n".to_owned();
        let typed = |before: &[u8]| [before, b"systemctl restart x\r"].concat();
        for (name, by_keys, before) in [
            ("head", false, &b"x\r"[..]),
            ("head", false, b"x"),
            ("dd", false, b"abcde"),
            ("cat", false, b"\x04"),
            ("cat", false, b"\x03"),
            ("python3", true, b"exit()\r"),
            ("less", true, b"q"),
            ("less", true, b"jjq"),
            ("less", true, b"abq\x7f"),
            ("whiptail", true, b"n"),
            ("vi", true, b":q!\r"),
            ("vi", true, b"ZZ"),
            ("nano", true, b"\x18"),
        ] {
            let behind = shells(name, by_keys, &typed(before));
            assert!(text(&behind.shells).contains(&line), "{name} {before:?} {behind:?}");
            assert!(!behind.unknown, "{name} {before:?}");
        }
        // Also over several lines.
        let behind = shells("cat", false, b"x\rsystemctl \\\rrestart x\r)\r");
        assert!(behind.shells[1].starts_with(b"systemctl \\\nrestart x\n"));
    }

    #[test]
    fn keys_behind_a_programs_end_make_another_line() {
        for (by_keys, typed) in [
            (false, &b"\x04\x1b[A\r"[..]),
            (false, b"x\rsystemc\t restart x\r"),
            (true, b"q\x1b[A\r"),
            (true, b"qtemctl restart x\x01sys\r"),
        ] {
            assert!(shells("less", by_keys, typed).unknown, "{typed:?}");
        }
        for (by_keys, typed) in [
            (false, &b"a\tb\r"[..]),
            (true, b"\x1b[B\x1b[B\r"),
            (true, b"y\r"),
            (true, b"/query\r"),
        ] {
            assert!(!shells("less", by_keys, typed).unknown, "{typed:?}");
        }
    }

    #[test]
    fn what_is_left_of_keys_is_known_to_nobody() {
        for typed in [&b"qsystemctl"[..], b"q\x1b[A", b"Zx"] {
            assert!(shells("less", true, typed).left, "{typed:?}");
        }
        for typed in [&b"q"[..], b"\x1b[B", b":q\r", b"ZZ", b"\x18\x03"] {
            assert!(!shells("less", true, typed).left, "{typed:?}");
        }
    }

    fn calls(name: &str, pieces: &[&[u8]]) -> (Vec<String>, bool) {
        let mut last = Behind::default();
        for piece in pieces {
            last = Behind::read(piece, piece, &last.since, &reader(name, true));
        }
        (text(&last.called), last.unknown)
    }

    #[test]
    fn a_mark_anywhere_since_the_last_enter_calls_a_shell() {
        let line = "systemctl restart x\n".to_owned();
        for (name, before) in [
            ("less", "!"),
            ("less", "j!"),
            ("less", "j|."),
            ("vi", "j:!"),
            ("vi", ":r !"),
            ("vi", "!G"),
            ("vi", "!ap"),
            ("vi", "ihello\x1b:!"),
        ] {
            let typed = format!("{before}systemctl restart x\r");
            let (called, unknown) = calls(name, &[typed.as_bytes()]);
            assert!(called.contains(&line) && !unknown, "{before} {called:?}");
            // One by one.
            let pieces: Vec<&[u8]> = typed.as_bytes().chunks(1).collect();
            assert!(calls(name, &pieces).0.contains(&line), "{before}");
        }
        for (name, pieces) in [
            ("less", &[&b"!"[..], b"\x1b[A", b"x", b"\x15", b"systemctl restart x\r"][..]),
            ("less", &[b"!temctl restart x\x01", b"sys", b"\r"]),
            ("vi", &[b":systemctl restart x\x02", b"!\r"]),
            ("vi", &[b"!\x7f", b"systemctl restart x\r"]),
        ] {
            assert!(calls(name, pieces).1, "{pieces:?}");
        }
        let long = vec![b'x'; SINCE];
        assert!(calls("less", &[b"!", &long, b"\r"]).1);
        for pieces in [
            &[&b"\x1b[B"[..], b":q!\r"][..],
            &[b"dd", b"\x1b[B", b":wq!\r"],
            &[b"ihello!\x1b", b"\x1b[B", b":wq\r"],
            &[b"/a\r", b"q"],
        ] {
            assert!(!calls("vi", pieces).1, "{pieces:?}");
        }
    }

    #[test]
    fn one_byte_stands_in_many_texts_and_all_of_them_have_a_bound() {
        let random = |at: u32| b"abcdefgh"[(at.wrapping_mul(2_654_435_761) >> 28) as usize % 8];
        let mixed = (0..32_000).flat_map(|at| [random(at), 0]).collect();
        let many = [vec![b'q'; PLACES], vec![b'a'; 30_000], vec![0; 30_000]].concat();
        for (name, mut typed) in [
            ("less", vec![b'!'; 64_000]),
            ("less", b"|x".repeat(32_000)),
            ("vi", b"!x\x1b".repeat(20_000)),
            ("cat", mixed),
            ("less", many),
        ] {
            typed.push(b'\r');
            let behind = shells(name, name != "cat", &typed);
            assert!(behind.unknown, "{name}");
            for texts in [&behind.called, &behind.shells] {
                assert!(texts.len() <= TEXTS, "{name} {}", texts.len());
                assert!(texts.iter().map(Vec::len).sum::<usize>() <= BYTES, "{name}");
            }
        }
        // What a person pastes into an editor has room.
        let script = b"ps aux | grep x | wc -l\r".repeat(40);
        assert!(!shells("vi", true, &script).unknown);
    }
}
