//! How far it is: a bar for a person, lines for a program, nothing where neither is wanted.

use super::{content, scripted::Scripted};

const LARGE: usize = 12 * 1024 * 1024;

fn words(there: &Scripted, more: &[&str]) -> Vec<String> {
    let local = there.here("d").display().to_string();
    let words = ["files", "put", "-r"].iter().chain(more).map(|word| (*word).to_owned());
    words.chain([there.session.clone(), local, "/srv".to_owned()]).collect()
}

fn planted() -> Scripted {
    let there = Scripted::new();
    there.plant(&[("d/a", b"a"), ("d/large", &content(LARGE))]);
    there.goes_slowly();
    there
}

#[test]
fn a_person_sees_files_bytes_rate_and_what_remains() {
    let there = planted();
    let mut pty = there.sgw.terminal(words(&there, &[]));
    pty.wait_for(r"[01]/2 files .* [0-9.]+ MiB/12\.00 MiB [0-9.]+ [KM]iB/s [0-9]+s");
    there.is_honest_again();
    let (code, screen) = pty.ends();
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("2 of 2 files done") && !screen.contains("MiB/s"), "{screen}");
}

#[test]
fn without_colour_there_is_none_and_quietly_there_is_nothing() {
    let there = planted();
    there.is_honest_again();
    let mut pty = there.sgw.terminal(words(&there, &["--quiet"]));
    assert_eq!(pty.waits_for_end(), 0);
    assert_eq!(pty.screen().trim(), "");
    let mut plain = there.sgw.command(words(&there, &["--restart"]));
    plain.env("NO_COLOR", "1");
    let mut pty = crate::support::Pty::start(&plain);
    assert_eq!(pty.waits_for_end(), 0);
    let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
    assert!(raw.contains("files done"), "{raw}");
    // Colours are SGR: ESC [ … m.
    let colours = raw.split("\x1b[").skip(1).filter(|part| {
        part.find(|c: char| !c.is_ascii_digit() && c != ';')
            .is_some_and(|at| part[at..].starts_with('m'))
    });
    assert_eq!(colours.count(), 0, "{raw:?}");
}

#[test]
fn a_program_is_told_by_the_second_and_by_the_file() {
    let there = planted();
    let lines = there.sgw.agent(words(&there, &["--json"])).ok().json_lines();
    let progress = lines.iter().find(|line| line["kind"] == "progress").expect("it takes seconds");
    assert_eq!((&progress["of_files"], &progress["of_bytes"]), (&2.into(), &(LARGE + 1).into()));
    let files = lines.iter().filter(|line| line["kind"] == "file").count();
    assert_eq!(files, 2);
    assert_eq!(lines.last().unwrap()["kind"], "transfer");
}
