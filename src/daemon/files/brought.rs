//! What an agent brings to an account by its files, for the guard: a script that it uploaded and then runs is
//! judged by what it holds.

use std::{borrow::Cow, sync::Arc};

use ::bytes::Bytes;

use crate::{
    daemon::session::scripts::Scripts,
    domain::{
        files::{Files, How, Operation, transfer::What},
        guard::Content,
    },
    protocol::error::{Code, Failure},
};

/// The longest file whose content is kept until it is whole, in bytes: longer ones are not judged by it.
pub const LONGEST: usize = 64 * 1024;

pub struct Brought {
    pub scripts: Arc<Scripts>,
    pub account: String,
}

/// What was known of the first path before.
pub struct Before(Option<Content>);

impl Brought {
    /// Before anything is done: from here on nobody knows what is there, however it ends.
    pub fn begins(&self, files: &Files) -> Before {
        let known = self.known(files, 0);
        match &files.operation {
            Operation::Write(write) => {
                self.unknown(files, 0);
                self.other_name(files, 0, write.path.as_slice());
            }
            Operation::Put(put) => {
                for (index, item) in put.items.iter().enumerate() {
                    match (&item.refused, &item.what) {
                        (None, What::File { .. }) => {
                            self.unknown(files, index);
                            self.other_name(files, index, item.path.as_slice());
                        }
                        (None, What::Link { target }) => {
                            self.link(files, index, target.as_slice());
                        }
                        _ => {}
                    }
                }
            }
            Operation::Link { target, .. } => self.link(files, 0, target.as_slice()),
            // Whatever is written by one name is there by the other, too.
            Operation::HardLink { .. } => {
                self.unknown(files, 0);
                self.unknown(files, 1);
            }
            Operation::Attributes(set) if set.size.is_some() => self.unknown(files, 0),
            Operation::Move { .. } if known.is_some() || self.known(files, 1).is_some() => {
                self.unknown(files, 1);
            }
            _ => {}
        }
        Before(known)
    }

    /// How it ended: what is known from here on.
    pub fn ended(&self, files: &Files, Before(known): Before, failure: Option<&Failure>) {
        match (&files.operation, failure) {
            (Operation::Write(write), None) => {
                let content = files.content.as_deref().unwrap_or_default();
                match (write.how, known) {
                    (How::Append, Some(Content::Text(text))) => {
                        self.holds(files, 0, &[text.as_bytes(), content].concat());
                    }
                    // What it is behind is not known.
                    (How::Append, _) => {}
                    _ => self.holds(files, 0, content),
                }
            }
            // Nothing was written.
            (Operation::Write(write), Some(failure))
                if write.how != How::Append && is_untouched(failure.code) =>
            {
                let Some(path) = path(files, 0) else { return };
                match known {
                    Some(known) => self.scripts.wrote(&self.account, &[(path.into(), known)]),
                    None => self.scripts.forget(&self.account, &path),
                }
            }
            (Operation::Move { .. }, None) => {
                if let (Some(from), Some(to)) = (path(files, 0), path(files, 1)) {
                    self.scripts.rename(&self.account, &from, &to);
                }
            }
            (Operation::Remove { .. }, None) => {
                if let Some(path) = path(files, 0) {
                    self.scripts.forget(&self.account, &path);
                }
            }
            _ => {}
        }
    }

    /// A whole file.
    pub fn holds(&self, files: &Files, index: usize, content: &[u8]) {
        if let Some(path) = path(files, index) {
            self.scripts.remember(&self.account, &path, content);
        }
    }

    /// What of a content is worth keeping until the file is whole.
    pub fn kept(content: &Bytes) -> Option<Bytes> {
        (content.len() <= LONGEST).then(|| content.clone())
    }

    /// What agents brought there, where they did.
    fn known(&self, files: &Files, index: usize) -> Option<Content> {
        let path = path(files, index)?;
        self.scripts.of(&self.account).content(&path).map(|(_, content)| content)
    }

    fn unknown(&self, files: &Files, index: usize) {
        if let Some(path) = path(files, index) {
            self.scripts.unknown(&self.account, &path);
        }
    }

    /// A path that was given is another name of the one that it led to.
    fn other_name(&self, files: &Files, index: usize, given: &[u8]) {
        let given = String::from_utf8_lossy(given);
        if given.starts_with('/')
            && let Some(at) = path(files, index)
            && plain(&given) != at
        {
            let link = Content::Link(at.as_ref().into());
            self.scripts.wrote(&self.account, &[(given.into(), link)]);
        }
    }

    fn link(&self, files: &Files, index: usize, target: &[u8]) {
        let Some(at) = path(files, index) else { return };
        let target = String::from_utf8_lossy(target);
        let above = at.rsplit_once('/').map_or("", |(above, _)| above);
        let real = match target.starts_with('/') {
            true => target.into_owned(),
            false => format!("{above}/{target}"),
        };
        let link = Content::Link(real.as_str().into());
        self.scripts.wrote(&self.account, &[(at.into(), link)]);
    }
}

/// Without what changes nothing: `//`, `/./`, a slash at its end.
fn plain(path: &str) -> String {
    let names = path.split('/').filter(|name| !matches!(*name, "" | "."));
    names.fold(String::new(), |path, name| path + "/" + name)
}

fn path(files: &Files, index: usize) -> Option<Cow<'_, str>> {
    let path = files.at.get(index).filter(|path| !path.is_empty())?;
    Some(String::from_utf8_lossy(path))
}

fn is_untouched(code: Code) -> bool {
    matches!(code, Code::FilesExists | Code::FilesChanged | Code::FilesDenied | Code::FilesNotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        files::Write,
        id::{Id, Kind},
        judgement::Judgement,
    };

    fn files(operation: Operation, at: &[&str], content: Option<&'static [u8]>) -> Files {
        Files {
            session: Id::from_number(Kind::Session, 1),
            operation,
            way: crate::domain::files::Way::Sftp,
            at: at.iter().map(|path| path.as_bytes().to_vec()).collect(),
            content: content.map(Bytes::from_static),
            replaced: Vec::new(),
            caps: Vec::new(),
            tells_sum: false,
            judged: Judgement::for_test(b"true"),
            passed_by: Vec::new(),
        }
    }

    fn write(path: &str, how: How) -> Operation {
        let (mode, parents, if_sum) = (None, false, None);
        Operation::Write(Write { path: path.into(), how, mode, parents, if_sum })
    }

    fn brought() -> Brought {
        Brought { scripts: Arc::default(), account: "me".to_owned() }
    }

    fn does(brought: &Brought, files: &Files, failure: Option<&Failure>) {
        let before = brought.begins(files);
        brought.ended(files, before, failure);
    }

    fn text(brought: &Brought, path: &str) -> Option<String> {
        match brought.scripts.of("me").content(path)? {
            (_, Content::Text(text)) => Some(text.to_string()),
            _ => Some("?".to_owned()),
        }
    }

    #[test]
    fn what_was_written_is_known_until_it_is_otherwise() {
        let brought = brought();
        let one = files(write("/srv/x", How::Replace), &["/srv/x"], Some(b"one\n"));
        let before = brought.begins(&one);
        assert_eq!(text(&brought, "/srv/x").unwrap(), "?", "while it is written");
        brought.ended(&one, before, None);
        let more = files(write("/srv/x", How::Append), &["/srv/x"], Some(b"two\n"));
        does(&brought, &more, None);
        assert_eq!(text(&brought, "/srv/x").unwrap(), "one\ntwo\n");
        let exists = Failure::new(Code::FilesExists, "", "");
        does(
            &brought,
            &files(write("/srv/x", How::Create), &["/srv/x"], Some(b"3")),
            Some(&exists),
        );
        assert_eq!(text(&brought, "/srv/x").unwrap(), "one\ntwo\n", "nothing was written");
        let lost = Failure::new(Code::SessionLost, "", "");
        does(&brought, &files(write("/srv/x", How::Replace), &["/srv/x"], Some(b"3")), Some(&lost));
        assert_eq!(text(&brought, "/srv/x").unwrap(), "?");
        does(&brought, &files(write("/srv/y", How::Append), &["/srv/y"], Some(b"3")), None);
        assert_eq!(text(&brought, "/srv/y").unwrap(), "?", "behind what nobody knows");
        does(
            &brought,
            &files(write("/srv/z", How::Create), &["/srv/z"], Some(b"3")),
            Some(&exists),
        );
        assert_eq!(text(&brought, "/srv/z"), None);
    }

    #[test]
    fn a_name_goes_with_its_file_and_another_name_is_no_way_round() {
        let brought = brought();
        does(&brought, &files(write("/l/x", How::Replace), &["/srv/x"], Some(b"one")), None);
        assert_eq!(text(&brought, "/l/x").unwrap(), "?", "a link that stood there");
        let brought = self::brought();
        does(&brought, &files(write("/srv//x", How::Replace), &["/srv/x"], Some(b"one")), None);
        assert_eq!(text(&brought, "/srv/x").unwrap(), "one");
        let moved = Operation::Move { from: "x".into(), to: "y".into(), replace: false };
        does(&brought, &files(moved, &["/srv/x", "/srv/y"], None), None);
        assert_eq!(
            (text(&brought, "/srv/x"), text(&brought, "/srv/y").unwrap()),
            (None, "one".into())
        );
        let link = Operation::Link { target: "y".into(), path: "z".into(), leads: None };
        does(&brought, &files(link, &["/srv/z"], None), None);
        assert_eq!(text(&brought, "/srv/z").unwrap(), "?");
        let gone = Operation::Remove { path: "y".into(), recursive: false };
        does(&brought, &files(gone, &["/srv/y"], None), None);
        assert_eq!(text(&brought, "/srv/y"), None);
    }
}
