//! What a person is asked about a write: the change of what is there, and a yes for that change alone.

use std::fs;

use serde_json::json;

use super::There;

impl There {
    /// A write that waits for the operator: its request.
    #[track_caller]
    fn asks(&self, verb: &str, more: &[&str], input: &[u8]) -> String {
        let words = [&["--no-wait", "--json"], more].concat();
        self.fed(verb, &words, input).fails(75, "approval.pending").waits_on()
    }

    /// What the operator is shown before the yes.
    #[track_caller]
    fn yes(&self, request: &str) -> String {
        self.sgw.operator(["approve", request, "--yes"]).ok().stderr()
    }
}

#[test]
fn a_question_about_an_overwrite_shows_the_change_and_hides_it_from_who_asks() {
    let there = There::with(&["--mode", "read"]);
    let path = there.has("file", "keep\nold secret\x1b[2J\nend\n");
    let text = path.to_str().unwrap();
    let request = there.asks("write", &[text], "keep\nnew\u{202e}\nend\n".as_bytes());
    for words in [vec!["requests", "--json"], vec!["show", &request, "--json"]] {
        let seen = there.sgw.agent(words).ok().stdout();
        assert!(!seen.contains("old secret"), "an agent that may not read it is told: {seen}");
    }
    let mut terminal = there.sgw.looks_at(&request);
    let screen = terminal.wait_for(r"\+new");
    assert!(screen.contains("-old secret\\x1b[2J"), "{screen}");
    assert!(screen.contains("+new\\u{202e}"), "{screen}");
    drop(terminal);
    let shown = there.yes(&request);
    assert!(shown.contains("@@ -1,3 +1,3 @@") && shown.contains("-old secret"), "{shown}");
    there.sgw.agent(["wait", &request]).ok();
    assert_eq!(fs::read(&path).unwrap(), "keep\nnew\u{202e}\nend\n".as_bytes());
    let recorded = there.sgw.operator(["audit", "list", "--json"]).ok().stdout();
    assert!(!recorded.contains("old secret"), "contents are not kept");
    assert_eq!(there.sgw.recorded("files.look")[1]["action"]["compared"], json!([text]));
}

#[test]
fn a_file_that_changed_meanwhile_is_not_written_over() {
    let there = There::with(&["--mode", "each"]);
    let path = there.has("file", "old\n");
    let text = path.to_str().unwrap();
    let request = there.asks("write", &[text], b"new\n");
    // Of the same length, so that nobody need look at more than its content.
    fs::write(&path, "OLD\n").unwrap();
    there.yes(&request);
    let failed = there.sgw.agent(["wait", &request]).fails(1, "files.changed");
    assert!(!failed.stderr().contains(&super::sum(&path)), "{}", failed.stderr());
    assert_eq!(fs::read(&path).unwrap(), b"OLD\n");
    let new = there.text("new");
    let request = there.asks("write", &[&new], b"mine\n");
    fs::write(there.at("new"), "theirs\n").unwrap();
    there.yes(&request);
    there.sgw.agent(["wait", &request]).fails(1, "files.changed");
    assert_eq!(fs::read(there.at("new")).unwrap(), b"theirs\n");
    assert_eq!(there.names(), ["file", "new"]);
}

#[test]
fn what_is_no_text_or_was_not_there_is_said_as_such() {
    let there = There::with(&["--mode", "read"]);
    let path = there.has("binary", b"\0\x01");
    let request = there.asks("write", &[path.to_str().unwrap()], b"text\n");
    let shown = there.yes(&request);
    assert!(shown.contains("2 bytes") && shown.contains("no text"), "{shown}");
    let request = there.asks("write", &[&there.text("new")], b"text\n");
    let shown = there.yes(&request);
    assert!(shown.contains("nothing is there; the yes is for this content:"), "{shown}");
    assert!(shown.contains("+text") && !shown.contains("stdin"), "{shown}");
    assert_eq!(shown.matches("+text").count(), 1, "once is enough: {shown}");
    let latin = there.has("latin", b"caf\xe9\n");
    let request = there.asks("write", &[latin.to_str().unwrap()], b"cafe\n");
    let shown = there.yes(&request);
    assert!(shown.contains("-caf\\xe9") && shown.contains("+cafe"), "{shown}");
    let path = there.has("large", vec![b'x'; 2 << 20]);
    let request = there.asks("write", &[path.to_str().unwrap()], b"text\n");
    assert!(there.yes(&request).contains("too large"));
    there.sgw.agent(["wait", &request]).ok();
    assert_eq!(fs::read(&path).unwrap(), b"text\n");
}

#[test]
fn a_yes_to_what_comes_behind_a_file_is_for_what_it_comes_behind() {
    let there = There::with(&["--mode", "read"]);
    let path = there.has("file", "last line\n");
    let words = ["--append", path.to_str().unwrap()];
    let request = there.asks("write", &words, b"more\n");
    // Of the same length, so that nobody need look at more than its content.
    fs::write(&path, "LAST LINE\n").unwrap();
    let shown = there.yes(&request);
    assert!(shown.contains(" last line") && shown.contains("+more"), "{shown}");
    there.sgw.agent(["wait", &request]).fails(1, "files.changed");
    assert_eq!(fs::read(&path).unwrap(), b"LAST LINE\n");
    let request = there.asks("write", &words, b"more\n");
    there.yes(&request);
    there.sgw.agent(["wait", &request]).ok();
    assert_eq!(fs::read(&path).unwrap(), b"LAST LINE\nmore\n");
}

#[test]
fn an_edit_that_is_asked_about_shows_its_change_in_the_question() {
    let there = There::new();
    let directory = there.at("repo/.git/hooks");
    fs::create_dir_all(&directory).unwrap();
    let hook = directory.join("pre-commit");
    fs::write(&hook, "#!/bin/sh\nexit 0\n").unwrap();
    let text = hook.to_str().unwrap();
    let request = there.asks("edit", &[text, "--old", "exit 0", "--new", "exit 1"], b"");
    let shown = there.yes(&request);
    assert!(shown.contains("-exit 0") && shown.contains("+exit 1"), "{shown}");
    there.sgw.agent(["wait", &request]).ok();
    assert_eq!(fs::read(&hook).unwrap(), b"#!/bin/sh\nexit 1\n");
}

#[test]
fn a_put_takes_the_place_of_what_was_there_when_it_was_asked_about() {
    let there = There::with(&["--mode", "read"]);
    let path = there.has("file", "old\n");
    let local = there.sgw.write_private("local", b"new\n");
    let words = [local.to_str().unwrap(), path.to_str().unwrap()];
    let request = there.asks("put", &words, b"");
    let shown = there.yes(&request);
    assert!(shown.contains(&super::sum(&path)), "{shown}");
    assert!(shown.contains("-old") && shown.contains("+new"), "{shown}");
    there.files("put", &words).ok();
    assert_eq!(fs::read(&path).unwrap(), b"new\n");
    // Another file by now is another question.
    let local = there.sgw.write_private("local", b"newer\n");
    let words = [local.to_str().unwrap(), path.to_str().unwrap()];
    let request = there.asks("put", &words, b"");
    there.yes(&request);
    fs::write(&path, "theirs\n").unwrap();
    let other = there.asks("put", &words, b"");
    assert_ne!(other, request);
    assert_eq!(fs::read(&path).unwrap(), b"theirs\n");
}

#[test]
fn a_question_about_moving_or_removing_shows_what_would_be_gone() {
    let there = There::with(&["--mode", "each"]);
    let (old, new) = (there.has("old", "first line\nmore\n"), there.has("new", "other\n"));
    let words = ["-f", new.to_str().unwrap(), old.to_str().unwrap()];
    let shown = there.yes(&there.asks("mv", &words, b""));
    assert!(shown.contains("in place of what is there (-f)"), "{shown}");
    assert!(shown.contains("17 bytes") || shown.contains("16 bytes"), "{shown}");
    assert!(shown.contains("first line") && shown.contains("last changed"), "{shown}");
    assert!(shown.contains("other"), "what gets the name: {shown}");
    let shown = there.yes(&there.asks("rm", &[old.to_str().unwrap()], b""));
    assert!(shown.contains("it begins:") && shown.contains("first line"), "{shown}");
    fs::create_dir(there.at("tree")).unwrap();
    for name in ["a", "b", "c"] {
        there.has(&format!("tree/{name}"), name);
    }
    let request = there.asks("rm", &["-r", &there.text("tree")], b"");
    assert!(there.yes(&request).contains("a directory with 3 entries"));
    std::os::unix::fs::symlink("old", there.at("link")).unwrap();
    let request = there.asks("rm", &[&there.text("link")], b"");
    assert!(there.yes(&request).contains("a link -> old"));
    there.sgw.agent(["wait", &request]).ok();
    assert!(!there.at("link").is_symlink() && old.exists());
}

/// What a person was shown is what goes, by either way.
#[test]
fn a_yes_to_moving_or_removing_is_for_what_was_shown() {
    let there = There::with(&["--mode", "each"]);
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    for way in [&[][..], &["--via", "exec"]] {
        let asks = |verb: &str, more: &[&str]| there.asks(verb, &[way, more].concat(), b"");
        #[track_caller]
        fn says_no(there: &There, request: &str) {
            there.yes(request);
            there.sgw.agent(["wait", request]).fails(1, "files.changed").says("asked about");
        }
        let tree = there.at("tree");
        fs::create_dir(&tree).unwrap();
        there.has("tree/old", "old");
        fs::File::open(&tree).unwrap().set_modified(long_ago).unwrap();
        let request = asks("rm", &["-r", tree.to_str().unwrap()]);
        there.has("tree/thesis", "thesis");
        says_no(&there, &request);
        assert_eq!(fs::read_dir(&tree).unwrap().count(), 2);
        let (file, gone) = (there.has("file", "shown"), there.text("gone"));
        let text = file.to_str().unwrap();
        let (removes, moves) = (asks("rm", &[text]), asks("mv", &[text, &gone]));
        // Of the same length, so that nobody need look at more than its content.
        there.has("other", "other");
        fs::rename(there.at("other"), &file).unwrap();
        says_no(&there, &removes);
        says_no(&there, &moves);
        let onto = asks("mv", &["-f", text, &gone]);
        there.has("gone", "theirs");
        says_no(&there, &onto);
        let onto = asks("mv", &["-f", text, &gone]);
        there.has("gone", "THEIRS");
        says_no(&there, &onto);
        assert_eq!(fs::read(there.at("gone")).unwrap(), b"THEIRS");
        assert_eq!(fs::read(&file).unwrap(), b"other");
        std::os::unix::fs::symlink("file", there.at("link")).unwrap();
        let link = asks("rm", &[&there.text("link")]);
        fs::rename(there.at("gone"), there.at("link")).unwrap();
        says_no(&there, &link);
        // And what is still as it was shown goes.
        let onto = asks("mv", &["-f", text, &there.text("link")]);
        there.yes(&onto);
        there.sgw.agent(["wait", &onto]).ok();
        assert_eq!(fs::read(there.at("link")).unwrap(), b"other");
        for words in [vec![there.text("link")], vec!["-r".to_owned(), there.text("tree")]] {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let request = asks("rm", &words);
            there.yes(&request);
            there.sgw.agent(["wait", &request]).ok();
        }
        assert!(there.names().is_empty(), "{:?}", there.names());
    }
}

#[test]
fn a_put_of_many_shows_each_file_and_says_how_the_rest_is_seen() {
    let there = There::with(&["--mode", "read"]);
    let tree = there.sgw.write_private("tree-of-it", b"").with_file_name("tree");
    fs::create_dir(&tree).unwrap();
    for number in 10..50 {
        fs::write(tree.join(format!("f{number}")), format!("text {number}\n")).unwrap();
    }
    let to = there.text("to");
    let request = there.asks("put", &["-r", tree.to_str().unwrap(), &to], b"");
    let mut terminal = there.sgw.looks_at(&request);
    let screen = terminal.wait_for(r"of 4[01] files more");
    drop(terminal);
    let shown = there.yes(&request);
    assert!(shown.contains(&format!("`all {request}` in sgw desk --plain")), "{shown} {screen}");
    assert!(shown.contains("to/f10 8 bytes, sha256") && shown.contains("+text 10"), "{shown}");
    assert!(!shown.contains("stdin") && !shown.contains("\\n"), "{shown}");
}

#[test]
fn who_waits_again_gets_what_was_done_and_nothing_is_done_again() {
    let there = There::with(&["--mode", "each"]);
    let path = there.has("file", "first");
    let text = path.to_str().unwrap();
    let request = there.asks("read", &[text], b"");
    there.yes(&request);
    there.sgw.agent(["wait", &request]).ok().prints("first");
    fs::write(&path, "second").unwrap();
    there.sgw.agent(["wait", &request]).ok().prints("first");
    let request = there.asks("write", &[text], b"mine");
    there.yes(&request);
    let once = there.sgw.agent(["wait", &request, "--json"]).ok().json();
    fs::write(&path, "theirs").unwrap();
    let again = there.sgw.agent(["wait", &request, "--json"]).ok().json();
    assert_eq!(once, again);
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
    let request = there.asks("read", &[&there.text("none")], b"");
    there.yes(&request);
    for _ in 0..2 {
        there.sgw.agent(["wait", &request]).fails(1, "files.not_found");
    }
    // More than is kept is told, and not read again.
    let large = there.has("large", vec![b'x'; 300 * 1024]);
    let request = there.asks("read", &[large.to_str().unwrap()], b"");
    there.yes(&request);
    assert_eq!(there.sgw.agent(["wait", &request]).ok().bytes().len(), 300 * 1024);
    there.sgw.agent(["wait", &request]).fails(1, "output.gone");
}

#[test]
fn history_tells_of_files_beside_commands() {
    let there = There::new();
    let path = there.text("file");
    there.fed("write", &[&path], b"12345").ok();
    there.sgw.agent(["exec", &there.session, "--", "true"]).ok();
    there.files("read", &[&path]).ok();
    there.files("read", &[&there.text("none")]).fails(1, "files.not_found");
    let told = there.sgw.agent(["history", &there.session, "--json"]).ok().json();
    let of = |key: &str| -> Vec<_> {
        told["history"].as_array().unwrap().iter().map(|one| one[key].clone()).collect()
    };
    assert_eq!(of("kind"), ["files", "exec", "files", "files"]);
    assert_eq!(of("bytes"), [json!(5), json!(null), json!(5), json!(null)]);
    assert_eq!(of("verb")[0], "write");
    assert_eq!(of("paths")[2], json!([path]));
    assert_eq!(of("outcome")[3], "files.not_found");
    assert_eq!(of("exit_code")[1], 0);
    let table = there.sgw.agent(["history", &there.session]).ok().stdout();
    assert!(table.contains("files write") && table.contains("files.not_found"), "{table}");
}
