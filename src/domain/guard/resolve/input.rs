//! Which commands take from a standard input that they share with others: of a script that comes there what they
//! take is gone, and the rest begins elsewhere.

use super::{Arguments, Code, Walk};
use crate::domain::guard::{
    field::{Field, Taken},
    policy::Program,
};

/// They never look at it.
const NEVER: [&str; 176] = [
    ":",
    "true",
    "false",
    "echo",
    "printf",
    "print",
    "test",
    "[",
    "cd",
    "chdir",
    "pushd",
    "popd",
    "dirs",
    "pwd",
    "export",
    "declare",
    "typeset",
    "local",
    "readonly",
    "integer",
    "unset",
    "set",
    "shift",
    "shopt",
    "setopt",
    "unsetopt",
    "alias",
    "unalias",
    "hash",
    "type",
    "which",
    "whereis",
    "command",
    "builtin",
    "umask",
    "ulimit",
    "trap",
    "return",
    "exit",
    "break",
    "continue",
    "wait",
    "jobs",
    "kill",
    "getopts",
    "let",
    "times",
    "eval",
    "exec",
    "ls",
    "dir",
    "mkdir",
    "rmdir",
    "chmod",
    "chown",
    "chgrp",
    "touch",
    "stat",
    "file",
    "readlink",
    "realpath",
    "basename",
    "dirname",
    "mktemp",
    "truncate",
    "date",
    "sleep",
    "id",
    "whoami",
    "groups",
    "users",
    "who",
    "w",
    "last",
    "uname",
    "hostname",
    "hostnamectl",
    "timedatectl",
    "localectl",
    "uptime",
    "df",
    "du",
    "ps",
    "pgrep",
    "pkill",
    "pidof",
    "killall",
    "free",
    "vmstat",
    "iostat",
    "lsblk",
    "lscpu",
    "lsmod",
    "lsof",
    "blkid",
    "mount",
    "umount",
    "findmnt",
    "ss",
    "netstat",
    "ip",
    "ifconfig",
    "ping",
    "dig",
    "host",
    "getent",
    "find",
    "seq",
    "env",
    "printenv",
    "nproc",
    "arch",
    "systemctl",
    "service",
    "journalctl",
    "loginctl",
    "useradd",
    "usermod",
    "userdel",
    "groupadd",
    "gpasswd",
    "sync",
    "sysctl",
    "modprobe",
    "git",
    "pip",
    "pip3",
    "npm",
    "npx",
    "yarn",
    "pnpm",
    "cargo",
    "make",
    "go",
    "bundle",
    "composer",
    "curl",
    "wget",
    "rsync",
    "scp",
    "tree",
    "dmesg",
    "ldconfig",
    "update-alternatives",
    "nginx",
    "apachectl",
    "apache2ctl",
    "a2ensite",
    "a2enmod",
    "a2dissite",
    "pm2",
    "supervisorctl",
    "certbot",
    "ufw",
    "locale",
    "locale-gen",
    "install",
    "logger",
    "nohup",
    "time",
    "nice",
    "timeout",
    "ln",
    "cp",
    "mv",
    "rm",
    "virtualenv",
    "rustc",
    "gcc",
    "docker-compose",
    "swapon",
    "swapoff",
    "mkswap",
    "fallocate",
    "setfacl",
    "getfacl",
];
/// With so many files or texts behind them they don't.
const GIVEN: [(&str, usize); 41] = [
    ("cat", 1),
    ("head", 1),
    ("tail", 1),
    ("sort", 1),
    ("wc", 1),
    ("uniq", 1),
    ("nl", 1),
    ("tac", 1),
    ("cut", 1),
    ("rev", 1),
    ("less", 1),
    ("more", 1),
    ("md5sum", 1),
    ("sha1sum", 1),
    ("sha256sum", 1),
    ("sha512sum", 1),
    ("cksum", 1),
    ("xxd", 1),
    ("od", 1),
    ("strings", 1),
    ("base64", 1),
    ("gzip", 1),
    ("gunzip", 1),
    ("zcat", 1),
    ("bzip2", 1),
    ("bunzip2", 1),
    ("xz", 1),
    ("unxz", 1),
    ("zstd", 1),
    ("unzip", 1),
    ("column", 1),
    ("grep", 2),
    ("egrep", 2),
    ("fgrep", 2),
    ("rg", 2),
    ("sed", 2),
    ("awk", 2),
    ("gawk", 2),
    ("jq", 2),
    ("diff", 2),
    ("cmp", 2),
];
/// What of a package manager asks nothing.
const ASKS_NOT: [&str; 14] = [
    "update",
    "list",
    "search",
    "show",
    "info",
    "clean",
    "autoclean",
    "policy",
    "check",
    "makecache",
    "check-update",
    "add",
    "del",
    "depends",
];

impl Walk<'_> {
    /// What others left of the input is not known.
    pub(super) fn reads_on(&mut self, name: &str, program: &Program) {
        let lines = matches!(name, "read" | "mapfile" | "readarray");
        let own = program.language.is_some() || program.inner.is_some() || lines;
        if self.stdin.taken() != Taken::Nothing && !own {
            self.stdin.text = None;
        }
    }

    /// How much a command takes of the input that it shares; of one that runs others these say it themselves.
    pub(super) fn takes(
        &self,
        name: &str,
        program: &Program,
        fields: &[Field],
        arguments: &Arguments,
        codes: &[Code],
    ) -> Taken {
        if self.stdin.text.as_deref() == Some("") {
            return Taken::Nothing;
        }
        let bytes = |takes: bool| if takes { Taken::Bytes } else { Taken::Nothing };
        match name {
            "read" if arguments.has("u") => return Taken::Nothing,
            "read" if ["n", "N", "d", "t"].iter().any(|flag| arguments.has(flag)) => {
                return Taken::Bytes;
            }
            "mapfile" | "readarray" if arguments.has("d") => return Taken::Bytes,
            "read" | "mapfile" | "readarray" => return Taken::Lines,
            _ => {}
        }
        if fields.iter().skip(1).any(names_input) {
            return Taken::Bytes;
        }
        let count = arguments.operands.len();
        let has = |flags: &[&str]| flags.iter().any(|flag| arguments.has(flag));
        if let Some((_, needed)) = GIVEN.iter().find(|(known, _)| *known == name) {
            let text = has(&["e", "f", "file", "regexp", "expression"]);
            let needed = needed - usize::from(*needed == 2 && text);
            let below = matches!(name, "grep" | "rg") && has(&["r", "R", "recursive"]);
            return bytes(count < needed && !below || arguments.opaque && count == needed);
        }
        match name {
            "cp" | "mv" | "rm" | "ln" => bytes(has(&["i", "I", "interactive"])),
            "find" => {
                bytes(has(&["ok", "okdir"]) || fields.iter().any(|f| f.text.starts_with("-ok")))
            }
            "git" => bytes(fields.iter().any(|field| reads_in_git(&field.text))),
            "tar" => bytes(!fields.iter().any(|field| names_archive(&field.text))),
            "dd" => bytes(!fields.iter().any(|field| field.text.starts_with("if="))),
            "crontab" => bytes(count == 0 && !has(&["l", "r"])),
            "apt-get" | "apt" | "yum" | "dnf" | "apk" | "zypper" | "pacman" => {
                let verb = arguments.operands.first().map(|field| field.text.as_str());
                let asks = !has(&["y", "yes", "assume-yes", "noconfirm", "n"]);
                bytes(asks && !verb.is_some_and(|verb| ASKS_NOT.contains(&verb)))
            }
            "dpkg" => bytes(!has(&["l", "s", "L", "S", "list", "status"])),
            // These hand their input on, across the wire.
            "ssh" | "rsh" => bytes(!has(&["n", "f"])),
            "docker" | "podman" | "kubectl" | "nerdctl" | "oc" => {
                let open = ["load", "login", "attach", "compose"];
                let verb = fields.iter().skip(1).any(|field| open.contains(&field.text.as_str()));
                let exec = name != "docker" && name != "podman" && has(&["stdin"]);
                let letters = fields.iter().skip(1).any(|f| holds_letter(&f.text, 'i'));
                bytes(exec || letters || verb || has(&["interactive"]))
            }
            name if NEVER.contains(&name) => Taken::Nothing,
            "xargs" | "parallel" | "script" | "su" => Taken::Bytes,
            _ if program.language.as_deref() == Some("sh") => {
                bytes(codes.is_empty() || codes.iter().any(|c| c.input || c.data.text.is_none()))
            }
            _ if program.language.as_deref() == Some("sql") => {
                bytes(codes.is_empty() || codes.iter().any(|code| code.input))
            }
            _ if program.language.is_some() => Taken::Bytes,
            _ if program.inner.is_some() => {
                bytes(Arguments::divide(fields, program, true).operands.is_empty())
            }
            _ => Taken::Bytes,
        }
    }
}

/// Whether a word is a name of standard input.
fn names_input(field: &Field) -> bool {
    let text = field.text.as_str();
    text == "-"
        || text.ends_with("@-")
        || text.ends_with("=-")
        || ["/dev/stdin", "/dev/fd/", "/fd/0", "--stdin"].iter().any(|part| text.contains(part))
            && text != "/dev/fd/63"
}

/// What of git reads there.
fn reads_in_git(word: &str) -> bool {
    let verbs =
        ["am", "apply", "fast-import", "mktree", "mailinfo", "shell", "patch-id", "stripspace"];
    verbs.contains(&word) || word.starts_with("--batch") || word.contains("stdin")
}

/// `xzf`, `-f`, `--file`.
fn names_archive(word: &str) -> bool {
    word.starts_with("--file") || word != "-" && !word.starts_with("--") && word.contains('f')
}

fn holds_letter(word: &str, letter: char) -> bool {
    word.strip_prefix('-').is_some_and(|rest| !rest.starts_with('-') && rest.contains(letter))
}
