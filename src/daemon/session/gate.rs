//! Whether what an agent sends goes on to a server: not while the operator has the keyboard, nor while they have
//! paused it. Asked at each write; what may not go is held by whoever has it, and goes on afterwards.

use std::sync::Arc;

use super::keyboard::Keyboard;
use crate::{
    daemon::desk::Pauses,
    domain::{id::Id, identity::Identity},
};

/// What each write of one session's agent passes.
pub struct Gate {
    pub(super) pauses: Arc<Pauses>,
    pub(super) keyboard: Arc<Keyboard>,
    pub(super) session: Id,
    pub(super) owner: Identity,
    /// What a pause can call the session.
    pub(super) names: Vec<String>,
}

/// It was shut, or came to be while something was written; what went until then is known to whoever wrote.
#[derive(Debug)]
pub struct Shut;

impl Gate {
    pub fn is_open(&self) -> bool {
        !self.is_paused() && self.keyboard.control().is_agents()
    }

    /// Comes when it is open.
    pub async fn opens(&self) {
        while !self.is_open() {
            self.keyboard.agents().await;
            self.goes_on().await;
        }
    }

    /// Comes when it is paused.
    pub async fn paused(&self) {
        self.comes_to_be(true).await;
    }

    /// Comes when it is not.
    pub async fn goes_on(&self) {
        self.comes_to_be(false).await;
    }

    /// Performs a write of the agent's. Where the gate shuts meanwhile, `writing` is dropped where it waits.
    pub async fn pass<T>(&self, writing: impl Future<Output = T>) -> Result<T, Shut> {
        tokio::select! {
            biased;
            () = self.paused() => Err(Shut),
            written = self.keyboard.write(&self.session, writing) => written.map_err(|_taken| Shut),
        }
    }

    fn is_paused(&self) -> bool {
        self.pauses.check(&self.owner, &self.names).is_err()
    }

    async fn comes_to_be(&self, paused: bool) {
        loop {
            let changed = self.pauses.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_paused() == paused {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Kind;

    fn gate() -> Gate {
        Gate {
            pauses: Arc::default(),
            keyboard: Arc::default(),
            session: Id::from_number(Kind::Session, 1),
            owner: Identity { uid: 1, token: None },
            names: vec!["web1".to_owned()],
        }
    }

    #[tokio::test]
    async fn it_shuts_by_either_and_opens_when_neither_holds() {
        let gate = gate();
        assert_eq!(gate.pass(async { 7 }).await.unwrap(), 7);
        gate.pauses.pause(Some("web1".to_owned())).unwrap();
        assert!(!gate.is_open() && gate.pass(async {}).await.is_err());
        gate.keyboard.take().await.unwrap();
        gate.pauses.resume(None).unwrap();
        assert!(!gate.is_open() && gate.pass(async {}).await.is_err());
        gate.keyboard.give_back(None);
        gate.opens().await;
        gate.pass(async {}).await.unwrap();
        gate.pauses.pause(Some("uid:2".to_owned())).unwrap();
        assert!(gate.is_open(), "another's");
    }

    #[tokio::test]
    async fn what_waits_when_it_shuts_is_not_written_any_more() {
        let gate = Arc::new(gate());
        let waits = gate.clone();
        let waiting =
            tokio::spawn(async move { waits.pass(std::future::pending::<()>()).await.is_err() });
        let opens = gate.clone();
        tokio::task::yield_now().await;
        gate.pauses.pause(None).unwrap();
        assert!(waiting.await.unwrap());
        let opening = tokio::spawn(async move { opens.opens().await });
        tokio::task::yield_now().await;
        assert!(!opening.is_finished());
        gate.pauses.resume(None).unwrap();
        opening.await.unwrap();
    }
}
