//! A session whose connection was lost, and whose login needs a person: whoever wants to work in it
//! asks for the login first, and waits for it.

use tokio::time::Instant;

use super::Caller;
use crate::{
    daemon::{desk::Ground, session::Session},
    domain::{action::Login, capability::Capability, id::Id},
    protocol::{
        error::{Code, Failure},
        view,
    },
};

impl Caller {
    /// Returns when the session has a connection, or can make one by itself; at `over` at the latest.
    ///
    /// # Errors
    /// Nobody logged in. Nothing was sent to the target.
    pub(super) async fn logged_in(
        &self,
        number: u32,
        session: &Session,
        needs: Capability,
        no_ask: bool,
        over: Option<Instant>,
    ) -> Result<(), Failure> {
        if !session.pool.needs_login() {
            return Ok(());
        }
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        let login = Login { session: session.id.clone() };
        let asked = self.parts.desk.ask_login(&self.asker, &ground, login, needs, no_ask);
        let (id, new) = asked.map_err(|failure| failure.sent(false))?;
        if new {
            self.announce(&id).await.map_err(|failure| failure.sent(false))?;
        }
        self.say_waiting(number, &id, view::Kind::Login).await;
        let left = over.map(|over| over.saturating_duration_since(Instant::now()));
        match self.parts.desk.wait(self.identity(), &id, left).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(not_sent(failure, &id)),
        }
    }
}

fn not_sent(failure: Failure, id: &Id) -> Failure {
    match failure.code {
        Code::RequestPending => Failure {
            message: format!(
                "the connection was lost, and only a person can log in again: {id} waits for the \
                 operator; the command was not sent: run it again afterwards"
            ),
            hint: format!("sgw wait {id}"),
            ..failure
        },
        _ => failure,
    }
    .sent(false)
}
