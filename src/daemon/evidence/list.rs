//! Reading the audit: on opening, for `audit list`, and for `audit verify`.

use std::{collections::HashMap, os::unix::fs::FileExt, sync::Arc};

use jiff::Timestamp;

use super::{
    AuditState, EvidenceError, Found, Written,
    file::{Ledger, Lines, Next, failed},
};
use crate::domain::{
    id::Id,
    record::{Bad, Hash, Keys, Kind, Link, Opened, Tip, Walk, Why},
};

/// The most unfinished execs that opening the audit reports: the newest.
const MAX_UNFINISHED: usize = 1024;

/// Which records to list. The default is all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those after this number.
    pub after: u64,
    pub session: Option<Id>,
    pub request: Option<Id>,
    pub exec: Option<Id>,
    /// As `Kind::as_str` has them; empty: all.
    pub kinds: Vec<&'static str>,
    /// Only those written then or later.
    pub since: Option<Timestamp>,
}

impl Filter {
    fn passes(&self, link: &Link<'_>) -> bool {
        let fits =
            |wanted: &Option<Id>, found: Option<&Id>| wanted.is_none() || wanted.as_ref() == found;
        link.seq() > self.after
            && fits(&self.session, link.session())
            && fits(&self.request, link.request())
            && fits(&self.exec, link.exec())
            && (self.kinds.is_empty() || self.kinds.contains(&link.kind()))
            && self.since.is_none_or(|since| link.at() >= since)
    }
}

/// Records as they are read. A bad one comes as an error in its place, whatever the filter; what
/// follows still comes.
pub struct Listing {
    lines: Lines,
    walk: Walk,
    keys: Arc<Keys>,
    filter: Filter,
    failed: bool,
}

impl Listing {
    pub(super) fn new(written: Written, keys: Arc<Keys>, filter: Filter) -> Self {
        let lines = Lines::new(written.file, 0, written.length);
        Self { lines, walk: Walk::default(), keys, filter, failed: false }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error(transparent)]
    Bad(#[from] Bad),
    #[error("can't read the audit: {0}")]
    Io(#[from] std::io::Error),
}

impl Iterator for Listing {
    type Item = Result<Opened, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Not twice at the same place.
        if self.failed {
            return None;
        }
        loop {
            let line = match self.lines.next() {
                Ok(Next::Line(_, line)) => line,
                Ok(Next::TooLong) => return Some(Err(self.walk.step_over().into())),
                Ok(Next::End) => return None,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error.into()));
                }
            };
            match self.walk.step(&self.keys, line) {
                Ok(link) if self.filter.passes(&link) => {
                    return Some(link.open(&self.keys).map_err(Into::into));
                }
                Ok(_) => {}
                Err(bad) => return Some(Err(bad.into())),
            }
        }
    }
}

/// The result of going along the whole chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub state: AuditState,
    pub records: u64,
    pub tip: Tip,
}

pub(super) fn verify(
    written: Written,
    keys: &Keys,
    anchor: Tip,
) -> Result<Verified, EvidenceError> {
    let mut check = Check::new(anchor);
    let mut lines = Lines::new(written.file, 0, written.length);
    let mut records = 0;
    while check.next(&mut lines, keys, |_, _| records += 1)? {}
    Ok(Verified { state: check.state(), records, tip: check.walk.tip() })
}

/// A walk that looks out for the anchor.
struct Check {
    walk: Walk,
    anchor: Tip,
    anchored: bool,
    /// A record after the anchor says that the chain is broken.
    noted: bool,
}

impl Check {
    fn new(anchor: Tip) -> Self {
        Self { walk: Walk::default(), anchor, anchored: anchor.seq == 0, noted: false }
    }

    /// One line; `seen` gets a good one with its place. False at the end.
    fn next(
        &mut self,
        lines: &mut Lines,
        keys: &Keys,
        seen: impl FnOnce((u64, usize), &Link<'_>),
    ) -> Result<bool, EvidenceError> {
        match lines.next().map_err(failed("read"))? {
            Next::End => return Ok(false),
            Next::TooLong => {
                self.walk.step_over();
            }
            Next::Line(offset, line) => {
                if let Ok(link) = self.walk.step(keys, line) {
                    let here = Tip { seq: link.seq(), hash: link.hash() };
                    self.anchored |= here == self.anchor;
                    self.noted |=
                        link.kind() == Kind::ChainBroken.as_str() && link.seq() > self.anchor.seq;
                    seen((offset, line.len()), &link);
                }
            }
        }
        Ok(true)
    }

    fn state(&self) -> AuditState {
        let last = self.walk.tip().seq;
        match self.walk.first_bad() {
            // New, so it is named before a break that a record already tells of.
            Some(bad) if !self.walk.noted() => AuditState::Broken(bad),
            _ if last < self.anchor.seq => AuditState::Behind { last, anchor: self.anchor.seq },
            Some(bad) => AuditState::Broken(bad),
            None if self.anchored => AuditState::Whole,
            None => AuditState::Broken(Bad { seq: self.anchor.seq, why: Why::Anchor }),
        }
    }

    /// Whether the chain itself tells all that is amiss with it.
    fn all_noted(&self) -> bool {
        self.walk.noted() && (self.anchored || self.noted)
    }
}

/// What opening needs to know of the file.
pub(super) struct Survey {
    pub found: Found,
    /// Nothing is amiss but what a record already says.
    pub noted: bool,
}

pub(super) fn survey(ledger: &Ledger, keys: &Keys, anchor: Tip) -> Result<Survey, EvidenceError> {
    let mut check = Check::new(anchor);
    let mut lines = Lines::new(ledger.file(), 0, ledger.length());
    let mut running = HashMap::<Id, Place>::new();
    let mut revision = None;
    let mut seen = |(offset, length): (u64, usize), link: &Link<'_>| {
        revision = revision.max(link.revision());
        let Some(exec) = link.exec() else { return };
        if link.kind() == Kind::ExecIntent.as_str() {
            let before = link.before();
            running.insert(exec.clone(), Place { seq: link.seq(), offset, length, before });
        } else if link.kind() == Kind::ExecResult.as_str() {
            running.remove(exec);
        }
    };
    while check.next(&mut lines, keys, &mut seen)? {}
    let mut running: Vec<Place> = running.into_values().collect();
    running.sort_unstable_by_key(|place| place.seq);
    let newest = running.len().saturating_sub(MAX_UNFINISHED);
    let mut unfinished = Vec::new();
    for place in &running[newest..] {
        unfinished.extend(place.read(ledger, keys)?);
    }
    let state = check.state();
    let tip = check.walk.tip();
    let noted = check.all_noted();
    Ok(Survey { found: Found { state, tip, torn_bytes: 0, unfinished, revision }, noted })
}

/// Where an intent stands, to be read again when nothing ended it.
struct Place {
    seq: u64,
    offset: u64,
    length: usize,
    before: Hash,
}

impl Place {
    fn read(&self, ledger: &Ledger, keys: &Keys) -> Result<Option<Opened>, EvidenceError> {
        let mut line = vec![0; self.length];
        ledger.file().read_exact_at(&mut line, self.offset).map_err(failed("read"))?;
        let mut walk = Walk::after(Tip { seq: self.seq - 1, hash: self.before });
        Ok(walk.step(keys, &line).ok().and_then(|link| link.open(keys).ok()))
    }
}
