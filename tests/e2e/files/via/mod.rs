//! Files on servers without SFTP, through the account's shell: the same, and told where it is not.

mod ends;
mod held_up;
mod hostile;
mod judged;
mod root;
mod shells;
mod transfers;

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::{
        ffi::OsStringExt,
        fs::{MetadataExt, symlink},
    },
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::json;

use super::{There, mode, set_mode, sum};
use crate::support::{Outcome, Sshd, is_root};

fn no_sftp() -> There {
    There::on(Sshd::with().no_sftp().start(), &[])
}

/// The words with `--via exec` before them.
fn by_exec<A: AsRef<OsStr>>(more: &[A]) -> Vec<OsString> {
    let more = more.iter().map(|word| word.as_ref().to_owned());
    ["--via", "exec"].map(OsString::from).into_iter().chain(more).collect()
}

impl There {
    #[track_caller]
    fn via<A: AsRef<OsStr>>(&self, verb: &str, more: &[A]) -> Outcome {
        self.files(verb, &by_exec(more))
    }

    #[track_caller]
    fn fed_via<A: AsRef<OsStr>>(&self, verb: &str, more: &[A], input: &[u8]) -> Outcome {
        self.fed(verb, &by_exec(more), input)
    }
}

/// Whether who disturbs should end: also where the test fails meanwhile.
#[derive(Default)]
struct Over(AtomicBool);

impl Over {
    fn is(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn at_the_end(&self) -> impl Drop + use<'_> {
        struct End<'o>(&'o Over);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.0.store(true, Ordering::Release);
            }
        }
        End(self)
    }
}

/// A name of every byte that one can have, and one that ends in newlines.
fn odd_names() -> Vec<OsString> {
    let every: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    let mut names: Vec<Vec<u8>> = every.chunks(100).map(<[u8]>::to_vec).collect();
    names.extend(
        [&b"ends\n\n"[..], b"\n", b"-rf", b" a  b ", b"'\"$(x)`x`\\n%s*?[a]", b"...", b"\xff"]
            .map(<[u8]>::to_vec),
    );
    names.into_iter().map(OsString::from_vec).collect()
}

#[test]
fn a_server_without_sftp_says_so_and_how_to_go_on() {
    let there = no_sftp();
    let path = there.has("file", "x");
    let refused = there.files("read", &[&path]).fails(1, "files.unsupported");
    assert!(refused.stderr().contains("--via exec"), "{}", refused.stderr());
    there.via("read", &[&path]).ok().prints("x");
}

#[test]
fn what_is_read_is_exact_from_anywhere() {
    let there = no_sftp();
    let content: Vec<u8> = (0..700_000u32).flat_map(|n| (n ^ 0x5a5a).to_le_bytes()).collect();
    let path = there.has("file", &content);
    let text = path.to_str().unwrap();
    assert!(there.via("read", &[text]).ok().bytes() == content);
    let part = there.via("read", &["--offset", "1000003", "--limit", "70001", text]).ok();
    assert!(part.bytes() == &content[1_000_003..1_070_004]);
    assert!(there.via("read", &["--limit", "5", text]).ok().bytes() == &content[..5]);
    assert!(there.via("read", &["--offset", "9999999", text]).ok().bytes().is_empty());
    let told = there.via("read", &["--json", "--limit", "4", text]).ok().json();
    assert_eq!((&told["size"], &told["sha256"]), (&json!(content.len()), &json!(null)));
    let told = there.via("sum", &[text]).ok().stdout();
    assert_eq!(told, format!("{}  {text}\n", sum(&path)));
    there.has("empty", "");
    there.via("read", &[there.at("empty")]).ok().prints("");
    assert!(there.via("read", &["/proc/version"]).ok().stdout().starts_with("Linux"));
    there.via("read", &[there.directory()]).fails(1, "files.kind");
    there.via("read", &[there.at("none")]).fails(1, "files.not_found");
    there.has("lines", "1\n2\n3\n4\n");
    there.via("tail", &["-n", "2", &there.text("lines")]).ok().prints("3\n4\n");
}

#[test]
fn what_is_written_is_whole_and_keeps_rights_and_owner() {
    let there = no_sftp();
    let path = there.has("file", "old");
    set_mode(&path, 0o751);
    if is_root() {
        std::os::unix::fs::chown(&path, Some(1234), Some(4321)).unwrap();
    }
    let before = fs::metadata(&path).unwrap();
    let reader = fs::File::open(&path).unwrap();
    let content: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_be_bytes).collect();
    let told = there.fed_via("write", &["--json", path.to_str().unwrap()], &content).ok().json();
    assert!(fs::read(&path).unwrap() == content);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "old");
    let after = fs::metadata(&path).unwrap();
    assert_ne!(before.ino(), after.ino());
    assert_eq!((mode(&path), after.uid(), after.gid()), (0o751, before.uid(), before.gid()));
    assert_eq!((&told["atomic"], &told["created"]), (&json!(true), &json!(false)));
    assert_eq!((&told["synced"], &told["owner_kept"]), (&json!(true), &json!(true)));
    assert_eq!(told["sha256"], sum(&path));
    there.fed_via("write", &["--mode", "600", &there.text("file")], b"").ok();
    assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o600, Vec::new()));
    there.fed_via("write", &["--mkdir", &there.text("a/b/c")], b"deep").ok();
    assert_eq!(fs::read_to_string(there.at("a/b/c")).unwrap(), "deep");
    there.fed_via("write", &[there.text("x/y")], b"x").fails(1, "files.not_found");
    there.fed_via("write", &[there.text("a")], b"x").fails(1, "files.kind");
    assert_eq!(there.names(), ["a", "file"], "nothing is left beside");
}

#[test]
fn what_must_not_be_there_and_what_must_be_are_checked() {
    let there = no_sftp();
    let path = there.has("file", "old");
    let text = path.to_str().unwrap();
    there.fed_via("write", &["--no-clobber", text], b"new").fails(1, "files.exists");
    let other = "0".repeat(64);
    let changed = there.fed_via("write", &["--if-sum", &other, text], b"new");
    assert!(changed.fails(1, "files.changed").stderr().contains(&sum(&path)));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    there.fed_via("write", &["--if-sum", &sum(&path).to_uppercase(), text], b"new").ok();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    there
        .fed_via("write", &["--if-sum", &other, &there.text("none")], b"x")
        .fails(1, "files.changed");
    there.fed_via("write", &["--no-clobber", &there.text("none")], b"made").ok();
    assert_eq!(fs::read_to_string(there.at("none")).unwrap(), "made");
    let inode = fs::metadata(&path).unwrap().ino();
    let told = there.fed_via("write", &["--append", "--json", text], b" more").ok().json();
    assert_eq!((&told["size"], &told["sha256"]), (&json!(8), &json!(sum(&path))));
    assert_eq!(
        (fs::read_to_string(&path).unwrap(), fs::metadata(&path).unwrap().ino()),
        ("new more".into(), inode)
    );
    there.fed_via("write", &["--append", &there.text("new")], b"x").ok();
    symlink("file", there.at("link")).unwrap();
    symlink("nothing", there.at("broken")).unwrap();
    there.fed_via("write", &[there.text("link")], b"through").ok();
    assert_eq!(fs::read_to_string(&path).unwrap(), "through");
    assert!(there.at("link").is_symlink());
    there.fed_via("write", &[there.text("broken")], b"x").fails(1, "files.kind");
    assert_eq!(there.names(), ["broken", "file", "link", "new", "none"]);
}

#[test]
fn a_part_is_edited_and_what_is_so_already_is_done() {
    let there = no_sftp();
    let path = there.has("file", "listen 80;\n");
    let words = ["--old", "80", "--new", "8080", path.to_str().unwrap()];
    there.via("edit", &words).ok();
    assert_eq!(fs::read_to_string(&path).unwrap(), "listen 8080;\n");
    there.via("edit", &words).ok();
    assert_eq!(fs::read_to_string(&path).unwrap(), "listen 8080;\n");
}

#[test]
fn every_name_is_listed_written_moved_and_removed_as_it_is() {
    let there = no_sftp();
    for name in odd_names() {
        let path = there.directory().join(&name);
        there
            .fed_via("write", &["--mkdir".as_ref(), path.as_os_str()], name.as_encoded_bytes())
            .ok();
        assert_eq!(fs::read(&path).unwrap(), name.as_encoded_bytes(), "{name:?}");
        assert!(there.via("read", &[&path]).ok().bytes() == name.as_encoded_bytes(), "{name:?}");
    }
    let told = there.via("ls", &["--json", there.directory().to_str().unwrap()]).ok().json();
    let listed = told["entries"].as_array().unwrap();
    assert_eq!(listed.len(), odd_names().len());
    let over_sftp = There::new();
    for name in odd_names() {
        fs::write(over_sftp.directory().join(&name), name.as_encoded_bytes()).unwrap();
    }
    let expected =
        over_sftp.files("ls", &["--json", over_sftp.directory().to_str().unwrap()]).ok().json();
    let paths = |told: &serde_json::Value| -> Vec<serde_json::Value> {
        told["entries"].as_array().unwrap().iter().map(|entry| entry["path"].clone()).collect()
    };
    assert_eq!(paths(&told), paths(&expected));
    for name in odd_names() {
        let (path, to) = (there.directory().join(&name), there.at("moved"));
        there.via("mv", &[&path, &to]).ok();
        assert!(!path.exists() && fs::read(&to).unwrap() == name.as_encoded_bytes(), "{name:?}");
        there.via("ln", &["-s".as_ref(), "--".as_ref(), name.as_os_str(), path.as_os_str()]).ok();
        assert_eq!(fs::read_link(&path).unwrap().as_os_str(), name);
        let told = there.via("stat", &["--json".as_ref(), path.as_os_str()]).ok().json();
        assert_eq!(told["type"], "link");
        fs::remove_file(&to).unwrap();
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(there.names(), [""; 0]);
}

#[test]
fn directories_are_made_listed_moved_and_removed() {
    let there = no_sftp();
    there.via("mkdir", &["-p", "--mode", "750", &there.text("a/b/c")]).ok();
    assert_eq!(mode(&there.at("a/b/c")), 0o750);
    there.via("mkdir", &["-p", &there.text("a/b/c")]).ok();
    there.via("mkdir", &[there.text("a")]).fails(1, "files.exists");
    there.has("a/one", "1");
    symlink("one", there.at("a/link")).unwrap();
    set_mode(&there.at("a/one"), 0o640);
    let listed = |more: &[&str]| {
        let words: Vec<&str> = more.iter().copied().chain(["--json"]).collect();
        let told = there.via("ls", &[words, vec![&there.text("")]].concat()).ok().json();
        let entries = told["entries"].as_array().unwrap().clone();
        entries.iter().map(|entry| entry["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&[]), ["a"]);
    assert_eq!(listed(&["-R"]), ["a", "a/b", "a/b/c", "a/link", "a/one"]);
    assert_eq!(listed(&["-R", "--depth", "2"]), ["a", "a/b", "a/link", "a/one"]);
    let seen = there.via("stat", &["--json", &there.text("a/one")]).ok().json();
    let meta = fs::metadata(there.at("a/one")).unwrap();
    assert_eq!(
        (&seen["mode"], &seen["size"], &seen["uid"]),
        (&json!("0640"), &json!(1), &json!(meta.uid()))
    );
    there.via("chmod", &["4755", &there.text("a/one"), "--no-ask"]).fails(77, "approval.required");
    there.via("chmod", &["600", &there.text("a/one")]).ok();
    assert_eq!(mode(&there.at("a/one")), 0o600);
    there.via("mv", &[there.text("a/one"), there.text("a/b")]).fails(1, "files.exists");
    there.has("other", "2");
    there.via("mv", &[there.text("other"), there.text("a/one")]).fails(1, "files.exists");
    there.via("mv", &["--replace", &there.text("other"), &there.text("a/one")]).ok();
    assert_eq!(fs::read_to_string(there.at("a/one")).unwrap(), "2");
    there.via("mv", &[there.text("a"), there.text("z")]).ok();
    there.via("rm", &[there.text("z")]).fails_as(1, &["files.kind"]);
    there.via("rm", &["-r", &there.text("z")]).ok();
    there.via("rm", &[there.text("z")]).fails(1, "files.not_found");
    assert_eq!(there.names(), [""; 0]);
}

#[test]
fn the_room_of_a_file_system_is_what_df_says() {
    let there = no_sftp();
    let told = there.via("df", &["--json", "/"]).ok().json();
    let (size, used) = (told["size"].as_u64().unwrap(), told["used"].as_u64().unwrap());
    assert!(size > used && told["available"].as_u64().unwrap() < size, "{told}");
}

#[test]
fn relative_paths_hang_on_the_home_as_over_sftp() {
    let (there, over_sftp) = (no_sftp(), There::new());
    for path in [".", "~", "~/", "./..", "~/.././etc//ssh/", "/"] {
        let leads = |told: Outcome| told.ok().json()["path"].clone();
        let by_sftp = leads(over_sftp.files("stat", &["--json", "-L", path]));
        assert_eq!(leads(there.via("stat", &["--json", "-L", path])), by_sftp, "{path}");
    }
    there.via("stat", &["none"]).fails(1, "files.not_found");
}
