//! What an import brings holds at once, and what it replaces is over at once.

use super::*;

fn file(sgw: &Sgw, name: &str) -> String {
    let file = sgw.path(name).display().to_string();
    sgw.operator(["vault", "export", &file, "--vault-passphrase"]).ok();
    file
}

#[test]
fn tokens_and_grants_hold_as_soon_as_they_came_in_and_end_when_they_are_replaced() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let bare = file(&sgw, "bare");
    sgw.target("web1", &sshd);
    let token = sgw.token("ci", &[]);
    let grant = sgw.grant(&["--token", "ci", "--target", "web1"]);
    let whole = file(&sgw, "whole");
    let mut works = sgw.start_by(&token, ["exec", "web1", "--", "sh", "-c", "echo up; sleep 600"]);
    works.prints("up");
    // Taken in again, what is the same goes on.
    sgw.operator(["vault", "import", &whole, "--vault-passphrase"]).ok();
    sgw.by(&token, ["exec", "web1", "--", "echo", "on"]).ok().prints("on\n");

    sgw.operator(["vault", "import", &bare, "--replace", "--yes", "--vault-passphrase"]).ok();
    let ended = works.ends();
    assert_ne!(ended.code(), 0, "{ended:?}");
    sgw.by(&token, ["whoami"]).fails(77, "token.invalid");
    let grants = sgw.operator(["grant", "list", "--json"]).ok().json();
    assert_eq!(grants["grants"], serde_json::json!([]));

    sgw.operator(["vault", "import", &whole, "--vault-passphrase"]).ok();
    sgw.by(&token, ["exec", "web1", "--", "echo", "again"]).ok().prints("again\n");
    let grants = sgw.operator(["grant", "list", "--json"]).ok().json();
    assert_eq!(grants["grants"][0]["id"], grant.as_str());
}
