//! Forwards: `-W`, `-L`, `-D`, `-R`, and what others build on them.

use super::{Check, Part, check};

pub const PART: Part = Part { tool: "forward", with: &[], before: "", checks: CHECKS };

const CHECKS: &[Check] = &[
    check("-W, whole", "ssh $F -W 127.0.0.1:$ECHO web1 < big | sha256sum"),
    check("-W, nothing to say", "ssh $F -W 127.0.0.1:$ECHO web1 < /dev/null"),
    check("-W, by a name", "echo hi | ssh $F -W localhost:$ECHO web1"),
    check("-W, nobody listens", "ssh $F -W 127.0.0.1:$FREE web1 < /dev/null"),
    check(
        "-L",
        "ssh $F -fNM -S m -L $FREE:127.0.0.1:$ECHO web1; $TALK $FREE < big | sha256sum; ssh $F -q -S m -O exit web1",
    ),
    check(
        "-L, a socket of one's own",
        "ssh $F -fNM -S m -L $W/s:127.0.0.1:$ECHO web1; $TALK $W/s < a/text; ssh $F -q -S m -O exit web1",
    ),
    check(
        "-L, many at once",
        "ssh $F -fNM -S m -L $W/s:127.0.0.1:$ECHO web1; for i in 1 2 3 4 5 6; do $TALK $W/s < a/deep/noise > b/$i & done; wait; sha256sum b/*; ssh $F -q -S m -O exit web1",
    ),
    check(
        "-L, nobody listens there",
        "ssh $F -q -fNM -S m -L $W/s:127.0.0.1:$FREE web1; $TALK $W/s < a/text; ssh $F -q -S m -O exit web1",
    ),
    check(
        "-D",
        "ssh $F -fNM -S m -D $FREE web1; $TALK $ECHO $FREE < big | sha256sum; ssh $F -q -S m -O exit web1",
    ),
    check("-R", "ssh $F -R $FREE:127.0.0.1:$ECHO web1 \"$TALK $FREE\" < big | sha256sum"),
    check(
        "-R, and nobody listens here",
        "echo x | ssh $F -R $FREE:127.0.0.1:1 web1 \"$TALK $FREE\"",
    ),
    check(
        "one command and two forwards",
        "ssh $F -R $FREE:127.0.0.1:$ECHO -L $W/s:127.0.0.1:$FREE web1 'cat; sleep 2' < a/text & $TALK $W/s < big | sha256sum; wait",
    ),
    check(
        "ssh within, as a jump",
        "ssh -F $DIRECT -o \"ProxyCommand=ssh $F -W %h:%p web1\" web1 'cat; exit 5' < a/text",
    ),
    check(
        "scp within, as a jump",
        "scp -F $DIRECT -o \"ProxyCommand=ssh $F -W %h:%p web1\" big web1:$W/b",
    ),
];

#[test]
fn a_forward_is_what_it_is_without_sgw() {
    PART.runs();
}
