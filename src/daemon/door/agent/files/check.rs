//! What can be said of an operation before anybody looks at the server.

use super::*;

pub(super) fn into_itself(from: &[u8]) -> Failure {
    let shown = crate::domain::escape::exact(from, 300);
    let message = format!("{shown} can't be moved to a name in itself");
    Failure::new(Code::FilesKind, message, "give a name that lies elsewhere").sent(false)
}

/// What no server need be asked about.
pub(super) fn check_operation(operation: &Operation) -> Result<(), Failure> {
    let wrong = |message: &str, hint: &str| {
        Err(Failure::new(Code::UsageArguments, message, hint).sent(false))
    };
    let mode = match operation {
        Operation::Write(write) => {
            let is_sum =
                |sum: &String| sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
            if write.if_sum.as_ref().is_some_and(|sum| !is_sum(sum)) {
                return wrong(
                    "that is no SHA-256: 64 hexadecimal digits",
                    "sgw files sum SESSION PATH prints it",
                );
            }
            write.mode
        }
        Operation::Get { files } if !(1..=MOST_ITEMS).contains(&files.len()) => {
            return wrong("too many files at once, or none", "sgw files get SESSION REMOTE LOCAL");
        }
        Operation::Put(put) => {
            if !(1..=MOST_ITEMS).contains(&put.items.len()) {
                let hint = "sgw files put SESSION LOCAL REMOTE";
                return wrong("too many files at once, or none", hint);
            }
            let is_link = |item: &Item, wrong: fn(&[u8]) -> bool| match &item.what {
                What::Link { target } => wrong(target.as_slice()),
                _ => false,
            };
            if put.items.iter().any(|item| is_link(item, |t| t.is_empty() || t.contains(&0))) {
                return wrong("a link needs something that it leads to", "sgw files put --help");
            }
            let removed = |item: &Item| matches!(item.what, What::Gone { .. });
            if put.removes() && !put.items.iter().all(removed) {
                return wrong("what is removed goes in an operation of its own", "sgw files put");
            }
            put.items.iter().filter_map(|item| item.mode).max()
        }
        Operation::MakeDirectory { mode, .. } => *mode,
        Operation::SetMode { mode, .. } => Some(*mode),
        Operation::Link { target, .. } if target.as_slice().is_empty() => {
            return wrong("a link needs something that it leads to", "sgw files ln --help");
        }
        Operation::Link { target, .. } if target.as_slice().contains(&0) => {
            return wrong("a path can't hold a NUL byte", "sgw files ln --help");
        }
        _ => None,
    };
    if mode.is_some_and(|mode| mode > 0o7777) {
        return wrong("a mode is four octal digits at most, like 0644", "sgw files chmod --help");
    }
    Ok(())
}

/// What will be at the paths, as far as nobody need look.
pub(super) fn known_sizes(operation: &Operation, content: Option<&Bytes>) -> Vec<Option<u64>> {
    match (operation, content) {
        (Operation::Write(write), Some(content)) if write.how != How::Append => {
            vec![Some(content.len() as u64)]
        }
        (Operation::Put(put), _) => {
            let of = |item: &Item| match item.what {
                What::File { size, .. } => Some(size),
                // They hold nothing that could be counted.
                _ => Some(0),
            };
            put.items.iter().map(of).collect()
        }
        _ => Vec::new(),
    }
}
