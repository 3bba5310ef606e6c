//! Refusals of commands: counted where they happen, so that an agent that goes on trying is stopped.

use super::Parts;
use crate::{
    daemon::audit,
    domain::{id::Id, record::Kind},
};

impl Parts {
    /// Counts a refusal in a session, and puts its pause on record where it was one too many.
    pub async fn refused(&self, session: &Id) {
        if !self.desk.refused(session) {
            return;
        }
        tracing::info!(%session, "paused: too many refusals");
        let (evidence, who) = (&self.evidence, "sgw");
        // It is stopped, on record or not.
        if let Err(failure) =
            audit::paused(evidence, Kind::Paused, who, Some(session.as_str())).await
        {
            tracing::error!(code = %failure.code, "a pause was not recorded");
        }
    }
}
