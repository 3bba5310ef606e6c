//! One client's SSH connection: the login that asks for nothing, and its channels.

use std::{collections::HashMap, sync::Arc, time::Duration};

use russh::{
    Channel, ChannelId, ChannelOpenFailure, ChannelWriteHalf, Sig,
    server::{Auth, ChannelOpenHandle, Handler, Msg, Session},
};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    WINDOW,
    budget::Budget,
    command::{self, What},
    forward::{Forwards, no_listening_socket},
    inbox::{Full, Inbox},
    terminal,
    unread::Unread,
};
use crate::{
    daemon::door::{
        agent::{Bridge, Seat},
        follow::Control,
    },
    domain::{guard::forward::Way, terminal::Window},
    protocol::error::{Code, Failure},
};

/// The most channels that a connection has open at once.
const CHANNELS: usize = 64;
/// What a client may send on a channel where nothing runs yet, in bytes.
const EARLY: usize = 64 * 1024;
/// The most signals of a connection's that are on their way at once.
const SIGNALS: usize = 16;
/// How long a connection waits for one channel that is behind.
const MOMENT: Duration = Duration::from_millis(20);
/// How far the window of a channel is opened that is behind: the least that russh opens.
const CRUMB: u32 = 2;

pub struct Connection {
    bridge: Arc<Bridge>,
    logged_in: CancellationToken,
    channels: HashMap<ChannelId, Opened>,
    forwards: Arc<Forwards>,
    budget: Arc<Budget>,
    signals: Arc<Semaphore>,
    unread: Unread,
    /// Forwards end with it.
    _ends: DropGuard,
}

/// A session channel.
struct Opened {
    /// Until something runs on it.
    to: Option<ChannelWriteHalf<Msg>>,
    inbox: Arc<Inbox>,
    /// What the client says of its side before something runs.
    seat: Seat,
    window: watch::Sender<Window>,
    control: Arc<Control>,
    gone: CancellationToken,
    /// The client has closed it, or is gone altogether.
    _gone: DropGuard,
}

impl Connection {
    pub fn new(bridge: Arc<Bridge>, logged_in: CancellationToken) -> Self {
        let ends = CancellationToken::new();
        let (budget, signals) = (bridge.inboxes(), Arc::new(Semaphore::new(SIGNALS)));
        let forwards = Forwards::new(bridge.clone(), budget.clone(), ends.clone());
        let (channels, unread, _ends) = (HashMap::new(), Unread::default(), ends.drop_guard());
        Self { bridge, logged_in, channels, forwards, budget, signals, unread, _ends }
    }

    /// What takes the client's data on a channel, and its end.
    fn taker(&self, id: ChannelId) -> Option<(Arc<Inbox>, CancellationToken)> {
        let opened = self.channels.get(&id);
        opened.map(|opened| (opened.inbox.clone(), opened.gone.clone())).or_else(|| {
            let near = self.forwards.get(id)?;
            Some((near.inbox, near.gone))
        })
    }

    /// Why a channel ends, where the client shows it: a forwarded one has no place for it.
    fn tell_why(
        &self,
        id: ChannelId,
        failure: &Failure,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if !self.channels.contains_key(&id) {
            self.forwards.note(failure);
            return Ok(());
        }
        session.extended_data(id, command::STDERR, command::two_lines(failure))?;
        session.exit_status_request(id, command::status(failure.code.class()))
    }

    /// What is to run on a channel where nothing does.
    fn begin(&mut self, id: ChannelId, session: &Session) -> Option<command::Channel> {
        let opened = self.channels.get_mut(&id)?;
        self.forwards.tell(id, &session.handle());
        Some(command::Channel {
            bridge: self.bridge.clone(),
            to: opened.to.take()?,
            handle: session.handle(),
            inbox: opened.inbox.clone(),
            seat: std::mem::take(&mut opened.seat),
            window: opened.window.subscribe(),
            control: opened.control.clone(),
            gone: opened.gone.clone(),
        })
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    /// Who is there the socket has said; as whom they come here is whom they are there.
    async fn auth_none(&mut self, user: &str) -> Result<Auth, russh::Error> {
        Ok(if user == self.bridge.user() { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), russh::Error> {
        self.logged_in.cancel();
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if self.channels.len() >= CHANNELS {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let id = channel.id();
        // What comes is heard of below, in the order of the wire; the other half would hold it up.
        let (_from, to) = channel.split();
        let gone = CancellationToken::new();
        let opened = Opened {
            to: Some(to),
            inbox: Inbox::new(self.budget.clone()),
            seat: Seat::default(),
            window: watch::Sender::default(),
            control: Control::staying(),
            gone: gone.clone(),
            _gone: gone.drop_guard(),
        };
        self.channels.insert(id, opened);
        self.unread.opens(id);
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _from: &str,
        _from_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.forwards.open(Way::to(host, port), channel, reply, session.handle());
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.forwards.open(Way::to_socket(path), channel, reply, session.handle());
        Ok(())
    }

    /// Of those that are opened to the client: what it sends there is heard of from here on.
    async fn channel_open_confirmation(
        &mut self,
        id: ChannelId,
        _packet: u32,
        _window: u32,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.forwards.begin(id);
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, russh::Error> {
        match self.forwards.listen(address, *port, session.handle()).await {
            Ok(chosen) => *port = chosen.into(),
            Err(failure) => {
                session.debug(true, &self.forwards.note(&failure), "en")?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _session: &mut Session,
    ) -> Result<bool, russh::Error> {
        Ok(self.forwards.cancel(address, port))
    }

    async fn streamlocal_forward(
        &mut self,
        _path: &str,
        session: &mut Session,
    ) -> Result<bool, russh::Error> {
        session.debug(true, &self.forwards.note(&no_listening_socket()), "en")?;
        Ok(false)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(channel) = self.begin(id, session) else { return session.channel_failure(id) };
        // Why not is said in words, which a failed request has no room for.
        session.channel_success(id)?;
        self.unread.begins(id, channel.control.cancel.clone());
        tokio::spawn(channel.run(What::Command(command.to_vec())));
        Ok(())
    }

    async fn shell_request(
        &mut self,
        id: ChannelId,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(channel) = self.begin(id, session) else { return session.channel_failure(id) };
        session.channel_success(id)?;
        self.unread.begins(id, channel.control.cancel.clone());
        tokio::spawn(channel.run(What::Shell));
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if name != "sftp" {
            return session.channel_failure(id);
        }
        let Some(channel) = self.begin(id, session) else { return session.channel_failure(id) };
        session.channel_success(id)?;
        tokio::spawn(channel.run_sftp());
        Ok(())
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        match self.channels.get_mut(&id).is_some_and(|opened| opened.seat.set(name, value)) {
            true => session.channel_success(id),
            false => session.channel_failure(id),
        }
    }

    async fn agent_request(
        &mut self,
        _id: ChannelId,
        _session: &mut Session,
    ) -> Result<bool, russh::Error> {
        self.forwards.note_that("your ssh agent is not forwarded through sgw");
        Ok(false)
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.forwards.note_that("X11 is not forwarded through sgw");
        session.channel_failure(id)
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(opened) = self.channels.get_mut(&id).filter(|opened| opened.to.is_some()) else {
            return session.channel_failure(id);
        };
        let window = Window { columns, rows, width, height };
        opened.seat.terminal = Some(terminal::wanted(term, window, modes));
        opened.window.send_replace(window);
        session.channel_success(id)
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if let Some(opened) = self.channels.get(&id) {
            opened.window.send_replace(Window { columns, rows, width, height });
        }
        // It wants no answer (RFC 4254, 6.7).
        Ok(())
    }

    async fn data(
        &mut self,
        id: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some((inbox, gone)) = self.taker(id) else { return Ok(()) };
        let nothing_runs = self.channels.get(&id).is_some_and(|opened| opened.to.is_some());
        let kept = match nothing_runs && inbox.held() + data.len() > EARLY {
            true => Err(nobody_reads()),
            false => inbox.push(data).map_err(|full| too_much(&full)),
        };
        if let Err(failure) = kept {
            tracing::info!(code = %failure.code, "a channel ended: its client sent too much");
            inbox.close();
            self.tell_why(id, &failure, session)?;
            match nothing_runs {
                true => session.close(id)?,
                false => gone.cancel(),
            }
            return Ok(());
        }
        let _still_behind = timeout(MOMENT, inbox.room()).await;
        Ok(())
    }

    fn adjust_window(&mut self, id: ChannelId, _current: u32) -> u32 {
        let behind = self.taker(id).is_some_and(|(inbox, _)| inbox.is_behind());
        if behind { CRUMB } else { WINDOW }
    }

    async fn channel_eof(
        &mut self,
        id: ChannelId,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if let Some((inbox, _)) = self.taker(id) {
            inbox.end();
        }
        Ok(())
    }

    async fn signal(
        &mut self,
        id: ChannelId,
        signal: Sig,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let follows = self.channels.get(&id).and_then(|opened| opened.control.follows.get());
        let Some(exec) = follows.cloned() else { return Ok(()) };
        let Ok(turn) = self.signals.clone().try_acquire_owned() else {
            tracing::info!(%exec, "a signal was not sent: {SIGNALS} are on their way");
            return Ok(());
        };
        let bridge = self.bridge.clone();
        tokio::spawn(async move {
            bridge.signal(&exec, &command::signal_name(signal)).await;
            drop(turn);
        });
        Ok(())
    }

    async fn channel_close(
        &mut self,
        id: ChannelId,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channels.remove(&id);
        self.unread.closed(id);
        self.forwards.closed(id);
        Ok(())
    }
}

fn nobody_reads() -> Failure {
    let message = "much was sent on a channel where nothing runs yet";
    Failure::new(Code::LimitStreams, message, "begin what reads it first").sent(false)
}

fn too_much(full: &Full) -> Failure {
    match full {
        Full::Window => {
            let message = "the client sent more than it was asked for";
            Failure::new(Code::UsageFrame, message, "use another client")
        }
        Full::Budget => Failure::new(
            Code::LimitStreams,
            "too much of what was sent waits for whoever is to read it, on all channels together",
            "send less at once, or wait until it was read",
        ),
    }
}
