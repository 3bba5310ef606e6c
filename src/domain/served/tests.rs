//! Which lines are recognised, which are commands like any other, and what of them goes on the wire.

use super::*;

/// What a line does, and its paths.
fn read(line: &str) -> Option<(Program, Capability, bool, Vec<String>)> {
    let served = recognise(line.as_bytes())?;
    let paths = served.paths().iter().map(|named| named.path.to_text_lossy()).collect();
    Some((served.program(), served.needs(), served.removes(), paths))
}

fn wire(line: &str, at: &[&str]) -> String {
    let at: Vec<Vec<u8>> = at.iter().map(|path| path.as_bytes().to_vec()).collect();
    String::from_utf8(recognise(line.as_bytes()).unwrap().line(&at).unwrap()).unwrap()
}

/// As rsync 3.5 and 3.1, git 2.47 write them.
#[test]
fn what_the_clients_write_is_recognised() {
    use Capability::{FilesRead, FilesWrite};
    for (line, program, needs, removes, path) in [
        (
            "rsync --server -logDtpre.iLsfxCIvu . /dst/a",
            Program::Rsync,
            FilesWrite,
            false,
            "/dst/a",
        ),
        (
            "rsync --server --sender -logDtpre.iLsfxCIvu . /a/",
            Program::Rsync,
            FilesRead,
            false,
            "/a/",
        ),
        (
            "rsync --server -logDtprze.iLsfxCIvu --delete --partial . x",
            Program::Rsync,
            FilesWrite,
            true,
            "x",
        ),
        (
            "rsync --server -blogDtpre.iLsfxCIvu --suffix=.b --partial-dir .p . /x",
            Program::Rsync,
            FilesWrite,
            false,
            "/x",
        ),
        (
            "rsync --server -Dtrce.iLsfxCIvu --log-format=%i%I --timeout=5 --bwlimit=100 --max-size=1048576 --stats . /x",
            Program::Rsync,
            FilesWrite,
            false,
            "/x",
        ),
        (
            "rsync --server --sender -logDtpre.iLsfxCIvu --remove-source-files . /x",
            Program::Rsync,
            FilesWrite,
            true,
            "/x",
        ),
        (
            "rsync --server --sender -de.LsfxCIvu --list-only . ~/x",
            Program::Rsync,
            FilesRead,
            false,
            "~/x",
        ),
        ("rsync --server --sender -vlogDtpre31.14 . /x", Program::Rsync, FilesRead, false, "/x"),
        ("git-upload-pack '/srv/x y.git'", Program::Fetch, FilesRead, false, "/srv/x y.git"),
        ("git upload-pack '/srv/x.git'", Program::Fetch, FilesRead, false, "/srv/x.git"),
        ("git-upload-archive 'x.git'", Program::Fetch, FilesRead, false, "x.git"),
        ("git-receive-pack '~/x.git'", Program::Push, FilesWrite, false, "~/x.git"),
        ("scp -r -p -f '/srv/a b'", Program::Scp, FilesRead, false, "/srv/a b"),
        ("scp -v -p -d -t -- up", Program::Scp, FilesWrite, false, "up"),
        ("scp -t ~/x/", Program::Scp, FilesWrite, false, "~/x/"),
        ("git-upload-pack 'x'\\''y.git'", Program::Fetch, FilesRead, false, "x'y.git"),
    ] {
        let read = read(line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(read, (program, needs, removes, vec![path.to_owned()]), "{line}");
    }
    let odd = "rsync --server --sender -r . /a\\ b\\*\\'\\$c '/d e' \"/f;g\"";
    assert_eq!(read(odd).unwrap().3, ["/a b*'$c", "/d e", "/f;g"]);
    let bytes = recognise(b"rsync --server -r . /\xff/x").unwrap();
    assert_eq!(bytes.paths()[0].path.as_slice(), b"/\xff/x");
}

#[test]
fn whatever_else_a_line_says_makes_it_a_command_like_any_other() {
    let rsync = |more: &str| format!("rsync --server --sender -r {more} . /x");
    for flag in [
        "--rsh=sh",
        "-e sh",
        "-esh",
        "-e.;sh",
        "--rsync-path=x",
        "--daemon",
        "--config=/x",
        "--log-file=/x",
        "--write-batch=/x",
        "--only-write-batch=/x",
        "--read-batch=/x",
        "--files-from=/x",
        "--files-from=-",
        "--from0",
        "--temp-dir=/x",
        "--temp-dir /x",
        "-T /x",
        "--compare-dest=/x",
        "--copy-dest=../x",
        "--link-dest=/x",
        "--backup-dir=/x",
        "--backup-dir=../x",
        "--backup-dir a/../../x",
        "--partial-dir=/x",
        "--suffix=/../../x",
        "--copy-devices",
        "--write-devices",
        "--copy-unsafe-links",
        "--fake-super",
        "--super",
        "--usermap=*:root",
        "--chown=root",
        "--debug=ALL",
        "--no-munge-links",
        "--secluded-args",
        "--sender",
        "--server",
        "--exclude-from=/x",
        "--filter=x",
        "--unheard-of",
        "--delete=x",
        "--delet",
        "-rL",
        "-rk",
        "-rK",
        "-rR",
        "-rs",
        "-rC",
        "-B100",
        "-",
        "--",
        "--timeout",
        "'--delete'",
        "-r\\v",
    ] {
        assert_eq!(read(&rsync(flag)), None, "{flag}");
    }
    for line in [
        "",
        "rsync",
        "rsync -a /x /y",
        "rsync --server",
        "rsync --server -slogDtpre.iLsfxCIvu",
        "rsync --server -r .",
        "rsync --server -r . /x /y",
        "rsync --server -r . -x",
        "rsync --server -r . ''",
        "rsync --server --sender -r . ..",
        "rsync --server --sender -r . /x/..",
        "rsync --server -r /x .",
        "rsync  --daemon --server .",
        "/usr/bin/rsync --server -r . /x",
        "./rsync --server -r . /x",
        "X=1 rsync --server -r . /x",
        "sudo rsync --server -r . /x",
        "rsync --server -r . /x; id",
        "rsync --server -r . /x && id",
        "rsync --server -r . /x | id",
        "rsync --server -r . /x > /y",
        "rsync --server -r . /x &",
        "rsync --server -r . /x\nid",
        "rsync --server -r . /x\tid",
        "rsync --server -r . $(id)",
        "rsync --server -r . `id`",
        "rsync --server -r . $HOME",
        "rsync --server -r . \"$HOME\"",
        "rsync --server -r . /*",
        "rsync --server -r . /x?",
        "rsync --server -r . /[x]",
        "rsync --server -r . {/x,/y}",
        "rsync --server -r . ~root/x",
        "rsync --server -r . /x #",
        "rsync --server -r . !x",
        "rsync --server -r . =rm",
        "rsync --server -r . ^x",
        "rsync --server -r . 'x",
        "rsync --server -r . 'x\\'",
        "rsync --server -r . x\\",
        "rsync --server -r . x\\n",
        "scp /x /y",
        "scp -t",
        "scp -t -f /x",
        "scp -t /x /y",
        "scp -S sh -t /x",
        "scp -oProxyCommand=id -t /x",
        "scp -rt /x",
        "scp -f /x/..",
        "scp -f -- -x",
        "scp -3 -t /x",
        "scp -f /x*",
        "git-upload-pack",
        "git-upload-pack --strict '/x'",
        "git-upload-pack '/x' '/y'",
        "git-upload-pack '--upload-pack=id'",
        "git-upload-pack '~root/x'",
        "git -c core.x=y upload-pack '/x'",
        "git --exec-path=/x upload-pack '/x'",
        "git clone '/x'",
        "git-shell '/x'",
        "git upload-pack",
    ] {
        assert_eq!(read(line), None, "{line}");
    }
}

#[test]
fn what_goes_on_the_wire_is_the_resolved_path_in_words_that_no_shell_changes() {
    let line = "rsync --server -logDtpre.iLsfxCIvu --delete . up/";
    assert_eq!(
        wire(line, &["/home/me/a b'c"]),
        "rsync --server -logDtpre.iLsfxCIvu --delete . '/home/me/a b'\\''c/'"
    );
    let line = "rsync --server --sender -r . a b/ /";
    assert_eq!(wire(line, &["/a", "/b", "/"]), "rsync --server --sender -r . /a /b/ /");
    assert_eq!(wire("git upload-pack 'x'", &["/srv/x.git"]), "git upload-pack /srv/x.git");
    // What it was read from and what it says are the same.
    let served = recognise(line.as_bytes()).unwrap();
    let at = [b"/a".to_vec(), b"/b".to_vec(), b"/".to_vec()];
    let again = recognise(&served.line(&at).unwrap()).unwrap();
    assert_eq!((again.needs(), again.removes()), (served.needs(), served.removes()));
    assert_eq!(served.line(&at[..2]), None);
}
