//! What a command may be besides what it says: another shell's reading, a glob's programs, what a program that
//! nobody described runs; and other names that the line itself gave to directories.

use super::{Arguments, Walk, invoke::file_name};
use crate::domain::guard::{
    Decision,
    field::{Field, UNKNOWN},
    finding::Finding,
    syntax::Span,
};

/// Links of one line that are followed.
const MAX_LINKS: usize = 32;

/// Programs that a glob is tried for, and names in one line that are guessed at.
const MAX_GUESSES: usize = 12;

impl Walk<'_> {
    /// A command to another shell than the one whose grammar is read: what rules find of it is asked for.
    pub(super) fn unknown_shell(&mut self, fields: &[Field]) {
        let span = fields.first().map(|field| field.span).unwrap_or_default();
        let before = self.findings.clone();
        self.nested(fields, &[], span);
        let worst = self.findings.stricter_than(&before);
        self.findings = before;
        if worst {
            self.find(Finding::new(
                Decision::Approve,
                "opaque.shell",
                "another shell than this grammar's would run it",
                span,
            ));
        }
    }

    /// A path through a link that the line made, as it is without.
    pub(super) fn behind_links(&self, field: &Field) -> Field {
        let path = self.path(&field.text);
        let through = self.links.iter().rev().find_map(|(link, real)| {
            let rest = path.strip_prefix(link.as_str()).filter(|rest| rest.starts_with('/'))?;
            Some(format!("{}{rest}", real.trim_end_matches('/')))
        });
        match through {
            Some(text) => Field { text, ..field.clone() },
            None => field.clone(),
        }
    }

    /// `ln -s A B` and `mount --bind A B`.
    pub(super) fn link(&mut self, name: &str, arguments: &Arguments) {
        let links = match name {
            "ln" | "gln" => arguments.has("s") || arguments.has("symbolic"),
            "mount" => ["bind", "rbind", "B", "R"].iter().any(|flag| arguments.has(flag)),
            _ => false,
        };
        if let [real, link] = arguments.operands.as_slice()
            && links
            && self.links.len() < MAX_LINKS
        {
            let pair = (self.path(&link.text), self.path(&real.text));
            self.links.push(pair);
        }
    }

    /// The programs that a name may be: a glob's, and those that it is when what is not known is empty, as a
    /// variable is that nobody set.
    pub(super) fn guessed(
        &mut self,
        first: &Field,
        fields: &[Field],
        env: &[(String, Field)],
        span: Span,
    ) {
        let name = file_name(&first.text);
        let bare: String = name.chars().filter(|char| *char != UNKNOWN).collect();
        self.guesses += 1;
        if self.guesses > MAX_GUESSES {
            // It stays opaque.
            return;
        }
        let mut names = match bare.chars().any(crate::domain::guard::field::is_mark) {
            true => self.policy.meant_by(&bare),
            false => Vec::new(),
        };
        if bare != name && self.policy.knows(&bare) {
            names.push(bare);
        }
        for name in names.into_iter().take(MAX_GUESSES) {
            let mut fields = fields.to_vec();
            fields[0].text = name;
            self.nested(&fields, env, span);
        }
    }

    /// A program that nobody described may run the words behind it: what would be stopped there is asked for.
    pub(super) fn unknown_wrapper(
        &mut self,
        fields: &[Field],
        env: &[(String, Field)],
        span: Span,
    ) {
        let known = |field: &&Field| {
            !field.text.contains('=') && self.policy.has_rule(file_name(&field.text))
        };
        let Some(at) = fields.iter().skip(1).take(4).position(|field| known(&field)) else {
            return;
        };
        let before = self.findings.clone();
        self.nested(&fields[at + 1..], env, span);
        let worst = self.findings.stricter_than(&before);
        self.findings = before;
        if worst {
            self.find(Finding::new(
                Decision::Approve,
                "opaque.wrapper",
                "a program that is not known may run the command behind it",
                span,
            ));
        }
    }
}
