//! SFTP on a client's channel: whole packets in, each call judged; replies out in the order of the calls.
//!
//! Any order is allowed (draft, section 3). But OpenSSH's clients up to 9.2 cut a file off where its replies
//! came out of order, and say nothing: no server that they were tried with does that.

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};

use super::{
    command::{Channel, Gone},
    inbox::PIECE,
};
use crate::{
    daemon::door::agent::Mediator,
    domain::sftp::{Call, Cutter, FromClient, FromServer, Malformed, Reply, StatusCode, VERSION},
    protocol::error::{Class, Code, Failure},
};

/// Calls on open files that have no reply yet: fewer than go to the server at once, so that they go out in
/// the order in which they came.
const FLYING: usize = 48;

type Answer = (u32, Result<Reply, Failure>);

impl Channel {
    /// From the client's first packet to its end.
    pub async fn run_sftp(self) {
        let ended = match self.bridge.sftp().await {
            Ok(mediator) => tokio::select! {
                ended = self.mediate(&mediator) => ended,
                () = self.gone.cancelled() => Err(Gone),
            },
            Err(failure) => self.end_with(&failure).await,
        };
        self.inbox.close();
        if ended.is_err() {
            // A client that closed the channel alone wants the same of us.
            let _gone = self.close().await;
        }
    }

    async fn mediate(&self, mediator: &Mediator) -> Result<(), Gone> {
        let mut cutter = Cutter::default();
        let mut flying = FuturesOrdered::<BoxFuture<'_, Answer>>::new();
        let mut ended = false;
        loop {
            let packet = match flying.len() < FLYING {
                true => next(&mut cutter),
                false => Ok(None),
            };
            match packet {
                Ok(Some(FromClient::Init { .. })) => {
                    let extensions = mediator.extensions().clone();
                    let version = FromServer::Version { version: VERSION, extensions };
                    self.to.data_bytes(version.to_wire()).await.map_err(|_| Gone)?;
                    continue;
                }
                Ok(Some(FromClient::Call { id, call })) if mediator.is_opened(&call) => {
                    flying.push_back(answer(mediator, id, call).boxed());
                    continue;
                }
                Ok(Some(FromClient::Call { id, call })) => {
                    // What names a path goes alone: nothing beside it may change what it leads to.
                    while let Some(answer) = flying.next().await {
                        self.reply(answer).await?;
                    }
                    self.reply(answer(mediator, id, call).await).await?;
                    continue;
                }
                Ok(None) => {}
                Err(malformed) => return self.end_with(&odd(malformed)).await,
            }
            if ended && flying.is_empty() {
                if !cutter.is_clear() {
                    return self.end_with(&odd(Malformed::Cut)).await;
                }
                let told = self.handle.exit_status_request(self.to.id(), 0).await;
                told.map_err(|()| Gone)?;
                return self.close().await;
            }
            tokio::select! {
                Some(answer) = flying.next() => self.reply(answer).await?,
                piece = self.inbox.next(PIECE), if !ended && flying.len() < FLYING => match piece {
                    Some(piece) => cutter.feed(&piece),
                    None => ended = true,
                },
            }
        }
    }

    /// The server's reply as it is; of what sgw refuses a status, and its sentence on stderr, which is where
    /// a person sees it.
    async fn reply(&self, (id, outcome): Answer) -> Result<(), Gone> {
        let reply = match outcome {
            Ok(reply) => reply,
            Err(failure) => {
                if let Class::No | Class::NotYet = failure.code.class()
                    && failure.code != Code::FilesDenied
                {
                    self.say_failure(&failure).await?;
                }
                Reply::status(status(failure.code), &failure.message)
            }
        };
        self.to.data_bytes(reply.to_wire(id)).await.map_err(|_| Gone)
    }
}

fn next(cutter: &mut Cutter) -> Result<Option<FromClient>, Malformed> {
    cutter.next_packet()?.map(|raw| FromClient::parse(&raw)).transpose()
}

async fn answer(mediator: &Mediator, id: u32, call: Call) -> Answer {
    (id, mediator.call(call).await)
}

fn status(code: Code) -> StatusCode {
    match code {
        Code::FilesNotFound => StatusCode::NoSuchFile,
        Code::FilesDenied => StatusCode::PermissionDenied,
        Code::FilesUnsupported => StatusCode::Unsupported,
        Code::SessionLost => StatusCode::ConnectionLost,
        code => match code.class() {
            Class::No | Class::NotYet => StatusCode::PermissionDenied,
            _ => StatusCode::Failure,
        },
    }
}

fn odd(malformed: Malformed) -> Failure {
    let message = format!("what the client sent is no SFTP: {malformed}");
    Failure::new(Code::UsageFrame, message, "use another client")
}
