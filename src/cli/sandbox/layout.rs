//! What a sandboxed program may read and write, as paths. Landlock only ever allows: what is to be
//! hidden is everything around it allowed, name by name.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Names in the directories above what is hidden.
const MOST_NAMES: usize = 20_000;

/// Absolute and without symbolic links, so that one path being below another means what it says.
#[derive(Debug)]
pub struct Layout {
    /// Closed, there already or not.
    pub hidden: Vec<PathBuf>,
    /// Everything below may be written.
    pub writable: Vec<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    #[error("{} holds {}, which a sandbox has to hide", .tree.display(), .hidden.display())]
    Holds { tree: PathBuf, hidden: PathBuf },
    #[error("the directories above what has to be hidden have more than {MOST_NAMES} names")]
    TooMany,
    #[error("{} can't be listed: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
}

impl Layout {
    /// Refuses a writable tree that holds what is to be hidden, or lies in it.
    pub fn check(&self) -> Result<(), LayoutError> {
        for tree in &self.writable {
            if let Some(hidden) = self.within(tree) {
                return Err(LayoutError::Holds { tree: tree.clone(), hidden: hidden.clone() });
            }
        }
        Ok(())
    }

    /// What is hidden and lies in `tree`, is it, or is around it.
    pub fn within(&self, tree: &Path) -> Option<&PathBuf> {
        self.hidden.iter().find(|hidden| hidden.starts_with(tree) || tree.starts_with(hidden))
    }

    /// What may be read and executed, with all that is below each.
    pub fn readable(&self) -> Result<Vec<PathBuf>, LayoutError> {
        let mut readable = Vec::new();
        self.around(Path::new("/"), &mut readable)?;
        Ok(readable)
    }

    fn around(&self, directory: &Path, readable: &mut Vec<PathBuf>) -> Result<(), LayoutError> {
        let failed = |error| LayoutError::Io { path: directory.to_owned(), error };
        for entry in fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            // A rule stands for the file that a link leads to: that one is judged where it is.
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) || self.hidden.contains(&path)
            {
                continue;
            }
            if self.hidden.iter().any(|hidden| hidden.starts_with(&path)) {
                self.around(&path, readable)?;
            } else if readable.len() < MOST_NAMES {
                readable.push(path);
            } else {
                return Err(LayoutError::TooMany);
            }
        }
        Ok(())
    }
}

/// The path without symbolic links; what is not there yet, below the part that is.
pub fn real(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    for ancestor in path.ancestors() {
        if let Ok(there) = ancestor.canonicalize() {
            return missing.iter().rev().fold(there, |path: PathBuf, name| path.join(name));
        }
        missing.extend(ancestor.file_name());
    }
    path.to_owned()
}

/// Where the work goes on: the checkout around `directory`, whose `.git` a commit writes to, else the
/// directory itself.
pub fn working_tree(directory: &Path, layout: &Layout) -> PathBuf {
    let checkout = directory.ancestors().find(|path| path.join(".git").exists());
    let fits = checkout.filter(|path| layout.within(path).is_none());
    fits.unwrap_or(directory).to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn all_around_what_is_hidden_is_readable_and_nothing_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        fs::create_dir_all(top.join("home/.ssh/more")).unwrap();
        fs::create_dir_all(top.join("home/work")).unwrap();
        fs::write(top.join("home/file"), "").unwrap();
        symlink(top.join("home/.ssh"), top.join("home/keys")).unwrap();
        symlink("/", top.join("home/all")).unwrap();
        let hidden = vec![top.join("home/.ssh"), top.join("home/later/there")];
        let layout = Layout { hidden, writable: vec![] };
        let readable = layout.readable().unwrap();
        let mut inside: Vec<_> =
            readable.iter().filter_map(|path| path.strip_prefix(&top).ok()).collect();
        inside.sort();
        assert_eq!(inside, [Path::new("home/file"), Path::new("home/work")]);
        assert!(readable.contains(&PathBuf::from("/usr")));
        assert!(readable.iter().all(|path| !top.starts_with(path)));
    }

    #[test]
    fn a_tree_that_holds_what_is_hidden_is_refused() {
        let refused = |tree: &str| {
            let layout =
                Layout { hidden: vec!["/h/.ssh".into()], writable: vec![PathBuf::from(tree)] };
            layout.check().is_err()
        };
        assert!(refused("/h") && refused("/") && refused("/h/.ssh") && refused("/h/.ssh/x"));
        assert!(!refused("/h/work") && !refused("/h/.sshx"));
    }

    #[test]
    fn the_checkout_around_a_directory_is_its_working_tree() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        fs::create_dir_all(top.join("a/.git")).unwrap();
        fs::create_dir_all(top.join("a/b/c")).unwrap();
        let free = Layout { hidden: vec![], writable: vec![] };
        assert_eq!(working_tree(&top.join("a/b/c"), &free), top.join("a"));
        // Not when more than the checkout would have to be hidden in it.
        let held = Layout { hidden: vec![top.join("a/.ssh")], writable: vec![] };
        assert_eq!(working_tree(&top.join("a/b/c"), &held), top.join("a/b/c"));
    }

    #[test]
    fn a_path_that_is_not_there_is_real_as_far_as_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        fs::create_dir(top.join("real")).unwrap();
        symlink(top.join("real"), top.join("link")).unwrap();
        assert_eq!(real(&top.join("link/x/y")), top.join("real/x/y"));
    }
}
