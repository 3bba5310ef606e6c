//! Which program the operator starts, and who could put another in its place.

use std::{os::unix::fs::MetadataExt, path::Path};

use super::{Check, Finding, Ground, quoted, shown};

const REPLACEABLE: Check = Check {
    id: "program.replaceable",
    why: "who can replace the program can have it ask for your passphrase; in personal mode sgw does not claim to stop that",
};
const FIRST: Check = Check {
    id: "program.path",
    why: "the `sgw` that a shell finds first is the one that you type your passphrase into",
};

pub fn replaceable(ground: &Ground) -> Vec<Finding> {
    let Some(program) = ground.program.as_ref().and_then(|path| path.canonicalize().ok()) else {
        let what = "this program is no longer where it was started from";
        return vec![REPLACEABLE.warn(what, "sgw doctor")];
    };
    if ground.account.uid == 0 {
        return vec![REPLACEABLE.ok("root can replace any program")];
    }
    let mine = program.ancestors().find(|path| writable(ground.account.uid, path));
    match mine {
        // A note: so it is wherever a person installed it for themselves.
        Some(path) => vec![REPLACEABLE.note(
            format!(
                "your programs can replace {} (you may write to {})",
                shown(&program),
                shown(path)
            ),
            format!("sudo install -o root -m 755 {} /usr/local/bin/sgw", quoted(&program)),
        )],
        None => vec![REPLACEABLE.ok(format!("{} can be replaced by root alone", shown(&program)))],
    }
}

/// Whether this uid can change the file, or what its directory calls so.
fn writable(uid: u32, path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else { return false };
    // An owner can give themselves any mode. In a sticky directory only owners rename.
    metadata.uid() == uid || (metadata.mode() & 0o1000 == 0 && metadata.mode() & 0o002 != 0)
}

pub fn first_in_path(ground: &Ground) -> Vec<Finding> {
    let same = |one: &Path, other: &Path| match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    };
    match (ground.find("sgw"), &ground.program) {
        (Some(first), Some(program)) if !same(&first, program) => vec![FIRST.note(
            format!("a shell finds {} first, and this is {}", shown(&first), shown(program)),
            format!("ls -l {} {}", quoted(&first), quoted(program)),
        )],
        (Some(first), _) => vec![FIRST.ok(format!("a shell finds {}", shown(&first)))],
        (None, _) => vec![FIRST.ok("a shell finds no other sgw")],
    }
}
