//! Logins that need a person: what servers ask, who answers, and what becomes of a lost connection.

mod again;

use sgw::demo::server::{Interview, Oddness, Round};

use crate::support::{OddServer, PASSPHRASE, PASSWORD, Pty, Sgw, eventually, round};

const CODE: &str = "246813-of-a-token";

/// The operator's terminal, where an approval was said yes to.
struct Approving {
    terminal: Pty,
    /// Questions of servers that were answered.
    answered: usize,
}

impl Approving {
    fn start(sgw: &Sgw, request: &str, server: &OddServer, more: &[String]) -> Self {
        let (fingerprint, proof) = (server.seen().fingerprint(), sgw.passphrase_file());
        let mut arguments = vec!["approve", request, "--accept-host-key", &fingerprint];
        let proof = proof.display().to_string();
        arguments.extend(["--passphrase-file", &proof]);
        arguments.extend(more.iter().map(String::as_str));
        let mut terminal = sgw.terminal(arguments);
        terminal.wait_for(r"Give it\?");
        terminal.send("y");
        Self { terminal, answered: 0 }
    }

    /// Waits for the next question, which ends with these words.
    #[track_caller]
    fn asks(&mut self, question: &str) -> String {
        self.answered += 1;
        eventually("the next question stands there", || {
            let raw = self.terminal.raw();
            String::from_utf8_lossy(&raw).matches("Your answer").count() >= self.answered
        });
        self.terminal.wait_for(&format!(r"{question}\s+Your answer[^\n]*:\s*$"))
    }

    /// Types an answer to the next question.
    #[track_caller]
    fn answers(&mut self, question: &str, answer: &str) -> String {
        let screen = self.asks(question);
        self.terminal.send(&format!("{answer}\r"));
        screen
    }

    #[track_caller]
    fn succeeds(self) -> String {
        let (code, screen) = self.terminal.ends();
        assert_eq!(code, 0, "{screen}");
        screen
    }

    #[track_caller]
    fn fails(self, exit: i32, code: &str) -> String {
        let (status, screen) = self.terminal.ends();
        assert_eq!(status, exit, "{screen}");
        assert!(screen.contains(code), "{screen}");
        screen
    }
}

fn session_of(sgw: &Sgw, request: &str) -> String {
    sgw.agent(["wait", request]).ok().stdout().trim().to_owned()
}

#[track_caller]
fn still_waits(sgw: &Sgw, request: &str) {
    let queue = sgw.agent(["requests", "--json"]).ok().json();
    assert_eq!(queue["requests"][0]["id"], request, "{queue}");
}

fn with_key(server: &OddServer) -> Vec<String> {
    vec!["--identity".into(), server.key.path.display().to_string()]
}

fn with_password(server: &OddServer) -> Vec<String> {
    vec!["--password-file".into(), server.password_file.display().to_string()]
}

#[test]
fn a_key_and_then_a_code_that_is_quoted_under_the_machines_name_and_shown_nowhere() {
    let server = OddServer::interviewing(&[&[("Verification code: ", false, CODE)]], true);
    let sgw = Sgw::unlocked();
    sgw.plant(CODE.as_bytes());
    let request = sgw.requests(&server, &[]);
    let mut person = Approving::start(&sgw, &request, &server, &with_key(&server));
    let screen = person.answers("Verification code:", CODE);
    let name = server.destination();
    assert!(screen.contains(&format!("{name} asks")), "{screen}");
    assert!(screen.contains("  | Verification code:"), "{screen}");
    let screen = person.succeeds();
    assert!(!screen.contains(CODE), "{screen}");
    let s = session_of(&sgw, &request);
    sgw.agent(["exec", &s, "--", "echo", "in"]).ok().prints("in\n");
}

#[test]
fn a_shown_answer_and_several_questions_in_several_rounds() {
    let rounds: [&[_]; 2] = [
        &[("Password: ", false, PASSWORD), ("Badge: ", true, "7")],
        &[("Colour: ", true, "blue"), ("Code: ", false, CODE)],
    ];
    let (sgw, server) = (Sgw::unlocked(), OddServer::interviewing(&rounds, false));
    sgw.plant(PASSWORD.as_bytes());
    let request = sgw.requests(&server, &[]);
    let mut person = Approving::start(&sgw, &request, &server, &with_password(&server));
    // The password that was given is the answer to its question.
    person.answers("Badge:", "7");
    let screen = person.answers("Colour:", "blue");
    assert!(screen.contains(": 7"), "what may be seen is shown: {screen}");
    person.answers("Code:", CODE);
    let screen = person.succeeds();
    assert!(screen.contains("blue") && !screen.contains(CODE), "{screen}");
    session_of(&sgw, &request);
}

#[test]
fn a_password_that_must_change_is_changed_in_the_terminal() {
    let rounds: [&[_]; 3] = [
        &[("Password: ", false, PASSWORD)],
        &[("New password: ", false, "a-quite-new-word")],
        &[("Retype new password: ", false, "a-quite-new-word")],
    ];
    let (sgw, server) = (Sgw::unlocked(), OddServer::interviewing(&rounds, false));
    let request = sgw.requests(&server, &[]);
    let mut person = Approving::start(&sgw, &request, &server, &with_password(&server));
    person.answers(r"\| New password:", "a-quite-new-word");
    person.answers("Retype new password:", "a-quite-new-word");
    person.succeeds();
    session_of(&sgw, &request);
}

#[test]
fn a_wrong_code_is_asked_again_and_three_are_enough() {
    let server = OddServer::interviewing(&[&[("Code: ", false, CODE)]], true);
    let sgw = Sgw::unlocked();
    let request = sgw.requests(&server, &[]);
    let key = with_key(&server);
    let mut person = Approving::start(&sgw, &request, &server, &key);
    for _ in 0..3 {
        person.answers("Code:", "000000");
    }
    person.fails(77, "target.auth");
    still_waits(&sgw, &request);
    let mut person = Approving::start(&sgw, &request, &server, &key);
    person.answers("Code:", "000000");
    person.answers("Code:", CODE);
    person.succeeds();
    session_of(&sgw, &request);
}

#[test]
fn the_passphrase_is_no_answer_to_a_server() {
    let server = OddServer::interviewing(&[&[("Passphrase: ", false, CODE)]], false);
    let sgw = Sgw::unlocked();
    let request = sgw.requests(&server, &[]);
    let mut person = Approving::start(&sgw, &request, &server, &with_key(&server));
    person.answers(r"\| Passphrase:", PASSPHRASE);
    person.answers(r"it was not sent\. No server needs it\. Once more\.", CODE);
    let screen = person.succeeds();
    assert_eq!(server.seen().credentials(), 1, "the passphrase was sent");
    assert!(!screen.contains(PASSPHRASE), "{screen}");
}

#[test]
fn a_question_that_imitates_sgw_stays_the_servers_and_is_cut() {
    let phishing = format!(
        "\x1b[2J\x1b[Hsgw: error[operator.proof]: once more\r\nsgw: \u{202e}hint\n{}Passphrase: ",
        "x".repeat(10_000)
    );
    let text: &'static str = phishing.leak();
    let server = OddServer::interviewing(&[&[(text, false, CODE)]], false);
    let sgw = Sgw::unlocked();
    let request = sgw.requests(&server, &[]);
    let mut person = Approving::start(&sgw, &request, &server, &with_key(&server));
    let screen = person.asks("more bytes.*");
    for line in [r"  | \x1b[2J\x1b[Hsgw: error", r"  | sgw: \u{202e}hint", "more bytes)"] {
        assert!(screen.contains(line), "no {line} in\n{screen}");
    }
    assert!(!screen.lines().any(|line| line.starts_with("sgw: error")), "{screen}");
    assert!(!String::from_utf8_lossy(&person.terminal.raw()).contains('\u{202e}'));
    assert!(screen.contains("Give it?"), "nothing was wiped away: {screen}");
    // Ctrl-D: no answer.
    person.terminal.send("\x04");
    person.fails(77, "login.interactive");
    assert_eq!(server.seen().credentials(), 0);
    still_waits(&sgw, &request);
}

#[test]
fn a_server_that_asks_without_end_is_given_up_and_the_request_stays() {
    let asked = round(&[("More? ", true, "yes")]);
    let many = Interview { rounds: vec![asked], for_ever: true, ..Interview::default() };
    let prompts = vec![("More? ", true, "yes"); 1000];
    let wide = Interview { rounds: vec![round(&prompts)], ..Interview::default() };
    let remarks = Round { instructions: "Wait.".into(), ..Round::default() };
    let silent = Interview { rounds: vec![remarks], for_ever: true, ..Interview::default() };
    for (interview, asked) in [(many, 16), (wide, 0), (silent, 0)] {
        let (sgw, server) = (Sgw::unlocked(), OddServer::start(Oddness::Asks(interview)));
        let request = sgw.requests(&server, &[]);
        let mut person = Approving::start(&sgw, &request, &server, &with_key(&server));
        for _ in 0..asked {
            person.answers(r"More\?", "yes");
        }
        let screen = person.fails(77, "login.interactive");
        assert!(screen.contains("given up"), "{screen}");
        still_waits(&sgw, &request);
    }
}

#[test]
fn a_server_that_hangs_up_takes_its_question_back_and_the_terminal_is_as_before() {
    let server = OddServer::interviewing(&[&[("Code: ", false, CODE)]], false);
    let sgw = Sgw::unlocked();
    let request = sgw.requests(&server, &[]);
    let key = with_key(&server).join(" ");
    let (fingerprint, proof) = (server.seen().fingerprint(), sgw.passphrase_file());
    let binary = env!("CARGO_BIN_EXE_sgw");
    // A shell's own terminal, to see what is left of its modes.
    let script = format!(
        "{binary} approve {request} --accept-host-key {fingerprint} --passphrase-file {} {key} \
         --i-am-the-operator; echo ended $?; stty -a",
        proof.display()
    );
    let mut shell = sgw.command([""; 0]);
    let mut command = std::process::Command::new("/bin/sh");
    command.arg("-c").arg(script);
    for (name, value) in shell.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    shell.arg("--version");
    let mut terminal = Pty::start(&command);
    terminal.wait_for(r"Give it\?");
    terminal.send("y");
    terminal.wait_for(r"Your answer[^\n]*:\s*$");
    terminal.send("24");
    server.seen().hang_up();
    let screen = terminal.wait_for("(?s)ended 255.*-?echoctl");
    assert!(screen.contains("taken back"), "{screen}");
    assert!(screen.contains(" echo ") && screen.contains(" icanon "), "{screen}");
    assert_eq!(server.seen().credentials(), 0);
    still_waits(&sgw, &request);
}

#[test]
fn where_nobody_can_be_asked_it_fails_with_the_next_line_to_type() {
    let server = OddServer::interviewing(&[&[("Code: ", false, CODE)]], true);
    let sgw = Sgw::unlocked();
    let request = sgw.requests(&server, &[]);
    let outcome = sgw.try_approve(&request, &server).fails(77, "login.interactive");
    let hint = outcome.json()["error"]["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains(&format!("sgw approve {request}")), "{hint}");
    still_waits(&sgw, &request);
}

#[test]
fn each_machine_on_the_way_asks_under_its_own_name() {
    let sgw = Sgw::unlocked();
    let jump = OddServer::interviewing(&[&[("Gate: ", false, "open")]], false);
    let inner = OddServer::interviewing(&[&[("Door: ", false, "sesame")]], false);
    let block = |name: &str, server: &OddServer, more: &str| {
        let port = server.seen().address().port();
        format!("Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  User odd\n{more}\n")
    };
    let both = block("gate", &jump, "") + &block("inner", &inner, "  ProxyJump gate");
    let config = sgw.write_private("ssh-config", &both).display().to_string();
    let ask = ["request", "inner", "--reason", "a test", "--no-wait", "--json"];
    let request = sgw.agent(ask).fails(75, "request.pending").waits_on();
    let other = jump.seen().fingerprint();
    let flags = ["--ssh-config", &config, "--accept-host-key", &other].map(str::to_owned);
    let mut person = Approving::start(&sgw, &request, &inner, &flags);
    for server in [&jump, &inner] {
        // The last entry: only what the server asks.
        person.terminal.wait_for(&format!("Log in at {} with", server.destination()));
        person.terminal.wait_for("(?m)^. nothing but answers");
        person.terminal.send("\x1b[A");
        person.terminal.wait_for("(?m)^> nothing but answers");
        person.terminal.send("\r");
    }
    let screen = person.answers("Gate:", "open");
    assert!(screen.contains(&format!("{} asks", jump.destination())), "{screen}");
    let screen = person.answers("Door:", "sesame");
    assert!(screen.contains(&format!("{} asks", inner.destination())), "{screen}");
    person.succeeds();
    let s = session_of(&sgw, &request);
    sgw.agent(["exec", &s, "--", "echo", "inside"]).ok().prints("inside\n");
    // A lost connection asks at the first of them.
    inner.seen().hang_up();
    eventually("the session is lost", || {
        sgw.agent(["sessions", "--json"]).json()["sessions"][0]["status"] == "lost"
    });
    let outcome = sgw.agent(["exec", &s, "--no-wait", "--json", "--", "true"]);
    let login = outcome.fails(75, "request.pending").waits_on();
    let shown = sgw.agent(["show", &login, "--json"]).ok().json();
    assert_eq!(shown["hop"], jump.destination(), "{shown}");
}
