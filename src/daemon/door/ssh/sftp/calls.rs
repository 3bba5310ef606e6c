//! A client's SFTP calls under way: in which order they are sent, and answered.
//!
//! Any order of replies is allowed (draft, section 3). But OpenSSH's clients up to 9.2 cut a file off where its
//! replies came out of order, and say nothing: no server that they were tried with does that. So calls on open
//! files are answered in their order. What names a path may wait for a person: it goes alone, and those go on
//! beside it.

use std::{collections::VecDeque, future::pending};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};

use super::Answer;
use crate::{
    daemon::door::agent::Mediator,
    domain::sftp::{Call, Extended},
};

/// Calls on open files that have no reply yet: fewer than go to the server at once, so that they go out in
/// the order in which they came.
const FLYING: usize = 48;
/// Calls that wait for one that names a path.
const HELD: usize = 64;

pub struct Calls<'m> {
    mediator: &'m Mediator,
    flying: FuturesOrdered<BoxFuture<'m, Answer>>,
    /// One that names a path, or changes what is open. Nothing beside it may change what it leads to.
    alone: Option<(Vec<u8>, BoxFuture<'m, Answer>)>,
    held: VecDeque<(u32, Call)>,
}

impl<'m> Calls<'m> {
    pub fn new(mediator: &'m Mediator) -> Self {
        Self { mediator, flying: FuturesOrdered::new(), alone: None, held: VecDeque::new() }
    }

    /// Whether one more can be taken.
    pub fn have_room(&self) -> bool {
        let waits = self.held.is_empty() || self.alone.is_some() && self.held.len() < HELD;
        waits && self.flying.len() < FLYING
    }

    pub fn are_done(&self) -> bool {
        self.flying.is_empty() && self.alone.is_none() && self.held.is_empty()
    }

    /// Begins a call, or holds it until what stands before it is done.
    pub fn take(&mut self, id: u32, call: Call) {
        match works_on(&call).is_some_and(|handles| !self.is_held_up(&handles)) {
            true => self.flying.push_back(self.answer(id, call)),
            false => self.held.push_back((id, call)),
        }
        self.go_on();
    }

    /// The next that is answered.
    pub async fn next(&mut self) -> Answer {
        let alone = async {
            match &mut self.alone {
                Some((_, answer)) => answer.await,
                None => pending().await,
            }
        };
        tokio::select! {
            Some(answer) = self.flying.next() => {
                self.go_on();
                answer
            }
            answer = alone => {
                self.alone = None;
                self.go_on();
                answer
            }
        }
    }

    /// Begins what nothing holds up any more.
    fn go_on(&mut self) {
        while self.alone.is_none() {
            match self.held.front() {
                Some((_, call)) if works_on(call).is_some() && self.flying.len() < FLYING => {
                    if let Some((id, call)) = self.held.pop_front() {
                        self.flying.push_back(self.answer(id, call));
                    }
                }
                // What was asked before it is to be done before it.
                Some(_) if self.flying.is_empty() => {
                    if let Some((id, call)) = self.held.pop_front() {
                        let changes = changes(&call).unwrap_or_default().to_vec();
                        self.alone = Some((changes, self.answer(id, call)));
                    }
                }
                _ => return,
            }
        }
    }

    /// Whether what comes before on one of these is not done yet.
    fn is_held_up(&self, handles: &[&[u8]]) -> bool {
        let alone = self.alone.as_ref().map(|(handle, _)| handle.as_slice());
        let before = self.held.iter().flat_map(|(_, call)| {
            works_on(call).unwrap_or_default().into_iter().chain(changes(call))
        });
        alone.into_iter().chain(before).any(|handle| handles.contains(&handle))
    }

    fn answer(&self, id: u32, call: Call) -> BoxFuture<'m, Answer> {
        let mediator = self.mediator;
        async move { (id, mediator.call(call).await) }.boxed()
    }
}

/// The open files that it works on, where it can go on beside others.
fn works_on(call: &Call) -> Option<Vec<&[u8]>> {
    match call {
        Call::Read { handle, .. }
        | Call::Write { handle, .. }
        | Call::Fstat { handle }
        | Call::Readdir { handle }
        | Call::Extended(Extended::Fstatvfs { handle } | Extended::Fsync { handle }) => {
            Some(vec![handle])
        }
        Call::Extended(Extended::CopyData { from, to, .. }) => Some(vec![from, to]),
        _ => None,
    }
}

/// The open file whose attributes it sets, which may be asked about; or which it closes: some clients (paramiko)
/// say so before they know what became of their writes, and what it overtakes would be lost.
fn changes(call: &Call) -> Option<&[u8]> {
    match call {
        Call::Fsetstat { handle, .. } | Call::Close { handle } => Some(handle),
        _ => None,
    }
}
