//! Commands after which a terminal's keys or lines are other than what was typed.

/// What `stty` may be told: it shows, or changes what comes and not what keys mean.
const STTY: &[&str] = &[
    "-a",
    "--all",
    "-g",
    "--save",
    "size",
    "speed",
    "sane",
    "echo",
    "-echo",
    "icanon",
    "rows",
    "cols",
    "columns",
    "--help",
    "--version",
];
/// What gives keys, or words, another meaning at a prompt.
const BINDS: &[&str] =
    &["bind", "bindkey", "zle", "abbr", "fish_vi_key_bindings", "loadkeys", "inputrc", "history"];

/// What `trap` may catch without a word about Ctrl-C.
const TRAPS: &[&str] = &[
    "EXIT", "ERR", "DEBUG", "RETURN", "HUP", "TERM", "USR1", "USR2", "PIPE", "ALRM", "CHLD",
    "WINCH", "QUIT", "TSTP", "0", "1", "3", "15",
];

/// Whether keys mean something else afterwards.
pub fn rebinds(argv: &[String]) -> bool {
    let mut words = argv.iter().map(String::as_str);
    let program = words.next().map_or("", base);
    let number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    match program {
        "stty" => words.any(|word| !STTY.contains(&word) && !number(word)),
        "trap" => traps(words),
        "tset" | "reset" => words.any(|word| word.starts_with('-')),
        "env" => {
            words.any(|word| ["--ignore-s", "--block-s"].iter().any(|flag| word.starts_with(flag)))
        }
        // Alone it lists.
        "history" => words.any(|word| word.starts_with('-') && word != "-"),
        // Without a value they list, or show one.
        "alias" => {
            let named: Vec<&str> = words.filter(|word| !word.starts_with('-')).collect();
            named.len() > 1 || named.iter().any(|word| word.contains('='))
        }
        program => BINDS.contains(&program) && words.next().is_some(),
    }
}

/// Whether what was found says that lines behind it read otherwise, whatever a person says of it.
pub fn renames(rule: &str) -> bool {
    let rules = ["env.names", "env.charset", "opaque.names", "opaque.alias", "opaque.keyword"];
    rules.contains(&rule)
}

/// Whether Ctrl-C is caught, or left alone, or may be.
fn traps<'a>(words: impl Iterator<Item = &'a str>) -> bool {
    let words: Vec<&str> = words.filter(|word| *word != "--").collect();
    if words.iter().any(|word| ["-p", "-P", "-l"].contains(word)) {
        return false;
    }
    let signals = if words.len() > 1 { &words[1..] } else { &words[..] };
    signals.iter().any(|word| {
        let name = word.to_ascii_uppercase();
        !TRAPS.contains(&name.strip_prefix("SIG").unwrap_or(&name))
    })
}

/// Whether it takes a part of what is typed, so that the rest is another line than was sent.
pub fn takes_part(argv: &[String]) -> bool {
    let mut words = argv.iter().map(String::as_str);
    let flags = |letters: &'static str| {
        move |word: &str| word.starts_with('-') && word.contains(|one| letters.contains(one))
    };
    match words.next().map_or("", base) {
        "read" => words.any(flags("nNdtkq")),
        "sysread" => true,
        _ => false,
    }
}

/// The shell's line in what editors, pagers, debuggers and database clients are told: `!ls`, `:r !ls`,
/// `\\! ls`, `.shell ls`.
pub fn escape(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let behind_mark = || line.strip_prefix(':')?.split_once('!').map(|(_, code)| code);
    let named = || {
        let words = ["!", "\\!", ".shell ", ".system ", "shell ", "system ", "\\sh ", "|"];
        words.iter().find_map(|word| line.strip_prefix(word))
    };
    behind_mark().or_else(named)
}

fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn what_changes_keys_is_told_from_what_looks() {
        for line in [
            "stty eol x",
            "stty -F /dev/tty erase o",
            "/bin/stty raw",
            "stty -icanon",
            "bind -x x",
            "bindkey -s x y",
            "zle -N x",
            "abbr -a ls rm",
            "history -s rm",
            "trap x INT",
            "trap -- x EXIT sigint",
            "trap x 2",
            "trap INT",
            "trap x …",
            "tset -i x",
            "env --ignore-signal=INT bash",
            "alias l=rm",
            "alias l rm",
        ] {
            assert!(rebinds(&argv(line)), "{line}");
        }
        for line in [
            "stty",
            "stty -a",
            "stty size",
            "stty rows 24 cols 80",
            "stty -echo",
            "history 5",
            "bind",
            "ls bind",
            "trap",
            "trap -p INT",
            "trap x EXIT",
            "trap x SIGTERM 0",
            "reset",
            "env A=b bash",
            "alias",
            "alias -p",
            "alias l",
        ] {
            assert!(!rebinds(&argv(line)), "{line}");
        }
    }

    #[test]
    fn names_and_words_that_mean_something_else_are_told_by_what_was_found() {
        use crate::domain::guard::{Context, Policy, Shell, judge};
        let context = Context { interactive: true, shell: Shell::Posix, ..Context::default() };
        let found = |line: &str| judge(line.as_bytes(), &context, &Policy::built_in()).findings;
        let renamed = |line: &str| found(line).iter().any(|one| renames(&one.rule));
        for line in [
            "shopt -u interactive_comments",
            "unsetopt interactivecomments",
            "setopt no_interactive_comments",
            "set +o interactive-comments",
            "set -k",
            "histchars='@^#'",
            "BASH_CMDS[ls]=/bin/rm",
            "declare -n x=y",
            "typeset -l x",
            "export LC_ALL=zh_CN.GBK",
        ] {
            assert!(renamed(line), "{line}");
        }
        for line in ["ls", "set -e", "export LANG=C", "PS0='$(reboot)'", "declare x=y"] {
            assert!(!renamed(line), "{line}");
        }
    }

    #[test]
    fn what_takes_a_part_of_a_line_is_told_from_what_takes_lines() {
        for line in ["read -n 5 x", "read -rN1", "read -t1 x", "read -d x y"] {
            assert!(takes_part(&argv(line)), "{line}");
        }
        for line in ["read x", "read -r x", "read -p name: x", "head -c 5", "cat"] {
            assert!(!takes_part(&argv(line)), "{line}");
        }
    }
}
