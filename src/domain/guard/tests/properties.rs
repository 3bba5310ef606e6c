//! What must hold of every line, whatever it is.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{corpus::lines, *};

/// Lines of the corpora that are one command without state: what stands beside them changes nothing in them.
fn plain(decisions: &[Decision]) -> Vec<String> {
    let state = [
        "cd ",
        "pushd",
        "=",
        "set ",
        "read",
        "alias",
        "trap",
        "()",
        "function",
        "export",
        "unset",
        "exec ",
        "shift",
        "#",
        "<<",
        "\n",
        "${",
        "exit",
        "return",
        "mapfile",
        "printf -v",
        "$_",
    ];
    let all = lines().into_iter().filter(|line| decisions.contains(&line.expected));
    let all = all
        .map(|line| line.command)
        .filter(|line| !line.ends_with('&') && !state.iter().any(|sign| line.contains(sign)));
    let clean = |line: &String| {
        let rule = verdict(line).rule;
        !rule.is_some_and(|rule| rule.starts_with("line."))
    };
    all.filter(clean).collect()
}

fn dangerous() -> Vec<String> {
    plain(&[Decision::Approve, Decision::Block])
}

fn benign() -> Vec<String> {
    plain(&[Decision::Allow])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_benign_part_never_weakens_a_line(line in select(dangerous()), part in select(benign()), form in 0..8) {
        let whole = match form {
            0 => format!("{part}; {line}"),
            1 => format!("{line}\n{part}"),
            2 => format!("{part} && {line}"),
            3 => format!("{{ {part}; {line}\n}}"),
            4 => format!("({part}); ({line})"),
            5 => format!("if {part}; then {line}; fi"),
            6 => format!("for i in 1 2; do {part}; {line}; done"),
            _ => format!("{part} & {line}"),
        };
        prop_assert!(verdict(&whole).decision >= verdict(&line).decision, "{whole}");
    }

    #[test]
    fn a_line_is_never_weaker_than_what_runs_in_it(line in select(dangerous()), form in 0..9) {
        let quoted = format!("'{}'", line.replace('\'', "'\\''"));
        let whole = match form {
            // The blank: `$((` would be a sum.
            0 => format!("echo \"$( {line})\""),
            1 => format!("sh -c {quoted}"),
            2 => format!("eval {quoted}"),
            3 => format!("bash <<< {quoted}"),
            4 => format!("cat <(\n{line}\n)"),
            5 => format!("f() {{ {line}\n}}; f"),
            6 => format!("ssh web1 {quoted}"),
            7 => format!("trap {quoted} EXIT"),
            _ => format!("while true; do {line}; done"),
        };
        prop_assert!(verdict(&whole).decision >= verdict(&line).decision, "{whole}");
    }

    #[test]
    fn quoting_a_word_otherwise_changes_nothing(line in select(quotable()), forms in vec(0..7usize, 1..6)) {
        let words = line.split(' ').enumerate();
        let words = words.map(|(at, word)| requoted(word, forms[at % forms.len()]));
        let whole = words.collect::<Vec<_>>().join(" ");
        let (before, after) = (verdict(&line), verdict(&whole));
        prop_assert_eq!((before.decision, before.rule), (after.decision, after.rule), "{}", whole);
    }

    #[test]
    fn no_bytes_end_the_judge(bytes in vec(any::<u8>(), 0..200)) {
        let _ = judge(&bytes, &Context::default(), &Policy::built_in());
    }

    #[test]
    fn no_shell_like_text_ends_the_judge(pieces in vec(select(PIECES.to_vec()), 0..60)) {
        let _ = verdict(&pieces.concat());
    }
}

/// Lines of simple words, whose quoting is nobody's business.
fn quotable() -> Vec<String> {
    let simple = |char: char| {
        char.is_ascii_alphanumeric() || matches!(char, '/' | '.' | '-' | ' ' | '_' | ':')
    };
    let all = lines().into_iter().map(|line| line.command);
    let keyword = |line: &String| {
        ["time", "if", "for", "while", "coproc"].iter().any(|word| line.starts_with(word))
    };
    all.filter(|line| {
        line.chars().all(simple) && !line.starts_with(' ') && !line.contains("  ") && !keyword(line)
    })
    .collect()
}

fn requoted(word: &str, form: usize) -> String {
    match form {
        0 => word.to_owned(),
        1 => format!("'{word}'"),
        2 => format!("\"{word}\""),
        3 => format!("$'{word}'"),
        4 => word.chars().map(|char| format!("\\{char}")).collect(),
        5 => format!("\"\"{word}''"),
        _ => {
            let (a, b) = word.split_at(word.len() / 2);
            format!("'{a}'\"{b}\"")
        }
    }
}

const PIECES: [&str; 60] = [
    "(", ")", "{", "}", "$(", "${", "$((", "))", "`", "'", "\"", "\\", "\n", " ", ";", "&", "|",
    "<", ">", "<<E\n", "E\n", "<<<", "$", "#", "=", "[", "]", "[[", "]]", "*", "?", "~", "!", "@",
    "%", "^", ",", ":", "/", "-", "rm", "if", "then", "fi", "for", "in", "do", "done", "case",
    "esac", "function", "x", "1", "eval", "sh -c ", "x=", "é", "\u{200b}", "${x/", "..",
];

#[test]
fn the_longest_lines_end() {
    let long = [
        "(",
        "$(",
        "a;b|",
        "{a,b}",
        "$((",
        "`",
        "<<E\n",
        "'",
        "\"$(",
        "x=$x$x;",
        "${x:-",
        "*",
        "case x in ",
        "! ",
        "[[ ",
        "((",
        "a[",
        "f(){ ",
        "eval ",
        "sh -c ' ",
        "for i in 1 2;do ",
        "&",
        "\\\n",
        "{1..99}",
        "$'",
        "<(",
        "ls;",
        "rm x;",
    ];
    for piece in long {
        let _ = verdict(&piece.repeat(60_000 / piece.len()));
    }
}
