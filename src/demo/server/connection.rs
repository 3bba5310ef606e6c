//! One SSH connection of the server: the login, and channels that turn into commands.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use russh::{
    Channel, ChannelId, ChannelOpenFailure, MethodKind,
    server::{
        Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey,
    },
};
use tokio::net::TcpStream;

use super::{House, Oddness, Round, Wire, exec};

/// Channels a connection may have open at once.
const MOST_CHANNELS: usize = 1024;

pub(super) struct Connection {
    house: Arc<House>,
    wire: Arc<Wire>,
    /// Opened, and not yet turned into a command.
    idle: HashMap<ChannelId, Channel<Msg>>,
    open: usize,
    /// Which round of its interview comes next.
    round: usize,
}

impl Connection {
    pub(super) fn new(house: Arc<House>, wire: Arc<Wire>) -> Self {
        Self { house, wire, idle: HashMap::new(), open: 0, round: 0 }
    }

    fn offered(&self) {
        self.house.seen.credentials.fetch_add(1, Ordering::SeqCst);
    }

    fn verdict(&self, user: &str, right: bool) -> Auth {
        if right && user == self.house.account.user { Auth::Accept } else { Auth::reject() }
    }

    fn most_channels(&self) -> usize {
        match self.house.oddness {
            Oddness::MaxSessions(most) => most,
            _ => MOST_CHANNELS,
        }
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn authentication_banner(&mut self) -> Result<Option<String>, russh::Error> {
        Ok(match self.house.oddness {
            Oddness::Banner(bytes) => Some("b".repeat(bytes)),
            _ => None,
        })
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        self.offered();
        let right = self.house.account.password.as_ref();
        Ok(self.verdict(user, right.is_some_and(|right| right.expose() == password)))
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        self.offered();
        let right = self.house.account.key.as_ref();
        Ok(self.verdict(user, right.is_some_and(|k| k.key_data() == offer.public_key.key_data())))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        let right = self.house.account.key.as_ref();
        let right = right.is_some_and(|k| k.key_data() == key.public_key.key_data());
        match (&self.house.oddness, self.verdict(user, right)) {
            (Oddness::Asks(_), Auth::Accept) => {
                let next = [MethodKind::KeyboardInteractive][..].into();
                Ok(Auth::Reject { proceed_with_methods: Some(next), partial_success: true })
            }
            (_, verdict) => Ok(verdict),
        }
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let house = Arc::clone(&self.house);
        let Oddness::Asks(interview) = &house.oddness else { return Ok(Auth::reject()) };
        let Some(answers) = response else {
            self.round = 0;
            return Ok(interview.rounds.first().map_or_else(Auth::reject, ask));
        };
        let Some(asked) = interview.rounds.get(self.round) else { return Ok(Auth::reject()) };
        if !asked.questions.is_empty() {
            self.offered();
        }
        if !answers.eq(asked.questions.iter().map(|question| question.answer.as_bytes())) {
            return Ok(Auth::reject());
        }
        let last = self.round + 1 == interview.rounds.len();
        self.round += usize::from(!last);
        match interview.rounds.get(self.round) {
            Some(next) if !last || interview.for_ever => Ok(ask(next)),
            _ => Ok(self.verdict(user, true)),
        }
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), russh::Error> {
        if self.house.oddness == Oddness::ClosesAfterAuth {
            self.wire.cut();
        }
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if self.open >= self.most_channels() {
            // What OpenSSH answers beyond MaxSessions.
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        }
        self.open += 1;
        self.idle.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    /// As a jump host does.
    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let port = u16::try_from(port).unwrap_or_default();
        let Ok(mut there) = TcpStream::connect((host, port)).await else {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        };
        reply.accept().await;
        tokio::spawn(async move {
            let mut here = channel.into_stream();
            // Whoever hangs up first has ended it.
            let _over = tokio::io::copy_bidirectional(&mut here, &mut there).await;
        });
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.house.seen.commands.fetch_add(1, Ordering::SeqCst);
        if self.house.oddness == Oddness::NeverAnswersExec {
            return Ok(());
        }
        let Some(channel) = self.idle.remove(&id) else { return session.channel_failure(id) };
        let Ok(process) = exec::Process::start(command, &self.house.account.directory) else {
            self.idle.insert(id, channel);
            return session.channel_failure(id);
        };
        session.channel_success(id)?;
        let dropping = self.house.oddness == Oddness::DropsDuringExec;
        let wire = dropping.then(|| Arc::clone(&self.wire));
        tokio::spawn(process.run(channel, session.handle(), wire));
        Ok(())
    }

    async fn shell_request(
        &mut self,
        id: ChannelId,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_failure(id)
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_failure(id)
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        _name: &str,
        _value: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_failure(id)
    }

    async fn channel_close(
        &mut self,
        id: ChannelId,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.idle.remove(&id);
        self.open = self.open.saturating_sub(1);
        Ok(())
    }
}

fn ask(round: &Round) -> Auth {
    let Round { name, instructions, questions } = round.clone();
    let prompts = questions.into_iter().map(|one| (one.text.into(), one.echo)).collect::<Vec<_>>();
    Auth::Partial { name: name.into(), instructions: instructions.into(), prompts: prompts.into() }
}
