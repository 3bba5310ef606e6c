//! The warm connections of one session: hands out channels, grows before it must, ends in order.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Channel, ConnectError, ConnectFault, Connection, HostKeyJudge, Lane, Look, OpenError, Plan,
    Reader, RemoteEnd, Step, Writer, connect,
    connection::NoChannel,
    end, look,
    slots::{Need, Refusal},
    supply::{Aside, Order, RETRY, Supply, Waiter},
};
use crate::domain::{target::Hop, terminal::Wanted};

/// How long an open waits for a place.
const PLACE: Duration = Duration::from_secs(30);
/// A connection that leaves an open unanswered this long gets no more of them.
const ANSWER: Duration = Duration::from_secs(10);
/// How often a connection is tried that the server drops before it spoke, and how long to wait
/// before the second try; each further wait is twice as long.
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// How many dead channels in a row are passed over.
const STALE: usize = 5;
/// An extra connection that nobody used for this long is given back.
const IDLE: Duration = Duration::from_secs(60);
/// How often connections are looked through for idle ones.
const ROUND: Duration = Duration::from_secs(20);

pub struct PoolOptions {
    /// Channels to keep open ahead on each connection: 1 to 4 save a round trip per exec.
    pub ahead: usize,
}

/// All connections of one session to its target.
///
/// A channel is handed out within a round trip as a rule, and without any where one was opened
/// ahead. Where all connections are lost, the next [`Pool::open`] connects again, once. After
/// [`Pool::close`] the credentials are gone from memory, whoever still holds the pool.
pub struct Pool {
    me: Weak<Pool>,
    judge: Arc<dyn HostKeyJudge>,
    supply: Mutex<Supply>,
    count: watch::Sender<usize>,
    closed: CancellationToken,
}

impl Pool {
    /// `judge` decides without a person, by what is pinned. Where a person had to answer for `first`,
    /// it stays the only connection. Needs a tokio runtime.
    pub fn new(
        plan: Arc<Plan>,
        judge: Arc<dyn HostKeyJudge>,
        first: Connection,
        options: PoolOptions,
    ) -> Arc<Self> {
        let mut supply = Supply::new(options.ahead);
        supply.log_in_by(plan, first.asked_at());
        let pool = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            judge,
            supply: Mutex::new(supply),
            count: watch::Sender::new(1),
            closed: CancellationToken::new(),
        });
        let mut supply = pool.lock();
        pool.add(&mut supply, first);
        pool.carry_on(&mut supply);
        drop(supply);
        tokio::spawn(give_back_idle(Weak::clone(&pool.me)));
        pool
    }

    /// A session channel for one exec.
    #[cfg(test)]
    pub async fn open(&self) -> Result<Channel, OpenError> {
        self.obtain(Need::Work, None).await
    }

    /// Connections of somebody's own, from the warm ones.
    pub fn lane(&self) -> Lane {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Lane::new(Weak::clone(&self.me), NEXT.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn leave(&self, lane: u64) {
        let mut supply = self.lock();
        supply.leave(lane);
        self.carry_on(&mut supply);
    }

    /// Opens a channel and sends the request to run `command`, without waiting for the answer;
    /// takes another channel where one turns out to have died before. On an error nothing was sent.
    pub async fn exec(&self, command: &[u8]) -> Result<(Reader, Writer), OpenError> {
        self.exec_by(None, command).await
    }

    pub(super) async fn exec_by(
        &self,
        lane: Option<u64>,
        command: &[u8],
    ) -> Result<(Reader, Writer), OpenError> {
        for _ in 0..STALE {
            if let Ok(ends) = self.obtain(Need::Work, lane).await?.exec(command).await {
                return Ok(ends);
            }
        }
        Err(OpenError::Lost)
    }

    /// As [`Pool::exec`], with a terminal, on a connection that it has for itself where the pool can
    /// spare one: what floods a terminal holds nobody up.
    pub async fn terminal(
        &self,
        wanted: &Wanted,
        command: &[u8],
    ) -> Result<(Reader, Writer), OpenError> {
        self.terminal_by(None, wanted, command).await
    }

    pub(super) async fn terminal_by(
        &self,
        lane: Option<u64>,
        wanted: &Wanted,
        command: &[u8],
    ) -> Result<(Reader, Writer), OpenError> {
        for _ in 0..STALE {
            let channel = self.obtain(Need::Work, lane).await?;
            if let Ok((reader, writer)) = channel.terminal(wanted, command).await {
                reader.seclude();
                return Ok((reader, writer));
            }
        }
        Err(OpenError::Lost)
    }

    /// As [`Pool::terminal`], for a subsystem of the server's.
    pub async fn subsystem(&self, name: &str) -> Result<(Reader, Writer), OpenError> {
        self.subsystem_by(None, name).await
    }

    pub(super) async fn subsystem_by(
        &self,
        lane: Option<u64>,
        name: &str,
    ) -> Result<(Reader, Writer), OpenError> {
        for _ in 0..STALE {
            let channel = self.obtain(Need::Work, lane).await?;
            if let Ok((reader, writer)) = channel.subsystem(name).await {
                reader.seclude();
                return Ok((reader, writer));
            }
        }
        Err(OpenError::Lost)
    }

    /// Sends a signal to what has the keyboard of the terminal that the marker's processes are on.
    /// False where nobody could look, or nothing may be signalled.
    pub async fn signal_foreground(&self, marker: &str, signal: &str) -> bool {
        end::signal_foreground(self, marker, signal).await
    }

    /// What has the keyboard of the terminal that the marker's processes are on; `None` where nobody
    /// could look.
    pub async fn look(&self, marker: &str) -> Option<Look> {
        look::look(self, marker).await
    }

    /// Ends every process on the target that carries one of the markers (`SGW_EXEC=` in its
    /// environment or command line), and the sessions that such a process leads. Takes six seconds
    /// at most. Keep reading the channels meanwhile: this one may share a connection with them.
    pub async fn end_processes(&self, markers: &[String]) -> RemoteEnd {
        end::end_processes(self, markers).await
    }

    /// Whether no connection is left, and none can be made without a person.
    pub fn needs_login(&self) -> bool {
        let mut supply = self.lock();
        supply.forget_lost();
        supply.needs_login()
    }

    /// The machines at which a person had to answer something when it was last logged in.
    pub fn asked_at(&self) -> Vec<Hop> {
        self.lock().asked_at.clone()
    }

    /// Goes on with a new connection, and with `plan` for further ones where its login can be
    /// repeated. A pool that was closed gives the connection back.
    pub fn renew(&self, plan: Arc<Plan>, first: Connection) -> Result<(), Box<Connection>> {
        let mut supply = self.lock();
        if supply.plan.is_none() {
            return Err(Box::new(first));
        }
        supply.log_in_by(plan, first.asked_at());
        self.add(&mut supply, first);
        self.carry_on(&mut supply);
        Ok(())
    }

    /// Whether no connection is left.
    pub fn is_lost(&self) -> bool {
        *self.count.borrow() == 0
    }

    #[cfg(test)]
    /// Returns when no connection is left.
    pub async fn lost(&self) {
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Takes out the connections that nobody used for so long.
    pub(super) fn surplus(&self, idle_for: Duration) -> Vec<Arc<Connection>> {
        let mut supply = self.lock();
        let surplus = supply.surplus(idle_for);
        self.carry_on(&mut supply);
        surplus
    }

    /// How many connections are being made, once nothing waits for its time any more.
    #[cfg(test)]
    pub fn being_made(&self) -> usize {
        let mut supply = self.lock();
        supply.rested();
        self.carry_on(&mut supply);
        supply.connecting
    }

    pub fn connections(&self) -> usize {
        *self.count.borrow()
    }

    /// Closes all channels and connections and forgets how to log in; takes a few seconds at most.
    /// Ends no process.
    pub async fn close(&self) {
        let connections = {
            let mut supply = self.lock();
            // The last holder of the credentials, with the connects that this cuts off.
            supply.plan = None;
            supply.waiting.clear();
            let aside = supply.take_aside();
            [std::mem::take(&mut supply.connections), aside].concat()
        };
        self.closed.cancel();
        join_all(connections.iter().map(|connection| connection.close())).await;
        self.count.send_replace(0);
    }

    pub(super) async fn obtain(&self, need: Need, lane: Option<u64>) -> Result<Channel, OpenError> {
        let waiting = {
            let mut supply = self.lock();
            if supply.plan.is_none() {
                return Err(OpenError::Closed);
            }
            supply.forget_lost();
            if (supply.waiting.is_empty() || need == Need::Ending)
                && let Some(channel) = supply.take(lane)
            {
                self.carry_on(&mut supply);
                return Ok(channel);
            }
            let (hand, waiting) = oneshot::channel();
            let waiter = Waiter { need, lane, hand };
            match need {
                Need::Work => supply.waiting.push_back(waiter),
                Need::Ending => supply.waiting.push_front(waiter),
            }
            self.carry_on(&mut supply);
            waiting
        };
        match timeout(PLACE, waiting).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(OpenError::Closed),
            Err(_) => Err(match self.lock().refusal.clone() {
                Some(words) => OpenError::Refused(words),
                None => OpenError::Busy(PLACE),
            }),
        }
    }

    /// Whether `connection` may be left to one channel that is not read; if so, it is.
    pub(super) fn seclude(&self, connection: &Connection) -> bool {
        let mut supply = self.lock();
        if connection.slots().is_secluded() {
            return true;
        }
        if !supply.can_spare(connection) {
            return false;
        }
        supply.seclude(connection);
        self.carry_on(&mut supply);
        true
    }

    pub(super) fn set_aside(&self) -> Result<Aside, OpenError> {
        let mut supply = self.lock();
        supply.forget_lost();
        let aside = supply.set_aside();
        self.carry_on(&mut supply);
        aside
    }

    /// Takes in a connection that was made for somebody's own.
    pub(super) fn aside(&self, connection: Connection) -> Result<Arc<Connection>, OpenError> {
        let _ = connection.pool.set(Weak::clone(&self.me));
        let connection = Arc::new(connection);
        let mut supply = self.lock();
        if supply.plan.is_none() {
            return Err(OpenError::Closed);
        }
        supply.put_aside(&connection);
        self.carry_on(&mut supply);
        Ok(connection)
    }

    /// One that was set aside is gone.
    pub(super) fn counted_anew(&self) {
        self.carry_on(&mut self.lock());
    }

    pub(super) fn judge(&self) -> Arc<dyn HostKeyJudge> {
        Arc::clone(&self.judge)
    }

    pub(super) fn weak(&self) -> Weak<Self> {
        Weak::clone(&self.me)
    }

    fn lock(&self) -> MutexGuard<'_, Supply> {
        self.supply.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, supply: &mut Supply, connection: Connection) {
        let _ = connection.pool.set(Weak::clone(&self.me));
        let slots = Arc::clone(&connection.leg().slots);
        let lost = connection.leg().lost.clone();
        supply.add(Arc::new(connection));
        let pool = Weak::clone(&self.me);
        tokio::spawn(async move {
            loop {
                let over = tokio::select! {
                    () = slots.changed.notified() => false,
                    () = lost.cancelled() => true,
                };
                let Some(pool) = pool.upgrade() else { return };
                pool.carry_on(&mut pool.lock());
                if over {
                    return;
                }
            }
        });
    }

    /// Serves who waits, and starts what has to be done for the rest. To be called after every
    /// change.
    fn carry_on(&self, supply: &mut Supply) {
        supply.forget_lost();
        supply.serve();
        for order in supply.orders() {
            match order {
                Order::Open(connection) => {
                    tokio::spawn(open(Weak::clone(&self.me), connection));
                }
                Order::Connect(plan) => {
                    let (pool, judge) = (Weak::clone(&self.me), Arc::clone(&self.judge));
                    let further = further(pool, plan, judge);
                    // Cut off, it drops the plan, and with it what it would log in with.
                    tokio::spawn(self.closed.clone().run_until_cancelled_owned(further));
                }
            }
        }
        if let Some(error) = supply.dead_end() {
            fail(supply, &error);
        }
        let count = supply.count();
        self.count.send_if_modified(|known| std::mem::replace(known, count) != count);
    }

    fn carry_on_at(&self, when: Instant) {
        let pool = Weak::clone(&self.me);
        tokio::spawn(async move {
            sleep_until(when).await;
            if let Some(pool) = pool.upgrade() {
                pool.carry_on(&mut pool.lock());
            }
        });
    }

    fn connected(&self, outcome: Result<Connection, ConnectError>) {
        let mut supply = self.lock();
        supply.connecting -= 1;
        match outcome {
            Ok(connection) if supply.plan.is_none() => {
                tokio::spawn(async move { connection.close().await });
            }
            Ok(connection) => self.add(&mut supply, connection),
            Err(error) => {
                tracing::warn!(cause = ?error.cause, "no further connection");
                supply.forget_lost();
                if supply.connections.is_empty() {
                    if supply.connecting == 0 {
                        fail(&mut supply, &OpenError::Connect(Arc::new(error)));
                    }
                } else {
                    supply.failed(is_for_good(&error.cause));
                    self.carry_on_at(Instant::now() + RETRY);
                }
            }
        }
        self.carry_on(&mut supply);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.closed.cancel();
        for connection in &self.lock().connections {
            connection.closing.cancel();
        }
    }
}

fn fail(supply: &mut Supply, error: &OpenError) {
    for waiter in supply.waiting.drain(..) {
        let _ = waiter.hand.send(Err(error.clone()));
    }
}

/// Whether another try would only be another failed login.
fn is_for_good(cause: &ConnectFault) -> bool {
    use ConnectFault::*;
    matches!(cause, HostKey(_) | AuthRefused { .. } | LoginInteractive | NoSession(_))
}

async fn open(pool: Weak<Pool>, connection: Arc<Connection>) {
    let opening = connection.open_ahead();
    tokio::pin!(opening);
    let outcome = match timeout(ANSWER, &mut opening).await {
        Ok(outcome) => outcome,
        Err(_) => {
            // It hangs. Those who wait go elsewhere.
            connection.slots().seclude();
            if let Some(pool) = pool.upgrade() {
                pool.carry_on(&mut pool.lock());
            }
            opening.await
        }
    };
    let Some(pool) = pool.upgrade() else { return };
    let mut supply = pool.lock();
    match outcome {
        Ok(()) => supply.refusal = None,
        Err(NoChannel::Lost) => {}
        Err(NoChannel::Refused(refusal)) => {
            if let Refusal::Never(words) = refusal {
                supply.refusal = Some(words);
            }
            supply.learn();
            pool.carry_on_at(connection.slots().rested());
        }
    }
    pool.carry_on(&mut supply);
}

async fn further(pool: Weak<Pool>, plan: Arc<Plan>, judge: Arc<dyn HostKeyJudge>) {
    let mut wait = FIRST_WAIT;
    let mut tries = 1;
    let outcome = loop {
        let outcome = connect(&plan, Arc::clone(&judge)).await;
        let dropped = matches!(
            &outcome,
            Err(ConnectError { cause: ConnectFault::Closed { at: Step::Handshake, .. }, .. })
        );
        if !dropped || tries == TRIES || pool.strong_count() == 0 {
            break outcome;
        }
        sleep(wait).await;
        wait *= 2;
        tries += 1;
    };
    if let Some(pool) = pool.upgrade() {
        pool.connected(outcome);
    }
}

async fn give_back_idle(pool: Weak<Pool>) {
    loop {
        sleep(ROUND).await;
        let Some(pool) = pool.upgrade() else { return };
        let surplus = pool.surplus(IDLE);
        drop(pool);
        join_all(surplus.iter().map(|connection| connection.close())).await;
    }
}
