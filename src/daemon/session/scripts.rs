//! What agents wrote to the accounts that they work in, as far as a later command may run it: such a
//! script is judged by what it holds.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::domain::guard::{Content, Files};

/// The longest script that is judged, in bytes.
const LONGEST: usize = 64 * 1024;
/// What all texts take, in bytes; beyond, those that were longest untouched count as not known.
const TEXTS: usize = 16 * 1024 * 1024;
/// Accounts that are kept; the one that was longest untouched goes.
const ACCOUNTS: usize = 256;

/// Files that agents wrote, by account ([`super::Session::account`]).
#[derive(Default)]
pub struct Scripts(Mutex<State>);

#[derive(Default)]
struct State {
    accounts: BTreeMap<String, Account>,
    texts: usize,
    clock: u64,
}

#[derive(Default)]
struct Account {
    files: Arc<Files>,
    touched: u64,
}

impl Scripts {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of an account's files.
    pub fn of(&self, account: &str) -> Arc<Files> {
        self.lock().accounts.get(account).map(|account| account.files.clone()).unwrap_or_default()
    }

    /// What a command that is about to run writes.
    pub fn wrote(&self, account: &str, written: &[(String, Content)]) {
        for (path, content) in written {
            self.set(account, path, content.clone());
        }
    }

    fn set(&self, account: &str, path: &str, content: Content) {
        let size = content.size();
        self.change(
            account,
            |files| files.set(path, content),
            |files| match files.content(path) {
                // There may be no room for another path.
                Some((_, Content::Text(_))) => size,
                _ => 0,
            },
        );
    }

    /// `less` and then `more` change the files, and say how many bytes of texts go and come.
    fn change(
        &self,
        account: &str,
        less: impl FnOnce(&mut Files) -> usize,
        more: impl FnOnce(&mut Files) -> usize,
    ) {
        let mut state = self.lock();
        state.clock += 1;
        let clock = state.clock;
        let entry = state.accounts.entry(account.to_owned()).or_default();
        entry.touched = clock;
        let files = Arc::make_mut(&mut entry.files);
        let (gone, come) = (less(files), more(files));
        state.texts = (state.texts + come).saturating_sub(gone);
        state.bound();
    }
}

impl Scripts {
    /// An agent wrote these bytes there: all that the file then holds.
    pub fn remember(&self, account: &str, path: &str, bytes: &[u8]) {
        let text = Some(bytes).filter(|bytes| bytes.len() <= LONGEST);
        let text = text.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let content = text.map_or(Content::Unknown, |text| Content::Text(text.into()));
        self.set(account, path, content);
    }

    /// An agent wrote something there.
    pub fn unknown(&self, account: &str, path: &str) {
        self.set(account, path, Content::Unknown);
    }

    /// It is gone.
    pub fn forget(&self, account: &str, path: &str) {
        self.change(account, |files| files.forget(path).map_or(0, |old| old.size()), |_| 0);
    }

    /// It has another name now.
    pub fn rename(&self, account: &str, from: &str, to: &str) {
        let moved = self.of(account).content(from);
        self.forget(account, from);
        match moved {
            Some((_, content)) => self.set(account, to, content),
            // What stood there stands there no more.
            None if self.of(account).content(to).is_some() => self.unknown(account, to),
            None => {}
        }
    }

    /// Where an account is at home.
    pub fn home(&self, account: &str, home: &str) {
        if self.of(account).home.as_deref() == Some(home.trim_end_matches('/')) {
            return;
        }
        self.change(
            account,
            |_| 0,
            |files| {
                files.home = Some(home.trim_end_matches('/').to_owned());
                0
            },
        );
    }
}

impl State {
    fn bound(&mut self) {
        while self.texts > TEXTS {
            let mut oldest: Vec<_> = self.accounts.values_mut().collect();
            oldest.sort_by_key(|account| account.touched);
            let over = self.texts - TEXTS;
            let gone = oldest.into_iter().find_map(|account| {
                let gone = Arc::make_mut(&mut account.files).let_go(over);
                (gone > 0).then_some(gone)
            });
            match gone {
                Some(gone) => self.texts = self.texts.saturating_sub(gone),
                None => self.texts = 0,
            }
        }
        if self.accounts.len() > ACCOUNTS {
            let oldest = self.accounts.iter().min_by_key(|(_, account)| account.touched);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                let gone = self.accounts.remove(&name);
                let bytes = gone.map_or(0, |gone| gone.files.size());
                self.texts = self.texts.saturating_sub(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(scripts: &Scripts, path: &str) -> Option<String> {
        match scripts.of("a").content(path)? {
            (_, Content::Text(text)) => Some(text.to_string()),
            _ => Some("?".to_owned()),
        }
    }

    #[test]
    fn what_was_written_last_counts_and_a_name_goes_with_its_file() {
        let scripts = Scripts::default();
        scripts.remember("a", "/srv/x", b"one");
        scripts.remember("a", "/srv/x", b"two");
        assert_eq!(text(&scripts, "/srv/x").as_deref(), Some("two"));
        scripts.rename("a", "/srv/x", "/srv/y");
        assert_eq!(
            (text(&scripts, "/srv/x"), text(&scripts, "/srv/y")),
            (None, Some("two".into()))
        );
        scripts.rename("a", "/srv/none", "/srv/y");
        assert_eq!(text(&scripts, "/srv/y").as_deref(), Some("?"));
        scripts.forget("a", "/srv/y");
        assert_eq!(text(&scripts, "/srv/y"), None);
        assert_eq!(scripts.of("b").content("/srv/x"), None);
        for bytes in [&b"\xff"[..], &[b'x'; LONGEST + 1]] {
            scripts.remember("a", "/srv/z", bytes);
            assert_eq!(text(&scripts, "/srv/z").as_deref(), Some("?"));
        }
        assert_eq!(scripts.lock().texts, 0);
    }

    #[test]
    fn texts_have_a_bound_and_what_is_let_go_is_not_forgotten() {
        let scripts = Scripts::default();
        let long = vec![b'x'; LONGEST];
        for number in 0..TEXTS / LONGEST + 20 {
            scripts.remember("a", &format!("/srv/{number}"), &long);
            assert!(scripts.lock().texts <= TEXTS);
        }
        let known = |number: usize| text(&scripts, &format!("/srv/{number}")).unwrap();
        let unknown = (0..TEXTS / LONGEST + 20).filter(|number| known(*number) == "?").count();
        assert_eq!(unknown, 20);
        for number in 0..ACCOUNTS + 5 {
            scripts.remember(&format!("other-{number}"), "/x", b"x");
        }
        assert_eq!(scripts.lock().accounts.len(), ACCOUNTS);
        assert_eq!(scripts.lock().texts, ACCOUNTS);
    }
}
