//! What can be done with files on a target, in the words of whoever asks, and as the guard is asked about it.

pub mod acts;
mod attributes;
pub mod edit;
pub mod leads;
pub mod replaced;
pub mod transfer;
pub mod way;

use ::bytes::Bytes as Content;
use serde::{Deserialize, Serialize};

use super::{
    bytes::Bytes,
    capability::Capability,
    digest::{Digest, Digester},
    escape,
    id::Id,
    identity::Identity,
    judgement::Judgement,
    served::Served,
    sftp::Attrs,
    shell,
};
pub use attributes::Attributes;
use replaced::Replaced;
use transfer::{Item, Part, Put, What};
pub use way::Way;

/// The most of a path that a description holds, in columns.
const SHOWN: usize = 1000;
/// So many paths stand in a line.
const FEW: usize = 3;
/// … and of what is written, in bytes.
const TEXT: usize = 64 * 1024;

/// One operation. Paths are bytes; a relative one hangs on the account's home, and so does `~/…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// The entries of a directory, and those of the directories in it, `depth` deep. Links are not followed.
    List {
        path: Bytes,
        depth: u32,
    },
    /// With `follow` what a link leads to.
    Stat {
        path: Bytes,
        follow: bool,
    },
    Read {
        path: Bytes,
        offset: u64,
        limit: Option<u64>,
    },
    /// The last lines; with `follow` also what comes after them, until the caller goes.
    Tail {
        path: Bytes,
        lines: u64,
        follow: bool,
    },
    Sum {
        path: Bytes,
    },
    /// The file system that it lies on.
    Space {
        path: Bytes,
    },
    Write(Write),
    /// With `parents` those above it too, and none that is there already is an error.
    MakeDirectory {
        path: Bytes,
        parents: bool,
        mode: Option<u32>,
    },
    /// Another name for a file or directory; with `replace` also where one has it.
    Move {
        from: Bytes,
        to: Bytes,
        replace: bool,
    },
    /// A link itself, never what it leads to; with `recursive` a directory with all that is in it.
    Remove {
        path: Bytes,
        recursive: bool,
    },
    SetMode {
        path: Bytes,
        mode: u32,
    },
    /// A symbolic link `path` that holds `target`.
    Link {
        target: Bytes,
        path: Bytes,
        /// Where it will lead by the server's word; nobody but the daemon says so. Empty: that can't be said.
        #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
        leads: Option<Bytes>,
    },
    /// The content of files, one behind the other, packed.
    Get {
        files: Vec<Part>,
    },
    Put(Put),
    /// What an SFTP client sets at once. Nobody asks for it by name.
    #[serde(skip_deserializing)]
    Attributes(Attributes),
    /// A second name for a file; of SFTP clients alone.
    #[serde(skip_deserializing)]
    HardLink {
        file: Bytes,
        link: Bytes,
    },
    /// A program of the server's for a client of the bridge, which runs as a command. `configures`: whoever it is
    /// for may write files there, and so what the program reads as its settings.
    #[serde(skip_deserializing)]
    Served {
        served: Served,
        configures: bool,
    },
}

/// Content comes beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    pub path: Bytes,
    pub how: How,
    /// Permission bits; absent: those that it has, and what the account's umask gives a new one.
    pub mode: Option<u32>,
    /// Directories that are missing are made.
    pub parents: bool,
    /// SHA-256 of what has to be there, in hexadecimal digits: else nothing is written.
    pub if_sum: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// All of it is other at once, or nothing is.
    Replace,
    /// Only where nothing is.
    Create,
    /// Behind what is there.
    Append,
}

impl Operation {
    /// What a session has to be given for it.
    pub fn needs(&self) -> Capability {
        match self.changes() {
            true => Capability::FilesWrite,
            false => Capability::FilesRead,
        }
    }

    pub fn changes(&self) -> bool {
        match self {
            Self::List { .. }
            | Self::Stat { .. }
            | Self::Read { .. }
            | Self::Tail { .. }
            | Self::Sum { .. }
            | Self::Space { .. }
            | Self::Get { .. } => false,
            Self::Write(_)
            | Self::MakeDirectory { .. }
            | Self::Move { .. }
            | Self::Remove { .. }
            | Self::SetMode { .. }
            | Self::Link { .. }
            | Self::Put(_)
            | Self::Attributes(_)
            | Self::HardLink { .. } => true,
            Self::Served { served, .. } => served.needs() == Capability::FilesWrite,
        }
    }

    /// The paths, and whether a link at their end is followed.
    pub fn paths(&self) -> Vec<(&[u8], Ending)> {
        use Ending::{Followed, Itself};
        match self {
            Self::List { path, .. }
            | Self::Read { path, .. }
            | Self::Tail { path, .. }
            | Self::Sum { path }
            | Self::Space { path }
            | Self::SetMode { path, .. }
            | Self::Stat { path, follow: true } => vec![(path.as_slice(), Followed)],
            Self::Write(write) if write.parents => vec![(write.path.as_slice(), Ending::New)],
            Self::Write(write) => vec![(write.path.as_slice(), Followed)],
            Self::MakeDirectory { path, parents: true, .. } => {
                vec![(path.as_slice(), Ending::New)]
            }
            Self::Stat { path, .. }
            | Self::MakeDirectory { path, .. }
            | Self::Remove { path, .. }
            | Self::Link { path, .. } => vec![(path.as_slice(), Itself)],
            Self::Move { from, to, .. } => {
                vec![(from.as_slice(), Itself), (to.as_slice(), Itself)]
            }
            Self::Get { files } => {
                files.iter().map(|part| (part.path.as_slice(), Followed)).collect()
            }
            Self::Put(put) => {
                let ending = |item: &Item| match item.what {
                    What::Gone { .. } => Itself,
                    _ => Ending::New,
                };
                put.items.iter().map(|item| (item.path.as_slice(), ending(item))).collect()
            }
            Self::Attributes(Attributes { path, follow: true, .. }) => {
                vec![(path.as_slice(), Followed)]
            }
            Self::Attributes(Attributes { path, .. }) => vec![(path.as_slice(), Itself)],
            // Some systems give the name to what a link leads to.
            Self::HardLink { file, link } => {
                vec![(file.as_slice(), Followed), (link.as_slice(), Itself)]
            }
            Self::Served { served, .. } => {
                let paths = served.paths().iter();
                paths.map(|named| (named.path.as_slice(), named.kind.ending())).collect()
            }
        }
    }

    /// The command that would do the same to these paths: what the guard is asked about, so that one policy
    /// holds for both.
    pub fn command(&self, at: &[Vec<u8>]) -> Vec<u8> {
        let path = |number: usize| at.get(number).map(|path| plain(path)).unwrap_or_default();
        let words = |words: &[&str], paths: Vec<Vec<u8>>| {
            let words = words.iter().map(|word| word.as_bytes().to_vec()).chain(paths);
            // A path with a NUL byte is refused before.
            shell::quote_argv(&words.collect::<Vec<_>>()).unwrap_or_default()
        };
        match self {
            Self::List { depth: 0 | 1, .. } => words(&["ls", "-la", "--"], vec![path(0)]),
            Self::List { .. } => words(&["ls", "-laR", "--"], vec![path(0)]),
            Self::Stat { .. } => words(&["stat", "--"], vec![path(0)]),
            Self::Read { .. } => words(&["cat", "--"], vec![path(0)]),
            Self::Tail { .. } => words(&["tail", "--"], vec![path(0)]),
            Self::Sum { .. } => words(&["sha256sum", "--"], vec![path(0)]),
            Self::Space { .. } => words(&["df", "--"], vec![path(0)]),
            Self::Write(write) => {
                let to = if write.how == How::Append { &b"cat >> "[..] } else { b"cat > " };
                let line = [to, &words(&[], vec![path(0)])].concat();
                match write.mode {
                    Some(mode) => [line, b"; ".to_vec(), chmod(mode, path(0))].concat(),
                    None => line,
                }
            }
            Self::MakeDirectory { mode, .. } => match mode {
                Some(mode) => words(&["mkdir", "-m", &format!("{mode:04o}"), "--"], vec![path(0)]),
                None => words(&["mkdir", "--"], vec![path(0)]),
            },
            Self::Move { replace: true, .. } => words(&["mv", "-fT", "--"], vec![path(0), path(1)]),
            Self::Move { .. } => words(&["mv", "-nT", "--"], vec![path(0), path(1)]),
            Self::Remove { recursive: true, .. } => words(&["rm", "-r", "--"], vec![path(0)]),
            Self::Remove { .. } => words(&["rm", "--"], vec![path(0)]),
            Self::SetMode { mode, .. } => chmod(*mode, path(0)),
            Self::Link { target, .. } => {
                words(&["ln", "-sT", "--"], vec![plain(target.as_slice()), path(0)])
            }
            Self::Put(put) if put.removes() => words(&["rm", "-r", "--"], plainly(at)),
            // These are judged by their paths alone; the words bind what was judged.
            Self::Get { .. } => words(&["cat", "--"], at.to_vec()),
            Self::Put(_) => words(&["put", "--"], at.to_vec()),
            Self::Attributes(attributes) => attributes.command(&path(0)),
            Self::HardLink { .. } => words(&["ln", "-T", "--"], vec![path(0), path(1)]),
            Self::Served { served, .. } => served.line(at).unwrap_or_default(),
        }
    }

    /// Whether one command would do the same. Others are judged by their paths alone.
    pub fn is_a_command(&self) -> bool {
        match self {
            Self::Get { .. } => false,
            Self::Put(put) => put.removes(),
            _ => true,
        }
    }

    /// Keeps what was found at the paths of many files, so that nobody asks again.
    pub fn saw(&mut self, seen: Vec<Option<Attrs>>) {
        if let Self::Get { files } = self {
            files.iter_mut().zip(seen).for_each(|(part, seen)| part.seen = seen);
        }
    }

    /// The links that it makes: their places among the paths, and what they will hold.
    pub fn links(&self) -> Vec<(usize, &[u8])> {
        match self {
            Self::Link { target, .. } => vec![(0, target.as_slice())],
            Self::Put(put) => {
                let each = put.items.iter().enumerate();
                each.filter_map(|(index, item)| match &item.what {
                    What::Link { target } => Some((index, target.as_slice())),
                    _ => None,
                })
                .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Keeps where links will lead, by their places.
    pub fn lead(&mut self, led: Vec<(usize, Vec<u8>)>) {
        for (index, to) in led {
            match self {
                Self::Link { leads, .. } => *leads = Some(Bytes(to)),
                Self::Put(put) => {
                    if let Some(item) = put.items.get_mut(index) {
                        item.leads = Some(Bytes(to));
                    }
                }
                _ => {}
            }
        }
    }

    /// What was found is not so any more, perhaps.
    pub fn forget(&mut self) {
        if let Self::Get { files } = self {
            files.iter_mut().for_each(|part| part.seen = None);
        }
    }

    /// What is there for the question alone: no part of what is done, or on record.
    pub fn take_texts(&mut self) -> Vec<(usize, Bytes)> {
        match self {
            Self::Put(put) => std::mem::take(&mut put.texts),
            _ => Vec::new(),
        }
    }

    /// Marks those of many files that are not touched.
    pub fn refuse(&mut self, refused: &[(usize, String)]) {
        for (index, rule) in refused {
            let place = match self {
                Self::Get { files } => files.get_mut(*index).map(|part| &mut part.refused),
                Self::Put(put) => put.items.get_mut(*index).map(|item| &mut item.refused),
                _ => None,
            };
            if let Some(place) = place {
                *place = Some(rule.clone());
            }
        }
    }

    /// A directory that would be moved to where it is itself, at these paths.
    pub fn moves_into_itself(&self, at: &[Vec<u8>]) -> bool {
        let (Self::Move { .. }, [from, to]) = (self, at) else { return false };
        to.strip_prefix(from.as_slice()).is_some_and(|rest| rest.starts_with(b"/"))
    }

    /// The verb of `sgw files`.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::List { .. } => "ls",
            Self::Stat { .. } => "stat",
            Self::Read { .. } => "read",
            Self::Tail { .. } => "tail",
            Self::Sum { .. } => "sum",
            Self::Space { .. } => "df",
            Self::Write(_) => "write",
            Self::MakeDirectory { .. } => "mkdir",
            Self::Move { .. } => "mv",
            Self::Remove { .. } => "rm",
            Self::SetMode { .. } => "chmod",
            Self::Link { .. } => "ln",
            Self::Get { .. } => "get",
            Self::Put(_) => "put",
            Self::Attributes(_) => "attributes",
            Self::HardLink { .. } => "hardlink",
            Self::Served { served, .. } => served.verb(),
        }
    }
}

/// A name for the guard, which reads text: what no command line should hold (a control character, bytes that
/// are no text) stands as U+FFFD with its number, since here it is the file's name and nothing else.
fn plain(path: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    for chunk in path.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                ' '..='~' => text.push(char),
                char if char.is_alphanumeric() => text.push(char),
                char => text.push_str(&format!("\u{fffd}{:x}", u32::from(char))),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\u{fffd}x{byte:02x}"));
        }
    }
    text.into_bytes()
}

/// Those that lead somewhere.
fn plainly(at: &[Vec<u8>]) -> Vec<Vec<u8>> {
    at.iter().filter(|path| !path.is_empty()).map(|path| plain(path)).collect()
}

fn chmod(mode: u32, path: Vec<u8>) -> Vec<u8> {
    let words = [b"chmod".to_vec(), format!("{mode:04o}").into_bytes(), b"--".to_vec(), path];
    shell::quote_argv(&words).unwrap_or_default()
}

/// What a path's last name is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Where it is a link, what that leads to.
    Followed,
    /// Itself, whatever it is.
    Itself,
    /// It, and names before it, may not be there.
    New,
}

/// Looking where the paths of an operation lead, before it is judged: nobody but sgw hears of it.
#[derive(Clone, Debug)]
pub struct Look {
    pub session: Id,
}

/// An operation in a session, with all that it will be.
#[derive(Clone, Debug)]
pub struct Files {
    pub session: Id,
    pub operation: Operation,
    pub way: Way,
    /// Its paths as the server resolved them, in their order.
    pub at: Vec<Vec<u8>>,
    /// What is written: all of it.
    pub content: Option<Content>,
    /// What the contents take the place of, where a person is asked.
    pub replaced: Vec<Replaced>,
    /// How many bytes may be read or written at each of the paths, where the policy says so.
    pub caps: Vec<Option<u64>>,
    /// Whether who asks may read without a question what is written over, and so may hear its SHA-256.
    pub tells_sum: bool,
    /// What the guard said of [`Files::command`].
    pub judged: Judgement,
    /// Requests whose yes was kept for the session, and let it pass.
    pub passed_by: Vec<Id>,
}

impl Files {
    pub fn command(&self) -> Vec<u8> {
        self.way.command(&self.operation, &self.at)
    }

    /// SHA-256 of what is written.
    pub fn sum(&self) -> Option<String> {
        self.content.as_deref().map(sum)
    }

    /// In a line: the operation, and where it leads.
    pub fn in_short(&self) -> Bytes {
        let mut line = format!("files {}", self.operation.verb());
        for path in self.at.iter().take(FEW) {
            line.push(' ');
            line.push_str(&escape::exact(path, SHOWN));
        }
        if self.at.len() > FEW {
            line.push_str(&format!(" … {} paths in all", self.at.len()));
        }
        if let Operation::Link { target, .. } = &self.operation {
            line.push_str(&format!(" -> {}", escape::exact(target.as_slice(), SHOWN)));
        }
        Bytes(line.into_bytes())
    }

    /// What a person decides on: the operation, where it leads, and what would be written.
    pub fn in_full(&self) -> Bytes {
        let mut line = format!("files {}", self.operation.verb());
        if self.way == Way::Sudo {
            line.push_str(" as root, by sudo:");
        }
        if let Operation::Put(put) = &self.operation {
            for (item, path) in put.items.iter().zip(&self.at) {
                line.push_str(&format!("\n{} {}", escape::exact(path, SHOWN), item.what));
            }
            return Bytes(line.into_bytes());
        }
        for path in &self.at {
            line.push(' ');
            line.push_str(&escape::exact(path, SHOWN));
        }
        match &self.operation {
            Operation::Write(write) => {
                line.push_str(match write.how {
                    How::Replace => "",
                    How::Create => " (only where nothing is)",
                    How::Append => " (behind what is there)",
                });
                if let Some(mode) = write.mode {
                    line.push_str(&format!(" mode {mode:04o}"));
                }
            }
            Operation::SetMode { mode, .. } => line.push_str(&format!(" mode {mode:04o}")),
            Operation::Attributes(attributes) => line.push_str(&attributes.told()),
            Operation::Remove { recursive: true, .. } => line.push_str(" with all that is in it"),
            Operation::Move { replace: true, .. } => {
                line.push_str(" in place of what is there (-f)");
            }
            Operation::Link { target, .. } => {
                line.push_str(&format!(" -> {}", escape::exact(target.as_slice(), SHOWN)));
            }
            _ => {}
        }
        if let Some(content) = &self.content {
            let (size, sum) = (content.len(), sum(content));
            line.push_str(&format!("\n{size} bytes, sha256 {sum}"));
            if self.shows_no_diff()
                && let Ok(text) = std::str::from_utf8(content)
            {
                let shown = &text[..text.floor_char_boundary(TEXT)];
                line.push_str(":\n");
                line.push_str(shown);
                if shown.len() < size {
                    line.push_str(&format!("\n… and {} bytes more", size - shown.len()));
                }
            }
        }
        Bytes(line.into_bytes())
    }

    /// Where a change of what is there is shown, what would be there stands in it.
    fn shows_no_diff(&self) -> bool {
        let shown = |one: &Replaced| {
            one.before != replaced::Before::Nothing
                && matches!(one.change, replaced::Change::Diff { .. })
        };
        !self.replaced.iter().any(shown)
    }

    /// The most that may be read or written at one of the paths.
    pub fn cap(&self, index: usize) -> Option<u64> {
        self.caps.get(index).copied().flatten()
    }

    pub fn sameness(&self, identity: &Identity) -> Digest {
        self.fields(Digester::new("files"), identity).finish()
    }

    /// `place` as for [`super::action::Exec::digest`].
    pub fn digest(
        &self,
        identity: &Identity,
        request: &Id,
        until: jiff::Timestamp,
        place: &str,
    ) -> Digest {
        let head = self.judged.bind(Digester::new("files request"));
        let head = head.text("id", request).text("until", until).text("place", place);
        self.fields(head.text("channel", self.way), identity).finish()
    }

    fn fields(&self, digester: Digester, identity: &Identity) -> Digester {
        // It has no map and no number that JSON can't hold.
        let operation = serde_json::to_vec(&self.operation).unwrap_or_default();
        let head = digester
            .text("identity", identity)
            .text("session", &self.session)
            .text("way", self.way)
            .field("operation", &operation)
            .optional("content", self.sum());
        let head = self.at.iter().fold(head, |head, path| head.field("path", path));
        self.replaced.iter().fold(head, |head, one| one.before.bind(head.text("index", one.index)))
    }
}

/// SHA-256, in hexadecimal digits.
pub fn sum(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

/// How what takes a secret's place in output begins. Whoever writes it back into a file would put it in the
/// secret's place there, too.
pub const REDACTED: &str = "[sgw:redacted";

#[cfg(test)]
mod tests;
