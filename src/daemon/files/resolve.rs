//! Where a path leads, by the server's own word: links followed, `.` and `..` gone.

use futures::{FutureExt, StreamExt, stream};

use super::{client::Sftp, fault::Fault};
use crate::{
    domain::{
        files::{Ending, Operation, leads},
        sftp::FileType,
    },
    protocol::error::{Code, Failure},
};

/// The longest path that is sent: what Linux takes, four times over.
const MOST: usize = 16 * 1024;

/// The paths of an operation, resolved.
pub async fn resolve(sftp: &Sftp, operation: &Operation) -> Result<Vec<Vec<u8>>, Failure> {
    let mut found = Vec::new();
    for (path, ending) in operation.paths() {
        let written = matches!(operation, Operation::Write(_));
        let path = from_home(path)?;
        match canonical(sftp, &path, ending, written).await {
            Ok(one) => found.push(one),
            Err(fault) => {
                let failure = fault.at("resolving", &path);
                return Err(why_not_there(sftp, operation, &path, failure).await);
            }
        }
    }
    Ok(found)
}

/// Of what would be made at a path it is said that its directory is missing, or none, and not that it is missing
/// itself.
pub async fn why_not_there(
    sftp: &Sftp,
    operation: &Operation,
    path: &[u8],
    failure: Failure,
) -> Failure {
    if failure.code != Code::FilesNotFound {
        return failure;
    }
    let makes = match operation {
        Operation::Write(_) => "sgw files write --mkdir SESSION PATH makes it, too",
        Operation::MakeDirectory { .. } => "sgw files mkdir -p SESSION PATH makes it, too",
        Operation::Move { .. } | Operation::Link { .. } => {
            "sgw files mkdir -p SESSION PATH makes it"
        }
        _ => return failure,
    };
    let (mut at, mut missing) = (path, None);
    for _ in 0..MISSING {
        let Some((directory, _)) = split(at) else { break };
        match sftp.stat(directory).await {
            Ok(there) if matches!(there.file_type(), Some(FileType::Directory) | None) => break,
            Ok(_) => return super::read::kind(directory, "is no directory", "sgw files stat"),
            Err(fault) if fault.is_not_found() => missing = Some(directory),
            Err(_) => return failure,
        }
        at = directory;
    }
    let Some(missing) = missing else { return failure };
    let shown = crate::domain::escape::exact(missing, 300);
    let message = format!("the directory {shown} is not there");
    Failure { message, hint: makes.to_owned(), ..failure }
}

/// Links that are looked after at once.
const LINKS_AT_ONCE: usize = 64;
/// Names of a link's target that may be missing.
const MISSING: usize = 64;

/// Where the links lead that an operation makes, by their places; empty where nobody can say.
pub async fn led(
    sftp: &Sftp,
    operation: &Operation,
    at: &[Vec<u8>],
) -> Result<Vec<(usize, Vec<u8>)>, Failure> {
    let mut each = Vec::new();
    for (index, target) in operation.links() {
        let Some(link) = at.get(index).filter(|link| !link.is_empty()) else { continue };
        each.push(led_to(sftp, link, target).map(move |led| (index, link, led)).boxed());
    }
    let mut led = stream::iter(each).buffered(LINKS_AT_ONCE);
    let mut all = Vec::new();
    while let Some((index, link, to)) = led.next().await {
        all.push((index, to.map_err(|fault| fault.at("resolving", link))?));
    }
    Ok(all)
}

/// What of the target is there, resolved, and the names below it. What is missing is no way to anywhere: `..` after
/// it, or a link that leads nowhere, may come to mean anything.
async fn led_to(sftp: &Sftp, link: &[u8], target: &[u8]) -> Result<Vec<u8>, Fault> {
    let way = leads::walked(link, target);
    let (mut above, mut below) = (way.as_slice(), Vec::<&[u8]>::new());
    while way.len() <= MOST && below.len() <= MISSING {
        match resolved(sftp, above).await {
            Ok(found) => return Ok(below.iter().rev().fold(found, |path, name| join(&path, name))),
            Err(Fault::Status(_)) => {}
            Err(Fault::Odd(_)) => break,
            Err(fault) => return Err(fault),
        }
        let Some((directory, name)) = split(above) else { break };
        // One that may not be looked at may not be followed either.
        let there = sftp.lstat(above).await.ok();
        if there.is_some_and(|attrs| attrs.file_type() == Some(FileType::Link)) {
            break;
        }
        below.push(name);
        above = directory;
    }
    Ok(Vec::new())
}

/// What a shell would make of `~` alone; other people's homes are not known.
pub(super) fn from_home(path: &[u8]) -> Result<Vec<u8>, Failure> {
    let wrong = |message: String| {
        let hint = "give a path on the target: /var/log/syslog, or one from the account's home";
        Err(Failure::new(Code::UsageArguments, message, hint).sent(false))
    };
    match path {
        [] => wrong("an empty path names nothing".to_owned()),
        path if path.contains(&0) => wrong("a path can't hold a NUL byte".to_owned()),
        path if path.len() > MOST => wrong(format!("a path of {} bytes is none", path.len())),
        b"~" | b"~/" => Ok(b".".to_vec()),
        path => match path.strip_prefix(b"~/") {
            Some(rest) => Ok([b"./", rest].concat()),
            None => Ok(path.to_vec()),
        },
    }
}

async fn canonical(
    sftp: &Sftp,
    path: &[u8],
    ending: Ending,
    written: bool,
) -> Result<Vec<u8>, Fault> {
    if written && leads_nowhere(sftp, path).await? {
        return Err(
            super::read::kind(path, "is a link that leads nowhere", "sgw files stat").into()
        );
    }
    match ending {
        Ending::Itself => in_its_directory(sftp, path).await,
        Ending::Followed => match resolved(sftp, path).await {
            // Some servers resolve only what is there.
            Err(fault) if written && fault.is_not_found() => in_its_directory(sftp, path).await,
            other => other,
        },
        Ending::New => match resolved(sftp, path).await {
            Err(fault) if fault.is_not_found() => below_what_is_there(sftp, path).await,
            other => other,
        },
    }
}

/// What is written through such a link would be made elsewhere.
async fn leads_nowhere(sftp: &Sftp, path: &[u8]) -> Result<bool, Fault> {
    let (itself, there) = tokio::join!(sftp.lstat_if(path), sftp.stat(path));
    let is_link = itself?.is_some_and(|attrs| attrs.file_type() == Some(FileType::Link));
    Ok(is_link && there.is_err_and(|fault| fault.is_not_found()))
}

/// The server's answer, where it can be one.
pub async fn resolved(sftp: &Sftp, path: &[u8]) -> Result<Vec<u8>, Fault> {
    let found = sftp.realpath(path).await?;
    let climbs = |name: &[u8]| matches!(name, b"." | b"..");
    if !found.starts_with(b"/") || found.split(|byte| *byte == b'/').any(climbs) {
        return Err(Fault::Odd("a resolved path that is none"));
    }
    Ok(found)
}

/// The name in its resolved directory, whatever it is there.
async fn in_its_directory(sftp: &Sftp, path: &[u8]) -> Result<Vec<u8>, Fault> {
    let (directory, name) = split(path).ok_or_else(no_name)?;
    Ok(join(&resolved(sftp, directory).await?, name))
}

/// The nearest directory above that is there, resolved, and the names below it.
pub(super) async fn below_what_is_there(sftp: &Sftp, path: &[u8]) -> Result<Vec<u8>, Fault> {
    let (mut above, mut below) = (path, Vec::new());
    loop {
        let (directory, name) = split(above).ok_or_else(no_name)?;
        below.push(name);
        match resolved(sftp, directory).await {
            Ok(found) => {
                return Ok(below.iter().rev().fold(found, |path, name| join(&path, name)));
            }
            Err(fault) if fault.is_not_found() && directory != b"." => above = directory,
            Err(fault) => return Err(fault),
        }
    }
}

/// Directory and name. `None` where the last name is none: `/`, `.`, `..`.
pub fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = path.iter().rposition(|byte| *byte != b'/')? + 1;
    let start = path[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let name = &path[start..end];
    if matches!(name, b"." | b"..") {
        return None;
    }
    let directory = match start {
        0 => &b"."[..],
        1 => b"/",
        start => &path[..start - 1],
    };
    Some((directory, name))
}

pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match directory {
        b"/" => [b"/", name].concat(),
        directory => [directory, b"/", name].concat(),
    }
}

pub(super) fn no_name() -> Fault {
    let message = "this path has no last name that could be made, moved or removed";
    let hint = "name the file or directory itself, not `/`, `.` or `..`";
    Failure::new(Code::UsageArguments, message, hint).sent(false).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_directory_and_a_name() {
        let of = |path: &str| {
            split(path.as_bytes()).map(|(directory, name)| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (text(directory), text(name))
            })
        };
        let pair = |directory: &str, name: &str| Some((directory.to_owned(), name.to_owned()));
        assert_eq!(of("a"), pair(".", "a"));
        assert_eq!(of("/a"), pair("/", "a"));
        assert_eq!(of("/a/b//"), pair("/a", "b"));
        assert_eq!(of("a//b"), pair("a/", "b"));
        assert_eq!(of("./..."), pair(".", "..."));
        for none in ["/", "", "..", "/a/..", ".", "a/."] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn home_is_where_relative_paths_begin() {
        assert_eq!(from_home(b"~/x").unwrap(), b"./x");
        assert_eq!(from_home(b"~").unwrap(), b".");
        assert_eq!(from_home(b"/~/x").unwrap(), b"/~/x");
        assert_eq!(from_home(b"~other/x").unwrap(), b"~other/x");
        for wrong in [&b""[..], b"a\0b", &[b'x'; MOST + 1]] {
            assert_eq!(from_home(wrong).unwrap_err().code, Code::UsageArguments);
        }
    }
}
