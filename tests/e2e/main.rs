//! End to end: the real binary against a real sshd, told as stories. A file is a subject, a test's
//! name is a claim. `support` has the builders; `redteam` holds the claims of SECURITY.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says why"
)]

mod attach;
mod bad_frames;
mod bad_input;
mod bridge;
mod command_approval;
mod control;
mod credentials;
mod demo;
mod desk;
mod doctor;
mod evidence;
mod exec;
mod exec_stream;
mod files;
mod full_disk;
mod glance;
mod grants;
mod guarded;
mod guarded_input;
mod help_and_docs;
mod host_keys;
mod lasting;
mod logins;
mod odd_servers;
mod operator_and_daemon;
mod output;
mod pause;
mod plan;
mod policy;
mod pty;
#[path = "../redteam/mod.rs"]
mod redteam;
mod remote_processes_end;
mod request_and_approval;
mod run;
mod service;
mod sessions_end;
mod support;
mod targets;
mod tokens;
mod transfers;
mod vault;
mod watch;
