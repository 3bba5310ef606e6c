//! What runs inside a command: files, texts in flags, code on standard input.

use super::{Arguments, Code, Walk};
use crate::domain::guard::{
    field::{Data, Field, UNKNOWN},
    finding::Finding,
    policy::{Inner, Program},
    syntax::Span,
};

impl Walk<'_> {
    /// A file that is run: judged where the line itself says what it holds.
    pub(super) fn run_file(&mut self, field: &Field, span: Span) {
        let path = self.path(&field.text);
        let data = match &field.data {
            Some(data) => Some(Data::clone(data)),
            None => self.files.get(&path).cloned(),
        };
        match data {
            Some(data) => self.run_code(&Code { language: "sh".to_owned(), data }, span, None),
            None if self.policy.is_scratch(&path) => self.opaque("opaque.script", span),
            None => {}
        }
    }

    /// What a program runs inside it; `None` where it runs nothing of the line's.
    #[expect(clippy::too_many_arguments, reason = "the parts of a command, each from elsewhere")]
    pub(super) fn run_inside(
        &mut self,
        program: &Program,
        name: &str,
        fields: &[Field],
        arguments: &Arguments,
        codes: Vec<Code>,
        env: &[(String, Field)],
        span: Span,
    ) -> Option<Data> {
        let positional = match program.language.as_deref() {
            Some("sh") => Some(arguments.operands.clone()),
            _ => None,
        };
        let mut printed = None;
        for code in &codes {
            let positional = positional.clone().map(|mut operands| {
                // `sh -c CODE NAME ARG…`, `sh FILE ARG…`, `sh -s ARG…`.
                if !operands.is_empty() && !arguments.has("s") {
                    operands.remove(0);
                }
                operands
            });
            let data = self.run_code_data(code, span, positional);
            if code.language == "sh" {
                printed = Some(data);
            }
        }
        if let Some(inner) = self.builtin(name, fields, arguments, span) {
            return Some(inner);
        }
        for verb in &program.run_after {
            let words: Vec<&str> = verb.split(' ').collect();
            let here =
                arguments.operands.iter().zip(&words).all(|(operand, word)| operand.text == **word);
            if here && let Some(rest) = behind(fields, &words) {
                return Some(match rest {
                    [line] => self.half_known(&line.text, span),
                    rest => self.nested(rest, env, span),
                });
            }
        }
        if program.inner.is_some_and(|inner| inner != Inner::None) {
            return Some(self.wrapped(
                program,
                name,
                fields,
                arguments,
                env,
                span,
                !codes.is_empty(),
            ));
        }
        printed
    }

    pub(super) fn run_code(&mut self, code: &Code, span: Span, positional: Option<Vec<Field>>) {
        self.run_code_data(code, span, positional);
    }

    fn run_code_data(&mut self, code: &Code, span: Span, positional: Option<Vec<Field>>) -> Data {
        let data = &code.data;
        let Some(text) = &data.text else {
            let known_file = data
                .file
                .as_ref()
                .filter(|path| !path.contains(UNKNOWN) && !self.policy.is_scratch(path));
            if !data.from.is_empty() {
                self.flows_to_code(data.from.clone(), span);
            }
            // A file of the server's own is what the target's setting is for.
            if known_file.is_none() {
                let rule = if data.file.is_some() { "opaque.script" } else { "opaque.code" };
                self.find(Finding::opaque(&self.defaults, rule, span));
            }
            return Data::default();
        };
        match code.language.as_str() {
            "sh" => {
                let outer =
                    std::mem::replace(&mut self.positional, positional.or(Some(Vec::new())));
                // The text came over standard input, or leaves it alone: either way it is not the text's own.
                let stdin = std::mem::replace(&mut self.stdin, Data::known(""));
                let text = text.clone();
                let data = self.apart_text(&text, span);
                self.stdin = stdin;
                self.positional = outer;
                data
            }
            "sql" => {
                for line in crate::domain::guard::sql::shell_escapes(text) {
                    self.text(&line, span);
                }
                Data::default()
            }
            language => {
                if !crate::domain::guard::code::may_run(text, language) {
                    return Data::default();
                }
                for line in crate::domain::guard::code::commands(text) {
                    self.quiet_text(&line, span);
                }
                Data::default()
            }
        }
    }

    fn apart_text(&mut self, text: &str, span: Span) -> Data {
        let variables = self.variables.clone();
        let data = self.text(text, span);
        // `eval` and `.` keep what they assign; elsewhere it ends with the process.
        if !self
            .chain
            .last()
            .is_some_and(|name| matches!(name.as_str(), "eval" | "." | "source" | "trap"))
        {
            self.variables = variables;
        }
        data
    }

    /// A text that may be a command: what the rules find counts, what can't be read does not.
    pub(super) fn quiet_text(&mut self, text: &str, span: Span) {
        let before = self.findings.clone();
        self.text(text, span);
        self.findings.keep_rules_since(before);
    }
}

/// The words behind a verb of several words, flags and all.
fn behind<'a>(fields: &'a [Field], verb: &[&str]) -> Option<&'a [Field]> {
    let mut rest = fields;
    for word in verb {
        let at = rest.iter().position(|field| field.text == **word)?;
        rest = &rest[at + 1..];
    }
    (!rest.is_empty()).then_some(rest)
}
