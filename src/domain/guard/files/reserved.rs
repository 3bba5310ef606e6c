//! Names that are sgw's own: what it writes stands under one of them until it is whole, and is what a person said
//! yes to only as long as nobody else gives that name to something.
//!
//! It holds for what goes through sgw by names. A command that is run there, and what a program of the server's
//! does beneath a directory, is no matter of names: there the content is read back before it gets its place.

use super::{Act, Canonical, fold};

/// The rule by which they are refused, in every mode and by every policy.
pub const RESERVED: &str = "files.reserved";
/// … and why.
pub const WHY: &str = "sgw keeps what it has not written to its end under such a name";

/// The first name of an act that only sgw itself may give, take or write. Looking, reading and removing are free:
/// what is not there is put nowhere.
pub fn reserved<'a>(act: &Act<'a>) -> Option<&'a Canonical> {
    let paths = match *act {
        Act::Look { .. }
        | Act::List { .. }
        | Act::Read { .. }
        | Act::ReadTree { .. }
        | Act::Remove { .. }
        | Act::RemoveDirectory { .. }
        | Act::RemoveTree { .. } => return None,
        Act::Copy { to, .. } => [Some(to), None],
        _ => {
            let (path, other) = act.paths();
            [Some(path), other]
        }
    };
    paths.into_iter().flatten().find(|path| is_reserved(path))
}

fn is_reserved(path: &Canonical) -> bool {
    let text = path.text();
    let text = fold(&text);
    let name = text.rsplit('/').next().unwrap_or_default();
    let of = |what| name.contains(what);
    name.starts_with('.') && (name.ends_with(".sgw-part") || of(".sgw-new-") || of(".sgw-old-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::guard::files::*;

    fn path(text: &str) -> Canonical {
        Canonical::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn only_sgw_gives_or_takes_the_names_of_what_it_has_not_written_to_its_end() {
        let plain = path("/srv/x");
        for own in [
            "/srv/..bashrc.sgw-part",
            "/srv/.x.sgw-new-0011223344556677",
            "/srv/.x.sgw-old-0011223344556677",
            "/srv/.X.SGW-Part",
        ] {
            let own = path(own);
            for word in Act::WORDS {
                let free = ["look", "list", "read", "read-tree", "remove", "rmdir", "remove-tree"];
                let acts = [
                    Act::named(word, &own, None),
                    Act::named(word, &own, Some(&plain)).filter(|_| word != "copy"),
                    Act::named(word, &plain, Some(&own)),
                ];
                for act in acts.into_iter().flatten() {
                    assert_eq!(reserved(&act).is_some(), !free.contains(&word), "{act:?}");
                    assert!(free.contains(&word) || blocked(&act), "{act:?}");
                }
            }
        }
        for other in ["/srv/x.sgw-part", "/srv/.x.sgw-party", "/srv/.sgw/x", "/srv/.x.sgw-newer"] {
            let other = path(other);
            assert_eq!(reserved(&Act::named("write", &other, None).unwrap()), None, "{other:?}");
        }
    }

    fn blocked(act: &Act<'_>) -> bool {
        let home = path("/home/me");
        let place = Place { context: Context::default(), mode: grant::Mode::Guarded, home: &home };
        let said = judge(act, &place, &Policy::built_in());
        said.decision == Decision::Block
            && said.findings.iter().any(|finding| finding.rule == RESERVED)
    }
}
