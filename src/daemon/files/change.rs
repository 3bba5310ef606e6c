//! Making, moving, removing, rights and links.

use futures::{StreamExt, stream::FuturesUnordered};

use super::{
    Run,
    fault::Fault,
    names::Holds,
    read::kind,
    resolve::{join, resolved, split},
    write::{beside, exists},
};
use crate::{
    domain::{
        bytes::Bytes,
        escape,
        sftp::{Attrs, Call, FileType, Name},
    },
    protocol::{
        error::{Code, Failure},
        files::Done,
    },
};

/// Directories within each other that are removed at most.
const DEPTH: usize = 512;
/// Bytes of their paths that are kept at once.
const MOST: usize = 32 * 1024 * 1024;

impl Run<'_> {
    /// The directory of a path is still where it was resolved to: last thing before something is done there.
    pub(super) async fn stays(&self, at: &[u8]) -> Result<(), Failure> {
        let Some((directory, _)) = split(at) else { return Ok(()) };
        let failed = |fault: Fault| fault.at("resolving", directory);
        match resolved(&self.sftp, directory).await.map_err(failed)? == directory {
            true => Ok(()),
            false => Err(super::leads_elsewhere(at)),
        }
    }

    pub(super) async fn make_directory(
        &self,
        parents: bool,
        mode: Option<u32>,
    ) -> Result<Done, Failure> {
        let at = self.at(0);
        if parents && let Some((above, _)) = split(at) {
            self.make_directories(above).await?;
        }
        let still = self.still().await?;
        self.stays(at).await?;
        let failed = |fault: Fault| fault.at("making", at);
        match self.sftp.lstat_if(at).await.map_err(failed)? {
            Some(there) if parents && there.file_type() == Some(FileType::Directory) => {
                return Ok(changed(at, true));
            }
            Some(_) => return Err(exists(at)),
            None => {}
        }
        let _sent = still.sends(self.settles())?;
        let attrs = mode.map(Attrs::with_permissions).unwrap_or_default();
        let call = Call::Mkdir { path: at.to_vec(), attrs };
        self.sftp.done(call).await.map_err(failed)?;
        if let Some(mode) = mode {
            // The server's umask took its part.
            let attrs = Attrs::with_permissions(mode);
            let call = Call::Setstat { path: at.to_vec(), attrs };
            self.sftp.done(call).await.map_err(failed)?;
        }
        Ok(changed(at, false))
    }

    /// It and those above it, where they are missing.
    pub(super) async fn make_directories(&self, at: &[u8]) -> Result<(), Failure> {
        let still = self.still().await?;
        let mut missing = Vec::new();
        let mut above = at;
        loop {
            let failed = |fault: Fault| fault.at("making", above);
            match self.sftp.lstat_if(above).await.map_err(failed)?.map(|attrs| attrs.file_type()) {
                Some(Some(FileType::Directory) | None) => break,
                Some(_) => return Err(kind(above, "is no directory", "sgw files stat")),
                None => missing.push(above),
            }
            let Some((directory, _)) = split(above) else { break };
            above = directory;
        }
        if !missing.is_empty() {
            let failed = |fault: Fault| fault.at("making", above);
            if resolved(&self.sftp, above).await.map_err(failed)? != above {
                return Err(super::leads_elsewhere(above));
            }
        }
        for path in missing.into_iter().rev() {
            let _sent = still.sends(self.settles())?;
            let call = Call::Mkdir { path: path.to_vec(), attrs: Attrs::default() };
            self.sftp.done(call).await.map_err(|fault| fault.at("making", path))?;
        }
        Ok(())
    }

    pub(super) async fn rename(&self, replace: bool) -> Result<Done, Failure> {
        let (from, to) = (self.at(0), self.at(1));
        let turning = self.turning(from).await?;
        self.stays(to).await?;
        let failed = |fault: Fault| fault.at("moving", from);
        let old = self.sftp.lstat(from).await.map_err(failed)?;
        let there = self.sftp.lstat_if(to).await.map_err(failed)?;
        let is_directory = |attrs: &Attrs| attrs.file_type() == Some(FileType::Directory);
        self.check_shown(0, Some(&old)).await?;
        self.check_shown(1, there.as_ref()).await?;
        let _sent = turning.sends(self.settles())?;
        match &there {
            Some(_) if !replace => return Err(exists(to)),
            Some(there) if is_directory(there) != is_directory(&old) => {
                let what = if is_directory(there) { "is a directory" } else { "is no directory" };
                return Err(kind(to, what, "sgw files ls"));
            }
            Some(_) => {
                let aside = beside(to, "old").map_err(failed)?;
                self.sftp.replace(from, to, &aside).await.map_err(failed)?;
            }
            None => self.sftp.rename(from, to).await.map_err(failed)?,
        }
        Ok(changed(to, false))
    }

    pub(super) async fn remove(&self, recursive: bool) -> Result<Done, Failure> {
        let at = self.at(0);
        // What a person's yes is for is nothing else when it is removed.
        let held = match self.replaced(0) {
            Some(_) => Holds::Alone(self.alone().await?),
            None => Holds::Still(self.still().await?),
        };
        self.stays(at).await?;
        let failed = |fault: Fault| fault.at("removing", at);
        let there = self.sftp.lstat(at).await.map_err(failed)?;
        self.check_shown(0, Some(&there)).await?;
        let removing = match there.file_type() {
            Some(FileType::Directory) if recursive => {
                // Looked at again directory by directory: others need not wait for all of it.
                held.lasts()?;
                drop(held);
                self.remove_tree(at).await
            }
            Some(FileType::Directory) => {
                return Err(kind(at, "is a directory: -r removes it", "sgw files ls"));
            }
            _ => {
                let _sent = held.sends(self.settles())?;
                self.sftp.done(Call::Remove { path: at.to_vec() }).await
            }
        };
        removing.map_err(failed)?;
        Ok(changed(at, false))
    }

    /// What is in it first. Links are removed, not followed.
    pub(super) async fn remove_tree(&self, top: &[u8]) -> Result<(), Fault> {
        // Each a directory, how deep it lies, and whether what is in it is gone.
        let mut path = vec![(top.to_vec(), 0, false)];
        let mut bytes = top.len();
        while let Some((directory, depth, empty)) = path.pop() {
            bytes = bytes.saturating_sub(directory.len());
            if empty {
                let still = self.still().await?;
                self.leads_to_itself(&directory).await?;
                let _sent = still.sends(self.settles())?;
                self.sftp.done(Call::Rmdir { path: directory }).await?;
                continue;
            }
            if depth > DEPTH {
                return Err(Fault::Told(too_deep(&directory)));
            }
            let below = self.remove_files(&directory, MOST.saturating_sub(bytes)).await?;
            bytes += directory.len() + below.iter().map(Vec::len).sum::<usize>();
            path.push((directory, depth, true));
            path.extend(below.into_iter().map(|directory| (directory, depth + 1, false)));
        }
        Ok(())
    }

    /// All but directories, which are given back: so many bytes of their paths at most.
    async fn remove_files(&self, directory: &[u8], most: usize) -> Result<Vec<Vec<u8>>, Fault> {
        let handle = self.sftp.open_directory(directory).await?;
        let removed = async {
            let (mut below, mut bytes) = (Vec::new(), 0);
            while let Some(names) = self.sftp.read_directory(&handle).await? {
                // What it was when its parent was read, or a moment ago, it may not be any more.
                let still = self.still().await?;
                self.leads_to_itself(directory).await?;
                let _sent = still.sends(self.settles())?;
                let (mut flying, mut fault) = (FuturesUnordered::new(), None);
                for name in &names {
                    flying.push(self.remove_one(directory, name));
                }
                // To the last of them, also where one fails: names are not let go before.
                while let Some(one) = flying.next().await {
                    match one {
                        Ok(None) => {}
                        Ok(Some(one)) => {
                            bytes += one.len();
                            below.push(one);
                        }
                        Err(why) => fault = fault.or(Some(why)),
                    }
                }
                if let Some(fault) = fault {
                    return Err(fault);
                }
                if bytes > most {
                    return Err(Fault::Odd("more directories than can be removed at once"));
                }
            }
            Ok(below)
        };
        let removed = removed.await;
        let _closed = self.sftp.close(handle).await;
        removed
    }

    /// A path without links still is one.
    pub(super) async fn leads_to_itself(&self, at: &[u8]) -> Result<(), Fault> {
        match resolved(&self.sftp, at).await? == at {
            true => Ok(()),
            false => Err(Fault::Told(super::leads_elsewhere(at))),
        }
    }

    async fn remove_one(&self, directory: &[u8], name: &Name) -> Result<Option<Vec<u8>>, Fault> {
        let Some(own) = name.entry() else { return Ok(None) };
        let at = join(directory, own);
        let r#type = match name.attrs.file_type() {
            Some(known) => Some(known),
            None => self.sftp.lstat(&at).await?.file_type(),
        };
        if r#type == Some(FileType::Directory) {
            return Ok(Some(at));
        }
        match self.sftp.done(Call::Remove { path: at }).await {
            Err(fault) if !fault.is_not_found() => Err(fault),
            _ => Ok(None),
        }
    }

    pub(super) async fn set_mode(&self, mode: u32) -> Result<Done, Failure> {
        let at = self.at(0);
        let failed = |fault: Fault| fault.at("changing the rights of", at);
        let still = self.still().await?;
        self.leads_to_itself(at).await.map_err(failed)?;
        let there = self.sftp.lstat(at).await.map_err(failed)?;
        if there.file_type() == Some(FileType::Link) {
            return Err(super::leads_elsewhere(at));
        }
        let already = there.mode() == Some(mode);
        if !already {
            let _sent = still.sends(self.settles())?;
            let attrs = Attrs::with_permissions(mode);
            let call = Call::Setstat { path: at.to_vec(), attrs };
            self.sftp.done(call).await.map_err(failed)?;
        }
        Ok(changed(at, already))
    }

    pub(super) async fn link(&self, target: &[u8]) -> Result<Done, Failure> {
        let at = self.at(0);
        let turning = self.turning(at).await?;
        let failed = |fault: Fault| fault.at("linking", at);
        if let Some(there) = self.sftp.lstat_if(at).await.map_err(failed)? {
            let is_link = there.file_type() == Some(FileType::Link);
            if is_link && self.sftp.readlink(at).await.map_err(failed)? == target {
                return Ok(changed(at, true));
            }
            return Err(exists(at));
        }
        let _sent = turning.sends(self.settles())?;
        let call = Call::Symlink { holds: target.to_vec(), link: at.to_vec() };
        self.sftp.done(call).await.map_err(failed)?;
        Ok(changed(at, false))
    }

    pub(super) async fn space(&self) -> Result<Done, Failure> {
        let at = self.at(0);
        let failed = |fault: Fault| fault.at("looking at", at);
        let _still = self.still().await?;
        self.leads_to_itself(at).await.map_err(failed)?;
        let state = self.sftp.file_system(at).await.map_err(failed)?;
        let bytes = |blocks: u64| blocks.saturating_mul(state.fragment_size);
        Ok(Done::Space {
            path: Bytes(at.to_vec()),
            size: bytes(state.blocks),
            used: bytes(state.blocks.saturating_sub(state.free)),
            available: bytes(state.available),
            files: state.files,
            files_available: state.files_available,
            read_only: state.flags & 1 != 0,
        })
    }
}

fn too_deep(at: &[u8]) -> Failure {
    // So long a path says nothing at its end.
    let shown = escape::exact(at, 300);
    let message = format!("more than {DEPTH} directories lie within each other: {shown}");
    let hint = "remove the inner ones first, or use a command for it: sgw exec SESSION -- rm -r …";
    Failure::new(Code::FilesFailed, message, hint).sent(true)
}

fn changed(at: &[u8], already: bool) -> Done {
    Done::Changed { path: Bytes(at.to_vec()), already }
}
