//! The desk's sentences.

use crate::{
    cli::views,
    domain::escape::{exact, visible},
    protocol::{
        error::{Code, Failure},
        operator::Event,
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
pub const BURST: &str = "those keys came faster than a person types: none of them counts";
pub const NOT_YOURS: &str = "the agent has that keyboard already";

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

/// What to tell where this event ends the wait for a decision on `id` that is being made here. That
/// it was approved is the answer to it.
pub fn ends(event: &Event, id: &str) -> Option<String> {
    let Event::Request { request, by } = event else { return None };
    let over = matches!(
        request.status,
        RequestStatus::Denied | RequestStatus::Expired | RequestStatus::Withdrawn
    );
    (request.id == id && over).then(|| self::over(request, by.as_deref()))
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

/// A failure on one line, as a person reads it: codes are for scripts, which have no desk.
pub fn failure(failure: &Failure) -> String {
    let message = visible(&failure.message, 400);
    match failure.code {
        Code::ControlOperator => format!("{message}; {}", visible(&failure.hint, 200)),
        _ => message,
    }
}

/// What plain tells of a failure: the next line in plain's own words, where it has one.
pub fn plain(failure: &Failure) -> String {
    let next = match failure.hint.as_str() {
        "list" | "sgw requests" => "`list` shows what waits".to_owned(),
        "sessions" | "sgw sessions --all" => "`sessions` shows what is open".to_owned(),
        hint if hint.is_empty() || hint.contains("sgw ") => String::new(),
        hint => visible(hint, 200),
    };
    match next.as_str() {
        "" => self::failure(failure),
        next => format!("{}; {next}", visible(&failure.message, 400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_sentences_and_the_words_of_the_desk() {
        let closed = Failure::new(Code::RequestClosed, "another terminal decides", "sgw requests");
        assert_eq!(failure(&closed), "another terminal decides");
        assert_eq!(plain(&closed), "another terminal decides; `list` shows what waits");
        let other = Failure::new(Code::TargetAuth, "it refused", "sgw approve r-7k3");
        assert_eq!(plain(&other), "it refused");
        let own = Failure::new(Code::TargetConfig, "it is odd", "change that line");
        assert_eq!(plain(&own), "it is odd; change that line");
    }
}
