//! Closes an agent's program in with Landlock (landlock(7)): it writes to its working tree and to
//! temporary directories alone, reads neither sgw's home nor `~/.ssh` nor other terminals, and neither
//! signals nor traces what is outside. The daemon's agent socket stays open to it: Landlock asks nothing
//! of a connect(2). Where it asks nothing and harm could be done, a filter of system calls stands beside
//! it (seccomp(2)).
//!
//! Both close in a thread and what it starts. So the program is started from a thread of its own, and
//! sgw itself stays as it is.

mod calls;
mod layout;

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{DirBuilderExt, FileTypeExt},
    },
    path::{Path, PathBuf},
    thread,
};

use landlock::{
    ABI, Access, AccessFs, BitFlags, LandlockStatus, PathBeneath, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::OFlags;

use self::{
    calls::{Filter, FilterError},
    layout::{Layout, LayoutError, real, working_tree},
};
use crate::{
    cli::{resolve::account::Account, ui::Stream},
    domain::escape,
    home::{Home, random},
    protocol::error::{Code, Failure},
};

/// The interface that the rules are written for. Version 5 adds ioctl(2) on devices, which would take
/// the program's own terminal from it; 9 adds connect(2), which no kernel at hand has.
const FILES: ABI = ABI::V4;
const SCOPES: ABI = ABI::V6;
/// Devices that give away nothing, and everyone's way to their own terminal.
const DEVICES: [&str; 6] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];
/// Other terminals of the same uid: what is typed there could be read, and typed into.
const TERMINALS: &str = "/dev/pts";
/// Where programs keep what they need for a while. `/dev/shm` has their shared memory.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
const HELD_ELSEWHERE: &str = "sgw run --sandbox --passphrase-file FILE -- PROGRAM, with FILE outside \
                              of where the program works";

/// What a program will be closed in with.
#[derive(Debug)]
pub struct Sandbox {
    layout: Layout,
    /// The working tree, and what else was named to be written to.
    trees: Vec<PathBuf>,
    /// Made for this program where the usual one holds what is to be hidden; removed at the end.
    own_temporary: Option<PathBuf>,
    /// The kernel's version of Landlock.
    version: u32,
}

impl Sandbox {
    /// For a program that works in `directory`, beside the instance of sgw in `home`; `more` may be
    /// written too, and the files `secrets` are hidden. Fails where the kernel has no Landlock, or where
    /// the directory can't be told from what is to be hidden.
    pub fn new(
        directory: &Path,
        home: &Path,
        more: &[PathBuf],
        secrets: &[PathBuf],
    ) -> Result<Self, Failure> {
        let version = version();
        if version == 0 {
            let message = "this kernel has no Landlock, or it is not switched on";
            let hint = "cat /sys/kernel/security/lsm shows what is; or run it without --sandbox";
            return Err(Failure::new(Code::SandboxUnfit, message, hint));
        }
        let account = Account::current();
        let mut hidden = vec![real(home), real(&account.home.join(".ssh")), TERMINALS.into()];
        hidden.extend(account.variable("HOME").map(|home| real(&Path::new(home).join(".ssh"))));
        // The instance that is used where SGW_HOME is not set.
        hidden.extend(Home::locate(None).ok().map(|usual| real(&usual)));
        // A pipe is read once, and nowhere to be found.
        let files = secrets.iter().filter(|path| path.is_file()).map(|path| real(path));
        let files: Vec<_> = files.collect();
        not_inherited(&files)?;
        hidden.extend(files.iter().cloned());
        hidden.sort();
        hidden.dedup();
        let mut layout = Layout { hidden, writable: Vec::new() };
        let tree = working_tree(&real(directory), &layout);
        layout.writable.push(tree.clone());
        for path in more {
            let there = path.canonicalize();
            let named = |error| {
                unfit(&format!(
                    "{}: {error}",
                    escape::exact(path.as_os_str().as_encoded_bytes(), 200)
                ))
            };
            let there = there.map_err(named)?;
            if !layout.writable.contains(&there) {
                layout.writable.push(there);
            }
        }
        let trees = layout.writable.clone();
        // What the program could read at its work can't be hidden from it.
        let at_work = |path: &PathBuf| layout.writable.iter().any(|tree| path.starts_with(tree));
        if files.iter().any(at_work) {
            let message =
                "the passphrase's file lies where the program is to write, and could be read";
            return Err(Failure::new(Code::SandboxUnfit, message, HELD_ELSEWHERE));
        }
        layout.check().map_err(|error| unfit(&error))?;
        let own_temporary = temporary(&mut layout, account.variable("TMPDIR"))
            .map_err(|error| unfit(&format!("no temporary directory can be made: {error}")))?;
        Ok(Self { layout, trees, own_temporary, version })
    }

    /// Variables that the program has to be given.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let own = self.own_temporary.iter();
        own.flat_map(|path| {
            ["TMPDIR", "TMP", "TEMP"].map(|name| (name.into(), path.clone().into()))
        })
        .collect()
    }

    /// What the person should know, once: what is open, and what a sandbox can't close.
    pub fn notes(&self, is_set: impl Fn(&str) -> bool) -> Vec<String> {
        let shown = |path: &Path| escape::exact(path.as_os_str().as_encoded_bytes(), 120);
        let mut notes = vec![format!(
            "sandbox: it writes to {} and temporary files alone; ~/.ssh, sgw's files and other \
             terminals are closed to it, and so is listing what is around them",
            self.trees.iter().map(|tree| shown(tree)).collect::<Vec<_>>().join(", ")
        )];
        if self.version < 6 {
            notes.push(
                "sandbox: this kernel (Landlock before version 6) lets it signal your other programs"
                    .to_owned(),
            );
        }
        if self.version < 3 {
            notes.push(
                "sandbox: this kernel (Landlock before version 3) lets it empty files outside"
                    .to_owned(),
            );
        }
        if rustix::process::geteuid().is_root() {
            notes
                .push("sandbox: it is root, and sees the environment of other programs".to_owned());
        }
        let open = [
            ("TMUX", "tmux"),
            ("STY", "screen"),
            ("ZELLIJ", "zellij"),
            ("KITTY_LISTEN_ON", "kitty"),
            ("WEZTERM_UNIX_SOCKET", "wezterm"),
            ("DBUS_SESSION_BUS_ADDRESS", "the session bus"),
            ("WAYLAND_DISPLAY", "the Wayland display"),
            ("DISPLAY", "the X display"),
        ];
        let open: Vec<_> =
            open.iter().filter(|(name, _)| is_set(name)).map(|(_, what)| *what).collect();
        let beside = match open.len() {
            0 => String::new(),
            _ => format!(" ({} here)", open.join(", ")),
        };
        notes.push(format!(
            "sandbox: not closed are the network and Unix sockets in the file system{beside}: what \
             listens there can act for it outside, an ssh-agent whose socket it finds too"
        ));
        notes.push(
            "sandbox: nor are the modes, times and attributes of your files outside (it can open a \
             file to others, and read no more of it for that), nor this terminal while it runs: what \
             is typed here is for it to read"
                .to_owned(),
        );
        notes
    }

    /// Calls `start` on a thread that is closed in: a program that it starts is so for good, with all
    /// that it starts in turn.
    pub fn inside<T: Send>(&self, start: impl FnOnce() -> T + Send) -> Result<T, Failure> {
        let rules = self.rules()?;
        let filter = Filter::new()?;
        let close = move || {
            let status = rules.restrict_self().map_err(|error| unfit(&error))?;
            if !is_closed(&status) {
                return Err(unfit(&"the kernel did not take the rules"));
            }
            Ok(filter.hold()?)
        };
        let started = thread::scope(|scope| {
            let thread = scope.spawn(move || close().map(|()| start()));
            thread.join()
        });
        started.unwrap_or_else(|_| Err(unfit(&"the thread that starts the program failed")))
    }

    fn rules(&self) -> Result<RulesetCreated, Failure> {
        let readable = self.layout.readable().map_err(|error| unfit(&error))?;
        self.ruleset(&readable).map_err(|error| unfit(&error))
    }

    fn ruleset(&self, readable: &[PathBuf]) -> Result<RulesetCreated, RulesetError> {
        let all = AccessFs::from_all(FILES);
        let ruleset = Ruleset::default()
            .handle_access(all)?
            .scope(Scope::from_all(SCOPES))?
            .create()?
            .add_rules(landlock::path_beneath_rules(readable, AccessFs::from_read(FILES)))?
            .add_rules(landlock::path_beneath_rules(&self.layout.writable, all))?;
        let both = AccessFs::ReadFile | AccessFs::WriteFile;
        let mut ruleset = ruleset.add_rules(landlock::path_beneath_rules(DEVICES, both))?;
        for (file, access) in inherited() {
            ruleset = ruleset.add_rule(PathBeneath::new(file, access))?;
        }
        Ok(ruleset)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(path) = &self.own_temporary {
            // Never follows a link (CVE-2022-21658); what can't be removed is left in /tmp.
            let _left = fs::remove_dir_all(path);
        }
    }
}

fn unfit(error: &impl ToString) -> Failure {
    let message = format!("no sandbox can be made: {}", error.to_string());
    Failure::new(
        Code::SandboxUnfit,
        message,
        "cd to the project that it is to work on; sgw run --help",
    )
}

impl From<FilterError> for Failure {
    fn from(error: FilterError) -> Self {
        unfit(&error)
    }
}

impl From<LayoutError> for Failure {
    fn from(error: LayoutError) -> Self {
        unfit(&error)
    }
}

fn is_closed(status: &RestrictionStatus) -> bool {
    status.no_new_privs && status.ruleset != RulesetStatus::NotEnforced
}

/// Adds the temporary directories; where one holds what is to be hidden, a directory in it takes its
/// place.
fn temporary(layout: &mut Layout, named: Option<&str>) -> io::Result<Option<PathBuf>> {
    let named = named.map(Path::new).filter(|path| path.is_absolute());
    let mut own = None;
    for path in named.into_iter().chain(TEMPORARY.map(Path::new)) {
        let path = real(path);
        if !path.is_dir() || layout.writable.contains(&path) {
            continue;
        }
        if layout.within(&path).is_none() {
            layout.writable.push(path);
        } else if own.is_none() {
            let made = make(&path)?;
            layout.writable.push(made.clone());
            own = Some(made);
        }
    }
    Ok(own)
}

fn make(parent: &Path) -> io::Result<PathBuf> {
    let name: [u8; 8] = random().map_err(|_| io::ErrorKind::Other)?;
    let path = parent.join(format!("sgw-run-{}", hex::encode(name)));
    fs::DirBuilder::new().mode(0o700).create(&path)?;
    Ok(path)
}

/// What is hidden must not be given to it under another name, as one of its three streams.
fn not_inherited(files: &[PathBuf]) -> Result<(), Failure> {
    for (name, stream) in [("stdin", 0), ("stdout", 1), ("stderr", 2)] {
        let open = real(Path::new(&format!("/proc/self/fd/{stream}")));
        if files.contains(&open) {
            let message = format!("the program would be given the passphrase's file as its {name}");
            return Err(Failure::new(Code::SandboxUnfit, message, HELD_ELSEWHERE));
        }
    }
    Ok(())
}

/// The files and terminals that the program is given as stdin, stdout and stderr, to open again
/// (`/dev/stdout`) for what they were opened for.
fn inherited() -> Vec<(OwnedFd, BitFlags<AccessFs>)> {
    let written = [Stream::Stdout, Stream::Stderr].map(|stream| stream.open().map(OwnedFd::from));
    let all = written.into_iter().chain([io::stdin().as_fd().try_clone_to_owned()]);
    all.flatten().filter_map(reopened).collect()
}

/// A pipe needs no rule, and takes none.
fn reopened(descriptor: OwnedFd) -> Option<(OwnedFd, BitFlags<AccessFs>)> {
    let flags = rustix::fs::fcntl_getfl(&descriptor).ok()?;
    let file = File::from(descriptor);
    let kind = file.metadata().ok()?.file_type();
    if !kind.is_file() && !kind.is_char_device() {
        return None;
    }
    let writes = AccessFs::WriteFile | AccessFs::Truncate;
    let access = match flags & OFlags::ACCMODE {
        OFlags::WRONLY => writes,
        OFlags::RDWR => writes | AccessFs::ReadFile,
        _ => AccessFs::ReadFile.into(),
    };
    // Emptying is for files.
    let access = if kind.is_file() { access } else { access & !BitFlags::from(AccessFs::Truncate) };
    Some((file.into(), access))
}

/// The kernel's version of Landlock, 0 without: asked on a thread that ends at once.
pub fn version() -> u32 {
    let asked = thread::scope(|scope| {
        let ask = || {
            let harmless = Ruleset::default().handle_access(AccessFs::MakeBlock)?.create()?;
            harmless.restrict_self()
        };
        scope.spawn(ask).join()
    });
    match asked {
        Ok(Ok(RestrictionStatus {
            landlock: LandlockStatus::Available { effective_abi, .. },
            ..
        })) => effective_abi as u32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
