//! One connection for many: ControlMaster, with everything on top of it.

use super::{Check, Part, check};

pub const PART: Part = Part { tool: "master", with: &[], before: "", checks: CHECKS };

/// Each ends the master that it started.
const CHECKS: &[Check] = &[
    check(
        "commands",
        "ssh $F -fNM -S s web1; for i in 1 2 3; do ssh $F -S s web1 \"cat; exit $i\" < a/text; echo $?; done; ssh $F -S s -O exit web1",
    ),
    check(
        "it is there, and then not",
        "ssh $F -fNM -S s web1; ssh $F -S s -O check web1 2>&1 | sed 's/pid=.*//'; ssh $F -S s -O exit web1; ssh $F -S s -O check web1",
    ),
    check(
        "by itself",
        "for i in 1 2 3; do ssh $F -o ControlMaster=auto -o ControlPath=s -o ControlPersist=30 web1 \"echo $i\"; done 2>/dev/null; ssh $F -S s -O exit web1",
    ),
    check(
        "many at once",
        "ssh $F -fNM -S s web1; for i in 1 2 3 4 5 6; do ssh $F -S s web1 \"cat; echo $i\" < big > b/$i & done; wait; sha256sum b/*; ssh $F -S s -O exit web1",
    ),
    check(
        "one that is stuck beside another",
        "ssh $F -fNM -S s web1; ssh $F -S s web1 'sleep 3' < big & ssh $F -S s web1 'wc -c' < big; wait %1; ssh $F -S s -O exit web1",
    ),
    check(
        "scp",
        "ssh $F -fNM -S s web1; scp -q $F -o ControlPath=s -rp a web1:$W/b; scp $F -o ControlPath=s web1:$W/big b; ssh $F -S s -O exit web1",
    ),
    check(
        "sftp",
        "ssh $F -fNM -S s web1; echo \"get $W/big b\" | sftp $F -o ControlPath=s -b - web1; ssh $F -S s -O exit web1",
    ),
    check(
        "rsync",
        "ssh $F -fNM -S s web1; rsync -a -e \"ssh $F -S s\" a/ web1:$W/b/; ssh $F -S s -O exit web1",
    ),
    check(
        "a forward that comes later",
        "ssh $F -fNM -S s web1; ssh $F -S s -O forward -L $W/l:127.0.0.1:$ECHO web1; $TALK $W/l < a/deep/noise | sha256sum; ssh $F -S s -O cancel -L $W/l:127.0.0.1:$ECHO web1; ssh $F -S s -O exit web1",
    ),
    check(
        "a forward from there",
        "ssh $F -fNM -S s web1; ssh $F -S s -O forward -R $FREE:127.0.0.1:$ECHO web1; ssh $F -S s web1 \"$TALK $FREE\" < a/text; ssh $F -S s -O exit web1",
    ),
    check(
        "-W over it",
        "ssh $F -fNM -S s web1; ssh $F -S s -W 127.0.0.1:$ECHO web1 < a/text; ssh $F -S s -O exit web1",
    ),
    check(
        "a terminal over it",
        "ssh $F -fNM -S s web1; ssh $F -q -tt -S s web1 'test -t 1 && exit 6'; echo $?; ssh $F -S s -O exit web1",
    ),
    check(
        "it takes no more, and ends with the last",
        "ssh $F -fNM -S s web1; ssh $F -S s web1 'sleep 1; echo last' & sleep 0.5; ssh $F -S s -O stop web1; wait %1",
    ),
];

#[test]
fn one_connection_carries_what_several_do() {
    PART.runs();
}
