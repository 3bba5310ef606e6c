//! What is typed arrives as it is, and what comes of it is shown.

use super::{Terminal, has_line, lines};
use crate::support::{Sgw, Sshd};

#[test]
fn what_is_typed_runs_and_what_came_is_shown() {
    let me = Terminal::open();
    let typed = me.types_until("echo $((40 + 2)) $TERM $PAGER; stty size", "^48 160$");
    has_line(&typed, "42 xterm-256color cat");
    has_line(&typed, "48 160");
    assert_eq!((&typed["control"], &typed["status"]), (&"agent".into(), &"running".into()));
    assert_eq!(typed["id"], me.session.as_str());
    // The same shell goes on; without a pattern until it is quiet.
    me.types(&["cd /usr; X=7"]);
    let outcome = me.input(&["echo \"$PWD-$X\""]).ok();
    assert!(outcome.stdout().lines().any(|line| line == "/usr-7"), "{outcome:?}");
    // The marker that everything here is ended by stands in the environment.
    let typed = me.types_until("echo \"<$SGW_EXEC>\"", "^<.*>$");
    let marker = format!("<{}-", me.session);
    assert!(lines(&typed).iter().any(|line| line.starts_with(&marker)), "{typed}");
}

#[test]
fn what_is_waited_for_ends_the_call_and_the_time_does_too() {
    let me = Terminal::open();
    let typed = me.types_until("sleep 0.7; echo it-is-do''ne", "^it-is-done$");
    has_line(&typed, "it-is-done");
    let outcome =
        me.input(&["echo be''fore; sleep 600", "--wait-for", "^never$", "--timeout", "2s"]);
    let outcome = outcome.fails(124, "input.timeout");
    assert!(outcome.stdout().contains("\nbefore\n"), "what came was not delivered: {outcome:?}");
    let hint = format!("sgw output {} --new", me.session);
    outcome.says(&hint);
    // Nothing was ended: a key does that.
    let typed = me.types(&["--key", "ctrl-c"]);
    assert_eq!(typed["timed_out"], false, "{typed}");
    me.types_until("echo still-he''re", "^still-here$");
    // Without a pattern the end of the time is no failure.
    let typed = me.types(&["while :; do echo on; sleep 0.1; done", "--timeout", "1s"]);
    assert_eq!((&typed["timed_out"], &typed["matched"]), (&true.into(), &serde_json::Value::Null));
}

#[test]
fn patterns_and_keys_that_are_none_are_refused_before_anything_is_typed() {
    let me = Terminal::open();
    for pattern in ["a(", "(x{1000}){1000}", "(?<=a)b"] {
        me.input(&["exit", "--wait-for", pattern]).fails(2, "input.regex");
    }
    me.input(&["exit", "--key", "hyper-x"]).fails(2, "usage.arguments");
    me.input(&[]).fails(2, "usage.arguments");
    me.input(&["--secret", "db"]).fails(2, "usage.arguments").says("not built yet");
    let long = "x".repeat(70_000);
    me.input(&[&long]).fails(2, "limit.command");
    let output = me.sgw.agent(["output", &me.session]);
    output.fails(1, "output.gone");
}

#[test]
fn text_keys_and_standard_input_are_typed_as_they_are() {
    let me = Terminal::open();
    me.types(&["cat"]);
    let typed = me.types(&["one two", "--no-enter"]);
    assert!(lines(&typed).iter().any(|line| line.ends_with("one two")), "{typed}");
    // Ctrl-d hands over what stands there, the second ends it.
    let typed = me.types(&["--key", "ctrl-d", "--key", "ctrl-d"]);
    assert!(lines(&typed)[0].starts_with("one two"), "{typed}");
    let mut input = me.sgw.start(["input", &me.session, "--stdin", "--wait-for", "^6 x$"]);
    input.write(b"echo $((2 * 3)) \\\n x\n");
    input.close_stdin();
    input.ends().ok();
    let mut nothing = me.sgw.start(["input", &me.session, "--stdin"]);
    nothing.close_stdin();
    nothing.ends().fails(2, "usage.arguments").says("standard input is empty");
    // Up brings back the last line, which is known to nobody before.
    me.policy("[defaults]\nopaque = \"allow\"\n");
    me.types_until("echo again-$((1 + 1))", "^again-2$");
    let typed = me.types(&["--key", "up", "--key", "enter", "--wait-for", "^again-2$"]);
    assert_eq!(typed["matched"], true, "{typed}");
    let mut input = me.sgw.command(["input", "--wait-for", "^dash$", "--", "echo dash"]);
    me.sgw.run(input.env("SGW_SESSION", &me.session)).ok();
}

#[test]
fn where_a_password_is_asked_for_text_is_refused() {
    let me = Terminal::open();
    let ask = "read -rsp 'Pass''word: ' x; echo; echo \"got [$x]\"";
    let typed = me.types(&[ask, "--wait-for", "^Password: $"]);
    assert_eq!((&typed["asks_for_secret"], &typed["partial"]), (&true.into(), &true.into()));
    me.input(&["hunter2"]).fails(77, "input.echo_off").says("sgw handoff");
    me.input(&["hunter2", "--no-enter"]).fails(77, "input.echo_off");
    let typed = me.types(&["--key", "enter", "--wait-for", r"^got \[\]$"]);
    assert_eq!((&typed["matched"], &typed["asks_for_secret"]), (&true.into(), &false.into()));
    me.types_until("echo go''es on", "^goes on$");
}

#[test]
fn signals_reach_what_has_the_keyboard() {
    let me = Terminal::open();
    for (signal, shown) in [
        ("INT", "status-130"),
        ("QUIT", "status-131"),
        ("TERM", "status-143"),
        ("KILL", "status-137"),
    ] {
        let typed = me.types(&["echo pid-''is $$; sleep 600", "--wait-for", "^pid-is"]);
        assert_eq!(typed["matched"], true, "{typed}");
        let sent = me.sgw.agent(["signal", &me.session, signal]).ok();
        sent.prints(&format!("{signal} sent to the terminal of {}\n", me.session));
        me.types_until("echo status-$?", &format!("^{shown}$"));
    }
    me.types(&["cat"]);
    me.sgw.agent(["signal", &me.session, "TSTP"]).ok();
    me.types_until("jobs; echo sto''pped", "^stopped$");
    me.types(&["fg"]);
    me.sgw.agent(["signal", &me.session, "EOF"]).ok();
    me.types_until("echo ca''t-$?", "^cat-0$");
    me.sgw.agent(["signal", &me.session, "WINCH"]).fails(2, "usage.arguments");
}

#[test]
fn shells_and_editors_that_ask_their_terminal_get_answers() {
    let shell = "/usr/bin/fish";
    assert!(std::path::Path::new(shell).exists(), "no fish: tests/run installs it");
    let sshd = Sshd::with().line(&format!("SetEnv SHLVL=1 SHELL={shell}")).start();
    let me = Terminal::on(sshd, &[]);
    me.policy("[defaults]\nparse_error = \"allow\"\nopaque = \"allow\"\n");
    // It would wait for some seconds, and complain.
    let typed = me.types_until("echo $version (math 6 x 7)", r"^\d\S* 42$");
    assert!(!typed.to_string().contains("Primary Device Attribute"), "{typed}");
    let script = me.sshd.directory().join("ask");
    let ask =
        "printf '\\e[40;4H\\e[6n\\e[c'; read -rs -d c -t 20 x; echo; echo answer ${x//$'\\e'/ESC}";
    std::fs::write(&script, ask).unwrap();
    let typed = me.types_until(&format!("bash {}", script.display()), "^answer ");
    assert!(typed.to_string().contains("answer ESC[40;4RESC[?62;22"), "{typed}");
}

#[test]
fn an_editor_is_seen_on_the_screen() {
    assert!(std::path::Path::new("/usr/bin/vi").exists(), "no vi: tests/run installs it");
    let me = Terminal::open();
    let file = me.sshd.directory().join("notes");
    me.types(&[&format!("vi -u NONE {}", file.display()), "--settle", "1s"]);
    me.types(&["ifirst line", "--settle", "1s"]);
    me.types(&["second", "--key", "esc", "--no-enter", "--settle", "1s"]);
    let screen = me.output(&["--screen"]);
    assert_eq!(lines(&screen)[..3], ["first line", "second", "~"], "{screen}");
    me.types(&[":wq", "--settle", "1s"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "first line\nsecond\n");
    // The full screen is none of the lines.
    assert!(!me.output(&[]).to_string().contains("second"), "{}", me.output(&[]));
}

#[test]
fn a_server_that_gives_no_terminal_says_so_at_once() {
    let me = Terminal::on(Sshd::with().line("PermitTTY no").start(), &[]);
    me.input(&["ls"]).fails(1, "target.refused");
    let sgw: &Sgw = &me.sgw;
    sgw.agent(["exec", &me.session, "--", "echo", "works"]).ok().prints("works\n");
}
