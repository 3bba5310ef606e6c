//! Files that agents brought, and those that the line itself writes or moves.

use std::collections::HashMap;

use super::{Arguments, Walk};
use crate::domain::guard::{
    Content, Files,
    field::{self, Data, Field, UNKNOWN},
    paths,
    syntax::Span,
};

/// Files that a line writes of which it is told what they hold, and how many bytes of it.
const MAX_WRITTEN: usize = 32;
const MAX_TOLD: usize = 8 * 1024;
/// Places that a line puts something into, beyond which anything may lie anywhere.
const MAX_MOVED: usize = 128;

/// What of git writes files.
const GIT: [&str; 17] = [
    "checkout",
    "switch",
    "pull",
    "merge",
    "rebase",
    "reset",
    "restore",
    "stash",
    "apply",
    "am",
    "worktree",
    "cherry-pick",
    "revert",
    "submodule",
    "clean",
    "clone",
    "mv",
];

/// What a line does to places, in its order.
#[derive(Default)]
pub(super) struct Moved {
    /// What is known of them now.
    files: Files,
    all: Vec<(String, Content)>,
}

impl Walk<'_> {
    /// What an agent's file holds; without a text where that is not known.
    pub(super) fn brought(&self, path: &str) -> Option<Data> {
        let lost = (!path.starts_with(['/', field::HOME]) && self.is_lost())
            .then(|| format!("{UNKNOWN}/{path}"));
        let path = lost.as_deref().unwrap_or(path);
        let known = |files: &Files| files.content(path);
        let (file, content) =
            known(&self.moved.files).or_else(|| self.context.files.and_then(known))?;
        let text = match content {
            Content::Text(text) => Some(text.to_string()),
            Content::Unknown | Content::Place | Content::Link(_) => None,
        };
        Some(Data { text, file: Some(file), ..Data::default() })
    }

    /// Whether what it holds is known, from the line or before.
    pub(super) fn is_written(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.is_brought(path)
    }

    /// Whether an agent wrote the file, so that it is none of the server's own.
    pub(super) fn is_brought(&self, path: &str) -> bool {
        self.brought(path).is_some()
    }

    /// The line went to a directory that only the server knows.
    fn is_lost(&self) -> bool {
        self.here().is_some_and(|field| !field.is_known())
    }

    /// Whether an agent's file may be there, or below.
    fn touches(&self, path: &str) -> bool {
        self.files.keys().any(|file| fits_vague(path, file))
            || self.moved.files.touches(path)
            || self.context.files.is_some_and(|files| files.touches(path))
    }

    /// Whatever lies there or below is not known any more.
    fn unsure(&mut self, path: &str, content: Content) {
        let full = self.moved.all.len() >= MAX_MOVED;
        let (path, content) = if full { ("/", Content::Place) } else { (path, content) };
        let mut one = Files::default();
        one.set(path, Content::Place);
        for (file, data) in &mut self.files {
            if one.content(file).is_some() || is_vague(path) && fits_vague(path, file) {
                *data = Data { from: data.from.clone(), ..Data::default() };
            }
        }
        self.moved.files.set(path, content.clone());
        if self.moved.all.len() <= MAX_MOVED {
            self.moved.all.push((path.to_owned(), content));
        }
    }

    /// What is written through a link is written elsewhere.
    pub(super) fn behind_link(&mut self, path: &str) {
        let mut real = self.moved.files.behind_links(path);
        real.extend(self.context.files.iter().flat_map(|files| files.behind_links(path)));
        for path in real {
            self.files.insert(path, Data::default());
        }
    }

    /// What programs do that move, copy, link or unpack more than one file, or one that may be a directory.
    pub(super) fn moves(&mut self, name: &str, arguments: &Arguments, span: Span) {
        let target = ["t", "target-directory"].iter().find_map(|flag| arguments.value(flag));
        let operands = arguments.operands.as_slice();
        let (sources, to) = match (target, operands) {
            (Some(target), sources) => (sources, Some(target)),
            (None, [sources @ .., to]) => (sources, Some(to)),
            (None, []) => (operands, None),
        };
        let all = |walk: &Self, fields: &[Field]| -> Vec<String> {
            fields.iter().map(|field| walk.path(place_of(&field.text))).collect()
        };
        match name {
            "ln" | "gln" | "link" => self.links_made(sources, to, arguments),
            "mv" | "gmv" | "cp" | "gcp" | "pcp" | "install" | "ginstall" => {
                let deep =
                    ["r", "R", "a", "recursive", "archive"].iter().any(|flag| arguments.has(flag));
                let moves = matches!(name, "mv" | "gmv");
                if let Some(to) = to {
                    self.copied(sources, to, target.is_some(), moves, deep || moves);
                }
            }
            "rsync" | "scp" | "pscp" | "rcp" => {
                let places = all(self, operands);
                let Some((to, _)) = places.split_last() else { return };
                if places.iter().any(|path| self.touches(path)) {
                    self.unsure(to, Content::Place);
                }
            }
            "rename" | "prename" | "mmv" | "file-rename" | "rename.ul" | "perl-rename" => {
                for path in all(self, operands) {
                    let parent = parent(&path).to_owned();
                    if self.touches(&parent) {
                        self.unsure(&parent, Content::Place);
                    }
                }
            }
            "tar" | "bsdtar" | "gtar" | "star" | "unzip" | "7z" | "7za" | "7zz" | "7zr"
            | "unrar" | "rar" | "cpio" | "gcpio" | "pax" | "git" | "svn" | "hg" | "patch"
            | "zip" => {
                self.unpacked(name, arguments);
            }
            "make" | "gmake" | "bmake" | "ninja" | "just" => self.runs_makefile(arguments, span),
            _ => self.copied_by_flag(name, arguments),
        }
    }

    /// Programs that write what they are given to where they are told.
    fn copied_by_flag(&mut self, name: &str, arguments: &Arguments) {
        let told = ["o", "output", "out", "output-file"];
        let mut to: Vec<Field> =
            told.iter().filter_map(|flag| arguments.value(flag)).cloned().collect();
        if matches!(name, "uniq" | "guniq" | "xxd" | "cpp" | "csplit" | "split")
            && let [_, file, ..] = arguments.operands.as_slice()
        {
            to.push(file.clone());
        }
        if to.is_empty()
            || !arguments.operands.iter().any(|from| self.touches(&self.path(&from.text)))
        {
            return;
        }
        for file in to {
            let path = self.path(&file.text);
            self.write(path, Data::default());
        }
    }

    /// Programs that write many files of which the line says nothing.
    fn unpacked(&mut self, name: &str, arguments: &Arguments) {
        let values = arguments.flags.iter().filter_map(|flag| flag.value.as_ref());
        let named: Vec<String> =
            values.chain(&arguments.operands).map(|field| self.path(&field.text)).collect();
        let into = ["C", "directory", "d", "D", "work-tree"];
        let into = into.iter().find_map(|flag| arguments.value(flag));
        let into = into.map_or_else(|| self.path("."), |field| self.path(&field.text));
        let first = arguments.operands.first().map(|first| first.text.as_str()).unwrap_or_default();
        let has = |flags: &[&str]| flags.iter().any(|flag| arguments.has(flag));
        let (unpacks, makes) = match name {
            "tar" | "bsdtar" | "gtar" | "star" => {
                let old = first.chars().all(|char| char.is_ascii_lowercase());
                let extracts = has(&["x", "extract", "get"]) || old && first.contains('x');
                (extracts, !extracts)
            }
            "zip" => (false, true),
            "git" => (GIT.contains(&first), false),
            "cpio" | "gcpio" | "pax" => (has(&["i", "r", "p", "extract"]), has(&["o"])),
            _ => (true, true),
        };
        let given = self.stdin.text.is_none() && self.stdin.from.is_empty();
        let given = given && self.stdin.file.is_none() && !matches!(name, "git" | "svn" | "hg");
        let touched = named.iter().chain([&into]).any(|path| self.touches(path));
        if unpacks && (touched || given) {
            self.unsure(&into, Content::Place);
        }
        for path in named {
            let is_path = path.contains(['.', '/']) && !path.starts_with('-');
            if touched && is_path && (makes || name == "git" && unpacks) {
                self.unsure(&path, Content::Place);
            }
        }
    }

    /// Programs that run what a file of their own tells.
    fn runs_makefile(&mut self, arguments: &Arguments, span: Span) {
        let told = ["f", "file", "makefile", "justfile"];
        let into = ["C", "directory"].iter().find_map(|flag| arguments.value(flag));
        let names = match told.iter().find_map(|flag| arguments.value(flag)) {
            Some(file) => vec![file.text.as_str()],
            None => vec!["Makefile", "makefile", "GNUmakefile", "justfile", "build.ninja"],
        };
        let brought = names.iter().any(|name| {
            let path = match into {
                Some(into) if !name.starts_with('/') => format!("{}/{name}", into.text),
                _ => (*name).to_owned(),
            };
            self.is_written(&self.path(&path))
        });
        if brought {
            self.opaque("opaque.script", span);
        }
    }

    fn copied(&mut self, sources: &[Field], to: &Field, inside: bool, moves: bool, deep: bool) {
        let target = self.path(&to.text);
        for source in sources {
            let from = self.path(place_of(&source.text));
            let data = self.content(source);
            let last = from.rsplit('/').next().unwrap_or_default().to_owned();
            let within = paths::normal(&format!("{target}/{last}"), None);
            let one = data.text.is_some() && !is_vague(&from);
            let literal = !is_vague(&from) && !is_vague(&target);
            if one || literal && !deep {
                self.write(within, data);
                continue;
            }
            if self.touches(&from) || self.touches(&target) {
                let only = inside || to.text.ends_with('/');
                let place = if only && literal { &within } else { &target };
                self.unsure(place, Content::Place);
                if moves {
                    self.unsure(&from, Content::Place);
                }
            }
        }
    }

    fn links_made(&mut self, sources: &[Field], to: Option<&Field>, arguments: &Arguments) {
        let soft = arguments.has("s") || arguments.has("symbolic");
        let alone = sources.is_empty();
        let here = Field::new(".", Default::default());
        let (sources, to) = match to {
            Some(to) if alone => (std::slice::from_ref(to), &here),
            Some(to) => (sources, to),
            None => return,
        };
        let link = self.path(&to.text);
        for source in sources {
            let last = source.text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let within = paths::normal(&format!("{link}/{last}"), None);
            for link in [&link, &within] {
                if link == "." || alone && *link != within {
                    continue;
                }
                let absolute = source.text.starts_with(['/', field::HOME]);
                let real = match soft && !absolute {
                    true => paths::normal(&format!("{}/{}", parent(link), source.text), None),
                    false => self.path(&source.text),
                };
                if real != *link {
                    self.unsure(link, Content::Link(real.into()));
                }
            }
        }
    }
}

/// Where a glob may lead; what it means is below.
fn place_of(text: &str) -> &str {
    text.strip_suffix("/.").unwrap_or(text)
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) => "/",
        Some(at) => &path[..at],
        None => ".",
    }
}

/// What a line leaves in files and places, for commands that come later.
pub(super) fn written(files: HashMap<String, Data>, moved: Moved) -> Vec<(String, Content)> {
    let mut files: Vec<_> = files.into_iter().filter(|(path, _)| is_told(path)).collect();
    // What holds others comes before them.
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    // Each costs the line at least a few bytes.
    let all = files.into_iter().enumerate();
    let files = all.map(|(at, (path, data))| told(path, data, at < MAX_WRITTEN));
    moved.all.into_iter().chain(files).collect()
}

/// Whether it may be several files.
fn is_vague(path: &str) -> bool {
    path.trim_start_matches(field::HOME).contains(field::is_mark)
}

/// Whether what such a path means may be a file of the line's.
fn fits_vague(path: &str, file: &str) -> bool {
    let mut one = Files::default();
    one.set(file, Content::Unknown);
    one.touches(path)
}

/// Whether it says anything of where it lies.
fn is_told(path: &str) -> bool {
    let starts = path.trim_start_matches(field::HOME);
    !path.starts_with("/dev/") && !starts.starts_with(field::is_mark)
}

fn told(path: String, data: Data, with_text: bool) -> (String, Content) {
    let text = data.text.filter(|text| with_text && text.len() <= MAX_TOLD);
    (path, text.map_or(Content::Unknown, |text| Content::Text(text.into())))
}
