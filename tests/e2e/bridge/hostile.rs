//! Clients that OpenSSH is not: they don't wait, ask for what there is not, take nothing, and open without end.

use std::{
    fs,
    future::Future,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Stdio},
    sync::Arc,
    time::Duration,
};

use russh::{
    ChannelMsg, ChannelOpenFailure, Preferred, cipher,
    client::{self, AuthResult, Handle},
    keys::PublicKeyOrCertificate,
};
use rustix::process::Signal;
use tokio::time::timeout;

use super::{Both, noise, ran, stderr};
use crate::support::{Running, eventually, eventually_within, processes_naming};

/// Long enough for a busy machine, and short enough to tell a hang.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Anyone;

impl client::Handler for Anyone {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// A client of our own on `sgw proxy`.
pub struct Client {
    pub handle: Handle<Anyone>,
    proxy: Child,
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ended = self.proxy.kill();
        let _status = self.proxy.wait();
    }
}

impl Client {
    async fn connect(both: &Both, config: client::Config) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut command = both.sgw.command(["proxy", "web1"]);
        command.env("SGW_TOKEN", &both.token.text).stderr(Stdio::null());
        command.stdin(OwnedFd::from(theirs.try_clone().unwrap())).stdout(OwnedFd::from(theirs));
        let proxy = command.spawn().unwrap();
        // The child has its ends; ours are to close with it.
        drop(command);
        ours.set_nonblocking(true).unwrap();
        let stream = tokio::net::UnixStream::from_std(ours).unwrap();
        let connecting = client::connect_stream(Arc::new(config), stream, Anyone);
        let handle = timeout(PATIENCE, connecting).await.unwrap().unwrap();
        Self { handle, proxy }
    }

    pub async fn logged_in(both: &Both, config: client::Config) -> Self {
        let mut client = Self::connect(both, config).await;
        let login = client.handle.authenticate_none(both.sshd.user.clone()).await.unwrap();
        assert!(matches!(login, AuthResult::Success));
        client
    }

    /// What a command prints when it is sent with its input and its end, before anything is answered.
    pub async fn at_once(&self, line: &str, input: &[u8]) -> (Vec<u8>, Option<u32>) {
        let mut channel = self.handle.channel_open_session().await.unwrap();
        channel.exec(false, line).await.unwrap();
        let (mut out, mut status) = (Vec::new(), None);
        let (mut reader, writer) = channel.split();
        let feeding = async {
            writer.data_bytes(input.to_vec()).await.unwrap();
            writer.eof().await.unwrap();
        };
        let reading = async {
            while let Some(message) = reader.wait().await {
                match message {
                    ChannelMsg::Data { data } => out.extend_from_slice(&data),
                    ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, async { tokio::join!(feeding, reading) }).await.expect("it ends");
        channel = self.handle.channel_open_session().await.unwrap();
        channel.close().await.unwrap();
        (out, status)
    }
}

pub fn config() -> client::Config {
    client::Config {
        preferred: Preferred {
            cipher: std::borrow::Cow::Borrowed(&[cipher::AES_128_GCM]),
            ..Preferred::DEFAULT
        },
        ..client::Config::default()
    }
}

#[track_caller]
pub fn runs(story: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(story);
    runtime.shutdown_background();
}

#[test]
fn a_client_that_waits_for_no_answer_loses_nothing() {
    let both = Both::new();
    runs(async {
        let client = Client::logged_in(&both, config()).await;
        for round in 0..30usize {
            let input = noise(round * 4099);
            let (out, status) = client.at_once("cat; exit 3", &input).await;
            assert!(out == input, "round {round}: {} of {}", out.len(), input.len());
            assert_eq!(status, Some(3));
        }
    });
}

#[test]
fn unknown_channels_and_requests_are_refused_and_the_connection_goes_on() {
    let both = Both::new();
    runs(async {
        let client = Client::logged_in(&both, config()).await;
        let refused = client.handle.channel_open_x11("127.0.0.1", 1).await.err().unwrap();
        assert!(matches!(refused, russh::Error::ChannelOpenFailure(_)), "{refused}");
        for name in ["no-such@example", "", "hostkeys-prove-00@openssh.com"] {
            let asked = client.handle.send_global_request(name, b"\0\0", true);
            assert!(timeout(PATIENCE, asked).await.unwrap().is_err(), "{name}");
        }
        let mut channel = client.handle.channel_open_session().await.unwrap();
        channel.request_subsystem(true, "netconf").await.unwrap();
        assert!(matches!(answer(&mut channel).await, Some(ChannelMsg::Failure)));
        channel.agent_forward(true).await.unwrap();
        assert!(matches!(answer(&mut channel).await, Some(ChannelMsg::Failure)));
        channel.set_env(true, "LD_PRELOAD", "/tmp/x.so").await.unwrap();
        assert!(matches!(answer(&mut channel).await, Some(ChannelMsg::Failure)));
        assert_eq!(client.at_once("echo on", b"").await.0, b"on\n");
    });
}

pub async fn answer(channel: &mut russh::Channel<client::Msg>) -> Option<ChannelMsg> {
    loop {
        match timeout(PATIENCE, channel.wait()).await.expect("an answer") {
            Some(ChannelMsg::WindowAdjusted { .. }) => {}
            other => return other,
        }
    }
}

#[test]
fn who_sends_much_where_nothing_runs_loses_that_channel_alone() {
    let both = Both::new();
    runs(async {
        let client = Client::logged_in(&both, config()).await;
        let mut channel = client.handle.channel_open_session().await.unwrap();
        channel.data(&[b'x'; 200_000][..]).await.unwrap();
        while !matches!(answer(&mut channel).await, Some(ChannelMsg::Close) | None) {}
        assert_eq!(client.at_once("echo on", b"").await.0, b"on\n");
    });
}

#[test]
fn another_account_than_the_targets_does_not_log_in() {
    let both = Both::new();
    runs(async {
        for user in ["somebody", "", "root\0", "x".repeat(5000).as_str()] {
            let mut client = Client::connect(&both, config()).await;
            let login = client.handle.authenticate_none(user).await;
            assert!(!matches!(login, Ok(AuthResult::Success)), "{user:?}");
        }
    });
    both.same(&["web1", "echo still here"], b"");
}

#[test]
fn a_thousand_channels_are_not_opened_and_room_comes_back() {
    let both = Both::granted(&["--only", "exec,forward"]);
    runs(async {
        let client = Client::logged_in(&both, config()).await;
        let (mut open, mut refused) = (Vec::new(), 0);
        for _ in 0..1000 {
            match timeout(PATIENCE, client.handle.channel_open_session()).await.unwrap() {
                Ok(channel) => open.push(channel),
                Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::ResourceShortage)) => {
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(open.len() <= 64 && refused == 1000 - open.len(), "{} open", open.len());
        for channel in open.drain(..) {
            channel.close().await.unwrap();
        }
        loop {
            match client.handle.channel_open_session().await {
                Ok(channel) => break channel.close().await.unwrap(),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        // Forwards that nobody may open leave none behind either.
        for _ in 0..400 {
            let asked = client.handle.channel_open_direct_tcpip("a..b", 1, "127.0.0.1", 0);
            let refused = timeout(PATIENCE, asked).await.unwrap().err().unwrap();
            assert!(matches!(refused, russh::Error::ChannelOpenFailure(_)), "{refused}");
        }
        assert_eq!(client.at_once("echo on", b"").await.0, b"on\n");
    });
}

#[test]
fn who_opens_no_window_holds_up_only_itself() {
    let both = Both::new();
    runs(async {
        let closed = client::Config { window_size: 0, ..config() };
        let client = Client::logged_in(&both, closed).await;
        let mut stuck = Vec::new();
        for _ in 0..3 {
            let channel = client.handle.channel_open_session().await.unwrap();
            channel.exec(true, "yes").await.unwrap();
            stuck.push(channel);
        }
        let other = Client::logged_in(&both, config()).await;
        assert_eq!(other.at_once("echo on", b"").await.0, b"on\n");
        for channel in stuck {
            channel.close().await.unwrap();
        }
        // What needs no window goes on: a status is no data.
        let mut channel = client.handle.channel_open_session().await.unwrap();
        channel.exec(true, "exit 7").await.unwrap();
        loop {
            let message = answer(&mut channel).await.expect("an end");
            if let ChannelMsg::ExitStatus { exit_status } = message {
                break assert_eq!(exit_status, 7);
            }
        }
    });
}

#[test]
fn who_never_logs_in_takes_nothing_from_others() {
    let both = Both::new();
    runs(async {
        let mut idle = Vec::new();
        for _ in 0..12 {
            idle.push(Client::connect(&both, config()).await);
        }
        let client = Client::logged_in(&both, config()).await;
        assert_eq!(client.at_once("echo on", b"").await.0, b"on\n");
    });
    // Nor does who says its version a byte at a time.
    let mut slow: Vec<_> = (0..8)
        .map(|_| {
            let mut command = both.sgw.command(["proxy", "web1"]);
            Running::start(command.env("SGW_TOKEN", &both.token.text))
        })
        .collect();
    for byte in b"SSH-2.0-slow" {
        slow.iter_mut().for_each(|one| one.write(&[*byte]));
    }
    both.same(&["web1", "echo still here"], b"");
}

fn fifty(both: &Both, clients: usize) {
    let all: Vec<_> = (0..clients)
        .map(|number| {
            let mut ssh =
                both.ssh(&both.through, &["web1", &format!("cat; exit {}", number % 100)]);
            let input = noise(number * 1000);
            std::thread::spawn(move || (number, input.clone(), ran(&mut ssh, &input)))
        })
        .collect();
    for one in all {
        let (number, input, output) = one.join().unwrap();
        let status = i32::try_from(number % 100).unwrap();
        assert_eq!(output.status.code(), Some(status), "{number}: {}", stderr(&output));
        assert!(output.stdout == input, "{number}");
    }
}

#[test]
fn fifty_clients_at_once_all_get_their_own() {
    fifty(&Both::new(), 50);
}

/// Clients in all states of their lives are killed; nothing of them is left.
fn killed_at_random(clients: usize) {
    let both = Both::forwarding();
    let (port, daemon) = (super::forward::echoes(), both.sgw.daemon().unwrap());
    both.same(&["web1", "true"], b"");
    let open = || fs::read_dir(format!("/proc/{daemon}/fd")).unwrap().count();
    let threads = || fs::read_dir(format!("/proc/{daemon}/task")).unwrap().count();
    let connections = || {
        let status = both.sgw.agent(["daemon", "status", "--json"]).ok().json();
        status["connections"].as_u64().unwrap_or(0)
    };
    // Warm ones are given back when nobody has used them for a while.
    let long = Duration::from_secs(150);
    eventually_within(long, "it is at rest", || connections() <= 1);
    let (before, threads_before) = (open(), threads());
    let word = format!("killed-mark-{}", std::process::id());
    let busy = format!("MARK={word}; export MARK; cat & yes {word}");
    let quiet = format!("MARK={word} sh -c 'echo begun; sleep 1000; true {word}'");
    let end = format!("127.0.0.1:{port}");
    let mut random = noise(clients).into_iter();
    let mut next = move || usize::from(random.next().unwrap_or(7));
    let mut alive = Vec::new();
    for number in 0..clients {
        let words: &[&str] = match number % 4 {
            0 => &["web1", &busy],
            1 => &["web1", &quiet],
            2 => &["-W", &end, "web1"],
            _ => &["-N", "web1"],
        };
        let mut ssh = both.ssh(&both.through, words);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        alive.push(ssh.spawn().unwrap());
        // Twenty at once at most, each of which may have come as far as it likes.
        if alive.len() >= 20 {
            let mut one = alive.swap_remove(next() % 20);
            one.kill().unwrap();
            one.wait().unwrap();
        }
        std::thread::sleep(Duration::from_millis((next() % 40) as u64));
    }
    for mut one in alive {
        one.kill().unwrap();
        one.wait().unwrap();
    }
    eventually("no process is left", || processes_naming(&word).is_empty());
    eventually_within(long, "no connection is left", || connections() <= 4);
    eventually("no descriptor is left", || open() <= before + 12);
    // The runtime's idle ones stay while any work comes in turn to each; left ones would be one for each client.
    eventually("no thread is left", || threads() <= threads_before + clients / 2);
    both.same(&["web1", "echo still here"], b"");
}

#[test]
fn clients_killed_at_random_leave_nothing_behind() {
    killed_at_random(40);
}

#[test]
#[ignore = "it takes minutes: cargo nextest run --run-ignored only"]
fn two_hundred_clients_killed_at_random_leave_nothing_behind() {
    killed_at_random(200);
}

/// `RekeyLimit 8M` on both sides: the server's on its own connection, and the client's on the bridge.
fn rekeyed(bytes: usize) {
    let both = Both::rekeying();
    let sent = noise(8 << 20);
    let rounds = bytes / sent.len();
    let words = ["-o", "RekeyLimit=8M", "web1", "cat"];
    let mut ssh = both.ssh(&both.through, &words);
    ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = ssh.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let expected = sent.clone();
    let writing = std::thread::spawn(move || {
        for _ in 0..rounds {
            std::io::Write::write_all(&mut stdin, &sent).unwrap();
        }
    });
    let mut piece = vec![0; expected.len()];
    for round in 0..rounds {
        std::io::Read::read_exact(&mut stdout, &mut piece).unwrap();
        assert!(piece == expected, "round {round}");
    }
    writing.join().unwrap();
    assert_eq!(std::io::Read::read(&mut stdout, &mut piece).unwrap(), 0);
    assert!(child.wait().unwrap().success());
}

#[test]
fn keys_are_exchanged_anew_on_both_sides_in_full_flow() {
    rekeyed(64 << 20);
}

#[test]
#[ignore = "it takes minutes: cargo nextest run --run-ignored only"]
fn keys_are_exchanged_anew_on_both_sides_for_a_gibibyte_both_ways() {
    rekeyed(1 << 30);
}

#[test]
fn a_client_that_is_killed_in_the_middle_of_a_key_exchange_leaves_nothing() {
    let both = Both::new();
    let word = format!("rekey-mark-{}", std::process::id());
    let line = format!("MARK={word}; export MARK; echo begun; exec yes {word}");
    let mut ssh = both.ssh(&both.through, &["-o", "RekeyLimit=16K", "web1", &line]);
    let mut runs = Running::start(&mut ssh);
    runs.prints("begun");
    runs.signal(Signal::KILL);
    eventually("its processes are gone", || processes_naming(&word).is_empty());
}
