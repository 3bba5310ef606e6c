//! Parse, run, exit code: nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    sgw::cli::main(sgw::daemon::run)
}
