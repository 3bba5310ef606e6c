//! An operation as the rules for paths are asked about it: one act for each thing that it does to a name.

use super::{
    Operation, leads,
    transfer::{Item, What},
};
use crate::domain::{
    bytes::Bytes,
    guard::{
        Decision, Finding, Policy, Span, Verdict,
        files::{self, Act, Canonical, Place},
    },
    served::Served,
};

/// The verdict on an operation, and which of its parts are refused while others go on.
pub struct Judged {
    pub verdict: Verdict,
    /// Places among the paths, each with the rule that blocks it: of many files at once alone.
    pub refused: Vec<(usize, String)>,
    /// For each of the paths: beyond so many bytes read or written another verdict may hold.
    pub caps: Vec<Option<u64>>,
}

impl Judged {
    /// Whether what is not known of sizes matters.
    pub fn asks_for_sizes(&self, sizes: &[Option<u64>]) -> bool {
        let unknown = |index: usize| sizes.get(index).copied().flatten().is_none();
        self.caps.iter().enumerate().any(|(index, cap)| cap.is_some() && unknown(index))
    }
}

/// Judges an operation by the paths that it leads to. An empty one leads nowhere, and nothing is done to it.
/// `sizes`: how many bytes are read there, or will be there, as far as that is known.
pub fn judge(
    operation: &Operation,
    at: &[Vec<u8>],
    sizes: &[Option<u64>],
    place: &Place<'_>,
    policy: &Policy,
) -> Judged {
    let mut caps = vec![None; at.len()];
    let mut found = Vec::new();
    let mut refused = Vec::new();
    let paths: Vec<Option<Canonical>> = at.iter().map(|path| Canonical::new(path)).collect();
    for (index, path) in paths.iter().enumerate() {
        if at[index].is_empty() {
            continue;
        }
        let Some(path) = path else {
            found.push(files::unresolved(&at[index], place, policy));
            continue;
        };
        let other = paths.get(index + 1).and_then(Option::as_ref);
        let size = sizes.get(index).copied().flatten();
        let verdicts = acts_on(operation, index, (path, other), size)
            .into_iter()
            .map(|act| judge_one(&act, place, policy))
            .collect::<Vec<_>>();
        caps[index] = verdicts.iter().filter_map(|verdict| verdict.up_to).min();
        let block = verdicts.iter().find(|verdict| verdict.decision == Decision::Block);
        match (operation, block) {
            (Operation::Get { .. } | Operation::Put(_), Some(block)) => {
                refused.push((index, block.rule.clone().unwrap_or_default()));
                found.extend(verdicts);
            }
            _ => found.extend(verdicts),
        }
    }
    // Where all that is left would be nothing the whole is refused.
    let some_go_on = refused.len() < at.iter().filter(|path| !path.is_empty()).count();
    if !refused.is_empty() && some_go_on {
        found.retain(|verdict| verdict.decision != Decision::Block);
    } else {
        refused.clear();
    }
    Judged { verdict: whole(operation, found), refused, caps }
}

fn judge_one(act: &Link<'_>, place: &Place<'_>, policy: &Policy) -> files::Verdict {
    match act {
        Link::Act(act) => files::judge(act, place, policy),
        Link::To { link, target: Some(target) } => {
            files::judge(&Act::Symlink { link, target }, place, policy)
        }
        Link::To { target: None, link } => files::unresolved(link.as_bytes(), place, policy),
    }
}

/// An act, or a link with what it will lead to, which may be no path.
enum Link<'a> {
    Act(Act<'a>),
    To { link: &'a Canonical, target: Option<Canonical> },
}

fn acts_on<'a>(
    operation: &'a Operation,
    index: usize,
    (path, other): (&'a Canonical, Option<&'a Canonical>),
    size: Option<u64>,
) -> Vec<Link<'a>> {
    let act = match operation {
        Operation::List { .. } => Act::List { path },
        Operation::Stat { .. } | Operation::Space { .. } => Act::Look { path },
        Operation::Read { .. }
        | Operation::Tail { .. }
        | Operation::Sum { .. }
        | Operation::Get { .. } => Act::Read { path, size },
        Operation::Write(write) => Act::Write { path, size, mode: write.mode },
        Operation::MakeDirectory { mode, .. } => Act::MakeDirectory { path, mode: *mode },
        Operation::Move { .. } => match (index, other) {
            (0, Some(to)) => {
                let moved = Act::Rename { from: path, to, directory: None };
                // What is moved is read and written at another name, as much as it is.
                let read = size.map(|_| Act::Read { path, size });
                let write = size.map(|_| Act::Write { path: to, size, mode: None });
                return [Some(moved), read, write].into_iter().flatten().map(Link::Act).collect();
            }
            _ => return Vec::new(),
        },
        Operation::Remove { recursive: true, .. } => Act::RemoveTree { path },
        Operation::Remove { .. } => Act::Remove { path },
        Operation::SetMode { mode, .. } => {
            Act::Attributes { path, mode: Some(*mode), owner: false }
        }
        Operation::Link { target, leads, .. } => {
            return link_acts(path, target.as_slice(), leads.as_ref());
        }
        Operation::Attributes(set) => {
            let owner = set.owner.is_some();
            let attributes = Link::Act(Act::Attributes { path, mode: set.mode, owner });
            let write = |size| Link::Act(Act::Write { path, size: Some(size), mode: None });
            return [attributes].into_iter().chain(set.size.map(write)).collect();
        }
        Operation::HardLink { .. } => match (index, other) {
            (0, Some(link)) => Act::Hardlink { file: path, link },
            _ => return Vec::new(),
        },
        Operation::Served { served, configures } if index < served.paths().len() => {
            let program = Act::Served { path, program: served.program() };
            return served_acts(operation, path)
                .chain((!served.is_exact(*configures)).then_some(program))
                .map(Link::Act)
                .collect();
        }
        // What lies beneath.
        Operation::Served { served, .. } if served.changes() => {
            Act::Write { path, size: None, mode: None }
        }
        Operation::Served { .. } => Act::Read { path, size: None },
        Operation::Put(put) => match put.items.get(index) {
            Some(Item { what: What::File { size, .. }, mode, .. }) => {
                Act::Write { path, size: Some(*size), mode: *mode }
            }
            Some(Item { what: What::Directory, mode, .. }) => {
                Act::MakeDirectory { path, mode: *mode }
            }
            Some(Item { what: What::Link { target }, leads, .. }) => {
                return link_acts(path, target.as_slice(), leads.as_ref());
            }
            Some(Item { what: What::Gone { tree: true }, .. }) => Act::RemoveTree { path },
            Some(Item { what: What::Gone { tree: false }, .. }) => Act::Remove { path },
            None => return Vec::new(),
        },
    };
    vec![Link::Act(act)]
}

fn served_acts<'a>(
    operation: &Operation,
    path: &'a Canonical,
) -> impl Iterator<Item = Act<'a>> + use<'a> {
    let of = |is: fn(&Served) -> bool| match operation {
        Operation::Served { served, .. } => is(served),
        _ => false,
    };
    let reads = of(Served::reads).then_some(Act::ReadTree { path });
    let writes = of(Served::changes).then_some(Act::WriteTree { path });
    let removes = of(Served::removes).then_some(Act::RemoveTree { path });
    [reads, writes, removes].into_iter().flatten()
}

/// What a link will lead to by its words, and by the server's word where that is another. Where the server has not
/// said it, words that climb out of a name say nothing.
fn link_acts<'a>(link: &'a Canonical, target: &[u8], leads: Option<&Bytes>) -> Vec<Link<'a>> {
    let words = leads::lexical(link.as_bytes(), target);
    let really = match leads {
        Some(leads) => Canonical::new(leads.as_slice()),
        None if leads::climbs(&leads::walked(link.as_bytes(), target)) => None,
        None => words.clone(),
    };
    let other = (really != words).then_some(Link::To { link, target: really });
    [Link::To { link, target: words }].into_iter().chain(other).collect()
}

/// All verdicts as one on the words that bind them.
fn whole(operation: &Operation, found: Vec<files::Verdict>) -> Verdict {
    let span = Span { start: 0, end: 0 };
    let mut findings: Vec<Finding> = Vec::new();
    for one in found.into_iter().flat_map(|verdict| verdict.findings) {
        let path = one.path.to_text_lossy();
        let finding = Finding {
            argv: vec![operation.verb().to_owned(), path],
            ..Finding::new(one.decision, &one.rule, &one.reason, span)
        };
        if finding.decision != Decision::Allow && !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.decision));
    let first = findings.first();
    Verdict {
        decision: first.map_or(Decision::Allow, |first| first.decision),
        rule: first.map(|first| first.rule.clone()),
        reason: first.map(|first| first.reason.clone()),
        resolved: Vec::new(),
        span: None,
        chain: Vec::new(),
        findings,
        reads_stdin: false,
        scripts: Vec::new(),
        written: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        files::transfer::{Part, Put},
        grant,
        guard::Context,
    };

    fn judged(operation: &Operation, at: &[&str]) -> Judged {
        let home = Canonical::new(b"/home/me").unwrap();
        let place = Place { context: Context::default(), mode: grant::Mode::Guarded, home: &home };
        let at: Vec<Vec<u8>> = at.iter().map(|path| path.as_bytes().to_vec()).collect();
        judge(operation, &at, &[], &place, &Policy::built_in())
    }

    fn part(path: &str) -> Part {
        Part::of(path.into(), 0)
    }

    #[test]
    fn of_many_files_the_blocked_ones_alone_are_refused() {
        let files = vec![part("a"), part("k"), part("gone")];
        let operation = Operation::Get { files };
        let said = judged(&operation, &["/srv/a", "/etc/shadow", ""]);
        assert_eq!(said.verdict.decision, Decision::Allow);
        assert_eq!(said.refused, [(1, "files.auth-read".to_owned())]);
        let said = judged(&operation, &["/srv/.env", "/etc/shadow", ""]);
        assert_eq!(said.verdict.rule.as_deref(), Some("files.secret"));
        let said = judged(&operation, &["", "/etc/shadow", ""]);
        assert_eq!((said.verdict.decision, said.refused), (Decision::Block, Vec::new()));
    }

    #[test]
    fn a_link_is_judged_with_what_it_will_lead_to() {
        let link = |target: &str| {
            let item = Item {
                path: "l".into(),
                what: What::Link { target: target.into() },
                ..Item::default()
            };
            let put = Operation::Put(Put { items: vec![item], fsync: false, texts: Vec::new() });
            judged(&put, &["/srv/x/l"]).verdict.decision
        };
        assert_eq!(link("y"), Decision::Allow);
        assert_eq!(link("../../../../etc/shadow"), Decision::Block);
        assert_eq!(link("/etc/./shadow"), Decision::Block);
        // With all that lies in it.
        assert_eq!(link("/"), Decision::Block);
        let one = |path: &str, target: &str, leads: Option<&str>| {
            let leads = leads.map(Into::into);
            let one = Operation::Link { target: target.into(), path: "l".into(), leads };
            judged(&one, &[path]).verdict.decision
        };
        assert_eq!(one("/srv/l", "/etc/shadow", None), Decision::Block);
        let climbing = "/var/run/../etc/shadow";
        assert_eq!(one("/srv/l", climbing, Some("/etc/shadow")), Decision::Block);
        assert_eq!(one("/srv/l", climbing, Some("/var/etc/shadow")), Decision::Allow);
        for unknown in [None, Some("")] {
            assert_eq!(one("/srv/l", "a/../b", unknown), Decision::Approve);
        }
        assert_eq!(one("/srv/l", "x", Some("/etc/shadow")), Decision::Block);
        assert_eq!(one("/srv/l", "/srv/.env", Some("/srv/y")), Decision::Approve);
        assert_eq!(one("/srv/l", "a/../b", Some("/srv/b")), Decision::Allow);
    }

    #[test]
    fn a_link_is_judged_with_what_lies_below_both_its_names() {
        let one = |path: &str, target: &str| {
            let leads = Some(target.into());
            let one = Operation::Link { target: target.into(), path: "l".into(), leads };
            judged(&one, &[path]).verdict.decision
        };
        for start in ["/home/me/.config", "/srv/p/.git", "/home/me/.ssh"] {
            assert_eq!(one(start, "/home/me/e"), Decision::Approve, "{start}");
        }
        assert_eq!(one("/home/me/x", "/etc"), Decision::Block);
        for target in ["/home/me/app/releases/5", "/srv/www", "/home/me/notes.txt"] {
            assert_eq!(one("/home/me/app/current", target), Decision::Allow, "{target}");
        }
    }

    #[test]
    fn what_is_removed_with_a_copy_is_judged_as_removed() {
        let gone = |tree| {
            let item = Item { path: "x".into(), what: What::Gone { tree }, ..Item::default() };
            Operation::Put(Put { items: vec![item.clone(), item], fsync: false, texts: Vec::new() })
        };
        let said = judged(&gone(false), &["/srv/x", "/etc/shadow"]);
        assert_eq!(said.refused.len(), 1);
        assert_eq!(judged(&gone(true), &["/srv/x", "/etc"]).verdict.decision, Decision::Approve);
        let at = [b"/srv/a b".to_vec(), Vec::new()];
        assert_eq!(gone(true).command(&at), b"rm -r -- '/srv/a b'");
        assert!(gone(true).is_a_command());
    }

    #[test]
    fn a_move_is_one_act_on_both_names_and_what_is_no_path_is_asked() {
        let mv = Operation::Move { from: "a".into(), to: "b".into(), replace: false };
        assert_eq!(judged(&mv, &["/srv/a", "/srv/b"]).verdict.decision, Decision::Allow);
        assert_eq!(judged(&mv, &["/srv/a", "/etc/shadow"]).verdict.decision, Decision::Block);
        let read = Operation::Sum { path: "a".into() };
        assert_eq!(judged(&read, &["../a"]).verdict.rule.as_deref(), Some(files::OPAQUE));
    }
}
