//! Values that are used by name: they go in, and never out again.

use super::*;

#[test]
fn a_value_goes_in_and_never_out() {
    let sgw = Sgw::unlocked();
    let value = "canary-glpat-Xk2p9QzR7vWm";
    sgw.plant(value.as_bytes());
    let file = text(&sgw.write_private("value", value));
    let add =
        ["secret", "add", "registry", "--value-file", &file, "--about", "the Registry", "--json"];
    let added = sgw.operator(add).ok().json();
    assert_eq!((&added["kind"], &added["name"]), (&"secret".into(), &"registry".into()));
    sgw.operator(add).fails(1, "secret.exists");
    let other = "canary-another-value-altogether";
    sgw.plant(other.as_bytes());
    let other = text(&sgw.write_private("other", other));
    let replace = ["secret", "add", "registry", "--value-file", &other, "--replace", "--json"];
    assert_eq!(sgw.operator(replace).ok().json()["about"], "the Registry");
    for list in [&["secret", "list", "--json"][..], &["secret", "search", "REGIS", "--json"]] {
        let secrets = sgw.operator(list).ok().json()["secrets"].clone();
        assert_eq!(secrets.as_array().unwrap().len(), 1);
        assert_eq!(secrets[0]["name"], "registry");
    }
    let none = sgw.operator(["secret", "search", "database", "--json"]).ok().json();
    assert_eq!(none["secrets"], serde_json::json!([]));
    sgw.operator(["secret", "list"]).ok();
    sgw.operator(["audit", "list", "--json"]).ok();
    sgw.operator(["secret", "rm", "registry"]).ok();
    sgw.operator(["secret", "rm", "registry", "--json"]).fails(1, "secret.unknown");
}

#[test]
fn what_can_be_guessed_is_not_used_by_name() {
    let sgw = Sgw::unlocked();
    for (value, says) in [("elevenbytes", "shorter than 12 bytes"), ("password12345", "common")] {
        let file = text(&sgw.write_private("value", value));
        let add = ["secret", "add", "weak", "--value-file", &file, "--json"];
        let refused = sgw.operator(add).fails(2, "secret.weak");
        assert!(refused.stdout().contains(says), "{refused:?}");
    }
    let list = sgw.operator(["secret", "list", "--json"]).ok().json();
    assert_eq!(list["secrets"], serde_json::json!([]));
    let file = text(&sgw.write_private("value", "violet-tundra-plover-value"));
    let long = "x".repeat(64);
    for name in ["Upper", "x-like-an-id", &long, ""] {
        let add = ["secret", "add", "--value-file", &file, "--json", "--", name];
        sgw.operator(add).fails(2, "usage.name");
    }
}

#[test]
fn a_value_is_asked_for_and_not_shown() {
    let sgw = Sgw::unlocked();
    let value = "canary-typed-at-the-terminal";
    sgw.plant(value.as_bytes());
    let proof = text(&sgw.passphrase_file());
    let mut terminal = sgw.terminal(["secret", "add", "typed", "--passphrase-file", &proof]);
    terminal.wait_for("Value of typed");
    terminal.send(&format!("{value}\r"));
    // A slip would be found out only when it is used.
    terminal.wait_for("The same again");
    terminal.send("something else that was typed\r");
    terminal.wait_for("The two differ");
    for prompt in ["(?s)differ.*Value of typed", "(?s)differ.*The same again"] {
        terminal.wait_for(prompt);
        terminal.send(&format!("{value}\r"));
    }
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains(value), "{screen}");
    let missing = sgw.operator(["secret", "add", "other", "--json"]);
    missing.fails(77, "operator.proof");
}

#[test]
fn none_of_it_can_be_asked_for_without_proof() {
    let sgw = Sgw::unlocked();
    for arguments in [
        &["target", "list"][..],
        &["target", "show", "web1"],
        &["target", "add", "web1", "me@web1"],
        &["target", "rm", "web1"],
        &["target", "test", "web1"],
        &["secret", "list"],
        &["secret", "rm", "x"],
    ] {
        let arguments = [arguments, &["--json", "--i-am-the-operator"]].concat();
        sgw.agent(arguments).fails(77, "operator.proof");
    }
}
