//! What a command may be besides what it says: another shell's reading, a glob's programs, what a program that
//! nobody described runs; and other names that the line itself gave to directories.

use super::{Arguments, Walk, invoke::file_name};
use crate::domain::guard::{
    Decision,
    field::{Field, UNKNOWN},
    finding::Finding,
    policy::{Inner, Program},
    syntax::Span,
};

/// Links of one line that are followed.
const MAX_LINKS: usize = 32;

/// Programs that a glob is tried for, and names in one line that are guessed at.
const MAX_GUESSES: usize = 12;

/// What the name of a flag or a setting has in it whose value is a command.
const TELLING: [&str; 18] = [
    "exec",
    "cmd",
    "command",
    "hook",
    "shell",
    "pipe",
    "pager",
    "editor",
    "browser",
    "askpass",
    "wrapper",
    "rsh",
    "eval",
    "invoke",
    "script",
    "program",
    "import",
    "entrypoint",
];
/// Flags behind which a setting stands.
const SETTING: [&str; 12] = [
    "-o",
    "-O",
    "-c",
    "-X",
    "--option",
    "--opt",
    "--config",
    "--conf",
    "--set",
    "--parameters",
    "--param",
    "-D",
];
/// Signs by which a line of standard input leaves a program for a shell.
const ESCAPES: [&str; 9] =
    ["!", ":!", "~!", "@exec ", "shell ", "system ", "sh ", ".shell ", ".system "];

/// Commands that a store takes as they come over the wire.
const STORE: [&str; 7] =
    ["flushall", "flush_all", "flushdb", "shutdown", "config", "slaveof", "replicaof"];

/// Programs behind whose `--` files and texts stand.
const OPERANDS: [&str; 22] = [
    "git",
    "grep",
    "egrep",
    "fgrep",
    "rg",
    "ls",
    "cat",
    "rm",
    "cp",
    "mv",
    "ln",
    "touch",
    "mkdir",
    "chmod",
    "chown",
    "systemctl",
    "cd",
    "set",
    "printf",
    "find",
    "which",
    "npm",
];

fn telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TELLING.iter().any(|part| name.contains(part))
}

impl Walk<'_> {
    /// Flags and settings whose names say that their values are commands (`--pre-hook 'reboot'`,
    /// `-o Pre-Invoke=reboot`): what rules find of those counts.
    pub(super) fn told_to_run(&mut self, program: &Program, fields: &[Field], span: Span) {
        let runs = program.language.as_deref().is_some_and(|language| language != "other");
        if runs || program.no_flags || fields.len() < 2 {
            return;
        }
        let code = |name: &str| {
            program.code_flags.iter().any(|(flag, _)| flag.trim_start_matches('-') == name)
        };
        for (at, field) in fields.iter().enumerate().skip(1) {
            let text = field.text.as_str();
            let flag = text.strip_prefix("--").filter(|flag| !flag.is_empty());
            let setting = text.split_once('=').or_else(|| text.split_once([':', ' ']));
            let (name, value) = match (flag, setting) {
                (Some(flag), _) => match flag.split_once('=') {
                    Some((name, value)) => (name, value.to_owned()),
                    None => match fields.get(at + 1) {
                        Some(next) => (flag, next.text.clone()),
                        None => continue,
                    },
                },
                (None, Some((name, value))) => {
                    let behind = fields
                        .get(at - 1)
                        .is_some_and(|before| SETTING.contains(&before.text.as_str()));
                    let glued =
                        SETTING.iter().any(|flag| flag.len() == 2 && name.starts_with(flag));
                    if !behind && !glued {
                        continue;
                    }
                    (name, value.trim_start_matches([':', '=']).to_owned())
                }
                _ => continue,
            };
            if telling(name) && !code(name) && !value.is_empty() {
                self.runs_perhaps(&value, span);
                // `--command=rm IMAGE -rf x`: its words stand behind.
                if !value.contains(' ') && self.policy.has_rule(file_name(&value)) {
                    let behind = fields[at + 1..].iter().map(Field::quoted);
                    let line = std::iter::once(value.clone()).chain(behind);
                    self.runs_perhaps(&line.collect::<Vec<_>>().join(" "), span);
                }
            }
        }
        // What stands behind `--` may be a command.
        let dashes = fields.iter().position(|field| matches!(field.text.as_str(), "--" | "--args"));
        if let Some(at) = dashes.filter(|_| program.inner.is_none_or(|inner| inner == Inner::Argv))
            && let Some(first) = fields.get(at + 1)
            && self.policy.has_rule(file_name(&first.text))
            && !OPERANDS.contains(&file_name(&fields[0].text))
        {
            let line = fields[at + 1..].iter().map(Field::quoted).collect::<Vec<_>>().join(" ");
            self.runs_perhaps(&line, span);
        }
    }

    /// Lines of standard input that leave the program for a shell.
    pub(super) fn escapes(&mut self, span: Span) {
        let Some(text) = self.stdin.text.clone() else { return };
        // What such a line runs does not read it anew.
        let outer = std::mem::take(&mut self.stdin);
        for line in text.lines().take(MAX_GUESSES) {
            let line = line.trim_start();
            if let Some(rest) = ESCAPES.iter().find_map(|sign| line.strip_prefix(sign)) {
                self.runs_perhaps(rest.trim_start(), span);
            }
            let word = line.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
            if STORE.contains(&word.as_str()) {
                self.runs_perhaps(&format!("redis-cli {}", line.replace('_', "")), span);
            }
        }
        self.stdin = outer;
    }

    /// Lines of standard input that a program takes for its own commands (`virsh`).
    pub(super) fn own_lines(&mut self, name: &str, arguments: &Arguments, span: Span) {
        let reads = match name {
            "sftp" | "psftp" => arguments.value("b").is_none_or(|file| file.text == "-"),
            "lftp" | "ftp" => !arguments.has("e") && !arguments.has("c") && !arguments.has("f"),
            _ => arguments.operands.is_empty(),
        };
        let data = self.stdin.clone();
        match data.text {
            _ if !reads => {}
            Some(text) => {
                let outer = std::mem::take(&mut self.stdin);
                for line in text.lines().take(MAX_GUESSES) {
                    self.quiet_text(&format!("{name} {line}"), span);
                }
                self.stdin = outer;
            }
            None if data.file.is_none() => self.opaque("opaque.code", span),
            None => {}
        }
    }

    fn runs_perhaps(&mut self, text: &str, span: Span) {
        if self.guesses > MAX_GUESSES {
            return;
        }
        self.guesses += 1;
        if text.starts_with('/') && self.policy.is_scratch(text) {
            self.opaque("opaque.script", span);
        }
        let text = crate::domain::guard::field::as_code(text).into_owned();
        self.quiet_text(&text, span);
    }

    /// A command to another shell than the one whose grammar is read: what rules find of it is asked for.
    pub(super) fn unknown_shell(&mut self, fields: &[Field]) {
        let span = fields.first().map(|field| field.span).unwrap_or_default();
        let before = std::mem::take(&mut self.findings);
        self.nested(fields, &[], span);
        let found = std::mem::replace(&mut self.findings, before);
        let worst = found.has_rules();
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
        let before = std::mem::take(&mut self.findings);
        self.nested(&fields[at + 1..], env, span);
        let found = std::mem::replace(&mut self.findings, before);
        let worst = found.has_rules();
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
