//! Vocabulary and decisions. Pure: no I/O, no clock, no environment, no tokio; time, randomness and
//! names are arguments.

pub mod action;
pub mod authorize;
pub mod bytes;
pub mod capability;
pub mod control;
pub mod cut;
pub mod difference;
pub mod digest;
pub mod echo;
pub mod escape;
pub mod files;
pub mod grant;
pub mod guard;
pub mod hostkey;
pub mod id;
pub mod identity;
pub mod judgement;
pub mod kept;
pub mod key;
pub mod keys;
pub mod known_hosts;
pub mod nearest;
pub mod passphrase;
pub mod pin;
pub mod prompt;
pub mod record;
pub mod request;
pub mod seal;
pub mod secret;
pub mod sftp;
pub mod shell;
pub mod target;
pub mod terminal;
pub mod token;
pub mod transcript;
