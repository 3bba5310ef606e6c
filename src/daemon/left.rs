//! What an earlier daemon that was killed left running: ended by the next connection to its target.

use std::sync::{Mutex, PoisonError};

use crate::domain::{id::Id, record::Opened, target::Route};

/// One command whose end was never recorded.
#[derive(Clone, Debug)]
pub struct Left {
    pub exec: Id,
    pub session: Option<Id>,
    pub marker: String,
    route: Route,
}

#[derive(Default)]
pub struct LeftRunning(Mutex<Vec<Left>>);

impl LeftRunning {
    /// From the intents without a result that the evidence found.
    pub fn new(unfinished: &[Opened]) -> Self {
        Self(Mutex::new(unfinished.iter().filter_map(left).collect()))
    }

    /// Takes what ran on the target that `route` leads to.
    pub fn take(&self, route: &Route) -> Vec<Left> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (there, elsewhere) =
            all.drain(..).partition(|left| left.route.target() == route.target());
        *all = elsewhere;
        there
    }
}

fn left(record: &Opened) -> Option<Left> {
    let route = serde_json::from_value(record.action.get("route")?.clone()).ok()?;
    let marker = record.action.get("marker")?.as_str()?.to_owned();
    Some(Left { exec: record.exec.clone()?, session: record.session.clone(), marker, route })
}
