//! Caps on sizes: what is read and written is judged by its size, and counted where it is more than was said.

use std::fs;

use sgw::domain::sftp::Call;

use super::{There, odd::Odd};
use crate::support::{
    Sgw,
    sftp::{Turn, lying_size},
};

const OWN: &str = "version = 1\n\
    [[file]]\nid = \"own.small\"\ndecision = \"block\"\ndirection = \"any\"\n\
    path = [\"**/small*\"]\nmax_size = \"10\"\nreason = \"small files alone\"\n";

fn capped(sgw: &Sgw) {
    let own = sgw.write_private("own.toml", OWN);
    sgw.operator(["policy", "accept", own.to_str().unwrap(), "--yes", "--json"]).ok();
}

#[test]
fn what_is_more_than_a_rule_lets_is_refused_by_its_size() {
    let there = There::new();
    capped(&there.sgw);
    let path = there.has("small", "0123456789");
    let text = path.to_str().unwrap();
    there.files("read", &[text]).ok().prints("0123456789");
    there.files("sum", &[text]).ok();
    let large = there.has("small.large", "0123456789a");
    let large = large.to_str().unwrap();
    for verb in ["read", "sum"] {
        there.files(verb, &[large]).fails(77, "guard.blocked").prints("");
    }
    // What is read of it counts, not what it has.
    there.files("read", &["--offset", "5", "--limit", "5", large]).ok().prints("56789");
    let local = there.sgw.user_home().join("got");
    there.files("get", &[large, local.to_str().unwrap()]).fails(77, "guard.blocked");
    there.fed("write", &[text], b"0123456789").ok();
    there.fed("write", &[text], b"0123456789a").fails(77, "guard.blocked");
    there.fed("write", &["--append", text], b"a").fails(77, "guard.blocked");
    let put = there.sgw.write_private("put", b"0123456789a");
    there.files("put", &[put.to_str().unwrap(), text]).fails(77, "guard.blocked");
    // Nor by another name.
    let other = there.has("other", "0123456789a");
    there.files("mv", &["-f", other.to_str().unwrap(), text]).fails(77, "guard.blocked");
    assert_eq!(fs::read(&path).unwrap(), b"0123456789");
    there.files("ls", &[&there.text("")]).ok();
}

#[test]
fn what_has_more_than_its_server_said_is_cut_and_told() {
    let odd = Odd::new();
    capped(&odd.sgw);
    odd.server.tree(|tree| _ = tree.file("/srv/small", "0123456789abcdef"));
    odd.server.follows(lying_size(5));
    let read = odd.files("read", &["/srv/small"]).fails(1, "files.changed");
    assert!("0123456789".starts_with(&read.stdout()), "{read:?}");
    odd.files("sum", &["/srv/small"]).fails(1, "files.changed").prints("");
    odd.files("tail", &["/srv/small"]).fails(1, "files.changed");
    // Behind what grew nothing is written.
    let mut looked = false;
    odd.server.follows(move |call, tree| {
        if matches!(call, Call::Open { .. }) && !looked {
            looked = true;
            tree.file("/srv/small", "0123456789abcdefgh");
        }
        Turn::Honest
    });
    odd.server.tree(|tree| _ = tree.file("/srv/small", "01234"));
    odd.writes(&["--append", "/srv/small"], b"56789").fails(1, "files.changed");
    assert_eq!(odd.content("/srv/small").unwrap(), b"0123456789abcdefgh");
    odd.serves_on();
}
