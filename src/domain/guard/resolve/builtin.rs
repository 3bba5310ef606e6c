//! Builtins that change the shell itself, or run what they are given.

use super::{Arguments, Walk};
use crate::domain::guard::{
    Shell,
    field::{Data, Field, UNKNOWN, as_code},
    syntax::Span,
};

impl Walk<'_> {
    /// What a builtin does; `None` where the name is none of these.
    pub(super) fn builtin(
        &mut self,
        name: &str,
        fields: &[Field],
        arguments: &Arguments,
        span: Span,
    ) -> Option<Data> {
        let operands = &arguments.operands;
        let names_variables = [
            "printf",
            "read",
            "unset",
            "declare",
            "typeset",
            "local",
            "readonly",
            "export",
            "mapfile",
            "readarray",
            "let",
            "wait",
            "getopts",
        ];
        if names_variables.contains(&name) {
            fields
                .iter()
                .filter(|field| field.text.contains('['))
                .for_each(|field| self.arithmetic(field));
        }
        match name {
            "cd" | "chdir" | "pushd" => self.change_directory(operands),
            "popd" => {
                self.elsewhere = true;
                self.set_unknown("PWD");
            }
            "export" | "declare" | "typeset" | "local" | "readonly" | "nameref" | "integer" => {
                self.attributes(name, fields, span);
                self.declare(name, fields, span)
            }
            "unset" => {
                for field in operands {
                    self.variables.remove(&field.text);
                }
            }
            "set" => {
                let words = &fields[1..];
                let at = words.iter().position(|field| field.text == "--");
                let rest = match at {
                    Some(at) => Some(&words[at + 1..]),
                    None if words
                        .first()
                        .is_some_and(|field| !field.text.starts_with(['-', '+'])) =>
                    {
                        Some(words)
                    }
                    None => None,
                };
                if let Some(rest) = rest {
                    self.positional = Some(rest.into());
                }
            }
            "shift" => {
                let count = operands.first().map_or(Some(1), |field| field.text.parse().ok());
                self.positional = match (self.positional.take(), count) {
                    (Some(fields), Some(count)) => {
                        Some(fields.get(count..).unwrap_or_default().into())
                    }
                    _ => None,
                };
            }
            "read" => self.read(operands, arguments),
            "mapfile" | "readarray" => {
                let stdin = self.stdin.clone();
                let lines =
                    stdin.text.map(|text| text.lines().map(|l| Field::new(l, span)).collect());
                let name = operands.last().map_or("MAPFILE", |field| field.text.as_str());
                let otherwise = arguments.has("d") || arguments.has("u");
                let lines: Option<Vec<Field>> = lines.filter(|_| !otherwise);
                let lines = lines.unwrap_or_else(|| vec![Field::new(UNKNOWN, span)]);
                let first = lines.first().cloned().unwrap_or_default();
                self.names(name, &first, span);
                self.set(name, lines);
                self.code_of(arguments.value("C"), span);
            }
            "getopts" => {
                if let Some(name) = operands.get(1) {
                    self.set_unknown(&name.text);
                    self.names_unknown(&name.text, span);
                }
                self.set_unknown("OPTARG");
            }
            // zsh's: whichever word is the variable.
            "vared" | "getln" | "sysread" | "zparseopts" | "strftime" | "zformat" | "zstat" => {
                fields[1..].iter().for_each(|field| self.names_unknown(&field.text, span));
                return None;
            }
            "print"
                if fields[1..].iter().any(|f| f.text.starts_with('-') && f.text.contains('v')) =>
            {
                fields[1..].iter().for_each(|field| self.names_unknown(&field.text, span));
                return None;
            }
            "wait" => {
                for field in operands.iter().chain(arguments.value("p")) {
                    self.names_unknown(&field.text, span);
                }
                return None;
            }
            "let" => {
                for field in &fields[1..] {
                    self.sum(field);
                }
            }
            "eval" => return Some(self.eval(&fields[1..], span)),
            "trap" => {
                if arguments.flags.is_empty() && operands.len() > 1 {
                    self.code_of(operands.first(), span);
                }
            }
            "alias" => {
                // zsh: anywhere in a line, or by how a file's name ends.
                if arguments.has("g") || arguments.has("s") {
                    self.hidden("opaque.alias", "a name that counts anywhere in a line", span);
                }
                for field in operands {
                    if let Some((name, value)) = field.text.split_once('=') {
                        let value = Field { text: value.to_owned(), ..field.clone() };
                        self.code_of(Some(&value), span);
                        self.alias_is(name, &value, span);
                        self.aliases.insert(name.to_owned(), value.shown());
                    }
                }
                // `alias a b` of csh and fish.
                if let [name, words @ ..] = operands.as_slice()
                    && !name.text.contains('=')
                    && !words.is_empty()
                    && self.context.shell != Shell::Posix
                {
                    self.unknown_shell(words);
                    let value = words.iter().map(Field::shown).collect::<Vec<_>>().join(" ");
                    self.aliases.insert(name.text.clone(), value);
                }
            }
            "printf" => {
                let name = arguments.value("v")?.text.clone();
                let printed = self.output(name_of_printf(&name), fields, arguments);
                let value = match printed.text {
                    Some(text) => Field { from: printed.from, ..Field::new(text, span) },
                    None => self.unknown(printed.from),
                };
                self.names(&name, &value, span);
                self.set(&name, vec![value]);
            }
            "complete" | "compgen" => {
                let command = arguments.value("C").or_else(|| arguments.value("F"));
                self.code_of(command, span);
            }
            // What these run stands in files, in history, or in bindings.
            "enable" if arguments.has("f") => self.opaque("opaque.builtin", span),
            "fc" if !arguments.has("l") => self.opaque("opaque.builtin", span),
            "bind" if arguments.has("x") => self.opaque("opaque.builtin", span),
            "hash" if arguments.has("p") => self.opaque("opaque.builtin", span),
            "test" | "[" => {
                // `-v 'a[$(…)]'` runs what stands in the subscript.
                for field in operands {
                    self.arithmetic(field);
                }
                return Some(Data::known(""));
            }
            _ => return None,
        }
        Some(Data::known(""))
    }

    fn change_directory(&mut self, operands: &[Field]) {
        self.elsewhere = true;
        let here = self.cwd();
        let target = operands.first().map_or("\u{fdd4}", |field| field.text.as_str());
        let hangs = !target.starts_with(['/', crate::domain::guard::field::HOME]);
        if target.contains(UNKNOWN) || target == "-" || hangs && here.is_none() {
            return self.set_unknown("PWD");
        }
        let path = crate::domain::guard::paths::normal(target, here.as_deref());
        self.set("PWD", vec![Field::new(path, Span::default())]);
    }

    fn declare(&mut self, name: &str, fields: &[Field], span: Span) {
        let mut env = Vec::new();
        let nameref = fields.iter().any(|field| {
            name != "export" && field.text.starts_with('-') && field.text.contains('n')
        });
        for field in &fields[1..] {
            let Some((name, value)) = field.text.split_once('=') else { continue };
            if name.starts_with('-') {
                continue;
            }
            let name = name.trim_end_matches('+');
            let value = Field { text: value.to_owned(), ..field.clone() };
            self.declared(&value.text, span);
            let name = name.split('[').next().unwrap_or(name);
            if self.integers {
                self.sum(&value);
            }
            match nameref {
                true => self.set_unknown(name),
                false => self.set(name, vec![value.clone()]),
            }
            env.push((name.to_owned(), value));
        }
        if !env.is_empty() {
            self.judge_bare(&env, &super::Streams::default(), span);
        }
    }

    /// `read`: the words of a known line, or each line by turns.
    fn read(&mut self, operands: &[Field], arguments: &Arguments) {
        let stdin = self.stdin.clone();
        let names: Vec<String> = match (arguments.value("a"), operands.is_empty()) {
            (Some(array), _) => vec![array.text.clone()],
            (None, true) => vec!["REPLY".to_owned()],
            (None, false) => operands.iter().map(|field| field.text.clone()).collect(),
        };
        // From another descriptor.
        let text = stdin.text.filter(|_| !arguments.has("u"));
        let Some(text) = text else {
            for name in &names {
                let unknown = self.unknown(stdin.from.clone());
                self.names(name, &unknown, Span::default());
                self.set(name, vec![unknown]);
            }
            return;
        };
        if text.is_empty() {
            names.iter().for_each(|name| self.names_unknown(name, Span::default()));
        }
        self.unsure += 1;
        for line in text.lines().take(48) {
            let separators = self.separators();
            let words = line.split(|char| separators.contains(char));
            let mut words = words.filter(|word| !word.is_empty());
            for (at, name) in names.iter().enumerate() {
                let value = match at + 1 == names.len() {
                    true => words.by_ref().collect::<Vec<_>>().join(" "),
                    false => words.next().unwrap_or_default().to_owned(),
                };
                let value =
                    Field { from: stdin.from.clone(), ..Field::new(value, Span::default()) };
                self.names(name, &value, Span::default());
                self.set(name, vec![value]);
            }
        }
        self.unsure -= 1;
    }

    fn eval(&mut self, words: &[Field], span: Span) -> Data {
        let known = words.iter().all(Field::is_known);
        if words.is_empty() {
            return Data::known("");
        }
        let line = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        let mut from = Vec::new();
        for word in words {
            crate::domain::guard::field::merge(&mut from, &word.from);
        }
        if known {
            let line = as_code(&line).into_owned();
            return self.text(&line, span);
        }
        self.flows_to_code(from, span);
        // `eval "$(ssh-agent -s)"`: known programs print assignments.
        self.opaque("opaque.code", span);
        self.half_known(&line, span)
    }

    pub(super) fn half_known(&mut self, line: &str, span: Span) -> Data {
        if line.chars().all(|char| char == UNKNOWN || char.is_whitespace()) {
            return Data::default();
        }
        let line = line.replace(UNKNOWN, "\"$SGW_UNKNOWN\"");
        let line = as_code(&line).into_owned();
        self.text(&line, span)
    }

    fn code_of(&mut self, field: Option<&Field>, span: Span) {
        let Some(field) = field else { return };
        if matches!(field.text.as_str(), "" | "-") {
            return;
        }
        match field.is_known() {
            true => {
                let text = as_code(&field.text).into_owned();
                self.unsure += 1;
                self.text(&text, span);
                self.unsure -= 1;
            }
            false => {
                self.flows_to_code(field.from.clone(), span);
                self.opaque("opaque.code", span);
            }
        }
    }

    fn arithmetic(&mut self, field: &Field) {
        if let Some((_, subscript)) = field.text.split_once('[') {
            self.sum_assigns(&Field { text: subscript.to_owned(), ..field.clone() });
        }
        if field.text.contains("$(") || field.text.contains('`') {
            self.opaque("opaque.arithmetic", field.span);
        }
    }
}

/// `printf -v` prints into a variable what it would print.
fn name_of_printf(_: &str) -> &'static str {
    "printf"
}
