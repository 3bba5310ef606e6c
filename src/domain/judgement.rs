//! What the guard said of the very bytes of an action, and by which policy. Nothing is authorized without.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    action::Stdin,
    bytes::Bytes,
    digest::{Digest, Digester, Sum},
    grant::{Grant, Mode, Opaque},
    guard::{self, Content, Decision, Files, Finding, Verdict},
    shell,
};

/// What one judgement keeps of commands' words, in bytes; what is more is cut, and told by `…`.
const MAX_WORDS: usize = 32 * 1024;
/// Findings that are kept; a line with more of them is asked about as a whole.
const MAX_PARTS: usize = 16;
/// Commands that change what a later one means where it stands.
const MOVES: &[&str] =
    &["cd", "pushd", "popd", "export", "chroot", "declare", "typeset", "set", "shopt", "alias"];

/// How a line is judged, beside the policy: what the session was given, and what is known of its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    pub mode: guard::Mode,
    pub shell: guard::Shell,
    /// Typed at a shell's prompt.
    pub interactive: bool,
    /// The operator's word on what only the server knows, in the place of the policy's.
    pub opaque: Option<Decision>,
    pub stdin: Stdin,
}

impl Manner {
    /// As a session's grant says.
    pub fn of(grant: &Grant) -> Self {
        let mode = match grant.mode {
            Mode::Read => guard::Mode::Read,
            Mode::Guarded | Mode::Each => guard::Mode::Guarded,
        };
        let opaque = (grant.opaque == Opaque::Allow).then_some(Decision::Allow);
        Self { mode, opaque, ..Self::default() }
    }

    /// Whether it is no weaker than the grant's.
    pub fn fits(&self, grant: &Grant) -> bool {
        let own = Self::of(grant);
        self.mode >= own.mode && (self.opaque.is_none() || self.opaque == own.opaque)
    }
}

/// A verdict, bound to the bytes that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Digest of what was judged.
    line: Digest,
    pub manner: Manner,
    pub decision: Decision,
    pub rule: Option<String>,
    pub reason: Option<String>,
    /// The bytes that decided: of the line, or behind its end of what comes on standard input.
    pub span: Option<(usize, usize)>,
    /// What comes on standard input, which is open, may change what is said.
    pub reads_stdin: bool,
    /// Files of an agent's whose content counted.
    pub scripts: Vec<Script>,
    /// Files that the line writes, and what they then hold.
    pub written: Vec<(String, Content)>,
    /// Each reason for asking, the one that decided first.
    pub parts: Vec<Part>,
    /// There are more reasons than are kept.
    pub more: bool,
    /// The part is found for the same reasons where nothing is around it.
    stands_alone: bool,
    /// Digest of the policy.
    pub policy: Digest,
    /// What was judged in the place of the whole line: the operator's own variables left out.
    pub own: Option<Box<Bytes>>,
}

/// A file of an agent's that a line runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    pub path: String,
    /// SHA-256 of what it held; absent where that is not known.
    pub sum: Option<Digest>,
    /// How often it was written, as far as that is known; zero where what it holds is.
    pub turns: u32,
}

impl Script {
    pub fn of(path: &str, files: &Files) -> Self {
        let sum = match files.content(path) {
            Some((_, Content::Text(text))) => {
                let mut sum = Sum::default();
                sum.add(text.as_bytes());
                Some(sum.finish())
            }
            _ => None,
        };
        let turns = if sum.is_some() { 0 } else { files.turns(path) };
        Self { path: path.to_owned(), sum, turns }
    }

    /// Whether it holds what it held.
    pub fn is_same(&self, files: &Files) -> bool {
        *self == Self::of(&self.path, files)
    }
}

/// A command that is asked about: what a yes for the session can be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub decision: Decision,
    pub rule: String,
    /// Resolved; `…` is what only the server knows.
    pub argv: Vec<String>,
    /// Programs around it, the outermost first.
    pub chain: Vec<String>,
    /// The line feeds its standard input, with what a yes to its words does not say.
    pub fed: bool,
    /// What the line did before that gives the same words another meaning (`cd`).
    pub place: Arc<Vec<Vec<String>>>,
}

impl Judgement {
    pub fn new(line: &[u8], manner: Manner, verdict: Verdict, policy: Digest) -> Self {
        let moves = |argv: &&Vec<String>| {
            argv.first().is_some_and(|program| MOVES.contains(&program.as_str()))
        };
        let mut room = Room(MAX_WORDS);
        let before = verdict.resolved.iter().filter(moves);
        let place: Arc<Vec<_>> = Arc::new(before.map(|argv| room.cut(argv)).collect());
        let mut found: Vec<&Finding> = verdict.findings.iter().collect();
        found.sort_by_key(|finding| {
            let first =
                Some(&finding.rule) == verdict.rule.as_ref() && Some(finding.span) == verdict.span;
            (std::cmp::Reverse(finding.decision), !first)
        });
        let parts = found.iter().take(MAX_PARTS).map(|finding| Part {
            decision: finding.decision,
            rule: finding.rule.clone(),
            argv: room.cut(&finding.argv),
            chain: room.cut(&finding.chain),
            fed: finding.fed,
            place: place.clone(),
        });
        Self {
            parts: parts.collect(),
            more: found.len() > MAX_PARTS,
            line: digest(line),
            manner,
            decision: verdict.decision,
            rule: verdict.rule,
            reason: verdict.reason,
            span: verdict.span.map(|span| (span.start, span.end)),
            reads_stdin: verdict.reads_stdin,
            scripts: Vec::new(),
            written: verdict.written,
            stands_alone: false,
            policy,
            own: None,
        }
    }

    /// Of where a forward leads: its words say all that there is to it.
    pub fn of_forward(line: &[u8], manner: Manner, verdict: Verdict, policy: Digest) -> Self {
        Self { stands_alone: true, ..Self::new(line, manner, verdict, policy) }
    }

    /// A person is asked because the guard could not say anything.
    pub fn unjudged(line: &[u8], manner: Manner, reason: &str, policy: Digest) -> Self {
        Self {
            line: digest(line),
            manner,
            decision: Decision::Approve,
            rule: Some(UNJUDGED.to_owned()),
            reason: Some(reason.to_owned()),
            span: None,
            reads_stdin: manner.stdin == Stdin::Open,
            scripts: Vec::new(),
            written: Vec::new(),
            parts: Vec::new(),
            more: false,
            stands_alone: false,
            policy,
            own: None,
        }
    }

    /// With what the scripts held that counted.
    pub fn with_scripts(mut self, paths: &[String], files: &Files) -> Self {
        self.scripts = paths.iter().map(|path| Script::of(path, files)).collect();
        self
    }

    /// Whether it is about these bytes.
    pub fn is_of(&self, line: &[u8]) -> bool {
        self.line == digest(line)
    }

    /// The part as a line of its own, for [`Judgement::with_part_judged`].
    pub fn part_alone(&self) -> Option<Vec<u8>> {
        let words: Vec<_> = self.one_part()?.argv.iter().map(|word| word.clone().into()).collect();
        shell::quote_argv(&words).ok()
    }

    /// What is found because of what feeds the part, or stands around it, is no part: a yes to its words
    /// would be one to whatever feeds it next time.
    pub fn with_part_judged(mut self, alone: &Verdict) -> Self {
        let found = |part: &Part| {
            alone.findings.iter().any(|one| one.rule == part.rule && one.argv == part.argv)
        };
        self.stands_alone = self.parts.iter().all(found);
        self
    }

    /// What a yes for the session would be for: the one command that is asked about, wholly known, which
    /// needs nothing around it to be asked about.
    pub fn part(&self) -> Option<&Part> {
        self.parts.first().filter(|_| self.only_once().is_none())
    }

    fn one_part(&self) -> Option<&Part> {
        self.parts.first().filter(|_| self.no_part().is_none())
    }

    /// Why a yes can be for this once only, where it can: the words of a command alone don't say what was
    /// approved.
    pub fn only_once(&self) -> Option<&'static str> {
        self.no_part().or_else(|| {
            (!self.stands_alone)
                .then_some("it is asked about because of what feeds or surrounds it")
        })
    }

    fn no_part(&self) -> Option<&'static str> {
        let [first, rest @ ..] = self.parts.as_slice() else {
            return Some("no command in it is asked about by itself");
        };
        let same = |part: &Part| part.argv == first.argv && part.chain == first.chain;
        if self.manner.mode != guard::Mode::Guarded {
            Some("in its session everything that does more than read is asked about")
        } else if self.counts_input() {
            Some("what comes on its standard input counts, and that may be other the next time")
        } else if first.fed {
            Some("what the line feeds it with may be other the next time")
        } else if !self.scripts.is_empty() {
            Some("it runs a script, which may be other the next time")
        } else if self.decision != Decision::Approve || self.more || !rest.iter().all(same) {
            Some("more than one command in it is asked about")
        } else if !first.is_known() {
            Some("not all of what it runs is known beforehand")
        } else {
            None
        }
    }

    /// Whether what is said is also about what comes on standard input.
    fn counts_input(&self) -> bool {
        self.reads_stdin || matches!(self.manner.stdin, Stdin::Whole(_))
    }

    /// Whether it is about words alone: nothing that was fed or written elsewhere counted.
    pub fn is_of_words_alone(&self) -> bool {
        !self.counts_input() && self.scripts.is_empty()
    }

    /// Binds an approval to what was said, and by which policy.
    pub fn bind(&self, digester: Digester) -> Digester {
        let decided = digester.text("policy", self.policy).text("verdict", word(self.decision));
        let decided = decided.optional("rule", self.rule.as_ref());
        self.scripts.iter().fold(decided, |digester, Script { path, sum, .. }| {
            digester.text("script", path).optional("sum", sum.as_ref())
        })
    }

    /// For the record.
    pub fn recorded(&self) -> Value {
        let rules: Vec<&str> = self.parts.iter().map(|part| part.rule.as_str()).collect();
        let script = |one: &Script| json!({"path": one.path, "sha256": one.sum});
        let scripts: Vec<Value> = self.scripts.iter().map(script).collect();
        json!({
            "verdict": word(self.decision),
            "rule": self.rule,
            "rules": rules,
            "policy": self.policy,
            "own": self.own,
            "scripts": scripts,
        })
    }
}

/// The rule of a terminal that is asked about once.
pub const SESSION: &str = "pty.session";
/// The rule of a terminal into which nothing is typed.
pub const OFF: &str = "pty.off";
/// The rule of what the guard could not judge.
pub const UNJUDGED: &str = "line.unjudged";

impl Part {
    fn is_known(&self) -> bool {
        let words = self.argv.iter().chain(&self.chain).chain(self.place.iter().flatten());
        !self.argv.is_empty()
            && !["opaque.", "line.", "limit."].iter().any(|own| self.rule.starts_with(own))
            && words.into_iter().all(|word| !word.contains('…'))
    }
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Approve => "approve",
        Decision::Block => "block",
    }
}

fn digest(line: &[u8]) -> Digest {
    Digester::new("line").field("bytes", line).finish()
}

/// Bytes of words that may still be kept.
struct Room(usize);

impl Room {
    /// Words as far as there is room.
    fn cut(&mut self, words: &[String]) -> Vec<String> {
        let mut kept = Vec::new();
        for word in words {
            if word.len() >= self.0 {
                kept.push("…".to_owned());
                break;
            }
            self.0 -= word.len() + 1;
            kept.push(word.clone());
        }
        kept
    }
}

#[cfg(test)]
impl Judgement {
    /// The built-in policy's.
    pub fn for_test(line: &[u8]) -> Self {
        use super::guard::{Context, Policy, judge};
        let judge = |line: &[u8]| judge(line, &Context::default(), &Policy::built_in());
        let judged =
            Self::new(line, Manner::default(), judge(line), Digester::new("policy").finish());
        match judged.part_alone() {
            Some(alone) => judged.with_part_judged(&judge(&alone)),
            None => judged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_is_asked_about_is_offered_only_where_it_is_known_and_alone() {
        let part = |line: &str| Judgement::for_test(line.as_bytes()).part().cloned();
        assert_eq!(part("ls"), None);
        assert_eq!(part("rm -rf /"), None);
        let alone = part("cd /srv && systemctl restart nginx; ls").unwrap();
        assert_eq!(alone.argv, ["systemctl", "restart", "nginx"]);
        assert_eq!(*alone.place, [["cd", "/srv"]]);
        assert_eq!(part("systemctl restart $X"), None);
        assert_eq!(part("systemctl restart nginx; rm -rf /srv/x"), None);
        assert_eq!(part("$X"), None);
        // What is asked about is what feeds it, not its words.
        assert_eq!(part("echo 'drop table a' | mysql"), None);
        for fed in
            ["echo x | tee /etc/y", "tee /etc/y < /tmp/x", "tee /etc/y <<< x", "date | tee /etc/y"]
        {
            assert_eq!(part(fed), None, "{fed}");
        }
        assert!(part("tee /etc/y").is_some());
    }

    #[test]
    fn no_part_is_offered_where_input_or_a_script_counted_or_each_is_asked_about() {
        let judged = || Judgement::for_test(b"systemctl restart nginx");
        assert!(judged().part().is_some() && judged().is_of_words_alone());
        let sum = digest(b"rm -rf /srv/x");
        let fed = Stdin::Whole(crate::domain::action::Whole { bytes: 13, sum });
        let fed = Judgement { manner: Manner { stdin: fed, ..Manner::default() }, ..judged() };
        let open = Judgement { reads_stdin: true, ..judged() };
        let script = Script { path: "/srv/x.sh".to_owned(), sum: Some(sum), turns: 0 };
        let script = Judgement { scripts: vec![script], ..judged() };
        for judged in [fed, open, script] {
            assert!(judged.part().is_none() && judged.part_alone().is_none());
            assert!(judged.only_once().is_some() && !judged.is_of_words_alone());
        }
        let reading = Manner { mode: guard::Mode::Read, ..Manner::default() };
        assert!(Judgement { manner: reading, ..judged() }.part().is_none());
    }

    #[test]
    fn a_grant_takes_no_verdict_that_was_made_for_one_that_gives_more() {
        let grant = |mode, opaque| Grant {
            capabilities: Default::default(),
            mode,
            expires_at: jiff::Timestamp::UNIX_EPOCH,
            max_commands: None,
            used_commands: 0,
            opaque,
        };
        let reading = grant(Mode::Read, Opaque::Ask);
        let trusting = grant(Mode::Guarded, Opaque::Allow);
        assert!(Manner::of(&reading).fits(&reading) && Manner::of(&trusting).fits(&trusting));
        assert!(!Manner::of(&trusting).fits(&grant(Mode::Guarded, Opaque::Ask)));
        assert!(!Manner::default().fits(&reading), "it was not asked whether it only reads");
        assert!(Manner::of(&reading).fits(&grant(Mode::Guarded, Opaque::Ask)));
    }

    #[test]
    fn a_judgement_keeps_no_more_words_than_fit() {
        let long = format!("cd /{0}; systemctl restart {0}; rm -f /srv/{0}", "x".repeat(15_000));
        let judged = Judgement::for_test(long.as_bytes());
        let words =
            |part: &Part| part.argv.iter().chain(&part.chain).map(String::len).sum::<usize>();
        let kept: usize = judged.parts.iter().map(words).sum();
        assert!(kept < MAX_WORDS, "{kept}");
        assert!(judged.parts.len() > 1 && judged.part().is_none());
    }

    #[test]
    fn a_judgement_is_of_its_bytes_alone() {
        let judged = Judgement::for_test(b"ls");
        assert!(judged.is_of(b"ls") && !judged.is_of(b"ls "));
        let long = format!("systemctl restart {}", "x".repeat(MAX_WORDS + 1));
        let judged = Judgement::for_test(long.as_bytes());
        assert_eq!(judged.parts[0].argv, ["systemctl", "restart", "…"]);
        assert_eq!(judged.part(), None);
    }
}
