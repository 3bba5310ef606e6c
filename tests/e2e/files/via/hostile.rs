//! A server that answers for sgw's program what that never does.

use std::os::unix::fs::PermissionsExt;

use super::{There, by_exec, fs};
use crate::support::Sshd;

/// Says of every file that it has five bytes, and sends many more.
const LIAR: &str = r#"#!/bin/bash
read -r program; read -r nonce; read -r root
printf '\0%s\0' "$nonce"
read -r verb
case $verb in
  resolve) read -r many; read -r count; read -r how; read -r path; printf '%s\0' /root "=$path" ;;
  stat) printf '%s\0' ok '81a4 5 0 0 1700000000 1:1' '' ;;
  read) printf '%s\0' ok '81a4 5 0 0 1700000000 1:1'; head -c 100000000 /dev/zero ;;
esac
"#;

#[test]
fn more_than_was_asked_for_is_not_kept() {
    let directory = tempfile::Builder::new().prefix("liar").tempdir_in("/tmp").unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let liar = directory.path().join("liar");
    fs::write(&liar, LIAR).unwrap();
    fs::set_permissions(&liar, fs::Permissions::from_mode(0o755)).unwrap();
    let sshd = Sshd::with().line(&format!("ForceCommand {}", liar.display())).start();
    let there = There::on(sshd, &["--mode", "each"]);
    let refused = there.fed("write", &by_exec(&["--no-wait", "/srv/file"]), b"new");
    let said = refused.fails(1, "files.failed").stderr();
    assert!(said.contains("more bytes than were asked for"), "{said}");
}
