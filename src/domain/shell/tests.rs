//! Quoting and wrapping, read by the shells themselves.

use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

use proptest::prelude::*;

use super::*;
use crate::domain::id::Kind;

const SHELLS: [&str; 5] = ["sh", "bash", "dash", "zsh", "fish"];

fn marker() -> Id {
    Id::from_number(Kind::Exec, 7)
}

fn run_in(shell: &str, locale: &str, home: &std::path::Path, command: &[u8]) -> Output {
    Command::new(shell)
        .arg("-c")
        .arg(std::ffi::OsStr::from_bytes(command))
        .current_dir(home)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", home)
        .env("LC_ALL", locale)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn run(shell: &str, command: &[u8]) -> Output {
    run_in(shell, "C.UTF-8", tempfile::tempdir().unwrap().path(), command)
}

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn wrapped(line: &str) -> Vec<u8> {
    wrap(&marker(), &[], None, line.as_bytes()).unwrap()
}

/// Bytes that shells have stumbled over, and all others.
fn word() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => prop::sample::select(b"'\\\"$`!*?[]{}()~#=%^&|;<> \t\n\r-\x01\x7f\x81\x88".to_vec()),
        2 => b'a'..=b'z',
        1 => 1u8..=255,
    ];
    let text = any::<String>().prop_map(|text| text.replace('\0', "0").into_bytes());
    prop_oneof![3 => prop::collection::vec(byte, 0..12), 1 => text]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_shell_reads_the_words_that_were_meant(
        args in prop::collection::vec(word(), 0..8),
        value in word(),
        locale in prop::sample::select(vec!["C", "C.UTF-8"]),
    ) {
        let home = tempfile::tempdir().unwrap();
        let mut argv = words(&["/usr/bin/printf", "%s\\0"]);
        argv.extend(args.iter().cloned());
        let env = [("A_1".to_owned(), value.clone()), ("_b".to_owned(), b"x".to_vec())];
        let printed = wrap(&marker(), &env, None, &line(&argv).unwrap()).unwrap();
        let environment = wrap(&marker(), &env, None, b"/usr/bin/env -0").unwrap();
        let expected: Vec<u8> = match args.is_empty() {
            true => vec![0],
            false => args.iter().flat_map(|arg| [&arg[..], b"\0"].concat()).collect(),
        };
        for shell in SHELLS {
            let output = run_in(shell, locale, home.path(), &printed);
            prop_assert_eq!(&output.stdout, &expected, "{} {:?}", shell, output);
            let output = run_in(shell, locale, home.path(), &environment);
            let variables: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
            for variable in [&[b"A_1=", &value[..]].concat()[..], b"_b=x", b"SGW_EXEC=x-"] {
                let held = variables.iter().any(|seen| match variable {
                    b"SGW_EXEC=x-" => seen.starts_with(variable),
                    _ => *seen == variable,
                });
                prop_assert!(held, "{} {:?} {:?}", shell, variable, output);
            }
        }
    }

    #[test]
    fn every_shell_goes_to_the_directory_that_was_meant(name in "[^\0/]{1,20}") {
        prop_assume!(name != "." && name != "..");
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(&name)).unwrap();
        std::fs::write(home.path().join(&name).join("here"), name.as_bytes()).unwrap();
        let absolute = home.path().join(&name);
        for cwd in [name.as_bytes(), absolute.as_os_str().as_bytes()] {
            let command = wrap(&marker(), &[], Some(cwd), b"cat here").unwrap();
            for shell in SHELLS {
                let output = run_in(shell, "C.UTF-8", home.path(), &command);
                prop_assert_eq!(&output.stdout[..], name.as_bytes(), "{} {:?}", shell, output);
            }
        }
    }
}

#[test]
fn plain_words_stay_plain_and_the_rest_is_quoted() {
    let quoted = |argv: &[&str]| String::from_utf8(quote_argv(&words(argv)).unwrap()).unwrap();
    assert_eq!(quoted(&["ls", "-l", "/etc/a.b"]), "ls -l /etc/a.b");
    assert_eq!(quoted(&["echo", "a b", "it's", "c:\\x", ""]), r"echo 'a b' 'it'\''s' 'c:'\\'x' ''");
    assert_eq!(quoted(&["A=b", "~", "if"]), "'A=b' '~' 'if'");
}

#[test]
fn one_word_is_a_line() {
    assert_eq!(line(&words(&["a | b"])).unwrap(), b"a | b");
    assert_eq!(line(&words(&["a", "|", "b"])).unwrap(), b"a '|' b");
    for empty in [&[][..], &[""], &[" \n\t"], &["", "x"]] {
        assert_eq!(line(&words(empty)), Err(ShellError::Empty), "{empty:?}");
    }
    assert_eq!(line(&words(&["a\0b"])), Err(ShellError::Nul));
    assert_eq!(line(&words(&["a", "\0"])), Err(ShellError::Nul));
}

#[test]
fn names_directories_and_lengths_are_checked() {
    let env = |name: &str| wrap(&marker(), &[(name.to_owned(), b"1".to_vec())], None, b"x");
    for bad in ["", "1a", "a-b", "a=b", "a b", "ä", "a;b"] {
        assert_eq!(env(bad), Err(ShellError::Name(bad.to_owned())));
    }
    assert_eq!(env(MARKER), Err(ShellError::Reserved));
    assert_eq!(wrap(&marker(), &[], Some(b""), b"x"), Err(ShellError::NoDirectory));
    assert_eq!(wrap(&marker(), &[], Some(b"a\0"), b"x"), Err(ShellError::Nul));
    assert_eq!(wrap(&marker(), &[], None, b"a\0"), Err(ShellError::Nul));
    let front = wrapped("").len();
    assert_eq!(wrapped(&"x".repeat(MAX_COMMAND - front)).len(), MAX_COMMAND);
    let long = wrap(&marker(), &[], None, &vec![b'x'; MAX_COMMAND - front + 1]);
    assert_eq!(long, Err(ShellError::TooLong(MAX_COMMAND + 1)));
}

#[test]
fn the_longest_command_runs_in_every_shell() {
    let front = wrapped("echo  | wc -c").len();
    let command = wrapped(&format!("echo {} | wc -c", "x".repeat(MAX_COMMAND - front)));
    for shell in SHELLS {
        let output = run(shell, &command);
        let expected = format!("{}\n", MAX_COMMAND - front + 1);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim_start(), expected, "{shell}");
    }
}

#[test]
fn a_directory_that_is_not_there_ends_the_command() {
    let command = wrap(&marker(), &[], Some(b"/nonexistent"), b"echo ran").unwrap();
    for shell in SHELLS {
        let output = run(shell, &command);
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b""[..]), "{shell}");
    }
}

#[test]
fn cdpath_and_dashes_do_not_lead_astray() {
    let home = tempfile::tempdir().unwrap();
    for directory in ["-", "-e", "--", "sub"] {
        std::fs::create_dir_all(home.path().join(directory)).unwrap();
        std::fs::create_dir_all(home.path().join("other").join(directory)).unwrap();
        let env =
            [("CDPATH".to_owned(), home.path().join("other").as_os_str().as_bytes().to_vec())];
        let command = wrap(&marker(), &env, Some(directory.as_bytes()), b"pwd").unwrap();
        let expected = format!("{}\n", home.path().join(directory).display());
        for shell in SHELLS {
            let output = run_in(shell, "C", home.path(), &command);
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{shell}");
        }
    }
}

/// Status and stdout, with and without what sgw puts in front.
#[test]
fn a_line_means_what_it_would_alone() {
    let lines = [
        "echo a # and a comment",
        "# nothing but a comment",
        "#!/bin/sh\necho a",
        "cat <<'E'\nb $x\nE",
        "cat <<E\nopen to the end",
        "echo a \\\n b",
        "echo a \\",
        "echo 'a",
        "echo \"a",
        "(echo a; exit 3)",
        "false || echo b; exit 4",
        "\n\necho a\n\n",
        "; echo a",
        "&& echo a",
        "| cat",
        "! false",
        "for x in 1 2; do echo $x; done",
        "fi",
        ")",
        "exit 5; echo no",
        "echo a &\nwait",
        "kill -TERM $$",
        "x=1 /usr/bin/env | grep '^x='",
    ];
    for shell in ["sh", "bash", "dash", "zsh"] {
        for line in lines {
            let (alone, ours) = (run(shell, line.as_bytes()), run(shell, &wrapped(line)));
            assert_eq!(
                (ours.status, &ours.stdout),
                (alone.status, &alone.stdout),
                "{shell}: {line}"
            );
        }
    }
    let fish =
        ["echo a # c", "begin; echo a; end", "echo 'a", "exit 5; echo no", "end", "\necho a\n"];
    for line in fish {
        let (alone, ours) = (run("fish", line.as_bytes()), run("fish", &wrapped(line)));
        assert_eq!((ours.status, &ours.stdout), (alone.status, &alone.stdout), "fish: {line}");
    }
}

#[test]
fn words_for_the_shell_among_several_are_noticed() {
    let noticed = |argv: &[&str]| looks_like_operator_word(&words(argv)).map(<[u8]>::to_vec);
    for word in ["&&", "||", "|", ";", "&", ">", "2>&1", "2>/dev/null", ">>./x", "<", "&>", "<<"] {
        assert_eq!(noticed(&["make", "all", word, "x"]), Some(word.as_bytes().to_vec()), "{word}");
    }
    for word in ["a&&b", "->", "<html>", ">5 apples", "2", "&c", "x>/y", "12>3x"] {
        assert_eq!(noticed(&["awk", word]), None, "{word}");
    }
    assert_eq!(noticed(&["a && b"]), None);
    assert_eq!(noticed(&["&&"]), None);
}
