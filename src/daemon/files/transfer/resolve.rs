//! Where the paths of many files lead, with few questions: each directory is resolved once, and read where many
//! of its files are wanted.

use std::collections::{BTreeMap, HashMap};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream,
};

use crate::{
    daemon::files::{
        client::Sftp,
        fault::Fault,
        resolve::{below_what_is_there, from_home, join, resolved, split},
        room::{LISTED, Room},
    },
    domain::{
        files::{
            Operation,
            transfer::{Item, What},
        },
        sftp::{Attrs, Call, FileType, Name},
    },
    protocol::error::Failure,
};

/// From so many files on a directory is read.
const MANY: usize = 8;
/// The most entries of them that are read: beyond, each file is asked for by itself.
const ENTRIES: u64 = 100_000;
/// Directories that are looked at at once.
const AT_ONCE: usize = 16;

/// What is known of a directory.
struct Directory {
    /// Where it leads; none where that can't be said.
    at: Option<Vec<u8>>,
    /// It is not there yet.
    new: bool,
    /// Its entries, where they were read.
    entries: Option<Entries>,
}

type Entries = HashMap<Vec<u8>, Attrs>;

/// Where a path leads, and what was found there.
type Found = (Vec<u8>, Option<Attrs>);

/// What a name is there.
enum There {
    Nothing,
    Link,
    /// What is neither, or of which the server does not say.
    Itself(Attrs),
    Unknown,
}

/// The paths resolved, in their order; empty where one leads nowhere.
pub async fn resolve(
    sftp: &Sftp,
    operation: &Operation,
) -> Result<(Vec<Vec<u8>>, Vec<Option<Attrs>>), Failure> {
    let puts = matches!(operation, Operation::Put(_));
    let paths: Result<Vec<_>, Failure> =
        operation.paths().into_iter().map(|(path, _)| from_home(path)).collect();
    let paths = paths?;
    let mut wanted: BTreeMap<&[u8], usize> = BTreeMap::new();
    for (index, path) in paths.iter().enumerate() {
        let directory = split(path).map_or(&b"/"[..], |(directory, _)| directory);
        let asked = !item(operation, index).is_some_and(takes_the_name);
        *wanted.entry(directory).or_default() += usize::from(asked);
    }
    let room = &Room::new(ENTRIES, LISTED);
    let mut looks: Vec<BoxFuture<'_, (&[u8], Directory)>> = Vec::new();
    for (directory, files) in wanted {
        let looked = async move { (directory, look(sftp, directory, files, puts, room).await) };
        looks.push(looked.boxed());
    }
    let looked = stream::iter(looks).buffer_unordered(AT_ONCE);
    let directories: HashMap<&[u8], Directory> = looked.collect().await;
    let mut each: Vec<BoxFuture<'_, Found>> = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let inside = split(path).and_then(|(above, name)| Some((directories.get(above)?, name)));
        each.push(match inside {
            Some(inside) => one(sftp, operation, index, path, inside).boxed(),
            // `/`, `.`, `..`: what it is by itself.
            None => async move { (resolved(sftp, path).await.unwrap_or_default(), None) }.boxed(),
        });
    }
    let found = join_all(each).await;
    match sftp.is_over() {
        true => Err(sftp.why().at("resolving", paths.first().map_or(b"", Vec::as_slice))),
        false => Ok(found.into_iter().unzip()),
    }
}

fn item(operation: &Operation, index: usize) -> Option<&Item> {
    match operation {
        Operation::Put(put) => put.items.get(index),
        _ => None,
    }
}

/// What is put takes the place of the name itself, whatever that is.
fn takes_the_name(item: &Item) -> bool {
    item.fresh || matches!(item.what, What::Link { .. } | What::Gone { .. })
}

async fn look(sftp: &Sftp, directory: &[u8], files: usize, puts: bool, room: &Room) -> Directory {
    let at = match resolved(sftp, directory).await {
        Ok(at) => at,
        Err(fault) if puts && fault.is_not_found() => {
            let at = below_what_is_there(sftp, directory).await.ok();
            return Directory { at, new: true, entries: None };
        }
        Err(_) => return Directory { at: None, new: false, entries: None },
    };
    // A server that resolves what is not there says so of the directory, too.
    let entries = match files >= MANY {
        true => entries(sftp, &at, room).await.ok().flatten(),
        false => None,
    };
    Directory { at: Some(at), new: false, entries }
}

/// `None` where there are too many.
async fn entries(sftp: &Sftp, at: &[u8], room: &Room) -> Result<Option<Entries>, Fault> {
    let handle = sftp.open_directory(at).await?;
    let mut taken = room.begin();
    let read = sftp.entries(&handle, 0, &mut taken).await;
    // Nobody waits for this.
    let _closing = sftp.send(Call::Close { handle }).await;
    let named = |name: Name| Some((name.entry()?.to_vec(), name.attrs));
    let (read, all) = read?;
    Ok(all.then(|| {
        taken.keep();
        read.into_iter().filter_map(named).collect()
    }))
}

async fn one(
    sftp: &Sftp,
    operation: &Operation,
    index: usize,
    path: &[u8],
    (directory, name): (&Directory, &[u8]),
) -> Found {
    let Some(above) = &directory.at else { return Found::default() };
    let itself = join(above, name);
    let item = item(operation, index);
    if directory.new || item.is_some_and(takes_the_name) {
        return (itself, None);
    }
    match there(sftp, directory, name, &itself).await {
        There::Itself(attrs) => (itself, Some(attrs)),
        There::Nothing if item.is_some() => (itself, None),
        There::Nothing => Found::default(),
        There::Link | There::Unknown => match sftp.stat(path).await {
            Ok(attrs) => (resolved(sftp, path).await.unwrap_or_default(), Some(attrs)),
            Err(_) => Found::default(),
        },
    }
}

async fn there(sftp: &Sftp, directory: &Directory, name: &[u8], itself: &[u8]) -> There {
    let of = |attrs: Attrs| match attrs.file_type() {
        Some(FileType::Link) => There::Link,
        Some(_) => There::Itself(attrs),
        None => There::Unknown,
    };
    if let Some(entries) = &directory.entries {
        return entries.get(name).map_or(There::Nothing, |found| of(found.clone()));
    }
    match sftp.lstat_if(itself).await {
        Ok(Some(attrs)) => of(attrs),
        Ok(None) => There::Nothing,
        Err(_) => There::Unknown,
    }
}
