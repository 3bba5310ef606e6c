//! The demo: a real SSH server inside the program, so that the whole story can be played on a
//! machine that has nothing but `sgw`. The tests use the same server for what a good one never does.

pub mod server;
