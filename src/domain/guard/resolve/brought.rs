//! Files that agents brought, and those that the line itself writes.

use std::collections::HashMap;

use super::Walk;
use crate::domain::guard::{
    Content,
    field::{self, Data},
};

/// Files that a line writes of which it is told what they hold, and how many bytes of it.
const MAX_WRITTEN: usize = 32;
const MAX_TOLD: usize = 8 * 1024;

impl Walk<'_> {
    /// What an agent's file holds; without a text where that is not known.
    pub(super) fn brought(&self, path: &str) -> Option<Data> {
        let (file, content) = self.context.files?.content(path)?;
        let text = match content {
            Content::Text(text) => Some(text.to_string()),
            Content::Unknown => None,
        };
        Some(Data { text, file: Some(file), ..Data::default() })
    }

    /// Whether what it holds is known, from the line or before.
    pub(super) fn is_written(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.is_brought(path)
    }

    /// Whether an agent wrote the file, so that it is none of the server's own.
    pub(super) fn is_brought(&self, path: &str) -> bool {
        self.context.files.is_some_and(|files| files.content(path).is_some())
    }
}

/// What a line leaves in files, for commands that come later.
pub(super) fn written(files: HashMap<String, Data>) -> Vec<(String, Content)> {
    let files = files.into_iter().filter(|(path, _)| is_one_file(path));
    // Each costs the line at least a few bytes.
    let all = files.enumerate();
    all.map(|(at, (path, data))| told(path, data, at < MAX_WRITTEN)).collect()
}

/// Whether a path is known, and of a file that can be run later.
fn is_one_file(path: &str) -> bool {
    !path.starts_with("/dev/") && !path.trim_start_matches(field::HOME).contains(field::is_mark)
}

fn told(path: String, data: Data, with_text: bool) -> (String, Content) {
    let text = data.text.filter(|text| with_text && text.len() <= MAX_TOLD);
    (path, text.map_or(Content::Unknown, |text| Content::Text(text.into())))
}
