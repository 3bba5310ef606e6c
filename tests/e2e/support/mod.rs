//! What the stories are made of: a server, a person with a terminal, an agent, and clocks that wait
//! for conditions and never for time.

mod authority;
mod canary;
pub mod delay;
mod disk;
pub mod frames;
mod key;
mod live;
mod odd;
mod outcome;
mod process;
mod pty;
mod service;
pub mod sftp;
mod sgw;
mod sshd;
mod user;
mod working;

pub use authority::Token;
pub use disk::SmallDisk;
pub use key::{Form, Key, tool};
pub use live::Live;
pub use odd::{OddServer, PASSWORD, round};
pub use outcome::Outcome;
pub use process::{
    Running, eventually, eventually_within, is_alive, processes_naming, processes_with_files_under,
    signal,
};
pub use pty::Pty;
pub use service::{Handed, Service};
pub use sgw::{Destination, PASSPHRASE, Sgw};
pub use sshd::{Settings, Sshd};
pub use user::{Person, is_root};
pub use working::Working;

/// The longest that one command, or one condition, may take on a busy machine.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Whatever was tried, the daemon still serves.
#[track_caller]
pub fn still_serves(sgw: &Sgw, session: &str) {
    sgw.agent(["exec", session, "--", "echo", "still here"]).ok().prints("still here\n");
}
