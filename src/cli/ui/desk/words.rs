//! The desk's sentences.

use crate::{
    cli::views,
    domain::escape::{exact, visible},
    protocol::{
        error::Failure,
        view::{Kind, Request, RequestStatus},
    },
};

use super::state::Desk;

pub const TOO_SOON: &str = "it was only just marked: if you mean it, once more";
pub const TOO_SMALL: &str = "the terminal is too small to decide here: 80x24 shows all";
pub const NOT_SHOWN: &str = "it is not shown yet: a moment";
pub const NOT_READ: &str = "there is more of it than you see: b shows all bytes, then decide";
pub const NO_SESSION: &str = "there is no session yet to look at; Tab goes to those that are open";
pub const GONE: &str = "the daemon has ended";

/// A request waits no longer, and not because of this desk.
pub fn over(request: &Request, by: Option<&str>) -> String {
    let id = exact(request.id.as_bytes(), 20);
    let who = by.map_or(String::new(), |by| format!(" by {}", visible(by, 60)));
    match request.status {
        RequestStatus::Approved | RequestStatus::Used if request.kind == Kind::Handoff => {
            format!("{id}: the keyboard was given back{who}")
        }
        RequestStatus::Approved | RequestStatus::Used => format!("{id} was approved{who}"),
        RequestStatus::Denied => format!("{id} was denied{who}"),
        RequestStatus::Expired => format!("{id} has expired: nothing was decided"),
        RequestStatus::Withdrawn => format!("{id} was taken back{who}"),
        RequestStatus::Pending => String::new(),
    }
}

/// A yes-key for something else.
pub fn other_kind(meant: Kind, is: Kind) -> String {
    let about =
        |kind| Desk::yes_key(kind).map_or(String::new(), |(key, what)| format!("{key}: {what}"));
    let (article, name) = match is {
        Kind::Access => ("an", "access request"),
        _ => ("a", views::kind(is)),
    };
    format!(
        "{} is for {}; this is {article} {name}; {}",
        key_of(meant),
        views::kind(meant),
        about(is)
    )
}

fn key_of(kind: Kind) -> char {
    Desk::yes_key(kind).map_or(' ', |(key, _)| key)
}

/// A failure on one line.
pub fn failure(failure: &Failure) -> String {
    visible(&format!("{}: {}", failure.code, failure.message), 400)
}
