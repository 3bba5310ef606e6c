//! `sgw show t-…` and `sgw show g-…`: everything for the operator, and what is theirs for agents.

use super::*;

#[test]
fn a_token_and_a_grant_are_shown_to_whom_they_are_given_and_to_the_operator() {
    let (sgw, _sshd, token) = ready();
    let other = sgw.token("other", &[]);
    sgw.operator(["target", "add", "web1", "me@web1"]).ok();
    let grant = sgw.grant(&["--token", "ci", "--target", "web1", "--max-commands", "7"]);
    let shown = sgw.operator(["token", "show", "ci", "--json"]).ok().json();
    let sees = |id: &str| sgw.operator(["show", "--all", id, "--json"]).ok().json();
    assert_eq!(sees(&token.id), shown);
    let listed = sgw.operator(["grant", "list", "--json"]).ok().json();
    assert_eq!(sees(&grant), listed["grants"][0]);
    let told = sgw.operator(["show", "--all", &grant]).ok().stdout();
    assert!(told.contains("web1") && told.contains('7'), "{told}");

    // Its own, and the start of an id is enough.
    let own = sgw.by(&token, ["show", &token.id, "--json"]).ok().json();
    assert_eq!((&own["name"], &own["grants"][0]), (&"ci".into(), &grant.as_str().into()));
    assert!(own.get("hash").is_none() && own.get("token").is_none(), "{own}");
    let own = sgw.by(&token, ["show", &grant[..grant.len() - 1], "--json"]).ok().json();
    assert_eq!((&own["id"], &own["max_commands"]), (&grant.as_str().into(), &7.into()));
    // Another's is as one that is not there.
    for (id, code) in [(&token.id, "token.unknown"), (&grant, "grant.unknown")] {
        sgw.by(&other, ["show", id]).fails(1, code);
        sgw.agent(["show", id]).fails(1, code);
        sgw.agent(["show", "--all", id]).fails(77, "operator.proof");
    }
    sgw.operator(["show", "--all", "t-zzz"]).fails(1, "token.unknown");
    sgw.agent(["show", "j-234"]).fails(2, "usage.id");
}
