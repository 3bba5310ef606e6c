//! Speaks to the daemon for the command line: finds it, says hello, calls. It never starts one; only
//! [`launch`], for the operator's `unlock`, does.

mod bridge;
pub mod connection;
mod error;
pub mod group;
mod incoming;
pub mod launch;
pub mod live;
pub mod operator;
mod output;
mod place;
pub mod service;
mod socket;
mod stdin;
pub mod stream;

use tokio::signal::unix::{SignalKind, signal};

pub use connection::Connection;
pub use error::Error;
pub use place::Place;

/// A runtime for one call: on this thread alone, because a command's start-up is what its user waits for.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    // A limit on files' sizes fails the write, as any full disk does, in place of ending the process
    // (SIGXFSZ, setrlimit(2)). The handler stays; a program that is started gets the default back.
    let _kept = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
    drop(entered);
    Ok(runtime)
}
