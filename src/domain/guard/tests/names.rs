//! Names and words that are made to mean something else than they say: a shell does as they then mean.

use super::*;

/// At a prompt of this shell.
fn typed(line: &str, shell: Shell) -> Verdict {
    let context = Context { interactive: true, shell, ..Context::default() };
    judge(line.as_bytes(), &context, &Policy::built_in())
}

fn read_by(line: &str, shell: Shell) -> Decision {
    let context = Context { shell, ..Context::default() };
    judge(line.as_bytes(), &context, &Policy::built_in()).decision
}

#[track_caller]
fn asked(rule: &str, lines: &[&str]) {
    for line in lines {
        let said = verdict(line);
        let rules: Vec<&str> = said.findings.iter().map(|found| found.rule.as_str()).collect();
        assert!(said.decision >= Decision::Approve && rules.contains(&rule), "{line}: {rules:?}");
    }
}

#[track_caller]
fn passes(lines: &[&str]) {
    for line in lines {
        let _ = is(line, Decision::Allow);
    }
}

#[test]
fn a_name_for_another_name_and_letters_that_change_are_asked_for() {
    asked(
        "opaque.names",
        &[
            "x=echo; declare -n y=x; y=rm; $x -rf /usr/zz D",
            "f() { local -n r=$1; r=rm; }; f x; $x -rf /usr/zz D",
            "typeset -l z=RM; $z -rf /usr/zz D",
            "declare -lx z=RM; $z -rf /usr/zz D",
            "declare -u z; z=path",
            "declare -c z=x",
            "declare -n r=PATH; r=/tmp/x; ls",
            "declare -a x='(rm -rf)'; ${x[@]} /usr/zz",
        ],
    );
    passes(&["declare -x FOO=bar", "f() { local x=$1; ls \"$x\"; }; f a", "typeset -r N=3; ls $N"]);
}

#[test]
fn what_splits_words_counts_whoever_sets_it() {
    asked(
        "env.runs",
        &[
            "unset IFS; : ${IFS:=,}; x=rm,-rf,/usr/zz,D; $x",
            "unset IFS; : ${IFS=,}; x=rm,-rf,/usr/zz,D; $x",
            "x=rm1-rf1/usr/zz1D; : $((IFS=1)); $x",
            "x=rm1-rf1/usr/zz1D; ((IFS=1)); $x",
            "x=rm1-rf1/usr/zz1D; y=IFS=1; : $((y)); $x",
            "x=rm1-rf1/usr/zz1D; a[IFS=1]=2; $x",
            "x=rm1-rf1/usr/zz1D; declare -i y=IFS=1; $x",
            "x=rm1-rf1/usr/zz1D; for ((IFS=1; ;)); do $x; done",
            "x=rm1-rf1/usr/zz1D; [[ IFS=1 -eq 1 ]]; $x",
            "x=rm1-rf1/usr/zz1D; : ${x:IFS=1:1}; $x",
            "let IFS=1",
            "getopts 1 IFS -1",
            "unset IFS; : ${IFS::=1}; x=rm1-rf1/usr/zz1D; $x",
        ],
    );
    // By turns one and the other.
    for line in [
        "for IFS in error 1; do x=rm1-rf1/usr/zz1D; $x; done",
        "IFS=error; if true; then IFS=1; fi; x=rm1-rf1/usr/zz1D; $x",
        "read IFS <<< ,; x=rm,-rf,/usr/zz,D; $x",
    ] {
        let _ = is(line, Decision::Block);
    }
    passes(&["i=0; ((i++)); echo $((i + 1))", "let n=1+2; echo $n", "echo ${1:-x} ${name:=y}"]);
    passes(&["while getopts ab: option; do echo $option; done", "[[ $x -eq 1 ]] && ls"]);
}

#[test]
fn variables_that_run_something_count_whoever_sets_them() {
    asked(
        "env.runs",
        &[
            "for LESSOPEN in '|rm -rf /usr/zz D; #%s'; do export LESSOPEN; less /etc/hosts; done",
            "read -r LESSOPEN <<< '|reboot; #%s'; export LESSOPEN; less /etc/hosts",
            "echo '|reboot' | while read -r LESSOPEN; do export LESSOPEN; less /etc/hosts; done",
            "mapfile -t LESSOPEN < x",
            "printf -v LESSOPEN %s '|reboot; #%s'; export LESSOPEN; less x",
        ],
    );
    asked(
        "env.path",
        &[
            "for PATH in /tmp/x; do ls; done",
            "select PATH in /tmp/x; do ls; done",
            "read PATH <<< /tmp; ls",
            "read -a PATH < x",
            "printf -v PATH %s /tmp/x; ls",
            "mapfile -t PATH < x",
            "mapfile -u 3 PATH 3<<< /tmp",
            "read -ru3 PATH 3<<< /tmp; ls",
            "read -p x PATH",
            "getopts ab PATH",
            "let PATH=1",
            "wait -p PATH 1",
            "wait -n -p PATH",
        ],
    );
    asked("env.runs", &["for IFS in error 1; do x=rm1-rf; print -v IFS 1; $x; done", "vared IFS"]);
    asked("line.syntax", &["coproc PATH { ls; }", "exec {PATH}< /tmp/x; ls", "exec {IFS}> x"]);
    passes(&[
        "export LANG=de_DE.UTF-8; ls",
        "for f in *; do ls $f; done",
        "for path in a b; do ls \"$path\"; done",
        "read -r line; echo $line",
        "while read -r name value; do echo $name; done < x",
        "mapfile -t lines < x; echo ${#lines[@]}",
        "printf -v now %s x; echo $now",
        "exec {log}> /tmp/x",
        "sleep 1 & wait $!",
    ]);
}

#[test]
fn names_of_programs_and_signs_that_are_given_anew_are_asked_for() {
    asked(
        "env.names",
        &[
            "BASH_CMDS[ls]=/bin/rm; ls -rf x",
            "printf -v 'BASH_CMDS[ls]' /bin/rm; ls -rf x",
            "declare 'BASH_CMDS[ls]=/bin/rm'; ls -rf x",
            "read 'BASH_CMDS[ls]' <<< /bin/rm; ls -rf x",
            "histchars='@^#'",
            "HISTCHARS='@^#'",
        ],
    );
    asked("opaque.names", &["functions[ls]='rm -rf /usr/zz'; ls", "commands[ls]=/bin/rm; ls -r x"]);
    asked("env.prompt", &["PS0='$(rm -rf /usr/zz)'", "export PS0='`reboot`'"]);
    passes(&["PS0='> '", "echo $BASH_CMDS"]);
}

#[test]
fn an_alias_is_plain_words() {
    asked(
        "opaque.alias",
        &[
            "shopt -s expand_aliases\nalias cat='#'\ncat <<X\nrm -rf /usr/zz D\nX",
            "alias cat=\\#",
            "alias cat='true #'",
            "alias x='a; b'",
            "alias x='cat <<X'",
            "alias x=\"echo '\"",
            "alias if=true",
            "alias x='while'",
            "alias -g x=y",
        ],
    );
    passes(&["alias ll='ls -l'", "alias ..='cd ..'", "alias grep='grep --color=auto'; grep x y"]);
}

#[test]
fn assignments_behind_a_program_and_comments_that_are_words_are_asked_for() {
    asked(
        "opaque.keyword",
        &[
            "set -k\nless /etc/hosts LESSOPEN='|rm -rf /usr/zz D; #%s'",
            "set -ek; ls LD_PRELOAD=/tmp/x",
            "set -o keyword; ls LD_PRELOAD=/tmp/x",
            "bash -kc 'ls LD_PRELOAD=/tmp/x'",
            "bash -o keyword -c 'ls LD_PRELOAD=/tmp/x'",
            "bash -i <<'X'\nshopt -u interactive_comments\necho # ; rm -rf /usr/zz\nX",
            "bash +O interactive_comments -i <<'X'\necho # ; rm -rf /usr/zz\nX",
            "zsh -i <<'X'\necho # ; rm -rf /usr/zz\nX",
        ],
    );
    passes(&["set -euxo pipefail; ls", "set -- -k; ls", "set -o pipefail", "shopt -s nullglob"]);
    passes(&["bash -ec 'ls'", "zsh -ic 'ls # all'"]);
}

#[test]
fn what_stands_behind_a_comments_sign_counts_at_a_prompt_of_zsh() {
    for line in [
        "echo # ; rm -rf /usr/zz; echo RAN",
        "# ; reboot",
        "echo a;# ; reboot",
        "echo 'a' # `reboot`",
        "echo # '\necho '; reboot #'",
    ] {
        for shell in [Shell::Zsh, Shell::Unknown] {
            let said = typed(line, shell);
            assert_eq!(said.rule.as_deref(), Some("line.comment"), "{line}");
        }
        assert!(read_by(line, Shell::Zsh) == Decision::Allow, "{line}: no prompt");
    }
    for line in ["ls # all of it", "echo 'a # b; c'", "echo a#b; ls", "echo \"#1; x\""] {
        assert_eq!(typed(line, Shell::Zsh).decision, Decision::Allow, "{line}");
    }
    assert_eq!(typed("ls # a; b", Shell::Posix).decision, Decision::Allow);
}

#[test]
fn encodings_that_hide_a_backslash_are_asked_for() {
    asked(
        "env.charset",
        &[
            "env LC_ALL=zh_CN.GBK bash x.sh",
            "LC_ALL=zh_CN.GBK ls",
            "export LC_ALL=zh_HK.BIG5-HKSCS",
            "export LC_ALL=zh_CN.GBK; true\necho \"€\\\"; rm -rf /usr/zz; echo DONE; #\"",
            "read LC_ALL <<< zh_CN.GBK",
            "for LANG in ja_JP.SJIS; do export LANG; done",
            "declare -x LC_CTYPE=ko_KR.johab",
            "export LC_ALL=$X",
        ],
    );
    passes(&["LC_ALL=C sort x", "export LANG=en_US.UTF-8 LC_ALL=C.UTF-8", "LANG=ja_JP.eucJP ls"]);
    passes(&["export LC_ALL=${LC_ALL:-C}", "LC_TIME=de_DE date"]);
}

#[test]
fn a_quote_that_shells_read_otherwise_counts_both_ways() {
    for line in [
        "echo $'a\\'; rm -rf /usr/zz #'",
        "printf %s $'a\\'; rm -rf /usr/zz #'",
        "sh <<'X'\necho $'a\\'; rm -rf /usr/zz D #'\nX",
        "sh -c \"echo \\$'a\\\\'; rm -rf /usr/zz #'\"",
    ] {
        for shell in [Shell::Unknown, Shell::Posix] {
            assert_eq!(read_by(line, shell), Decision::Block, "{line} {shell:?}");
        }
    }
    for line in [
        "sh <<'X'\necho $'a\'; rm -rf /usr/zz D #'\nX",
        "bash <<'Y'\nssh host <<'X'\necho $'a\'; rm -rf /usr/zz D #'\nX\nY",
    ] {
        assert_eq!(read_by(line, Shell::Zsh), Decision::Block, "{line}");
    }
    passes(&["tr ' ' $'\\t' < x", "IFS=$'\\n'; ls", "bash -c \"echo \\$'it\\\\'s'\""]);
}
