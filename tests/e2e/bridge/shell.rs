//! Shells and terminals through sgw: what a person at the stock client sees and types.

use super::{Both, ran, stderr};
use crate::support::{Pty, eventually, processes_naming};

/// A prompt that is known, and no start-up file of the machine's.
const PROMPT: &str = "PS1='ready> ' exec bash --norc --noprofile";

impl Both {
    /// The client on a terminal of 100 by 30.
    pub fn at(&self, words: &[&str]) -> Pty {
        let mut words = words.to_vec();
        words.insert(0, "-tt");
        Pty::start_with(&self.ssh(&self.through, &words), (30, 100))
    }

    /// At a shell whose prompt is known.
    pub fn prompt(&self) -> Pty {
        let mut pty = self.at(&["web1", PROMPT]);
        pty.wait_for("ready> $");
        pty
    }
}

#[test]
fn a_terminal_has_the_clients_size_name_and_modes() {
    let both = Both::new();
    for config in [&both.direct, &both.through] {
        let words = ["-tt", "web1", "stty size; echo $TERM; stty -a | grep -o 'erase = ^?'; tty"];
        let mut pty = Pty::start_with(&both.ssh(config, &words), (30, 100));
        pty.wait_for(r"(?s)30 100\nxterm-256color\nerase = \^\?\n/dev/pts/");
        assert_eq!(pty.ends().0, 0);
    }
}

#[test]
fn a_window_that_changes_is_another_size_on_the_target() {
    let both = Both::new();
    let mut pty = both.prompt();
    pty.send("stty size\r");
    pty.wait_for("30 100\nready> $");
    pty.resize(41, 77);
    eventually("the target knows", || {
        pty.send("clear; stty size\r");
        std::thread::sleep(std::time::Duration::from_millis(300));
        pty.screen().contains("41 77")
    });
    pty.send("exit 3\r");
    assert_eq!(pty.waits_for_end(), 3);
}

#[test]
fn a_login_shell_opens_is_typed_into_and_ends_as_it_says() {
    let both = Both::new();
    let mut pty = Pty::start_with(&both.ssh(&both.through, &["web1"]), (30, 100));
    pty.wait_for(r"[$#] $");
    pty.send("shopt -q login_shell && echo a login $((6 * 7))\r");
    pty.wait_for("\na login 42");
    pty.send("exit 7\r");
    assert_eq!(pty.waits_for_end(), 7);
    let session = both.sgw.by(&both.token, ["history", "web1", "--json"]).ok().json();
    let shell = &session["history"][0];
    assert_eq!((&shell["command"], &shell["exit_code"]), (&"(a shell)".into(), &7.into()));
}

#[test]
fn a_command_on_a_terminal_ends_as_it_does_directly() {
    let both = Both::new();
    for command in ["exit 7", "exec timeout -s KILL 0.2 sleep 1000", "echo out; echo err >&2"] {
        let run = |config| {
            let mut pty = Pty::start_with(&both.ssh(config, &["-tt", "web1", command]), (30, 100));
            let code = pty.waits_for_end();
            (code, pty.screen().replace("127.0.0.1", "web1"))
        };
        assert_eq!(run(&both.through), run(&both.direct), "{command}");
    }
}

/// Also where the client itself has no terminal, and what is typed ends.
#[test]
fn without_a_terminal_of_its_own_the_client_gets_one_on_the_target() {
    let both = Both::new();
    let output = ran(&mut both.ssh(&both.through, &["-tt", "web1", "test -t 0 && echo yes"]), b"");
    assert_eq!(output.stdout, b"yes\r\n", "{}", stderr(&output));
    let output = ran(&mut both.ssh(&both.through, &["-tt", "web1"]), b"echo $((40 + 2))\nexit 5\n");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(5), "{text} {}", stderr(&output));
    assert!(text.contains("\n42\r\n"), "{text}");
}

#[test]
fn every_byte_of_a_full_screen_program_arrives_and_every_key_of_it() {
    let both = Both::new();
    let bytes = "printf '\\033[?1049h\\033[2J\\033[5;10H\\033[7mtext\\033[0m\\033[?25l\\033[6n\\033P1$r\\033\\\\'";
    let words = [
        "web1",
        &format!(
            "stty raw -echo; {bytes}; head -c 9 | od -An -tx1 -v; printf '\\033[?1049l'; stty sane"
        ),
    ];
    let mut seen = Vec::new();
    for config in [&both.direct, &both.through] {
        let mut all = vec!["-tt"];
        all.extend(words);
        let mut pty = Pty::start_with(&both.ssh(config, &all), (30, 100));
        eventually("it draws", || String::from_utf8_lossy(&pty.raw()).contains("\x1b[6n"));
        pty.send("i\x1b[<0;1;2M");
        assert_eq!(pty.waits_for_end(), 0);
        seen.push(String::from_utf8_lossy(&pty.raw()).into_owned());
    }
    assert!(seen[0].contains("69 1b 5b 3c 30 3b 31 3b 32"), "{}", seen[0]);
    // The client's own last word names the way that it went.
    let drawn = |text: &str| text[..text.rfind("\x1b[?1049l").unwrap()].to_owned();
    assert_eq!(drawn(&seen[0]), drawn(&seen[1]));
}

#[test]
fn a_line_that_is_asked_about_waits_at_its_enter_and_one_that_is_blocked_stays_there() {
    let both = Both::new();
    let mut pty = both.prompt();
    // Typed as a person does.
    for key in "kill -s USR1 999999999".chars() {
        pty.send(&key.to_string());
    }
    pty.wait_for("ready> kill -s USR1 999999999$");
    pty.send("\r");
    pty.wait_for(r"sgw: r-\w+ waits for the operator");
    pty.wait_for(r"sgw: error\[approval.pending\]");
    let waits = both.sgw.operator(["requests", "--json"]).ok().json();
    let id = waits["requests"][0]["id"].as_str().unwrap().to_owned();
    both.sgw.operator(["approve", &id, "--yes", "--json"]).ok();
    pty.send("\r");
    pty.wait_for("No such process|invalid|failed");
    pty.send("clear\r");
    pty.wait_for("^ready> $");
    pty.send("rm -rf /\r");
    pty.wait_for(r"sgw: error\[guard.blocked\]");
    // What was typed together with its Enter was not typed at all.
    pty.send("echo still $((1 + 1)) here\r");
    pty.wait_for("\nstill 2 here\n");
    pty.send("exit\r");
    assert_eq!(pty.waits_for_end(), 0);
}

#[test]
fn what_the_line_editor_made_of_keys_is_not_taken_for_what_was_typed() {
    let both = Both::new();
    let mut pty = both.prompt();
    // Up, and an Enter: a line that was never typed.
    pty.send("echo one\r");
    pty.wait_for("\none\nready> $");
    pty.send("\x1b[A");
    pty.wait_for("ready> echo one$");
    pty.send("\r");
    pty.wait_for(r"sgw: error\[approval.pending\]");
    pty.send("\x03");
    pty.wait_for("ready> $");
    pty.send("echo two\r");
    pty.wait_for("\ntwo\nready> $");
}

#[test]
fn a_line_typed_ahead_waits_for_its_prompt_and_an_interrupt_does_not() {
    let both = Both::new();
    let mut pty = both.prompt();
    pty.send("sleep 1\recho after\r");
    pty.wait_for("\nafter\nready> $");
    pty.send("sleep 1000\r");
    pty.wait_for("ready> sleep 1000");
    pty.send("\x03");
    pty.wait_for(r"\^C\nready> $");
}

#[test]
fn variables_of_the_language_go_along_and_no_others() {
    let both = Both::new();
    let mut ssh = both.ssh(&both.through, &["web1", "echo $LANG,$LC_TIME,$COLORTERM,$OTHER"]);
    ssh.env("LANG", "C.UTF-8").env("LC_TIME", "C").env("COLORTERM", "truecolor").env("OTHER", "x");
    let output = ran(&mut ssh, b"");
    assert_eq!(output.stdout, b"C.UTF-8,C,truecolor,\n", "{}", stderr(&output));
}

#[test]
fn without_the_capability_or_by_the_policy_there_is_no_terminal() {
    let both = Both::granted(&["--only", "exec"]);
    for words in [&["-tt", "web1"][..], &["-tt", "web1", "true"]] {
        let output = ran(&mut both.ssh(&both.through, words), b"");
        assert_eq!(output.status.code(), Some(77), "{}", stderr(&output));
        assert!(stderr(&output).contains("pty"), "{}", stderr(&output));
    }
    let output = ran(&mut both.ssh(&both.through, &["web1", "echo fine"]), b"");
    assert_eq!(output.stdout, b"fine\n");
}

#[test]
fn a_killed_client_leaves_nothing_of_its_shell() {
    let both = Both::new();
    let word = format!("shell-mark-{}", std::process::id());
    let mut pty = both.prompt();
    pty.send(&format!("sh -c 'trap : HUP; echo be''gun; sleep 1000; true {word}'\r"));
    pty.wait_for("\nbegun");
    assert!(!processes_naming(&word).is_empty());
    drop(pty);
    eventually("its processes are gone", || processes_naming(&word).is_empty());
}
