//! Where paths lead, in the eyes of whoever the program runs as.

use std::sync::Arc;

use super::{ODD, call::Call};
use crate::{
    daemon::{
        files::{
            Resolved,
            fault::Fault,
            leads_elsewhere,
            read::kind,
            resolve::{from_home, no_name},
        },
        session::Session,
    },
    domain::{
        files::{Ending, Operation, Way, leads},
        guard::files::Canonical,
    },
    protocol::error::Failure,
};

/// The paths of an operation, and where the session began.
pub async fn resolve(
    session: &Arc<Session>,
    way: Way,
    operation: &Operation,
) -> Result<Resolved, Failure> {
    let paths = operation.paths();
    let many = matches!(operation, Operation::Get { .. } | Operation::Put(_));
    let writes = matches!(operation, Operation::Write(_) | Operation::Put(_));
    let count = paths.len().to_string();
    let (mut words, mut given) = (Vec::new(), Vec::new());
    for (path, ending) in &paths {
        given.push(started(from_home(path)?));
        words.push(match (ending, writes) {
            (Ending::Itself, _) => &b"itself"[..],
            (Ending::Followed, false) => b"follow",
            (Ending::Followed, true) => b"write",
            (Ending::New, false) => b"new",
            (Ending::New, true) => b"new-write",
        });
    }
    let head = [if many { &b"many"[..] } else { b"" }, count.as_bytes()];
    let pairs = words.iter().zip(&given).flat_map(|(how, path)| [*how, path.as_slice()]);
    let words: Vec<&[u8]> = head.into_iter().chain(pairs).collect();
    let first = paths.first().map_or(&b"~"[..], |(path, _)| path);
    let failed = |fault: Fault| fault.at("resolving", first);
    let mut call = Call::begin(session, way, "resolve", &words).await.map_err(failed)?;
    let home = call.field().await.map_err(|fault| fault.at("resolving", b"~"))?;
    if let Some(word) = home.strip_prefix(b"!") {
        return Err(super::failed::no(&String::from_utf8_lossy(word), b"~", session));
    }
    let home = Canonical::new(&home).ok_or_else(|| leads_elsewhere(&home))?;
    let mut at = Vec::new();
    for (path, _) in &paths {
        let failed = |fault: Fault| fault.at("resolving", path);
        let field = call.field().await.map_err(failed)?;
        at.push(match (many, field.as_slice()) {
            (true, b"") => Vec::new(),
            (true, found) => canonical(found).map_err(failed)?,
            (false, [b'=', found @ ..]) => canonical(found).map_err(failed)?,
            (false, b"!nowhere") => {
                return Err(kind(path, "is a link that leads nowhere", "sgw files stat"));
            }
            (false, b"!name") => return Err(failed(no_name())),
            _ => return Err(failed(Fault::Odd(ODD))),
        });
    }
    let leads = led(session, way, operation, &at).await?;
    Ok(Resolved { seen: vec![None; at.len()], at, home, leads })
}

/// As over SFTP: where the links lead that it makes.
async fn led(
    session: &Arc<Session>,
    way: Way,
    operation: &Operation,
    at: &[Vec<u8>],
) -> Result<Vec<(usize, Vec<u8>)>, Failure> {
    let mut links = Vec::new();
    for (index, target) in operation.links() {
        if let Some(link) = at.get(index).filter(|link| !link.is_empty()) {
            links.push((index, leads::walked(link, target)));
        }
    }
    let Some((_, first)) = links.first() else { return Ok(Vec::new()) };
    let failed = |fault: Fault| fault.at("resolving", first);
    let count = links.len().to_string();
    let pairs = links.iter().flat_map(|(_, way)| [&b"leads"[..], way.as_slice()]);
    let words: Vec<&[u8]> = [&b"many"[..], count.as_bytes()].into_iter().chain(pairs).collect();
    let mut call = Call::begin(session, way, "resolve", &words).await.map_err(failed)?;
    let _home = call.field().await.map_err(failed)?;
    let mut led = Vec::new();
    for (index, _) in &links {
        let found = call.field().await.map_err(failed)?;
        led.push((*index, canonical(&found).unwrap_or_default()));
    }
    Ok(led)
}

/// A path that begins with no dash, and hangs on the directory in which the session begins.
fn started(path: Vec<u8>) -> Vec<u8> {
    match path.starts_with(b"/") {
        true => path,
        false => [b"./", path.as_slice()].concat(),
    }
}

fn canonical(found: &[u8]) -> Result<Vec<u8>, Fault> {
    let found = Canonical::new(super::listed::short(found)?)
        .ok_or(Fault::Odd("a resolved path that is none"))?;
    Ok(found.as_bytes().to_vec())
}
