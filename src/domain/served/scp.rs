//! scp's server side, as `scp -O` and other old clients start it: `scp [-r] [-p] [-d] [-v] -t|-f PATH`.

use super::{Kind, Named, Program, Served, Word, git::path};
use crate::domain::bytes::Bytes;

/// What stands behind the program's name.
pub fn read(rest: &[Word]) -> Option<Served> {
    let mut argv = vec![Bytes(b"scp".to_vec())];
    let (mut tree, mut way) = (false, None);
    let mut words = rest.iter().peekable();
    while let Some(word) = words.next_if(|word| word.bytes.starts_with(b"-")) {
        let flags = word.plain()?;
        argv.push(Bytes(flags.to_vec()));
        match flags {
            b"--" => break,
            b"-r" => tree = true,
            b"-p" | b"-d" | b"-v" | b"-q" => {}
            b"-t" | b"-f" if way.is_none() => way = Some(flags == b"-t"),
            _ => return None,
        }
    }
    let changes = way?;
    let path = path(words.next()?)?;
    let above = path.ends_with(b"/..") || path == b"..";
    if words.next().is_some() || above && !changes {
        return None;
    }
    let slash = path.ends_with(b"/");
    let inside = slash || path.ends_with(b"/.") || path == b"." || path == b"~";
    let kind = match changes {
        true => Kind::Into { slash },
        false if inside => Kind::Content,
        false => Kind::Itself,
    };
    let paths = vec![Named { path: Bytes(path), kind }];
    Some(Served { program: Program::Scp, argv, paths, changes, removes: false, tree })
}
