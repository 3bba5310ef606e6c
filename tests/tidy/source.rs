//! The files of the house, and where each stands in the tree of modules.

use std::{
    fs,
    path::{Path, PathBuf},
};

pub struct Source {
    /// From the root of the repository.
    pub name: String,
    pub text: String,
    /// `daemon`, `door`, `agent` for `src/daemon/door/agent.rs`; empty for `src/lib.rs`.
    pub module: Vec<String>,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under these directories of the repository.
pub fn rust(directories: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for directory in directories {
        for file in files(&root().join(directory)) {
            if file.extension().is_some_and(|extension| extension == "rs") {
                found.push(read(&file));
            }
        }
    }
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// Every file under a directory, or the file itself.
pub fn files(start: &Path) -> Vec<PathBuf> {
    if start.is_file() {
        return vec![start.to_owned()];
    }
    let Ok(entries) = fs::read_dir(start) else { return Vec::new() };
    let mut found: Vec<_> = entries.flatten().flat_map(|entry| files(&entry.path())).collect();
    found.sort();
    found
}

fn read(file: &Path) -> Source {
    let name = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    let module = module_of(&name);
    Source { text: fs::read_to_string(file).unwrap(), name, module }
}

fn module_of(name: &str) -> Vec<String> {
    let inside = name.strip_prefix("src/").unwrap_or(name);
    let mut module: Vec<_> = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

#[test]
fn a_file_knows_its_module() {
    assert_eq!(module_of("src/lib.rs"), Vec::<String>::new());
    assert_eq!(module_of("src/main.rs"), ["main"]);
    assert_eq!(module_of("src/daemon/mod.rs"), ["daemon"]);
    assert_eq!(module_of("src/daemon/door/agent.rs"), ["daemon", "door", "agent"]);
}
