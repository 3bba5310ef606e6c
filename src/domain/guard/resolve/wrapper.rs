//! Programs that run another: where its words begin, and what is put behind them.

use super::{Arguments, Code, Streams, Walk};
use crate::domain::guard::{
    field::{DEEP, Data, Field, STAR, UNKNOWN},
    policy::{Inner, Program},
    syntax::Span,
};

impl Walk<'_> {
    #[expect(clippy::too_many_arguments, reason = "the parts of a command, each from elsewhere")]
    pub(super) fn wrapped(
        &mut self,
        program: &Program,
        name: &str,
        fields: &[Field],
        arguments: &Arguments,
        env: &[(String, Field)],
        span: Span,
        has_code: bool,
    ) -> Data {
        match program.inner.unwrap_or(Inner::None) {
            Inner::Exec => return self.find_exec(fields, span),
            Inner::None if program.bare_shell && !has_code => return self.bare_shell(name, span),
            Inner::None => return Data::default(),
            Inner::Argv | Inner::Line | Inner::Items => {}
        }
        // `command -v` only tells where a program is.
        if name == "command" && (arguments.has("v") || arguments.has("V")) {
            return self.output("which", fields, arguments);
        }
        let mut env = env.to_vec();
        let first = match program.stops() {
            true => arguments.first_operand,
            false => Arguments::divide(fields, program, true).first_operand,
        };
        let mut words: &[Field] = fields.get(first..).unwrap_or_default();
        let mut skip = program.skip_operands;
        let mut verb = "";
        let mut skipped = None;
        // `docker run IMAGE`, but `docker ps`: only some verbs run what follows.
        if !program.inner_verbs.is_empty() {
            let is_verb = |field: &&Field| program.inner_verbs.contains(&field.text);
            let Some(at) = words.iter().take(3).position(|field| is_verb(&field)) else {
                return self.output(name, fields, arguments);
            };
            verb = words[at].text.as_str();
            // `toolbox enter NAME`.
            skip = skip.max(usize::from(verb == "enter"));
            let after = Arguments::divide(&words[at..], program, true);
            words = words.get(at + after.first_operand..).unwrap_or_default();
        }
        let mounted = mounts(program, arguments);
        let mut assigned = Vec::new();
        while let Some((first, rest)) = words.split_first() {
            if let Some((name, value)) = assignment(first).filter(|_| program.assignments) {
                env.push((name.clone(), Field { text: value, ..first.clone() }));
                assigned.push(env.last().cloned().unwrap_or_default());
            } else if skip > 0 {
                skip -= 1;
                skipped = Some(first);
            } else {
                break;
            }
            words = rest;
            // `kubectl exec POD -- CMD`.
            if words.first().is_some_and(|field| field.text == "--") {
                words = &words[1..];
                break;
            }
        }
        if let Some(at) =
            words.iter().position(|field| field.text == "--").filter(|_| program.after_dashes)
        {
            words = &words[at + 1..];
        }
        if !assigned.is_empty() {
            self.judge_bare(&assigned, &Streams::default(), span);
        }
        for flag in &program.split_flags {
            if let Some(value) = arguments.value(flag) {
                let mut line = value.shown();
                for word in words {
                    line.push(' ');
                    line.push_str(&word.quoted());
                }
                return self.text(&line, span);
            }
        }
        // `flock FILE -c CODE`: a flag behind the operands that were skipped.
        if let [flag, code, ..] = words
            && program.code_flags.iter().any(|(known, _)| *known == flag.text)
        {
            let text = code
                .is_known()
                .then(|| crate::domain::guard::field::as_code(&code.text).into_owned());
            let data = Data { text, from: code.from.clone(), ..Data::default() };
            self.run_code(&Code { language: "sh".to_owned(), data, input: false }, span, None);
            return Data::default();
        }
        // A flag that nobody declared may have taken the word before: what follows may be the command.
        let undeclared = arguments.flags.iter().any(|flag| flag.value.is_none());
        if let [first, rest @ ..] = words
            && undeclared
            && !rest.is_empty()
            && !self.policy.knows(super::invoke::file_name(&first.text))
        {
            self.nested(rest, &env, span);
        }
        let outside: Vec<Field>;
        if !mounted.is_empty() {
            outside = words.iter().map(|word| seen_from_outside(word, &mounted)).collect();
            words = &outside;
        }
        // `uv run -`, `uv run x.py`.
        if name == "uv"
            && let [first, ..] = words
            && (first.text == "-" || first.text.ends_with(".py"))
        {
            let python = [Field::new("python3", span)];
            let fields: Vec<Field> = python.into_iter().chain(words.to_vec()).collect();
            return self.nested(&fields, &env, span);
        }
        // What an image runs by itself nobody knows; of a bare system's it is a shell.
        if words.is_empty()
            && matches!(verb, "run" | "create")
            && skipped.is_none_or(|image| !has_shell(&image.text))
        {
            if let Some(text) = self.stdin.text.clone() {
                let outer = std::mem::take(&mut self.stdin);
                self.quiet_text(&text, span);
                self.stdin = outer;
            }
            return self.output(name, fields, arguments);
        }
        if words.is_empty() {
            return match program.bare_shell && !has_code && !arguments.has("c") {
                true => self.bare_shell(name, span),
                // `env` alone tells the environment.
                false => self.output(name, fields, arguments),
            };
        }
        match program.inner.unwrap_or(Inner::None) {
            Inner::Line => {
                // Its words are joined, and a shell reads them anew.
                let words: Vec<Field> = words.to_vec();
                match words.iter().all(Field::is_known) {
                    true => {
                        let line = words.iter().map(Field::shown).collect::<Vec<_>>().join(" ");
                        self.text(&line, span)
                    }
                    false => self.half_known_line(&words, span),
                }
            }
            Inner::Items => self.items(program, words, arguments, span),
            _ => self.nested(words, &env, span),
        }
    }

    /// A shell that reads its commands from standard input.
    fn bare_shell(&mut self, name: &str, span: Span) -> Data {
        let data = self.stdin.clone();
        if data.text.as_deref() == Some("") {
            let _ = name;
            return Data::known("");
        }
        self.run_code(&Code { language: "sh".to_owned(), data, input: true }, span, None);
        Data::default()
    }

    /// A joined line with unknown parts: what is known is judged with the rest left open.
    fn half_known_line(&mut self, words: &[Field], span: Span) -> Data {
        let line: String = words
            .iter()
            .map(|word| word.text.replace(UNKNOWN, "\"$SGW_UNKNOWN\""))
            .collect::<Vec<_>>()
            .join(" ");
        let line = crate::domain::guard::field::as_code(&line).into_owned();
        self.text(&line, span)
    }

    /// `xargs`, `parallel`: words of standard input go behind the command, or in the place of a mark.
    fn items(
        &mut self,
        program: &Program,
        words: &[Field],
        arguments: &Arguments,
        span: Span,
    ) -> Data {
        let data = match arguments.value("a").or_else(|| arguments.value("arg-file")) {
            Some(file) => self.content(file),
            None => self.stdin.clone(),
        };
        // `parallel ::: A B` runs its arguments.
        if let [first, lines @ ..] = words
            && first.text == ":::"
        {
            for line in lines {
                self.half_known(&line.text, span);
            }
            return Data::default();
        }
        let separators: &[char] = if arguments.has("0") || arguments.has("null") {
            &['\0']
        } else if arguments.has("I") || arguments.has("L") || arguments.has("d") {
            &['\n', '\0']
        } else {
            &['\n', ' ', '\t', '\0']
        };
        let items: Vec<Field> = match &data.text {
            Some(text) => text
                .split(separators)
                .filter(|item| !item.is_empty())
                .take(64)
                .map(|item| Field { from: data.from.clone(), ..Field::new(unquoted(item), span) })
                .collect(),
            None => {
                let maybe = data.names.iter().cloned().chain([UNKNOWN.to_string()]);
                maybe
                    .map(|name| Field { from: data.from.clone(), ..Field::new(name, span) })
                    .collect()
            }
        };
        let mark = program.item_flags.iter().find_map(|flag| {
            let given = arguments.flags.iter().find(|given| given.is(flag))?;
            Some(given.value.as_ref().map_or("{}".to_owned(), |value| value.text.clone()))
        });
        let mark = mark
            .or_else(|| words.iter().any(|word| word.text.contains("{}")).then(|| "{}".to_owned()));
        let mut all = words.to_vec();
        match mark {
            Some(mark) if words.iter().any(|word| word.text.contains(&mark)) => {
                let mut last = Data::default();
                for item in items.iter().take(8) {
                    let replaced = words.iter().map(|word| {
                        let mut word = word.clone();
                        if word.text.contains(&mark) {
                            word.text = word.text.replace(&mark, &item.text);
                            word.from.extend(item.from.iter().cloned());
                        }
                        word
                    });
                    let replaced: Vec<Field> = replaced.collect();
                    last = self.nested(&replaced, &[], span);
                }
                last
            }
            _ => {
                all.extend(items);
                self.nested(&all, &[], span)
            }
        }
    }

    /// `find … -exec … ;`: with the places where it looks.
    fn find_exec(&mut self, fields: &[Field], span: Span) -> Data {
        let starts: Vec<&Field> = fields[1..]
            .iter()
            .skip_while(|field| matches!(field.text.as_str(), "-L" | "-H" | "-P"))
            .take_while(|field| !field.text.starts_with(['-', '(', '!']))
            .collect();
        let here = Field::new(".", span);
        let starts = if starts.is_empty() { vec![&here] } else { starts };
        let narrows = fields.iter().any(|field| {
            let narrowing = [
                "-name", "-iname", "-path", "-regex", "-mtime", "-mmin", "-size", "-user",
                "-newer", "-empty", "-perm", "-atime", "-ctime",
            ];
            narrowing.contains(&field.text.as_str())
        });
        let typed = fields.iter().any(|field| matches!(field.text.as_str(), "-type" | "-maxdepth"));
        // What it finds has this name; unless `-o` or `!` stands there, too.
        let named =
            fields.windows(2).find(|pair| matches!(pair[0].text.as_str(), "-name" | "-iname"));
        let named = named.map(|pair| crate::domain::guard::field::with_globs(&pair[1].text));
        let named = named.filter(|_| {
            !fields.iter().any(|f| matches!(f.text.as_str(), "-o" | "-or" | "!" | "-not" | ","))
        });
        let mut at = 0;
        while let Some(field) = fields.get(at) {
            at += 1;
            if !matches!(
                field.text.as_str(),
                "-exec" | "-execdir" | "-ok" | "-okdir" | "-x" | "-X" | "--exec" | "--exec-batch"
            ) {
                continue;
            }
            let ends = |field: &Field| matches!(field.text.as_str(), ";" | "+");
            let end = fields[at..].iter().position(ends).map_or(fields.len(), |end| at + end);
            let inner = &fields[at..end];
            // fd puts what it finds behind the command.
            let marked = inner.iter().any(|word| word.text.contains("{}"))
                || field.text.contains("exec")
                || field.text == "-ok";
            for start in &starts {
                let found = match &named {
                    Some(name) => format!("{}/{DEEP}/{name}", start.text),
                    // Wherever below scratch it lies, nobody keeps it.
                    None if self.policy.is_scratch(&format!("{}/x", self.path(&start.text))) => {
                        format!("{}/{STAR}", start.text)
                    }
                    None if narrows || typed => format!("{}/{UNKNOWN}", start.text),
                    None => start.text.clone(),
                };
                let words = inner
                    .iter()
                    .map(|word| Field { text: word.text.replace("{}", &found), ..word.clone() });
                let behind = (!marked).then(|| Field::new(found.as_str(), span));
                let words: Vec<Field> = words.chain(behind).collect();
                self.nested(&words, &[], span);
                // Whoever deletes all that stands below a place deletes the place.
                if named.is_none() && !narrows && inner.first().is_some_and(deletes) {
                    let words = ["rm", "-r", start.text.as_str()].map(|w| Field::new(w, span));
                    self.nested(&words, &[], span);
                }
            }
            at = end;
        }
        let names = match named {
            Some(name) => {
                starts.iter().take(8).map(|s| format!("{}/{DEEP}/{name}", s.text)).collect()
            }
            None => Vec::new(),
        };
        Data { names, ..Data::unknown(vec!["find".into()]) }
    }
}

/// `NAME=value` among a wrapper's words.
/// Whether a program is one that deletes the files that it is given.
fn deletes(program: &Field) -> bool {
    let name = super::invoke::file_name(&program.text);
    matches!(name, "rm" | "grm" | "srm" | "unlink" | "shred" | "wipe" | "rimraf")
}

/// Whether an image of this name runs a shell where it is told nothing else.
fn has_shell(image: &str) -> bool {
    let name = super::invoke::file_name(image);
    let name = name.split([':', '@']).next().unwrap_or_default();
    matches!(
        name,
        "alpine"
            | "ubuntu"
            | "debian"
            | "busybox"
            | "bash"
            | "fedora"
            | "centos"
            | "rockylinux"
            | "almalinux"
            | "amazonlinux"
            | "archlinux"
            | "oraclelinux"
            | "ubi8"
            | "ubi9"
            | "leap"
            | "tumbleweed"
            | "kali-rolling"
            | "toybox"
            | "buildpack-deps"
    )
}

fn assignment(field: &Field) -> Option<(String, String)> {
    let (name, value) = field.text.split_once('=')?;
    let valid =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    valid.then(|| (name.to_owned(), value.to_owned()))
}

fn unquoted(item: &str) -> String {
    item.replace(['\'', '"'], "")
}

/// Directories of the machine that a container sees, with the names that they have inside.
fn mounts(program: &Program, arguments: &Arguments) -> Vec<(String, String)> {
    let given = program.mount_flags.iter().flat_map(|flag| {
        arguments
            .flags
            .iter()
            .filter(move |given| given.is(flag))
            .filter_map(|given| given.value.as_ref())
    });
    let pairs = given.filter_map(|value| {
        let (from, to) = value.text.split_once(':')?;
        let to = to.split(':').next().unwrap_or_default().trim_end_matches('/');
        (from.starts_with('/') && !to.is_empty())
            .then(|| (from.trim_end_matches('/').to_owned(), to.to_owned()))
    });
    pairs.collect()
}

/// A word of a container as the machine would name the same file.
fn seen_from_outside(word: &Field, mounted: &[(String, String)]) -> Field {
    let found = mounted.iter().find_map(|(from, to)| {
        let rest = word
            .text
            .strip_prefix(to.as_str())
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        Some(if from.is_empty() && rest.is_empty() {
            "/".to_owned()
        } else {
            format!("{from}{rest}")
        })
    });
    Field { text: found.unwrap_or_else(|| word.text.clone()), ..word.clone() }
}
