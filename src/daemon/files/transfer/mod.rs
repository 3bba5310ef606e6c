//! Many files in one operation: what is fetched goes out packed, what is put comes in packed, and what can't be
//! done to one file is told of it and stops no other.

mod get;
mod place;
mod put;
mod resolve;

use ::bytes::Bytes;
use tokio::sync::mpsc;

pub use resolve::resolve;

pub(super) use self::{
    get::not_its_size,
    put::{other_content, theirs},
};

use super::{Run, fault::Fault, read::kind, resolve::resolved};
use crate::{
    domain::{escape, files::transfer::Piece},
    protocol::{
        error::{Code, Failure},
        frame::MAX_CHUNK,
    },
};

/// Files that are under way at once.
const AHEAD: usize = 512;
/// What these may hold together, in bytes, before there are no more of them.
const BYTES_AHEAD: u64 = 8 * 1024 * 1024;
/// What goes to the caller at once, in bytes: a frame.
const PACKED: usize = MAX_CHUNK;

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

/// What goes out packed: small pieces together.
struct Packing<'p> {
    to: &'p mpsc::Sender<Bytes>,
    open: Vec<u8>,
}

impl<'p> Packing<'p> {
    fn new(to: &'p mpsc::Sender<Bytes>) -> Self {
        Self { to, open: Vec::with_capacity(PACKED) }
    }

    async fn put(&mut self, piece: Piece) {
        if self.open.len() + piece.bytes().len() > PACKED {
            self.flush().await;
        }
        let bytes = piece.bytes();
        if bytes.len() < PACKED {
            self.open.extend_from_slice(&piece.to_wire());
            return;
        }
        self.open.extend_from_slice(&piece.head());
        self.flush().await;
        // A caller that is gone needs none.
        let _gone = self.to.send(bytes.clone()).await;
    }

    async fn flush(&mut self) {
        if !self.open.is_empty() {
            let open = std::mem::replace(&mut self.open, Vec::with_capacity(PACKED));
            let _gone = self.to.send(open.into()).await;
        }
    }
}

impl Run<'_> {
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
