//! Text screenshots: each kind of request at 80x24, as `docs/desk.md` shows them.

use ratatui::{Terminal, backend::TestBackend};

use super::*;
use crate::{
    cli::ui::desk::{samples::*, state::Key},
    protocol::operator::Event,
};

const DOCUMENT: &str = include_str!("../../../../../docs/desk.md");

/// What the screen shows, drawn through a real frame.
fn screen(desk: &Desk, now: Now, (columns, rows): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, desk, now)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |row| {
        let cells = (0..columns).map(|column| buffer[(column, row)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    };
    (0..rows).map(line).collect::<Vec<_>>().join("\n")
}

/// A busy desk, with this request marked.
fn busy(request: crate::protocol::view::Request) -> Desk {
    let mut desk = showing(request);
    let others = [command("r-8uv", "apt-get upgrade -y"), command("r-8uw", "apt-get upgrade -y")];
    for other in others {
        desk.event(came(Request { target: "root@db1".into(), ..other }), at(60_000));
    }
    desk.event(Event::Session { session: session("s-4fk") }, at(0));
    let db = Session { target: "root@db1".into(), control: Control::Operator, ..session("s-7hn") };
    desk.event(Event::Session { session: db }, at(0));
    let exec = run("x-7k3", "tail -f /var/log/nginx/error.log", true);
    desk.event(Event::Exec { session: "s-4fk".into(), exec }, at(0));
    desk
}

/// The block under this heading of the document.
fn documented(heading: &str) -> String {
    let from = format!("### {heading}\n");
    let text = DOCUMENT.split(&from).nth(1).unwrap_or_else(|| panic!("no {heading}"));
    let block = text.split("```text\n").nth(1).and_then(|rest| rest.split("\n```").next());
    block.unwrap_or_else(|| panic!("no picture under {heading}")).to_owned()
}

#[track_caller]
fn is_documented(heading: &str, shown: &str) {
    let rows = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let mut shown_rows = rows(shown);
    while shown_rows.last().is_some_and(String::is_empty) {
        shown_rows.pop();
    }
    if rows(&documented(heading)) != shown_rows {
        panic!("docs/desk.md, {heading}, is not what the desk draws:\n{}", shown_rows.join("\n"));
    }
}

#[test]
fn each_kind_of_request_looks_as_documented() {
    let long = "systemctl restart nginx && journalctl -u nginx --since '2 min ago' | tail -n 40";
    for (heading, request) in [
        ("Access", access("r-9mq")),
        ("A command", command("r-9mq", long)),
        ("A plan", plan("r-9mq")),
        ("A handoff", handoff("r-9mq")),
        ("A login", login("r-9mq")),
    ] {
        is_documented(heading, &screen(&busy(request), at(125_000), SIZE));
    }
}

#[test]
fn a_no_with_a_word_and_a_pin_look_as_documented() {
    let mut desk = busy(command("r-9mq", "reboot"));
    desk.mode =
        Mode::Wording { id: "r-9mq".into(), typed: "not before Friday".into(), rule: false };
    is_documented("Saying no", &screen(&desk, at(125_000), SIZE));
    let mut desk = busy(command("r-9mq", "reboot"));
    desk.guard = crate::cli::ui::desk::guard::Guard::new(Some("tmux"), true);
    desk.key(Key::Char('r'), at(125_000));
    desk.claimed("r-9mq", None, at(125_000));
    desk.key(Key::Char('7'), at(125_000));
    let shown = screen(&desk, at(125_000), SIZE);
    is_documented("The PIN", &shown);
    assert!(!shown.contains('7') || !shown.contains("PIN: 7"), "{shown}");
    desk.word = "what was told before ".repeat(20);
    let shown = screen(&desk, at(125_000), SIZE);
    assert!(shown.contains("\nyour PIN for r-9mq: *_\nwhat was told"), "{shown}");
}

#[test]
fn requests_that_differ_in_their_words_have_a_line_each() {
    let mut desk = showing(command("r-9mq", "id"));
    desk.event(came(command("r-9mr", "reboot")), at(0));
    desk.event(came(command("r-9ms", "id")), at(0));
    let shown = screen(&desk, at(125_000), SIZE);
    assert!(shown.contains("1 of 2  id") && shown.contains("reboot"), "{shown}");
}

#[test]
fn help_and_an_empty_desk_look_as_documented() {
    let mut desk = empty();
    is_documented("Nothing waits", &screen(&desk, at(1_000), SIZE));
    desk.mode = Mode::Help;
    is_documented("Help", &screen(&desk, at(1_000), SIZE));
}

#[test]
fn a_cut_is_told_and_all_bytes_can_be_seen() {
    let long = format!("echo {} END", "x".repeat(3_000));
    let mut desk = busy(command("r-9mq", &long));
    let shown = screen(&desk, at(125_000), SIZE);
    assert!(shown.contains("more lines: b shows all") && !shown.contains("END"), "{shown}");
    assert!(!shows_all(&desk));
    desk.key(Key::Char('b'), at(125_000));
    desk.key(Key::End, at(125_000));
    let shown = screen(&desk, at(125_000), SIZE);
    assert!(shown.contains("END") && shown.contains("all bytes"), "{shown}");
}

#[test]
fn what_agents_write_steers_nothing_and_begins_no_line() {
    let evil = "a\x1b[2J\x1b]0;t\x07\u{202e}b\r\n  known    root";
    let mut request = access("r-9mq");
    (request.reason, request.target) = (Some(evil.into()), "web1\x1b[31m".into());
    request.identity = "token:x\u{200b}".into();
    let mut desk = busy(request);
    let exec = run("x-7k3", "printf '\x1b[8m'\n> r-1", true);
    desk.event(Event::Exec { session: "s-4fk".into(), exec }, at(0));
    let shown = screen(&desk, at(125_000), SIZE);
    assert!(!shown.chars().any(|char| char.is_control() && char != '\n'), "{shown:?}");
    assert!(!shown.contains('\u{202e}') && !shown.contains('\u{200b}'), "{shown}");
    let known = shown.lines().filter(|line| line.starts_with("  known")).count();
    assert_eq!(known, 1, "{shown}");
}

#[test]
fn every_size_is_drawn_and_the_mark_and_keys_stay_in_sight() {
    for columns in [1, 2, 20, 39, 40, 60, 80, 81, 200] {
        for rows in [1, 2, 5, 11, 12, 16, 24, 50, 100] {
            let mut desk = busy(access("r-9mq"));
            for number in 0..30 {
                let mut more = access(&format!("r-{number}zz"));
                more.target = format!("host{number}");
                desk.event(came(more), at(1));
            }
            desk.size = (columns, rows);
            desk.move_mark(Some("r-29zz".into()), at(2));
            let shown = screen(&desk, at(125_000), (columns, rows));
            assert_eq!(shown.split('\n').count(), usize::from(rows), "{columns}x{rows}");
            if fits((columns, rows)) {
                assert!(
                    shown.contains("> r-29zz") && shown.contains("quit"),
                    "{columns}x{rows}\n{shown}"
                );
            }
        }
    }
}

#[test]
fn wide_characters_do_not_push_anything_out() {
    let mut request = access("r-9mq");
    request.reason = Some("東京".repeat(60));
    let shown = screen(&busy(request), at(125_000), SIZE);
    assert!(shown.lines().nth(1).unwrap().ends_with("2m 5s"), "{shown}");
}

#[test]
fn a_narrow_window_tells_of_a_keyboard_that_is_held_and_names_of_sessions_are_shown() {
    let mut desk = busy(access("r-9mq"));
    let named = Session { name: Some("release".into()), ..session("s-4fk") };
    desk.event(Event::Session { session: named }, at(0));
    desk.guard = crate::cli::ui::desk::guard::Guard::new(Some("tmux"), true);
    let shown = screen(&desk, at(125_000), (40, 12));
    assert!(shown.starts_with("sgw desk: 3 waiting, 1 in your hands"), "{shown}");
    desk.sessions.retain(|session| session.id == "s-7hn");
    let shown = screen(&desk, at(125_000), (40, 12));
    assert!(shown.contains("s-7hn  YOUR KEYBOARD"), "{shown}");
    let named = Session { name: Some("release".into()), ..session("s-4fk") };
    desk.event(Event::Session { session: named }, at(0));
    assert!(screen(&desk, at(125_000), SIZE).contains("release  x-7k3 for"));
}

#[test]
fn an_input_is_typed_and_not_run() {
    let mut desk = showing(command("r-9mq", "reboot"));
    if let Some(shown) = &mut desk.shown {
        shown.rows.iter_mut().filter(|row| row.name == "runs").for_each(|row| row.name = "types");
    }
    let shown = screen(&desk, at(125_000), SIZE);
    assert!(shown.contains("\nr type it  d deny") && shown.contains("r-9mq input"), "{shown}");
    assert!(!shown.contains("run it"), "{shown}");
}
