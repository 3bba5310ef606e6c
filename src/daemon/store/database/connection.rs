//! The connection to the file: opened so that nothing in the file is run or believed, and looked at again
//! at each write.

use std::{fs::File, os::unix::fs::FileExt, sync::Arc, time::Duration};

use rusqlite::{OpenFlags, Transaction, TransactionBehavior, config::DbConfig, params};
use rustix::fs::OFlags;

use super::{
    Batch, MAX_BYTES, Root, Row, StoreError, Write,
    schema::{self, SCHEMA},
};
use crate::{
    domain::escape::visible,
    home::{Home, HomeError},
};

/// Where the file's header counts its changes, in 4 bytes (fileformat2.html, 1.3.8).
const CHANGE_COUNTER: u64 = 24;
const PAGE_BYTES: u64 = 4096;

pub struct Connection {
    sql: rusqlite::Connection,
    /// The same file, opened by us. Closing it would drop SQLite's locks on it (fcntl(2)), so it is
    /// dropped after `sql`.
    file: File,
    inode: (u64, u64),
    home: Option<Arc<Home>>,
    name: &'static str,
}

impl Connection {
    /// A new file with the schema, in a name that is free.
    pub fn create(home: &Home, name: &str) -> Result<Self, StoreError> {
        let file = home.open_file(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?;
        let connection = Self::on(home, name, file)?;
        for (_, _, text) in SCHEMA {
            connection.sql.execute(text, ()).map_err(unwritten)?;
        }
        Ok(connection)
    }

    pub fn open(home: Arc<Home>, name: &'static str) -> Result<Self, StoreError> {
        let file = home.open_file(name, OFlags::RDWR)?;
        let length = file.metadata().map_err(|error| StoreError::Damaged(error.to_string()))?.len();
        if length > MAX_BYTES {
            let path = home.path_of(name);
            return Err(HomeError::TooLarge { path, limit: MAX_BYTES }.into());
        }
        let mut connection = Self::on(&home, name, file)?;
        connection.check_schema()?;
        (connection.home, connection.name) = (Some(home), name);
        Ok(connection)
    }

    fn on(home: &Home, name: &str, file: File) -> Result<Self, StoreError> {
        // NOFOLLOW, and no CREATE: it is the file that was just found to be ours.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let path = home.path_of(name);
        let sql = rusqlite::Connection::open_with_flags(&path, flags).map_err(damaged)?;
        configure(&sql).map_err(damaged)?;
        let stat =
            rustix::fs::fstat(&file).map_err(|error| StoreError::Damaged(error.to_string()))?;
        let inode = (stat.st_dev, stat.st_ino);
        if home.inode(name)? != Some(inode) {
            return Err(StoreError::Replaced);
        }
        Ok(Self { sql, file, inode, home: None, name: "" })
    }

    fn check_schema(&self) -> Result<(), StoreError> {
        let mut statement = self.sql.prepare(schema::OBJECTS).map_err(damaged)?;
        let mut found = statement.query(()).map_err(damaged)?;
        let mut expected = SCHEMA.iter();
        while let Some(object) = found.next().map_err(damaged)? {
            let text = |column| object.get::<_, Option<String>>(column).map_err(damaged);
            let (kind, name, sql) = (text(0)?, text(1)?, text(2)?);
            let (kind, name, sql) = (kind.as_deref(), name.as_deref(), sql.as_deref());
            if expected.next().map(|(kind, name, sql)| (Some(*kind), Some(*name), Some(*sql)))
                != Some((kind, name, sql))
            {
                let of = |text: Option<&str>| visible(text.unwrap_or("?"), 64).to_string();
                let why = format!("the {} {} in it is not sgw's", of(kind), of(name));
                return Err(StoreError::Damaged(why));
            }
        }
        match expected.next() {
            None => Ok(()),
            Some((_, name, _)) => Err(StoreError::Damaged(format!("it has no table {name}"))),
        }
    }

    pub fn root(&self) -> Result<Root, StoreError> {
        let count: u64 =
            self.sql.query_row(schema::ROOTS, (), |row| row.get(0)).map_err(damaged)?;
        if count != 1 {
            return Err(StoreError::Damaged(format!("it has {count} roots")));
        }
        let read =
            |row: &rusqlite::Row<'_>| Ok(Root { revision: row.get(0)?, sealed: row.get(1)? });
        self.sql.query_row(schema::ROOT, (), read).map_err(damaged)
    }

    pub fn rows(
        &self,
        mut each: impl FnMut(Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.sql.prepare(schema::ROWS).map_err(damaged)?;
        let mut rows = statement.query(()).map_err(damaged)?;
        while let Some(row) = rows.next().map_err(damaged)? {
            let (table, id): (String, String) =
                (row.get(0).map_err(damaged)?, row.get(1).map_err(damaged)?);
            let (Ok(version), Ok(sealed)) = (row.get(2), row.get(3)) else {
                return Err(StoreError::Damaged(format!(
                    "{} {}: it has values of another type",
                    visible(&table, 64),
                    visible(&id, 300)
                )));
            };
            each(Row { table, id, version, sealed })?;
        }
        Ok(())
    }

    /// The first content of a new file.
    pub fn fill(&mut self, root: &Root, rows: &[Row]) -> Result<(), StoreError> {
        let transaction = begin(&mut self.sql)?;
        for row in rows {
            one(insert(&transaction, row))?;
        }
        one(transaction.execute(schema::INSERT_ROOT, params![root.revision, root.sealed]))?;
        transaction.commit().map_err(unwritten)
    }

    pub fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.check_place()?;
        let before = self.change_counter()?;
        match self.try_write(batch) {
            Ok(()) => {}
            // A commit that fails is rolled back, but for one whose journal could not be removed
            // durably: the root tells.
            Err(error) => match self.root() {
                Ok(root) if root.revision == batch.was => return Err(error),
                Ok(root) if root == batch.root => {}
                _ => {
                    return Err(StoreError::Damaged(format!(
                        "{error}, and what it holds is unknown"
                    )));
                }
            },
        }
        // SQLite has opened by name what we have opened too: it must be one file.
        if self.change_counter()? == before {
            return Err(StoreError::Replaced);
        }
        self.check_place()
    }

    fn try_write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let transaction = begin(&mut self.sql)?;
        for write in &batch.writes {
            one(match write {
                Write::Insert(row) => insert(&transaction, row),
                Write::Update { was, row: Row { table, id, version, sealed } } => {
                    transaction.execute(schema::UPDATE, params![table, id, version, sealed, was])
                }
                Write::Delete { table, id, was } => {
                    transaction.execute(schema::DELETE, params![table, id, was])
                }
            })?;
        }
        let Root { revision, sealed } = &batch.root;
        one(transaction.execute(schema::UPDATE_ROOT, params![revision, sealed, batch.was]))?;
        transaction.commit().map_err(unwritten)
    }

    /// Whether the file still has its name.
    fn check_place(&self) -> Result<(), StoreError> {
        let Some(home) = &self.home else { return Ok(()) };
        match home.inode(self.name)? == Some(self.inode) {
            true => Ok(()),
            false => Err(StoreError::Replaced),
        }
    }

    fn change_counter(&self) -> Result<[u8; 4], StoreError> {
        let mut counter = [0; 4];
        self.file
            .read_exact_at(&mut counter, CHANGE_COUNTER)
            .map_err(|error| StoreError::Damaged(error.to_string()))?;
        Ok(counter)
    }
}

/// Nothing in the file is run, and what is committed is on the disk, its directory included
/// (`synchronous=EXTRA`). A rollback journal, not a log: at rest there is one file.
fn configure(sql: &rusqlite::Connection) -> rusqlite::Result<()> {
    use DbConfig::{
        SQLITE_DBCONFIG_DEFENSIVE, SQLITE_DBCONFIG_DQS_DDL, SQLITE_DBCONFIG_DQS_DML,
        SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_VIEW,
        SQLITE_DBCONFIG_TRUSTED_SCHEMA,
    };
    // Nobody else has business with it: who holds it is not waited for long.
    sql.busy_timeout(Duration::from_secs(1))?;
    sql.set_db_config(SQLITE_DBCONFIG_DEFENSIVE, true)?;
    for off in [
        SQLITE_DBCONFIG_TRUSTED_SCHEMA,
        SQLITE_DBCONFIG_ENABLE_TRIGGER,
        SQLITE_DBCONFIG_ENABLE_VIEW,
        SQLITE_DBCONFIG_DQS_DDL,
        SQLITE_DBCONFIG_DQS_DML,
    ] {
        sql.set_db_config(off, false)?;
    }
    // What was removed is overwritten, not only forgotten.
    sql.execute_batch(&format!(
        "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;
         PRAGMA cache_size = -512; PRAGMA page_size = {PAGE_BYTES};
         PRAGMA max_page_count = {}; PRAGMA journal_mode = DELETE;
         PRAGMA synchronous = EXTRA; PRAGMA secure_delete = ON;",
        MAX_BYTES / PAGE_BYTES
    ))?;
    let mode: String = sql.query_row("PRAGMA journal_mode", (), |row| row.get(0))?;
    match mode.as_str() {
        "delete" => Ok(()),
        _ => Err(rusqlite::Error::InvalidQuery),
    }
}

fn begin(sql: &mut rusqlite::Connection) -> Result<Transaction<'_>, StoreError> {
    sql.transaction_with_behavior(TransactionBehavior::Immediate).map_err(unwritten)
}

fn insert(transaction: &Transaction<'_>, row: &Row) -> rusqlite::Result<usize> {
    transaction.execute(schema::INSERT, params![row.table, row.id, row.version, row.sealed])
}

/// Each write changes exactly one row.
fn one(changed: rusqlite::Result<usize>) -> Result<(), StoreError> {
    match changed.map_err(unwritten)? {
        1 => Ok(()),
        many => Err(StoreError::Damaged(format!("a write changed {many} rows in place of one"))),
    }
}

fn unwritten(error: rusqlite::Error) -> StoreError {
    StoreError::Write(error.to_string())
}

fn damaged(error: rusqlite::Error) -> StoreError {
    StoreError::Damaged(error.to_string())
}
