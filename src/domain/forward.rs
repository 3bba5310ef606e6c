//! A forward that somebody asks for: what is judged, approved and recorded of it.

use super::{
    digest::{Digest, Digester},
    guard::forward::Way,
    id::Id,
    identity::Identity,
    judgement::Judgement,
};

/// One connection through a session's server, or listening there.
#[derive(Clone, Debug)]
pub struct Forward {
    pub session: Id,
    pub way: Way,
    /// What the guard said of [`Forward::line`].
    pub judged: Judgement,
    /// Requests whose yes was kept for the session, and let it pass.
    pub passed_by: Vec<Id>,
}

impl Forward {
    /// The bytes that are judged.
    pub fn line(way: &Way) -> Vec<u8> {
        format!("forward {way}").into_bytes()
    }

    pub fn sameness(&self, identity: &Identity) -> Digest {
        self.fields(Digester::new("forward"), identity).finish()
    }

    /// `place` is the session's route, host keys and account, as the session holds them.
    pub fn digest(
        &self,
        identity: &Identity,
        request: &Id,
        until: jiff::Timestamp,
        place: &str,
    ) -> Digest {
        let head = Digester::new("forward request").text("id", request).text("until", until);
        self.fields(self.judged.bind(head).text("place", place), identity).finish()
    }

    fn fields(&self, digester: Digester, identity: &Identity) -> Digester {
        let [direction, end] = self.way.words();
        digester
            .text("identity", identity)
            .text("session", &self.session)
            .text("direction", direction)
            .text("end", end)
    }
}
