//! What the policy says of an operation on files: of paths as the server itself resolved them. For `sgw files`
//! and for what a client of the bridge sends, alike.
//!
//! # Where a path rule holds
//! For a grant of files without `exec`, `pty` and `forward` on that account: whoever runs a command there reads and
//! writes what the account may, past every rule here. And as far as the server tells the truth of its own names.
//!
//! # In which order
//! A name can come to mean another file between the question and the act. So whoever acts keeps to this order:
//! 1. *Resolve.* `realpath` of the name. Of one that is not there: `realpath` of its directory, and the name
//!    ([`Canonical::join`]), where `lstat` finds nothing. A link that leads nowhere is refused: what is written
//!    through it is made elsewhere.
//! 2. *Judge* the canonical paths, both where there are two; ask, where it is to be asked. A yes is for them.
//! 3. *Record* the intent.
//! 4. *Open the canonical path*, never the name that was given, and never with truncation: what is there without
//!    CREAT, what is not with CREAT and EXCL, which follows no link.
//! 5. *Check again*: `realpath` of the canonical path is itself; `fstat` of the handle says a regular file, and of the
//!    same size, owner and rights as `lstat` of the path. Otherwise close, and begin at 1, once; then `files.changed`.
//!    Not a byte was read or written so far.
//! 6. *Then the first byte.* To replace a file write a temporary one beside it and rename it, after step 5 for its
//!    directory; in place, truncate by the handle (`fsetstat`), not by the name.
//! 7. Beyond [`Verdict::up_to`] judge anew: sizes that a server tells may be lies.
//!
//! Who can change names only through sgw does not do it between 4 and 6: what makes a name lead elsewhere (`rename`,
//! `symlink`) waits on its account for what acts by names, and the other way round, and each looks again once it has
//! its turn. Against others who work on the server the order narrows the gap, and step 5 tells most of what slipped
//! through; SFTP 3 has no handle on a directory that would close it.
//!
//! What sgw itself writes stands under a name of its own until it is whole ([`RESERVED`]): nobody else gives
//! that name to anything, and it is looked at once more before it is renamed.
//!
//! What only one name of the file is judged by would be lost by giving it another: what is renamed or linked is judged at both
//! its names, and a directory with what the rules name below it.

mod canonical;
mod pattern;
mod reserved;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::Serialize;

pub use canonical::Canonical;
pub use pattern::{Names, Pattern};
pub use reserved::RESERVED;

use super::{
    Context, Decision, Mode, Policy,
    policy::{Direction, ModeClass},
};
use crate::domain::{bytes::Bytes, grant, served::Program};
use pattern::{fold, split};

/// What is asked in read mode: everything that changes something.
pub const READ_ONLY: &str = "mode.read";
/// What is asked where each step is.
pub const EACH: &str = "mode.each";
/// What no rule allows, where that is needed.
pub const UNMATCHED: &str = "unmatched";
/// The server would not say where a name leads.
pub const OPAQUE: &str = "opaque.path";

/// An operation on files, with all the names that it works on. Sizes in bytes, modes as chmod(2) has them.
#[derive(Clone, Copy, Debug)]
pub enum Act<'a> {
    /// Attributes, where a link leads, whether it is there.
    Look {
        path: &'a Canonical,
    },
    /// The names in a directory.
    List {
        path: &'a Canonical,
    },
    /// Content. The size as far as it is known.
    Read {
        path: &'a Canonical,
        size: Option<u64>,
    },
    /// Makes, replaces, appends, truncates. What it will have, as far as that is known.
    Write {
        path: &'a Canonical,
        size: Option<u64>,
        mode: Option<u32>,
    },
    /// Rights, owner, times.
    Attributes {
        path: &'a Canonical,
        mode: Option<u32>,
        owner: bool,
    },
    MakeDirectory {
        path: &'a Canonical,
        mode: Option<u32>,
    },
    /// A name that is no directory.
    Remove {
        path: &'a Canonical,
    },
    /// An empty directory.
    RemoveDirectory {
        path: &'a Canonical,
    },
    /// A directory with all that is in it.
    RemoveTree {
        path: &'a Canonical,
    },
    /// Where it is not known whether it is a directory it counts as one.
    Rename {
        from: &'a Canonical,
        to: &'a Canonical,
        directory: Option<bool>,
    },
    /// The target as the link will lead to it: whoever follows it reads and writes there.
    Symlink {
        link: &'a Canonical,
        target: &'a Canonical,
    },
    Hardlink {
        file: &'a Canonical,
        link: &'a Canonical,
    },
    /// On the server, from one file to another.
    Copy {
        from: &'a Canonical,
        to: &'a Canonical,
        size: Option<u64>,
    },
    /// Whatever a program finds beneath it.
    ReadTree {
        path: &'a Canonical,
    },
    /// By names beneath it that nobody knows before.
    WriteTree {
        path: &'a Canonical,
    },
    /// By a program of the server's that its client tells what to do.
    Served {
        path: &'a Canonical,
        program: Program,
    },
}

/// Where, for whom, and in which mode.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Target, token and day.
    pub context: Context<'a>,
    pub mode: grant::Mode,
    /// The directory that `~` in a pattern means: `realpath` of `.` where the session began.
    pub home: &'a Canonical,
}

/// What the policy says of an operation.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    #[serde(rename = "verdict")]
    pub decision: Decision,
    pub rule: Option<String>,
    pub reason: Option<String>,
    /// The name that decided.
    pub path: Option<Bytes>,
    /// As long as no more than this is read or written, in bytes; beyond, another verdict may hold.
    pub up_to: Option<u64>,
    /// All that was found, the strictest first.
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    #[serde(rename = "verdict")]
    pub decision: Decision,
    pub rule: String,
    pub reason: String,
    pub path: Bytes,
}

/// One thing that is done to one name.
struct Touch<'a> {
    path: &'a Canonical,
    how: How,
    /// What is below it is touched, too.
    deep: Deep,
    size: Option<u64>,
    mode: Option<u32>,
    owner: bool,
}

/// How far below its name something is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deep {
    Not,
    /// What rules name there.
    Named,
    /// Any name may come to be there.
    Any,
}

/// What a rule's direction is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Look,
    Read,
    /// As all that follow.
    Write,
    Remove,
    RemoveTree,
    MoveTree,
    Served(Program),
}

/// Judges an operation by the names that the server gave.
pub fn judge(act: &Act<'_>, place: &Place<'_>, policy: &Policy) -> Verdict {
    let defaults = policy.said_for(&place.context);
    let mode = match (place.mode, defaults.mode) {
        (grant::Mode::Guarded, Mode::Read) => grant::Mode::Read,
        (mode, _) => mode,
    };
    let homes = [place.home.text(), Cow::Owned(fold(&place.home.text()).into_owned())];
    let homes = [split(&homes[0]), split(&homes[1])];
    let mut findings = Vec::new();
    let mut up_to: Option<u64> = None;
    if let Some(path) = reserved::reserved(act) {
        findings.push(Finding {
            decision: Decision::Block,
            rule: RESERVED.to_owned(),
            reason: reserved::WHY.to_owned(),
            path: Bytes(path.as_bytes().to_vec()),
        });
    }
    for touch in act.touches() {
        let text = touch.path.text();
        let folded = fold(&text);
        let names = [Names::new(&text, &homes[0]), Names::new(&folded, &homes[1])];
        // What such a program reads and writes is judged, and to be allowed, beside it.
        let mut known = matches!(touch.how, How::Served(_));
        for rule in policy.file_rules().filter(|rule| rule.is_for(&place.context, mode)) {
            let allows = rule.decision == Decision::Allow;
            if !touch.how.is(rule.direction)
                || !rule.when_mode(touch.mode, touch.owner)
                || !rule.names(&names[0], &names[1], touch.deep)
            {
                continue;
            }
            let within = rule.max_size.is_none_or(|max| touch.size.is_none_or(|size| size <= max));
            if within && let Some(max) = rule.max_size {
                up_to = Some(up_to.map_or(max, |least| least.min(max)));
            }
            // Up to its size an allowing rule speaks, and one that stops is silent.
            if allows {
                known |= within;
            } else if rule.max_size.is_none() || !within {
                let lifted =
                    rule.decision == Decision::Approve && act.lifted(&rule.id, place, policy);
                // As with commands: it need not be asked, which is not to say that it only reads.
                match lifted {
                    true => known = true,
                    false => findings.push(touch.finding(rule.decision, &rule.id, &rule.reason)),
                }
            }
        }
        if mode == grant::Mode::Read && touch.how.is(Direction::Write) {
            let reason = "it changes something, and here only reading passes unasked";
            findings.push(touch.finding(Decision::Approve, READ_ONLY, reason));
        }
        if mode == grant::Mode::Each {
            findings.push(touch.finding(Decision::Approve, EACH, "each step is asked here"));
        }
        let lifted =
            || defaults.unmatched == Decision::Approve && act.lifted(UNMATCHED, place, policy);
        if !known && defaults.unmatched != Decision::Allow && !lifted() {
            let reason = "no rule allows this path";
            findings.push(touch.finding(defaults.unmatched, UNMATCHED, reason));
        }
    }
    Verdict::of(findings, up_to)
}

/// Where the server would not say where a name leads, or says what no path is.
pub fn unresolved(name: &[u8], place: &Place<'_>, policy: &Policy) -> Verdict {
    let defaults = policy.said_for(&place.context);
    // Nobody knows what it is: no word of the policy's makes that harmless.
    let decision = defaults.opaque.max(Decision::Approve);
    let finding = Finding {
        decision,
        rule: OPAQUE.to_owned(),
        reason: "the server does not say where this name leads".to_owned(),
        path: Bytes(name.to_vec()),
    };
    Verdict::of(vec![finding], None)
}

impl Verdict {
    fn of(findings: Vec<Finding>, up_to: Option<u64>) -> Self {
        let mut seen = Vec::<Finding>::new();
        for finding in findings {
            if !seen.contains(&finding) {
                seen.push(finding);
            }
        }
        // Of equals the first stays before.
        seen.sort_by_key(|finding| std::cmp::Reverse(finding.decision));
        let first = seen.first();
        Self {
            decision: first.map_or(Decision::Allow, |first| first.decision),
            rule: first.map(|first| first.rule.clone()),
            reason: first.map(|first| first.reason.clone()),
            path: first.map(|first| first.path.clone()),
            up_to,
            findings: seen,
        }
    }
}

impl<'a> Act<'a> {
    /// The operations' names, as examples and `[[allow]]` have them.
    pub const WORDS: [&'static str; 19] = [
        "look",
        "list",
        "read",
        "write",
        "attributes",
        "mkdir",
        "remove",
        "rmdir",
        "remove-tree",
        "rename",
        "symlink",
        "hardlink",
        "copy",
        "read-tree",
        "write-tree",
        "rsync",
        "scp",
        "fetch",
        "push",
    ];

    /// From a name of [`Act::WORDS`] and one path or two.
    pub fn named(word: &str, path: &'a Canonical, other: Option<&'a Canonical>) -> Option<Self> {
        let (size, mode) = (None, None);
        Some(match (word, other) {
            ("look", None) => Act::Look { path },
            ("list", None) => Act::List { path },
            ("read", None) => Act::Read { path, size },
            ("write", None) => Act::Write { path, size, mode },
            ("attributes", None) => Act::Attributes { path, mode, owner: false },
            ("mkdir", None) => Act::MakeDirectory { path, mode },
            ("remove", None) => Act::Remove { path },
            ("rmdir", None) => Act::RemoveDirectory { path },
            ("remove-tree", None) => Act::RemoveTree { path },
            ("rename", Some(to)) => Act::Rename { from: path, to, directory: None },
            ("symlink", Some(target)) => Act::Symlink { link: path, target },
            ("hardlink", Some(link)) => Act::Hardlink { file: path, link },
            ("copy", Some(to)) => Act::Copy { from: path, to, size },
            ("read-tree", None) => Act::ReadTree { path },
            ("write-tree", None) => Act::WriteTree { path },
            ("rsync", None) => Act::Served { path, program: Program::Rsync },
            ("scp", None) => Act::Served { path, program: Program::Scp },
            ("fetch", None) => Act::Served { path, program: Program::Fetch },
            ("push", None) => Act::Served { path, program: Program::Push },
            _ => return None,
        })
    }

    pub fn word(&self) -> &'static str {
        match self {
            Act::Look { .. } => "look",
            Act::List { .. } => "list",
            Act::Read { .. } => "read",
            Act::Write { .. } => "write",
            Act::Attributes { .. } => "attributes",
            Act::MakeDirectory { .. } => "mkdir",
            Act::Remove { .. } => "remove",
            Act::RemoveDirectory { .. } => "rmdir",
            Act::RemoveTree { .. } => "remove-tree",
            Act::Rename { .. } => "rename",
            Act::Symlink { .. } => "symlink",
            Act::Hardlink { .. } => "hardlink",
            Act::Copy { .. } => "copy",
            Act::ReadTree { .. } => "read-tree",
            Act::WriteTree { .. } => "write-tree",
            Act::Served { program, .. } => program.as_str(),
        }
    }

    /// Its names; of a link's two the link first, of others the one that is there already.
    pub fn paths(&self) -> (&'a Canonical, Option<&'a Canonical>) {
        match *self {
            Act::Look { path }
            | Act::List { path }
            | Act::Read { path, .. }
            | Act::Write { path, .. }
            | Act::Attributes { path, .. }
            | Act::MakeDirectory { path, .. }
            | Act::Remove { path }
            | Act::RemoveDirectory { path }
            | Act::RemoveTree { path }
            | Act::ReadTree { path }
            | Act::WriteTree { path }
            | Act::Served { path, .. } => (path, None),
            Act::Rename { from, to, .. } | Act::Copy { from, to, .. } => (from, Some(to)),
            Act::Symlink { link, target } => (link, Some(target)),
            Act::Hardlink { file, link } => (file, Some(link)),
        }
    }

    /// Whether an `[[allow]]` lifts what this rule asks: it has the operation and the names as its words. Never
    /// of a name that is no text.
    fn lifted(&self, rule: &str, place: &Place<'_>, policy: &Policy) -> bool {
        if policy.allows().is_empty() {
            return false;
        }
        let (path, other) = self.paths();
        let paths = [Some(path), other].into_iter().flatten().map(Canonical::text);
        let words: Vec<_> = std::iter::once(Cow::Borrowed(self.word())).chain(paths).collect();
        let text = words.iter().all(|word| !word.contains('\u{fffd}'));
        text && policy.lifts(rule, &words, &place.context)
    }

    fn touches(&self) -> Vec<Touch<'a>> {
        let one =
            |path, how| Touch { path, how, deep: Deep::Not, size: None, mode: None, owner: false };
        let deep = |path, how| Touch { deep: Deep::Named, ..one(path, how) };
        match *self {
            Act::Look { path } | Act::List { path } => vec![one(path, How::Look)],
            Act::Read { path, size } => vec![Touch { size, ..one(path, How::Read) }],
            Act::Write { path, size, mode } => {
                vec![Touch { size, mode, ..one(path, How::Write) }]
            }
            Act::Attributes { path, mode, owner } => {
                vec![Touch { mode, owner, ..one(path, How::Write) }]
            }
            Act::MakeDirectory { path, mode } => vec![Touch { mode, ..one(path, How::Write) }],
            Act::Remove { path } | Act::RemoveDirectory { path } => vec![one(path, How::Remove)],
            Act::RemoveTree { path } => vec![deep(path, How::RemoveTree)],
            Act::Rename { from, to, directory: Some(false) } => {
                vec![one(from, How::Write), one(from, How::Read), one(to, How::Write)]
            }
            // What lies in it can be read and written at its other name, which no rule may name.
            Act::Rename { from, to, .. } => {
                vec![deep(from, How::MoveTree), deep(from, How::Read), deep(to, How::Write)]
            }
            // The same, by a link to it.
            Act::Symlink { link, target } => {
                vec![deep(link, How::Write), deep(target, How::Read), deep(target, How::Write)]
            }
            Act::Hardlink { file, link } => {
                vec![one(file, How::Read), one(file, How::Write), one(link, How::Write)]
            }
            Act::Copy { from, to, size } => {
                let sized = |path, how| Touch { size, ..one(path, how) };
                vec![sized(from, How::Read), sized(to, How::Write)]
            }
            Act::ReadTree { path } => vec![deep(path, How::Read)],
            Act::WriteTree { path } => {
                vec![Touch { deep: Deep::Any, ..one(path, How::Write) }]
            }
            Act::Served { path, program } => vec![one(path, How::Served(program))],
        }
    }
}

impl Touch<'_> {
    fn finding(&self, decision: Decision, rule: &str, reason: &str) -> Finding {
        Finding {
            decision,
            rule: rule.to_owned(),
            reason: reason.to_owned(),
            path: Bytes(self.path.as_bytes().to_vec()),
        }
    }
}

impl How {
    fn is(self, direction: Direction) -> bool {
        match direction {
            Direction::Any => !matches!(self, How::Served(_)),
            Direction::Look => self == How::Look,
            Direction::Read => self == How::Read,
            Direction::Write => !matches!(self, How::Look | How::Read | How::Served(_)),
            Direction::Remove => matches!(self, How::Remove | How::RemoveTree),
            Direction::Tree => matches!(self, How::RemoveTree | How::MoveTree),
            Direction::Rsync => self == How::Served(Program::Rsync),
            Direction::Scp => self == How::Served(Program::Scp),
            Direction::Fetch => self == How::Served(Program::Fetch),
            Direction::Push => self == How::Served(Program::Push),
        }
    }
}

/// Whether a pattern (`*`, `?`, `[a-z]`) fits a name.
pub fn name_fits(pattern: &str, name: &str) -> bool {
    super::paths::glob(pattern, name)
}

/// Whether rights are of this kind.
pub fn is_of(class: ModeClass, mode: u32) -> bool {
    match class {
        ModeClass::Setuid => mode & 0o4000 != 0,
        ModeClass::Setgid => mode & 0o2000 != 0,
        // With the sticky bit everybody has their own names in it, as in /tmp.
        ModeClass::OthersWrite => mode & 0o0002 != 0,
        ModeClass::Closed => mode & 0o777 == 0,
    }
}
