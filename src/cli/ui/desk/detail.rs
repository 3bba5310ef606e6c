//! The marked request in the middle of the desk: all that is decided on, and how much of it is cut.

use super::{
    state::{Desk, Now},
    view::{Drawn, Look, clipped},
};
use crate::{
    cli::{
        approval::{Row, folded},
        times,
    },
    domain::escape::exact,
};

/// What stands before a row's text.
const MARGIN: usize = 11;

/// As much as there is room for; a cut is told.
pub fn lines(desk: &Desk, now: Now, columns: usize, room: usize) -> Vec<Drawn> {
    let Some(request) = desk.marked() else {
        let text = "  Requests of agents come here as they ask. Nothing is decided by itself.";
        return vec![Drawn::new(text, Look::Dim)];
    };
    let head = format!(
        "on {}, asked {}, expires {}",
        exact(request.target.as_bytes(), 60),
        times::between(request.created_at, now.at),
        times::between(request.expires_at, now.at),
    );
    let mut lines = vec![Drawn::new(clipped(&format!("  {head}"), columns), Look::Plain)];
    let rest = room.saturating_sub(1);
    match &desk.shown {
        None => lines.push(Drawn::new("  …", Look::Dim)),
        Some(shown) => {
            if let Some(why) = &shown.failed {
                lines.push(Drawn::new(format!("  it can't be given: {why}"), Look::Strong));
            }
            let mut all = laid_out(&shown.rows, columns);
            let in_all = laid_out(&shown.whole, columns).len();
            // Cut for the room here, or for the length of a text.
            if all.len() > rest || shown.rows != shown.whole {
                all.truncate(rest.saturating_sub(1));
                let cut = in_all.saturating_sub(all.len());
                all.push(Drawn::new(format!("  … {cut} more lines: b shows all"), Look::Strong));
            }
            lines.extend(all);
        }
    }
    lines
}

/// Whether nothing of the marked request is cut.
pub fn is_whole(desk: &Desk, columns: usize, room: usize) -> bool {
    let Some(shown) = &desk.shown else { return false };
    shown.rows == shown.whole && laid_out(&shown.rows, columns).len() < room
}

/// All bytes of the marked request.
pub fn whole(desk: &Desk, columns: usize) -> Vec<Drawn> {
    desk.shown.as_ref().map_or(Vec::new(), |shown| laid_out(&shown.whole, columns))
}

/// A page of all bytes.
pub fn all(desk: &Desk, columns: usize, room: usize, from: usize) -> Vec<Drawn> {
    whole(desk, columns).into_iter().skip(from).take(room).collect()
}

/// Each row under its name, its text in a column of its own: no word from outside begins a line.
fn laid_out(rows: &[Row], columns: usize) -> Vec<Drawn> {
    let room = columns.saturating_sub(MARGIN).max(20);
    let mut lines = Vec::new();
    for row in rows {
        let look = if row.strong { Look::Strong } else { Look::Plain };
        for (at, text) in folded(&row.text, room).into_iter().enumerate() {
            let name = if at == 0 { row.name } else { "" };
            lines.push(Drawn::new(format!("  {name:<8} {text}"), look));
        }
    }
    lines
}
