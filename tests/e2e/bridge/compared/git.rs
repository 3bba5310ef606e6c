//! git with a repository on the server.

use super::{Check, Part, check};

pub const PART: Part = Part { tool: "git", with: &[], before: BEFORE, checks: CHECKS };

/// `bare.git` is there, `one` a clone of it with a commit to push.
const BEFORE: &str = "
    git init -q -b main one
    cp -r a/. one
    git -C one add .
    git -C one commit -qm first
    git -C one tag v1
    git clone -q --bare one bare.git
    git -C one remote add origin web1:$W/bare.git
    echo more > one/more
    git -C one add .
    git -C one commit -qm second";

const CHECKS: &[Check] = &[
    check("what is there", "git ls-remote web1:$W/bare.git"),
    check("by an address", "git ls-remote ssh://web1$W/bare.git main"),
    check("nothing there", "git ls-remote web1:$W/missing.git"),
    check(
        "a clone",
        "git clone -q web1:$W/bare.git b/two && git -C b/two fsck && git -C b/two log --format=%H",
    ),
    check(
        "a clone of the last",
        "git clone -q --depth 1 web1:$W/bare.git b/two && git -C b/two rev-list --count HEAD",
    ),
    check("a mirror", "git clone -q --mirror web1:$W/bare.git b/two && git -C b/two for-each-ref"),
    check("a push", "git -C one push -q origin main && git -C bare.git log --format=%H"),
    check("a push, and what it says", "git -C one push origin main"),
    check("what it says to programs", "git -C one push --porcelain origin main"),
    check(
        "a large push",
        "cp big one/big && git -C one add . && git -C one commit -qm big && git -C one push -q origin main && git -C bare.git cat-file -p main:big | sha256sum",
    ),
    check(
        "a branch and a tag",
        "git -C one push -q origin main:next main:refs/tags/v2 && git -C bare.git for-each-ref",
    ),
    check(
        "a branch is removed",
        "git -C one push -q origin main:next && git -C one push origin :next",
    ),
    check(
        "a push that is behind",
        "git -C one push -q origin main; git -C one reset -q --hard v1; git -C one push -q origin v1:refs/heads/main",
    ),
    check(
        "a push that insists",
        "git -C one push -q origin main; git -C one push -q -f origin v1:refs/heads/main; git -C bare.git rev-parse main",
    ),
    check("nothing to push", "git -C one push -q origin main; git -C one push origin main"),
    check(
        "a hook that says no",
        "printf '#!/bin/sh\\necho no: $1\\nexit 1\\n' > bare.git/hooks/update; chmod +x bare.git/hooks/update; git -C one push -q origin main",
    ),
    check(
        "fetched",
        "git clone -q bare.git b/two; git -C b/two remote set-url origin web1:$W/bare.git; git -C one push -q origin main; git -C b/two fetch origin; git -C b/two rev-parse origin/main",
    ),
    check(
        "pulled",
        "git clone -q bare.git b/two; git -C b/two remote set-url origin web1:$W/bare.git; git -C one push -q origin main; git -C b/two pull -q; git -C b/two log --format=%H; cat b/two/more",
    ),
    check("an archive", "git archive --remote=web1:$W/bare.git v1 | tar x -C b"),
    check(
        "an older protocol",
        "git -c protocol.version=0 clone -q web1:$W/bare.git b/two && git -C b/two log --format=%H",
    ),
];

#[test]
fn git_does_and_says_what_it_does_without_sgw() {
    PART.runs();
}
