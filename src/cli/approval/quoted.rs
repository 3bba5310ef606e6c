//! What a server asks, as the operator sees it: under the machine's name, each line marked as the
//! server's, escaped, and cut where it is too much, so that it can't pass for words of sgw.

use super::shown::folded;
use crate::{cli::ui::Ui, domain::escape::visible};

/// Lines that are shown; the question itself is the last of them.
const LINES: usize = 24;
/// Columns of one line.
const LINE: usize = 400;
const MARK: &str = "  | ";

pub fn text(ui: Ui, hop: &str, text: &str) -> String {
    let head = format!(
        "\n{} asks, in its own words (it never needs your passphrase of sgw):",
        ui.bold(hop)
    );
    let room = ui.columns().saturating_sub(MARK.len()).max(20);
    [head].into_iter().chain(lines(text, room)).collect::<Vec<_>>().join("\n")
}

fn lines(text: &str, room: usize) -> Vec<String> {
    let trimmed = text.trim_end_matches(['\r', '\n']);
    let said: Vec<&str> = trimmed.split('\n').map(|line| line.trim_end_matches('\r')).collect();
    let show = |line: &&str| folded(&visible(line, LINE), room);
    let (first, last) = match said.len().checked_sub(LINES) {
        Some(0) | None => (said.as_slice(), &[][..]),
        Some(_) => (&said[..LINES / 2], &said[said.len() - LINES / 2..]),
    };
    let left_out = said.len() - first.len() - last.len();
    let gap = (left_out > 0).then(|| format!("… ({left_out} lines left out)"));
    let shown = first.iter().flat_map(show).chain(gap).chain(last.iter().flat_map(show));
    shown.map(|line| format!("{MARK}{line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_server_is_marked_as_its_own() {
        let text = "Duo for me\r\n\r\nsgw: error[x]: y\n\x1b[2J\u{202e}Passphrase: ";
        let shown = lines(text, 76);
        assert_eq!(
            shown,
            ["  | Duo for me", "  | ", "  | sgw: error[x]: y", "  | \\x1b[2J\\u{202e}Passphrase: "]
        );
        assert!(lines(&"x".repeat(300), 76).iter().all(|line| line.starts_with(MARK)));
    }

    #[test]
    fn what_is_too_much_is_cut_and_the_question_stays() {
        let shown = lines(&("line\n".repeat(1000) + "Code: "), 76);
        assert_eq!(shown.len(), LINES + 1);
        assert_eq!(shown.last().unwrap(), "  | Code: ");
        assert!(shown.iter().any(|line| line.contains("977 lines left out")), "{shown:?}");
        let long = lines(&"x".repeat(10_000), 76);
        assert!(long.len() < 8 && long.last().unwrap().contains("more bytes"), "{long:?}");
    }
}
