//! What is said of operations on files, by sgw's own rules and by an operator's.

use super::*;
use crate::domain::guard::policy::check_apart;

fn path(text: &str) -> Canonical {
    Canonical::new(text.as_bytes()).unwrap()
}

fn said_by(policy: &Policy, mode: grant::Mode, act: &Act<'_>) -> Verdict {
    let home = path("/home/bob");
    let today = Some(jiff::civil::date(2027, 1, 30));
    let context = Context { target: Some("web1"), today, ..Context::default() };
    judge(act, &Place { context, mode, home: &home }, policy)
}

fn said(act: &Act<'_>) -> (Decision, Option<String>) {
    let verdict = said_by(&Policy::built_in(), grant::Mode::Guarded, act);
    (verdict.decision, verdict.rule)
}

fn own(text: &str) -> Policy {
    let policy = Policy::built_in().over_anew(&format!("version = 1\n{text}")).unwrap();
    assert_eq!(check_apart(&policy), [], "the examples hold");
    policy
}

#[test]
fn each_name_of_an_operation_is_judged() {
    let (safe, shadow) = (path("/srv/x"), path("/etc/shadow"));
    let block = |rule: &str| (Decision::Block, Some(rule.to_owned()));
    for (from, to) in [(&shadow, &safe), (&safe, &shadow)] {
        let (decision, _) = said(&Act::Rename { from, to, directory: Some(false) });
        assert_eq!(decision, Decision::Block, "rename {from:?} {to:?}");
        for act in [
            Act::Symlink { link: from, target: to },
            Act::Hardlink { file: from, link: to },
            Act::Copy { from, to, size: None },
        ] {
            assert_eq!(said(&act).0, Decision::Block, "{act:?}");
        }
    }
    assert_eq!(said(&Act::Read { path: &shadow, size: None }), block("files.auth-read"));
    assert_eq!(said(&Act::Copy { from: &safe, to: &safe, size: None }), (Decision::Allow, None));
    // The name that decided is told.
    let verdict = said_by(
        &Policy::built_in(),
        grant::Mode::Guarded,
        &Act::Rename { from: &safe, to: &shadow, directory: Some(false) },
    );
    assert_eq!(verdict.path.unwrap().as_slice(), b"/etc/shadow");
}

#[test]
fn a_directory_is_not_renamed_away_from_what_a_rule_names_in_it() {
    let policy = own("[[file]]\nid = \"own.x\"\ndecision = \"block\"\ndirection = \"read\"\n\
        path = [\"/srv/app/config/key\"]\nmatch = [\"rename /srv/app /srv/b\", \"rename /srv/app/config /srv/b\"]\n\
        no_match = [\"rename /srv/other /srv/b\", \"rename /srv/app/src /srv/b\"]");
    let (app, other) = (path("/srv/app"), path("/srv/b"));
    let rename = |directory| Act::Rename { from: &app, to: &other, directory };
    let decision = |directory| said_by(&policy, grant::Mode::Guarded, &rename(directory)).decision;
    assert_eq!(decision(Some(true)), Decision::Block);
    assert_eq!(
        decision(None),
        Decision::Block,
        "what is not known to be a file may be a directory"
    );
    assert_eq!(decision(Some(false)), Decision::Allow);
    // Nor is one renamed to where a rule names what is in it.
    let onto = Act::Rename { from: &other, to: &path("/srv/p/.git"), directory: Some(true) };
    assert_eq!(said(&onto).1.as_deref(), Some("files.start-file"));
}

#[test]
fn modes_ask_more_and_blocks_hold() {
    let (safe, shadow) = (path("/srv/x"), path("/etc/shadow"));
    let policy = Policy::built_in();
    let rule = |mode, act: &Act<'_>| said_by(&policy, mode, act).rule;
    let read = Act::Read { path: &safe, size: None };
    let write = Act::Write { path: &safe, size: None, mode: None };
    use grant::Mode::{Each, Guarded, Read};
    assert_eq!((rule(Guarded, &read), rule(Guarded, &write)), (None, None));
    assert_eq!((rule(Read, &read), rule(Read, &Act::List { path: &safe })), (None, None));
    assert_eq!(rule(Read, &write).as_deref(), Some(READ_ONLY));
    let removed = said_by(&policy, Read, &Act::Remove { path: &path("/tmp/x/y") });
    assert_eq!(removed.rule.as_deref(), Some(READ_ONLY));
    for act in [&read, &write, &Act::Look { path: &safe }] {
        assert_eq!(rule(Each, act).as_deref(), Some(EACH));
    }
    for mode in [Guarded, Read, Each] {
        let verdict = said_by(&policy, mode, &Act::Read { path: &shadow, size: None });
        assert_eq!(verdict.decision, Decision::Block);
    }
    // A target's mode counts where the session's is weaker.
    let policy = own("[target.\"web*\"]\nmode = \"read\"");
    assert_eq!(said_by(&policy, Guarded, &write).rule.as_deref(), Some(READ_ONLY));
}

#[test]
fn a_size_bounds_what_is_allowed_and_what_passes() {
    let policy = own("[defaults]\nunmatched = \"approve\"\n\
        [[file]]\nid = \"own.up\"\ndecision = \"allow\"\ndirection = \"write\"\npath = [\"/srv/up/**\"]\nmax_size = \"1k\"\n\
        match = [\"write /srv/up/x\"]\nno_match = [\"read /srv/up/x\", \"write /srv/x\"]\n\
        [[file]]\nid = \"own.huge\"\ndecision = \"block\"\npath = [\"/srv/**\"]\nmax_size = 2048\n\
        no_match = [\"write /srv/up/x\"]");
    let up = path("/srv/up/x");
    let of = |size| {
        let act = Act::Write { path: &up, size, mode: None };
        let verdict = said_by(&policy, grant::Mode::Guarded, &act);
        (verdict.decision, verdict.rule.unwrap_or_default(), verdict.up_to)
    };
    assert_eq!(of(Some(1024)), (Decision::Allow, String::new(), Some(1024)));
    assert_eq!(of(Some(1025)), (Decision::Approve, UNMATCHED.into(), Some(2048)));
    assert_eq!(of(Some(2049)), (Decision::Block, "own.huge".into(), None));
    // What nobody knows yet is judged again where it comes to that.
    assert_eq!(of(None), (Decision::Allow, String::new(), Some(1024)));
}

#[test]
fn on_an_allow_list_each_name_must_be_allowed_as_it_is() {
    let policy = own("[target.\"web*\"]\nunmatched = \"approve\"\n\
        [[file]]\nid = \"own.a\"\ndecision = \"allow\"\npath = [\"/srv/a/**\", \"!/srv/a/secret/**\"]\ntarget = [\"web*\"]\n\
        match = [\"read /srv/a/x\", \"rename /srv/a/x /srv/a/y\"]\n\
        no_match = [\"read /srv/A/x\", \"rename /srv/a/x /srv/b\", \"rename /srv/b /srv/a/x\", \"read /srv/a/secret/x\", \"read /srv/a/SECRET/x\", \"rename /srv/a /srv/a/b\"]");
    let a = path("/srv/a/x");
    let read = Act::Read { path: &a, size: None };
    assert_eq!(said_by(&policy, grant::Mode::Guarded, &read).decision, Decision::Allow);
    // An allow outranks nothing.
    let key = path("/srv/a/id_rsa");
    let act = Act::Read { path: &key, size: None };
    assert_eq!(said_by(&policy, grant::Mode::Guarded, &act).decision, Decision::Block);
}

#[test]
fn an_allow_lifts_one_approval_for_an_operation_and_its_names() {
    let allow = |argv: &str| {
        own(&format!("[[allow]]\nrule = \"files.remove\"\nargv = {argv}\nexpires = \"2027-01-31\""))
    };
    let policy = allow("[\"remove\", \"/srv/cache/*\"]");
    let rule = |policy: &Policy, act: &Act<'_>| said_by(policy, grant::Mode::Guarded, act).rule;
    let (cache, other) = (path("/srv/cache/x"), path("/srv/x"));
    assert_eq!(rule(&policy, &Act::Remove { path: &cache }), None);
    assert!(rule(&policy, &Act::RemoveTree { path: &cache }).is_some());
    assert!(rule(&policy, &Act::Remove { path: &other }).is_some());
    let odd = Canonical::new(b"/srv/cache/\xff").unwrap();
    assert!(rule(&policy, &Act::Remove { path: &odd }).is_some(), "no text, no allow");
    assert!(rule(&policy, &Act::Remove { path: &path("/srv/cache/a\nb") }).is_some());
    let block = "version = 1\n[[allow]]\nrule = \"files.auth-read\"\nargv = [\"read\", \"/etc/shadow\"]\nexpires = \"2027-01-31\"";
    let error = Policy::built_in().over_anew(block).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "line 3, column 8: files.auth-read blocks, and no [[allow]] lifts a block");
}

#[test]
fn where_the_server_does_not_say_a_person_is_asked() {
    let home = path("/home/bob");
    let place = Place { context: Context::default(), mode: grant::Mode::Guarded, home: &home };
    let lax = own("[defaults]\nopaque = \"allow\"");
    let verdict = unresolved(b"../x", &place, &lax);
    assert_eq!((verdict.decision, verdict.rule.as_deref()), (Decision::Approve, Some(OPAQUE)));
    let strict = own("[defaults]\nopaque = \"block\"");
    assert_eq!(unresolved(b"../x", &place, &strict).decision, Decision::Block);
}

#[test]
fn what_is_wrong_with_a_file_rule_is_told_with_its_place() {
    let error = |rule: &str| {
        let text = format!("version = 1\n[[file]]\n{rule}");
        Policy::built_in().over(&text).map(|_| ()).unwrap_err().to_string()
    };
    let of = |rest: &str| error(&format!("id = \"own.x\"\ndecision = \"block\"\n{rest}"));
    assert!(of("").starts_with("line 3, column 6: own.x has no path"));
    assert!(of("path = [\"srv/x\"]").starts_with("line 5, column 9: \"srv/x\" begins with none"));
    assert!(of("path = [\"@never\"]").starts_with("line 5, column 10: rule own.x names @never"));
    assert!(of("pth = []").starts_with("line 5, column 1: unknown field `pth`"));
    let size = of("path = [\"/x\"]\nmax_size = \"10 big\"");
    assert!(size.starts_with("line 6, column 12: ") && size.contains("is no size"), "{size}");
    let example = of("path = [\"/x\"]\nmatch = [\"eat /x\"]");
    assert!(example.starts_with("line 6, column 10: an example is"), "{example}");
    assert!(of("path = [\"/x\"]\nmatch = [\"rename /x\"]").contains("an example is"));
    let taken = error("id = \"fs.rm\"\ndecision = \"block\"\npath = [\"/x\"]");
    assert_eq!(taken, "line 3, column 6: fs.rm is a [[rule]] already");
    let near = error("id = \"files.sistem\"\ndecision = \"block\"");
    assert!(near.contains("did you mean files.system?"), "{near}");
    // One that is there takes another verdict.
    let policy = own("[[file]]\nid = \"files.system\"\ndecision = \"block\"");
    let act = Act::Write { path: &path("/etc/hosts"), size: None, mode: None };
    assert_eq!(said_by(&policy, grant::Mode::Guarded, &act).decision, Decision::Block);
}

#[test]
fn names_that_are_no_text_are_judged_too() {
    let odd = Canonical::new(b"/srv/\xff/.env").unwrap();
    assert_eq!(said(&Act::Read { path: &odd, size: None }).1.as_deref(), Some("files.secret"));
    let mark = Canonical::new("/srv/\u{fdd0}/id_rsa".as_bytes()).unwrap();
    assert_eq!(said(&Act::Read { path: &mark, size: None }).0, Decision::Block);
}
