//! Speaks to the daemon for the command line: finds it, says hello, calls. It never starts one; only
//! [`launch`], for the operator's `unlock`, does.

pub mod connection;
mod error;

mod incoming;
pub mod launch;
pub mod live;
pub mod operator;
mod output;
mod place;
mod socket;
mod stdin;
pub mod stream;

pub use connection::Connection;
pub use error::Error;
pub use place::Place;

/// A runtime for one call: on this thread alone, because a command's start-up is what its user waits for.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
