//! A daemon's page is bounded; who asks for what was printed wants all of it.

use crate::{
    client::{Connection, Error},
    protocol::{agent, view},
};

/// The most of one JSON object, in bytes of lines.
const OBJECT: usize = 8 * 1024 * 1024;
/// The most that is read of what goes on printing, maybe faster than it is read.
const RUNNING: usize = 64 * 1024 * 1024;
/// What a line costs beside its text.
const LINE_COST: usize = 32;

/// Reads on behind a full page until there is no more, within `asked`'s limit. `show` is given each
/// page, the first too, and the last is returned; without it all are joined into one. What is returned
/// says `more` where a bound was reached.
///
/// # Errors
/// As the first page's.
pub async fn all(
    connection: &mut Connection,
    mut asked: agent::Output,
    first: view::Output,
    mut show: Option<&mut dyn FnMut(&view::Output)>,
) -> Result<view::Output, Error> {
    let mut page = first;
    let (mut joined, mut cost): (Option<view::Output>, usize) = (None, 0);
    loop {
        cost += page.lines.iter().map(|line| line.len() + LINE_COST).sum::<usize>();
        asked.limit = asked.limit.map(|limit| limit.saturating_sub(page.lines.len() as u64));
        asked.since = Some(page.cursor);
        let most = match (&show, page.status) {
            (None, _) => OBJECT,
            (Some(_), view::OutputStatus::Running) => RUNNING,
            (Some(_), view::OutputStatus::Ended) => usize::MAX,
        };
        let on = page.more && asked.limit != Some(0) && cost < most;
        match &mut show {
            Some(show) => show(&page),
            None => page = join(joined.take(), page),
        }
        if !on {
            return Ok(page);
        }
        let next: view::Output = connection.call(&agent::Request::Output(asked.clone())).await?;
        // A page that leads nowhere is the last.
        let next = view::Output { more: next.more && next.cursor > page.cursor, ..next };
        joined = Some(std::mem::replace(&mut page, next));
    }
}

fn join(before: Option<view::Output>, mut page: view::Output) -> view::Output {
    if let Some(mut before) = before {
        before.lines.append(&mut page.lines);
        page = view::Output { lines: before.lines, missed: before.missed + page.missed, ..page };
    }
    page
}
