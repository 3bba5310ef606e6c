//! Decides where channels come from: which connection opens another, when a further one is made.
//!
//! Nothing here waits or speaks; [`super::Pool`] carries the orders out.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::{
    Channel, Connection, OpenError, Plan,
    slots::{MAX_SESSIONS, Need},
};
use crate::domain::target::Hop;

/// The most connections to one target.
const CONNECTIONS: usize = 16;
/// Up to here channels get connections of their own before they share one.
const SPREAD: usize = 4;
/// So many of them can be lanes' own.
const OWN: usize = 8;
/// Handshakes at once: sshd drops connections at random from 10 on (sshd_config(5): MaxStartups).
const HANDSHAKES: usize = 3;
/// Where a further connection failed, the next is not tried sooner.
pub(super) const RETRY: Duration = Duration::from_secs(5);

pub(super) struct Supply {
    pub connections: Vec<Arc<Connection>>,
    pub waiting: VecDeque<Waiter>,
    /// Connections being made.
    pub connecting: usize,
    /// How to connect and log in; `None` once closed.
    pub plan: Option<Arc<Plan>>,
    /// What the server last said when it refused a session.
    pub refusal: Option<String>,
    /// Where a person had to answer something to log in.
    pub asked_at: Vec<Hop>,
    /// Channels to have open ahead on each connection.
    ahead: usize,
    /// Channels that one connection takes, as far as we know.
    limit: usize,
    /// Two channels had to share a connection since the last one was made.
    shared: bool,
    /// The last connection that was free became one channel's own since: the next command shall not
    /// wait for a login.
    taken: bool,
    rest_until: Option<Instant>,
    /// The server would not have us again while it had us.
    turned_away: bool,
    /// Connections that are no session's any more, while somebody has them.
    aside: Vec<Weak<Connection>>,
}

/// A connection for somebody's own.
pub(super) enum Aside {
    Warm(Arc<Connection>),
    /// None is idle: one has to be made.
    Connect(Arc<Plan>),
}

pub(super) struct Waiter {
    pub need: Need,
    /// Who has connections of their own.
    pub lane: Option<u64>,
    pub hand: oneshot::Sender<Result<Channel, OpenError>>,
}

pub(super) enum Order {
    /// Open a channel ahead. It is counted already ([`super::slots::Slots::begin`]).
    Open(Arc<Connection>),
    Connect(Arc<Plan>),
}

impl Supply {
    /// Closed, until [`Supply::log_in_by`] says how to log in.
    pub fn new(ahead: usize) -> Self {
        Self {
            connections: Vec::new(),
            waiting: VecDeque::new(),
            connecting: 0,
            plan: None,
            refusal: None,
            asked_at: Vec::new(),
            ahead,
            limit: MAX_SESSIONS,
            shared: false,
            taken: false,
            rest_until: None,
            turned_away: false,
            aside: Vec::new(),
        }
    }

    /// How further connections log in. What a person typed is good for one: where that was needed
    /// there is no other, and what else it took is forgotten.
    pub fn log_in_by(&mut self, plan: Arc<Plan>, asked_at: &[Hop]) {
        self.plan = Some(if asked_at.is_empty() { plan } else { Arc::default() });
        self.asked_at = asked_at.to_vec();
    }

    /// Whether only a person brings a connection back.
    pub fn needs_login(&self) -> bool {
        self.plan.is_some() && self.connections.is_empty() && !self.is_repeatable()
    }

    fn is_repeatable(&self) -> bool {
        self.asked_at.is_empty()
    }

    /// Takes in a connection that was just made.
    pub fn add(&mut self, connection: Arc<Connection>) {
        connection.slots().lower_limit(self.limit);
        self.connections.push(connection);
        (self.shared, self.taken) = (false, false);
        self.turned_away = false;
        self.rest_until = None;
    }

    /// A further connection failed; `for_good` when trying again would change nothing.
    pub fn failed(&mut self, for_good: bool) {
        self.turned_away |= for_good;
        self.rest_until = Some(Instant::now() + RETRY);
    }

    #[cfg(test)]
    pub fn rested(&mut self) {
        self.rest_until = None;
    }

    /// What is lost comes back when somebody needs it, and never by itself.
    pub fn forget_lost(&mut self) {
        self.connections.retain(|connection| !connection.is_lost());
        self.aside.retain(|one| one.upgrade().is_some_and(|connection| !connection.is_lost()));
        if self.connections.is_empty() && self.aside.is_empty() {
            (self.shared, self.taken) = (false, false);
            self.turned_away = false;
            self.rest_until = None;
        }
    }

    /// A limit that one connection has learned holds for all.
    pub fn learn(&mut self) {
        let learned = self.connections.iter().map(|connection| connection.slots().limit()).min();
        self.limit = self.limit.min(learned.unwrap_or(self.limit));
        for connection in &self.connections {
            connection.slots().lower_limit(self.limit);
        }
    }

    /// One that was opened ahead, on an idle connection if there is one, else the least loaded. A lane takes
    /// from its own first, and makes an idle one its own where one can be spared.
    pub fn take(&mut self, lane: Option<u64>) -> Option<Channel> {
        let best = usable_by(&self.connections, lane)
            .filter(|connection| connection.slots().ahead() > 0)
            .min_by_key(|connection| {
                let slots = connection.slots();
                (slots.lane() != lane, slots.active())
            })?;
        let connection = Arc::clone(best);
        let slots = connection.slots();
        if lane.is_some() && slots.lane().is_none() && slots.active() == 0 && self.can_give_one() {
            slots.belongs_to(lane);
            self.taken = usable_by(&self.connections, None).next().is_none();
        }
        self.shared |= slots.active() > 0 && slots.lane().is_none();
        let raw = connection.slots().take()?;
        Some(Channel::new(raw, connection))
    }

    /// Hands what is there to those who wait, in their order.
    pub fn serve(&mut self) {
        self.waiting.retain(|waiter| !waiter.hand.is_closed());
        while !self.waiting.is_empty() {
            let waiting = self.waiting.iter().map(|waiter| waiter.lane).enumerate();
            let waiting: Vec<_> = waiting.collect();
            let found = waiting.into_iter().find_map(|(at, lane)| Some((at, self.take(lane)?)));
            let Some((at, channel)) = found else { return };
            if let Some(waiter) = self.waiting.remove(at) {
                // Given up this very moment: the channel is closed again.
                let _ = waiter.hand.send(Ok(channel));
            }
        }
    }

    /// What was a lane's own is everybody's again.
    pub fn leave(&mut self, lane: u64) {
        for connection in &self.connections {
            if connection.slots().lane() == Some(lane) {
                connection.slots().belongs_to(None);
            }
        }
    }

    /// Whether one more connection may be a lane's own: not where others wait for any.
    fn can_give_one(&self) -> bool {
        let own = self.connections.iter().filter(|one| one.slots().lane().is_some());
        self.is_repeatable() && !self.turned_away && own.count() < OWN && self.waiting.len() <= 1
    }

    /// What is to be done so that those who wait, and those who will come, are served.
    pub fn orders(&mut self) -> Vec<Order> {
        let mut orders = Vec::new();
        let Some(plan) = self.plan.clone() else { return orders };
        let mut coming: Vec<_> = usable(&self.connections)
            .map(|connection| (Arc::clone(connection), connection.slots().opening()))
            .collect();
        let mut missing = 0;
        for Waiter { need, lane, .. } in &self.waiting {
            let theirs = |one: &&mut (Arc<Connection>, usize)| one.1 > 0 && may_use(&one.0, *lane);
            if let Some((_, left)) = coming.iter_mut().find(theirs) {
                *left -= 1;
            } else if let Some(connection) = with_room(&self.connections, *need, *lane) {
                connection.slots().begin();
                orders.push(Order::Open(connection));
            } else {
                missing += 1;
            }
        }
        let each = self.limit.saturating_sub(1).max(1);
        while self.may_connect() && self.wants_connection(missing, each) {
            self.connecting += 1;
            (self.shared, self.taken) = (false, false);
            orders.push(Order::Connect(Arc::clone(&plan)));
        }
        for connection in usable(&self.connections) {
            let slots = connection.slots();
            while slots.ahead() + slots.opening() < self.ahead && slots.has_room(Need::Work) {
                slots.begin();
                orders.push(Order::Open(Arc::clone(connection)));
            }
        }
        orders
    }

    fn wants_connection(&self, missing: usize, each: usize) -> bool {
        if self.connecting > 0 {
            return self.connecting * each < missing;
        }
        let common = self.connections.iter().filter(|one| one.slots().lane().is_none());
        missing > 0 || self.taken || (self.shared && common.count() < SPREAD)
    }

    fn may_connect(&self) -> bool {
        let resting = self.rest_until.is_some_and(|until| Instant::now() < until);
        self.is_repeatable()
            && !resting
            && !self.turned_away
            && self.connecting < HANDSHAKES
            && self.count() + self.connecting < CONNECTIONS
    }

    /// Why nobody can be served any more, if so.
    pub fn dead_end(&self) -> Option<OpenError> {
        if self.plan.is_none() {
            return Some(OpenError::Closed);
        }
        let over = self.connections.is_empty() && self.connecting == 0 && !self.may_connect();
        over.then_some(OpenError::Lost)
    }

    /// Whether this connection can be spared for a channel that is not read.
    pub fn can_spare(&self, connection: &Connection) -> bool {
        let is_spared =
            |one: &&Arc<Connection>| one.slots().is_secluded() || one.slots().lane().is_some();
        let room = self.connections.iter().filter(is_spared).count() + 1 < CONNECTIONS;
        self.is_repeatable() && !self.turned_away && (room || connection.slots().lane().is_some())
    }

    /// How many there are, set aside or not.
    pub fn count(&self) -> usize {
        self.connections.len() + self.aside.len()
    }

    /// Takes out an idle one for somebody's own.
    pub fn set_aside(&mut self) -> Result<Aside, OpenError> {
        let Some(plan) = self.plan.clone() else { return Err(OpenError::Closed) };
        if !self.is_repeatable() {
            return Err(OpenError::Alone);
        }
        let idle = |connection: &Arc<Connection>| {
            !connection.is_lost()
                && !connection.slots().is_secluded()
                && connection.slots().is_idle()
                && connection.slots().lane().is_none()
        };
        let Some(place) = self.connections.iter().position(idle) else {
            return match self.count() + self.connecting < CONNECTIONS {
                true => Ok(Aside::Connect(plan)),
                false => Err(OpenError::Busy(Duration::ZERO)),
            };
        };
        let connection = self.connections.remove(place);
        self.put_aside(&connection);
        // The next command shall not wait for a login.
        self.taken = usable(&self.connections).next().is_none();
        Ok(Aside::Warm(connection))
    }

    pub fn put_aside(&mut self, connection: &Arc<Connection>) {
        for raw in connection.slots().set_aside() {
            // Dropped, it is closed.
            drop(Channel::new(raw, connection.clone()));
        }
        self.aside.push(Arc::downgrade(connection));
    }

    pub fn take_aside(&mut self) -> Vec<Arc<Connection>> {
        self.aside.drain(..).filter_map(|one| one.upgrade()).collect()
    }

    /// A connection is one channel's own from now on.
    pub fn seclude(&mut self, connection: &Connection) {
        connection.slots().seclude();
        self.taken = usable_by(&self.connections, None).next().is_none();
    }

    /// Takes out the connections that nobody used for so long. One that can be used always stays.
    pub fn surplus(&mut self, idle_for: Duration) -> Vec<Arc<Connection>> {
        let mut surplus = Vec::new();
        loop {
            let mut all = self.connections.iter().enumerate().rev();
            let idle = all.find(|(_, connection)| connection.slots().idle_for() > idle_for);
            let Some((place, connection)) = idle else { return surplus };
            let rest = usable_by(&self.connections, None);
            let rest = rest.filter(|one| !Arc::ptr_eq(one, connection));
            if rest.count() == 0 {
                return surplus;
            }
            surplus.push(self.connections.remove(place));
        }
    }
}

fn usable(connections: &[Arc<Connection>]) -> impl Iterator<Item = &Arc<Connection>> {
    connections
        .iter()
        .filter(|connection| !connection.is_lost() && !connection.slots().is_secluded())
}

/// Those that are everybody's, and a lane's own.
fn usable_by(
    connections: &[Arc<Connection>],
    lane: Option<u64>,
) -> impl Iterator<Item = &Arc<Connection>> {
    usable(connections).filter(move |connection| may_use(connection, lane))
}

fn may_use(connection: &Connection, lane: Option<u64>) -> bool {
    let whose = connection.slots().lane();
    whose.is_none() || whose == lane
}

fn with_room(
    connections: &[Arc<Connection>],
    need: Need,
    lane: Option<u64>,
) -> Option<Arc<Connection>> {
    usable_by(connections, lane)
        .filter(|connection| connection.slots().has_room(need))
        .min_by_key(|connection| {
            let slots = connection.slots();
            (slots.lane() != lane, slots.active() + slots.opening())
        })
        .cloned()
}
