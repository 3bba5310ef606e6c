//! Machines that the operator sets up once, and what is used by name.

mod add;
mod changed;
mod hints;
mod import;
mod log_in;
mod machines;
mod secrets;
mod steps;

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{Destination, Outcome, Sgw, Sshd};

/// `sgw target add NAME DEST …`
fn try_add(sgw: &Sgw, name: &str, destination: &str, with: &[&str]) -> Outcome {
    let mut arguments = vec!["target", "add", name, destination, "--json"];
    arguments.extend(with);
    sgw.operator(arguments)
}

/// With the server's key in the vault, and its host key.
fn add(sgw: &Sgw, name: &str, sshd: &Sshd, with: &[&str]) -> Value {
    sgw.plant_private_key(&sshd.key.path);
    let identity =
        sgw.write_private(&format!("identity-{name}"), fs::read(&sshd.key.path).unwrap());
    let (identity, key) = (identity.display().to_string(), sshd.fingerprint());
    let mut all = vec!["--identity", &identity, "--accept-host-key", &key];
    all.extend(with);
    let added = try_add(sgw, name, &sshd.destination(), &all).ok().json();
    // What is kept needs its file no more.
    fs::remove_file(&identity).unwrap();
    added
}

/// Asks for a target by its name.
fn ask(sgw: &Sgw, name: &str) -> String {
    let ask = ["request", name, "--reason", "a test", "--no-wait", "--new", "--json"];
    sgw.agent(ask).fails(75, "request.pending").waits_on()
}

/// A yes with nothing but the proof.
fn yes(sgw: &Sgw, request: &str) -> Outcome {
    sgw.operator(["approve", request, "--yes", "--json"])
}

fn session(sgw: &Sgw, name: &str) -> String {
    let request = ask(sgw, name);
    yes(sgw, &request).ok();
    sgw.agent(["wait", &request]).ok().stdout().trim().to_owned()
}

fn works(sgw: &Sgw, session: &str) {
    sgw.agent(["exec", session, "--", "echo", "works"]).ok().prints("works\n");
}

fn show(sgw: &Sgw, name: &str) -> Value {
    sgw.operator(["target", "show", name, "--json"]).ok().json()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
