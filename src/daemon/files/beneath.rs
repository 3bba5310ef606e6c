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
};
use crate::{
    daemon::{desk::Permit, session::Session},
    domain::{
        escape,
        files::{Look, Operation},
        served::{Kind, Program, Served},
        sftp::{FileType, StatusCode},
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
        let Resolved { mut at, home } = self.resolve(session, permit, operation).await?;
        let sftp = self.sftp(session).await?;
        for (named, at) in served.paths().iter().zip(&mut at) {
            if named.kind == Kind::Repository {
                *at = repository(&sftp, at).await.map_err(|fault| fault.at("finding", at))?;
            }
        }
        if served.program() != Program::Rsync || !served.reads() {
            return Ok(Resolved { at, home });
        }
        let mut found = Vec::new();
        for top in &at {
            let looking = timeout(LOOKING, beneath(&sftp, top, NAMES - found.len())).await;
            let files = looking.map_err(|_| too_much(top))?;
            found.extend(files.map_err(|fault| fault.at("looking beneath", top))?);
        }
        at.extend(found);
        Ok(Resolved { at, home })
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

/// All that is no directory, as a program finds it that follows no links.
async fn beneath(sftp: &Sftp, top: &[u8], most: usize) -> Result<Vec<Vec<u8>>, Fault> {
    if sftp.lstat(top).await?.file_type() != Some(FileType::Directory) {
        return Ok(Vec::new());
    }
    let (mut files, mut names) = (Vec::new(), 0);
    let (mut waiting, mut listing) = (vec![top.to_vec()], FuturesUnordered::new());
    loop {
        while listing.len() < AT_ONCE
            && let Some(directory) = waiting.pop()
        {
            listing.push(entries(sftp, directory));
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
        if names > most {
            return Err(too_much(top).into());
        }
        for (path, is_directory) in found {
            match is_directory {
                true => waiting.push(path),
                false => files.push(path),
            }
        }
    }
}

/// Paths of what is in a directory, with whether each is one itself.
async fn entries(sftp: &Sftp, directory: Vec<u8>) -> Result<Vec<(Vec<u8>, bool)>, Fault> {
    let handle = sftp.open_directory(&directory).await?;
    let mut found = Vec::new();
    let listed = async {
        while let Some(names) = sftp.read_directory(&handle).await? {
            for name in &names {
                let Some(own) = name.entry() else { continue };
                let path = join(&directory, own);
                let kind = match name.attrs.file_type() {
                    Some(kind) => Some(kind),
                    None => sftp.lstat(&path).await?.file_type(),
                };
                found.push((path, kind == Some(FileType::Directory)));
            }
            if found.len() > NAMES {
                return Err(too_much(&directory).into());
            }
        }
        Ok(())
    };
    let listed: Result<(), Fault> = listed.await;
    let _closed = sftp.close(handle).await;
    listed.map(|()| found)
}

fn too_much(top: &[u8]) -> Failure {
    let shown = escape::exact(top, 300);
    let message = format!("too much lies beneath {shown} to hold each file to the rules for paths");
    let hint = "name smaller directories, or files, or use scp without -O";
    Failure::new(Code::LimitContent, message, hint).sent(false)
}
