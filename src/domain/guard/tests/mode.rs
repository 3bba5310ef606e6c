//! The mode that lets nothing pass but what only reads, and what contexts change.

use super::*;
use crate::domain::guard::{Mode, Shell};

fn reading(line: &str) -> Verdict {
    let context = Context { mode: Mode::Read, ..Context::default() };
    judge(line.as_bytes(), &context, &Policy::built_in())
}

#[test]
fn what_only_reads_passes_and_the_rest_is_asked() {
    for line in [
        "ls -la /etc | head",
        "cd /srv && git log --oneline -3",
        "find /srv -name '*.log' -exec wc -l {} +",
        "for h in a b; do echo $h; done",
        "ps aux | awk '$3 > 5 {print $2}' | sort -n",
        "if systemctl is-active nginx; then echo up; fi",
        "journalctl -u x --since '1 hour ago' | grep -c error 2>/dev/null",
    ] {
        let verdict = reading(line);
        assert_eq!(verdict.decision, Decision::Allow, "{line}: {:?}", verdict.findings);
    }
    for line in [
        "touch x",
        "ls > x",
        "./ls",
        "make test",
        "curl localhost",
        "ls() { touch x; }; ls",
        "git commit -m x",
        "python3 -c 'print(1)'",
        "sh file",
        "bash ./deploy.sh",
        ". ./env.sh",
        "su - web",
        "echo ls | sh /srv/x.sh",
        "x=touch; $x y",
        "echo $(mkdir x)",
        "ls | tee x",
        "find . -exec cp {} x \\;",
        "> /tmp/y/x",
        "$CMD",
        "(",
    ] {
        assert_eq!(reading(line).decision, Decision::Approve, "{line}");
    }
    assert_eq!(reading("ls; rm -rf /").decision, Decision::Block);
}

#[test]
fn a_target_can_be_for_reading_alone() {
    let own = "version = 1\n[target.\"db-*\"]\nmode = \"read\"\n";
    let policy = Policy::built_in().over(own).unwrap();
    let say = |target, line: &str| {
        let context = Context { target: Some(target), ..Context::default() };
        judge(line.as_bytes(), &context, &policy).decision
    };
    assert_eq!(say("db-1", "touch x"), Decision::Approve);
    assert_eq!(say("db-1", "ls"), Decision::Allow);
    assert_eq!(say("web", "touch x"), Decision::Allow);
}

#[test]
fn what_is_opaque_follows_the_target_and_the_session() {
    let own = "version = 1\n[target.\"lab\"]\nopaque = \"allow\"\n";
    let policy = Policy::built_in().over(own).unwrap();
    let say = |context: Context<'_>, line: &str| judge(line.as_bytes(), &context, &policy).decision;
    let lab = Context { target: Some("lab"), ..Context::default() };
    assert_eq!(say(lab, "sh -c \"$X\""), Decision::Allow);
    assert_eq!(say(lab, "sh -c \"$X\"; rm -rf /"), Decision::Block);
    assert_eq!(say(Context::default(), "sh -c \"$X\""), Decision::Approve);
    let allowed = Context { opaque: Some(Decision::Allow), ..Context::default() };
    assert_eq!(say(allowed, "sh -c \"$X\""), Decision::Allow);
    let reading = Context { mode: Mode::Read, ..allowed };
    assert_eq!(say(reading, "sh -c \"$X\""), Decision::Approve);
}

#[test]
fn history_counts_at_a_prompt_alone() {
    let at = |interactive, line: &str| {
        let context = Context { interactive, ..Context::default() };
        judge(line.as_bytes(), &context, &Policy::built_in()).decision
    };
    for line in ["!!", "!rm", "echo \"!x\"", "^ls^rm", "ls; !-2"] {
        assert_eq!(at(true, line), Decision::Approve, "{line}");
    }
    for line in ["echo '!x'", "[ ! -f x ]", "echo done!", "test 1 != 2", "echo \\!x"] {
        assert_eq!(at(true, line), Decision::Allow, "{line}");
    }
    assert_eq!(at(false, "echo \"!x\""), Decision::Allow);
}

#[test]
fn what_another_shell_would_run_is_asked_unless_the_shell_is_known() {
    let by = |shell, line: &str| {
        let context = Context { shell, ..Context::default() };
        judge(line.as_bytes(), &context, &Policy::built_in()).decision
    };
    assert_eq!(by(Shell::Unknown, "a=(rm -rf /)"), Decision::Approve);
    assert_eq!(by(Shell::Posix, "a=(rm -rf /)"), Decision::Allow);
    assert_eq!(by(Shell::Posix, "a=(rm -rf /); \"${a[@]}\""), Decision::Block);
    assert_eq!(by(Shell::Unknown, "=rm -rf /"), Decision::Block);
}

#[test]
fn a_trigger_inside_a_text_is_marked_where_it_stands() {
    for (line, trigger) in [
        ("ls; sh -c 'true; rm -rf /' x", "rm -rf /"),
        ("sudo bash -c \"ls && bash -c 'rm -rf /etc'\"", "rm -rf /etc"),
        ("ssh web1 'uptime; rm -rf /usr'", "rm -rf /usr"),
        ("eval 'rm -rf /'; ls", "rm -rf /"),
    ] {
        let span = judge(line.as_bytes(), &Context::default(), &Policy::built_in()).span.unwrap();
        assert_eq!(&line[span.start..span.end], trigger, "{line}");
    }
    let line = "sh -c 'r\"m\" -rf '/";
    let span = judge(line.as_bytes(), &Context::default(), &Policy::built_in()).span.unwrap();
    assert_eq!(&line[span.start..span.end], line);
}

#[test]
fn reading_is_nowhere_laxer() {
    for line in super::corpus::lines() {
        let read = reading(&line.command).decision;
        assert!(read >= verdict(&line.command).decision, "{}", line.command);
        assert!(read > Decision::Allow || line.expected == Decision::Allow, "{}", line.command);
    }
}
