//! The rule against bytes that shells really sent (captured at 160x48), cut anywhere.

use super::*;

mod shells;

/// A screen that stands at the end of a prompt of so many columns.
fn at(row: u16, column: u16) -> Place {
    Place { rows: 48, columns: 160, row, column }
}

/// What is seen after each of the pieces.
fn seen(pattern: &str, typed: &str, place: Place, pieces: &[&str]) -> Vec<Seen> {
    let mut wait = WaitFor::new(Regex::new(pattern).unwrap(), typed.as_bytes(), place);
    pieces.iter().map(|piece| wait.feed(piece.as_bytes())).collect()
}

#[track_caller]
fn last(pattern: &str, typed: &str, printed: &str, expected: Seen) {
    let cuts = if printed.len() < 10_000 { &[1, 2, 7, usize::MAX][..] } else { &[4096, 70_000] };
    for cut in cuts.iter().copied() {
        let mut wait = WaitFor::new(Regex::new(pattern).unwrap(), typed.as_bytes(), at(0, 8));
        let last = printed.as_bytes().chunks(cut).map(|piece| wait.feed(piece)).last();
        assert_eq!(last, Some(expected), "{pattern} in {printed:?}, {cut} at a time");
    }
}

const SOON: Seen = Seen::Stands(STANDS);
const LATER: Seen = Seen::Stands(STANDS_BEFORE_ECHO);

#[test]
fn the_echo_is_not_what_is_waited_for() {
    last("hi", "echo hi\r", "echo hi", Seen::No);
    last("hi", "echo hi\r", "echo hi\r\n", Seen::No);
    last("hi", "echo hi\r", "echo hi\r\nhi", SOON);
    last("^hi$", "echo hi\r", "echo hi\r\nhi\r\n", Seen::Yes);
    last(r"\$ $", "echo hi\r", "echo hi\r\nhi\r\nu@h:~$ ", SOON);
    last(r"hi\s*hi", "echo hi\r", "echo hi\r\nhi\r\n", Seen::No);
    last("^$", "true\r", "true\r\n", SOON);
}

#[test]
fn what_repeats_the_input_counts() {
    last("^hello$", "hello\r", "hello\r\nhello\r\n", Seen::Yes);
    last("said hello", "hello\r", "hello\r\nYou said hello\r\n", Seen::Yes);
}

#[test]
fn without_echo_it_counts_when_it_stands() {
    last(r"\$ $", "secret\r", "u@h:~$ ", LATER);
    last("Welcome", "secret\r", "\r\nWelcome\r\n", Seen::Yes);
    last("nope", "secret\r", "\r\nWelcome\r\n", Seen::No);
    // Part of an echo that has not come whole is waited for.
    last("ec", "echo hi\r", "ec", Seen::No);
}

#[test]
fn a_prompt_before_the_echo_must_stand() {
    let seen =
        seen(r"\$ $", "ls\r", at(0, 0), &["done\r\nu@h:~$ ", "l", "s\r\nfile\r\n", "u@h:~$ "]);
    assert_eq!(seen, [LATER, Seen::No, Seen::No, SOON]);
    last("ls", "ls\r", "done\r\nu@h:~$ ls\r\n", Seen::No);
}

#[test]
fn a_line_editor_echoes_again_what_was_typed_while_something_ran() {
    let printed = ["ls\r\n", "done\r\n", "u@h:~$ ", "ls", "\r\n", "file ls\r\n"];
    let expected = [Seen::No, Seen::No, Seen::No, Seen::No, Seen::No, Seen::Yes];
    assert_eq!(seen("ls", "ls\r", at(0, 0), &printed), expected);
    let expected = [Seen::No, Seen::No, LATER, Seen::No, Seen::No, Seen::No];
    assert_eq!(seen(r"\$ $", "ls\r", at(0, 0), &printed), expected);
    // Once: what prints it behind a sign of its own is told apart by the second time.
    assert_eq!(seen("ls", "ls\r", at(0, 0), &["ls\r\n", "$ ls\r\n", "- ls\r\n"])[2], Seen::Yes);
}

#[test]
fn each_typed_line_has_its_echo() {
    let typed = "echo one\recho two\r";
    let bash = "echo one\r\none\r\n$ echo two\r\ntwo\r\n$ ";
    let dash = "echo one\r\necho two\r\none\r\n$ two\r\n$ ";
    for printed in [bash, dash] {
        last("^(. )?two$", typed, printed, Seen::Yes);
        last("echo", typed, printed, Seen::No);
    }
    last(r"\$ $", typed, bash, SOON);
    last(r"\$ $", typed, dash, LATER);
    last("two", typed, "echo one\r\none\r\n$ echo two\r\n", Seen::No);
    let pasted = format!("\x1b[200~{}\x1b[201~\r", "a\tb\rc");
    last("[abc]", &pasted, "a       b\r\nc\r\n", Seen::No);
}

#[test]
fn text_without_enter_is_echo_up_to_its_end() {
    last("ls", "ls", "ls", Seen::No);
    // A suggestion right of the cursor.
    last("-la", "ls", "ls\x1b[2m -la\x1b[0m\x1b[4D", Seen::No);
    last("es", "y", "y\r\nyes\r\n", Seen::Yes);
    last("y", "y", "y\r\n", Seen::No);
    last(":$", "q", "\r\x1b[K:", LATER);
    last("done", "y", "y ... done\r\n", Seen::Yes);
    last("y", "y", "y ... done\r\n", Seen::No);
    last("fine", "ls\ry", "ls\r\na\r\n? y fine\r\n", Seen::Yes);
    last("[sy]", "ls\ry", "ls\r\na\r\n? y", Seen::No);
}

#[test]
fn keys_have_no_echo_and_an_edited_line_is_one() {
    last("Menu", "\x1b[B", "\x1b[2J\x1b[HMenu", SOON);
    last("x", "\x1b[A\r", "echo x\r\n", Seen::No);
    last("^x", "\x1b[A\r", "echo x\r\nx\r\n", Seen::Yes);
    last("etc", "cd /e\tssh\r", "cd /etc/ssh\r\n", Seen::No);
    last("sudo", "\x01sudo \r", "\rsudo ls\r\n", Seen::No);
    last(r"\$ $", "\x03", "^C\r\n$ ", SOON);
    last("ls", "\x03ls\r", "^C\r\n$ ls\r\n", Seen::No);
    last("lx", "lx\x7fs\r", "lx\x08 \x08s\r\n", Seen::No);
    last("gone", "gone\x15\r", "\r\n", Seen::No);
}

#[test]
fn what_goes_again_does_not_count() {
    let seen = seen("50%", "", at(0, 0), &["50%", "\r\x1b[K60%", "\r\x1b[K50%", "\r\n"]);
    assert_eq!(seen, [SOON, Seen::No, SOON, Seen::Yes]);
    // The mark that zsh puts where a line has not ended.
    let blanks = " ".repeat(159);
    last(r"%\s*$", "", &format!("x\r\n\x1b[7m%\x1b[27m{blanks}\r \r\r\x1b[Jhost> "), Seen::No);
}

#[test]
fn a_second_prompt_on_the_right_does_not_hide_the_first() {
    last("% $", "", "host% \x1b[K\x1b[139C[~]\x1b[142D", SOON);
    last(r"\[~\]", "", "host% \x1b[K\x1b[139C[~]\x1b[142D", SOON);
}

#[test]
fn an_alternate_screen_is_another_screen() {
    last("END", "less f\r", "less f\r\n\x1b[?1049h\x1b[Htext\x1b[48;1H(END)", SOON);
    last("END", "q", "\x1b[48;1H\x1b[K\x1b[?1049l$ ", Seen::No);
    last(r"\$ $", "q", "\x1b[?1049h(END)\x1b[?1049l$ ", LATER);
}

#[test]
fn what_scrolls_away_was_looked_at() {
    let flood: String = (0..1000).map(|at| format!("line {at}\r\n")).collect();
    last("^line 3$", "", &flood, Seen::Yes);
    let long = "x".repeat(100_000);
    last("^y", "", &format!("{long}\r\ny\r\n"), Seen::Yes);
    last("xy$", "", &format!("{long}y\r\n"), Seen::Yes);
    last("echo", &format!("echo {long}\r"), &format!("echo {long}\r\n"), Seen::No);
    let positioned: String = (0..200).map(|at| format!("\x1b[48;1H\nat {at}\x1b[H")).collect();
    last("^at 3$", "", &positioned, Seen::Yes);
}

#[test]
fn whatever_comes_is_bounded() {
    let hostile = [
        format!("\x1b]0;{}", "t".repeat(1 << 20)),
        format!("\x1b[{}m", "1;".repeat(1 << 18)),
        "\x1b[99999;99999H\x1b[99999B\x1b[99999Cx".repeat(100),
        "\x1b[65535L\x1b[65535M\x1b[65535S\x1b[65535T\x1b[65535@\x1b[65535P\x1b[65535X"
            .repeat(1000),
        "\x1b[?1049h\n\x1b[?1049lx\n".repeat(10_000),
        "\x1b[2;3r\n\x1bM\x1bM\x1bM\x1b[J\x1b[1J\x1b[2J\x1bc".repeat(1000),
        "\x1b[A\n\x1b[A\r\n".repeat(50_000),
        "漢".repeat(50_000),
        "\u{301}".repeat(50_000),
        "\x1b[1;1H\x1b[999C漢\x08\x08é\t\t\t\t".repeat(1000),
    ];
    let never = Regex::new("never").unwrap();
    for bytes in &hostile {
        for place in [at(47, 159), Place { rows: 0, columns: 0, row: 9, column: 9 }] {
            let mut wait = WaitFor::new(never.clone(), b"a\tb\rc", place);
            for piece in bytes.as_bytes().chunks(65536) {
                assert_ne!(wait.feed(piece), Seen::Yes);
            }
            assert!(wait.page.paper.held().len() < 20_000);
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_do(
        typed in proptest::collection::vec(proptest::num::u8::ANY, 0..40),
        bytes in proptest::collection::vec(proptest::prop_oneof![
            proptest::sample::select(b"\x1b[]P?;149hlKmJABCDHLMPST@XrsuE78c\\\x07\x08\r\n\t\x18ab \xe2\x82\xac\xff".to_vec()),
            proptest::num::u8::ANY,
        ], 0..600),
        size in 1usize..50,
    ) {
        let place = Place { rows: 5, columns: 7, row: 2, column: 3 };
        let mut wait = WaitFor::new(Regex::new("ab").unwrap(), &typed, place);
        bytes.chunks(size).for_each(|piece| _ = wait.feed(piece));
    }
}
