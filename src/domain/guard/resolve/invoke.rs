//! A simple command: what it is called, what it is given, and what then runs inside it.

use std::rc::Rc;

use super::{
    ARGUMENTS, Arguments, Body, Call, Code, LAST, MAX_TEXTS, Streams, Variable, Walk,
    variables::Either,
};
use crate::domain::guard::{
    Decision, Shell,
    field::{Data, Field, Origins, UNKNOWN},
    finding::Finding,
    policy::Program,
    syntax::{Assignment, Change, Command, Part, Span, Value, Word},
};

/// Builtins before which an assignment stays, as POSIX has it.
const SPECIAL: [&str; 15] = [
    ":", ".", "source", "eval", "exec", "exit", "return", "set", "shift", "times", "trap", "unset",
    "break", "continue", "command",
];

/// A program whose name stands in the line, or in what the line expands to.
struct Named {
    name: String,
    /// It was written with a directory.
    path: bool,
}

impl Walk<'_> {
    /// Runs a simple command once for each combination of the values that its variables have.
    pub(super) fn simple(
        &mut self,
        command: &Command,
        assignments: &[Assignment],
        words: &[Word],
        stdin: Data,
    ) -> Data {
        let ways = self
            .each_way(command.span, |walk| walk.once(command, assignments, words, stdin.clone()));
        Data::any(ways)
    }

    fn once(
        &mut self,
        command: &Command,
        assignments: &[Assignment],
        words: &[Word],
        stdin: Data,
    ) -> Data {
        let span = self.origin.unwrap_or(command.span);
        let fields = self.words(words);
        if words.first().is_some_and(|first| self.never_given(first)) {
            self.opaque("opaque.program", span);
        }
        let streams = self.streams(&command.redirects);
        let stdin = streams.stdin.clone().unwrap_or(stdin).shared();
        if streams.may_fail {
            return self.in_doubt(|walk| walk.given(assignments, fields, &streams, stdin, span));
        }
        self.given(assignments, fields, &streams, stdin, span)
    }

    /// A command with its words and streams.
    fn given(
        &mut self,
        assignments: &[Assignment],
        fields: Vec<Field>,
        streams: &Streams,
        stdin: Data,
        span: Span,
    ) -> Data {
        let mut env = Vec::new();
        let mut before = Vec::new();
        for assignment in assignments {
            if !fields.is_empty() {
                before
                    .push((assignment.name.clone(), self.variables.get(&assignment.name).cloned()));
            }
            let value = self.assign(assignment);
            let named = fields.first().map_or("", |field| field.text.as_str());
            if matches!(named, "declare" | "typeset" | "local" | "readonly")
                && matches!(assignment.value, Value::Scalar(_))
            {
                self.declared(&value.text, span);
            }
            env.push((assignment.name.clone(), value));
        }
        if fields.is_empty() {
            self.judge_bare(&env, streams, span);
            // `$(< file)` prints the file, as zsh does everywhere.
            let read = streams.stdin.clone().filter(|_| env.is_empty());
            let data = read.map_or_else(|| Data::known(""), |data| Data { file: None, ..data });
            return self.printed(data, streams);
        }
        let declares = matches!(
            fields[0].text.as_str(),
            "export" | "declare" | "typeset" | "local" | "readonly"
        );
        let outer = std::mem::replace(&mut self.stdin, stdin);
        let data = self.invoke(&fields, &env, streams, span);
        self.stdin = outer;
        // What stands before a command is for this command alone; of those that are special it stays in some
        // shells.
        let stays = SPECIAL.contains(&fields[0].text.as_str())
            || self.functions.contains_key(&fields[0].text);
        if !declares {
            for (name, old) in before.into_iter().rev() {
                let new = self.variables.get(&name).cloned().filter(|_| stays);
                let both = if stays { Variable::either(old, new) } else { old };
                self.variables.put_back(&name, both);
            }
        }
        if let Some(last) = fields.last() {
            self.gives(LAST, vec![last.clone()]);
        }
        self.printed(data, streams)
    }

    /// `$1`, `"$@"` where nothing was given: it names no program, unless a start-up file of the shell's set some.
    fn never_given(&mut self, word: &Word) -> bool {
        let [Part::Parameter(parameter)] = word.parts.as_slice() else { return false };
        if !matches!(parameter.change, Change::None) {
            return false;
        }
        let Some(given) = self.value_of(ARGUMENTS) else { return false };
        match parameter.name.as_str() {
            "@" | "*" => given.is_empty(),
            name => name.parse().is_ok_and(|at: usize| at > given.len()),
        }
    }

    fn assign(&mut self, assignment: &Assignment) -> Field {
        let name = &assignment.name;
        if let Some(index) = &assignment.index {
            let index = self.expand_one(index);
            self.sum(&index);
            self.table(name, index.span);
        }
        let new = match &assignment.value {
            Value::Scalar(word) => vec![self.expand_one(word)],
            Value::Array(words) => {
                let fields = self.words(words);
                // fish runs what stands in brackets.
                if matches!(self.context.shell, Shell::Unknown | Shell::Fish) && fields.len() > 1 {
                    self.unknown_shell(&fields);
                }
                fields
            }
        };
        let shown = new.first().cloned().unwrap_or_default();
        if self.integers || super::names::is_integer(name) {
            self.sum(&shown);
        }
        let value = match (assignment.append, &assignment.value) {
            (true, Value::Array(_)) => {
                let mut all = self.value_of(name).unwrap_or_default();
                all.extend(new);
                all
            }
            (true, Value::Scalar(_)) => {
                let old = self.value_of(name).unwrap_or_default();
                let text: String =
                    old.iter().take(1).chain(new.first()).map(|f| f.text.as_str()).collect();
                vec![Field { text, ..shown.clone() }]
            }
            (false, _) if assignment.index.is_some() => {
                // The whole array may be looked at: its elements in the order of writing.
                let mut all = self.value_of(name).unwrap_or_default();
                all.extend(new);
                all
            }
            (false, _) => new,
        };
        self.set(name, value);
        shown
    }

    /// Redirections and assignments without a program.
    pub(super) fn judge_bare(&mut self, env: &[(String, Field)], streams: &Streams, span: Span) {
        if env.is_empty() && streams.reads.is_empty() && streams.writes.is_empty() {
            return;
        }
        self.judge(&[], "", env, streams, &Arguments::default(), &[], span);
    }

    pub(super) fn redirected(&mut self, streams: &Streams, span: Span) {
        self.judge_bare(&[], streams, span);
    }

    /// Hands a command to the policy.
    #[expect(clippy::too_many_arguments, reason = "the parts of a command, each from elsewhere")]
    fn judge(
        &mut self,
        argv: &[Field],
        program: &str,
        env: &[(String, Field)],
        streams: &Streams,
        arguments: &Arguments,
        codes: &[Code],
        span: Span,
    ) {
        self.charset(env, span);
        let spec = self.policy.program(program);
        let (mut reads, mut writes) = spec.files(argv, arguments);
        reads.extend(streams.reads.iter().cloned());
        writes.extend(streams.writes.iter().cloned());
        for code in codes {
            if code.language != "sh"
                && code.language != "sql"
                && let Some(text) = &code.data.text
            {
                let named = crate::domain::guard::code::paths(text);
                reads.extend(named.map(|path| Field::new(path, span)));
                let written = crate::domain::guard::code::written(text).into_iter();
                writes.extend(written.map(|path| Field::new(path, span)));
            }
        }
        let alone = self.stands_alone(program, argv, env);
        let cwd = self.cwd();
        for field in reads.iter_mut().chain(&mut writes) {
            field.text = crate::domain::guard::paths::normal(&field.text, cwd.as_deref());
        }
        let stdin = std::mem::take(&mut self.stdin);
        let contexts = std::mem::take(&mut self.contexts);
        let call = Call {
            program,
            known: self.policy.knows(program),
            argv,
            arguments,
            reads,
            writes,
            env,
            codes,
            stdin: &stdin,
            contexts: &contexts,
            cwd,
            alone,
            span,
        };
        let found = self.policy.judge(&call, self.context, &self.defaults);
        drop(call);
        self.stdin = stdin;
        self.contexts = contexts;
        for finding in found {
            self.find(finding);
        }
    }

    /// Output that is run as code, where no program stands for it.
    pub(super) fn flows_to_code(&mut self, from: Origins, span: Span) {
        let codes =
            vec![Code { language: "sh".to_owned(), data: Data::unknown(from), input: false }];
        self.judge(&[], "", &[], &Streams::default(), &Arguments::default(), &codes, span);
    }

    /// A command whose words are expanded.
    pub(super) fn invoke(
        &mut self,
        fields: &[Field],
        env: &[(String, Field)],
        streams: &Streams,
        span: Span,
    ) -> Data {
        self.commands += 1;
        let real: Vec<Field>;
        let fields = match self.links.is_empty() {
            true => fields,
            false => {
                real = fields.iter().map(|field| self.behind_links(field)).collect();
                &real
            }
        };
        let Some(first) = fields.first() else { return Data::known("") };
        self.findings().command(fields);
        if fields.iter().any(|field| field.text.starts_with("BASH_FUNC_")) {
            self.hidden("opaque.names", "a function that a shell finds among its variables", span);
        }
        // A shell's own input from here on, or a descriptor's.
        let fed = streams.stdin.as_ref().and_then(|stdin| stdin.text.as_deref());
        if fields.len() == 1 && first.text == "exec" && fed.is_some_and(|text| !text.is_empty()) {
            self.opaque("opaque.code", span);
        }
        let named = name(first);
        if let Some(data) = self.call_function(&named, fields, span) {
            return data;
        }
        // Besides what the name is without it: not every shell heeds an alias.
        if !named.path
            && let Some(values) = self.aliases.remove(&named.name)
        {
            for value in &values {
                let words = fields[1..].iter().map(Field::quoted);
                let line: Vec<String> = std::iter::once(value.clone()).chain(words).collect();
                self.half_known(&line.join(" "), span);
            }
            self.aliases.insert(named.name.clone(), values);
        }
        if named.name.contains(|char| char == UNKNOWN || crate::domain::guard::field::is_mark(char))
            || named.name.is_empty()
        {
            return self.unknown_program(first, fields, env, streams, span);
        }
        if named.path {
            if let Some(service) = self.init_script(first) {
                let name = [Field::new("service", span), Field::new(service, span)];
                let fields: Vec<Field> = name.into_iter().chain(fields[1..].to_vec()).collect();
                return self.nested(&fields, env, span);
            }
            self.run_file(first, span);
            self.run_copy(first, fields, env, span);
            // The shell itself, or whatever runs there.
            if named.name == "exe" {
                self.opaque("opaque.program", span);
            }
            // `$(dirname "$0")/clean.sh`: a name that says nothing, in a directory that only the server knows.
            if !first.is_known() && !self.policy.knows(&named.name) {
                self.opaque("opaque.program", span);
            }
        }
        if !named.name.is_ascii() {
            self.find(Finding::new(
                self.defaults.parse_error,
                "line.homograph",
                "a program's name with letters of another alphabet",
                span,
            ));
        }
        let policy = self.policy;
        let program = policy.program(&named.name);
        let arguments = Arguments::divide(fields, program, program.stops());
        self.options(&named.name, fields, &arguments, span);
        self.reads_on(&named.name, program);
        let codes = self.codes(program, fields, &arguments);
        let takes = self.takes(&named.name, program, fields, &arguments, &codes);
        self.judge(fields, &named.name, env, streams, &arguments, &codes, span);
        if !policy.knows(&named.name) && fields.len() > 2 {
            self.unknown_wrapper(fields, env, span);
        }
        self.chain.push(named.name.clone());
        self.told_to_run(program, fields, span);
        if program.stdin_lines {
            self.own_lines(&named.name, &arguments, span);
        }
        if program.stdin_escapes {
            self.escapes(span);
        }
        let context = program.context.clone();
        self.contexts.extend(context.clone());
        let ran = self.run_inside(program, &named.name, fields, &arguments, codes, env, span);
        if context.is_some() {
            self.contexts.pop();
        }
        self.chain.pop();
        let produced = match ran {
            // What a shell prints that takes its orders from elsewhere.
            Some(mut data)
                if data.text.is_none() && program.script && arguments.operands.is_empty() =>
            {
                crate::domain::guard::field::merge(&mut data.from, &[named.name.as_str().into()]);
                data
            }
            Some(data) => data,
            None => self.output(&named.name, fields, &arguments),
        };
        self.stdin.take(takes);
        self.link(&named.name, &arguments);
        // What a link is written as is not written behind it.
        let links = matches!(named.name.as_str(), "ln" | "gln" | "link");
        if !links {
            self.moves(&named.name, &arguments, span);
        }
        for write in self.written(program, fields, &arguments) {
            // What is put into a directory is told below.
            if matches!(named.name.as_str(), "cp" | "install") && write.text.ends_with('/') {
                continue;
            }
            let from = vec![Rc::from(named.name.as_str())];
            let data = match named.name.as_str() {
                "tee" | "sponge" => self.stdin.clone(),
                "cp" | "mv" | "ln" | "install" => arguments
                    .operands
                    .first()
                    .map(|source| self.content(source))
                    .unwrap_or_default(),
                _ => Data::unknown(from),
            };
            let path = self.path(&write.text);
            let changes_content = !matches!(named.name.as_str(), "chmod" | "chown" | "chgrp");
            if changes_content || !self.is_written(&path) {
                self.write(path, data);
            }
        }
        if links {
            self.moves(&named.name, &arguments, span);
        }
        produced
    }

    /// A program that the line itself copied there, by the name that it had.
    fn run_copy(&mut self, first: &Field, fields: &[Field], env: &[(String, Field)], span: Span) {
        let path = self.path(&first.text);
        let Some(file) = self.files.get(&path).and_then(|data| data.file.clone()) else { return };
        if file_name(&file) != file_name(&path) && self.policy.has_rule(file_name(&file)) {
            let mut again = fields.to_vec();
            again[0].text = file;
            self.nested(&again, env, span);
        }
    }

    /// The service of `/etc/init.d/NAME`.
    fn init_script(&self, program: &Field) -> Option<String> {
        let path = self.path(&program.text);
        let directories =
            ["/etc/init.d/", "/etc/rc.d/init.d/", "/etc/rc.d/", "/usr/local/etc/rc.d/"];
        let name = directories.iter().find_map(|directory| path.strip_prefix(directory))?;
        (!name.contains('/')).then(|| name.to_owned())
    }

    fn written(&self, program: &Program, fields: &[Field], arguments: &Arguments) -> Vec<Field> {
        program.files(fields, arguments).1
    }

    fn call_function(&mut self, named: &Named, fields: &[Field], span: Span) -> Option<Data> {
        if named.path {
            return None;
        }
        let function = self.functions.get(&named.name)?.clone();
        let several = u32::from(function.perhaps || function.bodies.len() > 1);
        let mut printed = Vec::new();
        for body in &function.bodies {
            self.unsure += several;
            printed.push(self.call_body(&named.name, body, fields, span));
            self.unsure -= several;
        }
        (!function.perhaps).then(|| Data::any(printed))
    }

    fn call_body(&mut self, name: &str, body: &Body, fields: &[Field], span: Span) -> Data {
        // One that was made anew since is another function.
        let again = body.called.replace(true);
        if again && self.chain.iter().any(|one| one == name) {
            // Calling itself says nothing new, unless each call leaves two behind.
            if self.beside > 0 {
                self.find(Finding::new(
                    Decision::Block,
                    "shell.fork-bomb",
                    "starts processes without end",
                    span,
                ));
            }
            return Data::default();
        }
        if self.texts >= MAX_TEXTS {
            self.opaque("limit.texts", span);
            return Data::default();
        }
        let beside = std::mem::take(&mut self.beside);
        self.texts += 1;
        self.chain.push(name.to_owned());
        let outer = self.variables.get(ARGUMENTS).cloned();
        let given = Variable::of([fields.get(1..).unwrap_or_default().to_vec()]);
        self.variables.insert(ARGUMENTS.to_owned(), given);
        self.locals.push(Vec::new());
        let stdin = self.stdin.clone();
        let command = body.command.clone();
        let data = self.by_itself(|walk| walk.up_to_return(|walk| walk.command(&command, stdin)));
        for (name, before) in self.locals.pop().unwrap_or_default().into_iter().rev() {
            self.variables.put_back(&name, before);
        }
        self.variables.put_back(ARGUMENTS, outer);
        self.chain.pop();
        self.texts -= 1;
        self.beside = beside;
        data
    }

    /// A program that only the server can name.
    fn unknown_program(
        &mut self,
        first: &Field,
        fields: &[Field],
        env: &[(String, Field)],
        streams: &Streams,
        span: Span,
    ) -> Data {
        let data = Data { text: None, from: first.from.clone(), ..Data::default() };
        let codes = vec![Code { language: "sh".to_owned(), data, input: false }];
        let arguments = Arguments::divide(fields, self.policy.program(""), false);
        self.judge(fields, "", env, streams, &arguments, &codes, span);
        self.opaque("opaque.program", span);
        self.guessed(first, fields, env, span);
        // The words behind it may be a command of their own (`$SUDO rm -rf /`).
        if first.text == UNKNOWN.to_string() && fields.len() > 1 {
            self.chain.push("…".to_owned());
            if self.texts < MAX_TEXTS {
                self.texts += 1;
                self.invoke(&fields[1..], env, &Streams::default(), span);
                self.texts -= 1;
            }
            self.chain.pop();
        }
        Data::default()
    }

    pub(super) fn nested(&mut self, fields: &[Field], env: &[(String, Field)], span: Span) -> Data {
        if self.texts >= MAX_TEXTS {
            self.opaque("limit.texts", span);
            return Data::default();
        }
        self.texts += 1;
        let data = self.invoke(fields, env, &Streams::default(), span);
        self.texts -= 1;
        data
    }
}

/// The last name of a path.
pub(super) fn file_name(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

/// The file name of a program; zsh's `=rm` is the path of `rm`.
fn name(field: &Field) -> Named {
    let text = field.text.strip_prefix('=').unwrap_or(&field.text);
    match text.rsplit_once('/') {
        Some((_, last)) => Named { name: last.to_owned(), path: true },
        None => Named { name: text.to_owned(), path: false },
    }
}
