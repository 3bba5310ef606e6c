//! Lines against a model of what was printed, whatever the chunks and whenever somebody reads.

use proptest::prelude::*;

use super::*;

mod ring;
mod rows;

const ALL: Want = Want::First(usize::MAX);

fn each(_: &str) -> bool {
    true
}

fn transcript(chunks: &[&[u8]]) -> Transcript {
    let mut transcript = Transcript::new(1 << 20);
    chunks.iter().for_each(|chunk| transcript.push(chunk));
    transcript
}

fn texts(page: &Page) -> Vec<&str> {
    page.lines.iter().map(|line| line.text.as_str()).collect()
}

/// The lines of an output that has ended.
fn lines(bytes: &[u8]) -> Vec<String> {
    let mut transcript = transcript(&[bytes]);
    transcript.end();
    let page = transcript.read(0, ALL, each);
    assert_eq!((page.cursor, page.partial, page.missed), (bytes.len() as u64, false, 0));
    page.lines.into_iter().map(|line| line.text).collect()
}

#[test]
fn a_line_ends_at_a_line_feed_and_a_lone_return_starts_it_over() {
    assert_eq!(lines(b"a\nb\r\nc\r\r\n\n"), ["a", "b", "c", ""]);
    assert_eq!(lines(b" 50%\r100%\n"), ["100%"]);
    assert_eq!(lines(b"longer\rshort\r\nx"), ["short", "x"]);
    assert_eq!(lines(b"kept\r"), ["kept"]);
    assert_eq!(lines(b"gone\r\x1b[K\n"), [""]);
}

#[test]
fn backspaces_move_and_what_follows_draws_over() {
    assert_eq!(lines(b"ab\x08c\n"), ["ac"]);
    assert_eq!(lines(b"lx\x08 \x08s\n"), ["ls"]);
    assert_eq!(lines(b"ls x\x08 \x08\n"), ["ls "]);
    assert_eq!(lines(b"abc\x08\x08\x1b[K\n"), ["a"]);
    assert_eq!(lines(b"abc\x08\x08\n"), ["abc"]);
    assert_eq!(lines(b"\x08\x08N\x08N_\x08_\n"), ["N_"]);
    assert_eq!(lines("a漢\x08\x08b\n".as_bytes()), ["ab"]);
    assert_eq!(lines("漢\x08b\n".as_bytes()), [" b"]);
    assert_eq!(lines("e\u{301}\x08x\n".as_bytes()), ["x\u{301}"]);
    assert_eq!(lines(b"a\tb\n"), ["a\tb"]);
}

#[test]
fn escape_sequences_leave_nothing() {
    assert_eq!(lines(b"\x1b[1;31mred\x1b[0m\x1b(B \x1b=x\x1b7\n"), ["red x"]);
    assert_eq!(lines(b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\x1bPq\nsixel\n\x1b\\c\n"), ["abc"]);
    assert_eq!(lines(b"\x1b_apc\x1b\\\x1b^pm\x1b\\\x1bXsos\x07still\x1b\\d\n"), ["d"]);
    assert_eq!(lines("\u{9b}31ma\u{9d}0;t\u{7}b\u{85}c\n".as_bytes()), ["abc"]);
    assert_eq!(lines(b"a\x1b[31\nb\x1b\nc\x07\x00\x7f\n"), ["a", "b", "c"]);
    assert_eq!(lines(b"\x1b]0;never ended \x1b[1mx\n"), ["x"]);
    assert_eq!(lines(&[b"\x1b[", &b"1;".repeat(500)[..], b"mx\n"].concat()), ["x"]);
}

#[test]
fn a_title_of_ten_megabytes_leaves_nothing_and_takes_no_memory_of_its_own() {
    let mut transcript = Transcript::new(100_000);
    transcript.push(b"before\n\x1b]0;");
    for _ in 0..10_000 {
        transcript.push(&[b'x'; 1000]);
    }
    transcript.push(b"\x07after\n");
    let page = transcript.read(transcript.oldest(), ALL, each);
    assert_eq!(texts(&page), ["after"]);
    let page = transcript.read(0, ALL, each);
    assert_eq!((texts(&page), page.missed), (vec!["after"], page.oldest));
    assert!(transcript.held <= 100_000);
}

#[test]
fn characters_are_whole_or_replaced() {
    assert_eq!(lines("aé€𝄞\n".as_bytes()), ["aé€𝄞"]);
    for bytes in [&b"a\xffb\xe2\x82"[..], b"\xf0\x90A\xe0\x80\xc3", b"\xc3\x1b[mx\xed\xa0\x80"] {
        let expected = String::from_utf8_lossy(bytes).replace("\x1b[m", "");
        assert_eq!(lines(bytes), [expected]);
    }
    let page = transcript(&[b"a\xe2\x82"]).read(0, ALL, each);
    assert_eq!((texts(&page), page.partial, page.cursor), (vec!["a"], true, 0));
}

#[test]
fn the_alternate_screen_is_not_shown() {
    for mode in ["47", "1047", "1049", "1;1049"] {
        let text = format!("$ vi\r\n\x1b[?{mode}hx\r\ny\x08\x1b[K\x1b[?{mode}l$ ls\r\n");
        assert_eq!(lines(text.as_bytes()), ["$ vi", "$ ls"]);
    }
    assert_eq!(lines(b"a\x1b[?1049h\nx\x1bcb\n"), ["ab"]);
    assert_eq!(lines(b"a\x1b[?25h\x1b[1049hb\n"), ["ab"]);
    // A cursor within it knows where it stands.
    let transcript = transcript(&[b"a\n\x1b[?1049hinside\x1b[?1049l", b"after\n"]);
    assert_eq!(texts(&transcript.read(12, ALL, each)), ["after"]);
    assert_eq!(texts(&transcript.read(4, ALL, each)), ["after"]);
}

#[test]
fn an_unfinished_line_comes_again_whole() {
    let mut transcript = transcript(&[b"one\ntw"]);
    let page = transcript.read(0, ALL, each);
    assert_eq!((texts(&page), page.partial, page.cursor), (vec!["one", "tw"], true, 4));
    let again = transcript.read(4, ALL, each);
    assert_eq!((texts(&again), again.partial, again.cursor), (vec!["tw"], true, 4));
    transcript.push(b"o\n");
    let page = transcript.read(4, ALL, each);
    assert_eq!((texts(&page), page.partial, page.cursor), (vec!["two"], false, 8));
    transcript.push(b"end");
    transcript.end();
    let page = transcript.read(8, ALL, each);
    assert_eq!((texts(&page), page.partial, page.cursor), (vec!["end"], false, 11));
    assert!(transcript.read(11, ALL, each).lines.is_empty());
    assert_eq!(transcript.read(1000, ALL, each).cursor, 11);
}

#[test]
fn limit_gives_the_first_and_tail_the_last() {
    let transcript = transcript(&[b"1\n2\n3\n4\n5"]);
    let page = transcript.read(2, Want::First(2), each);
    assert_eq!((texts(&page), page.cursor, page.partial), (vec!["2", "3"], 6, false));
    let page = transcript.read(2, Want::Last(2), each);
    assert_eq!((texts(&page), page.cursor, page.partial), (vec!["4", "5"], 8, true));
    assert_eq!(transcript.read(2, Want::First(0), each).cursor, 2);
    assert_eq!(transcript.read(2, Want::Last(0), each).cursor, 8);
}

#[test]
fn grep_filters_and_the_cursor_passes_what_it_left_out() {
    let transcript = transcript(&[b"a1\nb\na2\nb\na3\nb\nb"]);
    let page = transcript.read(0, Want::First(2), |line| line.starts_with('a'));
    assert_eq!((texts(&page), page.cursor), (vec!["a1", "a2"], 8));
    let page = transcript.read(8, Want::First(2), |line| line.starts_with('a'));
    assert_eq!((texts(&page), page.cursor, page.partial), (vec!["a3"], 15, false));
}

#[test]
fn a_long_line_is_cut_and_goes_on() {
    let long: String = (0..100_000).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
    let transcript = transcript(&[long.as_bytes(), b"\nnext\n"]);
    let (mut since, mut whole, mut rest) = (0, String::new(), Vec::new());
    loop {
        let page = transcript.read(since, Want::First(1), each);
        let Some(line) = page.lines.first() else { break };
        assert!(line.text.len() <= LONGEST_LINE);
        since = page.cursor;
        if line.cut || rest.is_empty() {
            whole.push_str(&line.text);
        }
        if !line.cut {
            rest.push(line.text.clone());
        }
    }
    assert_eq!((whole, rest.last().map(String::as_str)), (long, Some("next")));
}

#[test]
fn a_line_that_is_drawn_over_for_ever_is_cut_too() {
    let bytes: Vec<u8> = (0..200_000).flat_map(|at| format!("\r{at}").into_bytes()).collect();
    let transcript = transcript(&[&bytes]);
    let page = transcript.read(0, ALL, each);
    assert!((3..8).contains(&page.lines.len()) && page.partial, "{}", page.lines.len());
    assert!(page.lines[..page.lines.len() - 1].iter().all(|line| line.cut));
}

#[test]
fn a_page_is_bounded_and_the_next_goes_on() {
    let transcript = transcript(&[&b"\n".repeat(300_000)]);
    let (mut since, mut count) = (0, 0);
    loop {
        let page = transcript.read(since, ALL, each);
        assert!(page.lines.len() <= PAGE / LINE_COST);
        assert_eq!(page.cursor - since, page.lines.len() as u64);
        (since, count) = (page.cursor, count + page.lines.len());
        if !page.more {
            break;
        }
    }
    assert_eq!(count, 300_000);
    let last = transcript.read(0, Want::Last(usize::MAX), each);
    assert!(last.lines.len() <= PAGE / LINE_COST && last.cursor == 300_000);
}

#[test]
fn a_gap_is_told_and_separates_lines() {
    let mut transcript = transcript(&[b"one\ntw"]);
    transcript.gap(100);
    transcript.push(b"ee\nfour\n");
    let page = transcript.read(0, ALL, each);
    assert_eq!((texts(&page), page.missed), (vec!["one", "tw", "ee", "four"], 100));
    assert_eq!(
        page.lines.iter().map(|line| line.cut).collect::<Vec<_>>(),
        [false, true, false, false]
    );
    let first = transcript.read(0, Want::First(2), each);
    assert_eq!((first.cursor, first.missed), (6, 0));
    let rest = transcript.read(6, ALL, each);
    assert_eq!((texts(&rest), rest.missed), (vec!["ee", "four"], 100));
    assert_eq!(transcript.read(50, ALL, each).missed, 56);
    transcript.gap(5);
    let end = transcript.read(page.cursor, ALL, each);
    assert_eq!((end.lines.len(), end.missed, end.cursor), (0, 5, transcript.cursor()));
}

#[test]
fn what_is_parted_shares_no_line_and_no_state() {
    let mut transcript = transcript(&[b"one\ntw\x1b]0;tit"]);
    let end = transcript.cursor();
    transcript.part();
    assert_eq!((transcript.cursor(), transcript.line_start()), (end, end));
    transcript.push(b"le\nfour\n");
    let page = transcript.read(0, ALL, each);
    assert_eq!((texts(&page), page.missed), (vec!["one", "tw", "le", "four"], 0));
    let page = transcript.read(end, ALL, each);
    assert_eq!((texts(&page), page.missed), (vec!["le", "four"], 0));
    transcript.end();
    transcript.part();
    transcript.part();
    transcript.push(b"more");
    let page = transcript.read(end, ALL, each);
    assert_eq!((texts(&page), page.partial), (vec!["le", "four", "more"], true));
}

/// Something printed, and what it leaves of the line.
#[derive(Clone, Debug)]
enum Token {
    Text(String),
    Invisible(Vec<u8>),
    Invalid,
    Correct(char),
    StartOver,
    NewLine(bool),
}

fn token() -> impl Strategy<Value = Token> {
    let invisible = prop::sample::select(vec![
        &b"\x1b[1;31m"[..],
        b"\x1b[?2004h",
        b"\x1b]0;a\ntitle\x07",
        b"\x1b]8;;u\x1b\\",
        b"\x1bPq\r\n\x1b\\",
        b"\x1b(B",
        b"\x1b7",
        b"\x07",
        b"\x1b[?1049hfull\r\nscreen\x08\x1b[2J\x1b[?1049l",
    ]);
    prop_oneof![
        6 => "[a-zé€𝄞 ]{1,8}".prop_map(Token::Text),
        3 => invisible.prop_map(|bytes| Token::Invisible(bytes.to_vec())),
        1 => Just(Token::Invalid),
        1 => prop::char::range('A', 'Z').prop_map(Token::Correct),
        1 => Just(Token::StartOver),
        4 => proptest::bool::ANY.prop_map(Token::NewLine),
    ]
}

/// The bytes, and the lines that they should come to, the last one unfinished.
fn model(tokens: &[Token]) -> (Vec<u8>, Vec<String>) {
    let (mut bytes, mut lines) = (Vec::new(), vec![String::new()]);
    for token in tokens {
        let Some(line) = lines.last_mut() else { unreachable!() };
        match token {
            Token::Text(text) => {
                bytes.extend_from_slice(text.as_bytes());
                line.push_str(text);
            }
            Token::Invisible(sequence) => bytes.extend_from_slice(sequence),
            Token::Invalid => {
                bytes.push(0xff);
                line.push('\u{fffd}');
            }
            Token::Correct(with) => {
                bytes.extend_from_slice(format!("x\x08{with}").as_bytes());
                line.push(*with);
            }
            Token::StartOver => {
                bytes.extend_from_slice(b"\rz");
                *line = "z".to_owned();
            }
            Token::NewLine(with_return) => {
                bytes.extend_from_slice(if *with_return { b"\r\n" } else { b"\n" });
                lines.push(String::new());
            }
        }
    }
    (bytes, lines)
}

/// Pushes in chunks of these sizes and reads in between as the polls say; gives every line that was
/// said to be finished, and what was shown of the last.
fn poll(
    transcript: &mut Transcript,
    bytes: &[u8],
    sizes: &[usize],
    polls: &[usize],
) -> Vec<String> {
    let (mut rest, mut since, mut lines) = (bytes, 0, Vec::new());
    let (mut sizes, mut polls) = (sizes.iter().cycle(), polls.iter().cycle());
    while !rest.is_empty() {
        let (now, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        transcript.push(now);
        rest = later;
        let want = *polls.next().unwrap();
        if want > 0 {
            since = take(transcript, since, Want::First(want), &mut lines);
        }
    }
    transcript.end();
    take(transcript, since, ALL, &mut lines);
    lines
}

fn take(transcript: &Transcript, since: u64, want: Want, lines: &mut Vec<String>) -> u64 {
    let page = transcript.read(since, want, each);
    assert_eq!(page.missed, 0);
    assert!(page.cursor >= since);
    let finished = page.lines.len() - usize::from(page.partial);
    lines.extend(page.lines.into_iter().take(finished).map(|line| line.text));
    page.cursor
}

proptest! {
    #[test]
    fn every_line_comes_once_and_in_order(
        tokens in prop::collection::vec(token(), 0..80),
        sizes in prop::collection::vec(1usize..30, 1..20),
        polls in prop::collection::vec(0usize..4, 1..20),
    ) {
        let (bytes, mut expected) = model(&tokens);
        if expected.last().is_some_and(String::is_empty) {
            expected.pop();
        }
        let mut transcript = Transcript::new(1 << 20);
        prop_assert_eq!(poll(&mut transcript, &bytes, &sizes, &polls), expected);
    }

    #[test]
    fn any_bytes_read_the_same_in_any_chunks(
        bytes in prop::collection::vec(prop_oneof![
            2 => prop::sample::select(b"\x1b[]P?;149hlKm\\\x07\x08\r\n\x18ab\xe2\x82\xac\xff".to_vec()),
            1 => 0u8..=255,
        ], 0..400),
        sizes in prop::collection::vec(1usize..30, 1..20),
        polls in prop::collection::vec(0usize..4, 1..20),
    ) {
        let mut whole = transcript(&[&bytes]);
        whole.end();
        let expected: Vec<String> =
            whole.read(0, ALL, each).lines.into_iter().map(|line| line.text).collect();
        prop_assert!(expected.iter().all(|line| !line.contains(['\x1b', '\r', '\n', '\x08', '\0', '\x01'])));
        let mut transcript = Transcript::new(1 << 20);
        prop_assert_eq!(poll(&mut transcript, &bytes, &sizes, &polls), expected);
    }

    /// A reader that is too slow for the ring is told how many bytes it missed, and gets whole lines.
    #[test]
    fn what_the_ring_lost_is_told(
        polls in prop::collection::vec((0usize..3000, 0usize..400), 1..12),
    ) {
        let mut transcript = Transcript::new(40_000);
        let (mut printed, mut since, mut expected) = (0u32, 0, 0);
        for (print, want) in polls {
            for _ in 0..print {
                transcript.push(format!("line {printed:010}\r\n").as_bytes());
                printed += 1;
            }
            let page = transcript.read(since, Want::First(want), each);
            prop_assert_eq!(page.missed % 17, 0);
            expected += page.missed / 17;
            for line in &page.lines {
                prop_assert_eq!(&line.text, &format!("line {expected:010}"));
                expected += 1;
            }
            prop_assert_eq!(page.cursor, expected * 17);
            prop_assert!(want == 0 || page.oldest <= page.cursor);
            prop_assert!(transcript.held <= 40_000);
            since = page.cursor;
        }
    }
}
