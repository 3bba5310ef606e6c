//! Keys and events against the pure state: what decides, what is dropped, what moves the mark.

use super::*;
use crate::cli::ui::desk::{fold::folds, samples::*};

/// Typed late enough to count.
fn types(desk: &mut Desk, keys: &str) -> Vec<Effect> {
    keys.chars().flat_map(|char| desk.key(Key::Char(char), at(10_000))).collect()
}

#[test]
fn typed_ahead_and_early_keys_decide_nothing() {
    let mut desk = showing(command("r-2aa", "systemctl restart nginx"));
    for key in ["r", "d"] {
        assert_eq!(desk.key(Key::Char(key.chars().next().unwrap()), at(699)), []);
        assert_eq!(desk.mode, Mode::Queue);
        assert_eq!(desk.word, words::TOO_SOON);
    }
    assert_eq!(desk.key(Key::Char('r'), at(700)), [Effect::Claim("r-2aa".into())]);
}

#[test]
fn enter_decides_nothing_and_there_is_no_default() {
    for request in [access("r-2aa"), command("r-2aa", "ls"), handoff("r-2aa"), login("r-2aa")] {
        let mut desk = showing(request);
        let keys = [Key::Enter, Key::Char('y'), Key::Char(' '), Key::Char('\n'), Key::Other];
        for key in keys.into_iter().chain([Key::Paste("rgtld".into()), Key::Home]) {
            assert_eq!(desk.key(key, at(10_000)), []);
            assert_eq!(desk.mode, Mode::Queue);
        }
    }
}

#[test]
fn each_kind_has_its_own_yes() {
    let kinds = [
        (access("r-2aa"), 'g'),
        (command("r-2aa", "ls"), 'r'),
        (handoff("r-2aa"), 't'),
        (login("r-2aa"), 'l'),
    ];
    for (request, yes) in &kinds {
        for (_, other) in &kinds {
            let mut desk = showing(request.clone());
            let effects = desk.key(Key::Char(*other), at(10_000));
            let decides = effects == [Effect::Claim("r-2aa".into())]
                || effects == [Effect::Attach("s-4fk".into())];
            // The keyboard of a session can be taken at any time; it is no yes to a command or login.
            let takes = *other == 't' && request.session.is_some();
            assert_eq!(decides, other == yes || takes, "{other} for {:?}", request.kind);
        }
    }
}

#[test]
fn a_new_request_never_moves_the_mark() {
    let mut desk = showing(command("r-2aa", "ls"));
    let effects = desk.event(came(access("r-3bb")), at(10_000));
    assert_eq!(effects, [Effect::Bell]);
    assert_eq!(desk.mark.as_deref(), Some("r-2aa"));
    assert_eq!(types(&mut desk, "r"), [Effect::Claim("r-2aa".into())]);
}

#[test]
fn a_yes_runs_what_was_claimed() {
    let mut desk = showing(command("r-2aa", "ls"));
    types(&mut desk, "r");
    // Typed while the claim is on its way.
    assert_eq!(types(&mut desk, "rrd"), []);
    assert_eq!(desk.claimed("r-2aa", None, at(10_001)), [Effect::Run("r-2aa".into())]);
    assert_eq!(types(&mut desk, "rd"), []);
    let effects = desk.decided("r-2aa", "r-2aa approved".into(), true, at(10_002));
    assert_eq!(effects, [Effect::Release]);
    assert!(desk.waiting.is_empty() && desk.mark.is_none());
    assert_eq!((desk.word.as_str(), &desk.mode), ("r-2aa approved", &Mode::Queue));
}

#[test]
fn another_terminal_that_claimed_first_decides() {
    let mut desk = showing(command("r-2aa", "ls"));
    types(&mut desk, "r");
    let told = "another terminal decides on r-2aa now".to_owned();
    assert_eq!(desk.claimed("r-2aa", Some(told.clone()), at(10_001)), [Effect::Release]);
    assert_eq!((&desk.word, &desk.mode), (&told, &Mode::Queue));
    let over = over(command("r-2aa", "ls"), RequestStatus::Approved, Some("operator (pid 7)"));
    desk.event(over, at(10_002));
    assert_eq!(desk.word, "r-2aa was approved by operator (pid 7)");
    assert!(desk.waiting.is_empty());
}

#[test]
fn an_expiry_closes_the_open_question() {
    for keys in ["r", "d"] {
        let mut desk = showing(command("r-2aa", "ls"));
        desk.guard.shared = Some("tmux");
        types(&mut desk, keys);
        desk.claimed("r-2aa", None, at(10_001));
        assert!(!matches!(desk.mode, Mode::Queue));
        let expired = over(command("r-2aa", "ls"), RequestStatus::Expired, None);
        assert_eq!(desk.event(expired, at(10_002)), [Effect::Release]);
        assert_eq!(desk.mode, Mode::Queue);
        assert_eq!(desk.word, "r-2aa has expired: nothing was decided");
        assert_eq!(desk.key(Key::Enter, at(20_000)), []);
    }
}

#[test]
fn a_no_takes_a_word_and_esc_takes_it_back() {
    let mut desk = showing(command("r-2aa", "ls"));
    types(&mut desk, "d");
    assert_eq!(desk.claimed("r-2aa", None, at(10_001)), []);
    types(&mut desk, "not xx");
    desk.key(Key::Backspace, at(10_002));
    desk.key(Key::Backspace, at(10_002));
    types(&mut desk, "q");
    let deny = Effect::Deny("r-2aa".into(), Some("not q".into()));
    assert_eq!(desk.key(Key::Enter, at(10_003)), [deny]);

    let mut desk = showing(command("r-2aa", "ls"));
    types(&mut desk, "d");
    desk.claimed("r-2aa", None, at(10_001));
    assert_eq!(desk.key(Key::Esc, at(10_002)), [Effect::Release]);
    assert_eq!((&desk.mode, desk.waiting.len()), (&Mode::Queue, 1));
}

#[test]
fn a_yes_asks_for_the_pin_under_a_multiplexer_and_a_no_does_not() {
    let mut desk = showing(command("r-2aa", "ls"));
    desk.guard = Guard::new(Some("tmux"), true);
    types(&mut desk, "r");
    assert_eq!(desk.claimed("r-2aa", None, at(10_001)), []);
    types(&mut desk, "7314");
    let check = |typed: &str| Effect::Check(Proof::Pin, Zeroizing::new(typed.to_owned()));
    assert_eq!(desk.key(Key::Enter, at(10_002)), [check("7314")]);
    assert_eq!(desk.proved(Some("that is not the PIN".into()), at(10_003)), []);
    assert!(matches!(desk.mode, Mode::Proving { .. }));
    types(&mut desk, "9155");
    assert_eq!(desk.key(Key::Enter, at(10_004)), [check("9155")]);
    assert_eq!(desk.proved(None, at(10_005)), [Effect::Run("r-2aa".into())]);

    let mut desk = showing(command("r-2aa", "ls"));
    desk.guard = Guard::new(Some("tmux"), true);
    types(&mut desk, "d");
    desk.claimed("r-2aa", None, at(10_001));
    assert!(matches!(desk.mode, Mode::Wording { .. }));
}

#[test]
fn three_wrong_pins_ask_for_the_passphrase() {
    let mut desk = showing(command("r-2aa", "ls"));
    desk.guard = Guard::new(Some("tmux"), true);
    types(&mut desk, "r");
    desk.claimed("r-2aa", None, at(10_001));
    for expected in [Proof::Pin, Proof::Pin, Proof::Pin, Proof::Passphrase] {
        types(&mut desk, "0");
        let effects = desk.key(Key::Enter, at(10_002));
        assert!(matches!(effects.as_slice(), [Effect::Check(proof, _)] if *proof == expected));
        desk.proved(Some("wrong".into()), at(10_003));
    }
}

#[test]
fn after_fifteen_idle_minutes_a_yes_asks() {
    let mut desk = showing(command("r-2aa", "ls"));
    let later = at(15 * 60 * 1000);
    assert_eq!(desk.key(Key::Char('r'), later), [Effect::Claim("r-2aa".into())]);
    assert_eq!(desk.claimed("r-2aa", None, later), []);
    assert!(matches!(desk.mode, Mode::Proving { .. }));
}

#[test]
fn a_yes_needs_all_of_it_to_have_been_seen() {
    let long = format!("echo {}", "x".repeat(20_000));
    let mut desk = showing(command("r-2aa", &long));
    assert_eq!(types(&mut desk, "r"), []);
    assert_eq!(desk.word, words::NOT_READ);
    types(&mut desk, "b");
    assert_eq!(types(&mut desk, "r"), []);
    desk.key(Key::End, at(10_000));
    assert_eq!(types(&mut desk, "r"), [Effect::Claim("r-2aa".into())]);
}

#[test]
fn what_could_not_be_shown_is_not_given() {
    let mut desk = showing(access("r-2aa"));
    desk.shown = None;
    assert_eq!(types(&mut desk, "g"), []);
    assert_eq!(desk.word, words::NOT_SHOWN);
    let failed = Some("target.config: no".to_owned());
    let (rows, whole) = (Vec::new(), Vec::new());
    desk.looked(Shown { id: "r-2aa".into(), rows, whole, read: false, failed });
    assert_eq!(types(&mut desk, "g"), []);
    // A no needs nothing.
    assert_eq!(types(&mut desk, "d"), [Effect::Claim("r-2aa".into())]);
}

#[test]
fn like_requests_share_a_line_and_are_decided_one_by_one() {
    let mut desk = showing(command("r-2aa", "one"));
    for id in ["r-3bb", "r-4cc"] {
        desk.event(came(command(id, "one")), at(1));
    }
    desk.event(came(access("r-5dd")), at(1));
    let lines = |desk: &Desk| {
        let line = |fold: &crate::cli::ui::desk::fold::Fold<'_>| {
            (fold.shown.id.clone(), fold.place, fold.members.len(), fold.marked)
        };
        folds(desk).iter().map(line).collect::<Vec<_>>()
    };
    let (first, last) = (("r-2aa".into(), 1, 3, true), ("r-5dd".into(), 1, 1, false));
    assert_eq!(lines(&desk), [first, last.clone()]);
    assert_eq!(types(&mut desk, "s"), [Effect::Look("r-3bb".into())]);
    assert_eq!(lines(&desk), [("r-3bb".into(), 2, 3, true), last.clone()]);
    // The next of the same line comes after a decision, and waits its moment.
    let over = over(command("r-3bb", "one"), RequestStatus::Withdrawn, Some("uid:1000"));
    assert_eq!(desk.event(over, at(20_000)), [Effect::Look("r-2aa".into())]);
    assert_eq!(desk.key(Key::Char('r'), at(20_100)), []);
    assert_eq!(desk.key(Key::Down, at(20_200)), [Effect::Look("r-5dd".into())]);
    assert_eq!(desk.key(Key::Up, at(20_300)), [Effect::Look("r-2aa".into())]);
}

#[test]
fn the_bell_rings_once_and_at_one_and_five_minutes() {
    let mut desk = empty();
    let ring = [Effect::Bell];
    let effects = desk.event(came(access("r-2aa")), at(1_000));
    assert_eq!(effects, [Effect::Bell, Effect::Look("r-2aa".into())]);
    let minute = 60_000;
    for (after, rings) in [
        (1_500, false),
        (minute, false),
        (minute + 1_000, true),
        (minute + 2_000, false),
        (5 * minute, false),
        (5 * minute + 1_000, true),
        (60 * minute, false),
    ] {
        assert_eq!(desk.tick(at(after)) == ring, rings, "{after}");
    }
    // What waited before the desk was opened is in front of the person.
    let mut desk = empty();
    let old =
        Request { created_at: began() - jiff::SignedDuration::from_secs(9), ..access("r-2aa") };
    assert_eq!(desk.event(came(old), at(0)), [Effect::Look("r-2aa".into())]);
    assert_eq!(desk.tick(at(minute)), ring);
}

#[test]
fn the_strip_has_what_runs_and_what_ran_last() {
    let mut desk = empty();
    desk.event(Event::Session { session: session("s-4fk") }, at(0));
    for (id, running) in [("x-1", true), ("x-1", false), ("x-2", false), ("x-3", true)] {
        let exec = run(id, "ls", running);
        desk.event(Event::Exec { session: "s-4fk".into(), exec }, at(0));
    }
    assert_eq!(desk.runs.keys().collect::<Vec<_>>(), ["x-2", "x-3"]);
    desk.key(Key::Tab, at(1));
    assert_eq!(types(&mut desk, "w"), [Effect::Watch("s-4fk".into())]);
    assert_eq!(types(&mut desk, "t"), [Effect::Attach("s-4fk".into())]);
    let closed = Session { status: SessionStatus::Closed, ..session("s-4fk") };
    desk.event(Event::Session { session: closed }, at(2));
    assert!(desk.sessions.is_empty() && desk.runs.is_empty() && desk.strip.is_none());
}

#[test]
fn a_pause_narrows_at_once_and_going_on_takes_a_yes() {
    let mut desk = showing(command("r-2aa", "ls"));
    assert_eq!(types(&mut desk, "pa"), [Effect::Pause(None)]);
    assert_eq!(types(&mut desk, "pi"), [Effect::Pause(Some("uid:1000".into()))]);
    assert_eq!(types(&mut desk, "ph"), [Effect::Pause(Some("deploy@web1".into()))]);
    assert_eq!(types(&mut desk, "po"), []);
    assert_eq!(types(&mut desk, "n"), []);
    assert_eq!(types(&mut desk, "y"), []);
    assert_eq!(types(&mut desk, "poy"), [Effect::Resume]);
    desk.guard.shared = Some("tmux");
    assert_eq!(types(&mut desk, "poy"), []);
    assert!(matches!(desk.mode, Mode::Proving { wish: Wish::Resume, .. }));
}

#[test]
fn nothing_is_decided_on_a_screen_that_can_t_show_it() {
    let mut desk = showing(command("r-2aa", "ls"));
    desk.size = (30, 5);
    assert_eq!(types(&mut desk, "rd"), []);
    assert_eq!(desk.word, words::TOO_SMALL);
    assert_eq!(desk.key(Key::Char('q'), at(10_000)), [Effect::Quit]);
    assert_eq!(desk.key(Key::Ctrl('c'), at(10_000)), [Effect::Quit]);
    assert_eq!(desk.key(Key::Ctrl('z'), at(10_000)), [Effect::Suspend]);
}

/// Keys that come together, as from a paste without brackets.
fn bursts(desk: &mut Desk, keys: &str, ms: u64) -> Vec<Effect> {
    let keys = keys.chars().map(|char| if char == '\r' { Key::Enter } else { Key::Char(char) });
    desk.typed(keys.collect(), at(ms))
}

#[test]
fn a_burst_decides_nothing_and_the_desk_says_so() {
    for keys in ["clear; sgw watch\r", "po", "pa", "r\r", "dq", "tt", "gq"] {
        let mut desk = showing(command("r-2aa", "ls"));
        assert_eq!(bursts(&mut desk, keys, 10_000), [], "{keys:?}");
        assert_eq!((&desk.mode, desk.word.as_str()), (&Mode::Queue, words::BURST), "{keys:?}");
        // A piece that a slow line has split off.
        assert_eq!(bursts(&mut desk, "r", 10_100), [], "{keys:?}");
        assert_eq!(bursts(&mut desk, "r", 11_000), [Effect::Claim("r-2aa".into())]);
    }
    // What was half asked is not answered by a paste.
    let mut desk = showing(command("r-2aa", "ls"));
    bursts(&mut desk, "p", 10_000);
    assert_eq!(desk.mode, Mode::Pausing);
    assert_eq!(bursts(&mut desk, "ap", 11_000), []);
    assert_eq!(desk.mode, Mode::Queue);
}

#[test]
fn a_burst_is_text_where_text_is_typed_and_moves_where_it_moves() {
    let mut desk = showing(command("r-2aa", "ls"));
    bursts(&mut desk, "d", 10_000);
    desk.claimed("r-2aa", None, at(10_001));
    let deny = Effect::Deny("r-2aa".into(), Some("not now".into()));
    assert_eq!(bursts(&mut desk, "not now\rr", 11_000), [deny]);
    let mut desk = showing(command("r-2aa", "one"));
    for id in ["r-3bb", "r-4cc"] {
        desk.event(came(command(id, id)), at(1));
    }
    bursts(&mut desk, "jj", 10_000);
    assert_eq!(desk.mark.as_deref(), Some("r-4cc"));
    // Moved to only now: it needs its moment all the same.
    assert_eq!(bursts(&mut desk, "r", 10_100), []);
    assert_eq!(desk.typed(vec![Key::Ctrl('c')], at(10_200)), [Effect::Quit]);
}

#[test]
fn a_keyboard_that_is_held_is_handed_back_from_the_live_rows() {
    let mut desk = empty();
    desk.event(Event::Session { session: session("s-4fk") }, at(0));
    desk.key(Key::Tab, at(1));
    assert_eq!(types(&mut desk, "h"), []);
    assert_eq!((&desk.mode, desk.word.as_str()), (&Mode::Queue, words::NOT_YOURS));
    let control = crate::protocol::view::Control::Operator;
    desk.event(Event::Session { session: Session { control, ..session("s-4fk") } }, at(2));
    types(&mut desk, "hdone");
    assert_eq!(desk.key(Key::Esc, at(10_001)), []);
    assert_eq!(desk.word, "the keyboard stays yours");
    types(&mut desk, "hdone");
    let back = |word: Option<&str>| Effect::Return("s-4fk".into(), word.map(str::to_owned));
    assert_eq!(desk.key(Key::Enter, at(10_001)), [back(Some("done"))]);
    types(&mut desk, "h");
    assert_eq!(desk.key(Key::Enter, at(10_001)), [back(None)]);
    desk.guard.shared = Some("tmux");
    assert_eq!(types(&mut desk, "h"), []);
    assert!(matches!(desk.mode, Mode::Proving { .. }));
}

#[test]
fn a_yes_for_the_session_is_given_only_where_one_is_offered() {
    let mut desk = showing(command("r-2aa", "systemctl restart nginx"));
    assert_eq!(types(&mut desk, "a"), []);
    let row = Row { name: "session", text: "systemctl restart nginx".into(), strong: false };
    let shown = desk.shown.as_mut().unwrap();
    shown.rows.push(row.clone());
    shown.whole.push(row);
    assert_eq!(types(&mut desk, "a"), [Effect::Claim("r-2aa".into())]);
    assert_eq!(desk.claimed("r-2aa", None, at(10_001)), [Effect::Keep("r-2aa".into())]);
}

#[test]
fn a_no_to_a_rule_is_for_a_command_that_a_rule_asked_about() {
    let mut desk = showing(command("r-2aa", "systemctl restart nginx"));
    assert_eq!(types(&mut desk, "D"), [], "its session's mode asked");
    let ruled = Request { rule: Some("service.change".into()), ..command("r-2aa", "x") };
    let mut desk = showing(ruled);
    assert_eq!(types(&mut desk, "D"), [Effect::Claim("r-2aa".into())]);
    assert_eq!(desk.claimed("r-2aa", None, at(10_001)), []);
    types(&mut desk, "no");
    let deny = Effect::DenyRule("r-2aa".into(), Some("no".into()));
    assert_eq!(desk.key(Key::Enter, at(10_003)), [deny]);
}

#[test]
fn of_a_plan_all_lines_pass_or_those_that_are_named() {
    let key = |char| Key::Char(char);
    let mut desk = showing(plan("r-9mq"));
    let later = at(10_000);
    assert_eq!(desk.key(key('e'), later), [Effect::Claim("r-9mq".into())]);
    assert_eq!(desk.claimed("r-9mq", None, later), [Effect::Run("r-9mq".into())]);
    let mut desk = showing(plan("r-9mq"));
    desk.key(key('o'), later);
    assert_eq!(desk.claimed("r-9mq", None, later), []);
    // No numbers are no yes.
    assert_eq!(desk.key(Key::Enter, later), []);
    for char in "3,6".chars() {
        desk.key(key(char), later);
    }
    let typed = desk.key(Key::Enter, later);
    assert_eq!(typed, [Effect::Lines("r-9mq".into(), "3,6".into())]);
    let mut desk = showing(plan("r-9mq"));
    desk.key(key('o'), later);
    desk.claimed("r-9mq", None, later);
    assert_eq!(desk.key(Key::Esc, later), [Effect::Release]);
    assert_eq!(desk.mode, Mode::Queue);
}
