//! The repository names no machine: not where it was written, nor through which hosts it was built.

use std::env;

use super::{
    none,
    source::{files, root},
};

/// Everything that is written by hand or generated, and no build.
const ALL: &[&str] = &[
    "src",
    "tests",
    "benches",
    "docs",
    "man",
    "completions",
    ".ci",
    ".config",
    "Cargo.toml",
    "README.md",
    "ARCHITECTURE.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "clippy.toml",
];

/// Where many people keep a clone: says nothing of one machine.
const COMMON: &[&str] = &["/", "/home", "/opt", "/root", "/srv", "/tmp", "/usr/src", "/var/tmp"];

/// What this machine is known by, where the build can see it.
fn names() -> Vec<String> {
    let mut names = vec![root().display().to_string()];
    names.extend(
        root()
            .parent()
            .map(|parent| parent.display().to_string())
            .filter(|parent| !COMMON.contains(&parent.as_str()))
            .map(|parent| parent + "/"),
    );
    let told = |name: &str| {
        let name = name.to_lowercase();
        name.ends_with("_proxy") || (name.starts_with("cargo_registr") && name.ends_with("_index"))
    };
    names.extend(env::vars().filter(|(name, _)| told(name)).filter_map(|(_, value)| host(&value)));
    // A clone right below the root has a name that could stand for anything.
    names.retain(|name| name.len() > 4 && name.matches('/').count() != 1);
    names
}

/// `proxy.example` of `http://user:password@proxy.example:3128/x`.
fn host(address: &str) -> Option<String> {
    let (_, rest) = address.split_once("://")?;
    let authority = rest.split('/').next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    let usual = matches!(host, "" | "localhost" | "127.0.0.1" | "index.crates.io" | "github.com");
    (!usual).then(|| host.to_owned())
}

/// Stands there as a name of its own, and not inside a longer path.
fn names_it(text: &str, name: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || "._-~$}".contains(c);
    text.match_indices(name).any(|(at, _)| !text[..at].ends_with(inside))
}

#[test]
fn nothing_names_this_machine() {
    let names = names();
    let mut offences = Vec::new();
    for file in ALL.iter().flat_map(|name| files(&root().join(name))) {
        let bytes = std::fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let named = names.iter().filter(|name| names_it(&text, name));
        offences.extend(named.map(|name| format!("{}: {name}", file.display())));
    }
    none("these names are of no use elsewhere:", &offences);
}

#[test]
fn a_name_is_found_only_where_it_stands_alone() {
    assert!(names_it("see /forge/x", "/forge/") && names_it("\"/forge/x\"", "/forge/"));
    assert!(!names_it("~/forge/x and home/forge/y", "/forge/"));
    assert_eq!(host("http://me:secret@proxy.example:3128/x").as_deref(), Some("proxy.example"));
    assert_eq!(host("sparse+https://index.crates.io/"), None);
}
