//! Batches of sftp.

use super::{Check, Part, check};

pub const PART: Part = Part { tool: "sftp", with: &[], before: "", checks: CHECKS };

const CHECKS: &[Check] = &[
    check("where it is", "echo pwd | sftp $F -b - web1"),
    check("which version", "echo version | sftp $F -b - web1"),
    check(
        "names",
        "printf '%s\\n' \"cd $W/a\" 'ls -1' 'ls -1 deep' 'ls -1 *t' | sftp $F -b - web1",
    ),
    check("all that is known of them", "echo \"ls -l $W/a/deep/er\" | sftp $F -b - web1"),
    check("the same in numbers", "echo \"ls -ln $W/a/deep/er\" | sftp $F -b - web1"),
    check("nothing of this name", "echo \"ls $W/missing\" | sftp $F -b - web1"),
    check(
        "a file up and down",
        "printf '%s\\n' \"put a/text $W/b/up\" \"get $W/b/up b/down\" | sftp $F -b - web1",
    ),
    check(
        "with mode and time",
        "printf '%s\\n' \"put -p a/script $W/b/up\" \"get -p $W/a/script b/down\" | sftp $F -b - web1",
    ),
    check(
        "a tree up and down",
        "printf '%s\\n' \"put -r a/deep $W/b\" \"get -r $W/a b/down\" | sftp $F -b - web1",
    ),
    check(
        "a tree with modes and times",
        "printf '%s\\n' \"put -rp a/deep $W/b\" \"get -rp $W/a b/down\" | sftp $F -b - web1",
    ),
    check(
        "the rest of a file up",
        "head -c 1000000 big > b/up; echo \"reput big $W/b/up\" | sftp $F -b - web1",
    ),
    check(
        "the rest of a file down",
        "head -c 1000000 big > b/down; echo \"reget $W/big b/down\" | sftp $F -b - web1",
    ),
    check(
        "an odd name",
        "echo \"get \\\"$W/a/deep/er/na me 'quoted' ä\\\" b\" | sftp $F -b - web1",
    ),
    check("a pattern of names", "echo \"get $W/a/*t b\" | sftp $F -b - web1"),
    check(
        "directories",
        "printf '%s\\n' \"cd $W/b\" 'mkdir new' 'mkdir new/er' 'rmdir new/er' | sftp $F -b - web1",
    ),
    check("a directory that is there", "echo \"mkdir $W/a\" | sftp $F -b - web1"),
    check("a directory that is not empty", "echo \"rmdir $W/a\" | sftp $F -b - web1"),
    check("another name", "echo \"rename $W/a/text $W/b/new\" | sftp $F -b - web1"),
    check("another's name", "echo \"rename $W/a/text $W/a/script\" | sftp $F -b - web1"),
    check(
        "another's name, as once",
        "echo \"rename -l $W/a/text $W/a/script\" | sftp $F -b - web1",
    ),
    check("a directory's name", "echo \"rename $W/a/deep $W/b/deep\" | sftp $F -b - web1"),
    check(
        "links",
        "printf '%s\\n' \"ln -s text $W/a/soft\" \"ln $W/a/text $W/a/hard\" | sftp $F -b - web1",
    ),
    check("a copy made there", "echo \"cp $W/a/deep/noise $W/b/copy\" | sftp $F -b - web1"),
    check(
        "modes",
        "printf '%s\\n' \"chmod 640 $W/a/script\" \"chmod 711 $W/a/deep\" \"chmod -h 600 $W/a/text\" | sftp $F -b - web1",
    ),
    check(
        "removed",
        "printf '%s\\n' \"rm $W/a/text\" \"rm $W/a/deep/er/plain\" | sftp $F -b - web1",
    ),
    check("not there to be removed", "echo \"rm $W/missing\" | sftp $F -b - web1"),
    check(
        "it ends at the first mistake",
        "printf '%s\\n' \"get $W/missing\" \"rm $W/a/text\" | sftp $F -b - web1",
    ),
    check(
        "it goes on where it may",
        "printf '%s\\n' \"-get $W/missing\" \"-rmdir $W/a\" \"rm $W/a/text\" | sftp $F -b - web1",
    ),
    check("no file but a directory", "echo \"get $W/a b\" | sftp $F -b - web1"),
    check("no directory but a file", "printf '%s\\n' \"cd $W/a/text\" | sftp $F -b - web1"),
    check("no such command", "echo frobnicate | sftp $F -b - web1"),
    check(
        "small pieces, few at once",
        "printf '%s\\n' \"put big $W/b/up\" \"get $W/big b/down\" | sftp $F -B 4096 -R 3 -b - web1",
    ),
    check(
        "large pieces, many at once",
        "printf '%s\\n' \"put big $W/b/up\" \"get $W/big b/down\" | sftp $F -B 261120 -R 256 -b - web1",
    ),
    check("flushed to the disk", "echo \"put -f a/deep/noise $W/b/up\" | sftp $F -b - web1"),
    check("a file by its address", "cd b && sftp $F web1:$W/a/text"),
    check(
        "without a batch",
        "printf '%s\\n' \"cd $W/a\" 'ls -1' 'rm missing' 'bye' | sftp $F -q web1",
    ),
];

#[test]
fn a_batch_does_and_says_what_it_does_without_sgw() {
    PART.runs();
}
