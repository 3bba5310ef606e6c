//! The model against hostile bytes: it never fails, never grows, and never answers with what it was told.

use std::time::Instant;

use proptest::prelude::*;

use super::*;

fn screen(rows: u16, columns: u16) -> Screen {
    Screen::new(Size::new(rows, columns).unwrap())
}

/// Feeds all of it, and says in how many turns.
fn feed(screen: &mut Screen, mut bytes: &[u8]) -> usize {
    let mut turns = 0;
    while !bytes.is_empty() {
        let taken = screen.feed(bytes);
        assert!(taken > 0, "a turn without work");
        bytes = &bytes[taken..];
        turns += 1;
    }
    turns
}

#[test]
fn it_shows_what_a_terminal_would() {
    let mut screen = screen(4, 20);
    feed(&mut screen, b"$ ls\r\n\x1b[1;34mbin\x1b[0m  etc\r\nPass\x1b]0;a \x01title\x07word: ");
    assert_eq!(screen.lines(), ["$ ls", "bin  etc", "Password:"]);
    assert_eq!(screen.before_cursor(), "Password: ");
    assert_eq!(screen.shown().title.as_deref(), Some("a title"));
    let copy = Screen::like(&screen.shown(), screen.size());
    assert_eq!(copy.lines(), screen.lines());
    assert_eq!(copy.before_cursor(), screen.before_cursor());
    feed(&mut screen, b"\x1b[?1h\x1b[2;3H");
    assert!(screen.application_cursor());
    assert_eq!(screen.before_cursor(), "bi");
}

#[test]
fn programs_get_answers_about_the_model_alone() {
    let mut screen = screen(24, 80);
    feed(&mut screen, b"\x1b[3;5H\x1b[6n\x1b[c\x1b[>c\x1b[5n\x1b[?6n\x1b]0;rm -rf\x07\x1b[21t");
    let answers = String::from_utf8(screen.take_answers()).unwrap();
    assert_eq!(answers, "\x1b[3;5R\x1b[?62;22c\x1b[>1;10;0c\x1b[0n\x1b[?3;5;1R");
    feed(&mut screen, &b"\x1b[6n".repeat(100_000));
    assert!(screen.take_answers().len() <= ANSWERS);
    assert!(screen.take_answers().is_empty());
}

#[test]
fn a_turn_is_short_whatever_comes() {
    let heavy: [&[u8]; 7] = [
        b"a\x1b[65535b",
        b"\x1b[2J",
        b"\x1b[65535L",
        b"\x1b[65535S",
        b"\n",
        b"\x1bc",
        b"\x1b[?1049h\x1b[?1049l",
    ];
    for sequence in heavy {
        let mut screen = screen(1000, 131);
        let bytes = sequence.repeat(2_000 / sequence.len());
        let began = Instant::now();
        let turns = feed(&mut screen, &bytes);
        let each = began.elapsed() / u32::try_from(turns).unwrap();
        // Some milliseconds at most; a debug build on a busy machine is given much more.
        assert!(each.as_millis() < 250, "{each:?} for {sequence:?} in {turns} turns");
    }
}

#[test]
fn odd_sizes_and_wide_characters_are_drawn() {
    for (rows, columns) in [(1, 1), (1, 2), (2, 1), (1000, 1), (1, 1000)] {
        let mut screen = screen(rows, columns);
        let text = "漢e\u{301}字\u{301}\u{200d}👩‍👩‍👧\r\n\x1b[2;9999H漢\x1b[5@\x1b[3P\x1b[L\x1b[M\x1b[?1049h漢";
        feed(&mut screen, text.repeat(20).as_bytes());
        screen.resize(Size::new(columns, rows).unwrap());
        feed(&mut screen, text.as_bytes());
        let _shown = (screen.lines(), screen.before_cursor());
    }
}

/// Sequences, near-sequences and noise.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let sequence = (
        prop::sample::select(vec!["", "?", ">", "=", "!", " ", "$"]),
        prop::collection::vec(prop_oneof![0u32..30, 100u32..70_000], 0..5),
        0x40u8..0x7f,
    )
        .prop_map(|(mark, numbers, last)| {
            let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
            format!("\x1b[{mark}{}{}", numbers.join(";"), char::from(last)).into_bytes()
        });
    let modes = prop::sample::select(vec![6u32, 7, 47, 1047, 1049, 25, 1]);
    let mode = (modes, prop::bool::ANY)
        .prop_map(|(mode, on)| format!("\x1b[?{mode}{}", if on { 'h' } else { 'l' }).into_bytes());
    let text =
        prop::sample::select(vec!["漢", "e\u{301}", "\u{200d}", "\u{fe0f}", "👩‍👧", "\u{202e}", "x"]);
    prop_oneof![
        4 => sequence,
        2 => mode,
        3 => text.prop_map(|text| text.as_bytes().to_vec()),
        2 => prop::sample::select(b"\x1b\r\n\x08\t\x0b\x0c\x07[]PM78cD".to_vec()).prop_map(|byte| vec![byte]),
        2 => prop::collection::vec(0u8..=255, 1..10),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_and_no_size_make_it_fail(
        steps in prop::collection::vec((noise(), prop::option::weighted(0.05, (1u16..60, 1u16..60))), 1..200),
        rows in 1u16..40,
        columns in 1u16..40,
    ) {
        let mut screen = screen(rows, columns);
        for (bytes, resize) in steps {
            feed(&mut screen, &bytes);
            if let Some((rows, columns)) = resize {
                screen.resize(Size::new(rows, columns).unwrap());
            }
            prop_assert!(screen.take_answers().len() <= ANSWERS);
        }
        let shown = screen.shown();
        let again = Screen::like(&shown, screen.size());
        prop_assert!(again.lines().len() <= 60);
        prop_assert!(screen.lines().iter().all(|line| !line.contains('\x1b')));
    }
}
