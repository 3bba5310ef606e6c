//! Commands through ssh: streams, statuses, signals.

use super::{Check, Part, check};

pub const PART: Part = Part { tool: "ssh", with: &[], before: "", checks: CHECKS };

const CHECKS: &[Check] = &[
    check("it says nothing", "ssh $F web1 true"),
    check("a status", "ssh $F web1 'exit 3'"),
    check("the status that ssh has for itself", "ssh $F web1 'exit 255'"),
    check("both outputs", "ssh $F web1 'echo out; echo err >&2; exit 7'"),
    check("no newline at its end", "ssh $F web1 \"printf 'no newline at the end'\""),
    check("bytes that are no text", "ssh $F web1 \"printf '\\303\\244\\377\\000\\n'\""),
    check(
        "every byte there and back",
        "printf '%b' $(printf '\\\\x%02x' {0..255}) | ssh $F web1 cat",
    ),
    check("a program that is not there", "ssh $F web1 no-such-command-at-all"),
    check("two lines", "ssh $F web1 $'echo one\\necho two'"),
    check("a loop and a pipe", "ssh $F web1 'for i in 1 2 3; do echo $i; done | sort -r'"),
    check("quotes", "ssh $F web1 \"echo \\\"a  b\\\" 'c \\$HOME d'\""),
    check("several words are one line", "ssh $F web1 echo 'a  b' '*' '$((1+2))'"),
    check("a long line", "ssh $F web1 \"echo $(head -c 60000 /dev/zero | tr '\\0' x)\" | wc -c"),
    check("many lines", "ssh $F web1 'seq 1 20000'"),
    check("output that comes late", "ssh $F web1 'echo late >&2; sleep 0.3; echo later'"),
    check(
        "much on one output, a word on the other",
        "ssh $F web1 'head -c 9000000 /dev/zero; echo end >&2' | sha256sum",
    ),
    check(
        "much on both outputs",
        "ssh $F web1 'seq 1 300000 & seq 1 300000 >&2; wait' 2>&1 >out | sha256sum; sha256sum out",
    ),
    check(
        "a processor's limit ends it",
        "ssh $F web1 'ulimit -c 0; ulimit -t 1; while :; do :; done'",
    ),
    check("a signal ends it", "ssh $F web1 'exec timeout -s KILL 0.2 sleep 1000'"),
    check("another signal", "ssh $F web1 'exec timeout -s USR1 0.2 sleep 1000'"),
    check("input, whole", "ssh $F web1 cat < big | sha256sum"),
    check("no input", "ssh $F web1 cat < /dev/null"),
    check("the client gives it no input", "echo unseen | ssh $F -n web1 'cat; echo end'"),
    check("one byte of input", "head -c 1 big | ssh $F web1 'wc -c'"),
    check("input that is summed there", "ssh $F web1 sha256sum < big"),
    check(
        "its end, and output after it",
        "ssh $F web1 'cat > /dev/null; echo after; sleep 0.2; echo later' < big",
    ),
    check("input that is read in part", "ssh $F web1 'head -c 100000' < big | sha256sum"),
    check("input that is closed unread", "ssh $F web1 'exec 0<&-; echo closed' < big"),
    check("input that nobody reads", "ssh $F web1 'echo quick' < big"),
    check(
        "input that comes slowly",
        "(echo one; sleep 0.3; echo two; sleep 0.3; echo three) | ssh $F web1 cat",
    ),
    check(
        "a question and its answer",
        "coproc ssh $F web1 'while read x; do echo \"<$x>\"; done'; echo a >&${COPROC[1]}; read y <&${COPROC[0]}; echo $y; echo b >&${COPROC[1]}; read y <&${COPROC[0]}; echo $y; kill $COPROC_PID; wait",
    ),
    check("output that is read in part", "ssh $F web1 'seq 1 300000' | head -n 3"),
    check("a script on its input", "ssh $F web1 sh -s one 'two' < a/script"),
    check(
        "a here-document",
        "ssh $F web1 bash -s <<'END'\nset -e\ncd /\nfor i in 1 2; do echo \"$i\" in \"$PWD\"; done\nfalse\nEND",
    ),
    check(
        "a terminal that it is given",
        "ssh $F -q -tt web1 'test -t 0 && echo yes; stty size; exit 5' < /dev/null",
    ),
    check("no terminal", "ssh $F -T web1 'test -t 0 || echo none'"),
    check("files out of an archive", "tar c -C a . | ssh $F web1 \"tar x -C $W/b\""),
    check("files into an archive", "ssh $F web1 \"tar c -C $W/a .\" | tar x -C b"),
    check("one to the other", "ssh $F web1 cat $W/big | ssh $F web1 \"cat > $W/b/big\""),
    check("another cipher", "ssh $F -c chacha20-poly1305@openssh.com web1 sha256sum < big"),
    check("compression, where it is offered", "ssh $F -C web1 sha256sum < big"),
    check("new keys all the time", "ssh $F -o RekeyLimit=256K web1 cat < big | sha256sum"),
    check(
        "six at once",
        "for i in 1 2 3 4 5 6; do ssh $F web1 \"cat; echo $i\" < a/text > b/$i & done; wait; cat b/*",
    ),
    check("one after the other", "for i in 1 2 3 4 5; do ssh $F web1 \"exit $i\"; echo $?; done"),
    check("by a pipe's status", "set -o pipefail; ssh $F web1 'echo x; exit 9' | cat; echo $?"),
    check(
        "what it leaves running has no hold on it",
        "ssh $F web1 'sleep 2 >/dev/null 2>&1 </dev/null & echo gone'",
    ),
    check(
        "a place that is no file",
        "ssh $F web1 'cat /no/such/file; ls /no/such/directory; cd /no/such'",
    ),
    check("who it is, and where", "ssh $F web1 'id -u; pwd; echo $SHELL $USER $LOGNAME $HOME'"),
];

#[test]
fn a_command_is_what_it_is_without_sgw() {
    PART.runs();
}
