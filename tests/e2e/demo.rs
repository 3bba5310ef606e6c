//! `sgw demo`: the whole story on a machine that has nothing else.

use std::fs;

use crate::support::{Sgw, processes_with_files_under};

#[test]
fn the_demo_plays_by_itself_and_leaves_nothing_behind() {
    let sgw = Sgw::new();
    let temporary = sgw.path("tmp");
    fs::create_dir(&temporary).unwrap();
    let before = names("/tmp");
    let mut demo = sgw.command(["demo", "--auto"]);
    // The demo is for those who have set nothing: neither home nor an instance.
    let outcome = sgw.run(demo.env_remove("SGW_HOME").env("TMPDIR", &temporary)).ok();
    let said = outcome.stdout() + &outcome.stderr();
    for step in ["request", "approv", "exec", "audit", "127.0.0.1"] {
        assert!(said.to_lowercase().contains(step), "the story has no {step:?}: {outcome:?}");
    }
    assert_eq!(names(temporary.to_str().unwrap()), Vec::<String>::new());
    assert_eq!(names(sgw.user_home().to_str().unwrap()), Vec::<String>::new());
    assert!(!sgw.home().exists(), "it used the person's own instance");
    assert_eq!(processes_with_files_under(&temporary), Vec::<u32>::new());
    // Other tests come and go in /tmp; what calls itself a demo would be this one's.
    let left = names("/tmp").into_iter().filter(|name| !before.contains(name));
    let left: Vec<_> = left.filter(|name| name.contains("demo")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_demo_asks_in_the_terminal_and_can_be_left() {
    let sgw = Sgw::new();
    let mut terminal = sgw.terminal(["demo"]);
    terminal.wait_for(r"(?i)(enter|y/n|\[y|approve)");
    terminal.send("\x03");
    let (_code, screen) = terminal.ends();
    assert!(!screen.to_lowercase().contains("panic"), "{screen}");
    assert!(!sgw.home().exists());
}

fn names(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
