//! What the stories are made of: a server, a person with a terminal, an agent, and clocks that wait
//! for conditions and never for time.

mod canary;
pub mod delay;
pub mod frames;
mod key;
mod odd;
mod outcome;
mod process;
mod pty;
mod sgw;
mod sshd;
mod user;

pub use key::{Form, Key};
pub use odd::OddServer;
pub use outcome::Outcome;
pub use process::{Running, eventually, is_alive, processes_naming};
pub use pty::Pty;
pub use sgw::Sgw;
pub use sshd::Sshd;
pub use user::Person;

/// The longest that one command, or one condition, may take on a busy machine.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
