//! rsync, both ways.

use super::{Check, Part, check};

pub const PART: Part = Part { tool: "rsync", with: &[], before: "", checks: CHECKS };

const CHECKS: &[Check] = &[
    check("a tree up", "rsync -a -i a/ web1:$W/b/"),
    check("a tree down", "rsync -a -i web1:$W/a/ b/"),
    check("again: nothing differs", "rsync -a a/ web1:$W/b/ && rsync -a -i a/ web1:$W/b/"),
    check("packed", "rsync -az a/ web1:$W/b/ && rsync -az web1:$W/a/deep b/down/"),
    check(
        "only what differs",
        "cp -a a b/a; head -c 600000 big > b/a/deep/noise; rsync -a --checksum -i a/ web1:$W/b/a/",
    ),
    check(
        "by sums alone",
        "cp -a a b/a; printf 'One\\ntwo\\nthree\\n' > b/a/text; touch -r a/text b/a/text; rsync -ac -i a/ web1:$W/b/a/",
    ),
    check(
        "what is gone here goes there",
        "cp -a a b/a; rm -r a/deep; rsync -a --delete -i a/ web1:$W/b/a/",
    ),
    check(
        "what is gone there goes here",
        "cp -a a b/a; rm a/script; rsync -a --delete -i web1:$W/a/ b/a/",
    ),
    check(
        "removed at last, and what is left out",
        "cp -a a b/a; rm a/script; rsync -a --delete-after --delete-excluded --exclude deep -i a/ web1:$W/b/a/",
    ),
    check("a run for nothing", "rsync -a -i -n a/ web1:$W/b/"),
    check(
        "a part that was there",
        "head -c 1000000 big > b/big; rsync -a --partial --inplace big web1:$W/b/",
    ),
    check(
        "appended and verified",
        "head -c 1000000 big > b/big; rsync --append-verify big web1:$W/b/",
    ),
    check(
        "a part is kept aside",
        "mkdir b/.p; head -c 500000 big > b/.p/big; rsync -a --partial-dir=.p big web1:$W/b/",
    ),
    check("all of it anew", "head -c 1000000 big > b/big; rsync -aW big web1:$W/b/"),
    check(
        "names from a list",
        "printf 'text\\ndeep/noise\\n' | rsync -a -i --files-from=- a web1:$W/b/",
    ),
    check(
        "some are left out",
        "rsync -a -i --exclude='*.x' --exclude=deep/er --include='*' a/ web1:$W/b/",
    ),
    check("with their directories", "rsync -aR -i a/./deep/er web1:$W/b/"),
    check("links are what they lead to", "rsync -aL -i a/ web1:$W/b/"),
    check("two names of one file", "ln a/text a/hard; rsync -aH a/ web1:$W/b/"),
    check("other modes", "rsync -a --chmod=D700,F600 a/ web1:$W/b/"),
    check("what is there stays", "echo mine > b/text; rsync -a --ignore-existing -i a/ web1:$W/b/"),
    check("what is newer stays", "echo mine > b/text; rsync -au -i a/ web1:$W/b/"),
    check("only what is there", "echo mine > b/text; rsync -a --existing -i a/ web1:$W/b/"),
    check("what was there is kept", "echo mine > b/text; rsync -a -b --suffix=.old a/ web1:$W/b/"),
    check(
        "what was there is kept aside",
        "echo mine > b/text; rsync -a -b --backup-dir=$W/c a/ web1:$W/b/",
    ),
    check(
        "linked with what is there",
        "cp -a a b/one; rsync -a --link-dest=$W/b/one a/ web1:$W/b/two/",
    ),
    check("moved", "rsync -a --remove-source-files web1:$W/a/deep b/"),
    check("only listed", "rsync web1:$W/a/deep/er/"),
    check("an odd name", "rsync -a \"web1:$W/a/deep/er/na me 'quoted' ä\" b/"),
    check("holes", "truncate -s 2000000 a/hole; rsync -aS a/hole web1:$W/b/"),
    check("nothing there to fetch", "rsync -a web1:$W/missing b/"),
    check("nothing here to send", "rsync -a a/missing web1:$W/b/"),
    check("a shell that is named", "rsync -a -e \"ssh $F -q\" a/ web1:$W/b/"),
    check(
        "a server that is not there",
        "rsync -a --rsync-path=no-such-rsync a/ web1:$W/b/ 2>/dev/null || echo failed",
    ),
];

#[test]
fn rsync_does_and_says_what_it_does_without_sgw() {
    PART.runs();
}
