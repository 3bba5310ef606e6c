//! The one line in a user's own ssh_config that includes sgw's, and its taking out.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

const MARK: &str =
    "# sgw: the next line leads ssh through sgw; `sgw ssh-config --uninstall` takes both out.";

/// Puts the line before everything else, where it counts for all hosts; false where it was there.
pub fn include(config: &Path, included: &str) -> io::Result<bool> {
    let there = read(config)?;
    let (rest, was) = without(&there);
    let text = format!("{MARK}\nInclude {included}\n{rest}");
    if was && text == there {
        return Ok(false);
    }
    replace(config, &text)?;
    Ok(true)
}

/// Takes the line out again; false where there was none.
pub fn take_out(config: &Path) -> io::Result<bool> {
    let there = read(config)?;
    let (rest, was) = without(&there);
    let is_own = || fs::symlink_metadata(config).is_ok_and(|there| there.is_file());
    match was {
        // Whether sgw made it or somebody else: ssh does as without it.
        true if rest.is_empty() && is_own() => fs::remove_file(config)?,
        true => replace(config, &rest)?,
        false => {}
    }
    Ok(was)
}

pub fn is_included(config: &Path) -> bool {
    read(config).is_ok_and(|there| without(&there).1)
}

/// The text without sgw's two lines, and whether they were there.
fn without(text: &str) -> (String, bool) {
    let mut lines = text.split_inclusive('\n').peekable();
    let (mut rest, mut was) = (String::new(), false);
    while let Some(line) = lines.next() {
        if line.trim_end() == MARK {
            was = true;
            lines.next_if(|next| next.starts_with("Include "));
        } else {
            rest.push_str(line);
        }
    }
    (rest, was)
}

fn read(config: &Path) -> io::Result<String> {
    match fs::read_to_string(config) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        text => text,
    }
}

/// In the place of what a link leads to, with its mode; ssh refuses one that others may write.
fn replace(config: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = config.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let config = fs::canonicalize(config).unwrap_or_else(|_| config.to_owned());
    let mode = fs::metadata(&config).map_or(0o600, |there| there.permissions().mode() & 0o777);
    let mut new = config.as_os_str().to_owned();
    new.push(format!(".sgw-{}", std::process::id()));
    let new = PathBuf::from(new);
    let written = fs::write(&new, text)
        .and_then(|()| fs::set_permissions(&new, fs::Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&new, &config));
    written.inspect_err(|_| {
        // What could not be finished is no use to anybody.
        let _ = fs::remove_file(&new);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_there_again_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join(".ssh/config");
        let own = "Host mine\n    User me";
        for before in [None, Some(own), Some("")] {
            if let Some(before) = before {
                fs::write(&config, before).unwrap();
            }
            assert!(include(&config, "\"/a\"").unwrap());
            assert!(!include(&config, "\"/a\"").unwrap(), "twice");
            assert!(include(&config, "\"/b\"").unwrap(), "it leads elsewhere now");
            let text = fs::read_to_string(&config).unwrap();
            assert_eq!(text.matches("Include").count(), 1, "{text}");
            assert!(text.starts_with(MARK) && text.ends_with(before.unwrap_or("")));
            assert!(is_included(&config) && take_out(&config).unwrap());
            assert!(!is_included(&config) && !take_out(&config).unwrap());
            let left = before.filter(|before| !before.is_empty());
            assert_eq!(fs::read_to_string(&config).ok().as_deref(), left);
        }
    }

    #[test]
    fn a_link_stays_one_and_a_mode_stays_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let (real, config) = (directory.path().join("dotfiles"), directory.path().join("config"));
        fs::write(&real, "Host a\n").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&real, &config).unwrap();
        assert!(include(&config, "\"/a\"").unwrap());
        assert!(fs::symlink_metadata(&config).unwrap().is_symlink());
        let mode = fs::metadata(&real).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o644);
        assert!(fs::read_to_string(&real).unwrap().ends_with("Host a\n"));
    }
}
