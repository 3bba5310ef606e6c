//! A terminal's bytes, where a line goes on behind the edge.

use super::*;

fn lines_at(width: u16, bytes: &[u8]) -> Vec<String> {
    let mut transcript = Transcript::new(1 << 20);
    transcript.set_width(width.try_into().unwrap());
    transcript.push(bytes);
    transcript.end();
    let page = transcript.read(0, ALL, each);
    // From each line on the rest is the same.
    let mut since = 0;
    for (at, line) in page.lines.iter().enumerate() {
        let rest = transcript.read(since, ALL, each);
        assert_eq!(rest.lines, page.lines[at..]);
        let one = transcript.read(since, Want::First(1), each);
        assert_eq!(one.lines.first(), Some(line));
        since = one.cursor;
    }
    page.lines.into_iter().map(|line| line.text).collect()
}

#[test]
fn a_return_begins_the_last_row_over() {
    assert_eq!(lines_at(5, b"abcdefg\rxy\n"), ["abcdexy"]);
    assert_eq!(lines_at(5, b"abcde\rxy\n"), ["xy"]);
    assert_eq!(lines_at(5, b"abcdefg\r\x1b[Kxy\r\n"), ["abcdexy"]);
    assert_eq!(lines_at(5, b"50%\r100%\n"), ["100%"]);
    // zsh wraps so.
    assert_eq!(lines_at(5, b"abcde \r\x1b[Kf\rfgh\r\n"), ["abcdefgh"]);
}

#[test]
fn what_ended_without_a_line_feed_is_not_lost_behind_a_prompt() {
    // zsh's mark, and fish's.
    assert_eq!(lines_at(8, b"foo%       \r \r\x1b[J$ ls\r\n"), ["foo%", "$ ls"]);
    assert_eq!(lines_at(8, "foo⏎       \r⏎ \r\x1b[K$ ls\r\n".as_bytes()), ["foo⏎", "$ ls"]);
    assert_eq!(lines_at(8, b"foo\r\n%       \r \r\x1b[J$ ls\r\n"), ["foo", "$ ls"]);
    for shell in ["zsh", "fish"] {
        let captured = match shell {
            "zsh" => include_str!("../../echo/captured/zsh.txt"),
            _ => include_str!("../../echo/captured/fish.txt"),
        };
        let got = captured.lines().skip_while(|line| !line.starts_with("> printf \"no ne")).nth(1);
        let got = got.unwrap()[2..].replace("\\r", "\r").replace("\\n", "\n");
        let got = got.replace("\\x1b", "\x1b").replace("\\x08", "\x08").replace("\\x07", "\x07");
        let lines = lines_at(160, got.as_bytes());
        assert!(lines.iter().any(|line| line.starts_with("no newline")), "{shell}: {lines:?}");
    }
}
