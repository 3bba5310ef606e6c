//! Where a symbolic link will lead, as far as its words say: what is left to say is the server's.

use crate::domain::guard::files::Canonical;

/// Its words alone, as who reads them takes them: `..` undoes the name before it.
pub fn lexical(link: &[u8], target: &[u8]) -> Option<Canonical> {
    let mut names = Vec::new();
    for name in walked(link, target).split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        match name {
            b".." => _ = names.pop(),
            name => names.push(name.to_vec()),
        }
    }
    Canonical::new(&absolute(names.iter().map(Vec::as_slice)))
}

/// The path that the server walks. The link's directory is free of links, so that `..` at the beginning is undone
/// here; `..` after a name is not, since that may be a link.
pub fn walked(link: &[u8], target: &[u8]) -> Vec<u8> {
    let mut names: Vec<&[u8]> = match target.starts_with(b"/") {
        true => Vec::new(),
        false => {
            let above = link.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            link[..above].split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect()
        }
    };
    let mut own = true;
    for name in target.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if own => _ = names.pop(),
            name => {
                own = false;
                names.push(name);
            }
        }
    }
    absolute(names.into_iter())
}

/// Whether only the server knows.
pub fn climbs(walked: &[u8]) -> bool {
    walked.split(|byte| *byte == b'/').any(|name| name == b"..")
}

fn absolute<'n>(names: impl Iterator<Item = &'n [u8]>) -> Vec<u8> {
    let path = names.fold(Vec::new(), |path, name| [path.as_slice(), b"/", name].concat());
    if path.is_empty() { b"/".to_vec() } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_name_is_for_the_server_to_say() {
        let way = |link: &str, target: &str| {
            String::from_utf8(walked(link.as_bytes(), target.as_bytes())).unwrap()
        };
        assert_eq!(way("/srv/x/l", "y"), "/srv/x/y");
        assert_eq!(way("/srv/x/l", "../.././y/"), "/y");
        assert_eq!(way("/srv/x/l", "../../../.."), "/");
        assert_eq!(way("/srv/x/l", "/var/run/../etc"), "/var/run/../etc");
        assert_eq!(way("/srv/x/l", "../a/../b"), "/srv/a/../b");
        assert!(climbs(b"/a/../b") && !climbs(b"/a/..b"));
        let said = lexical(b"/srv/x/l", b"/var/run/../../etc/./shadow").unwrap();
        assert_eq!(said.as_bytes(), b"/etc/shadow");
    }
}
