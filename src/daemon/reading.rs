//! `output`: a page of what a command or a terminal printed, as lines with cursors, as bytes, or as a
//! screen.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use regex::{Regex, RegexBuilder};
use tokio::sync::Semaphore;

use super::{
    door::{Outbox, Room},
    session::{
        Session,
        exec::Exec,
        keyboard::{self, Keyboard},
        output::{HISTORY_HEAD, HISTORY_TAIL, Stream},
        pty::Pty,
        spool::SpoolError,
    },
};
use crate::{
    domain::transcript::{self, Transcript, Want},
    protocol::{
        agent,
        error::{Code, Failure},
        frame::{Frame, Kind, MAX_CHUNK},
        view::{self, Control, OutputStatus},
    },
};

/// What a compiled pattern may take, in bytes.
const PATTERN: usize = 256 * 1024;
/// How long a pattern may be looked for in one page.
const SEARCH: Duration = Duration::from_secs(2);
/// How often a follower looks for more.
const LOOK: Duration = Duration::from_millis(50);

/// A page goes through all that is kept, ten megabytes at most: one at a time, so that however many
/// are asked for, the daemon answers others.
static TURN: Semaphore = Semaphore::const_new(1);
/// A pattern may take all of a processor: one at a time, and never where others are answered.
static SEARCHES: Semaphore = Semaphore::const_new(1);

/// Reads a page of what a command printed; bytes go out as frames before it.
///
/// # Errors
/// The kept output is gone or unreadable; the pattern is none.
pub async fn read_exec(
    exec: &Exec,
    asked: &agent::Output,
    outbox: &Outbox,
    number: u32,
) -> Result<(view::Output, Room), Failure> {
    if asked.screen {
        return Err(Failure::new(
            Code::UsageArguments,
            "a command has no screen",
            "--screen is for a session's terminal; leave it out",
        ));
    }
    let grep = asked.grep.as_deref().map(pattern).transpose()?;
    let last = || if asked.new { exec.read_to(None) } else { 0 };
    let since = asked.since.unwrap_or_else(last);
    let mut looked_at = None;
    loop {
        // Nothing new: what was printed needs not be read again to know that.
        let printed = [Stream::Stdout, Stream::Stderr].map(|stream| exec.output.printed(stream));
        if exec.is_running() && looked_at == Some(printed) {
            tokio::time::sleep(LOOK).await;
            continue;
        }
        looked_at = Some(printed);
        // Before reading, so that an end that comes meanwhile is seen the next time.
        let running = exec.is_running();
        if exec.output.history_gone() {
            return Err(gone("its kept output was let go, for age or for room").about(&exec.id));
        }
        let room = outbox.room().await;
        let page = if asked.raw {
            raw(exec, since, outbox, &room, number).await?
        } else {
            lines(exec, since, asked, grep.as_ref()).await?
        };
        if asked.follow && running && page.cursor <= since {
            drop(room);
            tokio::time::sleep(LOOK).await;
            continue;
        }
        if asked.new {
            exec.read_to(Some(page.cursor));
        }
        return Ok((shown(exec.id.to_string(), page, control(&exec.keyboard), running), room));
    }
}

/// Reads a page of what a session's terminal showed; bytes go out as frames before it.
///
/// # Errors
/// The pattern is none; it was to be waited for, and the operator has the keyboard.
pub async fn read_pty(
    session: &Session,
    pty: &Pty,
    asked: &agent::Output,
    outbox: &Outbox,
    number: u32,
) -> Result<(view::Output, Room), Failure> {
    let grep = asked.grep.as_deref().map(pattern).transpose()?;
    let last = || if asked.new { pty.read_to() } else { 0 };
    let since = asked.since.unwrap_or_else(last);
    let mut changes = pty.changes();
    loop {
        changes.borrow_and_update();
        // Before reading, so that an end that comes meanwhile is seen the next time.
        let running = !pty.has_ended();
        let room = outbox.room().await;
        let page = if asked.screen {
            screen(pty)
        } else if asked.raw {
            raw_pty(pty, since, outbox, &room, number).await?
        } else {
            match &grep {
                None => self::page(pty, since, want(asked)).await?,
                Some(grep) => {
                    let _search = SEARCHES.acquire().await;
                    search(pty.transcript(), since, want(asked), grep.clone()).await?
                }
            }
        };
        if asked.follow && running && !asked.screen && page.cursor <= since {
            drop(room);
            tokio::select! {
                biased;
                () = session.keyboard.taken() => {
                    return Err(keyboard::taken(&session.id));
                }
                // Its end is a change too.
                _ = changes.changed() => continue,
            }
        }
        if asked.new && !asked.screen {
            pty.has_read(since, page.cursor);
        }
        return Ok((of_pty(session, page, running), room));
    }
}

/// What a session's terminal showed, as its owner is told.
pub fn of_pty(session: &Session, page: impl Into<Page>, running: bool) -> view::Output {
    shown(session.id.to_string(), page.into(), control(&session.keyboard), running)
}

fn control(keyboard: &Keyboard) -> Control {
    match keyboard.control().is_agents() {
        true => Control::Agent,
        false => Control::Operator,
    }
}

fn shown(id: String, page: Page, control: Control, running: bool) -> view::Output {
    view::Output {
        id,
        kind: view::Kind::Output,
        lines: page.lines,
        cursor: page.cursor,
        oldest: page.oldest,
        missed: page.missed,
        partial: page.partial,
        more: page.more,
        control,
        status: if running { OutputStatus::Running } else { OutputStatus::Ended },
    }
}

/// A terminal's lines as a person sees them now.
fn screen(pty: &Pty) -> Page {
    let cursor = pty.end();
    Page {
        lines: pty.screen_lines(),
        cursor,
        oldest: cursor,
        missed: 0,
        partial: false,
        more: false,
    }
}

/// A terminal's lines from `since` on. They are made from a copy, beside the terminal and whoever
/// looks at it.
///
/// # Errors
/// They could not be made.
pub async fn page(pty: &Pty, since: u64, want: Want) -> Result<Page, Failure> {
    let _turn = TURN.acquire().await;
    let transcript = pty.transcript();
    let reading = tokio::task::spawn_blocking(move || transcript.read(since, want, |_| true));
    Ok(reading.await.map_err(|_panic| gone("its output could not be read"))?.into())
}

async fn raw_pty(
    pty: &Pty,
    since: u64,
    outbox: &Outbox,
    room: &Room,
    number: u32,
) -> Result<Page, Failure> {
    let (begin, bytes) = pty.raw(since);
    let mut cursor = begin;
    for chunk in bytes.chunks(MAX_CHUNK) {
        let frame = Frame::output(Kind::Stdout, number, cursor, chunk);
        outbox.send_in(room, frame).await.map_err(|_| gone("the caller is gone"))?;
        cursor += chunk.len() as u64;
    }
    let missed = begin.saturating_sub(since);
    Ok(Page { lines: Vec::new(), cursor, oldest: begin, missed, partial: false, more: false })
}

fn want(asked: &agent::Output) -> Want {
    let count = |lines: u64| usize::try_from(lines).unwrap_or(usize::MAX);
    match (asked.limit, asked.tail) {
        (_, Some(last)) => Want::Last(count(last)),
        (Some(first), None) => Want::First(count(first)),
        (None, None) => Want::First(usize::MAX),
    }
}

/// A page without what only one kind of output has.
pub struct Page {
    lines: Vec<String>,
    cursor: u64,
    oldest: u64,
    missed: u64,
    partial: bool,
    more: bool,
}

impl Page {
    pub fn cursor(&self) -> u64 {
        self.cursor
    }
}

impl From<transcript::Page> for Page {
    fn from(page: transcript::Page) -> Self {
        Self {
            lines: page.lines.into_iter().map(|line| line.text).collect(),
            cursor: page.cursor,
            oldest: page.oldest,
            missed: page.missed,
            partial: page.partial,
            more: page.more,
        }
    }
}

async fn lines(
    exec: &Exec,
    since: u64,
    asked: &agent::Output,
    grep: Option<&Regex>,
) -> Result<Page, Failure> {
    // They never close. Whoever searches has all it needs before others wait for it.
    let _turn = match grep {
        Some(_) => SEARCHES.acquire().await,
        None => TURN.acquire().await,
    };
    let running = exec.is_running();
    let cap = HISTORY_HEAD + HISTORY_TAIL + (1 << 20);
    let mut transcript = Transcript::new(usize::try_from(cap).unwrap_or(usize::MAX));
    let from = line_start(exec, since).await?;
    transcript.gap(from);
    let mut history = exec.output.history(from);
    while let Some(piece) = history.next().await.map_err(unreadable)? {
        transcript.gap(piece.position.saturating_sub(transcript.cursor()));
        transcript.push(&piece.bytes);
    }
    if !running {
        transcript.end();
    }
    let page = match grep {
        None => transcript.read(since, want(asked), |_| true).into(),
        Some(grep) => search(transcript, since, want(asked), grep.clone()).await?,
    };
    // The beginning of what a command printed is kept.
    Ok(Page { oldest: 0, ..page })
}

/// Lines with the pattern, looked for on a thread of its own.
async fn search(
    transcript: Transcript,
    since: u64,
    want: Want,
    grep: Regex,
) -> Result<Page, Failure> {
    let searching = tokio::task::spawn_blocking(move || {
        let over = Instant::now() + SEARCH;
        let late = Cell::new(false);
        let page = transcript.read(since, want, |line| {
            late.set(late.get() || Instant::now() >= over);
            !late.get() && grep.is_match(line)
        });
        (!late.get()).then_some(page)
    });
    let found = searching.await.map_err(|_panic| gone("its output could not be searched"))?;
    found.map(Page::from).ok_or_else(|| {
        Failure::new(
            Code::InputRegex,
            "the pattern takes too long",
            "give a simpler one, without large repetitions; or search fewer lines: --since, --tail",
        )
    })
}

/// The cursor, where a line begins there: then nothing before it needs to be read. Else the beginning.
async fn line_start(exec: &Exec, cursor: u64) -> Result<u64, Failure> {
    let Some(before) = cursor.checked_sub(1) else { return Ok(0) };
    let piece = exec.output.history(before).next().await.map_err(unreadable)?;
    let begins =
        piece.is_some_and(|piece| piece.position == before && piece.bytes.first() == Some(&b'\n'));
    Ok(if begins { cursor } else { 0 })
}

async fn raw(
    exec: &Exec,
    since: u64,
    outbox: &Outbox,
    room: &Room,
    number: u32,
) -> Result<Page, Failure> {
    let mut history = exec.output.history(since);
    let (mut cursor, mut missed) = (since, 0);
    while let Some(piece) = history.next().await.map_err(unreadable)? {
        missed += piece.position.saturating_sub(cursor);
        cursor = piece.position;
        let kind = match piece.stream {
            Stream::Stdout => Kind::Stdout,
            Stream::Stderr => Kind::Stderr,
        };
        for chunk in piece.bytes.chunks(MAX_CHUNK) {
            let frame = Frame::output(kind, number, cursor, chunk);
            outbox.send_in(room, frame).await.map_err(|_| gone("the caller is gone"))?;
            cursor += chunk.len() as u64;
        }
    }
    Ok(Page { lines: Vec::new(), cursor, oldest: 0, missed, partial: false, more: false })
}

/// Linear in time (the regex crate), bounded in size.
pub fn pattern(text: &str) -> Result<Regex, Failure> {
    RegexBuilder::new(text).size_limit(PATTERN).dfa_size_limit(PATTERN * 4).build().map_err(|error| {
        Failure::new(
            Code::InputRegex,
            format!("the pattern can't be used: {}", last_line(&error)),
            "see https://docs.rs/regex/#syntax; backreferences and look-around are not part of it",
        )
    })
}

/// The regex crate draws the pattern with a mark below it; what is wrong stands in the last line.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

fn unreadable(error: SpoolError) -> Failure {
    gone(&format!("its kept output can't be read: {error}"))
}

fn gone(what: &str) -> Failure {
    Failure::new(Code::OutputGone, what, "run the command again if you need its output")
}
