//! What the guard knows of a program: its flags, what it runs, reads and writes. Data, not code.

use std::collections::HashSet;

use serde::Deserialize;

use crate::domain::guard::{
    field::{Field, HOME, UNKNOWN},
    resolve::Arguments,
};

/// How another command stands among a program's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inner {
    None,
    /// The words that follow are the command.
    Argv,
    /// They are joined, and a shell reads them anew (`ssh`, `watch`).
    Line,
    /// Words of standard input go behind them (`xargs`).
    Items,
    /// Between `-exec` and `;` (`find`).
    Exec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProgramPart {
    pub also: Vec<String>,
    value_flags: Vec<String>,
    attached_flags: Vec<String>,
    module_flag: Option<String>,
    code_modules: Vec<String>,
    long_single: bool,
    plus_flags: bool,
    no_flags: bool,
    inner: Option<Inner>,
    inner_verbs: Vec<String>,
    skip_operands: usize,
    assignments: bool,
    after_dashes: bool,
    bare_shell: bool,
    context: Option<String>,
    split_flags: Vec<String>,
    item_flags: Vec<String>,
    language: Option<String>,
    code_flags: Vec<String>,
    code_prefixes: Vec<String>,
    code_operand: Option<usize>,
    code_verbs: Vec<String>,
    shell_flags: Vec<String>,
    shell_prefixes: Vec<String>,
    stdin_code: bool,
    stdin_escapes: bool,
    /// Without operands it takes its own commands from standard input, a line each.
    #[serde(default)]
    stdin_lines: bool,
    script: bool,
    script_flags: Vec<String>,
    run_after: Vec<String>,
    mount_flags: Vec<String>,
    directory_flags: Vec<String>,
    reads: Option<Vec<String>>,
    writes: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Program {
    value_flags: HashSet<String>,
    /// Letters whose value, if there is one, stands in the same word (`-pSECRET`).
    attached_flags: Vec<String>,
    /// The flag that names a program of the language's own in the place of a script (`-m json.tool`), and those that
    /// run what they are given all the same.
    pub module_flag: Option<String>,
    pub code_modules: Vec<String>,
    pub long_single: bool,
    pub plus_flags: bool,
    pub no_flags: bool,
    pub inner: Option<Inner>,
    pub inner_verbs: Vec<String>,
    pub skip_operands: usize,
    pub assignments: bool,
    pub after_dashes: bool,
    /// Without a command it is a shell that reads standard input.
    pub bare_shell: bool,
    pub context: Option<String>,
    pub split_flags: Vec<String>,
    pub item_flags: Vec<String>,
    pub language: Option<String>,
    /// Flags, and beginnings of words, whose value is code, each with its language.
    pub code_flags: Vec<(String, String)>,
    pub code_prefixes: Vec<(String, String)>,
    pub code_operand: Option<usize>,
    /// Verbs behind which code stands.
    pub code_verbs: Vec<String>,
    pub stdin_code: bool,
    /// Lines of its standard input that begin with `!` are shell lines.
    pub stdin_escapes: bool,
    pub stdin_lines: bool,
    pub script: bool,
    /// Flags whose value is a file of code.
    pub script_flags: Vec<String>,
    /// Verbs behind which a shell line stands.
    pub run_after: Vec<String>,
    /// Flags whose value `FROM:TO` lets a directory of the machine be seen elsewhere inside.
    pub mount_flags: Vec<String>,
    /// Flags whose value is the directory in which its operands stand.
    directory_flags: Vec<String>,
    reads: Option<Vec<Selector>>,
    writes: Vec<Selector>,
}

/// Which words are files.
#[derive(Clone, Debug)]
enum Selector {
    Operands,
    First,
    Last,
    AllButFirst,
    AllButLast,
    /// The value of a flag.
    Flag(String),
    /// What stands behind a beginning (`of=`).
    Prefix(String),
    /// The last names of the addresses that are fetched; with a flag, if it is given.
    Fetched(Option<String>),
    /// Only with a flag, or only without it.
    When {
        flag: String,
        given: bool,
        then: Box<Self>,
    },
}

impl Selector {
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "none" => return None,
            "operands" => Self::Operands,
            "first" => Self::First,
            "last" => Self::Last,
            "all-but-first" => Self::AllButFirst,
            "all-but-last" => Self::AllButLast,
            "fetched" => Self::Fetched(None),
            text if text.starts_with("fetched:") => {
                Self::Fetched(Some(text["fetched:".len()..].to_owned()))
            }
            flag if flag.starts_with('-') => Self::Flag(flag.to_owned()),
            text if text.contains(":-") || text.contains(":!-") => {
                let (then, flag) = text.split_once(':')?;
                let given = !flag.starts_with('!');
                let flag = flag.trim_start_matches('!').to_owned();
                Self::When { flag, given, then: Box::new(Self::read(then)?) }
            }
            prefix => Self::Prefix(prefix.to_owned()),
        })
    }

    fn pick<'a>(&self, argv: &'a [Field], arguments: &'a Arguments, into: &mut Vec<Field>) {
        let operands = &arguments.operands;
        match self {
            Self::Operands => into.extend(operands.iter().cloned()),
            Self::First => into.extend(operands.first().cloned()),
            Self::Last => into.extend(operands.last().filter(|_| operands.len() > 1).cloned()),
            Self::AllButFirst => into.extend(operands.iter().skip(1).cloned()),
            Self::AllButLast => {
                into.extend(operands.iter().take(operands.len().saturating_sub(1)).cloned())
            }
            Self::Flag(flag) => {
                let given = arguments.flags.iter().filter(|given| given.is(flag));
                into.extend(given.filter_map(|given| given.value.clone()));
            }
            Self::Fetched(flag) => {
                if flag.as_ref().is_some_and(|flag| !arguments.has(flag)) {
                    return;
                }
                let names = operands.iter().filter_map(|field| {
                    let address = field.text.split(['?', '#']).next().unwrap_or_default();
                    let (_, name) = address.rsplit_once('/')?;
                    (!name.is_empty()).then(|| Field { text: name.to_owned(), ..field.clone() })
                });
                into.extend(names);
            }
            Self::When { flag, given, then } if arguments.has(flag) == *given => {
                then.pick(argv, arguments, into);
            }
            Self::When { .. } => {}
            Self::Prefix(prefix) => {
                let rest = argv.iter().filter_map(|field| {
                    let text = field.text.strip_prefix(prefix.as_str())?;
                    Some(Field { text: text.to_owned(), ..field.clone() })
                });
                into.extend(rest);
            }
        }
    }
}

impl Program {
    pub fn new(part: ProgramPart, wraps: bool) -> Self {
        let language = part.language.clone().unwrap_or_else(|| "sh".to_owned());
        let code = |list: Vec<String>, language: &str| {
            list.into_iter().map(|text| (text, language.to_owned())).collect::<Vec<_>>()
        };
        let mut code_flags = code(part.code_flags, &language);
        code_flags.extend(code(part.shell_flags, "sh"));
        let mut code_prefixes = code(part.code_prefixes, &language);
        code_prefixes.extend(code(part.shell_prefixes, "sh"));
        let mut value_flags: HashSet<String> = part.value_flags.into_iter().collect();
        value_flags.extend(code_flags.iter().map(|(flag, _)| flag.clone()));
        value_flags.extend(part.split_flags.iter().cloned());
        value_flags.extend(part.directory_flags.iter().cloned());
        value_flags.extend(part.module_flag.iter().cloned());
        value_flags.extend(part.script_flags.iter().cloned());
        let select = |list: &[String]| {
            list.iter().filter_map(|text| Selector::read(text)).collect::<Vec<_>>()
        };
        let writes = select(&part.writes);
        let reads = part.reads.map(|list| select(&list));
        for selector in writes.iter().chain(reads.iter().flatten()) {
            if let Selector::Flag(flag) = selector {
                value_flags.insert(flag.clone());
            }
        }
        Self {
            value_flags,
            attached_flags: part.attached_flags,
            module_flag: part.module_flag,
            code_modules: part.code_modules,
            long_single: part.long_single,
            plus_flags: part.plus_flags,
            no_flags: part.no_flags,
            inner: part.inner.or(wraps.then_some(Inner::Argv)),
            inner_verbs: part.inner_verbs,
            skip_operands: part.skip_operands,
            assignments: part.assignments,
            after_dashes: part.after_dashes,
            bare_shell: part.bare_shell,
            context: part.context,
            split_flags: part.split_flags,
            item_flags: part.item_flags,
            language: part.language,
            code_flags,
            code_prefixes,
            code_operand: part.code_operand,
            code_verbs: part.code_verbs,
            stdin_code: part.stdin_code,
            stdin_escapes: part.stdin_escapes,
            stdin_lines: part.stdin_lines,
            script: part.script,
            script_flags: part.script_flags,
            run_after: part.run_after,
            mount_flags: part.mount_flags,
            directory_flags: part.directory_flags,
            reads,
            writes,
        }
    }

    pub fn takes_value(&self, flag: &str) -> bool {
        self.value_flags.contains(flag)
    }

    pub fn attaches_value(&self, flag: &str) -> bool {
        self.attached_flags.iter().any(|known| known == flag)
    }

    /// Whether its own flags end at the first operand: what follows is another program's.
    pub fn stops(&self) -> bool {
        matches!(self.inner, Some(Inner::Argv | Inner::Line | Inner::Items))
            && self.inner_verbs.is_empty()
            || self.script
    }

    /// The files that it reads, and those that it writes. What it reads is what its words name, unless
    /// the policy says otherwise.
    pub fn files(&self, argv: &[Field], arguments: &Arguments) -> (Vec<Field>, Vec<Field>) {
        let mut reads = Vec::new();
        match &self.reads {
            Some(selectors) => selectors.iter().for_each(|s| s.pick(argv, arguments, &mut reads)),
            None if self.inner.is_some() => {}
            None => {
                for field in &arguments.operands {
                    candidates(field, &mut reads);
                }
                for field in arguments.flags.iter().filter_map(|flag| flag.value.as_ref()) {
                    candidates(field, &mut reads);
                }
                // `-f/etc/shadow`, with a flag that nobody declared.
                for field in argv.iter().skip(1).filter(|field| field.text.starts_with('-')) {
                    if let Some(at) = field.text.find(['/', HOME]).filter(|at| *at > 1) {
                        reads.push(Field { text: field.text[at..].to_owned(), ..field.clone() });
                    }
                }
            }
        }
        let mut writes = Vec::new();
        self.writes.iter().for_each(|s| s.pick(argv, arguments, &mut writes));
        for flag in &self.directory_flags {
            let Some(directory) = arguments.value(flag) else { continue };
            for field in reads.iter_mut().chain(&mut writes) {
                if !field.text.starts_with(['/', HOME, '-']) {
                    field.text = format!("{}/{}", directory.text, field.text);
                }
            }
        }
        (reads, writes)
    }
}

/// What in a word may be a path: the word, and what stands behind `=`, `@`, `:` and `file://`.
fn candidates(field: &Field, into: &mut Vec<Field>) {
    into.push(field.clone());
    let text = field.text.as_str();
    if !text.contains(['=', '@', ':', ',']) || !text.contains(['/', HOME, UNKNOWN]) {
        return;
    }
    for piece in text.split(['=', '@', ':', ',']).skip(1) {
        let piece = piece.strip_prefix("//").unwrap_or(piece);
        if piece.starts_with(['/', HOME]) {
            into.push(Field { text: piece.to_owned(), ..field.clone() });
        }
    }
}
