//! Many files in one operation: what is fetched goes out packed, what is put comes in packed, and what can't be
//! done to one file is told of it and stops no other.

mod get;
mod place;
mod put;
mod resolve;

use ::bytes::Bytes;

pub use resolve::resolve;

pub(super) use self::{
    get::not_its_size,
    put::{other_content, theirs},
};

use super::{Run, fault::Fault, read::kind, resolve::resolved};
use crate::{
    domain::{escape, files::transfer::Piece},
    protocol::error::{Code, Failure},
};

/// Files that are under way at once: what each brings is held until its turn has come.
const AHEAD: usize = 96;

/// What is wrong with one file of many, or with all of them.
enum Trouble {
    One(Failure),
    /// The connection broke, the session is over: nothing more comes or goes.
    All(Failure),
}

impl Trouble {
    fn of(fault: Fault, doing: &str, path: &[u8]) -> Self {
        let failure = fault.at(doing, path);
        match fault {
            Fault::Status(_) => Self::One(failure),
            Fault::Told(told) if told.code.is_of_files() => Self::One(failure),
            _ => Self::All(failure),
        }
    }
}

impl Run<'_> {
    async fn pack(&self, piece: Piece) {
        // A caller that is gone needs none.
        let _gone = self.out.send(Bytes::from(piece.to_wire())).await;
    }

    /// Why a path leads nowhere, or where to by now.
    async fn why_nowhere(&self, path: &[u8]) -> Trouble {
        match resolved(&self.sftp, path).await {
            Ok(_) => Trouble::One(kind(path, "is a link that leads nowhere", "sgw files stat")),
            Err(fault) => Trouble::of(fault, "resolving", path),
        }
    }
}

pub(super) fn blocked(path: &[u8], rule: &str) -> Failure {
    let shown = escape::exact(path, 300);
    let message = format!("{shown} is blocked by the policy (rule {rule})");
    let hint = "it stays so: leave it out, change the plan or ask your user";
    Failure::new(Code::GuardBlocked, message, hint).sent(false)
}
