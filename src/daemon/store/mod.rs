//! Files that the daemon alone writes. Those that `init` makes too are in `home`.

pub mod log;
