//! Several outputs in one call, shown one after the other or followed together.

use std::fs;

use crate::support::{Sgw, Sshd};

struct Scene {
    sgw: Sgw,
    sshd: Sshd,
    session: String,
}

impl Scene {
    fn open() -> Self {
        let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
        let session = sgw.session(&sshd);
        Self { sgw, sshd, session }
    }

    /// Runs a command to its end; its id.
    fn ran(&self, line: &str) -> String {
        let json = self.sgw.agent(["exec", &self.session, "--json", "--", line]).ok().json();
        json["id"].as_str().unwrap().to_owned()
    }

    /// A command that prints a line and half of one, and the rest when the file is there.
    fn runs(&self, name: &str) -> String {
        let file = self.sshd.directory().join(name);
        let line = format!(
            "echo {name}-1; printf {name}-; until [ -e {} ]; do sleep 0.05; done; echo 2; echo {name}-3",
            file.display()
        );
        let left = ["exec", &self.session, "--json", "--wait", "0", "--", &line];
        let json = self.sgw.agent(left).exits(75).json();
        json["id"].as_str().unwrap().to_owned()
    }

    fn lets(&self, name: &str) {
        fs::write(self.sshd.directory().join(name), "").unwrap();
    }
}

#[test]
fn each_of_several_stands_under_its_name() {
    let me = Scene::open();
    let (one, two) = (me.ran("echo a; echo b"), me.ran("printf c"));
    let shown = me.sgw.agent(["output", &one, &two]).ok();
    shown.prints(&format!("==> {one} <==\na\nb\n\n==> {two} <==\nc\n"));
    me.sgw.agent(["output", &two]).ok().prints("c\n");
    me.sgw.agent(["output", "--raw", &two, &one]).ok().prints("ca\nb\n");
    let pages = me.sgw.agent(["output", "--json", "--tail", "1", &one, &two]).ok().json_lines();
    let told: Vec<_> = pages.iter().map(|page| (&page["id"], &page["lines"][0])).collect();
    let (id, line) = (serde_json::Value::from, serde_json::Value::from);
    assert_eq!(
        told,
        [(&id(one.as_str()), &line("b")), (&id(two.as_str()), &line("c"))],
        "{pages:?}"
    );
}

#[test]
fn one_that_can_not_be_shown_does_not_hide_the_others() {
    let me = Scene::open();
    let one = me.ran("echo a");
    let shown = me.sgw.agent(["output", "x-zzz", &one]);
    assert_eq!(shown.stdout(), format!("==> {one} <==\na\n"), "{shown:?}");
    assert_ne!(shown.code(), 0, "{shown:?}");
    assert!(shown.error_code().is_some(), "{shown:?}");
}

#[test]
fn several_are_followed_together_to_the_end_of_the_last() {
    let me = Scene::open();
    let (one, two) = (me.runs("one"), me.runs("two"));
    let mut follows = me.sgw.start(["output", "--follow", &one, &two]);
    follows.prints("one-1\n");
    follows.prints("two-1\n");
    me.lets("two");
    follows.prints("two-3\n");
    assert!(!follows.has_ended(), "the first one still runs");
    me.lets("one");
    let ended = follows.ends().ok();
    let text = ended.stdout();
    for line in ["one-1", "one-2", "one-3", "two-1", "two-2", "two-3"] {
        assert_eq!(text.lines().filter(|shown| *shown == line).count(), 1, "{line} in {text}");
    }
    // What is not whole waits until it is.
    assert!(!text.lines().any(|line| line == "one-"), "{text}");
    assert!(text.ends_with(&format!("\n\n==> {one} <==\none-2\none-3\n")), "{text}");
}

#[test]
fn followed_with_json_each_page_is_an_object_and_the_last_says_that_it_ended() {
    let me = Scene::open();
    let one = me.runs("one");
    let mut follows = me.sgw.start(["output", "--follow", "--json", &one]);
    follows.prints("one-1");
    me.lets("one");
    let pages = follows.ends().ok().json_lines();
    assert_eq!(pages.last().unwrap()["status"], "ended", "{pages:?}");
    let mut lines = Vec::new();
    for page in &pages {
        let all = page["lines"].as_array().unwrap();
        let whole = all.len() - usize::from(page["partial"] == true);
        lines.extend(all[..whole].iter().map(|line| line.as_str().unwrap().to_owned()));
    }
    assert_eq!(lines, ["one-1", "one-2", "one-3"], "{pages:?}");
}

#[test]
fn a_limit_counts_over_all_that_is_followed() {
    let me = Scene::open();
    let one = me.runs("one");
    let follows = me.sgw.start(["output", "--follow", "--limit", "2", &one]);
    me.lets("one");
    follows.ends().ok().prints("one-1\none-2\n");
}

#[test]
fn what_can_not_be_combined_is_refused() {
    let me = Scene::open();
    let one = me.ran("echo a");
    for wrong in [
        &["--since", "0", &one, &one][..],
        &["--raw", "--follow", &one, &one],
        &["--new", "--since", "0", &one],
        &["--limit", "1", "--tail", "1", &one],
        &["--raw", "--screen", &one],
        &["--raw", "--grep", "a", &one],
        &["--screen", "--follow", &one],
        &[],
    ] {
        let outcome = me.sgw.agent([&["output"], wrong].concat()).exits(2);
        let code = outcome.error_code().unwrap_or_default();
        assert!(code.starts_with("usage."), "{wrong:?}: {outcome:?}");
    }
}

#[test]
fn all_of_a_long_output_comes_page_after_page() {
    let me = Scene::open();
    let id = me.ran("seq 300000");
    let all: String = (1..=300_000).map(|number| format!("{number}\n")).collect();
    let shown = me.sgw.agent(["output", &id]).ok();
    assert!(shown.bytes() == all.as_bytes(), "{} bytes", shown.bytes().len());
    let first: String = all.split_inclusive('\n').take(100_000).collect();
    let shown = me.sgw.agent(["output", &id, "--limit", "100000"]).ok();
    assert!(shown.bytes() == first.as_bytes(), "{} bytes", shown.bytes().len());
    me.sgw.agent(["output", &id, "--grep", "^300000$"]).ok().prints("300000\n");
    let page = me.sgw.agent(["output", &id, "--new", "--limit", "50000", "--json"]).ok().json();
    assert_eq!(page["lines"].as_array().unwrap().len(), 50_000);
    let page = me.sgw.agent(["output", &id, "--new", "--json"]).ok().json();
    assert_eq!(page["lines"][0], "50001");
    // More than one object holds.
    assert_eq!(page["more"], true);
    let page = me.sgw.agent(["output", &id, "--new", "--json"]).ok().json();
    assert_eq!((&page["more"], page["missed"].as_u64()), (&false.into(), Some(0)));
    let lines = page["lines"].as_array().unwrap();
    assert_eq!(lines.last().unwrap(), "300000");
}

#[test]
fn a_costly_pattern_holds_up_nobody_and_comes_to_an_end() {
    let me = Scene::open();
    let id = me.ran("yes 01101001110001011010011100 | tr -d '\\n' | head -c 768000 | fold -w 8000");
    let pattern = "[01]*1[01]{1000}x";
    let search = me.sgw.start(["output", &id, "--grep", pattern]);
    me.sgw.agent(["exec", &me.session, "--", "echo here"]).ok().prints("here\n");
    let searched = search.ends();
    assert!(searched.code() == 0 || searched.code() == 2, "{searched:?}");
    for ordinary in [r"\w+\s+\w+", r"\d{4}-\d{2}-\d{2}", "error|warn"] {
        me.sgw.agent(["output", &id, "--grep", ordinary]).ok().prints("");
    }
}
