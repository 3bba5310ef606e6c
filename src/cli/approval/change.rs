//! What a file holds now and what it would hold, as the operator sees it before a yes: line by line, each
//! escaped, in a column of its own.

use super::shown::Extent;
use crate::{
    domain::{
        escape::{exact, visible},
        files::replaced::Change,
    },
    protocol::view::Replaced,
};

/// Lines of a change that are shown at first.
const LINES: usize = 40;
/// Columns of one of them.
const LINE: usize = 300;
const PATH: usize = 1000;

pub fn rows(
    replaced: &[Replaced],
    extent: Extent,
    add: &mut impl FnMut(&'static str, String, bool),
) {
    for one in replaced {
        let path = exact(one.path.as_slice(), PATH);
        let there = match (one.bytes, &one.sha256) {
            (Some(bytes), Some(sum)) => format!("{bytes} bytes, sha256 {sum}"),
            (Some(bytes), None) => format!("{bytes} bytes"),
            (None, _) => "size unknown".to_owned(),
        };
        let said = match &one.change {
            Change::New => "nothing is there".to_owned(),
            Change::Same => format!("{there}: the very same content is there already"),
            Change::Diff { .. } if one.bytes.is_none() => {
                "nothing is there; the yes is for this content:".to_owned()
            }
            Change::Diff { .. } => format!("{there}; the yes is for this change of it:"),
            Change::Binary => format!("{there}: no text, so no difference is shown"),
            Change::Large => format!("{there}: too large to show a difference"),
            Change::Unread => format!("{there}: not this account's to read, or too large"),
            Change::Unknown => {
                format!("{there}: what would be there is known by its SHA-256 alone")
            }
        };
        add("now", format!("{path}: {said}"), false);
        if let Change::Diff { text, more } = &one.change {
            diff_rows(text, *more, extent, add);
        }
    }
}

fn diff_rows(
    text: &str,
    more: u64,
    extent: Extent,
    add: &mut impl FnMut(&'static str, String, bool),
) {
    let lines: Vec<&str> = text.split('\n').filter(|line| !line.is_empty()).collect();
    let shown = lines.len().min(extent.cap(LINES));
    for line in &lines[..shown] {
        let changes = line.starts_with(['+', '-']);
        add("", visible(line, extent.cap(LINE)), changes);
    }
    let left = (lines.len() - shown) as u64 + more;
    if left > 0 {
        add("", format!("… and {left} lines of the change more"), true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(change: Change, extent: Extent) -> Vec<String> {
        let (bytes, sha256) = (Some(3), Some("ab".to_owned()));
        let one = Replaced { path: "/srv/x\n".into(), bytes, sha256, change };
        let mut found = Vec::new();
        rows(&[one], extent, &mut |name, text, _| found.push(format!("{name:<3} {text}")));
        found
    }

    #[test]
    fn lines_of_a_change_do_nothing_to_a_terminal() {
        let text = "@@ -1,1 +1,1 @@\n-a\n+\u{1b}[2J\u{202e}b\tc\r\n".to_owned();
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
        let change = Change::Diff { text, more: 7 };
        let usual = shown(change.clone(), Extent::Usual);
        assert_eq!(usual.last().unwrap(), "    … and 67 lines of the change more");
        let whole = shown(change, Extent::Whole);
        assert_eq!(whole.last().unwrap(), "    … and 7 lines of the change more");
        assert_eq!(whole.len(), 102);
        assert!(shown(Change::Binary, Extent::Usual)[0].contains("no text"));
    }
}
