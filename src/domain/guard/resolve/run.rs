//! What runs inside a command: files, texts in flags, code on standard input.

use super::{ARGUMENTS, Arguments, Code, Variable, Walk, invoke::file_name};
use crate::domain::guard::{
    field::{DEEP, Data, Field, Taken, UNKNOWN},
    finding::Finding,
    policy::{Inner, Program},
    syntax::Span,
};

impl Walk<'_> {
    /// A file that is run: judged where the line itself says what it holds, or an agent wrote it.
    pub(super) fn run_file(&mut self, field: &Field, span: Span) {
        let path = self.path(&field.text);
        let data = match &field.data {
            Some(data) => Some(Data::clone(data)),
            None => self.files.get(&path).cloned().or_else(|| self.brought(&path)),
        };
        match data {
            Some(data) => {
                let language = self.language_of(data.text.as_deref().unwrap_or_default());
                self.run_code(&Code { language, data, input: false }, span, None);
            }
            None if self.policy.is_scratch(&path) => self.opaque("opaque.script", span),
            None => {}
        }
    }

    /// By its first line; a shell's where that says nothing.
    fn language_of(&self, text: &str) -> String {
        let first =
            text.lines().next().and_then(|line| line.strip_prefix("#!")).unwrap_or_default();
        let mut words =
            first.split_whitespace().map(file_name).filter(|word| !word.starts_with('-'));
        let name = match words.next() {
            Some("env") => words.find(|word| !word.contains('=')),
            name => name,
        };
        let language = name.and_then(|name| self.policy.program(name).language.clone());
        language.unwrap_or_else(|| "sh".to_owned())
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
        // `sh -c CODE NAME`: the name is `$0`.
        let zero = positional.as_ref().and_then(|operands| operands.first()).cloned();
        let outer = zero.filter(|_| !codes.is_empty() && !arguments.has("s")).map(|zero| {
            let variable = Variable::of([vec![zero]]);
            let before = self.variables.get("0").cloned();
            self.variables.insert("0".to_owned(), variable);
            before
        });
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
        if let Some(outer) = outer {
            match outer {
                Some(variable) => self.variables.insert("0".to_owned(), variable),
                None => self.variables.remove("0"),
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
        if program.inner.is_some_and(|inner| inner != Inner::None || program.bare_shell) {
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
                .filter(|path| !path.contains([UNKNOWN, DEEP]) && !self.policy.is_scratch(path))
                .filter(|path| !path.starts_with("/dev/fd/"))
                .filter(|path| !self.is_brought(path));
            if let Some(file) = &data.file
                && self.is_brought(file)
                && !file.contains(crate::domain::guard::field::is_mark)
            {
                self.findings.script(file);
            }
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
        let outer_chain = self.chain.len();
        if let Some(file) = data.file.as_deref().filter(|file| self.is_brought(file)) {
            self.findings.script(file);
            self.chain.push(file.to_owned());
        }
        let data = self.run_text(code, text, span, positional);
        self.chain.truncate(outer_chain);
        data
    }

    fn run_text(
        &mut self,
        code: &Code,
        text: &str,
        span: Span,
        positional: Option<Vec<Field>>,
    ) -> Data {
        match code.language.as_str() {
            "sh" => {
                let given = positional.unwrap_or_default();
                let outer = self.variables.get(ARGUMENTS).cloned();
                // A file that is sourced without arguments has those of the shell.
                let own = !given.is_empty() || !self.is_in_this_shell();
                if own {
                    self.variables.insert(ARGUMENTS.to_owned(), Variable::of([given]));
                }
                let stdin = self.stdin.clone();
                if code.input {
                    // What runs inside reads on in the text that it stands in.
                    self.stdin = Data::default().shared();
                }
                let rest = self.stdin.clone();
                let mut early = Taken::Nothing;
                let data = self.apart_text(text, span, |_| early = rest.taken());
                if code.input && early != Taken::Nothing {
                    self.opaque("opaque.input", span);
                }
                self.stdin = stdin;
                if own {
                    self.variables.put_back(ARGUMENTS, outer);
                }
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

    /// With a look before its last command.
    fn apart_text(&mut self, text: &str, span: Span, look: impl FnOnce(&mut Self)) -> Data {
        self.by_itself(|walk| match walk.is_in_this_shell() {
            // `.` keeps what it assigns; elsewhere it ends with the process.
            true => walk.up_to_return(|walk| walk.text_up_to(text, span, look)),
            false => {
                let locals = std::mem::take(&mut walk.locals);
                let data = walk.apart(|walk| walk.text_up_to(text, span, look));
                walk.locals = locals;
                data
            }
        })
    }

    fn is_in_this_shell(&self) -> bool {
        let program = self.chain.iter().rfind(|name| !name.starts_with('/'));
        matches!(program.map(String::as_str), Some("eval" | "." | "source" | "trap"))
    }

    /// A text that may be a command: what the rules find counts, what can't be read does not.
    pub(super) fn quiet_text(&mut self, text: &str, span: Span) {
        let before = std::mem::take(&mut self.findings);
        let stdin = self.stdin.clone();
        // What it would take of the input nobody counts.
        self.stdin = stdin.clone().piped().shared();
        self.text(text, span);
        self.stdin = stdin;
        let found = std::mem::replace(&mut self.findings, before);
        self.findings.add_of_rules(found);
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
