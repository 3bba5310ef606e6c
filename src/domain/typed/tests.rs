//! What is trusted of what is typed, and that no way of typing the same is trusted more.

use proptest::prelude::*;

use super::*;

const BASH: Reader = Reader::Shell(Shell::Posix);

fn python() -> Reader {
    Reader::Programs { names: vec!["python3".to_owned()], by_keys: false }
}

fn lines(bytes: &[u8]) -> Option<String> {
    match Line::default().take(bytes, &BASH).what {
        What::Lines(lines) => Some(String::from_utf8(lines.text).unwrap()),
        _ => None,
    }
}

fn why(line: &Line, bytes: &[u8], reader: &Reader) -> Option<Why> {
    match line.take(bytes, reader).what {
        What::Opaque(opaque) => Some(opaque.why),
        _ => None,
    }
}

/// Typed one after the other.
fn after(all: &[&[u8]], reader: &Reader) -> Line {
    all.iter().fold(Line::default(), |line, bytes| line.take(bytes, reader).after)
}

#[test]
fn text_backspace_and_enter_make_a_line() {
    assert_eq!(lines(b"ls -l\r").as_deref(), Some("ls -l\n"));
    assert_eq!(lines("echo é\r".as_bytes()).as_deref(), Some("echo é\n"));
    assert_eq!(lines(b"lsx\x7f -l\r").as_deref(), Some("ls -l\n"));
    assert_eq!(lines(b"\x7f\x7fls\r").as_deref(), Some("ls\n"));
    assert_eq!(lines(b"one\ntwo\r").as_deref(), Some("one\ntwo\n"));
    assert_eq!(lines(b"exit\r\x04").as_deref(), Some("exit\n"));
    for nothing in [&b"ls"[..], b"\r", b"  \r", b"\x03", b"\x04", b"\t", b"\x1b[A", b"rm -rf /\x03"]
    {
        assert_eq!(Line::default().take(nothing, &BASH).what, What::Nothing, "{nothing:?}");
    }
}

#[test]
fn any_other_key_before_an_enter_makes_it_opaque() {
    let keys: [&[u8]; 22] = [
        b"\t",
        b"\x1b[A",
        b"\x1bOA",
        b"\x12",
        b"\x19",
        b"\x15",
        b"\x0b",
        b"\x17",
        b"\x0f",
        b"\x16",
        b"\x18\x05",
        b"\x1b.",
        b"\x1bx",
        b"\x1b",
        b"\x08",
        b"\x07",
        b"\0",
        b"\x1b[200~",
        b"\xff",
        b"\xc2\x9b",
        b"\x1b[15~",
        b"\xc3",
    ];
    for key in keys {
        for typed in
            [[b"ls", key, b"\r"].concat(), [key, b"\r"].concat(), [b"l", key, b"s\r"].concat()]
        {
            let cut = key == b"\xc3" && typed.ends_with(b"s\r");
            let opaque = why(&Line::default(), &typed, &BASH);
            assert_eq!(opaque, Some(Why::Keys), "{typed:?} {cut}");
        }
        // Also when it came in an input of its own.
        let line = after(&[b"ls", key], &BASH);
        assert!(why(&line, b"\r", &BASH).is_some(), "{key:?}");
    }
    for typed in [&b"rm\x04"[..], b"\x03ls\r", b"ls\x0f", b"\xc3\xa9\x7f\r"] {
        assert_eq!(why(&Line::default(), typed, &BASH), Some(Why::Keys), "{typed:?}");
    }
}

#[test]
fn what_stands_there_is_part_of_the_line() {
    let line = after(&[b"rm -rf ", b"/"], &BASH);
    let step = line.take(b"\r", &BASH);
    assert!(matches!(&step.what, What::Lines(lines) if lines.text == b"rm -rf /\n"), "{step:?}");
    assert_eq!(step.shown, b"rm -rf /\r");
    assert_eq!(step.after.pending, Some(Vec::new()));
    // An interrupt takes it away, whatever it is.
    let line = after(&[b"rm -rf /", b"\t", b"\x03"], &BASH);
    assert!(matches!(line.take(b"ls\r", &BASH).what, What::Lines(_)));
    // What an operator left is not known, until an Enter of theirs.
    let mut line = Line::default();
    line.disturb(b"rm -rf /");
    assert_eq!(why(&line, b"\r", &BASH), Some(Why::Pending));
    line.disturb(b"\r");
    assert_eq!(why(&line, b"ls\r", &BASH), None);
    line.cut_short();
    assert_eq!(why(&line, b"ls\r", &BASH), Some(Why::Pending));
    // And once it is submitted, the next line is a new one.
    assert_eq!(why(&line.take(b"ls\r", &BASH).after, b"ls\r", &BASH), None);
}

#[test]
fn what_a_program_did_not_read_is_not_known_to_the_shell_behind_it() {
    let line = after(&[b"rm -rf /"], &python());
    assert_eq!(why(&line, b"\r", &BASH), Some(Why::Pending));
    // What was read key by key is read.
    let less = Reader::Programs { names: vec!["less".to_owned()], by_keys: true };
    for keys in [&b"q"[..], b"\x1b[B"] {
        assert_eq!(why(&after(&[keys], &less), b"ls\r", &BASH), None);
    }
    let line = after(&[b"rm -rf "], &Reader::Shell(Shell::Unknown));
    assert_eq!(why(&line, b"/\r", &BASH), None, "a shell is a shell");
    let line = after(&[b"echo "], &Reader::Unseen);
    assert_eq!(why(&line, b"rm -rf /\r", &BASH), Some(Why::Pending));
}

#[test]
fn what_is_typed_ahead_or_to_nobody_known_is_opaque() {
    let unseen = Reader::Unseen;
    for typed in [&b"ls\r"[..], b"\x0f", b"y\n", b"\x1b", b"\x03x\r"] {
        assert_eq!(why(&Line::default(), typed, &unseen), Some(Why::Unseen), "{typed:?}");
    }
    for nothing in [&b"\x03"[..], b"\r", b"\x04", b"y", b"\x1b[A"] {
        assert_eq!(why(&Line::default(), nothing, &unseen), None, "{nothing:?}");
    }
    assert_eq!(why(&after(&[b"rm"], &BASH), b"\x04", &unseen), Some(Why::Unseen));
}

#[test]
fn where_keys_mean_something_else_nothing_is_known_any_more() {
    let mut line = Line::default();
    line.rebind();
    for typed in [&b"ls\r"[..], b"l", b"\t", b"\r", b"\x04"] {
        assert_eq!(why(&line, typed, &BASH), Some(Why::Rebound), "{typed:?}");
        line = line.take(b"\x03", &BASH).after;
    }
}

#[test]
fn a_command_that_goes_on_is_judged_with_what_it_began_with() {
    let mut line = Line::default();
    line.goes_on(b"echo 'a\n");
    let step = line.take(b"b'; ls\r", &BASH);
    let What::Lines(lines) = step.what else { panic!("{step:?}") };
    assert_eq!((lines.text.as_slice(), lines.from), (&b"echo 'a\nb'; ls\n"[..], 8));
    // An Enter by itself is a line of it.
    assert!(matches!(line.take(b"\r", &BASH).what, What::Lines(_)));
    assert_eq!(line.take(b"\x03", &BASH).after.open, b"");
}

#[test]
fn a_program_is_told_text_which_is_kept_until_a_statement_ends() {
    let told = |line: &Line, bytes: &[u8]| match line.take(bytes, &python()).what {
        What::Data(data) => (String::from_utf8(data.text).unwrap(), data.keys),
        other => panic!("{other:?}"),
    };
    let line = after(&[b"import os\r"], &python());
    assert_eq!(told(&line, b"os.x()\r"), ("import os\nos.x()\n".to_owned(), false));
    let line = after(&[b"drop table x;\r"], &python());
    assert_eq!(told(&line, b"quit\r"), ("quit\n".to_owned(), false));
    // Keys cut it in pieces, and are told.
    assert_eq!(told(&Line::default(), b"ihello\x1b:wq\r"), ("ihello\n:wq\n".to_owned(), true));
    let line = after(&[b"\x1b[A", b"x"], &python());
    assert!(told(&line, b"\r").1);
    let long = after(&vec![&b"0123456789012345678901234567890123456789\r"[..]; 190], &python());
    assert!(long.open.len() <= TOLD);
}

#[test]
fn keys_that_a_shell_does_not_care_for_leave_its_line() {
    for key in [b"\x1a", b"\x1c"] {
        let line = after(&[b"rm -rf /"], &BASH);
        assert_eq!(why(&line, key, &BASH), Some(Why::Keys));
        // Also where nobody sees who reads, or by a signal.
        let line = line.take(key, &Reader::Unseen).after;
        assert_eq!(why(&line, b"\r", &BASH), Some(Why::Pending));
        assert_eq!(why(&line.take(b"\x03", &BASH).after, b"ls\r", &BASH), None);
        // What is stopped is left with nothing of it.
        for reader in [python(), Reader::Unseen] {
            let line = after(&[key], &reader);
            assert_eq!(why(&line, b"ls\r", &BASH), None, "{reader:?}");
        }
    }
}

#[test]
fn what_is_typed_to_a_program_with_its_last_key_may_be_the_shells() {
    let less = Reader::Programs { names: vec!["less".to_owned()], by_keys: true };
    for typed in [&b"qrm -rf /"[..], b"q\x1b[A"] {
        let line = after(&[typed], &less);
        assert_eq!(why(&line, b"\r", &BASH), Some(Why::Pending), "{typed:?}");
        let line = line.take(b"\r", &Reader::Unseen).after;
        assert_eq!(why(&line, b"\r", &BASH), Some(Why::Pending), "{typed:?}");
    }
    let mut line = after(&[b"x\r"], &python());
    line.leaves();
    assert_eq!(why(&line, b"ls\r", &BASH), Some(Why::Pending));
    // A call that was begun goes on behind whatever came between.
    let line = after(&[b"!", b"\x1b[A"], &less).take(b"fg\r", &BASH).after;
    let What::Data(data) = line.take(b"x\r", &less).what else { panic!() };
    assert!(data.behind.unknown);
}

fn some_keys() -> impl Strategy<Value = Vec<u8>> {
    let key = prop_oneof![
        6 => prop::sample::select(vec!["l", "rm ", "é", "'", "\\", "/", " ", "ls"]).prop_map(|text| text.as_bytes().to_vec()),
        2 => prop::sample::select(b"\r\n\x7f".to_vec()).prop_map(|byte| vec![byte]),
        1 => prop::sample::select(b"\x01\x03\x04\x0f\x1b\t\x08\xff".to_vec()).prop_map(|byte| vec![byte]),
        1 => Just(b"\x1b[A".to_vec()),
    ];
    prop::collection::vec(key, 0..12).prop_map(|keys| keys.concat())
}

/// All lines that were trusted, and whether some were not.
fn trusted(pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let (mut line, mut all, mut opaque) = (Line::default(), Vec::new(), false);
    for piece in pieces {
        let step = line.take(piece, &BASH);
        match step.what {
            What::Lines(lines) => all.extend(lines.text),
            What::Opaque(_) => opaque = true,
            What::Nothing | What::Data(_) => {}
        }
        line = step.after;
    }
    (all, opaque)
}

proptest! {
    #[test]
    fn no_cut_of_the_same_keys_is_trusted_more(
        keys in some_keys(),
        cuts in prop::collection::vec(0usize..40, 0..6),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(keys.len())).collect();
        cuts.extend([0, keys.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &keys[cut[0]..cut[1]]).collect();
        let (whole, opaque) = trusted(&[&keys]);
        let (cut, cut_opaque) = trusted(&pieces);
        let interrupts = keys.iter().any(|key| matches!(key, 3 | 4));
        if !opaque && !interrupts {
            // The same lines, or a question: blank ones are nothing.
            let said = |text: &[u8]| {
                let text = String::from_utf8_lossy(text).into_owned();
                text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect::<Vec<_>>()
            };
            prop_assert!(cut_opaque || said(&whole) == said(&cut), "{whole:?} {cut:?}");
        }
        // Where the whole is opaque some of the pieces are, or their lines are those before the key.
        if opaque && !interrupts {
            let clean = |key: &u8| matches!(key, b'\r' | b'\n' | 0x7f | 0x20..=0x7e | 0x80..=0xfe);
            let odd = keys.iter().position(|key| !clean(key));
            let behind = odd.is_some_and(|at| keys[at..].iter().any(|key| matches!(key, b'\r' | b'\n')));
            prop_assert!(cut_opaque || !behind, "{keys:?}");
        }
    }

    #[test]
    fn a_control_character_before_an_enter_is_never_trusted(
        before in "[a-z ]{0,5}", control in prop::sample::select((0u8..32).filter(|byte| !b"\r\n\x04".contains(byte)).collect::<Vec<_>>()),
        behind in "[a-z ]{0,5}",
    ) {
        let typed = [before.as_bytes(), &[control], behind.as_bytes(), b"\r"].concat();
        // Where nothing stands yet, Ctrl-L only draws the prompt anew.
        let draws = control == 0x0c && before.is_empty();
        prop_assert_eq!(why(&Line::default(), &typed, &BASH).is_none(), draws, "{:?}", typed);
    }

    #[test]
    fn any_bytes_have_an_answer(all in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..10)) {
        for reader in [BASH, python(), Reader::Unseen] {
            let mut line = Line::default();
            for bytes in &all {
                let step = line.take(bytes, &reader);
                prop_assert!(step.shown.ends_with(bytes));
                line = step.after;
            }
        }
    }
}

#[test]
fn what_came_together_is_cut_behind_its_first_enter_and_around_an_interrupt() {
    for (keys, first) in [
        (&b"ls"[..], 2),
        (b"ls\rpwd\r", 3),
        (b"\rls\r", 1),
        (b"\x03ls\r", 1),
        (b"ls\x03\r", 4),
        (b"\x1b[A\r", 4),
        (b"a\nb", 2),
        (b"", 0),
    ] {
        assert_eq!(first_line(keys), first, "{keys:?}");
    }
    assert!(is_plain("l\x7f\u{e9}".as_bytes()) && !is_plain(b"l\t") && !is_plain(b"l\r"));
    assert!(is_interrupt(b"\x03") && is_interrupt(b"\x1a") && !is_interrupt(b"\x04"));
    assert!(has_enter(b"a\nb") && !has_enter(b"\x03"));
}

#[test]
fn keys_that_come_one_by_one_are_the_line_that_they_are_at_once() {
    let typed = b"rm -rf  /tmp/x\x7f\x7fyz";
    let mut line = Line::default();
    for key in typed {
        let step = line.take(&[*key], &BASH);
        assert_eq!(step.what, What::Nothing);
        line = step.after;
    }
    let What::Lines(one) = line.take(b"\r", &BASH).what else { panic!() };
    assert_eq!(Some(String::from_utf8(one.text).unwrap()), lines(&[typed, &b"\r"[..]].concat()));
}
