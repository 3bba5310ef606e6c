//! What is typed into a terminal, judged as far as it is known: lines by the policy, what a program is
//! told by what that makes of it, and the rest as what only the server knows.

use super::guard::{Current, Guard, Line};
use crate::{
    domain::{
        guard::{
            Context, Decision, Finding, Mode, Policy, Span, Verdict,
            policy::{Defaults, Terminal},
            syntax::SyntaxError,
        },
        identity::Identity,
        judgement::{Judgement, OFF, SESSION},
        shell,
        typed::{Behind, Data, Line as Stands, Lines, Opaque, Step, What, Why, words},
    },
    protocol::error::Failure,
};

/// Why nothing is typed where terminals are off.
pub(super) const NO_TERMINAL: &str = "nothing is typed on this target";
/// Lines that are judged one by one; more of them at once are opaque.
const LINES: usize = 200;
/// A verdict that names as many commands may have left out some.
const COMMANDS: usize = 200;
/// And so may one with as many findings.
const FINDINGS: usize = 64;

/// Judges one input.
struct Typing<'a> {
    guard: &'a Guard,
    line: &'a Line<'a>,
    current: Current,
    defaults: Defaults,
}

impl Guard {
    /// What the policy says of terminals on a target.
    pub(super) fn terminal(&self, target: &str, of: &Identity) -> Result<Terminal, Failure> {
        let token = of.token.as_ref().map(|token| token.name.as_str());
        let context = Context { target: Some(target), token, ..Context::default() };
        Ok(self.current()?.policy.defaults_for(&context).terminal())
    }

    /// Judges what is typed, where `line` has what a person is shown, and what holds there. Gives what the
    /// terminal's line is after it was typed.
    ///
    /// # Errors
    /// The operator's policy can't be read: nothing passes.
    pub async fn judge_typed(
        &self,
        line: Line<'_>,
        step: Step,
    ) -> Result<(Judgement, Stands), Failure> {
        let current = self.current()?;
        let context = Context {
            target: Some(line.target),
            token: line.identity.token.as_ref().map(|token| token.name.as_str()),
            mode: line.manner.mode,
            opaque: line.manner.opaque,
            ..Context::default()
        };
        let defaults = current.policy.defaults_for(&context);
        let revision = current.revision;
        let Step { what, mut after, .. } = step;
        let typing = Typing { guard: self, line: &line, current, defaults };
        let verdict = match typing.verdict(what, &mut after).await {
            Ok(verdict) => typing.of_terminal(verdict),
            Err(why) => {
                return Ok((Judgement::unjudged(&line.bytes, line.manner, &why, revision), after));
            }
        };
        Ok((Judgement::new(&line.bytes, line.manner, verdict, revision), after))
    }
}

impl Typing<'_> {
    async fn verdict(&self, what: What, after: &mut Stands) -> Result<Verdict, String> {
        match what {
            What::Nothing => Ok(self.nothing()),
            What::Lines(lines) => self.lines(lines, after).await,
            What::Data(data) => self.data(data, after).await,
            What::Opaque(opaque) => self.opaque(opaque).await,
        }
    }

    /// What the policy says of the terminal itself, over what was said of the line.
    fn of_terminal(&self, verdict: Verdict) -> Verdict {
        let reading = self.defaults.mode == Mode::Read && verdict.decision == Decision::Approve;
        match self.defaults.terminal() {
            Terminal::Off => allowed().with(Decision::Block, OFF, NO_TERMINAL),
            // What is blocked as far as it is known stays so; and in read mode each question is its own.
            Terminal::Approve if verdict.decision != Decision::Block && !reading => {
                let reason = "a yes is for all that is typed in this session's terminal: blocks can't hold there";
                allowed().with(Decision::Approve, SESSION, reason)
            }
            Terminal::Approve | Terminal::Judge => verdict,
        }
    }

    fn nothing(&self) -> Verdict {
        match self.defaults.mode {
            Mode::Guarded => allowed(),
            Mode::Read => {
                let reason = "it is no whole line, and only lines that read pass";
                allowed().with(Decision::Approve, "pty.keys", reason)
            }
        }
    }

    /// Lines as a whole, and each by itself where there are several: whatever reads the first may leave the
    /// rest to the shell.
    async fn lines(&self, lines: Lines, after: &mut Stands) -> Result<Verdict, String> {
        let mut verdict = self.ask(lines.text.clone(), lines.shell).await?;
        let unfinished = self.is_unfinished(&lines, &verdict).await?;
        let mut verdict = {
            let from = lines.verbatim.then_some(lines.from);
            verdict.place(from, self.line.bytes.len());
            verdict
        };
        let each: Vec<&[u8]> = lines.text.split_inclusive(|byte| *byte == b'\n').collect();
        if each.len() > LINES {
            verdict = self.unknown(verdict, "pty.lines", "more lines at once than are judged");
        } else if each.len() > 1 {
            for one in each {
                let alone = self.ask(one.to_vec(), lines.shell).await?;
                verdict = verdict.at_least_asked(alone);
            }
        }
        let many = verdict.resolved.len() >= COMMANDS || verdict.findings.len() >= FINDINGS;
        let does = |which: fn(&[String]) -> bool| verdict.resolved.iter().any(|argv| which(argv));
        let renames = verdict.findings.iter().any(|finding| words::renames(&finding.rule));
        let rebinds = many || renames || does(words::rebinds);
        let takes = many || does(words::takes_part);
        if rebinds {
            after.rebind();
            verdict = self.unknown(verdict, "pty.bindings", "it changes what keys mean, or a line");
        }
        if takes {
            after.cut_short();
            if lines.text.iter().filter(|byte| **byte == b'\n').count() > 1 {
                let reason = "a command takes a part of the lines that are typed with it";
                verdict = self.unknown(verdict, "pty.ahead", reason);
            }
        }
        if unfinished {
            after.goes_on(&lines.text);
            verdict =
                self.unknown(verdict, "pty.unfinished", "the command goes on in another line");
        }
        Ok(verdict)
    }

    /// Whether the shell reads on before it runs anything of the last command.
    async fn is_unfinished(&self, lines: &Lines, verdict: &Verdict) -> Result<bool, String> {
        if goes_on(&lines.text, verdict) {
            return Ok(true);
        }
        let wrong = |verdict: &Verdict| {
            verdict.findings.iter().any(|finding| finding.rule == "line.syntax")
        };
        if wrong(verdict) || !lines.text.windows(2).any(|two| two == b"<<") {
            return Ok(false);
        }
        // A here-document that is open takes in what is no shell.
        let behind = self.ask([&lines.text[..], b")\n"].concat(), lines.shell).await?;
        Ok(!wrong(&behind))
    }

    /// What a program makes of it: code where it reads code, and what its escapes to a shell say.
    async fn data(&self, data: Data, after: &mut Stands) -> Result<Verdict, String> {
        let Data { programs, text, from, keys, behind } = data;
        let mut verdict = self.nothing();
        let codes: Vec<&String> =
            programs.iter().filter(|name| self.policy().program(name).stdin_code).collect();
        for name in &codes {
            let words = [b"printf".to_vec(), b"%s\\n".to_vec(), text.clone()];
            let Ok(told) = shell::quote_argv(&words) else { continue };
            let Ok(name) = shell::quote_argv(&[name.as_bytes().to_vec()]) else { continue };
            let line = [&told[..], b" | ", &name].concat();
            let mut code = self.ask(line, Default::default()).await?;
            code.place(None, 0);
            verdict = verdict.and(code);
        }
        if codes.is_empty() {
            after.forget();
        } else if keys {
            verdict =
                self.unknown(verdict, "pty.keys", "keys make another line of it than was sent");
        }
        let new = String::from_utf8_lossy(&text[from.min(text.len())..]).into_owned();
        for line in new.lines().filter_map(words::escape).take(LINES) {
            let mut escaped = self.ask(line.as_bytes().to_vec(), Default::default()).await?;
            escaped.place(None, 0);
            verdict = verdict.and(escaped);
        }
        let verdict = self.behind(verdict, behind, !codes.is_empty(), after).await?;
        if verdict.decision == Decision::Approve {
            // What a person says yes to is not asked about again.
            after.forget();
        }
        Ok(verdict)
    }

    /// What may come to a shell of what a program is told.
    async fn behind(
        &self,
        mut verdict: Verdict,
        behind: Behind,
        code: bool,
        after: &mut Stands,
    ) -> Result<Verdict, String> {
        if behind.unknown {
            let reason =
                "keys make another line of it than was sent, or it is more than is followed";
            verdict = self.unknown(verdict, "pty.keys", reason);
        }
        let (called, ended) = (behind.called.len(), behind.shells.len());
        if called.max(ended) > LINES {
            verdict = self.unknown(verdict, "pty.lines", "more lines at once than are judged");
        }
        // One line of code, like `exit()`, is the program's own.
        let many = behind.shells.iter().any(|one| one.iter().filter(|b| **b == b'\n').count() > 1);
        let may_leave = if code { many } else { ended > 1 };
        let called = behind.called.iter().take(LINES).map(|line| (line, false));
        let ended = behind.shells.iter().take(LINES).map(|lines| (lines, may_leave));
        for (lines, leaves) in called.chain(ended) {
            let lines: Vec<&[u8]> = lines.split_inclusive(|byte| *byte == b'\n').collect();
            let mut count = 1;
            let open = loop {
                let text = lines[..count].concat();
                let said = self.ask(text.clone(), Default::default()).await?;
                let open = goes_on(&text, &said);
                verdict = verdict.at_least_asked(self.as_a_shells(said, &text, code));
                if !open || count == lines.len() {
                    break open;
                }
                count += 1;
            };
            // A here-document goes on too.
            let open = open || lines.concat().windows(2).any(|two| two == b"<<");
            if open && leaves {
                after.leaves();
            }
        }
        Ok(verdict)
    }

    /// What counts of a verdict on a text that is most likely no command: what is said of programs that
    /// are known.
    fn as_a_shells(&self, mut verdict: Verdict, text: &[u8], code: bool) -> Verdict {
        let known = |argv: &Vec<String>| {
            let program = argv.first().map_or("", String::as_str);
            self.policy().knows(program.rsplit('/').next().unwrap_or(program))
        };
        let known = verdict.resolved.iter().any(known);
        let computed = !code && names_a_program(text);
        verdict.findings.retain(|one| match one.rule.as_str() {
            "opaque.program" => computed,
            "unmatched" | "opaque.arithmetic" | "opaque.prompt" => false,
            rule => {
                known && !["line.", "read.", "limit."].iter().any(|ours| rule.starts_with(ours))
            }
        });
        if verdict.findings.is_empty() { allowed() } else { verdict }
    }

    /// What is blocked as its text stands is blocked; beyond that it is what only the server knows.
    async fn opaque(&self, opaque: Opaque) -> Result<Verdict, String> {
        let mut text = self.ask(opaque.text, opaque.shell).await?;
        text.place(None, 0);
        let verdict = match text.decision {
            Decision::Block => text,
            _ => allowed(),
        };
        let (rule, reason) = match opaque.why {
            Why::Keys => ("pty.keys", "keys make another line of it than was sent"),
            Why::Pending => ("pty.pending", "what stands in the line already is not known"),
            Why::Unseen => (
                "pty.ahead",
                "who reads it is not known: nothing waits for keys there, or it can't be seen",
            ),
            Why::Rebound => ("pty.bindings", "what keys mean there was changed"),
        };
        Ok(self.unknown(verdict, rule, reason))
    }

    /// Something that only the server knows, beside what was found.
    fn unknown(&self, verdict: Verdict, rule: &str, reason: &str) -> Verdict {
        verdict.and(allowed().with(self.defaults.opaque, rule, reason))
    }

    async fn ask(
        &self,
        text: Vec<u8>,
        shell: crate::domain::guard::Shell,
    ) -> Result<Verdict, String> {
        let mut question = self.guard.question(self.line, &self.current.policy, text);
        question.manner.shell = shell;
        question.manner.interactive = true;
        self.guard.ask(question).await
    }

    fn policy(&self) -> &Policy {
        &self.current.policy
    }
}

/// Whether a shell reads on before it runs anything of the last command.
fn goes_on(text: &[u8], verdict: &Verdict) -> bool {
    let open = SyntaxError::Unfinished.to_string();
    let last = text.strip_suffix(b"\n").unwrap_or(text);
    let slashes = last.iter().rev().take_while(|byte| **byte == b'\\').count();
    slashes % 2 == 1
        || verdict.findings.iter().any(|one| one.rule == "line.syntax" && one.reason == open)
}

/// Whether something in it is expanded that may be a command's name: `$5` is none.
fn names_a_program(text: &[u8]) -> bool {
    text.contains(&b'`')
        || text
            .windows(2)
            .any(|two| two[0] == b'$' && (b"({_".contains(&two[1]) || two[1].is_ascii_alphabetic()))
}

/// What nothing is said of.
fn allowed() -> Verdict {
    Verdict {
        decision: Decision::Allow,
        rule: None,
        reason: None,
        resolved: Vec::new(),
        span: None,
        chain: Vec::new(),
        findings: Vec::new(),
        reads_stdin: false,
        scripts: Vec::new(),
        written: Vec::new(),
    }
}

/// Verdicts on parts of one input, as one.
trait Joined {
    fn with(self, decision: Decision, rule: &str, reason: &str) -> Verdict;
    fn and(self, other: Verdict) -> Verdict;
    fn at_least_asked(self, other: Verdict) -> Verdict;
    fn place(&mut self, from: Option<usize>, length: usize);
}

impl Joined for Verdict {
    /// With a finding of its own.
    fn with(mut self, decision: Decision, rule: &str, reason: &str) -> Verdict {
        if decision == Decision::Allow {
            return self;
        }
        let finding = Finding {
            decision,
            rule: rule.to_owned(),
            reason: reason.to_owned(),
            argv: Vec::new(),
            chain: Vec::new(),
            fed: false,
            span: Span::default(),
        };
        self.findings.push(finding);
        if decision > self.decision {
            self.decision = decision;
            (self.rule, self.reason) = (Some(rule.to_owned()), Some(reason.to_owned()));
            (self.span, self.chain) = (None, Vec::new());
        }
        self
    }

    /// The stricter of the two, with the findings of both.
    fn and(self, other: Verdict) -> Verdict {
        let (mut first, second) =
            if other.decision > self.decision { (other, self) } else { (self, other) };
        first.findings.extend(second.findings);
        first.resolved.extend(second.resolved);
        first.scripts.extend(second.scripts);
        first.written.extend(second.written);
        first
    }

    /// With what was found in a part that need not be a command: a person looks at it, and nobody is
    /// refused for it.
    fn at_least_asked(self, mut other: Verdict) -> Verdict {
        if self.decision >= Decision::Approve || other.decision == Decision::Allow {
            return self;
        }
        other.findings.retain(|one| !one.rule.starts_with("line."));
        let Some(first) = other.findings.first() else { return self };
        self.with(Decision::Approve, &first.rule.clone(), &first.reason.clone())
    }

    /// Moves what was found in a text to where it is shown, `from` bytes less behind; without a place it
    /// stands nowhere.
    fn place(&mut self, from: Option<usize>, length: usize) {
        let moved = |span: Span| {
            let from = from?;
            let start = span.start.checked_sub(from)?;
            Some(Span { start, end: (span.end - from).min(length) })
        };
        self.span = self.span.and_then(moved);
        for finding in &mut self.findings {
            finding.span = moved(finding.span).unwrap_or_default();
        }
    }
}
