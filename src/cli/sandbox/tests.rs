//! In the sandbox, for real: what is done from inside fails, and succeeds outside of it.

use std::{
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    process::{Child, Command, Output},
};

use super::*;

/// A home with keys, an instance of sgw, a checkout, and everything else.
struct Played {
    _directory: tempfile::TempDir,
    top: PathBuf,
    sandbox: Sandbox,
}

impl Played {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("sgw").tempdir_in("/tmp").unwrap();
        let top = directory.path().canonicalize().unwrap();
        for name in ["h/.ssh", "h/other", "h/work/.git", "h/work/deep", "s/run"] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        for name in ["h/.ssh/key", "s/vault.json", "h/file", "h/other/file", "h/other/more"] {
            fs::write(top.join(name), "content").unwrap();
        }
        let hidden = ["h/.ssh", "s", "not/there/yet"].map(|name| top.join(name));
        let mut hidden = Vec::from(hidden);
        hidden.push(TERMINALS.into());
        let mut layout = Layout { hidden, writable: Vec::new() };
        let tree = working_tree(&top.join("h/work/deep"), &layout);
        layout.writable.push(tree.clone());
        let own_temporary = temporary(&mut layout, None).unwrap();
        let sandbox = Sandbox { layout, trees: vec![tree], own_temporary, version: version() };
        Self { _directory: directory, top, sandbox }
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]).current_dir(self.top.join("h/work/deep"));
        command.env("TOP", &self.top).envs(self.sandbox.environment());
        command
    }

    fn inside(&self, line: &str) -> Output {
        self.sandbox.inside(|| self.shell(line).output()).unwrap().unwrap()
    }

    /// Whatever it is, it can be done, but not from inside.
    #[track_caller]
    fn is_closed(&self, line: &str) {
        let inside = self.inside(line);
        assert!(!inside.status.success(), "inside: {line}: {inside:?}");
        let outside = self.shell(line).output().unwrap();
        assert!(outside.status.success(), "outside: {line}: {outside:?}");
    }

    #[track_caller]
    fn is_open(&self, line: &str) {
        let inside = self.inside(line);
        assert!(inside.status.success(), "inside: {line}: {inside:?}");
    }
}

/// None without Landlock: then there is nothing to be tried, and `sgw run --sandbox` refuses.
fn played() -> Option<Played> {
    if version() == 0 {
        return None;
    }
    Some(Played::new())
}

#[test]
fn what_is_hidden_is_neither_read_nor_listed_nor_linked_to() {
    let Some(played) = played() else { return };
    for line in [
        "cat $TOP/h/.ssh/key",
        "ls $TOP/h/.ssh",
        "cat $TOP/s/vault.json",
        "ls $TOP/s",
        "ln -sf $TOP/h/.ssh/key link && cat link",
        "ln $TOP/h/.ssh/key hard-link",
        "cp -r $TOP/h/.ssh copy",
        "mkdir -p $TOP/not/there/yet && echo x > $TOP/not/there/yet/file",
    ] {
        played.is_closed(line);
    }
    // sgw itself is not closed in, only what it started.
    assert_eq!(fs::read(played.top.join("h/.ssh/key")).unwrap(), b"content");
    assert!(fs::write(played.top.join("h/other/more"), "x").is_ok());
}

#[test]
fn nothing_outside_is_written() {
    let Some(played) = played() else { return };
    for line in [
        "echo x > $TOP/h/other/new",
        "echo x >> $TOP/h/other/file",
        "truncate -s 0 $TOP/h/other/file",
        "mkdir $TOP/h/other/directory",
        "ln -s /x $TOP/h/other/link",
        "mkfifo $TOP/h/other/fifo",
        "touch moved && mv moved $TOP/h/other/moved",
        "rm $TOP/h/other/file",
        "echo x > $TOP/h/.profile",
        "echo x > /tmp/sgw-sandbox-test-$$ && rm /tmp/sgw-sandbox-test-$$",
    ] {
        played.is_closed(line);
    }
    if played.sandbox.version >= 3 {
        played.is_closed(": > $TOP/h/other/more");
    }
}

#[test]
fn the_work_itself_is_open() {
    let Some(played) = played() else { return };
    for line in [
        "echo x > file && cat file && mkdir -p a/b && mv file a/b && rm -r a",
        "echo x > ../.git/index && echo x > ../README",
        "t=$(mktemp) && echo x > $t && cat $t",
        "case $(mktemp) in $TMPDIR/*) ;; *) false ;; esac",
        "cat /etc/passwd > /dev/null && ls /usr/bin | wc -l",
        "cat $TOP/h/file && cat $TOP/h/other/more && ls $TOP/h/other",
        "head -c 8 /dev/urandom | wc -c && echo x > /dev/null",
        "sleep 60 & kill $!",
        "cat /proc/self/status /proc/$$/environ > /dev/null",
    ] {
        played.is_open(line);
    }
}

/// Ended with the test.
struct Outside(Child);

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nothing_outside_is_signalled_traced_or_looked_into() {
    let Some(played) = played() else { return };
    let outside = Outside(Command::new("sleep").arg("600").spawn().unwrap());
    let pid = outside.0.id();
    // Root may read that by CAP_PERFMON, whatever else is closed to it.
    if !rustix::process::geteuid().is_root() {
        played.is_closed(&format!("cat /proc/{pid}/environ > /dev/null"));
    }
    played.is_closed(&format!("readlink /proc/{pid}/fd/0"));
    played.is_closed(&format!("dd if=/proc/{pid}/mem of=/dev/null count=0"));
    if played.sandbox.version >= 6 {
        played.is_closed(&format!("kill -CONT {pid}"));
    }
    played.is_open("grep -q 'NoNewPrivs:.*1' /proc/self/status");
}

/// A call that a program makes by its number, from Perl, which every Debian has: 0 or errno.
fn calls(line: &str) -> String {
    format!("exec perl -e '{line} or exit($! + 0); exit 0'")
}

fn by_number(call: i64, arguments: &str) -> String {
    calls(&format!("syscall({call}, {arguments}) >= 0"))
}

#[test]
fn nothing_is_typed_into_the_shared_terminal() {
    let Some(played) = played() else { return };
    if Command::new("perl").arg("-v").output().is_err() {
        return eprintln!("left out: there is no perl");
    }
    // The kernel takes 32 bits of the request, and so must the filter.
    for request in [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCSTI | 0x7_0000_0000] {
        let line = by_number(libc::SYS_ioctl, &format!("0, {request}, my $typed = \"x\""));
        let line = format!("{line} < /dev/null");
        // Whatever stdin is: the filter answers before it is looked at.
        assert_eq!(played.inside(&line).status.code(), Some(libc::EPERM), "{request:#x}");
        assert_ne!(played.shell(&line).output().unwrap().status.code(), Some(libc::EPERM));
    }
    // Other requests are the terminal's to answer, or here that there is none.
    let line = by_number(libc::SYS_ioctl, &format!("0, {}, my $x = \"x\" x 64", libc::TCGETS));
    let mut inside = played.shell(&line);
    inside.stdin(std::process::Stdio::null());
    let inside = played.sandbox.inside(|| inside.output()).unwrap().unwrap();
    assert_eq!(inside.status.code(), Some(libc::ENOTTY));
}

#[test]
fn no_limit_and_no_priority_of_others_is_set() {
    let Some(played) = played() else { return };
    if Command::new("perl").arg("-v").output().is_err() {
        return eprintln!("left out: there is no perl");
    }
    let outside = Outside(Command::new("sleep").arg("600").spawn().unwrap());
    let pid = outside.0.id();
    let limits = format!("{}, my $new = pack(\"QQ\", 60, 60), 0", libc::RLIMIT_CPU);
    let zeros = "my $zeros = \"\\0\" x 64";
    for line in [
        by_number(libc::SYS_prlimit64, &format!("{pid}, {limits}")),
        by_number(libc::SYS_setpriority, &format!("0, {pid}, 19")),
        by_number(libc::SYS_sched_setaffinity, &format!("{pid}, 8, my $all = \"\\xff\" x 8")),
        by_number(libc::SYS_sched_setscheduler, &format!("{pid}, 0, {zeros}")),
        by_number(libc::SYS_sched_setparam, &format!("{pid}, {zeros}")),
        by_number(libc::SYS_ioprio_set, &format!("1, {pid}, 0")),
    ] {
        let inside = played.inside(&line);
        assert_eq!(inside.status.code(), Some(libc::EPERM), "{line}: {inside:?}");
        let outside = played.shell(&line).output().unwrap();
        assert!(outside.status.success(), "outside: {line}: {outside:?}");
    }
    let line = by_number(libc::SYS_keyctl, "0, -3, 1");
    assert_eq!(played.inside(&line).status.code(), Some(libc::EPERM));
    // All of a uid, or of a group, are others too.
    for which in [libc::PRIO_USER, libc::PRIO_PGRP] {
        let line = by_number(libc::SYS_setpriority, &format!("{which}, 0, 19"));
        assert_eq!(played.inside(&line).status.code(), Some(libc::EPERM), "{which}");
    }
    // One's own are one's own.
    for line in [
        by_number(libc::SYS_prlimit64, &format!("0, {limits}")),
        by_number(libc::SYS_prlimit64, &format!("{pid}, {}, 0, {zeros}", libc::RLIMIT_CPU)),
        by_number(libc::SYS_sched_setaffinity, "0, 8, my $all = \"\\xff\" x 8"),
        "ulimit -n 100 && nice -n 5 true".to_owned(),
    ] {
        played.is_open(&line);
    }
}

/// x32 has the same calls a second time, under numbers of its own.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_second_table_of_calls_is_closed() {
    let Some(played) = played() else { return };
    for number in [0x4000_0000 + 514, 0x4000_0000 + libc::SYS_getpid] {
        let line = by_number(number, "0, 0, 0");
        assert_eq!(played.inside(&line).status.code(), Some(libc::EPERM), "{number:#x}");
    }
}

#[test]
fn other_terminals_are_closed() {
    let Some(played) = played() else { return };
    let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
    let terminal = rustix::pty::openpt(flags).unwrap();
    rustix::pty::unlockpt(&terminal).unwrap();
    let name = rustix::pty::ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    played.is_closed(&format!(": < {name}"));
    played.is_closed(&format!("echo typed > {name}"));
}

#[test]
fn the_agents_socket_stays_open_and_abstract_ones_are_closed() {
    let Some(played) = played() else { return };
    let path = played.top.join("s/run/agent.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    assert!(played.sandbox.inside(|| UnixStream::connect(&path)).unwrap().is_ok());
    if played.sandbox.version < 6 {
        return;
    }
    let name = SocketAddr::from_abstract_name(played.top.display().to_string()).unwrap();
    let _abstract = UnixListener::bind_addr(&name).unwrap();
    assert!(UnixStream::connect_addr(&name).is_ok());
    assert!(played.sandbox.inside(|| UnixStream::connect_addr(&name)).unwrap().is_err());
}

#[test]
fn what_was_inherited_can_be_opened_again_for_what_it_was() {
    let Some(played) = played() else { return };
    let path = played.top.join("h/other/out");
    let write = File::options().create_new(true).write(true).open(&path).unwrap();
    let (_, access) = reopened(write.into()).unwrap();
    assert!(access.contains(AccessFs::WriteFile) && !access.contains(AccessFs::ReadFile));
    let (_, access) = reopened(File::open(&path).unwrap().into()).unwrap();
    assert_eq!(access, BitFlags::from(AccessFs::ReadFile));
    let (read, _write) = std::io::pipe().unwrap();
    assert!(reopened(read.into()).is_none());
}

#[test]
fn its_own_temporary_directory_goes_with_it() {
    let Some(played) = played() else { return };
    let own = played.sandbox.own_temporary.clone().expect("/tmp holds what is hidden");
    played.is_open("ln -s $TOP/h/other $TMPDIR/link && echo x > $TMPDIR/x");
    let Played { _directory, top, sandbox } = played;
    drop(sandbox);
    assert!(!own.exists());
    assert!(top.join("h/other/file").exists(), "a link was followed");
}

#[test]
fn a_place_that_can_not_be_closed_in_is_refused() {
    if version() == 0 {
        return;
    }
    let folder = tempfile::Builder::new().prefix("sgw").tempdir_in("/tmp").unwrap();
    let (home, work) = (folder.path().join("s"), folder.path().join("work"));
    fs::create_dir_all(home.join("run")).unwrap();
    fs::create_dir_all(&work).unwrap();
    for directory in [folder.path(), &home, &home.join("run")] {
        let failure = Sandbox::new(directory, &home, &[], &[]).unwrap_err();
        assert_eq!(failure.code, Code::SandboxUnfit);
    }
    assert!(Sandbox::new(&work, &home, &["/".into()], &[]).is_err());
    let sandbox = Sandbox::new(&work, &home, &[], &[]).unwrap();
    let notes = sandbox.notes(|name| name == "TMUX").join("\n");
    assert!(notes.contains("tmux") && notes.contains("Unix sockets"));
}
