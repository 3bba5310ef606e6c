//! Exit statuses: the one function that maps the classes of codes to them.

use crate::protocol::error::Class;

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    pub const DONE: Exit = Exit(0);
    pub const FAILED: Exit = Exit(1);
    pub const NOT_YET: Exit = Exit(75);
    /// 128 + SIGTERM.
    pub const TERMINATED: Exit = Exit(143);
    /// 128 + SIGINT.
    pub const INTERRUPTED: Exit = Exit(130);
    /// 128 + SIGPIPE.
    pub const CLOSED: Exit = Exit(141);
}

/// Whose statuses 1 and 2 are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Sgw,
    /// A remote command's: sgw's own failures are 125.
    Command,
    /// A program's of this machine, which can mean anything by any: all of sgw's own failures are 125.
    Program,
}

pub fn of(class: Class, owner: Owner) -> Exit {
    Exit(match (class, owner) {
        (_, Owner::Program) => 125,
        (Class::Usage | Class::Failed | Class::Lost, Owner::Command) => 125,
        (Class::Failed, Owner::Sgw) => 1,
        (Class::Usage, Owner::Sgw) => 2,
        (Class::NoDaemon, _) | (Class::Lost, Owner::Sgw) => 69,
        (Class::NotYet, _) => 75,
        (Class::No, _) => 77,
        (Class::TimedOut, _) => 124,
        (Class::Unreachable, _) => 255,
    })
}

/// A remote command's own status: its exit code, or 128 and the signal that ended it.
pub fn of_command(exit_code: Option<i32>, signal: Option<&str>) -> Option<Exit> {
    if let Some(code) = exit_code {
        // SSH carries 32 bits (RFC 4254, 6.10), a process 8.
        return Some(Exit((code & 0xff) as u8));
    }
    signal.map(|name| Exit(128 + number(name)))
}

/// Linux's numbers for the names of RFC 4254, 6.10, and a few that servers send besides.
fn number(signal: &str) -> u8 {
    match signal {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "ILL" => 4,
        "TRAP" => 5,
        "ABRT" => 6,
        "BUS" => 7,
        "FPE" => 8,
        "KILL" => 9,
        "USR1" => 10,
        "SEGV" => 11,
        "USR2" => 12,
        "PIPE" => 13,
        "ALRM" => 14,
        "TERM" => 15,
        "XCPU" => 24,
        "XFSZ" => 25,
        "SYS" => 31,
        // Ended by a signal that we can't name: 255 would be a lost connection, 128 is nothing's.
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::error::Code;

    #[test]
    fn each_class_has_the_status_of_the_contract() {
        for (code, sgw, command) in [
            (Code::UsageArguments, 2, 125),
            (Code::DaemonLost, 69, 125),
            (Code::SessionUnknown, 1, 125),
            (Code::DaemonUnreachable, 69, 69),
            (Code::OperatorNone, 69, 69),
            (Code::RequestPending, 75, 75),
            (Code::RequestDenied, 77, 77),
            (Code::ExecTimeout, 124, 124),
            (Code::TargetUnreachable, 255, 255),
        ] {
            assert_eq!(of(code.class(), Owner::Sgw), Exit(sgw), "{code}");
            assert_eq!(of(code.class(), Owner::Command), Exit(command), "{code}");
            assert_eq!(of(code.class(), Owner::Program), Exit(125), "{code}");
        }
    }

    #[test]
    fn a_command_ends_with_its_own_status_or_its_signal() {
        assert_eq!(of_command(Some(3), None), Some(Exit(3)));
        assert_eq!(of_command(Some(256), None), Some(Exit(0)));
        assert_eq!(of_command(None, Some("KILL")), Some(Exit(137)));
        assert_eq!(of_command(None, Some("ODD@openssh.com")), Some(Exit(128)));
        assert_eq!(of_command(None, None), None);
    }
}
