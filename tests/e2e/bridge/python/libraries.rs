//! paramiko and asyncssh, which speak SSH without OpenSSH: what they do and say is the same through sgw.

use std::{fs, path::Path, process::Output};

use super::programs;
use crate::bridge::{Both, assert_alike, forward::echoes, ran, tree};

/// Runs it directly and through sgw, each in an empty directory of one name.
fn compares(script: &str, words: impl Fn(&Both, &Path) -> Vec<String>) {
    let python = programs().join("python");
    let both = Both::forwarding_files();
    let (echo, at) = (echoes(), both.sgw.path("at"));
    let goes = |config: &Path| {
        let _missing = fs::remove_dir_all(&at);
        fs::create_dir(&at).unwrap();
        let mut all = vec!["-c".to_owned(), script.to_owned()];
        all.extend(words(&both, config));
        all.extend([at.display().to_string(), echo.to_string()]);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let output: Output = ran(&mut both.program(python.to_str().unwrap(), &all), b"");
        (output, tree(&at))
    };
    let (direct, left) = goes(&both.direct);
    assert!(direct.status.success(), "{}", String::from_utf8_lossy(&direct.stderr));
    let (through, also_left) = goes(&both.through);
    assert_alike("the script", &direct, &through);
    assert!(left == also_left, "the files differ");
    eprintln!("{}", String::from_utf8_lossy(&through.stdout));
}

impl Both {
    fn forwarding_files() -> Self {
        let both = Self::granted(&["--only", "exec,pty,files:read,files:write,forward"]);
        both.sgw.accepts_policy(
            "[[forward]]\nid = \"own.self\"\ndecision = \"allow\"\ndirection = \"any\"\n\
             host = [\"localhost\"]\n",
        );
        both
    }
}

#[test]
fn paramiko_does_what_it_does_without_sgw() {
    compares(include_str!("paramiko.py"), |both, config| {
        let way = if config == both.direct { "direct" } else { "through" };
        vec![way.to_owned(), config.display().to_string()]
    });
}

#[test]
fn asyncssh_does_what_it_does_without_sgw() {
    compares(include_str!("asyncssh.py"), |_, config| vec![config.display().to_string()]);
}
