//! A file system in memory with honest answers, from which a script departs. Names are bytes.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use sgw::domain::sftp::{
    Attrs, Call, Extended, Limits, Name, OpenFlags, Reply, StatusCode, Statvfs,
};

/// Where a session begins.
pub const HOME: &[u8] = b"/home/odd";

/// Names in one answer to a readdir, as OpenSSH has it.
const NAMES: usize = 100;
const LINKS: usize = 40;

#[derive(Clone, Debug)]
pub enum Node {
    File { data: Vec<u8>, mode: u32, times: (u32, u32) },
    Directory { mode: u32, times: (u32, u32) },
    Link(Vec<u8>),
}

#[derive(Default)]
pub struct Tree {
    /// Canonical paths, and what has this name.
    names: BTreeMap<Vec<u8>, u64>,
    nodes: HashMap<u64, Node>,
    handles: HashMap<Vec<u8>, Handle>,
    next: u64,
}

enum Handle {
    File { node: u64, flags: OpenFlags },
    Directory { left: Vec<Name> },
}

type Answer = Result<Reply, StatusCode>;

impl Tree {
    pub fn new() -> Self {
        let mut tree = Self::default();
        tree.make(b"/", directory());
        tree.directory(HOME);
        tree
    }

    /// A file with its directories.
    pub fn file(&mut self, path: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> &mut Self {
        let path = absolute(path.as_ref());
        self.directory(parent(&path));
        let data = data.as_ref().to_vec();
        self.make(&path, Node::File { data, mode: 0o644, times: (1_700_000_000, 1_700_000_000) });
        self
    }

    /// A directory with those above it.
    pub fn directory(&mut self, path: impl AsRef<[u8]>) -> &mut Self {
        let path = absolute(path.as_ref());
        if !self.names.contains_key(&path) {
            self.directory(parent(&path));
            self.make(&path, directory());
        }
        self
    }

    /// In the place of what has the name.
    pub fn link(&mut self, path: impl AsRef<[u8]>, holds: impl AsRef<[u8]>) -> &mut Self {
        let path = absolute(path.as_ref());
        self.directory(parent(&path));
        self.make(&path, Node::Link(holds.as_ref().to_vec()));
        self
    }

    /// The name is gone, and what is below it is not there by it.
    pub fn unlink(&mut self, path: impl AsRef<[u8]>) -> &mut Self {
        self.names.remove(&absolute(path.as_ref()));
        self
    }

    /// A file's rights.
    pub fn mode(&self, path: impl AsRef<[u8]>) -> Option<u32> {
        match self.nodes.get(self.names.get(&absolute(path.as_ref()))?)? {
            Node::File { mode, .. } => Some(*mode),
            _ => None,
        }
    }

    /// A file's content, as it is now.
    pub fn content(&self, path: impl AsRef<[u8]>) -> Option<&[u8]> {
        match self.nodes.get(self.names.get(&absolute(path.as_ref()))?)? {
            Node::File { data, .. } => Some(data),
            _ => None,
        }
    }

    /// All names below a directory.
    pub fn below(&self, path: impl AsRef<[u8]>) -> Vec<Vec<u8>> {
        let start = [&absolute(path.as_ref()), b"/".as_slice()].concat();
        self.names.keys().filter(|name| name.starts_with(&start)).cloned().collect()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        let sizes = self.nodes.values().map(|node| match node {
            Node::File { data, .. } => data.len() as u64,
            _ => 0,
        });
        sizes.sum()
    }

    fn make(&mut self, path: &[u8], node: Node) -> u64 {
        self.next += 1;
        self.names.insert(path.to_vec(), self.next);
        self.nodes.insert(self.next, node);
        self.next
    }

    /// Where a path leads; of the last name only its directory need be there.
    pub fn resolve(&self, path: &[u8], follow: bool) -> Result<Vec<u8>, StatusCode> {
        let mut left: Vec<Vec<u8>> = names(&absolute(path));
        left.reverse();
        let (mut at, mut links) = (b"/".to_vec(), 0);
        while let Some(name) = left.pop() {
            if name == b".." {
                at = parent(&at).to_vec();
                continue;
            }
            let next = join(&at, &name);
            match self.names.get(&next).and_then(|id| self.nodes.get(id)) {
                Some(Node::Link(holds)) if follow || !left.is_empty() => {
                    links += 1;
                    if links > LINKS {
                        return Err(StatusCode::Failure);
                    }
                    if holds.starts_with(b"/") {
                        at = b"/".to_vec();
                    }
                    left.extend(names(holds).into_iter().rev());
                }
                Some(Node::Directory { .. }) => at = next,
                None if !left.is_empty() => return Err(StatusCode::NoSuchFile),
                Some(_) if !left.is_empty() => return Err(StatusCode::Failure),
                _ => at = next,
            }
        }
        Ok(at)
    }

    fn node(&self, path: &[u8], follow: bool) -> Result<u64, StatusCode> {
        let path = self.resolve(path, follow)?;
        self.names.get(&path).copied().ok_or(StatusCode::NoSuchFile)
    }

    fn free_name(&self, path: &[u8]) -> Result<Vec<u8>, StatusCode> {
        let path = self.resolve(path, false)?;
        match self.names.contains_key(&path) {
            true => Err(StatusCode::Failure),
            false => Ok(path),
        }
    }

    pub fn attrs(&self, id: u64) -> Attrs {
        let (size, permissions, times) = match &self.nodes[&id] {
            Node::File { data, mode, times } => (data.len() as u64, 0o100_000 | mode, *times),
            Node::Directory { mode, times } => (4096, 0o040_000 | mode, *times),
            Node::Link(holds) => (holds.len() as u64, 0o120_777, (0, 0)),
        };
        Attrs {
            size: Some(size),
            owner: Some((1000, 1000)),
            permissions: Some(permissions),
            times: Some(times),
            extended: None,
        }
    }

    /// What a good server answers.
    pub fn answer(&mut self, call: &Call) -> Reply {
        let answer = match call {
            Call::Open { path, flags, attrs } => self.open(path, *flags, attrs),
            Call::Opendir { path } => self.open_directory(path),
            Call::Close { handle } => self.close(handle),
            Call::Read { handle, offset, length } => self.read(handle, *offset, *length),
            Call::Write { handle, offset, data } => self.write(handle, *offset, data),
            Call::Readdir { handle } => self.read_directory(handle),
            Call::Lstat { path } => self.stat(path, false),
            Call::Stat { path } => self.stat(path, true),
            Call::Fstat { handle } => {
                self.file_of(handle).map(|(node, _)| Reply::Attrs(self.attrs(node)))
            }
            Call::Setstat { path, attrs } => {
                self.node(path, true).and_then(|node| self.set(node, attrs))
            }
            Call::Fsetstat { handle, attrs } => {
                self.file_of(handle).and_then(|(node, _)| self.set(node, attrs))
            }
            Call::Realpath { path } => self.resolve(path, true).map(|path| name(path, None)),
            Call::Readlink { path } => self.read_link(path),
            Call::Mkdir { path, .. } => self.free_name(path).map(|path| {
                self.make(&path, directory());
                ok()
            }),
            Call::Symlink { holds, link } => self.free_name(link).map(|path| {
                self.make(&path, Node::Link(holds.clone()));
                ok()
            }),
            Call::Remove { path } => self.remove(path, false),
            Call::Rmdir { path } => self.remove(path, true),
            Call::Rename { from, to } => self.free_name(to).and_then(|_| self.rename(from, to)),
            Call::Extended(extended) => self.extended(extended),
            Call::Other { .. } => Err(StatusCode::Unsupported),
        };
        answer.unwrap_or_else(|code| Reply::status(code, "no"))
    }

    fn open(&mut self, path: &[u8], flags: OpenFlags, attrs: &Attrs) -> Answer {
        let exclusive = flags.has(OpenFlags::CREATE | OpenFlags::EXCLUSIVE);
        let path = self.resolve(path, !exclusive)?;
        let node = match self.names.get(&path) {
            Some(_) if exclusive => return Err(StatusCode::Failure),
            Some(node) => *node,
            None if flags.has(OpenFlags::CREATE) => {
                if !self.names.contains_key(parent(&path)) {
                    return Err(StatusCode::NoSuchFile);
                }
                let mode = attrs.mode().unwrap_or(0o644);
                self.make(&path, Node::File { data: Vec::new(), mode, times: (0, 0) })
            }
            None => return Err(StatusCode::NoSuchFile),
        };
        match self.nodes.get_mut(&node) {
            Some(Node::File { data, .. }) => {
                if flags.has(OpenFlags::TRUNCATE) {
                    data.clear();
                }
            }
            _ => return Err(StatusCode::Failure),
        }
        Ok(self.hand_out(Handle::File { node, flags }))
    }

    fn hand_out(&mut self, handle: Handle) -> Reply {
        self.next += 1;
        let name = self.next.to_be_bytes().to_vec();
        self.handles.insert(name.clone(), handle);
        Reply::Handle(name)
    }

    fn close(&mut self, handle: &[u8]) -> Answer {
        self.handles.remove(handle).map(|_| ok()).ok_or(StatusCode::Failure)
    }

    /// Handles that nobody closed.
    pub fn open_handles(&self) -> usize {
        self.handles.len()
    }

    fn file_of(&self, handle: &[u8]) -> Result<(u64, OpenFlags), StatusCode> {
        match self.handles.get(handle) {
            Some(Handle::File { node, flags }) => Ok((*node, *flags)),
            _ => Err(StatusCode::Failure),
        }
    }

    fn read(&self, handle: &[u8], offset: u64, length: u32) -> Answer {
        let (node, flags) = self.file_of(handle)?;
        let Some(Node::File { data, .. }) = self.nodes.get(&node) else {
            return Err(StatusCode::Failure);
        };
        if !flags.has(OpenFlags::READ) {
            return Err(StatusCode::PermissionDenied);
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
        let end = start.saturating_add(length as usize).min(data.len());
        match start == end {
            true => Err(StatusCode::Eof),
            false => Ok(Reply::Data(Bytes::copy_from_slice(&data[start..end]))),
        }
    }

    fn write(&mut self, handle: &[u8], offset: u64, bytes: &[u8]) -> Answer {
        let (node, flags) = self.file_of(handle)?;
        let Some(Node::File { data, .. }) = self.nodes.get_mut(&node) else {
            return Err(StatusCode::Failure);
        };
        if !flags.has(OpenFlags::WRITE) {
            return Err(StatusCode::PermissionDenied);
        }
        let start = match flags.has(OpenFlags::APPEND) {
            true => data.len(),
            false => usize::try_from(offset).map_err(|_| StatusCode::Failure)?,
        };
        if data.len() < start + bytes.len() {
            data.resize(start + bytes.len(), 0);
        }
        data[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(ok())
    }

    fn open_directory(&mut self, path: &[u8]) -> Answer {
        let path = self.resolve(path, true)?;
        match self.names.get(&path).and_then(|id| self.nodes.get(id)) {
            Some(Node::Directory { .. }) => {}
            Some(_) => return Err(StatusCode::Failure),
            None => return Err(StatusCode::NoSuchFile),
        }
        let start = if path == b"/" { b"/".to_vec() } else { [&path, b"/".as_slice()].concat() };
        let inside = self.names.iter().filter_map(|(name, id)| {
            let own = name.strip_prefix(start.as_slice())?;
            (!own.is_empty() && !own.contains(&b'/')).then(|| entry(own, self.attrs(*id)))
        });
        let dots = [b".".as_slice(), b".."].map(|dot| entry(dot, Attrs::default()));
        let mut left: Vec<Name> = dots.into_iter().chain(inside).collect();
        left.reverse();
        Ok(self.hand_out(Handle::Directory { left }))
    }

    fn read_directory(&mut self, handle: &[u8]) -> Answer {
        let Some(Handle::Directory { left }) = self.handles.get_mut(handle) else {
            return Err(StatusCode::Failure);
        };
        let rest = left.len().saturating_sub(NAMES);
        let mut names = left.split_off(rest);
        names.reverse();
        match names.is_empty() {
            true => Err(StatusCode::Eof),
            false => Ok(Reply::Name(names)),
        }
    }

    fn stat(&self, path: &[u8], follow: bool) -> Answer {
        self.node(path, follow).map(|node| Reply::Attrs(self.attrs(node)))
    }

    fn set(&mut self, node: u64, attrs: &Attrs) -> Answer {
        match self.nodes.get_mut(&node) {
            Some(Node::File { data, mode, times }) => {
                if let Some(size) = attrs.size {
                    data.resize(usize::try_from(size).map_err(|_| StatusCode::Failure)?, 0);
                }
                *mode = attrs.mode().unwrap_or(*mode);
                *times = attrs.times.unwrap_or(*times);
            }
            Some(Node::Directory { mode, times }) => {
                *mode = attrs.mode().unwrap_or(*mode);
                *times = attrs.times.unwrap_or(*times);
            }
            _ => return Err(StatusCode::Failure),
        }
        Ok(ok())
    }

    fn read_link(&self, path: &[u8]) -> Answer {
        match &self.nodes[&self.node(path, false)?] {
            Node::Link(holds) => Ok(name(holds.clone(), None)),
            _ => Err(StatusCode::Failure),
        }
    }

    fn remove(&mut self, path: &[u8], directory: bool) -> Answer {
        let path = self.resolve(path, false)?;
        let id = *self.names.get(&path).ok_or(StatusCode::NoSuchFile)?;
        let is_directory = matches!(self.nodes[&id], Node::Directory { .. });
        if is_directory != directory || directory && !self.below(&path).is_empty() {
            return Err(StatusCode::Failure);
        }
        self.names.remove(&path);
        Ok(ok())
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) -> Answer {
        let (from, to) = (self.resolve(from, false)?, self.resolve(to, false)?);
        let id = self.names.remove(&from).ok_or(StatusCode::NoSuchFile)?;
        for name in self.below(&from) {
            let moved = self.names.remove(&name).ok_or(StatusCode::Failure)?;
            self.names.insert([to.as_slice(), &name[from.len()..]].concat(), moved);
        }
        self.names.insert(to, id);
        Ok(ok())
    }

    fn extended(&mut self, extended: &Extended) -> Answer {
        match extended {
            Extended::PosixRename { from, to } => self.rename(from, to),
            Extended::Hardlink { from, to } => {
                let (node, to) = (self.node(from, false)?, self.free_name(to)?);
                self.names.insert(to, node);
                Ok(ok())
            }
            Extended::Fsync { handle } => self.file_of(handle).map(|_| ok()),
            Extended::Limits => {
                let limits = Limits {
                    packet: 256 << 10,
                    read: 255 << 10,
                    write: 255 << 10,
                    open_handles: 64,
                };
                Ok(Reply::Extended(limits.to_body()))
            }
            Extended::Statvfs { .. } | Extended::Fstatvfs { .. } => {
                let blocks = Statvfs { fragment_size: 4096, blocks: 1 << 20, ..Statvfs::default() };
                Ok(Reply::Extended(blocks.to_body()))
            }
            _ => Err(StatusCode::Unsupported),
        }
    }
}

/// What [`Tree`] knows of OpenSSH's extensions.
pub fn extensions() -> Vec<(Vec<u8>, Vec<u8>)> {
    [
        ("posix-rename@openssh.com", "1"),
        ("statvfs@openssh.com", "2"),
        ("fstatvfs@openssh.com", "2"),
        ("hardlink@openssh.com", "1"),
        ("fsync@openssh.com", "1"),
        ("limits@openssh.com", "1"),
    ]
    .map(|(name, version)| (name.into(), version.into()))
    .to_vec()
}

fn ok() -> Reply {
    Reply::status(StatusCode::Ok, "")
}

fn directory() -> Node {
    Node::Directory { mode: 0o755, times: (1_700_000_000, 1_700_000_000) }
}

/// The answer to realpath and readlink.
fn name(path: Vec<u8>, attrs: Option<Attrs>) -> Reply {
    Reply::Name(vec![Name { long: path.clone(), name: path, attrs: attrs.unwrap_or_default() }])
}

pub fn entry(name: &[u8], attrs: Attrs) -> Name {
    Name { name: name.to_vec(), long: [b"-rw-r--r-- ", name].concat(), attrs }
}

fn names(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path.split(|byte| *byte == b'/');
    names.filter(|name| !matches!(*name, b"" | b".")).map(<[u8]>::to_vec).collect()
}

fn absolute(path: &[u8]) -> Vec<u8> {
    let whole = match path.starts_with(b"/") {
        true => path.to_vec(),
        false => [HOME, b"/", path].concat(),
    };
    match whole.strip_suffix(b"/.").unwrap_or(&whole) {
        b"" => b"/".to_vec(),
        path => path.to_vec(),
    }
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if directory == b"/" { b"" } else { b"/" };
    [directory, slash, name].concat()
}

fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        None | Some(0) => b"/",
        Some(at) => &path[..at],
    }
}
