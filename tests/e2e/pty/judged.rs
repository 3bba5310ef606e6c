//! What is typed is judged: lines as commands are, the rest as what nobody can know; and each setting of
//! `pty`.

use std::fs;

use serde_json::Value;

use super::{Terminal, has_line, lines};
use crate::support::{Sshd, eventually};

impl Terminal {
    /// It asks, because of this; nothing is typed.
    #[track_caller]
    fn asks(&self, more: &[&str], rule: &str) -> String {
        let input = [&["input", &self.session, "--no-wait", "--json"], more].concat();
        let request = self.sgw.agent(&input).fails(75, "approval.pending").waits_on();
        assert_eq!(self.request(&request)["rule"], rule);
        request
    }

    fn request(&self, id: &str) -> Value {
        let queue = self.sgw.agent(["requests", "--json"]).ok().json();
        let found = queue["requests"].as_array().unwrap().iter().find(|one| one["id"] == id);
        found.unwrap_or_else(|| panic!("{id} does not wait: {queue}")).clone()
    }

    /// It would ask, because of this: nobody is asked.
    #[track_caller]
    fn would_ask(&self, more: &[&str]) {
        self.input(&[&["--no-ask"], more].concat()).fails(77, "approval.required");
    }

    #[track_caller]
    fn blocked(&self, more: &[&str], rule: &str) {
        self.input(more).fails(77, "guard.blocked").says(rule);
    }

    #[track_caller]
    fn says_yes(&self, request: &str) -> Value {
        self.sgw.operator(["approve", request, "--yes", "--json"]).ok();
        self.sgw.agent(["wait", request, "--json"]).ok().json()
    }

    fn interrupts(&self) {
        self.types(&["--key", "ctrl-c"]);
    }
}

#[test]
fn a_line_at_a_prompt_is_judged_as_a_command_is() {
    let me = Terminal::open();
    me.types_until("echo rm -rf / an''d", "^rm -rf / and$");
    me.blocked(&["rm -rf /"], "fs.rm-critical");
    me.blocked(&["echo one\nrm -rf /"], "fs.rm-critical");
    // What stands there already is part of it, and so is where it would run.
    me.types(&["rm -rf ", "--no-enter"]);
    me.blocked(&["/"], "fs.rm-critical");
    me.interrupts();
    me.types_until("cd /; echo th''ere", "^there$");
    me.blocked(&["rm -rf etc"], "fs.rm-critical");
    // Nothing of it was typed.
    let page = me.output(&[]);
    assert!(!lines(&page).iter().any(|line| line.contains("rm -rf etc")), "{page}");
    let records = me.sgw.operator(["audit", "list", "--json"]).ok().json_lines();
    let blocked: Vec<_> = records.iter().filter(|one| one["kind"] == "input.blocked").collect();
    assert_eq!(blocked.len(), 4);
    assert_eq!(blocked[2]["action"]["line"], "rm -rf /\r");
    assert_eq!(blocked[2]["decision"]["guard"]["verdict"], "block");
    let typed = records.iter().filter(|one| one["kind"] == "input.intent");
    assert!(typed.clone().all(|one| one["decision"]["guard"]["verdict"] == "allow"));
    // They are refusals like others, and the fifth pauses.
    me.input(&["reboot -f; rm -rf /usr"]).fails(77, "guard.blocked");
    me.input(&["echo on"]).fails(75, "limit.refusals");
}

#[test]
fn what_asks_is_typed_once_after_a_yes_and_shown_with_what_stands_there() {
    let me = Terminal::open();
    let ran = me.sshd.directory().join("ran");
    me.types(&["rm -f /srv/none-of-", "--no-enter"]);
    let rest = format!("sgw; echo x >> {}; echo do''ne", ran.display());
    let request = me.asks(&[&rest, "--wait-for", "^done$"], "fs.rm");
    assert_eq!(me.request(&request)["command"], format!("rm -f /srv/none-of-{rest}\r"));
    let mut terminal = me.sgw.looks_at(&request);
    let screen = terminal.wait_for(r"Give it\?");
    let one = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(one.contains("«rm -f /srv/none-of-sgw»"), "what decided is marked: {screen}");
    terminal.send("y");
    terminal.ends();
    let typed = me.sgw.agent(["wait", &request, "--json"]).ok().json();
    has_line(&typed, "done");
    me.sgw.agent(["wait", &request, "--json"]).ok();
    assert_eq!(fs::read_to_string(&ran).unwrap(), "x\n");
}

#[test]
fn a_yes_is_for_the_line_that_stood_there() {
    let me = Terminal::open();
    me.types_until("echo re''ady", "^ready$");
    me.types(&["echo ", "--no-enter"]);
    let request = me.asks(&["$(rm -f /srv/none-of-sgw)"], "fs.rm");
    // Meanwhile something else comes to stand there.
    me.interrupts();
    me.types(&["ls -d ", "--no-enter"]);
    me.sgw.operator(["approve", &request, "--yes", "--json"]).ok();
    me.sgw.agent(["wait", &request]).fails(77, "approval.expired").says("judged anew");
    let page = me.output(&[]);
    assert!(!lines(&page).iter().any(|line| line.contains("none-of-sgw")), "{page}");
}

#[test]
fn keys_that_a_line_editor_makes_something_else_of_are_opaque() {
    let me = Terminal::open();
    me.types_until("echo re''ady", "^ready$");
    for keys in [
        &["--key", "up", "--key", "enter"][..],
        &["ec", "--no-enter", "--key", "tab", "--key", "enter"],
        &["--key", "ctrl-r", "--key", "r", "--key", "enter"],
        &["echo x", "--no-enter", "--key", "ctrl-u", "--key", "ctrl-y", "--key", "enter"],
        &["--key", "up", "--key", "ctrl-o"],
        &["--key", "alt-.", "--key", "enter"],
        &["!!"],
        &["^ready^steady"],
        &["--key", "ctrl-x", "--key", "ctrl-e"],
        &["a\u{1b}[200~b"],
    ] {
        me.would_ask(keys);
        me.interrupts();
    }
    // One after the other is the same, and an interrupt makes the line known again.
    me.types(&["--key", "up"]);
    me.would_ask(&["--key", "enter"]);
    me.would_ask(&["ls"]);
    me.interrupts();
    me.types_until("echo ag''ain", "^again$");
    // What is seen to be blocked stays so.
    me.blocked(&["rm -rf /", "--no-enter", "--key", "tab", "--key", "enter"], "fs.rm-critical");
    let request = me.asks(&["--key", "up", "--key", "enter", "--wait-for", "^again$"], "pty.keys");
    has_line(&me.says_yes(&request), "again");
    // After a yes it is a new line.
    me.types_until("echo at-la''st", "^at-last$");
}

#[test]
fn what_changes_keys_or_takes_part_of_a_line_is_opaque_and_so_is_what_follows() {
    let me = Terminal::open();
    me.types(&["stty size; stty -a | head -1"]);
    for line in ["stty eol x", "bind '\"x\": \"ls\\n\"'", "read -n 5 x\necho rm -rf /srv/x"] {
        me.would_ask(&[line]);
    }
    me.types(&["read -n 5 x"]);
    me.would_ask(&["echo rm -rf /srv/x"]);
    me.interrupts();
    let request = me.asks(
        &["bind '\"\\C-t\": \"echo bo''und\\n\"'; echo do''ne", "--wait-for", "^done$"],
        "pty.bindings",
    );
    me.says_yes(&request);
    me.would_ask(&["ls"]);
    me.would_ask(&["--key", "ctrl-t"]);
    me.interrupts();
    me.would_ask(&["ls"]);
}

#[test]
fn a_name_that_means_something_else_makes_what_follows_opaque() {
    for (line, rule) in [
        ("alias l=rm; echo do''ne", "pty.bindings"),
        ("shopt -u interactive_comments; echo do''ne", "opaque.keyword"),
        ("BASH_CMDS[sgw-none]=/bin/echo; echo do''ne", "env.names"),
    ] {
        let me = Terminal::open();
        let request = me.asks(&[line, "--wait-for", "^done$"], rule);
        me.says_yes(&request);
        for after in ["ls", "l -rfv /srv/x", "echo # ; ls"] {
            me.would_ask(&[after]);
        }
        me.interrupts();
        me.would_ask(&["ls"]);
    }
    let me = Terminal::open();
    me.asks(&["PS0='$(reboot)'"], "env.prompt");
    me.asks(&["histchars='@^#'"], "env.names");
}

#[test]
fn a_command_over_several_inputs_is_judged_whole() {
    let me = Terminal::open();
    let request = me.asks(&["echo 'one"], "line.syntax");
    me.says_yes(&request);
    me.blocked(&["'; rm -rf /"], "fs.rm-critical");
    me.types_until("two' fin''ished", "^two finished$");
    let request = me.asks(&["cat <<END"], "pty.unfinished");
    me.says_yes(&request);
    me.types_until("do''cument\nEND\n", "^do''cument$");
    me.types_until("echo be''hind", "^behind$");
}

#[test]
fn what_is_typed_ahead_is_opaque() {
    let me = Terminal::open();
    me.types(&["sleep 600", "--settle", "300ms", "--timeout", "1s"]);
    me.would_ask(&["echo ahead"]);
    me.types(&["echo ", "--no-enter", "--timeout", "1s"]);
    me.interrupts();
    me.types_until("echo now-it-re''ads", "^now-it-reads$");
    // What was typed to a program that did not read it may be the shell's.
    let go = me.sshd.directory().join("go");
    let waits = format!("until [ -e {} ]; do sleep 0.1; done", go.display());
    me.types(&[&waits, "--settle", "300ms", "--timeout", "1s"]);
    me.types(&["half ", "--no-enter", "--timeout", "1s"]);
    me.types(&["--key", "backspace", "--timeout", "1s"]);
    fs::write(&go, "").unwrap();
    let is_prompt = |line: &str| line.ends_with("# half") || line.ends_with("$ half");
    eventually("the shell reads what was typed ahead", || {
        lines(&me.output(&[])).iter().any(|line| is_prompt(line.trim_end()))
    });
    me.would_ask(&["ls"]);
}

#[test]
fn programs_get_data_which_is_judged_as_what_they_make_of_it() {
    let me = Terminal::open();
    me.types_until("python3 -q", "^>>> $");
    me.types_until("import os", "^>>> $");
    me.types_until("print('for' + 'ty', 2 + 40)", "^forty 42$");
    me.blocked(&["os.system('rm -rf /')"], "fs.rm-critical");
    me.would_ask(&["--key", "up", "--key", "enter"]);
    me.interrupts();
    me.types_until("exit()", "[#$] $");
    // Who asks yes or no, and a pager.
    me.types_until("dash -c 'read x; echo you said \"$x\"; read y; echo and \"$y\"'; sleep 0", "");
    me.types_until("y", "^you said y$");
    me.types_until("yes, of course!", "^and yes, of course!$");
    me.types(&["seq 1000 | less", "--wait-for", ":$"]);
    me.types(&["--key", "down", "--key", "pagedown"]);
    me.types(&["/500", "--settle", "300ms"]);
    me.blocked(&["!rm -rf /"], "fs.rm-critical");
    me.types(&["--key", "q", "--wait-for", "[#$] $"]);
    me.types_until("echo ba''ck", "^back$");
}

#[test]
fn opaque_lines_pass_where_the_operator_said_so_and_blocks_hold() {
    let sshd = Sshd::start();
    let sgw = crate::support::Sgw::unlocked();
    let request = sgw.requests(&sshd, &[]);
    let mut approval = sgw.approval(&request, &sshd);
    approval.args(["--opaque", "allow"]);
    sgw.run(&mut approval).ok();
    let session = sgw.agent(["wait", &request]).ok().stdout().trim().to_owned();
    let me = Terminal { sgw, sshd, session };
    me.types_until("echo on''ce", "^once$");
    me.types(&["--key", "up", "--key", "enter", "--wait-for", "^once$"]);
    me.types_until("!!", "^once$");
    me.blocked(&["rm -rf /", "--no-enter", "--key", "tab", "--key", "enter"], "fs.rm-critical");
    me.would_ask(&["rm -f /srv/none-of-sgw"]);
}

#[test]
fn in_read_mode_lines_that_read_pass_and_the_rest_asks() {
    let me = Terminal::with(&["--mode", "read"]);
    me.types_until("ls -d /us''r", "^/usr$");
    me.would_ask(&["touch /tmp/none-of-sgw"]);
    me.would_ask(&["ls", "--no-enter"]);
    me.would_ask(&["--key", "up"]);
    me.blocked(&["rm -rf /"], "fs.rm-critical");
}

#[test]
fn one_yes_is_for_a_terminal_where_the_policy_says_so() {
    for own in ["[defaults]\npty = \"approve\"\n", "[defaults]\nunmatched = \"approve\"\n"] {
        let me = Terminal::open();
        me.policy(own);
        let request = me.asks(&["echo fi''rst", "--wait-for", "^first$"], "pty.session");
        let question = me.sgw.operator(["show", &request]).ok().stdout();
        assert!(question.contains("pty.session"), "{question}");
        has_line(&me.says_yes(&request), "first");
        me.types_until("rm -f /srv/none-of-sgw; echo sec''ond", "^second$");
        me.types(&["--key", "up", "--key", "enter", "--wait-for", "^second$"]);
        me.blocked(&["rm -rf /"], "fs.rm-critical");
        // Another policy is asked about again.
        me.policy(&format!("{own}opaque = \"block\"\n"));
        me.would_ask(&["echo third"]);
    }
}

#[test]
fn where_terminals_are_off_nothing_is_typed() {
    let me = Terminal::open();
    me.types_until("echo be''fore", "^before$");
    let target = me.sgw.agent(["show", &me.session, "--json"]).ok().json()["target"].clone();
    me.policy(&format!("[target.\"{}\"]\npty = \"off\"\n", target.as_str().unwrap()));
    let refused = me.input(&["--json", "echo no"]).fails(77, "guard.blocked").json();
    assert!(refused["error"]["message"].as_str().unwrap().contains("pty.off"), "{refused}");
    assert!(refused["error"]["hint"].as_str().unwrap().contains("sgw exec"), "{refused}");
    me.sgw.agent(["signal", &me.session, "INT"]).fails(77, "guard.blocked");
    me.sgw.agent(["exec", &me.session, "--", "echo still"]).ok().prints("still\n");
    assert!(!me.output(&[]).to_string().contains("echo no"));
    let shown = me.sgw.agent(["policy", "show", "--target", target.as_str().unwrap()]).ok();
    assert!(shown.stdout().contains("pty off"), "{shown:?}");
}

#[test]
fn keys_that_a_shell_ignores_throw_no_line_away() {
    let me = Terminal::open();
    me.types_until("echo re''ady", "^ready$");
    for key in ["ctrl-z", "ctrl-\\"] {
        me.types(&["systemctl restart none-of-sgw", "--no-enter"]);
        me.would_ask(&["--key", key]);
        me.would_ask(&["--key", "enter"]);
        me.interrupts();
    }
    // What works is stopped with it, and the line behind it is known.
    me.types_until("cat", "");
    me.types(&["--key", "ctrl-z", "--wait-for", "[#$] $"]);
    me.types_until("echo sto''pped", "^stopped$");
    me.would_ask(&["trap '' INT"]);
}

#[test]
fn what_comes_behind_a_programs_end_is_judged_as_a_shells_line() {
    let me = Terminal::open();
    let line = "systemctl restart none-of-sgw";
    let waits = |command: &str, prompt: &str| {
        me.types_until(&format!("echo re''ady; {command}"), prompt);
    };
    for (command, prompt, before) in [
        ("head -1", "^ready$", "x\r"),
        ("head -c 1", "^ready$", "x"),
        ("cat", "^ready$", "x\r\u{4}"),
        ("cat", "^ready$", "\u{3}"),
        ("cat", "^ready$", "x\rsystemctl \\\r"),
        ("python3 -q", ">>> $", "exit()\r"),
        ("seq 1000 | less", ":$", "q"),
        ("seq 1000 | less", ":$", "jq"),
        ("seq 1000 | less", ":$", "!"),
        ("seq 1000 | less", ":$", "j!"),
    ] {
        waits(command, prompt);
        let rest = if before.ends_with("\\\r") { "restart none-of-sgw" } else { line };
        me.would_ask(&[&format!("{before}{rest}\r")]);
        // What stood there is as it was.
        me.types(if prompt == ":$" { &["--key", "q"] } else { &["--key", "ctrl-c"] });
        if prompt == ">>> $" {
            me.types(&["--key", "ctrl-d"]);
        }
        me.interrupts();
    }
    // One after the other, with keys between.
    waits("seq 1000 | less", ":$");
    for keys in
        [&["!", "--no-enter"][..], &["--key", "up"], &["x", "--no-enter"], &["--key", "ctrl-u"]]
    {
        me.types(keys);
    }
    me.would_ask(&[line]);
    me.interrupts();
    me.types(&["q", "--no-enter"]);
    // Left for the shell behind it.
    waits("seq 1000 | less", ":$");
    me.types(&[&format!("q{line}"), "--no-enter"]);
    me.would_ask(&["--key", "enter"]);
    me.interrupts();
    me.types_until("echo at-la''st", "^at-last$");
}

#[test]
fn answers_and_code_are_no_shells_lines() {
    let me = Terminal::open();
    me.types_until("echo re''ady; cat", "^ready$");
    for answer in
        ["y", "yes", "42", "no, I don't", "$5", "name\tvalue", "a\nb\nmore of it (really)\n"]
    {
        me.types(&[answer, "--settle", "100ms"]);
    }
    me.types(&["--key", "ctrl-d", "--wait-for", "[#$] $"]);
    me.types_until("python3 -q", ">>> $");
    for code in [
        "import os, sys",
        "for x in range(3): print(x)\n",
        "let = sorted([3, 1])\nif let != 'a!':\n    print(let)\n",
        "def f(x):\n    return x | 1\n",
        "exit()",
    ] {
        me.types(&[code, "--settle", "100ms"]);
    }
    me.types_until("echo be''hind; seq 1000 | less", ":$");
    for keys in [&["/500", "--settle", "300ms"][..], &["--key", "down"], &["--key", "q"]] {
        me.types(keys);
    }
    me.types_until("echo la''st", "^last$");
}
