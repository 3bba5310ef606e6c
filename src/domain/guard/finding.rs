//! What was found in a line: one finding a rule and place, and all commands that were understood.

use super::{
    Content, Decision,
    field::Field,
    policy::Defaults,
    syntax::{Span, SyntaxError},
};

/// Commands of a line that are kept to be shown; beyond, they are judged all the same.
const MAX_SHOWN: usize = 200;
/// Findings that are kept: the strictest stay.
const MAX_FINDINGS: usize = 64;

/// Why a line does not pass, or that a rule allows a part of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    pub decision: Decision,
    pub rule: String,
    pub reason: String,
    /// The command that the rule speaks of, resolved.
    pub argv: Vec<String>,
    /// The programs around it, the outermost first.
    pub chain: Vec<String>,
    /// What stands around it in the line feeds its standard input.
    pub fed: bool,
    pub span: Span,
}

#[derive(Clone, Debug, Default)]
pub struct Findings {
    pub all: Vec<Finding>,
    pub commands: Vec<Vec<String>>,
    /// Files of an agent's that were looked into.
    pub scripts: Vec<String>,
    /// Files that were written, and what they hold.
    pub written: Vec<(String, Content)>,
    /// A text that was read has `$'…'` with an escape: dash makes something else of it.
    pub dollar: bool,
}

impl Finding {
    pub fn new(decision: Decision, rule: &str, reason: &str, span: Span) -> Self {
        Self {
            decision,
            rule: rule.to_owned(),
            reason: reason.to_owned(),
            argv: Vec::new(),
            chain: Vec::new(),
            fed: false,
            span,
        }
    }

    /// The same so many bytes further on.
    pub fn moved(mut self, by: usize) -> Self {
        self.span = Span { start: self.span.start + by, end: self.span.end + by };
        self
    }

    pub fn syntax(defaults: &Defaults, error: SyntaxError, span: Span) -> Self {
        Self::new(defaults.parse_error, "line.syntax", &error.to_string(), span)
    }

    /// Where the line can't be understood without the server.
    pub fn opaque(defaults: &Defaults, rule: &str, span: Span) -> Self {
        let reason = match rule {
            "opaque.program" => "which program runs is known only on the server",
            "opaque.code" => "code that is known only on the server is run",
            "opaque.input" => "a command may read on in the script that it stands in",
            "opaque.script" => "a script is run whose content is not known",
            "opaque.arithmetic" => "a sum may run code that hides in a subscript",
            "opaque.prompt" => "a value is expanded again and may run code",
            "opaque.target" => "what it works on is known only on the server",
            "opaque.builtin" => "a builtin runs what stands elsewhere",
            _ => "it is larger or deeper than is followed",
        };
        Self::new(defaults.opaque, rule, reason, span)
    }
}

impl Findings {
    pub fn add(&mut self, finding: Finding) {
        if finding.decision == Decision::Allow || self.all.contains(&finding) {
            return;
        }
        if self.all.len() < MAX_FINDINGS {
            self.all.push(finding);
        } else if let Some(weaker) = self.all.iter_mut().find(|old| old.decision < finding.decision)
        {
            *weaker = finding;
        }
    }

    pub fn command(&mut self, fields: &[Field]) {
        if self.commands.len() < MAX_SHOWN {
            self.commands.push(fields.iter().map(Field::shown).collect());
        }
    }

    /// Adds what rules found, and nothing else: of texts that may not be code at all.
    pub fn add_of_rules(&mut self, found: Self) {
        for finding in found.all {
            let ours = ["line.", "opaque.", "limit.", "unmatched"];
            if !ours.iter().any(|start| finding.rule.starts_with(start)) {
                self.add(finding);
            }
        }
    }

    /// Shows what was `put` in the place of bytes that are no UTF-8 as what it is: no character.
    pub fn tell_bytes(&mut self, put: char) {
        let argvs = self.all.iter_mut().map(|finding| &mut finding.argv);
        for word in self.commands.iter_mut().chain(argvs).flatten() {
            *word = word.replace(put, "\u{fffd}");
        }
    }

    pub fn script(&mut self, path: &str) {
        if !self.scripts.iter().any(|known| known == path) {
            self.scripts.push(path.to_owned());
        }
    }

    /// Whether something was found that a rule does not allow.
    pub fn has_rules(&self) -> bool {
        let others = ["line.", "opaque.", "limit.", "unmatched", "read."];
        self.all.iter().any(|finding| !others.iter().any(|s| finding.rule.starts_with(s)))
    }

    /// The strictest; of several the first.
    pub fn strictest(&self) -> Option<&Finding> {
        let most = self.all.iter().map(|finding| finding.decision).max()?;
        self.all.iter().find(|finding| finding.decision == most)
    }
}
