//! `ls`, `stat`, `sum`, `df`.

use std::ffi::OsString;

use globset::GlobBuilder;
use serde_json::json;

use super::{There, captured, each, end, path, shown};
use crate::{
    cli::{
        Context, Outcome, times,
        ui::{Table, exit::Exit},
    },
    domain::{bytes::Bytes, escape, files::Operation},
    protocol::{
        error::{Code, Failure},
        files::{Done, Entry, Type},
    },
};

/// What is kept of a listing, in bytes.
const LISTING: usize = 128 * 1024 * 1024;
/// How deep `**` and -R look.
const DEEP: u32 = 64;
/// So many directories that may not be read are named.
const UNREAD: usize = 10;

/// List directories
///
/// Names that begin with a dot are listed too. `*`, `?`, `[…]` and, for any number of directories, `**` stand
/// for names where they are quoted for your own shell; nothing that fits is files.not_found. Names are escaped: one a
/// line, whatever they hold. What a pattern fits, and a file, is told by its path as it was asked for, which can be
/// passed on; what is in a directory is told from there.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files ls s-4fk
  sgw files ls s-4fk -l /var/log
  sgw files ls s-4fk '/etc/nginx/*/*.conf'
  sgw files ls s-4fk -R --depth 2 /srv --json")]
pub struct Ls {
    #[command(flatten)]
    there: There,
    /// What to list [default: the account's home]
    #[arg(value_name = "PATH", default_value = ".", hide_default_value = true)]
    path: OsString,
    /// Type and rights, owner, group, size and time too
    #[arg(short, long)]
    long: bool,
    /// Directories in directories too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// How many directories deep [default: 1; with -R 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    depth: Option<u32>,
    /// All are listed anyway
    #[arg(short, hide = true)]
    all: bool,
}

impl Ls {
    pub fn run(self, context: &Context) -> Outcome {
        let depth = self.depth.unwrap_or(if self.recursive { DEEP } else { 1 });
        let asked = path(self.path);
        let pattern = Pattern::of(asked.clone(), depth)?;
        let operation = Operation::List { path: pattern.base.clone(), depth: pattern.depth };
        let (done, bytes, cut) =
            context.interactive(captured(context, &self.there, operation, LISTING))?;
        let mut entries = read(&bytes)?;
        entries.retain(|entry| pattern.fits(entry));
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries.iter_mut().for_each(|entry| pattern.ask_by(&asked, entry));
        if pattern.names.is_some() && entries.is_empty() {
            let message = format!("nothing there fits {}", escape::exact(asked.as_slice(), 300));
            let hint = "sgw files ls SESSION DIRECTORY shows what is there";
            return Err(self.there.named(Failure::new(Code::FilesNotFound, message, hint)).into());
        }
        let Done::Listing { path, truncated, unread, .. } = done else {
            return Err(super::odd().into());
        };
        let truncated = truncated || cut > 0;
        if context.ui.json {
            context.ui.object(&json!({
                "kind": "listing",
                "path": path,
                "entries": entries,
                "truncated": truncated,
                "unread": unread,
            }));
            return Ok(Exit::DONE);
        }
        let mut table = Table::default();
        for entry in &entries {
            match self.long {
                true => table.row(columns(entry)),
                false => table.row(vec![shown(&entry.path)]),
            }
        }
        let text = table.text();
        if !text.is_empty() {
            context.ui.line(text.trim_end_matches('\n'));
        }
        if truncated {
            context.ui.note(&not_all(&unread));
        }
        Ok(Exit::DONE)
    }
}

/// Which directories are missing, where it is known.
fn not_all(unread: &[Bytes]) -> String {
    if unread.is_empty() {
        return "not all is listed: there is too much, or it changed meanwhile; list its directories one by one"
            .to_owned();
    }
    let named: Vec<String> = unread.iter().take(UNREAD).map(shown).collect();
    let more = match unread.len().saturating_sub(UNREAD) {
        0 => String::new(),
        more => format!(" and {more} more (--json names them)"),
    };
    format!("not all is listed: these may not be read: {}{more}", named.join(", "))
}

/// Entries, a line of JSON each; the last may be cut.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Entry>, Failure> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let entries = lines.map(serde_json::from_slice).collect::<Result<Vec<Entry>, _>>();
    entries.map_err(|_| super::odd())
}

/// What is listed, and which of it is meant.
struct Pattern {
    base: Bytes,
    /// What stands before the pattern in what was asked for.
    before: Vec<u8>,
    depth: u32,
    names: Option<globset::GlobMatcher>,
}

impl Pattern {
    fn of(path: Bytes, depth: u32) -> Result<Self, Failure> {
        let is_glob = |name: &&[u8]| name.iter().any(|byte| b"*?[".contains(byte));
        let parts: Vec<&[u8]> = path.0.split(|byte| *byte == b'/').collect();
        let Some(first) = parts.iter().position(is_glob) else {
            return Ok(Self { base: path, before: Vec::new(), depth, names: None });
        };
        let pattern = parts[first..].join(&b'/');
        let wrong = || {
            let message = "this pattern can't be read";
            Failure::new(Code::UsageArguments, message, "sgw files ls --help")
        };
        let text = std::str::from_utf8(&pattern).map_err(|_| wrong())?;
        let glob = GlobBuilder::new(text).literal_separator(true).build().map_err(|_| wrong())?;
        let deep = parts[first..].iter().any(|name| *name == b"**");
        let depth = if deep { DEEP } else { (parts.len() - first) as u32 };
        let mut before = parts[..first].join(&b'/');
        if first > 0 {
            before.push(b'/');
        }
        let base = match parts[..first].join(&b'/') {
            base if !base.is_empty() => base,
            _ if first > 0 => b"/".to_vec(),
            _ => b".".to_vec(),
        };
        Ok(Self { base: Bytes(base), before, depth, names: Some(glob.compile_matcher()) })
    }

    /// Its path as whoever asked would write it.
    fn ask_by(&self, asked: &Bytes, entry: &mut Entry) {
        if self.names.is_some() {
            entry.path = Bytes([self.before.as_slice(), entry.path.as_slice()].concat());
        } else if entry.path.as_slice().starts_with(b"/") {
            // A file is its own listing.
            entry.path = asked.clone();
        }
    }

    fn fits(&self, entry: &Entry) -> bool {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let path = OsStr::from_bytes(entry.path.as_slice());
        self.names.as_ref().is_none_or(|names| names.is_match(path))
    }
}

/// Show what is known of files
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files stat s-4fk /etc/hosts
  sgw files stat s-4fk --json -L /etc/localtime")]
pub struct Stat {
    #[command(flatten)]
    there: There,
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<OsString>,
    /// Of what a link leads to, not of the link
    #[arg(short = 'L', long)]
    follow: bool,
}

impl Stat {
    pub fn run(self, context: &Context) -> Outcome {
        let follow = self.follow;
        let operation = |given| Operation::Stat { path: path(given), follow };
        each(context, &self.there, self.paths, operation, super::said)
    }
}

/// Print SHA-256 of files
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files sum s-4fk /etc/hosts
  sgw files sum s-4fk a.tar.gz b.tar.gz")]
pub struct Sum {
    #[command(flatten)]
    there: There,
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<OsString>,
}

impl Sum {
    pub fn run(self, context: &Context) -> Outcome {
        let operation = |given| Operation::Sum { path: path(given) };
        each(context, &self.there, self.paths, operation, super::said)
    }
}

/// Show the room of the file system that a path lies on
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files df s-4fk
  sgw files df s-4fk /var --json")]
pub struct Df {
    #[command(flatten)]
    there: There,
    /// [default: the account's home]
    #[arg(value_name = "PATH", default_value = ".", hide_default_value = true)]
    path: OsString,
}

impl Df {
    pub fn run(self, context: &Context) -> Outcome {
        let operation = Operation::Space { path: path(self.path) };
        let done = context.interactive(end(context, &self.there, operation))?;
        context.ui.result(&done, || space(&done));
        Ok(Exit::DONE)
    }
}

pub fn space(done: &Done) -> String {
    let Done::Space { path, size, used, available, read_only, .. } = done else {
        return String::new();
    };
    let mut table = Table::new(&["SIZE", "USED", "AVAILABLE", "PATH"]);
    let path = match read_only {
        true => format!("{} (read-only)", shown(path)),
        false => shown(path),
    };
    table.row(vec![human(*size), human(*used), human(*available), path]);
    table.text()
}

/// `1.5G`, in units of 1024.
fn human(bytes: u64) -> String {
    let units = ["", "K", "M", "G", "T", "P", "E"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => bytes.to_string(),
        _ => format!("{value:.1}{}", units[unit]),
    }
}

/// One line of `ls -l`.
pub fn long(entry: &Entry) -> String {
    let mut table = Table::default();
    table.row(columns(entry));
    table.text().trim_end().to_owned()
}

fn columns(entry: &Entry) -> Vec<String> {
    let letter = match entry.r#type {
        Type::File => '-',
        Type::Directory => 'd',
        Type::Link => 'l',
        Type::Fifo => 'p',
        Type::Socket => 's',
        Type::Block => 'b',
        Type::Character => 'c',
        Type::Unknown => '?',
    };
    let number = |number: Option<u32>| number.map_or("?".to_owned(), |number| number.to_string());
    let mut name = shown(&entry.path);
    if let Some(target) = &entry.target {
        name = format!("{name} -> {}", shown(target));
    }
    vec![
        format!("{letter}{}", entry.mode.as_deref().map_or("?".to_owned(), rights)),
        number(entry.uid),
        number(entry.gid),
        entry.size.map_or("?".to_owned(), |size| size.to_string()),
        entry.modified_at.map_or("?".to_owned(), times::local),
        name,
    ]
}

/// `rw-r--r--`.
fn rights(mode: &str) -> String {
    let Ok(mode) = u32::from_str_radix(mode, 8) else { return "?".to_owned() };
    let mut text: Vec<char> = (0..9)
        .map(|place| if mode >> (8 - place) & 1 == 1 { ['r', 'w', 'x'][place % 3] } else { '-' })
        .collect();
    for (bit, place, on, off) in
        [(0o4000, 2, 's', 'S'), (0o2000, 5, 's', 'S'), (0o1000, 8, 't', 'T')]
    {
        if mode & bit != 0 {
            text[place] = if text[place] == 'x' { on } else { off };
        }
    }
    text.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_read_as_ls_has_them() {
        for (mode, text) in [
            ("0644", "rw-r--r--"),
            ("4755", "rwsr-xr-x"),
            ("1777", "rwxrwxrwt"),
            ("2640", "rw-r-S---"),
            ("0000", "---------"),
        ] {
            assert_eq!(rights(mode), text);
        }
    }

    #[test]
    fn a_pattern_lists_what_is_above_it() {
        let of = |path: &str| {
            let pattern = Pattern::of(path.into(), 1).unwrap();
            (pattern.base.to_text_lossy(), pattern.depth, pattern.names.is_some())
        };
        assert_eq!(of("/var/log"), ("/var/log".into(), 1, false));
        assert_eq!(of("/var/log/*.log"), ("/var/log".into(), 1, true));
        assert_eq!(of("/*/x?"), ("/".into(), 2, true));
        assert_eq!(of("*.conf"), (".".into(), 1, true));
        assert_eq!(of("a/**/b"), ("a".into(), DEEP, true));
        assert!(Pattern::of("/a/[".into(), 1).is_err());
    }

    #[test]
    fn what_a_pattern_fits_is_told_as_it_was_asked_for() {
        let told = |asked: &str, listed: &str| {
            let mut entry: Entry = serde_json::from_value(json!({
                "path": listed, "type": "file", "size": null, "mode": null, "uid": null, "gid": null,
                "modified_at": null, "target": null,
            }))
            .unwrap();
            Pattern::of(asked.into(), 1).unwrap().ask_by(&asked.into(), &mut entry);
            entry.path.to_text_lossy()
        };
        assert_eq!(told("a/*.conf", "x.conf"), "a/x.conf");
        assert_eq!(told("/*/x?", "b/x1"), "/b/x1");
        assert_eq!(told("*.conf", "x.conf"), "x.conf");
        assert_eq!(told("a", "x.conf"), "x.conf");
        assert_eq!(told("~/a", "/home/me/a"), "~/a");
    }

    #[test]
    fn what_may_not_be_read_is_named() {
        let all: Vec<Bytes> = (0..12).map(|n| format!("d{n}").as_str().into()).collect();
        let said = not_all(&all[..2]);
        assert!(said.ends_with("may not be read: d0, d1"), "{said}");
        assert!(not_all(&all).ends_with("d9 and 2 more (--json names them)"));
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(human(1023), "1023");
        assert_eq!(human(1536), "1.5K");
        assert_eq!(human(u64::MAX), "16.0E");
    }
}
