//! A ring too small for what is printed, and polls too small for what is there: every line that is
//! still there comes once and in order, and the bytes of the others are counted.

use super::*;

/// A line that can't be mistaken for another, with all that may stand in one.
fn line() -> impl Strategy<Value = Vec<Token>> {
    let long = prop_oneof![4 => 0usize..60, 1 => 500usize..3000]
        .prop_map(|length| Token::Text("é€x𝄞".chars().cycle().take(length).collect()));
    // Half sequences: what breaks one off means what it means alone.
    let half = prop::sample::select(vec![
        &b"\x1b[31\x1b[m"[..],
        b"\x1b]0;half\x1b[m",
        b"\x1b\x1b(B",
        b"\x1bPq\x18",
        b"\x1b[?1049h\x1b[1;\x1b]0;t\x07\x1b[2K\r\n\xe2\x82\x1b[?1049l",
        b"\x1b[?47h~\r\n~\r\n\x1b[?47l",
        b"\x1b[?1047hx\x08\x1b[?1047l",
    ]);
    let half = half.prop_map(|bytes| Token::Invisible(bytes.to_vec()));
    (prop::collection::vec(prop_oneof![token(), half, long], 0..8), proptest::bool::ANY).prop_map(
        |(tokens, with_return)| {
            let inside = |token: &Token| !matches!(token, Token::NewLine(_));
            let mut tokens: Vec<_> = tokens.into_iter().filter(inside).collect();
            tokens.push(Token::NewLine(with_return));
            tokens
        },
    )
}

/// Where each line begins, and what it comes to.
struct Printed {
    bytes: Vec<u8>,
    lines: Vec<(u64, String)>,
}

fn printed(lines: &[Vec<Token>]) -> Printed {
    let mut printed = Printed { bytes: Vec::new(), lines: Vec::new() };
    for (number, tokens) in lines.iter().enumerate() {
        let begin = printed.bytes.len() as u64;
        let numbered = [&[Token::Text(format!("{number}:"))], &tokens[..]].concat();
        let (bytes, mut text) = model(&numbered);
        printed.bytes.extend_from_slice(&bytes);
        printed.lines.push((begin, text.swap_remove(0)));
    }
    printed
}

/// A reader that remembers nothing but its cursor.
#[derive(Default)]
struct Poller {
    since: u64,
    missed: u64,
    /// Bytes of the lines that came.
    shown: u64,
}

impl Poller {
    fn poll(&mut self, transcript: &Transcript, want: Want, all: &Printed) {
        let page = transcript.read(self.since, want, each);
        let begin = self.since + page.missed;
        let whole = page.lines.len() - usize::from(page.partial);
        if whole > 0 {
            let first = all.lines.iter().position(|(at, _)| *at == begin);
            let first = first.expect("what is read after a gap begins with a line");
            let expected = all.lines[first..].iter().map(|(_, text)| text);
            let found = page.lines[..whole].iter().map(|line| &line.text);
            assert!(found.eq(expected.take(whole)), "{:?}", page.lines);
            let next = all.lines.get(first + whole).map_or(all.bytes.len() as u64, |(at, _)| *at);
            assert_eq!(page.cursor, next);
            self.shown += next - begin;
        } else {
            assert!(page.cursor <= begin.max(self.since));
        }
        if page.partial {
            assert!(page.cursor < transcript.cursor() && page.lines.iter().all(|line| !line.cut));
        }
        self.missed += page.missed;
        self.since = page.cursor;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_line_that_is_still_there_comes_once_and_in_order(
        lines in prop::collection::vec(line(), 1..200),
        cap in 1usize..60_000,
        sizes in prop::collection::vec(1usize..5000, 1..20),
        polls in prop::collection::vec(0usize..60, 1..20),
    ) {
        let all = printed(&lines);
        let mut transcript = Transcript::new(cap);
        let mut poller = Poller::default();
        let (mut sizes, mut polls) = (sizes.iter().cycle(), polls.iter().cycle());
        let mut rest = &all.bytes[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            transcript.push(now);
            rest = later;
            let want = *polls.next().unwrap();
            if want > 0 {
                poller.poll(&transcript, Want::First(want), &all);
            }
            prop_assert!(transcript.held <= cap);
        }
        poller.poll(&transcript, ALL, &all);
        // Read to the end, and each byte was either shown or counted as missed.
        let end = all.bytes.len() as u64;
        prop_assert_eq!((poller.since, poller.shown + poller.missed), (end, end));
    }
}

#[test]
fn a_screen_that_outlives_the_ring_leaves_only_what_came_after_it() {
    for mode in ["47", "1047", "1049"] {
        let mut transcript = Transcript::new(50_000);
        transcript.push(format!("before\r\n$ vi\r\n\x1b[?{mode}h").as_bytes());
        for row in 0..10_000 {
            transcript.push(format!("\x1b[Hsecret row {row}\r\n").as_bytes());
        }
        let page = transcript.read(0, ALL, each);
        assert_eq!((page.lines.len(), page.cursor), (0, page.missed), "{page:?}");
        transcript.push(format!("\x1b[?{mode}l$ next\r\nlast\r\n").as_bytes());
        let page = transcript.read(0, ALL, each);
        assert!(!texts(&page).iter().any(|line| line.contains("secret")), "{page:?}");
        assert_eq!(texts(&page).last(), Some(&"last"));
    }
}

#[test]
fn a_line_that_never_ends_is_read_in_stretches_and_takes_no_more_than_the_ring() {
    let mut transcript = Transcript::new(100_000);
    let (mut since, mut columns, mut missed) = (0, 0, 0);
    for at in 0..2000 {
        transcript.push(&[b'x'; 997]);
        if at % 7 == 0 {
            let page = transcript.read(since, ALL, each);
            let whole = page.lines.len() - usize::from(page.partial);
            columns += page.lines[..whole].iter().map(|line| line.text.len()).sum::<usize>();
            (since, missed) = (page.cursor, missed + page.missed);
            assert!(transcript.held <= 100_000);
        }
    }
    assert_eq!((since - missed) as usize, columns);
    assert!(since > 1_900_000, "{since}");
}
