//! What comes on standard input, and scripts that an agent brought: judged where they are run.

use super::*;

fn open(line: &str) -> Verdict {
    let context = Context { stdin: Stdin::Open, ..Context::default() };
    judge(line.as_bytes(), &context, &Policy::built_in())
}

fn fed(line: &str, input: &[u8]) -> Verdict {
    let context = Context { stdin: Stdin::Whole(input), ..Context::default() };
    judge(line.as_bytes(), &context, &Policy::built_in())
}

fn with(files: &[(&str, &str)], line: &str) -> Verdict {
    let mut known = Files::default();
    for (path, text) in files {
        known.set(path, Content::Text((*text).into()));
    }
    let context = Context { files: Some(&known), ..Context::default() };
    judge(line.as_bytes(), &context, &Policy::built_in())
}

#[test]
fn it_is_told_where_input_may_change_what_is_said() {
    for line in [
        "bash",
        "sh -s a b",
        "sh -",
        "sh -c sh",
        "sh -c 'true; exec bash'",
        "eval bash",
        "bash /dev/stdin",
        ". /dev/stdin",
        "cat | sh",
        "cat > /tmp/x; sh /tmp/x",
        "tee /tmp/x | wc -l; sh /tmp/x",
        "base64 -d | bash",
        "sudo -u web bash",
        "env -i sh",
        "timeout 5 sh",
        "ssh web2",
        "ssh web2 sh",
        "ssh web2 'cd /srv && bash -s'",
        "docker exec -i web sh",
        "kubectl exec -i web -- bash",
        "python3",
        "python3 -",
        "perl",
        "node -",
        "psql",
        "psql -f -",
        "sudo -u postgres psql -d app",
        "mysql app",
        "sqlite3 /srv/app.db",
        "xargs rm",
        "xargs -n1 sh -c",
        "while read x; do rm $x; done",
        "while read -r x; do $x; done",
        "read x; eval \"$x\"",
        "sudo -s",
        "f() { sh; }; f",
        "cd /srv && ( { sh; } )",
        "exec 3<&0; sh <&3",
        "sh <&0",
    ] {
        assert!(open(line).reads_stdin, "{line}");
    }
    for line in [
        "cat > /tmp/x",
        "wc -l",
        "tar xzf - -C /srv/app",
        "sh -c 'wc -l'",
        "bash -c 'cat > x'",
        "sh < /dev/null",
        "sh <<'E'\necho\nE",
        "psql -c 'select 1'",
        "grep x | sort",
        "systemctl restart nginx",
    ] {
        assert!(!open(line).reads_stdin, "{line}");
    }
    assert!(!fed("sh", b"ls").reads_stdin && !fed("sh", b"").reads_stdin);
}

#[test]
fn input_is_judged_as_what_it_is_run_as() {
    for (line, input, decision) in [
        ("bash", "ls\nuptime\n", Decision::Allow),
        ("bash -s x", "rm -rf /\n", Decision::Block),
        ("sh -c sh", "rm -rf /", Decision::Block),
        ("cat | sudo sh", "cd /\nrm -rf etc", Decision::Block),
        ("ssh web2", "rm -rf /", Decision::Block),
        ("docker exec -i a sh", "systemctl stop nginx", Decision::Approve),
        ("base64 -d | sh", "cm0gLXJmIC8K", Decision::Block),
        ("cat > /tmp/x.sh; sh /tmp/x.sh", "rm -rf /", Decision::Block),
        ("psql", "drop table users;", Decision::Approve),
        ("psql app", "select 1;", Decision::Allow),
        ("psql -f -", "drop table users;", Decision::Approve),
        ("python3 -", "import os\nos.system('rm -rf /')\n", Decision::Block),
        ("python3 -", "print(1)\n", Decision::Allow),
        ("xargs rm -rf", "/etc\n", Decision::Block),
        ("while read x; do rm -rf $x; done", "/etc\n", Decision::Block),
        // Its first command reads on in it.
        ("sh", "psql\ndrop table x;\n", Decision::Approve),
        ("sh", "python3\nimport os", Decision::Approve),
        ("bash", "echo \u{202e}x", Decision::Approve),
        ("cat", "rm -rf /", Decision::Allow),
    ] {
        assert_eq!(fed(line, input.as_bytes()).decision, decision, "{line} < {input}");
    }
    assert_eq!(fed("sh", b"echo \xff").decision, Decision::Approve);
    let long = [b"echo a\n".repeat(10_000), b"ls\n".to_vec()].concat();
    assert_eq!(fed("sh", &long).decision, Decision::Approve);
    assert_eq!(fed("wc", &long).decision, Decision::Allow);
}

#[test]
fn what_reads_on_in_the_script_that_it_stands_in_is_asked_for() {
    let rest = "echo 'rm -rf /usr/zz #'\nls\n";
    for first in [
        "read -n 6 x",
        "read x",
        "mapfile -n1 x",
        "read -r a <&0",
        "head -c 6 >/dev/null",
        "dd bs=1 count=6 status=none",
        "bash -c 'read -n 6 x'",
        "python3 -c 'import os;os.read(0,6)'",
        "cat > /tmp/x",
        "grep x",
        "sudo cat",
        "frobnicate",
    ] {
        for line in ["bash -s", "sh", "sudo bash", "ssh web2 sh"] {
            let said = fed(line, format!("{first}\n{rest}").as_bytes());
            assert_ne!(said.decision, Decision::Allow, "{line} < {first}");
        }
    }
    for first in [
        "set -euo pipefail",
        "cd /srv/app && git pull",
        "npm ci --omit=dev",
        "systemctl --no-pager status app",
        "grep -q x f || echo y | grep x",
        "head -n 5 /var/log/syslog",
        "cat > f <<X\nhello\nX",
        "read -r x < /srv/x",
        "cat < /dev/null",
        "tar xzf app.tgz -C /srv/app",
        "for f in *.txt; do wc -l \"$f\"; done",
        "f() { date; }; f",
        "x=$(curl -fsS localhost:8080/health)",
    ] {
        let said = fed("bash -s", format!("{first}\n{rest}").as_bytes());
        assert_eq!(said.decision, Decision::Allow, "{first}: {:?}", said.findings);
    }
    // Behind the last command nothing is left.
    assert_eq!(fed("bash -s", b"set -e\ncat\n").decision, Decision::Allow);
}

#[test]
fn a_trigger_in_the_input_is_counted_from_the_lines_end() {
    let (line, input) = ("sudo bash -s", "set -e\nuptime\nsystemctl stop nginx # now\n");
    let span = fed(line, input.as_bytes()).span.unwrap();
    let at = |at: usize| at - line.len();
    assert_eq!(&input[at(span.start)..at(span.end)], "systemctl stop nginx");
    let (line, input) = ("bash", "true\nsh -c 'rm -rf /'\n");
    let span = fed(line, input.as_bytes()).span.unwrap();
    assert_eq!(&input[span.start - line.len()..span.end - line.len()], "rm -rf /");
}

#[test]
fn an_agents_script_is_judged_by_what_it_holds_however_it_is_run() {
    let bad = [("/home/me/x.sh", "#!/bin/sh\nuptime\nrm -rf /\n")];
    for line in [
        "sh /home/me/x.sh",
        "bash -e /home/me/x.sh a b",
        "cd /home/me && ./x.sh",
        "cd /home/me; sh x.sh",
        "sh x.sh",
        "./x.sh",
        "sh ~/x.sh",
        ". /home/me/x.sh",
        "source ~/x.sh",
        "sudo /home/me/x.sh",
        "nohup ~/x.sh &",
        "cat /home/me/x.sh | sh",
        "bash < /home/me/x.sh",
        "cp /home/me/x.sh /srv/y.sh; sh /srv/y.sh",
        "echo ls >> /home/me/x.sh; sh /home/me/x.sh",
        "eval \"$(cat /home/me/x.sh)\"",
    ] {
        let said = with(&bad, line);
        assert_eq!(said.decision, Decision::Block, "{line}");
    }
    let said = with(&bad, "sudo bash x.sh");
    assert_eq!(said.scripts, ["/home/me/x.sh"]);
    assert_eq!(said.chain, ["sudo", "bash", "/home/me/x.sh"]);
    for line in ["cat /home/me/x.sh", "chmod +x x.sh", "sh /srv/x.sh"] {
        let said = with(&bad, line);
        assert_eq!(said.decision, Decision::Allow, "{line}: {:?}", said.rule);
    }
    let asks = |text: &str, line: &str| with(&[("/tmp/x", text)], line).decision;
    assert_eq!(asks("uptime\n", "sh /tmp/x"), Decision::Allow);
    assert_eq!(asks("uptime\n", "/tmp/x"), Decision::Allow);
    assert_eq!(asks("\\! rm -rf /", "psql -f /tmp/x"), Decision::Block);
    assert_eq!(asks("import os; os.system('reboot')", "python3 /tmp/x"), Decision::Approve);
    let python = "#!/usr/bin/env -S python3 -u\nimport os\nos.system('rm -rf /')\n";
    assert_eq!(asks(python, "/tmp/x"), Decision::Block);
    assert_eq!(asks("#!/usr/bin/python3\nprint('x (y')\n", "/tmp/x"), Decision::Allow);
    // A script that runs another, and one that runs itself.
    let files = [("/srv/a", "sh /srv/b\n"), ("/srv/b", "rm -rf /\n")];
    assert_eq!(with(&files, "sh /srv/a").decision, Decision::Block);
    assert_eq!(with(&[("/srv/a", "sh /srv/a\n")], "sh /srv/a").decision, Decision::Approve);
}

#[test]
fn an_agents_file_that_is_not_known_is_none_of_the_servers_own() {
    let mut files = Files::default();
    files.set("/srv/x", Content::Unknown);
    let context = Context { files: Some(&files), ..Context::default() };
    let say = |line: &str| judge(line.as_bytes(), &context, &Policy::built_in()).decision;
    for line in ["sh /srv/x", "/srv/x", "sudo python3 /srv/x"] {
        assert_eq!(say(line), Decision::Approve, "{line}");
    }
    assert_eq!(say("sh /srv/y"), Decision::Allow);
    assert_eq!(say("wc /srv/x"), Decision::Allow);
}

#[test]
fn a_script_that_the_line_itself_writes_is_judged() {
    for line in [
        "cat > x.sh <<'E'\nrm -rf /\nE\nsh x.sh",
        "cat <<E >/srv/x.sh; chmod +x /srv/x.sh && /srv/x.sh\nrm -rf /\nE\n",
        "printf 'rm -rf /\\n' | tee /tmp/x >/dev/null; cd /tmp; ./x",
        "echo 'rm -rf /' > a; mv a b; . ./b",
    ] {
        assert_eq!(
            judge(line.as_bytes(), &Context::default(), &Policy::built_in()).decision,
            Decision::Block,
            "{line}"
        );
    }
}

#[test]
fn what_comes_of_a_file_that_is_not_known_is_not_known() {
    for line in [
        "sed s/x/y/ /srv/unknown | bash",
        "eval \"$(sed s/x/y/ /srv/unknown)\"",
        ". <(sed s/x/y/ /srv/unknown)",
        "sed s/x/y/ a.sh > b.sh; bash b.sh",
        "sed -n s/x/y/p /srv/unknown | bash",
        "dd if=/srv/unknown | bash",
        "dd if=/srv/unknown of=b.sh; bash b.sh",
        "bash -c \"$(</srv/unknown)\"",
        "eval \"$(</srv/unknown)\"",
        "$(</srv/unknown)",
        "X=$(</srv/unknown); eval \"$X\"",
        "cut -c2- < /srv/unknown | bash",
        "cut -c2- /srv/unknown | bash",
        "echo ls | rev - /srv/unknown | sh",
        "echo 'rm -rf /' | cat - /dev/null | sh",
        "openssl base64 -d -in /srv/unknown | sh",
        "sort --files0-from=/srv/list < /dev/null | sh",
        "echo ls | nl -s 'rm -rf /;' | sh",
        "echo 'rm -rf /tmp/x' | head -c 8 | sh",
        "echo ls | tac -s s - | sh",
        "echo ls | base64 | basenc --base16 -d | sh",
        "printf %.8s 'rm -rf /tmp/x' | sh",
        "echo ls | tr '[b*3]' s | sh",
        "echo ls | tr --complement l s | sh",
        "rm -v 'x;ls' | sh",
        "tr a-z n-za-m < /srv/unknown | sh",
    ] {
        let said = verdict(line);
        assert_ne!(said.decision, Decision::Allow, "{line}");
    }
    for line in ["tr a-z n-za-m | sh", "sed s/x/y/ | sh", "dd | sh", "cat | sh"] {
        assert_eq!(open(line).decision, Decision::Approve, "{line}");
        assert_eq!(fed(line, b"ez -es /").decision == Decision::Block, line.starts_with("tr"));
    }
    let bad = [("/srv/x", "ls\nrm -rf X\n")];
    for line in [
        "sed s,X,/, /srv/x | bash",
        "eval \"$(sed -e s,X,/, /srv/x)\"",
        "sed s,X,/, /srv/x > b; sh b",
        "dd if=/srv/x | sed s,X,/, | bash",
        "bash -c \"$(</srv/x)\"; sed s,X,/, < /srv/x | sh",
        "X=$(<\"/srv/x\"); eval \"${X/X//}\"",
    ] {
        assert_eq!(with(&bad, line).decision, Decision::Block, "{line}");
    }
    for line in [
        "X=$(</etc/hostname); echo $X",
        "sed s/a/b/ /srv/x | wc -l",
        "dd if=/srv/x of=/srv/y",
        "kill $(</run/app.pid)",
    ] {
        let said = verdict(line);
        let asked = verdict(&line.replace("$(<", "$(cat "));
        assert_eq!(said.decision, asked.decision, "{line}: {:?}", said.rule);
    }
}
/// What is known after lines ran one after the other.
fn after(files: &[(&str, &str)], lines: &[&str]) -> Files {
    let mut known = Files::default();
    for (path, text) in files {
        known.set(path, Content::Text((*text).into()));
    }
    for line in lines {
        let context = Context { files: Some(&known), ..Context::default() };
        let said = judge(line.as_bytes(), &context, &Policy::built_in());
        for (path, content) in said.written {
            known.set(&path, content);
        }
    }
    known
}

fn said(known: &Files, line: &str) -> Decision {
    let context = Context { files: Some(known), ..Context::default() };
    judge(line.as_bytes(), &context, &Policy::built_in()).decision
}

const BROUGHT: [(&str, &str); 8] = [
    ("r.sh", "uptime\n"),
    ("y/p.sh", "uptime\n"),
    ("yev/p.sh", "systemctl stop nginx\n"),
    ("d/p.sh", "uptime\n"),
    ("k1/p.sh", "uptime\n"),
    ("k2/p.sh", "systemctl stop nginx\n"),
    ("/srv/w/a.sh", "systemctl stop nginx\n"),
    ("/srv/v/a.sh", "uptime\n"),
];

#[test]
fn what_was_moved_copied_linked_or_unpacked_is_not_known_any_more() {
    for (lines, run) in [
        (&["mv y yold", "mv yev y"][..], "bash y/p.sh"),
        (&["mv y yold; mv yev y"], "cd y && bash p.sh"),
        (&["ln -sfn k1 cur", "ln -sfn k2 cur"], "bash cur/p.sh"),
        (&["ln -s k1 cur", "echo reboot > cur/p.sh"], "bash k1/p.sh"),
        (&["mv /srv/w/a.sh e/"], "bash e/a.sh"),
        (&["mv /srv/w/a.sh e"], "bash e/a.sh"),
        (&["mv yev e"], "bash e/p.sh"),
        (&["cp -r yev f"], "bash f/p.sh"),
        (&["cp -r yev f"], "bash f/yev/p.sh"),
        (&["rsync -a yev/ r/"], "bash r/p.sh"),
        (&["tar cf t.tar yev", "tar xf t.tar -C r"], "bash r/yev/p.sh"),
        (&["cp /srv/w/* /srv/v/"], "bash /srv/v/a.sh"),
        (&["cp -t /opt/v /srv/w/a.sh"], "bash /opt/v/a.sh"),
        (&["uniq /srv/w/a.sh un"], "bash un"),
        (&[], "bash r.s?"),
        (&[], "for f in *.sh; do bash $f; done"),
        (&[], "find d -exec bash {} \\;"),
        (&[], "bash /srv/*/a.sh"),
        (&[], "make -f r.sh"),
        (&[], "mv yev y; bash y/p.sh"),
        (&[], "cd $(cat where) && bash p.sh"),
    ] {
        assert_eq!(said(&after(&BROUGHT, lines), run), Decision::Approve, "{lines:?}; {run}");
    }
}

#[test]
fn what_nobody_brought_is_the_servers_own_still() {
    for (lines, run) in [
        (&["mv yev y"][..], "./deploy.sh"),
        (&["cp config.yml /srv/v/", "tar czf b.tgz y"], "bash r.sh"),
        (&["cp config.yml /srv/v/"], "bash /srv/v/a.sh"),
        (&["mv old new", "cp -r conf conf.bak"], "bash conf.bak/run.sh"),
        (&["mv yev y"], "bash r.sh"),
        (&["git -C /srv/app pull"], "cd /srv/app && ./deploy.sh"),
        (&["mv r.sh b.sh"], "bash b.sh"),
        (&["cp r.sh /opt/x/"], "bash /opt/x/r.sh"),
        (&[], "make -C /srv/app"),
        (&[], "cd $(cat where) && ./deploy.sh"),
        (&[], "bash /opt/*/run.sh"),
    ] {
        assert_eq!(said(&after(&BROUGHT, lines), run), Decision::Allow, "{lines:?}; {run}");
    }
}

#[test]
fn a_yes_to_a_script_that_is_not_known_ends_with_the_next_change() {
    use crate::domain::judgement::Script;
    let mut known = after(&BROUGHT, &["mv y z"]);
    let script = Script::of("z/p.sh", &known);
    known.set("other.sh", Content::Unknown);
    assert!(script.sum.is_none() && script.is_same(&known));
    for line in ["mv yev z", "cp -r yev z", "tar x -C z"] {
        let mut moved = known.clone();
        let context = Context { files: Some(&known), stdin: Stdin::Open, ..Context::default() };
        for (path, content) in judge(line.as_bytes(), &context, &Policy::built_in()).written {
            moved.set(&path, content);
        }
        assert!(!script.is_same(&moved), "{line}");
    }
    let script = Script::of("r.sh", &known);
    known.set("r.sh", Content::Place);
    assert!(!script.is_same(&known));
}
