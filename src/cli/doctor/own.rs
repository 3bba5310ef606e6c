//! sgw's own files: that they are yours alone, that nothing lies among them that sgw did not make, and
//! that nobody else can put another directory in the place of theirs.

use std::{
    fs::{self, Metadata},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use super::{Check, Finding, Ground, quoted, shown};
use crate::{
    client::{Error, Place, runtime},
    home::{HEADER, RUN, is_ours},
    protocol::{operator, view},
};

const HOME: Check = Check {
    id: "sgw.files",
    why: "what others can write or replace here they can damage; sgw refuses what is not as it made it",
};
const WAY: Check = Check {
    id: "sgw.way",
    why: "who can write to a directory on the way can put another home in the place of yours",
};
const DAEMON: Check = Check {
    id: "sgw.daemon",
    why: "agents can only work while it answers, and its memory must be closed to them",
};
/// More names than a home ever has.
const MOST_NAMES: usize = 256;

/// In service mode they are the daemon's, and closed to everybody else.
pub fn check(ground: &Ground) -> Vec<Finding> {
    match ground.service {
        None => [home(ground), way(ground), daemon(ground)].concat(),
        Some(_) => Vec::new(),
    }
}

pub fn home(ground: &Ground) -> Vec<Finding> {
    let Some(home) = &ground.sgw else {
        return vec![HOME.fail("there is no place for sgw's files", "export HOME=~")];
    };
    let metadata = match fs::symlink_metadata(home) {
        Ok(metadata) => metadata,
        Err(_) => return vec![HOME.note(format!("{} is not there yet", shown(home)), "sgw init")],
    };
    let mut found = Vec::new();
    if let Some(finding) = wrong(ground, home, &metadata, Kind::Directory) {
        return vec![finding];
    }
    for (name, path, metadata) in names(home) {
        let finding = match (name.as_str(), is_ours(&name)) {
            (RUN, _) => wrong(ground, &path, &metadata, Kind::Directory),
            (_, true) => wrong(ground, &path, &metadata, Kind::File),
            _ => Some(foreign(&path)),
        };
        found.extend(finding);
    }
    for (name, path, metadata) in names(&home.join(RUN)) {
        found.extend(match name.as_str() {
            "agent.sock" | "operator.sock" => wrong(ground, &path, &metadata, Kind::Socket),
            _ => Some(foreign(&path)),
        });
    }
    if !home.join(HEADER).exists() {
        found.push(HOME.note(format!("{} holds no vault yet", shown(home)), "sgw init"));
    }
    HOME.all(found, format!("{} and what lies in it is yours alone", shown(home)))
}

fn names(directory: &Path) -> Vec<(String, std::path::PathBuf, Metadata)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().take(MOST_NAMES);
    let mut names: Vec<_> = entries
        .filter_map(|entry| {
            let metadata = fs::symlink_metadata(entry.path()).ok()?;
            Some((entry.file_name().to_string_lossy().into_owned(), entry.path(), metadata))
        })
        .collect();
    names.sort_by(|one, other| one.0.cmp(&other.0));
    names
}

fn foreign(path: &Path) -> Finding {
    HOME.warn(
        format!("{} is not sgw's, and lies among its files", shown(path)),
        format!("mv {} ~/", quoted(path)),
    )
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Directory,
    File,
    Socket,
}

/// What is not as sgw made it.
fn wrong(ground: &Ground, path: &Path, metadata: &Metadata, wanted: Kind) -> Option<Finding> {
    let (name, typed) = (shown(path), quoted(path));
    let is = metadata.file_type();
    let aside = format!("mv {typed} {typed}.aside");
    if is.is_symlink() {
        return Some(HOME.fail(format!("{name} is a symbolic link"), aside));
    }
    let fits = match wanted {
        Kind::Directory => is.is_dir(),
        Kind::File => is.is_file(),
        Kind::Socket => is.is_socket(),
    };
    if !fits {
        return Some(HOME.fail(format!("{name} is not what sgw makes there"), aside));
    }
    if metadata.uid() != ground.account.uid {
        let what = format!("{name} belongs to uid {}", metadata.uid());
        return Some(HOME.fail(what, format!("sudo chown {} {typed}", ground.account.uid)));
    }
    let expected = if wanted == Kind::Directory { 0o700 } else { 0o600 };
    let mode = metadata.mode() & 0o777;
    if mode & !expected != 0 || (wanted == Kind::Directory && mode != expected) {
        let what = format!("{name} has mode {mode:04o}: others could use it");
        return Some(HOME.fail(what, format!("chmod {expected:o} {typed}")));
    }
    if wanted == Kind::File && metadata.nlink() > 1 {
        let what = format!("{name} has {} names (hard links)", metadata.nlink());
        return Some(HOME.fail(what, format!("find / -xdev -samefile {typed}")));
    }
    None
}

/// Every directory above the home.
pub fn way(ground: &Ground) -> Vec<Finding> {
    let Some(home) = &ground.sgw else { return vec![] };
    let mut above: Vec<_> = home.ancestors().skip(1).map(Path::to_owned).collect();
    // Where links on the way lead, too.
    if let Ok(real) =
        above.iter().find(|path| path.exists()).map_or(home, |path| path).canonicalize()
    {
        above.extend(real.ancestors().map(Path::to_owned));
    }
    above.retain(|path| path.is_dir());
    above.sort();
    above.dedup();
    let found = above.iter().filter_map(|path| open_way(WAY, ground.account.uid, path));
    WAY.all(found.collect(), "nobody else can write to a directory on the way to sgw's files")
}

/// A directory in which somebody else can rename what is not theirs: `/tmp` is safe by its sticky bit.
pub(super) fn open_way(check: Check, uid: u32, path: &Path) -> Option<Finding> {
    let metadata = fs::metadata(path).ok()?;
    let (name, typed) = (shown(path), quoted(path));
    if metadata.uid() != uid && metadata.uid() != 0 {
        let what = format!("{name} belongs to uid {}", metadata.uid());
        return Some(check.warn(what, format!("sudo chown root {typed}")));
    }
    let mode = metadata.mode();
    (mode & 0o022 != 0 && mode & 0o1000 == 0).then(|| {
        check.warn(
            format!("others can write to {name} (mode {:04o})", mode & 0o7777),
            format!("chmod go-w {typed}"),
        )
    })
}

pub fn daemon(ground: &Ground) -> Vec<Finding> {
    let Some(home) = &ground.sgw else { return vec![] };
    let (Ok(place), Ok(runtime)) = (Place::find(Some(home.into())), runtime()) else {
        return vec![];
    };
    let asked: Result<view::DaemonStatus, Error> = runtime
        .block_on(async { place.operator().await?.call(&operator::Request::Status {}).await });
    let Ok(status) = asked else { return not_there(asked.err()) };
    let pid = status.pid.unwrap_or_default();
    if status.version.as_deref().is_some_and(|version| version != env!("CARGO_PKG_VERSION")) {
        return vec![
            DAEMON
                .warn("the daemon is of another version than this program", "sgw lock; sgw unlock"),
        ];
    }
    // Root reads whatever it wants.
    let readable =
        ground.account.uid != 0 && fs::read(ground.proc.join(format!("{pid}/environ"))).is_ok();
    match readable {
        true => vec![DAEMON.fail(
            format!("the memory of the daemon (pid {pid}) is open to your other programs"),
            "sgw lock; sgw unlock",
        )],
        false => {
            vec![DAEMON.ok(format!("the daemon answers (pid {pid}), and its memory is closed"))]
        }
    }
}

fn not_there(error: Option<Error>) -> Vec<Finding> {
    vec![match error {
        Some(Error::Foreign(uid)) => {
            DAEMON.fail(format!("uid {uid} answers in the place of the daemon"), "sgw status")
        }
        Some(Error::Silent) => DAEMON
            .warn("something listens for the daemon and does not answer", "sgw lock; sgw unlock"),
        // Not set up, locked, or a home that another finding speaks of.
        _ => DAEMON.ok("no daemon runs: sgw is locked"),
    }]
}
