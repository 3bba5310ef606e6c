//! A connection that an SSH client gets: frames until the daemon's answer, and not a byte read beyond it.

use tokio::{io::AsyncWriteExt, net::UnixStream, time::timeout};

use super::{
    Error, Place,
    connection::{TOKEN, WELCOME, message, read_welcome},
};
use crate::{
    domain::secret::Secret,
    home::service::AGENT,
    protocol::{
        agent::{Message, Request},
        frame::{self, Frame, Kind},
        hello::Hello,
        ssh,
    },
};

impl Place {
    /// The way in for an SSH client; `waiting` hears the id of what a person is asked. From here on the
    /// stream is SSH's.
    pub async fn bridge(
        &self,
        token: Option<Secret<String>>,
        asked: ssh::Bridge,
        mut waiting: impl FnMut(&Message),
    ) -> Result<UnixStream, Error> {
        let mut stream = self.connect(AGENT).await?;
        if let Some(token) = &token {
            let mut body = TOKEN.to_be_bytes().to_vec();
            body.extend_from_slice(token.expose().as_bytes());
            // The frame wipes its body when it is dropped.
            frame::write(&mut stream, &Frame { kind: Kind::Secret, request: 0, body }).await?;
        }
        let hello = Hello { token: token.as_ref().map(|_| TOKEN), ..Hello::new() };
        let mut both = Vec::new();
        frame::write(&mut both, &Frame::json(0, &hello)?).await?;
        frame::write(&mut both, &Frame::json(1, &Request::Bridge(asked))?).await?;
        // A daemon that refuses says so, and is read below.
        let _refused = stream.write_all(&both).await;
        let welcome = timeout(WELCOME, frame::read(&mut stream)).await;
        let welcome = welcome.map_err(|_| Error::Silent)??.ok_or(Error::Lost)?;
        read_welcome(&welcome)?;
        loop {
            let frame = frame::read(&mut stream).await?.ok_or(Error::Lost)?;
            match message(&frame)? {
                Message::Done { .. } => return Ok(stream),
                Message::Error(failure) => return Err(failure.into()),
                other => waiting(&other),
            }
        }
    }
}
