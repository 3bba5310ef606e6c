//! A terminal is taken and given back, whatever happens meanwhile.

use super::{
    played::Person,
    window::{Input, Window},
    *,
};

fn block<T>(future: impl Future<Output = T>) -> T {
    crate::client::runtime().unwrap().block_on(future)
}

#[test]
fn a_terminal_is_given_back_as_it_was() {
    block(async {
        let (person, tty) = Person::sits_down(24, 80);
        let before = person.modes();
        assert!(!before.raw);
        let window = Window::open(tty).unwrap();
        assert!(person.modes().raw);
        person.is_taken().await;
        drop(window);
        person.gets_back(&before).await;
    });
}

#[test]
fn a_panic_is_told_on_a_terminal_that_shows_it() {
    let (person, tty) = Person::sits_down(24, 80);
    let before = person.modes();
    let taken = std::thread::spawn(move || {
        block(async {
            let window = Window::open(tty).unwrap();
            // Never dropped: only the hook is left.
            std::mem::forget(window);
            panic!("on purpose");
        });
    });
    assert!(taken.join().is_err());
    block(person.gets_back(&before));
}

#[test]
fn keys_are_the_bytes_that_the_terminal_sends() {
    block(async {
        let (mut person, tty) = Person::sits_down(24, 80);
        let mut window = Window::open(tty).unwrap();
        let typed = "a\x03\x1a\x1c\r\x1b[<0;3;4M\x1b[200~ä\x11\x13\x7f";
        person.types(typed);
        let mut read = Vec::new();
        while read.len() < typed.len() {
            match window.next(true).await {
                Input::Keys(keys) => read.extend_from_slice(&keys),
                Input::Draw => window.draw(&canvas::Picture::default()),
                _ => {}
            }
        }
        assert_eq!(String::from_utf8(read).unwrap(), typed);
    });
}

#[test]
fn only_terminals_that_are_known_are_drawn_on() {
    for name in ["xterm-256color", "tmux-256color", "vt100", "st", "st-256color", "Eterm", "linux"]
    {
        assert_eq!(known(name.to_owned()), Ok(()), "{name}");
    }
    for name in ["dumb", "", "unknown", "stupid", "network", "emacs"] {
        assert!(known(name.to_owned()).is_err(), "{name}");
    }
    assert_eq!(known("x\x1b[2J".to_owned()), Err("x\\x1b[2J".to_owned()));
}

#[test]
fn sizes_have_bounds() {
    let size = |rows, columns| Size { rows, columns };
    assert_eq!(size(24, 80).above_the_status_line(), size(23, 80));
    assert_eq!(size(1, 1).above_the_status_line(), size(2, 20));
}
