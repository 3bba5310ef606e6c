//! One-liners of interpreters, looked at without running them: what they name, and texts that may be commands.

mod words;

use words::{HARMLESS, WORDS};

/// What a text in a programming language may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Starts processes.
    Process,
    /// Writes, moves or changes files.
    Write,
    /// Deletes files.
    Delete,
    /// Speaks to the network.
    Socket,
    /// Runs text as code.
    Eval,
    /// Sends signals, or ends the machine.
    Signal,
    /// A socket together with a shell or its descriptors.
    ReverseShell,
    /// Runs what comes over the network.
    RemoteCode,
    /// Forks without end.
    ForkBomb,
    /// Nothing at all: for exceptions that never hold.
    None,
}

/// Whether a text names something of a class. Words are read whole: `evaluate` is not `eval`.
pub fn names(text: &str, class: Class, language: &str) -> bool {
    names_any(text, &[class], language)
}

/// Whether a text names something of one of the classes.
pub fn names_any(text: &str, classes: &[Class], language: &str) -> bool {
    let mut data = None;
    classes.iter().any(|class| match class {
        Class::ReverseShell => reverse_shell(text, language),
        Class::ForkBomb => fork_bomb(text),
        Class::RemoteCode => remote_code(text, language),
        class => named(text, data.get_or_insert_with(|| without_data(text)), *class, language),
    })
}

/// The code without what stands in quotes, and without what is harmless.
fn without_data(text: &str) -> String {
    let mut data = blank_strings(text);
    for harmless in HARMLESS {
        if data.contains(harmless) {
            data = data.replace(harmless, " ");
        }
    }
    data
}

fn named(text: &str, data: &str, class: Class, language: &str) -> bool {
    let Some((_, words)) = WORDS.iter().find(|(of, _)| *of == class) else { return false };
    let named = match language {
        // Little languages of their own, whose words are others.
        "awk" | "sed" | "vim" | "ed" => false,
        _ => words.iter().any(|known| stands(data, text, known)),
    };
    named || by_sign(data, text, class, language) || called_by_name(text, class, language)
}

/// php runs functions by their names in quotes.
fn called_by_name(text: &str, class: Class, language: &str) -> bool {
    let names: &[&str] = match class {
        Class::Process => &["system", "exec", "passthru", "shell_exec", "popen", "proc_open"],
        Class::Delete => &["unlink", "rmdir"],
        Class::Eval => &["assert", "eval", "create_function"],
        _ => return false,
    };
    language == "php"
        && ["array_map", "call_user_func", "array_walk", "usort", "array_filter", ")("]
            .iter()
            .any(|word| text.contains(word))
        && strings(text).iter().any(|string| names.contains(&string.as_str()))
}

fn reverse_shell(text: &str, language: &str) -> bool {
    let shell = [
        "/bin/sh",
        "/bin/bash",
        "bash -i",
        "sh -i",
        "/bin/zsh",
        "/bin/dash",
        "\"sh\"",
        "'sh'",
        "\"bash\"",
        "'bash'",
        "cmd.exe",
    ];
    let speaks = names(text, Class::Socket, language)
        || text.contains("/inet/tcp")
        || text.contains("/dev/tcp");
    let connected = text.contains("dup2")
        || text.contains("fileno")
        || text.contains(">&")
        || text.contains("STDIN");
    speaks
        && (shell.iter().any(|shell| text.contains(shell))
            || language == "tcl" && text.contains("exec")
            || language == "ruby" && text.contains("gets") && text.contains("popen")
            || connected && names(text, Class::Process, language))
        || text.contains("/inet/tcp") && (text.contains("getline") || text.contains("|&"))
}

/// It fetches, and runs a text as code: words that only decode don't count.
fn remote_code(text: &str, language: &str) -> bool {
    let runs =
        ["eval", "exec", "instance_eval", "loadstring", "load", "runInThisContext", "source"];
    let fetches = ["http://", "https://"].iter().any(|start| text.contains(start));
    if !fetches && !names(text, Class::Socket, language) {
        return false;
    }
    let data = blank_strings(text);
    runs.iter().any(|word| {
        let calls = [format!("{word}("), format!("{word} "), format!("({word})")];
        calls.iter().any(|call| data.contains(call.as_str()))
    })
}

fn fork_bomb(text: &str) -> bool {
    let endless = ["while", "loop", "for(;;)", "for (;;)", "forever", "until", "iter(int"];
    text.contains("fork")
        && !text.contains("waitpid")
        && endless.iter().any(|word| text.contains(word))
}

/// Whether a word stands in the code: whole, and called if it is short enough to be part of a pattern or a name.
fn stands(data: &str, text: &str, known: &str) -> bool {
    if known.contains(|char: char| !char.is_ascii_alphanumeric() && char != '_') {
        return data.contains(known) || known.contains(['"', '\'']) && text.contains(known);
    }
    let part_of_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    data.match_indices(known).any(|(at, _)| {
        let (before, after) = (&data[..at], &data[at + known.len()..]);
        let whole = !before.ends_with(part_of_word) && !after.starts_with(part_of_word);
        let called = known.len() > 6
            || after
                .trim_start()
                .starts_with(['(', '"', '\'', '$', '@', '`', '<', '{', '*', ';', '%'])
            || after.starts_with('.')
            || after.trim_start().is_empty()
            || before.ends_with(['.', ':', '{'])
            || before.trim_end().ends_with("import")
            || before.trim_end().ends_with(',')
            || before.trim_end().ends_with(';')
            || before.trim().is_empty();
        whole && called
    })
}

/// What is done without a word: `` `ls` `` in ruby and perl, `| "sh"` in awk, `open(…, "w")`, `>` in perl's open.
fn by_sign(data: &str, text: &str, class: Class, language: &str) -> bool {
    match class {
        Class::Process => match language {
            "ruby" | "perl" | "php" => {
                data.contains('`')
                    || text.contains("%x")
                    || text.contains("open(") && text.contains('|')
                    || language == "perl"
                        && ["run \"", "run '", "shell \"", "shell '"]
                            .iter()
                            .any(|word| text.contains(word))
            }
            "awk" => {
                data.replace("||", "").contains('|')
                    || data.contains("system(")
                    || data.contains("system (")
                    || text.contains("| getline")
                    || text.contains("|getline")
            }
            "sed" => sed_runs(text),
            "tcl" => data.contains("open") && text.contains("|"),
            "lua" => data.contains("os.execute"),
            "vim" => text.contains('!') || vim_runs(text),
            "ed" => text.contains('!'),
            "other" => {
                let leaves = text.contains("shell ") || text.trim_start().starts_with('!');
                leaves || OTHERS.iter().any(|word| text.contains(word))
            }
            _ => false,
        },
        Class::Socket => language == "tcl" && data.contains("socket "),
        Class::Write => {
            let modes = [
                "'w", "\"w", "'a'", "\"a\"", "'a+", "\"a+", "'x'", "\"x\"", "'r+", "\"r+", "\">",
                "'>", "'+<", "\"+<",
            ];
            let opens =
                ["open", "File.new", "fopen", "Path"].iter().any(|word| data.contains(word));
            match language {
                "awk" => awk_writes(data),
                "sed" => sed_writes(text),
                "vim" => data
                    .split([' ', '\t', '|'])
                    .any(|word| matches!(word, "w" | "wq" | "x" | "w!" | "saveas" | "write")),
                _ => opens && modes.iter().any(|mode| text.contains(mode)),
            }
        }
        _ => false,
    }
}

/// How languages that are seldom met start a process.
const OTHERS: [&str; 16] = [
    "system",
    "os:cmd",
    "run-program",
    "callCommand",
    "callProcess",
    "readProcess",
    "Sys.command",
    "Unix.",
    ".execute()",
    "sys.process",
    "shell(",
    "Process",
    "Runtime",
    "run(",
    "write18",
    "uiop:",
];

/// Vim's ways to a shell, and to languages that reach one.
fn vim_runs(text: &str) -> bool {
    let runs = [
        "shell", "sh", "py", "py3", "python", "python3", "pyx", "lua", "perl", "ruby", "rub",
        "tcl", "mz", "mzscheme", "terminal", "term", "ter", "call", "execute", "exe", "make",
        "source", "so", "luafile", "pyfile", "py3file", "rubyfile", "perldo", "pydo", "rubydo",
        "luado", "grep",
    ];
    let first = text.trim_start().trim_start_matches(':').trim_start();
    let word = first.split(|char: char| !char.is_ascii_alphanumeric()).next().unwrap_or_default();
    runs.contains(&word) || text.contains("system(") || first.starts_with("set shell")
}

/// A `>` behind `print` or `printf`, outside brackets: there it compares nothing.
fn awk_writes(data: &str) -> bool {
    data.match_indices("print").any(|(at, _)| {
        let mut depth = 0i32;
        for char in data[at..].chars() {
            match char {
                '(' | '[' => depth += 1,
                ')' | ']' => depth -= 1,
                ';' | '}' | '\n' => return false,
                '>' if depth <= 0 => return true,
                _ => {}
            }
        }
        false
    })
}

/// GNU sed's `e`, and the flag of `s///e`.
fn sed_runs(script: &str) -> bool {
    script.split([';', '\n', '{', '}']).any(|command| {
        let command = command
            .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ' ' | ',' | '$' | '!'));
        let bare = command
            .strip_prefix('/')
            .and_then(|rest| rest.rsplit_once('/'))
            .map_or(command, |(_, rest)| rest);
        let e = bare == "e" || bare.starts_with("e ");
        e || substitution_flags(command).is_some_and(|flags| flags.contains('e'))
    })
}

fn sed_writes(script: &str) -> bool {
    script.split([';', '\n', '{', '}']).any(|command| {
        let command = command
            .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ' ' | ',' | '$' | '!'));
        let bare = command
            .strip_prefix('/')
            .and_then(|rest| rest.rsplit_once('/'))
            .map_or(command, |(_, rest)| rest);
        bare.starts_with("w ")
            || bare.starts_with("W ")
            || substitution_flags(command).is_some_and(|flags| flags.contains('w'))
    })
}

/// The flags behind `s/a/b/`.
fn substitution_flags(command: &str) -> Option<&str> {
    let rest = command.strip_prefix('s')?;
    let separator = rest.chars().next().filter(|char| !char.is_alphanumeric() && *char != '\\')?;
    let mut parts = rest[separator.len_utf8()..].split(separator);
    let (_, _) = (parts.next()?, parts.next()?);
    let flags = parts.next()?;
    parts.next().is_none().then_some(flags)
}

/// The text with what stands in quotes blanked, so that a word in a message is none of the code's.
fn blank_strings(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (Some(_), '\\') => {
                chars.next();
                result.push(' ');
            }
            (Some(open), char) if char == open => {
                quote = None;
                result.push(char);
            }
            (Some(_), _) => result.push(' '),
            (None, '\'' | '"') => {
                quote = Some(char);
                result.push(char);
            }
            (None, char) => result.push(char),
        }
    }
    result
}

/// Texts between quotes, backquotes too.
fn strings(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if !matches!(char, '\'' | '"' | '`') {
            continue;
        }
        let mut string = String::new();
        let mut closed = false;
        while let Some(next) = chars.next() {
            match next {
                '\\' => match chars.next() {
                    Some('n') => string.push('\n'),
                    Some(next) => string.push(next),
                    None => {}
                },
                next if next == char => {
                    closed = true;
                    break;
                }
                next => string.push(next),
            }
        }
        if closed && !string.is_empty() && found.len() < 64 {
            found.push(string);
        }
    }
    found
}

/// Whether the code may run what its texts say.
pub fn may_run(text: &str, language: &str) -> bool {
    names_any(text, &[Class::Process, Class::Eval], language)
}

/// Texts in the code that may be shell lines: each string, neighbours joined as an argv is, and what
/// stands in brackets that quote (`qx{…}`, `exec reboot`).
pub fn commands(text: &str) -> Vec<String> {
    let strings = strings(text);
    let mut lines: Vec<String> =
        strings.iter().filter(|string| string.len() > 1).cloned().collect();
    if strings.len() > 1 {
        lines.push(strings.join(" "));
        lines.push(strings.concat());
        // `import os` and the like come first: the argv may begin at any string.
        for from in 1..strings.len().min(8) {
            lines.push(strings[from..].join(" "));
        }
    }
    for mark in ["qx", "%x", "exec ", "system ", "!", "shell ", "1e ", "e "] {
        if let Some(at) = text.find(mark) {
            let rest = text[at + mark.len()..].trim();
            lines.push(rest.to_owned());
            let bare = rest
                .trim_matches(|c: char| matches!(c, '{' | '}' | '(' | ')' | '[' | ']' | '|' | ' '));
            lines.push(bare.to_owned());
        }
    }
    lines
}

/// Paths in the code that are opened for writing, or are given to a word that writes or deletes.
pub fn written(text: &str) -> Vec<String> {
    let quoted = paths(text).filter(|path| is_written(text, path));
    // perl's `open(F, ">/x")`.
    let perl = strings(text).into_iter().filter_map(|string| {
        let path = string.strip_prefix('>')?.trim_start_matches('>').trim_start();
        path.starts_with('/').then(|| path.to_owned())
    });
    quoted.chain(perl).collect()
}

fn is_written(text: &str, path: &str) -> bool {
    let Some(at) = text.find(path) else { return false };
    let behind = text[at + path.len()..].trim_start_matches(['"', '\'', ' ']);
    let mode = behind.strip_prefix(',').map(|rest| rest.trim_start_matches([' ', '"', '\'']));
    let mode = mode.is_some_and(|rest| {
        ["w\"", "w'", "wb", "a\"", "a'", "ab", "x\"", "x'", "r+", "w+", "a+"]
            .iter()
            .any(|mode| rest.starts_with(mode))
    });
    let called = text[..at].trim_end_matches(['"', '\'', '(', ' ', '[']);
    let changes = [Class::Write, Class::Delete];
    mode || WORDS
        .iter()
        .filter(|(class, _)| changes.contains(class))
        .any(|(_, words)| words.iter().any(|word| called.ends_with(word)))
}

/// A word that may name a file beside the code: `.env`, `keys/server.pem`.
fn may_be_file(string: &str) -> bool {
    string.len() < 100
        && string.contains('.')
        && string.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
}

/// Texts in the code that are paths of one file.
pub fn paths(text: &str) -> impl Iterator<Item = String> {
    let bare =
        text.split_whitespace().filter(|word| word.starts_with('/')).take(16).map(str::to_owned);
    strings(text).into_iter().chain(bare.collect::<Vec<_>>()).filter_map(|string| {
        let rest = string.strip_prefix('~');
        match rest {
            Some(rest) if rest.starts_with('/') => Some(format!("{}{rest}", super::field::HOME)),
            _ => (string.starts_with('/') || may_be_file(&string)).then_some(string),
        }
    })
}
