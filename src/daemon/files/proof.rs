//! What gets a name is what was written: looked at once more before it is renamed, by its handle and by its name.

use sha2::{Digest, Sha256};

use super::{
    Run,
    calls::Handle,
    fault::Fault,
    read::{Pieces, open},
};
use crate::{
    domain::{escape, sftp::Attrs},
    protocol::error::{Code, Failure},
};

impl Run<'_> {
    /// Closes what was written, where its name is still its own. Last thing before that name is another, with the
    /// account's names held.
    pub(super) async fn close_as(&self, handle: Handle, name: &[u8]) -> Result<(), Fault> {
        let (written, named) = tokio::join!(self.sftp.fstat(&handle), self.sftp.lstat(name));
        self.sftp.close(handle).await?;
        match is_same(&written?, &named?) {
            true => Ok(()),
            false => Err(not_ours(name).into()),
        }
    }

    /// What has the name holds what was said yes to: read back. What this account may write and not read is
    /// known by its handle alone.
    pub(super) async fn check_holds(&self, name: &[u8], size: u64, sum: &str) -> Result<(), Fault> {
        let open = match open(&self.sftp, name).await {
            Ok(open) => open,
            Err(failure) if failure.code == Code::FilesDenied => return Ok(()),
            Err(failure) => return Err(failure.into()),
        };
        let read = async {
            let (mut hash, mut length) = (Sha256::new(), 0);
            let mut pieces = Pieces::new(&self.sftp, &open, 0, Some(size.saturating_add(1)));
            while let Some(piece) = pieces.next().await? {
                length += piece.len() as u64;
                hash.update(&piece);
            }
            Ok((length, hex::encode(hash.finalize())))
        };
        let read: Result<_, Fault> = read.await;
        let _closed = self.sftp.close(open.handle).await;
        match read? {
            (length, found) if length == size && found.eq_ignore_ascii_case(sum) => Ok(()),
            _ => Err(not_ours(name).into()),
        }
    }
}

pub(super) fn is_same(written: &Attrs, named: &Attrs) -> bool {
    let seen = |attrs: &Attrs| {
        (attrs.size, attrs.owner, attrs.permissions, attrs.times.map(|times| times.1))
    };
    seen(written) == seen(named)
}

fn not_ours(name: &[u8]) -> Failure {
    let shown = escape::exact(name, 300);
    let message = format!("{shown} is not what sgw wrote there; nothing is in its place");
    let hint = "somebody changes files there meanwhile: sgw files stat SESSION PATH shows it";
    Failure::new(Code::FilesChanged, message, hint).sent(true)
}
