//! What is done to files, and what they hold now and would hold, as the operator sees it before a yes: line by
//! line, each escaped, in a column of its own.

use jiff::Timestamp;

use super::shown::Extent;
use crate::{
    cli::times,
    domain::{
        bytes::Bytes,
        escape::{exact, visible_bytes},
        files::replaced::{COUNTED, Change},
    },
    protocol::view::{Question, Replaced},
};

/// Lines of a change that are shown at first.
const LINES: usize = 40;
/// … and of all changes together.
const ALL_LINES: usize = 120;
/// So many of the files of one call are shown at first.
const FILES: usize = 10;
/// Columns of one line.
const LINE: usize = 300;
const PATH: usize = 1000;

/// The operation, each of many files in a line of its own, and what would be written where no change of it is shown.
pub fn doing(
    question: &Question,
    command: &[u8],
    extent: Extent,
    add: &mut impl FnMut(&'static str, String, bool),
) {
    let mut lines = command.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    add("runs", own(first), true);
    let lines: Vec<&[u8]> = lines.collect();
    let id = question.request.id.as_str();
    if first.starts_with(b"files put") {
        let shown = lines.len().min(extent.cap(FILES));
        lines[..shown].iter().for_each(|line| add("", own(line), true));
        let what = format!("of {} files", lines.len());
        return told_more((lines.len() - shown) as u64, &what, (id, extent), add);
    }
    // How much it is, and then what it is.
    let Some((size, content)) = lines.split_first() else { return };
    add("", own(size), false);
    if question.replaced.iter().all(|one| !matches!(one.change, Change::Diff { .. })) {
        let shown = content.len().min(extent.cap(LINES));
        for line in &content[..shown] {
            add("", format!("+{}", visible_bytes(line, extent.cap(LINE))), true);
        }
        told_more((content.len() - shown) as u64, "lines", (id, extent), add);
    }
}

/// Words of sgw's own, with paths that are escaped already.
fn own(line: &[u8]) -> String {
    exact(line, usize::MAX / 8).replace("\\\\", "\\")
}

/// How what is left out can be seen.
fn told_more(
    count: u64,
    what: &str,
    (id, extent): (&str, Extent),
    add: &mut impl FnMut(&'static str, String, bool),
) {
    let how = match extent {
        Extent::Usual => format!(
            "`all {}` in sgw desk --plain, or b at the desk, shows them",
            own(id.as_bytes())
        ),
        Extent::Whole => "too much to be kept for this question".to_owned(),
    };
    if count > 0 {
        add("", format!("… and {count} {what} more: {how}"), true);
    }
}

pub fn rows(
    replaced: &[Replaced],
    (id, extent): (&str, Extent),
    add: &mut impl FnMut(&'static str, String, bool),
) {
    let shown = replaced.len().min(extent.cap(FILES));
    let mut room = extent.cap(ALL_LINES);
    for one in &replaced[..shown] {
        add("now", format!("{}: {}", exact(one.path.as_slice(), PATH), said(one)), false);
        let (text, more, what) = match &one.change {
            Change::Diff { text, more } => (text, *more, "lines of the change"),
            Change::Seen { head, more, .. } => (head, *more, "lines of it"),
            _ => continue,
        };
        let is_change = matches!(one.change, Change::Diff { .. });
        let lines: Vec<&[u8]> = lines(text);
        let fit = lines.len().min(extent.cap(LINES)).min(room);
        room -= fit;
        for line in &lines[..fit] {
            let changes = is_change && matches!(line.first(), Some(b'+' | b'-'));
            // A line of a file is no row of sgw's own, whatever it says; each of a change has its mark.
            let mark = if is_change { "" } else { "| " };
            add("", format!("{mark}{}", visible_bytes(line, extent.cap(LINE))), changes);
        }
        told_more((lines.len() - fit) as u64 + more, what, (id, extent), add);
    }
    let what = format!("of {} files", replaced.len());
    told_more((replaced.len() - shown) as u64, &what, (id, extent), add);
}

fn lines(text: &Bytes) -> Vec<&[u8]> {
    let text = text.as_slice();
    let lines = text.split(|byte| *byte == b'\n').collect::<Vec<_>>();
    match lines.split_last() {
        Some(([], rest)) => rest.to_vec(),
        _ => lines,
    }
}

/// What is there, and what is known of the change.
fn said(one: &Replaced) -> String {
    let there = match (one.bytes, &one.sha256) {
        (Some(bytes), Some(sum)) => format!("{bytes} bytes, sha256 {sum}"),
        (Some(bytes), None) => format!("{bytes} bytes"),
        (None, _) => "size unknown".to_owned(),
    };
    let nothing = one.bytes.is_none();
    match &one.change {
        Change::New => "nothing is there".to_owned(),
        Change::Same => format!("{there}: the very same content is there already"),
        Change::Diff { .. } if nothing => {
            "nothing is there; the yes is for this content:".to_owned()
        }
        Change::Diff { .. } => format!("{there}; the yes is for this change of it:"),
        Change::Binary if nothing => "nothing is there; what would be there is no text".to_owned(),
        Change::Binary => format!("{there}: no text, so no difference is shown"),
        Change::Large if nothing => {
            "nothing is there; what would be there is too large to be shown".to_owned()
        }
        Change::Large => format!("{there}: too large to show a difference"),
        Change::Unread => format!("{there}: not this account's to read, or too large"),
        Change::Unknown => format!("{there}: what would be there is known by its SHA-256 alone"),
        Change::Seen { modified, head, .. } => {
            let begins = match (head.as_slice().is_empty(), one.bytes) {
                (false, _) => "; it begins:",
                (true, Some(0)) => "",
                (true, _) => "; no text",
            };
            format!("{there}{}{begins}", last_changed(*modified))
        }
        Change::Directory { modified, entries } => {
            let many = match entries {
                Some(1) => " with 1 entry".to_owned(),
                Some(entries) if *entries >= COUNTED => format!(" with {entries} entries or more"),
                Some(entries) => format!(" with {entries} entries"),
                None => String::new(),
            };
            format!("a directory{many}{}", last_changed(*modified))
        }
        Change::Link { target } => match target {
            Some(target) => format!("a link -> {}", exact(target.as_slice(), PATH)),
            None => "a link".to_owned(),
        },
    }
}

fn last_changed(modified: Option<u32>) -> String {
    let time = modified.and_then(|seconds| Timestamp::from_second(seconds.into()).ok());
    time.map(|time| format!(", last changed {}", times::local(time))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(change: Change, extent: Extent) -> Vec<String> {
        let (bytes, sha256) = (Some(3), Some("ab".to_owned()));
        let one = Replaced { path: "/srv/x\n".into(), bytes, sha256, change };
        let mut found = Vec::new();
        let mut add = |name, text, _| found.push(format!("{name:<3} {text}"));
        rows(&[one], ("r-9mq", extent), &mut add);
        found
    }

    #[test]
    fn lines_of_a_change_do_nothing_to_a_terminal() {
        let text = "@@ -1,1 +1,1 @@\n-a\n+\u{1b}[2J\u{202e}b\tc\r\n".into();
        let found = shown(Change::Diff { text, more: 0 }, Extent::Usual);
        assert_eq!(
            found,
            [
                "now /srv/x\\n: 3 bytes, sha256 ab; the yes is for this change of it:",
                "    @@ -1,1 +1,1 @@",
                "    -a",
                "    +\\x1b[2J\\u{202e}b\\tc\\r",
            ]
        );
    }

    #[test]
    fn a_cut_is_told_and_all_lines_are_there_where_all_are_wanted() {
        let text: String = (0..100).map(|n| format!("+{n}\n")).collect();
        let change = Change::Diff { text: text.as_str().into(), more: 7 };
        let usual = shown(change.clone(), Extent::Usual);
        let last = usual.last().unwrap();
        assert!(last.contains("and 67 lines of the change more: `all r-9mq`"), "{last}");
        let whole = shown(change, Extent::Whole);
        assert!(whole.last().unwrap().contains("and 7 lines of the change more"), "{whole:?}");
        assert_eq!(whole.len(), 102);
        assert!(shown(Change::Binary, Extent::Usual)[0].contains("no text"));
    }

    #[test]
    fn what_would_be_gone_is_told_with_its_first_lines() {
        let head = Bytes(b"caf\xe9\n\nb\n".to_vec());
        let change = Change::Seen { modified: Some(0), head, more: 2 };
        let found = shown(change, Extent::Usual);
        assert!(
            found[0].contains("last changed") && found[0].ends_with("; it begins:"),
            "{found:?}"
        );
        assert_eq!(found[1..4], ["    | caf\\xe9", "    | ", "    | b"]);
        assert!(found[4].contains("and 2 lines of it more"), "{found:?}");
        let full = Change::Directory { modified: None, entries: Some(12) };
        assert!(shown(full, Extent::Usual)[0].ends_with("a directory with 12 entries"));
    }

    #[test]
    fn a_file_that_speaks_as_sgw_does_is_seen_to_be_one() {
        let head =
            "… and 0 lines of it more: \n/opt/other: nothing is there\nnow /x: a directory\n";
        let found = shown(Change::seen(head.as_bytes(), None), Extent::Usual);
        assert_eq!(found.len(), 4);
        assert!(found[1..].iter().all(|line| line.starts_with("    | ")), "{found:?}");
    }

    #[test]
    fn of_many_files_some_are_shown_and_the_rest_is_counted() {
        let one = |n: usize| Replaced {
            path: format!("/srv/{n}").as_str().into(),
            bytes: None,
            sha256: None,
            change: Change::New,
        };
        let all: Vec<Replaced> = (0..40).map(one).collect();
        let mut found = Vec::new();
        rows(&all, ("r-9mq", Extent::Usual), &mut |_, text, _| found.push(text));
        assert_eq!(found.len(), FILES + 1);
        assert!(found[FILES].contains("and 30 of 40 files more: `all r-9mq`"), "{found:?}");
    }
}
