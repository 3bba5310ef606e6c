//! SFTP on a client's channel: whole packets in, each call judged, replies out.

mod calls;

use self::calls::Calls;
use super::{
    command::{Channel, Gone},
    inbox::PIECE,
};
use crate::{
    daemon::door::agent::Mediator,
    domain::sftp::{Cutter, FromClient, FromServer, Malformed, Reply, StatusCode, VERSION},
    protocol::error::{Class, Code, Failure},
};

/// How a call went; the number is the client's.
type Answer = (u32, Result<Reply, Failure>);

impl Channel {
    /// From the client's first packet to its end.
    pub async fn run_sftp(self) {
        let ended = match self.bridge.sftp().await {
            Ok(mediator) => tokio::select! {
                ended = self.mediate(&mediator) => ended,
                never = self.tell_holds(|| true) => match never {},
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
        let mut calls = Calls::new(mediator, self.inbox.budget());
        let mut ended = false;
        loop {
            let packet = match calls.have_room() {
                true => next(&mut cutter),
                false => Ok(None),
            };
            match packet {
                Ok(Some(FromClient::Init { .. })) => {
                    let extensions = mediator.extensions();
                    let version = FromServer::Version { version: VERSION, extensions };
                    self.to.data_bytes(version.to_wire()).await.map_err(|_| Gone)?;
                    continue;
                }
                Ok(Some(FromClient::Call { id, call })) => {
                    calls.take(id, call);
                    continue;
                }
                Ok(None) => {}
                Err(malformed) => return self.end_with(&odd(malformed)).await,
            }
            if ended && calls.are_done() {
                if !cutter.is_clear() {
                    return self.end_with(&odd(Malformed::Cut)).await;
                }
                let told = self.handle.exit_status_request(self.to.id(), 0).await;
                told.map_err(|()| Gone)?;
                return self.close().await;
            }
            tokio::select! {
                answer = calls.next(), if !calls.are_done() => self.reply(answer).await?,
                piece = self.inbox.next(PIECE), if !ended && calls.have_room() => match piece {
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
