//! Opening for a client of the SSH door: never emptied before it is known that the name still leads to what
//! was judged, and never made through a link.

use crate::{
    daemon::files::{
        client::changes, fault::Fault, leads_elsewhere, names::Holds, read::kind, resolve::resolved,
    },
    domain::sftp::{Attrs, Call, FileType, OpenFlags, Reply, Status, StatusCode},
    protocol::error::Failure,
};

use super::Relay;

/// How often it is begun where what is there changes meanwhile.
const TRIES: usize = 3;

impl Relay {
    /// Opens the canonical path as the client asked, in the order of `domain::guard::files`. What the server says
    /// against it is the client's.
    pub(super) async fn open(
        &self,
        held: &Holds,
        path: &[u8],
        flags: OpenFlags,
        attrs: Attrs,
    ) -> Result<Reply, Failure> {
        for left in (0..TRIES).rev() {
            let before = match self.send_now(Call::Lstat { path: path.to_vec() }).await? {
                Reply::Attrs(attrs) => Some(attrs),
                Reply::Status(Status { code: StatusCode::NoSuchFile, .. }) => None,
                refused => return Ok(refused),
            };
            match before.as_ref().map(Attrs::file_type) {
                None | Some(Some(FileType::File | FileType::Directory) | None) => {}
                Some(Some(FileType::Link)) => return Err(leads_elsewhere(path)),
                // A pipe would hold up whoever opens it, a device may do anything.
                Some(Some(_)) => return Err(kind(path, "is no ordinary file", "sgw files stat")),
            }
            let careful = flags.careful(before.is_some());
            let opening = Call::Open { path: path.to_vec(), flags: careful, attrs: attrs.clone() };
            // Where it makes a file it makes it there.
            let under_way = match changes(&opening) {
                true => Some(held.sends(self.sftp.settles())?),
                false => None,
            };
            let reply = self.send_now(opening).await?;
            drop(under_way);
            let handle = match reply {
                Reply::Handle(handle) => handle,
                // It came to be there meanwhile.
                Reply::Status(Status { code: StatusCode::Failure, .. })
                    if careful.has(OpenFlags::EXCLUSIVE)
                        && !flags.has(OpenFlags::EXCLUSIVE)
                        && left > 0 =>
                {
                    continue;
                }
                refused => return Ok(refused),
            };
            // From here on something is open there: it is not begun anew where the operator comes in between.
            self.session.keyboard.agents().await;
            let opened = match self.still_leads(path, &handle, before.as_ref()).await {
                Ok(()) if flags.has(OpenFlags::TRUNCATE) && before.is_some() => {
                    self.emptied(&handle).await
                }
                Ok(()) => Ok(None),
                Err(fault) => Err(fault.at("opening", path)),
            };
            let opened = opened.map_err(|failure| failure.sent(true));
            return match opened {
                Ok(None) => Ok(Reply::Handle(handle)),
                not => {
                    let _closed = self.send(Call::Close { handle }).await;
                    not.map(|refused| {
                        refused.unwrap_or_else(|| Reply::status(StatusCode::Failure, ""))
                    })
                }
            };
        }
        Err(leads_elsewhere(path))
    }

    /// What was opened is what was judged, and is what was there.
    async fn still_leads(
        &self,
        path: &[u8],
        handle: &[u8],
        before: Option<&Attrs>,
    ) -> Result<(), Fault> {
        let handle = handle.to_vec();
        let (leads, now) = tokio::join!(resolved(&self.sftp, path), self.sftp.fstat(&handle));
        let (leads, now) = (leads?, now?);
        let same = match before {
            Some(before) => before.file_type() == now.file_type() && before.owner == now.owner,
            None => matches!(now.file_type(), Some(FileType::File) | None),
        };
        match leads == path && same {
            true => Ok(()),
            false => Err(leads_elsewhere(path).into()),
        }
    }

    /// What the server says against it.
    async fn emptied(&self, handle: &[u8]) -> Result<Option<Reply>, Failure> {
        let attrs = Attrs { size: Some(0), ..Attrs::default() };
        match self.send(Call::Fsetstat { handle: handle.to_vec(), attrs }).await? {
            Reply::Status(Status { code: StatusCode::Ok, .. }) => Ok(None),
            refused => Ok(Some(refused)),
        }
    }
}
