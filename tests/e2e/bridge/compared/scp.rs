//! scp, as it is today and as it was.

use super::{Check, Part, check};

/// Over SFTP.
pub const SFTP: Part = Part { tool: "scp", with: &[("O", "")], before: "", checks: CHECKS };

/// Over scp's own protocol.
pub const OLD: Part = Part { tool: "scp -O", with: &[("O", "-O")], before: "", checks: CHECKS };

/// `$O` is how.
const CHECKS: &[Check] = &[
    check("a file up", "scp $O $F a/text web1:$W/b"),
    check("a file up, by another name", "scp $O $F a/text web1:$W/b/new"),
    check("a file up, with mode and time", "scp $O -p $F a/script web1:$W/b"),
    check("a file down", "scp $O $F web1:$W/a/text b"),
    check("a file down, with mode and time", "scp $O -p $F web1:$W/a/script b/new"),
    check("a large one up", "scp $O $F big web1:$W/b"),
    check("a large one down", "scp $O $F web1:$W/big b"),
    check(
        "an empty one both ways",
        "scp $O $F a/empty web1:$W/b/up && scp $O $F web1:$W/b/up b/down",
    ),
    check("a tree up", "scp $O -r $F a web1:$W/b"),
    check("a tree up, with modes and times", "scp $O -r -p $F a web1:$W/b"),
    check("a tree down", "scp $O -r $F web1:$W/a b"),
    check("a tree down, with modes and times", "scp $O -rp $F web1:$W/a/deep b/new"),
    check("several up", "scp $O $F a/text a/script a/deep/er/plain web1:$W/b"),
    check("several down", "scp $O $F web1:$W/a/text web1:$W/a/script b"),
    check("a pattern down", "scp $O $F \"web1:$W/a/*t\" b"),
    check("an odd name up", "scp $O $F a/deep/er/na* web1:$W/b"),
    check(
        "a link is what it leads to",
        "scp $O $F a/link web1:$W/b && scp $O $F web1:$W/a/link b/down",
    ),
    check("over a longer one", "cp big b/text && scp $O $F a/text web1:$W/b"),
    check("over a link", "ln -s ../a/text b/to && scp $O $F a/script web1:$W/b/to"),
    check("from there to there", "scp $O -3 $F web1:$W/a/text web1:$W/b/copy"),
    check("nothing there to fetch", "scp $O $F web1:$W/missing b"),
    check("nothing here to send", "scp $O $F a/missing web1:$W/b"),
    check("one of two is missing", "scp $O $F a/missing a/text web1:$W/b"),
    check("no directory to put it in", "scp $O $F a/text web1:$W/no/such/place"),
    check("a directory without being told", "scp $O $F web1:$W/a b"),
    check(
        "a directory in a file's place",
        "scp $O $F big web1:$W/a/deep/ && scp $O $F a/text web1:$W/big/x",
    ),
    check("slowly", "scp $O -l 40000 $F a/deep/noise web1:$W/b"),
];

#[test]
fn scp_copies_as_it_does_without_sgw() {
    SFTP.runs();
}

#[test]
fn the_old_scp_copies_as_it_does_without_sgw() {
    OLD.runs();
}
