//! What a program of the server's will find: its paths resolved, and the files that lie beneath those which it
//! reads, so that each can be held to the rules for paths.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::timeout;

use super::{
    Files, Resolved,
    client::Sftp,
    fault::Fault,
    resolve::{self, join},
    room::LISTED,
};
use crate::{
    daemon::{desk::Permit, session::Session},
    domain::{
        escape,
        files::{Look, Operation, Way},
        served::{Kind, Program, Served},
        sftp::{FileType, Status, StatusCode},
    },
    protocol::error::{Code, Failure},
};

/// The most names that are looked at.
const NAMES: usize = 20_000;
/// … and for how long.
const LOOKING: Duration = Duration::from_secs(30);
/// Directories that are listed at once.
const AT_ONCE: usize = 16;

impl Files {
    /// As [`Files::resolve`]; behind the paths of the program stand the files beneath those that it reads.
    pub async fn resolve_served(
        &self,
        session: &Arc<Session>,
        permit: Permit<Look>,
        operation: &Operation,
        served: &Served,
    ) -> Result<Resolved, Failure> {
        let Resolved { mut at, home, .. } =
            self.resolve(session, permit, operation, Way::Sftp).await?;
        let sftp = self.sftp(session).await?;
        for (named, at) in served.paths().iter().zip(&mut at) {
            if named.kind == Kind::Repository {
                *at = repository(&sftp, at).await.map_err(|fault| fault.at("finding", at))?;
            }
        }
        let looks = match served.program() {
            Program::Rsync => served.reads(),
            Program::Scp => true,
            Program::Fetch | Program::Push => false,
        };
        let mut found = Vec::new();
        for top in at.iter().filter(|_| looks) {
            let search = Search { sftp: &sftp, served, most: NAMES - found.len() };
            let looking = timeout(LOOKING, search.beneath(top)).await;
            let files = looking.map_err(|_| too_much(top))?;
            found.extend(files.map_err(|fault| fault.at("looking beneath", top))?);
        }
        at.extend(found);
        Ok(Resolved { at, seen: Vec::new(), home, leads: Vec::new() })
    }
}

/// As git looks for it.
async fn repository(sftp: &Sftp, at: &[u8]) -> Result<Vec<u8>, Fault> {
    match sftp.stat(at).await {
        Err(fault) if fault.is_not_found() => {
            let named = [at, b".git"].concat();
            sftp.stat(&named).await?;
            resolve::resolved(sftp, &named).await
        }
        Err(fault) => Err(fault),
        Ok(_) => Ok(at.to_vec()),
    }
}

/// What a program comes across.
struct Search<'s> {
    sftp: &'s Sftp,
    served: &'s Served,
    /// So many names.
    most: usize,
}

impl Search<'_> {
    /// All that is no directory, and what links lead to where those are followed.
    async fn beneath(&self, top: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
        let (mut files, mut names, mut bytes) = (Vec::new(), 0, 0);
        match self.sftp.lstat_if(top).await? {
            None if self.served.changes() => return Ok(files),
            None => return Err(Fault::Status(Status { code: StatusCode::NoSuchFile, said: None })),
            Some(attrs) if attrs.file_type() == Some(FileType::Directory) => {}
            Some(attrs) => {
                self.found(top.to_vec(), attrs.file_type(), &mut files).await?;
                return Ok(files);
            }
        }
        let (mut waiting, mut listing) = (vec![top.to_vec()], FuturesUnordered::new());
        loop {
            while listing.len() < AT_ONCE
                && let Some(directory) = waiting.pop()
            {
                listing.push(entries(self.sftp, directory));
            }
            let Some(found) = listing.next().await else { return Ok(files) };
            let found = match found {
                Ok(found) => found,
                // The program may not list it either.
                Err(fault)
                    if matches!(
                        fault.code(),
                        Some(StatusCode::PermissionDenied | StatusCode::NoSuchFile)
                    ) =>
                {
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            names += found.len();
            bytes += found.iter().map(|(path, _)| path.len()).sum::<usize>();
            if names > self.most || bytes as u64 > LISTED {
                return Err(too_much(top).into());
            }
            for (path, kind) in found {
                match kind {
                    Some(FileType::Directory) if self.served.goes_deep() => waiting.push(path),
                    Some(FileType::Directory) => {}
                    kind => self.found(path, kind, &mut files).await?,
                }
            }
        }
    }

    async fn found(
        &self,
        path: Vec<u8>,
        kind: Option<FileType>,
        files: &mut Vec<Vec<u8>>,
    ) -> Result<(), Fault> {
        if kind != Some(FileType::Link) || !self.served.follows_links() {
            files.push(path);
            return Ok(());
        }
        match self.sftp.stat(&path).await {
            Ok(there) if there.file_type() == Some(FileType::Directory) => {
                Err(leads_away(&path).into())
            }
            Ok(_) => {
                files.push(resolve::resolved(self.sftp, &path).await?);
                Ok(())
            }
            // What would be written through it would be made elsewhere.
            Err(fault) if fault.is_not_found() && self.served.changes() => {
                Err(leads_away(&path).into())
            }
            Err(fault) if fault.code().is_some() => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

type Entry = (Vec<u8>, Option<FileType>);

/// Paths of what is in a directory, and what each is.
async fn entries(sftp: &Sftp, directory: Vec<u8>) -> Result<Vec<Entry>, Fault> {
    let handle = sftp.open_directory(&directory).await?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    let listed = async {
        while let Some(names) = sftp.read_directory(&handle).await? {
            bytes += names.iter().map(|name| directory.len() + name.name.len()).sum::<usize>();
            for name in &names {
                let Some(own) = name.entry() else { continue };
                let path = join(&directory, own);
                let kind = match name.attrs.file_type() {
                    Some(kind) => Some(kind),
                    None => sftp.lstat(&path).await?.file_type(),
                };
                found.push((path, kind));
            }
            if found.len() > NAMES || bytes as u64 > LISTED / AT_ONCE as u64 {
                return Err(too_much(&directory).into());
            }
        }
        Ok(())
    };
    let listed: Result<(), Fault> = listed.await;
    let _closed = sftp.close(handle).await;
    listed.map(|()| found)
}

/// A link beneath it, through which the program would go out of its path.
fn leads_away(path: &[u8]) -> Failure {
    let shown = escape::exact(path, 300);
    let message = format!("{shown} is a link that the program would follow out of its path");
    let hint = "use scp without -O, or rsync, which don't follow it";
    Failure::new(Code::FilesKind, message, hint).sent(false)
}

fn too_much(top: &[u8]) -> Failure {
    let shown = escape::exact(top, 300);
    let message = format!("too much lies beneath {shown} to hold each file to the rules for paths");
    let hint = "name smaller directories, or files, or use scp without -O";
    Failure::new(Code::LimitContent, message, hint).sent(false)
}
