//! What an import brings holds at once, and what it replaces is over at once.

use serde_json::json;

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

#[test]
fn whom_an_import_gives_authority_is_shown_before_the_yes_and_on_record() {
    let sgw = Sgw::unlocked();
    let bare = file(&sgw, "bare");
    sgw.token("ci", &[]);
    sgw.operator(["config", "set", "require_token", "true"]).ok();
    let grant = sgw.grant(&["--uid", "1011", "--target", "*"]);
    let whole = file(&sgw, "whole");
    let import = |words: &[&str]| {
        let all = ["vault", "import", "--vault-passphrase"].into_iter();
        sgw.operator(all.chain(words.iter().copied()))
    };
    let line = format!("grant uid:1011 -> * ({grant})");
    let gone = import(&[&bare, "--replace", "--yes", "--json"]).ok().json();
    assert_eq!(gone["went"], serde_json::json!(["token ci", line]), "{gone}");
    let record = sgw.recorded("vault.imported").pop().unwrap();
    let changes = record["action"]["changes"].as_array().unwrap();
    let of = |what: &str| changes.iter().find(|one| one["what"] == what).unwrap();
    assert_eq!(of("grant")["before"]["holder"]["uid"], 1011, "{record}");
    assert_eq!((&of("grant")["id"], &of("grant")["after"]), (&grant.as_str().into(), &json!(null)));
    assert_eq!(of("token")["before"]["name"], "ci", "{record}");
    assert!(of("token")["before"].get("hash").is_none(), "{record}");
    assert_eq!(of("settings")["after"]["require_token"], false, "{record}");

    // A person sees it, and says no: nothing came.
    let mut person = sgw.terminal(["vault", "import", &whole, "--vault-passphrase"]);
    person.wait_for("assphrase");
    person.send(&format!("{PASSPHRASE}\r"));
    let screen = person.wait_for("Take it in");
    assert!(screen.contains("comes in: token ci") && screen.contains(&line), "{screen}");
    person.send("n");
    person.waits_for_end();
    let grants = sgw.operator(["grant", "list", "--json"]).ok().json();
    assert_eq!(grants["grants"], json!([]));
    assert_eq!(sgw.recorded("vault.imported").len(), 1, "a look is on record");

    let came = import(&[&whole]).ok().stdout();
    assert!(came.contains("comes in: token ci") && came.contains(&line), "{came}");
}

#[test]
fn an_import_that_failed_is_told_from_one_that_did_not() {
    let sgw = Sgw::unlocked();
    sgw.token("ci", &[]);
    let whole = file(&sgw, "whole");
    sgw.operator(["token", "rotate", "ci"]).ok();
    let refused = sgw.operator(["vault", "import", &whole, "--vault-passphrase", "--json"]);
    let code = refused.error_code().expect("what is here is other");
    let list = sgw.operator(["audit", "list"]).ok().stdout();
    let told = list.lines().filter(|line| line.contains("vault.imported"));
    assert!(told.clone().all(|line| line.contains(&format!("outcome {code}"))), "{list}");
    assert_eq!(told.count(), 1, "{list}");
}
