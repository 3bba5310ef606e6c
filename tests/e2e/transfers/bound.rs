//! What is put is what was said before it came: its size, its SHA-256, and nothing that others lay in its way.

use std::fs;

use serde_json::{Value, json};
use sgw::domain::{
    bytes::Bytes,
    files::{
        Operation, sum,
        transfer::{Item, Piece, Put, What},
    },
};

use super::{There, content, seen};
use crate::support::{
    eventually,
    frames::{JSON, STDIN, Wire, agent_wire},
};

/// A put whose content is sent by hand.
struct ByHand {
    wire: Wire,
    credit: u64,
}

impl ByHand {
    fn begin(there: &There, name: &str, size: u64, sum: Option<String>) -> Self {
        let path = there.there(name).into_os_string().into_encoded_bytes();
        let item = Item {
            path: Bytes(path),
            what: What::File { size, offset: 0, sum },
            ..Item::default()
        };
        let put = Put { items: vec![item], fsync: false, texts: Vec::new() };
        let operation = Operation::Put(put);
        let asks = json!({
            "type": "files", "session": there.session, "operation": operation, "wait_ms": null,
            "no_ask": true,
        });
        let mut wire = agent_wire(&there.sgw);
        assert!(wire.send(JSON, 1, asks.to_string().as_bytes()));
        Self { wire, credit: 0 }
    }

    /// What is said of the put; null where that is only that more may come.
    fn hear(&mut self) -> Value {
        let (kind, _, body) = self.wire.receive().expect("an answer");
        if kind != JSON {
            // A line of the put's own, behind its offset.
            return serde_json::from_slice(body.get(8..).unwrap()).unwrap();
        }
        let said: Value = serde_json::from_slice(&body).unwrap();
        if said["type"] == "credit" {
            self.credit += said["bytes"].as_u64().unwrap();
            return Value::Null;
        }
        said
    }

    fn send(&mut self, piece: &Piece) {
        for chunk in piece.to_wire().chunks(16 * 1024) {
            while self.credit < chunk.len() as u64 {
                let said = self.hear();
                assert!(said.is_null(), "{said}");
            }
            self.credit -= chunk.len() as u64;
            assert!(self.wire.send(STDIN, 1, chunk));
        }
    }

    /// What is said of the one file.
    fn ends(mut self) -> Value {
        self.send(&Piece::End(Vec::new().into()));
        loop {
            let said = self.hear();
            if !said.is_null() {
                return said;
            }
        }
    }
}

#[test]
fn no_more_is_written_than_was_said_and_judged() {
    let there = There::new();
    let mut put = ByHand::begin(&there, "x", 300_000, None);
    for _ in 0..10 {
        put.send(&Piece::Data(content(200_000).into()));
    }
    let said = put.ends();
    assert_eq!(said["error"]["code"], "files.changed", "{said}");
    let all = seen(&there.there(""));
    let most = all.iter().filter_map(|(_, held)| held.as_ref()).map(Vec::len).max();
    assert!(most.unwrap_or(0) <= 300_000 && !there.there("x").exists(), "{most:?}");
}

#[test]
fn what_is_not_the_content_of_its_sum_does_not_stay() {
    let there = There::new();
    let mut put = ByHand::begin(&there, "x", 300_000, Some(sum(&content(300_000))));
    let mut other = content(300_000);
    other[7] ^= 1;
    put.send(&Piece::Data(other.into()));
    let said = put.ends();
    assert_eq!(said["error"]["code"], "files.changed", "{said}");
    assert!(seen(&there.there("")).is_empty(), "{:?}", seen(&there.there("")).len());
}

#[test]
fn a_part_that_somebody_laid_there_meanwhile_gets_no_name() {
    let there = There::new();
    let (all, part) = (content(300_000), there.there(".x.sgw-part"));
    for bound in [true, false] {
        let mut put = ByHand::begin(&there, "x", 300_000, bound.then(|| sum(&all)));
        put.send(&Piece::Data(all[..250_000].to_vec().into()));
        eventually("the part is there", || part.exists());
        // Of the same size it is known by what it holds, which is known where a sum was said.
        let size = if bound { 300_000 } else { 299_999 };
        fs::write(there.there("evil"), vec![b'e'; size]).unwrap();
        fs::rename(there.there("evil"), &part).unwrap();
        put.send(&Piece::Data(all[250_000..].to_vec().into()));
        let said = put.ends();
        assert_eq!(said["error"]["code"], "files.changed", "{said}");
        assert!(!there.there("x").exists());
        _ = fs::remove_file(&part);
    }
}

#[test]
fn the_names_of_what_is_not_whole_yet_are_nobodys_else() {
    for own in [".x.sgw-part", ".x.sgw-new-0011223344556677"] {
        // Refusals are counted, and the fifth pauses.
        let there = There::new();
        let own = &there.there(own);
        fs::write(there.there("evil"), "evil").unwrap();
        fs::write(own, "mine").unwrap();
        let blocked = |verb: &str, paths: &[&std::path::Path], more: &[&str]| {
            there.files(verb, paths, more).fails(77, "guard.blocked").says("files.reserved");
        };
        blocked("mv", &[&there.there("evil"), own], &["--no-ask", "--replace"]);
        blocked("mv", &[own, &there.there("other")], &["--no-ask"]);
        blocked("put", &[&there.there("evil"), own], &["--no-ask"]);
        assert_eq!(fs::read(own).unwrap(), b"mine");
        // What is left over may go.
        there.files("rm", &[own], &[]).ok();
        blocked("ln", &["evil".as_ref(), own], &["-s", "--no-ask"]);
        assert!(!own.exists());
    }
}

#[test]
fn two_transfers_never_write_the_same_part() {
    let there = There::new();
    let mut one = ByHand::begin(&there, "x", 300_000, None);
    one.send(&Piece::Data(content(250_000).into()));
    eventually("the part is there", || there.there(".x.sgw-part").exists());
    fs::write(there.here("other"), content(400_000)).unwrap();
    let other = there.files("put", &[&there.here("other"), &there.there("x")], &["--restart"]);
    other.exits(1).says("another transfer");
    one.send(&Piece::Data(content(300_000)[250_000..].to_vec().into()));
    let said = one.ends();
    assert_eq!(said["bytes"], 300_000, "{said}");
    assert_eq!(fs::read(there.there("x")).unwrap(), content(300_000));
}
