//! Files that the daemon alone writes, and all the SQL there is. Those that `init` makes too are in
//! `home`.

pub mod database;
pub mod log;
