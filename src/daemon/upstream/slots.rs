//! The session channels of one connection: which are open, in use, or waiting to be used.
//!
//! A server counts all of them against its `MaxSessions` (sshd_config(5): 10). The counts are fed
//! from inside russh's loop, in the order of the wire, so that a refusal tells the true limit.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use russh::{Channel, ChannelId, client::Msg};
use tokio::{sync::Notify, time::Instant};

/// OpenSSH's default for `MaxSessions`: where we start, and never go beyond.
pub(super) const MAX_SESSIONS: usize = 10;
/// A channel that we closed can hold its place on the server until its process ends, and we are not
/// told. A refusal in this time teaches nothing.
const DOUBT: Duration = Duration::from_secs(10);
/// sshd frees the place of a closed channel only after it has read what arrived with the close.
const CLOSING: Duration = Duration::from_millis(200);
/// After a refusal that taught nothing the connection is not asked again for this long; after each
/// further one twice as long, up to the longest.
const REST: Duration = Duration::from_millis(20);
const LONGEST_REST: Duration = Duration::from_secs(2);

pub(super) struct Slots {
    state: Mutex<State>,
    /// Notified whenever room or a channel may have become free.
    pub changed: Notify,
    /// Notified when the server has answered an open. The task that asked can be woken before our
    /// handler has heard of it: it waits for this.
    answered: Notify,
}

struct State {
    /// Confirmed by the server, and not closed by either side.
    open: HashSet<ChannelId>,
    /// Those of `open` that were handed out.
    active: HashSet<ChannelId>,
    /// Those of `open` that nobody has used yet.
    ahead: VecDeque<Channel<Msg>>,
    /// Asked for, not answered yet.
    opening: usize,
    /// Answers that nobody has fetched yet.
    confirmed: HashSet<ChannelId>,
    refusals: VecDeque<Refusal>,
    /// Places that the server may not have freed yet, and until when to assume it.
    doubtful: Vec<Instant>,
    limit: usize,
    rest_until: Instant,
    next_rest: Duration,
    secluded: bool,
    /// Whose it is, where it is somebody's own.
    lane: Option<u64>,
    /// It is no session's any more: what is opened on it is counted by nobody.
    aside: bool,
    idle_since: Instant,
}

/// What a channel is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Work,
    /// To end processes: may take the last place of a connection, which work leaves free.
    Ending,
}

/// How a refused open is to be understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The connection is full; it is known now, or will be asked again later.
    Full,
    /// Nothing of ours is open there: the server opens no sessions at all. Its words.
    Never(String),
}

impl Slots {
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State {
                open: HashSet::new(),
                active: HashSet::new(),
                ahead: VecDeque::new(),
                opening: 0,
                confirmed: HashSet::new(),
                refusals: VecDeque::new(),
                doubtful: Vec::new(),
                limit: MAX_SESSIONS,
                rest_until: Instant::now(),
                next_rest: REST,
                secluded: false,
                lane: None,
                aside: false,
                idle_since: Instant::now(),
            }),
            changed: Notify::new(),
            answered: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What russh's loop reports, and what asks it.

    /// An open request is about to be sent.
    pub fn begin(&self) {
        self.lock().opening += 1;
    }

    pub fn confirmed(&self, id: ChannelId) {
        let mut state = self.lock();
        if state.aside {
            return;
        }
        state.opening = state.opening.saturating_sub(1);
        state.open.insert(id);
        state.confirmed.insert(id);
        state.next_rest = REST;
        drop(state);
        self.answered.notify_waiters();
    }

    pub fn refused(&self, words: String) {
        let mut state = self.lock();
        if state.aside {
            state.refusals.push_back(Refusal::Never(words));
            drop(state);
            self.answered.notify_waiters();
            return;
        }
        state.opening = state.opening.saturating_sub(1);
        state.prune();
        let refusal = match (state.open.len(), state.doubtful.len()) {
            (0, 0) => Refusal::Never(words),
            (open, 0) => {
                state.limit = open;
                Refusal::Full
            }
            _ => Refusal::Full,
        };
        if state.limit != state.open.len() {
            state.rest_until = Instant::now() + state.next_rest;
            state.next_rest = (state.next_rest * 2).min(LONGEST_REST);
        }
        state.refusals.push_back(refusal);
        drop(state);
        self.answered.notify_waiters();
    }

    /// The server closed it.
    pub fn closed(&self, id: ChannelId) {
        let mut state = self.lock();
        if state.open.remove(&id) {
            state.ahead.retain(|channel| channel.id() != id);
            state.leave(id, CLOSING);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// We close it; `running` when a process behind it may still hold its place.
    pub fn abandoned(&self, id: ChannelId, running: bool) {
        let mut state = self.lock();
        if state.open.remove(&id) {
            state.leave(id, if running { DOUBT } else { CLOSING });
            drop(state);
            self.changed.notify_one();
        }
    }

    // What whoever opens channels, and the pool, asks.

    /// A channel was opened; it waits here to be taken.
    pub async fn arrived(&self, channel: Channel<Msg>) {
        loop {
            let answered = self.answered.notified();
            {
                let mut state = self.lock();
                if state.confirmed.remove(&channel.id()) {
                    if state.open.contains(&channel.id()) {
                        state.ahead.push_back(channel);
                    }
                    return;
                }
            }
            answered.await;
        }
    }

    /// How one refusal is to be understood.
    pub async fn refusal(&self) -> Refusal {
        loop {
            let answered = self.answered.notified();
            if let Some(refusal) = self.lock().refusals.pop_front() {
                return refusal;
            }
            answered.await;
        }
    }

    pub fn take(&self) -> Option<Channel<Msg>> {
        let mut state = self.lock();
        if state.secluded {
            return None;
        }
        let channel = state.ahead.pop_front()?;
        state.active.insert(channel.id());
        Some(channel)
    }

    /// Whether another channel can be asked for.
    pub fn has_room(&self, need: Need) -> bool {
        let state = self.lock();
        let limit = match need {
            Need::Ending => state.limit,
            Need::Work => state.limit.saturating_sub(1).max(1),
        };
        let used = state.open.len() + state.opening;
        !state.secluded && state.rest_until <= Instant::now() && used < limit
    }

    /// When it may be asked again.
    pub fn rested(&self) -> Instant {
        self.lock().rest_until
    }

    pub fn ahead(&self) -> usize {
        self.lock().ahead.len()
    }

    pub fn opening(&self) -> usize {
        self.lock().opening
    }

    pub fn active(&self) -> usize {
        self.lock().active.len()
    }

    pub fn limit(&self) -> usize {
        self.lock().limit
    }

    /// What another connection to the same server taught.
    pub fn lower_limit(&self, limit: usize) {
        let mut state = self.lock();
        state.limit = state.limit.min(limit);
    }

    pub fn idle_for(&self) -> Duration {
        let state = self.lock();
        if state.active.is_empty() && state.opening == 0 {
            state.idle_since.elapsed()
        } else {
            Duration::ZERO
        }
    }

    // What a reader asks.

    pub fn is_open(&self, id: ChannelId) -> bool {
        self.lock().open.contains(&id)
    }

    /// Whether holding up this channel holds up nobody else.
    pub fn is_alone(&self, id: ChannelId) -> bool {
        let state = self.lock();
        state.opening == 0 && state.active.iter().all(|other| *other == id)
    }

    /// Whether nothing is done there, and nothing was asked for.
    pub fn is_idle(&self) -> bool {
        let state = self.lock();
        state.active.is_empty() && state.opening == 0
    }

    /// Takes an idle one out of what sessions use, with the channels that were opened ahead.
    pub fn set_aside(&self) -> Vec<Channel<Msg>> {
        let mut state = self.lock();
        (state.aside, state.secluded) = (true, true);
        state.ahead.drain(..).collect()
    }

    /// Nothing new comes here until the last channel has ended.
    pub fn seclude(&self) {
        self.lock().secluded = true;
    }

    /// Whose own it is.
    pub fn lane(&self) -> Option<u64> {
        self.lock().lane
    }

    pub fn belongs_to(&self, lane: Option<u64>) {
        self.lock().lane = lane;
    }

    pub fn is_secluded(&self) -> bool {
        self.lock().secluded
    }
}

impl State {
    fn leave(&mut self, id: ChannelId, doubt: Duration) {
        self.active.remove(&id);
        self.prune();
        self.doubtful.push(Instant::now() + doubt);
        if self.active.is_empty() {
            self.secluded = false;
            self.idle_since = Instant::now();
        }
    }

    fn prune(&mut self) {
        let now = Instant::now();
        self.doubtful.retain(|until| *until > now);
    }
}
