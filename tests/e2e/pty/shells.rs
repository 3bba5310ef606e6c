//! `--wait-for` in shells and programs as they are: what is typed is never taken for its answer, and
//! a prompt is found behind it.

use std::fs;

use serde_json::Value;

use super::{Terminal, has_line, lines};

const SLEEPS: &str = "sleep 0.4; ";

/// A terminal in which this has taken the shell's place.
struct Dialogue {
    me: Terminal,
    prompt: &'static str,
}

impl Dialogue {
    #[track_caller]
    fn with(program: &str, prompt: &'static str) -> Self {
        let dialogue = Self { me: Terminal::open(), prompt };
        dialogue.asks(program, prompt);
        dialogue
    }

    /// A script of the test's, in its directory.
    #[track_caller]
    fn script(interpreter: &str, script: &str, prompt: &'static str) -> Self {
        let me = Terminal::open();
        let file = me.sshd.directory().join("program");
        fs::write(&file, script).unwrap();
        // What a script does is not known, and what it is told is no shell's line.
        me.policy("[defaults]\nopaque = \"allow\"\nparse_error = \"allow\"\n");
        let dialogue = Self { me, prompt };
        dialogue.asks(&format!("exec {interpreter} {}", file.display()), prompt);
        dialogue
    }

    #[track_caller]
    fn asks(&self, line: &str, pattern: &str) -> Value {
        self.me.types_until(line, pattern)
    }

    /// The pattern is in the line as typed too, and the answer takes its time.
    #[track_caller]
    fn answers(&self, line: &str, pattern: &str, answer: &str) {
        let typed = self.asks(line, pattern);
        let answered = lines(&typed).into_iter().any(|line| line.ends_with(answer));
        assert!(answered, "{pattern} was taken to be seen before {answer:?}: {typed}");
    }

    /// Back at the prompt, with this before it.
    #[track_caller]
    fn comes_back(&self, line: &str, with: &str) {
        let typed = self.asks(line, self.prompt);
        let before = lines(&typed).into_iter().any(|line| line.ends_with(with));
        assert!(before, "the prompt was taken to be seen before {with:?}: {typed}");
    }
}

/// What holds in every shell. `second`: what the second of two lines may do before it answers.
fn echo_is_told_from_answers(shell: &str, prompt: &'static str, second: &str) {
    let me = Dialogue::with(shell, prompt);
    me.answers("sleep 0.4; echo mar\"k\"er", "mar", "marker");
    me.comes_back("sleep 0.4; echo do\"n\"e", "done");
    // Over the edge of 160 columns.
    let long = "abcdefghij".repeat(20);
    me.answers(&format!("sleep 0.4; echo {long}\"-\"x"), "abcdefghij", &format!("{long}-x"));
    me.comes_back(&format!("sleep 0.4; echo {long}\"+\"x"), &format!("{long}+x"));
    // The second of two lines, which the first one keeps waiting.
    me.answers("sleep 0.4; echo o\"n\"e\nsleep 0.4; echo t\"w\"o", "t\"?w\"?o", "two");
    me.comes_back(&format!("echo thr\"e\"e\n{second}echo fo\"u\"r"), "four");
    me.answers("printf 'no new'line; sleep 0.4", "no new", "no newline");
    me.asks("echo ba\"c\"k", "back$");
    // Text that waits for its Enter.
    let typed = me.me.input(&["xyzzy", "--no-enter", "--wait-for", "xyzzy", "--timeout", "1s"]);
    typed.fails(124, "input.timeout");
    me.me.types(&["--key", "ctrl-c", "--wait-for", prompt, "--timeout", "60s"]);
    me.comes_back("seq 100; echo b\"o\"ttom", "bottom");
}

#[test]
fn bash() {
    echo_is_told_from_answers("PS1='b:\\w> ' exec bash --norc -i", "^b:.*> $", SLEEPS);
}

#[test]
fn dash() {
    // It draws no line: while a second one runs that was echoed before, its prompt just stands there.
    echo_is_told_from_answers("PS1='d> ' exec dash -i", "^d> $", "");
}

#[test]
fn zsh_with_a_prompt_on_the_right() {
    echo_is_told_from_answers("PROMPT='z%# ' RPROMPT='[%~]' exec zsh -f -i", "^z[#%] $", SLEEPS);
}

#[test]
fn fish_which_draws_its_line_over_and_over() {
    let fish = "exec fish --no-config -i -C 'function fish_prompt; echo -n \"f> \"; end'";
    echo_is_told_from_answers(fish, "^f> $", SLEEPS);
}

#[test]
fn python() {
    let me = Dialogue::with("exec python3 -q", "^>>> $");
    me.answers("import time; time.sleep(0.4); print('mar' 'ker')", "mar", "marker");
    me.asks("for i in range(2):", r"^\.\.\. $");
    me.asks("    time.sleep(0.2); print('n%d' % i)", r"^\.\.\. $");
    me.comes_back("", "n1");
    me.asks("x = input('na' 'me: ')", "^name: $");
    me.comes_back("joe", "joe");
    let long = "abcdefghij".repeat(20);
    me.answers(&format!("time.sleep(0.4); len('{long}') + 1000"), "^1200|abc", "1200");
}

#[test]
fn a_database_that_goes_on_asking_until_the_semicolon() {
    // As psql does it, with readline.
    let script = r#"
prompt='db=> '
while IFS= read -rep "$prompt" line; do
    history -s -- "$line"
    case $line in
        *';') sleep 0.4; printf ' count \n-------\n    42\n(1 row)\n'; prompt='db=> ';;
        *) prompt='db-> ';;
    esac
done
"#;
    let me = Dialogue::script("bash", script, "^db=> $");
    me.asks("select count(*)", "^db-> $");
    me.answers("from rows where count = 42 and n = 1;", "count|42|row", " count ");
    me.comes_back("select 1\nfrom rows;", "(1 row)");
}

#[test]
fn a_program_that_asks_for_a_password_and_echoes_nothing() {
    let script = r#"
prompt() { printf 'menu> '; }
prompt
while IFS= read -r line; do
    case $line in
        sudo) printf '[sudo] password for me: '; stty -echo; read -r word; stty echo
              echo; sleep 0.4; echo "Welcome, ${#word}";;
        quiet) stty -echo;;
        *) sleep 0.4; echo "You said $line";;
    esac
    prompt
done
"#;
    let me = Dialogue::script("dash", script, "^menu> $");
    let typed = me.asks("sudo", r"for me: $");
    assert_eq!(typed["asks_for_secret"], true, "{typed}");
    // Nothing that could be a password is an agent's to type; Enter alone is.
    let typed = me.me.types(&["--key", "enter", "--wait-for", "^menu> $", "--timeout", "60s"]);
    assert_eq!(typed["matched"], true, "{typed}");
    has_line(&typed, "Welcome, 0");
    // What repeats the input is an answer.
    me.answers("hello", "hello", "You said hello");
    me.comes_back("quiet", "quiet");
    me.comes_back("unseen", "You said unseen");
    me.answers("more", "more", "You said more");
}
