//! Requests that are like each other share a line of the queue.

use super::state::Desk;
use crate::protocol::view::{Kind, Request};

/// A line of the queue.
pub struct Fold<'d> {
    /// The marked one where it is among them, else the oldest.
    pub shown: &'d Request,
    pub members: Vec<&'d Request>,
    /// Which of them is shown, from 1.
    pub place: usize,
    pub marked: bool,
}

/// The same thing in the same words, by the same identity, in the same place.
pub fn alike(one: &Request, other: &Request) -> bool {
    let place = |request: &Request| (request.target.clone(), request.session.clone());
    // What differs in plans is not in the list.
    one.kind != Kind::Plan
        && one.kind == other.kind
        && one.identity == other.identity
        && place(one) == place(other)
        && one.command == other.command
        && one.reason == other.reason
}

/// The lines of the queue, oldest first.
pub fn folds(desk: &Desk) -> Vec<Fold<'_>> {
    let mut folds: Vec<Fold<'_>> = Vec::new();
    for request in &desk.waiting {
        let marked = desk.mark.as_ref() == Some(&request.id);
        match folds.iter_mut().find(|fold| alike(fold.members[0], request)) {
            Some(fold) => {
                fold.members.push(request);
                if marked {
                    (fold.shown, fold.place, fold.marked) = (request, fold.members.len(), true);
                }
            }
            None => {
                let members = vec![request];
                folds.push(Fold { shown: request, members, place: 1, marked });
            }
        }
    }
    folds
}

impl Desk {
    /// The request behind the marked one, around the end; within its line first.
    pub(super) fn next_request(&self) -> Option<String> {
        let folds = folds(self);
        let all: Vec<&Request> = folds.iter().flat_map(|fold| fold.members.clone()).collect();
        let at = all.iter().position(|one| self.mark.as_ref() == Some(&one.id))?;
        all.get((at + 1) % all.len()).map(|one| one.id.clone())
    }

    /// The line `steps` away, as far as there is one.
    pub(super) fn other_line(&self, steps: isize) -> Option<String> {
        let folds = folds(self);
        let at = folds.iter().position(|fold| fold.marked)?;
        let to = at.saturating_add_signed(steps).min(folds.len() - 1);
        folds.get(to).filter(|_| to != at).map(|fold| fold.shown.id.clone())
    }
}
