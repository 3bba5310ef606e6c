//! The vault's file: sealed rows and one sealed root, in SQLite. It keeps what it is given, whole or not
//! at all, and knows nothing of what is sealed. One thread has the file.

mod connection;
mod schema;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use self::connection::Connection;
use crate::home::{Home, HomeError};

pub use schema::DIGEST as SCHEMA_DIGEST;

/// The largest file that is read or written.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// An open file. Dropped, it is closed.
pub struct Database {
    jobs: SyncSender<Job>,
}

/// A row as it is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub table: String,
    pub id: String,
    pub version: u64,
    pub sealed: Vec<u8>,
}

/// The one row that all others answer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    pub revision: u64,
    pub sealed: Vec<u8>,
}

/// What happens to a row. Each names what it must find, and fails the whole batch where it does not.
#[derive(Clone, Debug)]
pub enum Write {
    Insert(Row),
    Update { was: u64, row: Row },
    Delete { table: String, id: String, was: u64 },
}

/// Writes that happen together, and the root that then holds.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The revision that it follows.
    pub was: u64,
    pub root: Root,
    pub writes: Vec<Write>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Nothing can be said of what it holds.
    #[error("{0}")]
    Damaged(String),
    /// It holds what it held before.
    #[error("it can't be written: {0}")]
    Write(String),
    #[error("it was replaced while the daemon ran")]
    Replaced,
    #[error("its thread has ended")]
    Ended,
}

struct Job {
    batch: Batch,
    done: SyncSender<Result<(), StoreError>>,
}

impl Database {
    /// Makes a file with these rows, durable when it returns, and closes it. One that has the name is
    /// removed first.
    pub fn create(home: &Home, name: &str, root: &Root, rows: &[Row]) -> Result<(), StoreError> {
        remove(home, name)?;
        let made = Connection::create(home, name)
            .and_then(|mut connection| connection.fill(root, rows))
            .and_then(|()| Ok(home.sync()?));
        made.inspect_err(|_| {
            // Half a file is of no use; what can't be removed now is removed by the next try.
            let _ = remove(home, name);
        })
    }

    /// Opens a file, refused where it is not exactly ours, and hands out its root, then each of its rows.
    pub fn open<T>(
        home: &std::sync::Arc<Home>,
        name: &'static str,
        root: impl FnOnce(Root) -> Result<T, String>,
        mut row: impl FnMut(&mut T, Row) -> Result<(), String>,
    ) -> Result<(Self, T), StoreError> {
        let connection = Connection::open(home.clone(), name)?;
        let mut read = root(connection.root()?).map_err(StoreError::Damaged)?;
        connection.rows(|found| row(&mut read, found).map_err(StoreError::Damaged))?;
        let (jobs, queue) = sync_channel(0);
        std::thread::Builder::new()
            .name("vault".into())
            .spawn(move || work(connection, &queue))
            .map_err(|error| StoreError::Write(error.to_string()))?;
        Ok((Self { jobs }, read))
    }

    /// On the disk when it returns; when it fails, nothing of it is.
    pub fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let (done, result) = sync_channel(1);
        self.jobs.send(Job { batch, done }).map_err(|_| StoreError::Ended)?;
        result.recv().unwrap_or(Err(StoreError::Ended))
    }
}

/// Removes a file with what SQLite keeps beside it.
pub fn remove(home: &Home, name: &str) -> Result<(), HomeError> {
    for end in ["-journal", "-wal", "-shm", ""] {
        home.remove(&format!("{name}{end}"))?;
    }
    Ok(())
}

fn work(mut connection: Connection, queue: &Receiver<Job>) {
    while let Ok(Job { batch, done }) = queue.recv() {
        // Whoever asked and is gone finds out when it reads.
        let _gone = done.send(connection.write(&batch));
    }
}

/// Keeps everybody else from writing, as long as it is there.
#[cfg(test)]
pub fn hold(path: &std::path::Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

/// What a hand that is not the daemon's does to a file; how many rows it changed.
#[cfg(test)]
pub fn tamper(path: &std::path::Path, sql: &str) -> usize {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch(&format!("PRAGMA writable_schema = ON; {sql}")).unwrap();
    usize::try_from(connection.changes()).unwrap()
}
