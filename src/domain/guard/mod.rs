//! What a shell line would do, and what the policy says of it: a brake for mistakes and injected
//! instructions, no sandbox.
//!
//! A line goes through four hands: [`scan`] looks at its bytes, [`syntax`] reads it as the remote shell
//! would, [`resolve`] walks it and finds each command that it runs, [`policy`] judges them. The strictest
//! finding wins. All of it is a pure function of line, context and policy.

mod brought;
mod code;
pub mod corpus;
pub mod field;
pub mod files;
mod finding;
pub mod forward;
pub mod own;
mod paths;
pub mod policy;
mod resolve;
mod scan;
mod sql;
pub mod syntax;

#[cfg(test)]
mod tests;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use brought::{Content, Files};
pub use finding::{Finding, Findings};
pub use policy::{Policy, PolicyError};
pub use resolve::swallows;
pub use syntax::Span;

/// What becomes of a line; the stricter is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    Allow,
    /// A person decides.
    Approve,
    /// Nobody can lift it but a change of policy.
    Block,
}

/// Where a line would run, and for whom.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    pub target: Option<&'a str>,
    pub token: Option<&'a str>,
    /// The directory that it starts in, where that is known.
    pub cwd: Option<&'a str>,
    /// For rules that expire; without a day they don't hold.
    pub today: Option<Date>,
    pub mode: Mode,
    /// The shell that reads the line first.
    pub shell: Shell,
    /// A person's shell at a prompt, or what is typed into one: it also expands history.
    pub interactive: bool,
    /// The text of a file that is run: what its arguments are is not known.
    pub script: bool,
    /// What an operator said for this session of what can't be known, in the place of the policy's word.
    pub opaque: Option<Decision>,
    pub stdin: Stdin<'a>,
    /// What agents brought to the account.
    pub files: Option<&'a Files>,
}

/// What comes on a line's standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdin<'a> {
    #[default]
    Empty,
    /// Bytes that nobody knows yet.
    Open,
    /// These, all of them.
    Whole(&'a [u8]),
}

/// What passes without a person; the stricter is the greater.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// What the policy allows.
    #[default]
    Guarded,
    /// Only what the guard knows to read and to do nothing else; the rest is asked, blocks hold.
    Read,
}

/// Which shell reads the line. Of one that is not known whatever some shell would make of it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shell {
    #[default]
    Unknown,
    /// sh, dash, bash, ksh: what the parser reads.
    Posix,
    Zsh,
    Csh,
    Fish,
}

/// What the policy says of a line.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    #[serde(rename = "verdict")]
    pub decision: Decision,
    pub rule: Option<String>,
    pub reason: Option<String>,
    /// Each command that the line runs, as far as it is known; `…` is what only the server knows.
    pub resolved: Vec<Vec<String>>,
    /// The bytes of the line that decided, or behind the line's end of what comes on standard input.
    pub span: Option<Span>,
    /// Programs around the command that decided, the outermost first.
    pub chain: Vec<String>,
    /// Everything else that was found.
    pub findings: Vec<Finding>,
    /// Standard input is open, and what comes there may change what is said.
    pub reads_stdin: bool,
    /// Files that an agent brought whose content counted.
    pub scripts: Vec<String>,
    /// Files that the line writes, and what they then hold; a path is relative where the directory is not known.
    #[serde(skip)]
    pub written: Vec<(String, Content)>,
}

/// Judges a line: exactly the bytes that will be sent.
pub fn judge(line: &[u8], context: &Context<'_>, policy: &Policy) -> Verdict {
    let findings = examine(line, context, policy);
    let first = findings.strictest().cloned();
    Verdict {
        decision: first.as_ref().map_or(Decision::Allow, |finding| finding.decision),
        rule: first.as_ref().map(|finding| finding.rule.clone()),
        reason: first.as_ref().map(|finding| finding.reason.clone()),
        span: first.as_ref().map(|finding| finding.span),
        chain: first.map(|finding| finding.chain).unwrap_or_default(),
        resolved: findings.commands,
        reads_stdin: context.stdin == Stdin::Open && reads_stdin(line, context, policy),
        scripts: findings.scripts,
        written: findings.written,
        findings: findings.all,
    }
}

/// Whether it makes a difference to what is found if standard input is empty, a word, or may be anything.
fn reads_stdin(line: &[u8], context: &Context<'_>, policy: &Policy) -> bool {
    let with = |stdin| {
        // Where what is not known passes it would be found all the same.
        let context = Context { stdin, opaque: Some(Decision::Approve), ..*context };
        let mut found = examine(line, &context, policy).all;
        found.iter_mut().for_each(|finding| finding.fed = false);
        found
    };
    let open = with(Stdin::Open);
    open != with(Stdin::Empty) || open != with(Stdin::Whole(b"sgw-input\n"))
}

/// Everything that is found in a line.
fn examine(line: &[u8], context: &Context<'_>, policy: &Policy) -> Findings {
    let defaults = policy.defaults_for(context);
    let (text, mut found) = scan::scan(line, context, &defaults);
    let mut input = None;
    if let Stdin::Whole(bytes) = context.stdin
        && bytes.len() <= defaults.max_bytes
    {
        let typed = Context { interactive: false, ..*context };
        let (text, in_input) = scan::scan(bytes, &typed, &defaults);
        input = text;
        found.extend(in_input.into_iter().map(|finding| finding.moved(line.len())));
    }
    let mut findings = match text {
        Some(text) => {
            let walk = |dash| {
                let walk = resolve::Walk::new(policy, context, defaults);
                walk.reads_as_dash(dash).line(&text, input.as_deref())
            };
            let mut findings = walk(false);
            // Which of the two a `sh` is nobody knows: the stricter reading counts.
            if findings.dollar {
                walk(true).all.into_iter().for_each(|finding| findings.add(finding));
            }
            findings
        }
        None => Findings::default(),
    };
    found.drain(..).for_each(|finding| findings.add(finding));
    if std::str::from_utf8(line).is_err() {
        findings.tell_bytes(scan::PUT);
    }
    findings
}
