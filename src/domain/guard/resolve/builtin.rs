//! Builtins that change the shell itself, or run what they are given.

use super::{
    ARGUMENTS, Arguments, HERE, Variable, Walk,
    names::{is_integer, is_name},
    variables::Either,
};
use crate::domain::guard::{
    Shell,
    field::{Data, Field, Taken, UNKNOWN, as_code},
    syntax::Span,
};

/// Directories that are on every machine, and open to everybody.
const THERE: [&str; 8] = ["/", "/tmp", "/etc", "/usr", "/var", "/dev", "/bin", "/opt"];

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
            "cd" | "chdir" | "pushd" | "popd" => self.change_directory(name, arguments),
            "export" | "declare" | "typeset" | "local" | "readonly" | "nameref" | "integer" => {
                self.attributes(name, fields, span);
                let unsure = u32::from(!self.declares_surely(name, fields));
                self.unsure += unsure;
                self.declare(name, fields, span);
                self.unsure -= unsure;
            }
            "return" => self.may_return(),
            "unset" => {
                let names = operands.iter().filter(|_| !arguments.has("f"));
                for field in names.filter(|field| is_name(&field.text)) {
                    self.unset(&field.text);
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
                    self.gives(ARGUMENTS, rest.to_vec());
                }
            }
            "shift" => {
                let count = operands.first().map_or(Some(1), |field| field.text.parse().ok());
                match (self.value_of(ARGUMENTS), count) {
                    (Some(fields), Some(count)) => {
                        let rest = fields.get(count..).unwrap_or_default().to_vec();
                        _ = self.gives(ARGUMENTS, rest);
                    }
                    (Some(_), None) => self.variables.remove(ARGUMENTS),
                    (None, _) => {}
                }
            }
            "read" => self.read(operands, arguments, span),
            "mapfile" | "readarray" => {
                let stdin = self.stdin.clone();
                let lines =
                    stdin.text.map(|text| text.lines().map(|l| Field::new(l, span)).collect());
                let name = operands.last().map_or("MAPFILE", |field| field.text.as_str());
                let otherwise = ["d", "u", "s", "O", "n"].iter().any(|flag| arguments.has(flag));
                let lines: Option<Vec<Field>> = lines.filter(|_| !otherwise);
                let lines = lines.unwrap_or_else(|| vec![Field::new(UNKNOWN, span)]);
                let first = lines.first().cloned().unwrap_or_default();
                self.names(name, &first, span);
                let unsure = u32::from(otherwise || !self.has_bash());
                self.unsure += unsure;
                self.set(name, lines);
                self.unsure -= unsure;
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
                    let mark = self.variables.mark();
                    self.code_of(operands.first(), span);
                    // It may run at any time.
                    self.fixed.extend(self.variables.changed(&mark));
                    self.variables.keep(mark);
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
                        self.aliases.entry(name.to_owned()).or_default().push(value.shown());
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
                    self.aliases.entry(name.text.clone()).or_default().push(value);
                }
            }
            "printf" => {
                // `%n` gives a name how much was printed.
                if fields[1..].iter().any(|field| field.text.contains("%n")) {
                    fields[1..].iter().for_each(|field| self.names_unknown(&field.text, span));
                }
                let (name, words) = printed_into(fields)?;
                let mut printing = vec![fields[0].clone()];
                printing.extend_from_slice(words);
                let printed = self.output("printf", &printing, arguments);
                let value = match printed.text {
                    Some(text) => Field { from: printed.from, ..Field::new(text, span) },
                    None => self.unknown(printed.from),
                };
                self.names(&name, &value, span);
                let unsure = u32::from(!self.has_bash());
                self.unsure += unsure;
                self.set(&name, vec![value]);
                self.unsure -= unsure;
            }
            "complete" | "compgen" => {
                let command = arguments.value("C").or_else(|| arguments.value("F"));
                self.code_of(command, span);
                if let Some(words) = arguments.value("W") {
                    self.hides(words);
                }
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

    fn change_directory(&mut self, name: &str, arguments: &Arguments) {
        self.elsewhere = true;
        let operands = &arguments.operands;
        let here = self.cwd();
        let target = operands.first().map_or("\u{fdd4}", |field| field.text.as_str());
        let stacks = matches!(name, "pushd" | "popd");
        let known = |text: &str| {
            let hangs = !text.starts_with(['/', crate::domain::guard::field::HOME]);
            let number = stacks && (operands.is_empty() || text.starts_with(['+', '-']));
            name != "popd"
                && !number
                && !text.contains(UNKNOWN)
                && text != "-"
                && (!hangs || here.is_some())
        };
        let path = match known(target) {
            true => crate::domain::guard::paths::normal(target, here.as_deref()),
            false => UNKNOWN.to_string(),
        };
        let plain = ["P", "L"];
        let sure = (name == "cd" || name == "pushd" && self.has_bash())
            && operands.len() < 2
            && arguments
                .flags
                .iter()
                .all(|flag| name == "cd" && plain.contains(&flag.name.as_str()))
            && (THERE.contains(&path.as_str()) || target == "..");
        if self.variables.contains_key("PWD") {
            self.unset("PWD");
        }
        let before = self.variables.get(HERE).cloned();
        self.set_here(path);
        if !sure && before.is_some() {
            self.doubt = Variable::either(self.doubt.take(), before);
        }
    }

    fn set_here(&mut self, path: String) {
        let changed = self.gives(HERE, vec![Field::new(path, Span::default())]);
        self.assignments += usize::from(changed);
    }

    /// Whether the shell that runs is one that has what bash has.
    fn has_bash(&self) -> bool {
        let own = ["eval", ".", "source", "command", "builtin", "exec", "trap"];
        let mut around = self.chain.iter().rev().map(String::as_str);
        let nearest = around.find(|name| !name.contains('/') && !own.contains(name));
        match nearest {
            Some(name) => {
                matches!(name, "bash" | "rbash" | "zsh" | "ksh" | "mksh")
                    || self.functions.contains_key(name) && self.context.shell == Shell::Zsh
            }
            None => self.context.shell == Shell::Zsh,
        }
    }

    /// Whether a declaration gives its names what stands behind them in any shell that may read it.
    fn declares_surely(&self, name: &str, fields: &[Field]) -> bool {
        let letters = match name {
            "export" => "n",
            "readonly" => "aA",
            _ => "aAgilnrtuxI",
        };
        let flags = fields.iter().skip(1).filter(|field| field.text.starts_with(['-', '+']));
        let plain = flags.into_iter().all(|field| {
            field.text == "--" || field.text[1..].chars().all(|char| letters.contains(char))
        });
        plain
            && match name {
                "export" | "readonly" => true,
                "local" => !self.locals.is_empty(),
                "declare" | "typeset" => self.has_bash(),
                _ => false,
            }
    }

    fn declare(&mut self, name: &str, fields: &[Field], span: Span) {
        let mut env = Vec::new();
        let nameref = fields.iter().any(|field| {
            name != "export" && field.text.starts_with('-') && field.text.contains('n')
        });
        let words = || fields[1..].iter();
        let given = |letter: char| {
            words().any(|field| field.text.starts_with('-') && field.text.contains(letter))
        };
        let local = !matches!(name, "export" | "readonly") && !given('g');
        let fixes = name == "readonly" || given('r') && name != "export";
        for field in words() {
            let shown = field.shown();
            let (word, value) = match field.text.split_once('=') {
                Some((word, value)) => (as_code(word).into_owned(), Some(value)),
                None => (shown, None),
            };
            let base = word.trim_end_matches('+').split('[').next().unwrap_or_default();
            if !is_name(base) {
                continue;
            }
            if local {
                self.is_local(base, value.is_none());
            }
            if fixes && value.is_none() {
                self.fixed.insert(base.to_owned());
            }
            let Some(value) = value else { continue };
            let name = word.as_str();
            let name = name.trim_end_matches('+');
            let value = Field { text: value.to_owned(), ..field.clone() };
            self.declared(&value.text, span);
            let name = name.split('[').next().unwrap_or(name);
            if self.integers || is_integer(name) {
                self.sum(&value);
            }
            match nameref {
                true => self.set_unknown(name),
                false => self.set(name, vec![value.clone()]),
            }
            if fixes {
                self.fixed.insert(name.to_owned());
            }
            env.push((name.to_owned(), value));
        }
        if !env.is_empty() {
            self.judge_bare(&env, &super::Streams::default(), span);
        }
    }

    /// A name that a function has for itself from now on.
    fn is_local(&mut self, name: &str, bare: bool) {
        let before = self.variables.get(name).cloned();
        let Some(locals) = self.locals.last_mut() else { return };
        if !locals.iter().any(|(known, _)| known == name) {
            locals.push((name.to_owned(), before.clone()));
            // Some shells let it have the value that it had, others none.
            if bare && let Some(both) = Variable::either(before, None) {
                self.variables.insert(name.to_owned(), both);
            }
        }
    }

    /// `read`: the words of a known line, or each line by turns.
    fn read(&mut self, operands: &[Field], arguments: &Arguments, span: Span) {
        let stdin = self.stdin.clone();
        let array = arguments.value("a").map(|array| array.text.clone());
        let names: Vec<String> = match (&array, operands.is_empty()) {
            (Some(array), _) => vec![array.clone()],
            (None, true) => vec!["REPLY".to_owned()],
            (None, false) => operands.iter().map(|field| field.text.clone()).collect(),
        };
        // From another descriptor, or what another command left.
        let known = !arguments.has("u") && stdin.taken() != Taken::Bytes;
        let text = stdin.text.clone().filter(|_| !arguments.has("u"));
        if !known || text.is_none() {
            for name in &names {
                let unknown = self.unknown(stdin.from.clone());
                self.names(name, &unknown, Span::default());
                self.set(name, vec![unknown]);
            }
        }
        let Some(text) = text else { return };
        if text.is_empty() {
            names.iter().for_each(|name| self.names_unknown(name, Span::default()));
        }
        let separators = self.separators();
        let field = |text: String| Field { from: stdin.from.clone(), ..Field::new(text, span) };
        self.unsure += 1;
        for line in records(&text, arguments) {
            let words = pieces(&line, &separators, arguments.has("r"));
            if array.is_some() {
                let words: Vec<Field> = words.into_iter().map(field).collect();
                let first = words.first().cloned().unwrap_or_default();
                self.names(&names[0], &first, Span::default());
                self.set(&names[0], words);
                continue;
            }
            let mut words = words.into_iter();
            for (at, name) in names.iter().enumerate() {
                let value = match at + 1 == names.len() {
                    true => words.by_ref().collect::<Vec<_>>().join(" "),
                    false => words.next().unwrap_or_default(),
                };
                let value = field(value);
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
            let returns = self.returns.len();
            let data = self.text(&line, span);
            // Where no function runs it ends the text alone, if anything.
            if self.locals.is_empty() && self.returns.len() > returns {
                self.settle_returns(returns);
            }
            return data;
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

/// `printf -v NAME`: the name, and the words behind it.
fn printed_into(fields: &[Field]) -> Option<(String, &[Field])> {
    let flag = fields.get(1)?.text.strip_prefix("-v")?;
    Some(match flag.is_empty() {
        true => (fields.get(2)?.shown(), &fields[3..]),
        false => (as_code(flag).into_owned(), &fields[2..]),
    })
}

/// What `read` reads at once, by turns.
fn records(text: &str, arguments: &Arguments) -> Vec<String> {
    let joined = match arguments.has("r") {
        true => text.to_owned(),
        false => text.replace("\\\n", ""),
    };
    let end = arguments.value("d").map(|field| field.text.chars().next().unwrap_or('\0'));
    let mut records: Vec<String> =
        joined.split(end.unwrap_or('\n')).take(48).map(str::to_owned).collect();
    if records.len() > 1 && records.last().is_some_and(String::is_empty) {
        records.pop();
    }
    for flag in ["n", "N"] {
        if let Some(count) = arguments.value(flag).and_then(|field| field.text.parse().ok()) {
            let cut = |text: &String| text.chars().take(count).collect::<String>();
            let whole = [joined.clone()];
            let mut cuts: Vec<String> = records.iter().chain(&whole).map(cut).collect();
            records.append(&mut cuts);
        }
    }
    records
}

/// The words of a line; without `-r` a backslash takes the next letter as it is.
fn pieces(line: &str, separators: &str, raw: bool) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' if !raw => word.extend(chars.next()),
            char if separators.contains(char) => words.push(std::mem::take(&mut word)),
            char => word.push(char),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}
