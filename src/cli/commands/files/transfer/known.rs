//! What is there already: found out by looking, proved by reading, and what of it the source does not have.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::File,
    io::{self, Read, Write},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use globset::GlobSet;

use super::{
    There, batches, call, captured, each, end,
    get::{DEEP, LISTING},
    walk::{Going, Source},
};
use crate::{
    cli::{Context, Stop},
    client::stream::Feed,
    domain::{
        bytes::Bytes,
        files::{
            Operation,
            transfer::{Head, Item, Part, Piece, Unpacker, What},
        },
    },
    protocol::{
        error::{Class, Failure},
        files::{Done, Entry, Type},
    },
};

/// So many files that were named are looked for one by one.
const SINGLE: usize = 4;

/// What is known of the places where things go. What could not be found out is not known.
#[derive(Default)]
pub struct Known {
    entries: HashMap<Vec<u8>, Entry>,
    /// Whether all that is below the trees is known; why not.
    unsure: Option<Failure>,
}

impl Known {
    /// Nobody is asked for it: where a person would have to be, nothing is known.
    pub async fn find(context: &Context, there: &There, source: &Source) -> Result<Self, Stop> {
        let there = there.without_asking();
        let mut known = Self::default();
        for tree in &source.trees {
            known.list(context, &there, tree, DEEP).await?;
        }
        let mut above: Vec<Vec<u8>> = Vec::new();
        if source.single.len() > SINGLE
            && let Some(one) = source.files.iter().find(|going| going.to() == source.single[0])
        {
            above.push(one.above().to_vec());
        }
        for directory in &above {
            known.list(context, &there, directory, 1).await?;
        }
        if above.is_empty() {
            for path in &source.single {
                let operation = Operation::Stat { path: Bytes(path.clone()), follow: true };
                match end(context, &there, operation).await {
                    Ok(Done::File(entry)) => _ = known.entries.insert(path.clone(), entry),
                    Ok(_) => {}
                    Err(stop) => _ = not_known(stop)?,
                }
            }
        }
        Ok(known)
    }

    async fn list(
        &mut self,
        context: &Context,
        there: &There,
        directory: &[u8],
        depth: u32,
    ) -> Result<(), Stop> {
        let operation = Operation::List { path: Bytes(directory.to_vec()), depth };
        let (done, bytes, cut) = match captured(context, there, operation, LISTING).await {
            Ok(captured) => captured,
            Err(stop) => {
                let failure = not_known(stop)?;
                if failure.code != crate::protocol::error::Code::FilesNotFound {
                    self.unsure = Some(failure);
                }
                return Ok(());
            }
        };
        if cut > 0 || matches!(done, Done::Listing { truncated: true, .. }) {
            self.unsure = Some(super::get::too_much(directory));
        }
        for entry in crate::cli::commands::files::look::read(&bytes)? {
            // A file that was listed has its whole path.
            if !entry.path.as_slice().starts_with(b"/") {
                let path = [directory, b"/", entry.path.as_slice()].concat();
                self.entries.insert(path, entry);
            }
        }
        Ok(())
    }

    fn file(&self, path: &[u8]) -> Option<&Entry> {
        self.entries.get(path).filter(|entry| entry.r#type == Type::File)
    }

    /// With `-p`: it has size and time of what would go.
    pub fn is_as_old(&self, going: &Going) -> bool {
        self.file(going.to()).is_some_and(|entry| {
            let modified = entry.modified_at.and_then(|time| u32::try_from(time.as_second()).ok());
            entry.size == Some(going.size()) && modified == going.item.modified
        })
    }

    pub fn is_as_long(&self, going: &Going) -> bool {
        self.file(going.to()).is_some_and(|entry| entry.size == Some(going.size()))
    }

    /// What is below the trees and has nothing that goes there, the highest of it: a directory with all that is in
    /// it, but where something in it is excluded.
    pub fn gone(&self, source: &Source, excluded: &GlobSet) -> Result<Vec<Going>, Failure> {
        if let Some(failure) = &self.unsure {
            return Err(failure.clone());
        }
        let paths = source.paths();
        let mut found = Vec::new();
        for tree in &source.trees {
            let below = |path: &[u8]| {
                Some(path.strip_prefix(tree.as_slice())?.strip_prefix(b"/")?.to_vec())
            };
            let mut entries: Vec<(Vec<u8>, &Entry)> = self
                .entries
                .iter()
                .filter_map(|(path, entry)| Some((below(path)?, entry)))
                .collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            let all = entries
                .iter()
                .map(|(own, entry)| (own.as_slice(), entry.r#type == Type::Directory));
            let has = |own: &[u8]| paths.contains([tree.as_slice(), b"/", own].concat().as_slice());
            for (own, tree_too) in surplus(all, has, excluded) {
                let item = Item {
                    path: Bytes([tree.as_slice(), b"/", &own].concat()),
                    what: What::Gone { tree: tree_too },
                    ..Item::default()
                };
                found.push(Going { local: PathBuf::new(), item });
            }
        }
        Ok(found)
    }
}

/// What there is and the other side has not, the highest of it. `all` is in order of its paths, each with whether it
/// is a directory.
pub fn surplus<'a>(
    all: impl Iterator<Item = (&'a [u8], bool)>,
    has: impl Fn(&[u8]) -> bool,
    excluded: &GlobSet,
) -> Vec<(Vec<u8>, bool)> {
    use std::os::unix::ffi::OsStrExt;
    let out =
        |path: &[u8]| excluded.is_match(std::path::Path::new(std::ffi::OsStr::from_bytes(path)));
    let all: Vec<(&[u8], bool)> = all.collect();
    // Excluded with all that is in it, and what it lies in stays.
    let mut spared: HashSet<&[u8]> = HashSet::new();
    let mut stays: HashSet<&[u8]> = HashSet::new();
    let above = |path: &'a [u8]| {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        ends.map(|(end, _)| &path[..end]).collect::<Vec<_>>()
    };
    for (path, _) in &all {
        if out(path) || above(path).iter().any(|above| spared.contains(above)) {
            spared.insert(path);
            stays.extend(above(path));
        }
    }
    let mut gone: HashSet<&[u8]> = HashSet::new();
    let mut found = Vec::new();
    for (path, directory) in all {
        let within = above(path).iter().any(|above| gone.contains(above));
        if within || spared.contains(path) || stays.contains(path) || has(path) {
            continue;
        }
        if directory {
            gone.insert(path);
        }
        found.push((path.to_vec(), directory));
    }
    found
}

/// Why something is not known, where that ends nothing else.
fn not_known(stop: Stop) -> Result<Failure, Stop> {
    match stop {
        Stop::Failure(failure) => match failure.code.class() {
            Class::Lost | Class::Unreachable | Class::NoDaemon => Err(failure.into()),
            _ => Ok(failure),
        },
        stop => Err(stop),
    }
}

/// Which of these files have the same content there: both are read to their end, and no byte differs.
pub async fn equal(
    context: &Context,
    there: &There,
    files: Vec<Going>,
) -> Result<HashSet<Vec<u8>>, Stop> {
    let there = &there.without_asking();
    let found: Arc<Mutex<HashSet<Vec<u8>>>> = Arc::default();
    let one = |batch: Vec<Going>| {
        let found = found.clone();
        async move {
            let parts = batch.iter().map(|going| Part::of(going.to().to_vec(), 0)).collect();
            let comparing =
                Comparing { left: batch.into(), unpacker: Unpacker::default(), open: None, found };
            let operation = Operation::Get { files: parts };
            match call(context, there, operation, Box::new(comparing), Feed::Nothing).await {
                Ok(_) => Ok(()),
                // What can't be read there is put anew.
                Err(stop) => not_known(stop).map(|_| ()),
            }
        }
    };
    let calls = batches(files, Going::size, Going::to).into_iter().map(one);
    if let Some(stop) = each(calls).await {
        return Err(stop);
    }
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *found))
}

/// Compares what comes with what is here.
struct Comparing {
    left: VecDeque<Going>,
    unpacker: Unpacker,
    /// None once something differed.
    open: Option<File>,
    found: Arc<Mutex<HashSet<Vec<u8>>>>,
}

impl Comparing {
    fn take(&mut self, piece: &Piece) -> io::Result<()> {
        match piece {
            Piece::Head(head) => {
                let head: Head = serde_json::from_slice(head)?;
                let going = self.left.front();
                let same = |going: &&Going| head.size == Some(going.size());
                self.open = going.filter(same).and_then(|going| File::open(&going.local).ok());
            }
            Piece::Data(bytes) => {
                let Some(file) = &mut self.open else { return Ok(()) };
                let mut own = vec![0; bytes.len()];
                if file.read_exact(&mut own).is_err() || own != **bytes {
                    self.open = None;
                }
            }
            Piece::End(_) => {
                let (open, going) = (self.open.take(), self.left.pop_front());
                let (Some(mut file), Some(going)) = (open, going) else { return Ok(()) };
                if file.read(&mut [0])? == 0 {
                    let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.insert(going.to().to_vec());
                }
            }
            Piece::Failed(_) => {
                self.open = None;
                self.left.pop_front();
            }
        }
        Ok(())
    }
}

impl Write for Comparing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unpacker.feed(bytes);
        while let Some(piece) = self.unpacker.next_piece().map_err(io::Error::other)? {
            self.take(&piece)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use globset::{Glob, GlobSetBuilder};

    use super::*;

    fn found(all: &[(&str, bool)], has: &[&str], exclude: &str) -> Vec<(String, bool)> {
        let mut excluded = GlobSetBuilder::new();
        excluded.add(Glob::new(exclude).unwrap());
        let all = all.iter().map(|(path, directory)| (path.as_bytes(), *directory));
        let has = |own: &[u8]| has.iter().any(|path| path.as_bytes() == own);
        let found = surplus(all, has, &excluded.build().unwrap());
        found.into_iter().map(|(path, tree)| (String::from_utf8(path).unwrap(), tree)).collect()
    }

    #[test]
    fn what_the_source_has_not_is_named_once_and_what_is_excluded_stays() {
        let all = [
            ("a", true),
            ("a/x", false),
            ("a/y", false),
            ("b", true),
            ("b/c", true),
            ("b/c/z", false),
            ("k", true),
            ("k/.git", true),
            ("k/.git/config", false),
            ("k/old", false),
        ];
        let of = |text: &str, tree| (text.to_owned(), tree);
        assert_eq!(
            found(&all, &["a", "a/x"], "**/.git"),
            [of("a/y", false), of("b", true), of("k/old", false)]
        );
        assert_eq!(
            found(&all, &["a", "a/x", "a/y", "k"], "**/z"),
            [of("k/.git", true), of("k/old", false)]
        );
    }
}
