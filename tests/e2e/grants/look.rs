//! What an agent sees of its standing grants, before it does anything.

use super::ready;

#[test]
fn sgw_alone_says_what_may_be_used_without_a_request() {
    let (sgw, _sshd, token) = ready();
    let first = sgw.by(&token, Vec::<&str>::new()).ok().stdout();
    assert!(first.contains("next: sgw request"), "{first}");
    sgw.grant(&["--token", "ci", "--target", "web*"]);
    let first = sgw.by(&token, Vec::<&str>::new()).ok().stdout();
    assert!(first.contains("you may use web1\n"), "{first}");
    assert!(first.ends_with("next: sgw exec web1 -- COMMAND\n"), "{first}");
    let status = sgw.by(&token, ["--json"]).ok().json();
    assert_eq!(status["standing"][0]["name"], "web1", "{status}");
    let said = sgw.agent(["instructions"]).ok().stdout();
    assert!(said.contains("SGW_TOKEN") && said.contains("`sgw whoami` says standing"), "{said}");
}

#[test]
fn what_no_grant_can_open_is_not_called_standing() {
    let (sgw, sshd, token) = ready();
    sgw.operator(["target", "add", "asked1", &sshd.destination()]).ok();
    let words = ["grant", "add", "--token", "ci", "--target", "*"];
    sgw.operator(words).ok().says("no session opens by itself on asked1: what logs in there");
    let me = sgw.by(&token, ["whoami", "--json"]).ok().json();
    assert_eq!(
        (&me["targets"][0]["name"], &me["targets"][0]["standing"]),
        (&"asked1".into(), &false.into())
    );
    assert!(me["targets"][0]["why"].as_str().unwrap().contains("at each approval"), "{me}");
    assert_eq!((&me["targets"][1]["standing"], me["targets"][1].get("why")), (&true.into(), None));
    let first = sgw.by(&token, Vec::<&str>::new()).ok().stdout();
    assert!(!first.contains("asked1"), "{first}");
    sgw.by(&token, ["exec", "asked1", "--", "true"]).fails(77, "target.borrowed");
}
