//! What agents wrote to the accounts that they work in, as far as a later command may run it: such a
//! script is judged by what it holds.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::domain::{
    guard::{Content, Files, field},
    judgement::Script,
};

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
    running: BTreeMap<u64, Uses>,
}

/// What a command that runs does with files, whenever it gets there.
struct Uses {
    writes: Files,
    runs: Files,
}

/// A command that runs: what it was judged to write and to run is not known otherwise until it has ended.
pub struct Running {
    scripts: Arc<Scripts>,
    account: String,
    number: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(account) = self.scripts.lock().accounts.get_mut(&self.account) {
            account.running.remove(&self.number);
        }
    }
}

/// Why a file is not written, or a command not run.
#[derive(Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A command that runs was judged by what it holds.
    Runs(String),
    /// It is not what it was when the command was judged.
    Changed(String),
}

impl Account {
    /// A path, and what it is without the links that it goes through.
    fn ways(&self, path: &str) -> Vec<String> {
        std::iter::once(path.to_owned()).chain(self.files.behind_links(path)).collect()
    }

    fn is_written(&self, path: &str) -> bool {
        let ways = self.ways(path);
        self.running.values().any(|uses| ways.iter().any(|path| uses.writes.meets(path)))
    }

    fn is_run(&self, path: &str) -> bool {
        let ways = self.ways(path);
        self.running.values().any(|uses| ways.iter().any(|path| uses.runs.meets(path)))
    }

    /// These paths alone, with all that they may be.
    fn only<'p>(&self, paths: impl Iterator<Item = (&'p str, Content)>) -> Files {
        let mut only = Files::default();
        only.home.clone_from(&self.files.home);
        for (path, content) in paths {
            for way in self.ways(path) {
                only.set(&way, content.clone());
            }
        }
        only
    }
}

impl Scripts {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of an account's files.
    pub fn of(&self, account: &str) -> Arc<Files> {
        self.lock().accounts.get(account).map(|account| account.files.clone()).unwrap_or_default()
    }

    /// A command is about to run that was judged by these scripts.
    ///
    /// # Errors
    /// One of them is another by now; or it writes what a command that runs was judged by.
    pub fn begins(
        self: &Arc<Self>,
        account: &str,
        written: &[(String, Content)],
        scripts: &[Script],
    ) -> Result<Running, Conflict> {
        let number = {
            let mut state = self.lock();
            state.clock += 1;
            let number = state.clock;
            let entry = state.accounts.entry(account.to_owned()).or_default();
            entry.touched = number;
            let changed = |script: &&Script| script.sum.is_some() && !script.is_same(&entry.files);
            if let Some(script) = scripts.iter().find(changed) {
                return Err(Conflict::Changed(script.path.clone()));
            }
            if let Some((path, _)) = written.iter().find(|(path, _)| entry.is_run(path)) {
                return Err(Conflict::Runs(path.clone()));
            }
            let writes = entry.only(written.iter().map(|(path, content)| match content {
                // Of what is not known of a path all that it may mean is written.
                _ if path.contains(field::is_mark) => (path.as_str(), Content::Place),
                Content::Text(_) => (path.as_str(), Content::Unknown),
                content => (path.as_str(), content.clone()),
            }));
            let paths = scripts.iter().map(|script| (script.path.as_str(), Content::Unknown));
            let runs = entry.only(paths);
            entry.running.insert(number, Uses { writes, runs });
            number
        };
        Ok(Running { scripts: self.clone(), account: account.to_owned(), number })
    }

    /// An agent is about to write to these paths: from here on nobody knows what is there.
    ///
    /// # Errors
    /// A command that runs was judged by what one of them holds: nothing is changed.
    pub fn claim(&self, account: &str, paths: &[String]) -> Result<(), Conflict> {
        let mut state = self.lock();
        let Some(entry) = state.accounts.get_mut(account) else { return Ok(()) };
        if let Some(path) = paths.iter().find(|path| entry.is_run(path)) {
            return Err(Conflict::Runs(path.clone()));
        }
        let files = Arc::make_mut(&mut entry.files);
        let known: Vec<&String> =
            paths.iter().filter(|path| files.content(path).is_some()).collect();
        let gone: usize = known.into_iter().map(|path| files.set(path, Content::Unknown)).sum();
        state.texts = state.texts.saturating_sub(gone);
        Ok(())
    }

    /// What a command that is about to run writes.
    pub fn wrote(&self, account: &str, written: &[(String, Content)]) {
        for (path, content) in written {
            self.set(account, path, content.clone());
        }
    }

    fn set(&self, account: &str, path: &str, content: Content) {
        let content = match self.is_written(account, path) {
            // Who writes last is not known.
            true if matches!(content, Content::Text(_)) => Content::Unknown,
            _ => content,
        };
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

    fn is_written(&self, account: &str, path: &str) -> bool {
        self.lock().accounts.get(account).is_some_and(|account| account.is_written(path))
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
        if self.is_written(account, path) {
            return self.unknown(account, path);
        }
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
            let idle = self.accounts.iter().filter(|(_, account)| account.running.is_empty());
            let oldest = idle.min_by_key(|(_, account)| account.touched);
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
    fn what_a_command_that_runs_writes_is_not_known_and_what_it_runs_is_not_written() {
        let scripts: Arc<Scripts> = Arc::default();
        scripts.home("a", "/root");
        scripts.remember("a", "/srv/x", b"echo x");
        let own = [("y".to_owned(), Content::Text("echo y".into()))];
        let ran = [Script::of("/srv/x", &scripts.of("a"))];
        scripts.wrote("a", &own);
        let running = scripts.begins("a", &own, &ran).unwrap();
        // (b) Whichever comes last; and a file that is gone may come back.
        scripts.remember("a", "/root/y", b"echo fine");
        assert_eq!(text(&scripts, "/root/y").as_deref(), Some("?"));
        scripts.forget("a", "/root/y");
        assert_eq!(text(&scripts, "/root/y").as_deref(), Some("?"));
        scripts.remember("a", "/root/z", b"echo z");
        assert_eq!(text(&scripts, "/root/z").as_deref(), Some("echo z"));
        // (a) By files, and by another command.
        let x = ["/srv/x".to_owned()];
        assert_eq!(scripts.claim("a", &x), Err(Conflict::Runs("/srv/x".into())));
        let other = [("/srv".to_owned(), Content::Place)];
        assert!(scripts.begins("a", &other, &[]).is_err());
        assert_eq!(text(&scripts, "/srv/x").as_deref(), Some("echo x"));
        assert_eq!(scripts.claim("b", &x), Ok(()), "another account");
        drop(running);
        scripts.remember("a", "/root/y", b"echo fine");
        assert_eq!(text(&scripts, "/root/y").as_deref(), Some("echo fine"));
        assert_eq!(scripts.claim("a", &x), Ok(()));
        assert_eq!(text(&scripts, "/srv/x").as_deref(), Some("?"));
        // What it was judged by is another by now.
        let late = scripts.begins("a", &[], &ran);
        assert_eq!(late.err(), Some(Conflict::Changed("/srv/x".into())));
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
