//! What a client sends and nobody takes has a bound, on a channel, a connection, and all of an identity's.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

use russh::ChannelMsg;
use tokio::time::timeout;

use super::{
    Both,
    hostile::{Client, answer, config, runs},
};
use crate::support::{Running, eventually};

/// Clients, their channels, and what each of these sends, in bytes.
const CLIENTS: usize = 4;
const CHANNELS: usize = 64;
const EACH: usize = 1024 * 1024;
/// How long it tries to.
const SENDS: Duration = Duration::from_secs(5);
/// What may lie in the daemon beyond what it had, in KiB: the bound, and what its channels are.
const MOST: u64 = 110 * 1024;

fn resident(daemon: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{daemon}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn who_sends_on_a_channel_where_nothing_runs_is_told_and_ended() {
    let both = Both::new();
    runs(async {
        let client = Client::logged_in(&both, config()).await;
        let mut channel = client.handle.channel_open_session().await.unwrap();
        channel.data_bytes(vec![7; 128 * 1024]).await.unwrap();
        let (mut said, mut status) = (Vec::new(), None);
        while let Some(message) = answer(&mut channel).await {
            match message {
                ChannelMsg::ExtendedData { data, .. } => said.extend_from_slice(&data),
                ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                _ => {}
            }
        }
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with("sgw: error[limit.streams]: much was sent"), "{said}");
        assert_eq!(status, Some(125));
        assert_eq!(client.at_once("echo on", b"").await.0, b"on\n");
    });
}

/// The pause holds all of it.
#[test]
fn what_many_channels_send_that_nobody_takes_is_bounded_and_others_go_on() {
    let both = Both::forwarding();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = u32::from(listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        let _unread: Vec<_> = listener.incoming().flatten().collect();
    });
    let other = both.sgw.token("other", &[]);
    both.sgw.grant(&["--token", "other", "--target", "web1", "--only", "exec"]);
    let mut honest = both.sgw.command(["exec", "-i", "web1", "--", "cat"]);
    let mut honest = Running::start(honest.env("SGW_TOKEN", &other.text));
    honest.write(b"begun\n");
    honest.prints("begun\n");
    let daemon = both.sgw.daemon().unwrap();
    runs(async {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let client = Client::logged_in(&both, config()).await;
            let mut channels = Vec::new();
            for _ in 0..CHANNELS {
                let opening =
                    client.handle.channel_open_direct_tcpip("127.0.0.1", port, "127.0.0.1", 0);
                channels.push(opening.await.unwrap());
            }
            clients.push((client, channels));
        }
        let before = resident(daemon);
        both.sgw.operator(["pause", "token:ci"]).ok();
        let mut sending = Vec::new();
        for (_, channels) in &mut clients {
            for channel in channels.drain(..) {
                let (mut reader, writer) = channel.split();
                sending.push(tokio::spawn(async move {
                    let ends = async {
                        while let Some(message) = reader.wait().await {
                            if matches!(message, ChannelMsg::Close) {
                                break;
                            }
                        }
                    };
                    let sends = async {
                        // What the window does not take is never sent.
                        let _short = timeout(SENDS, writer.data_bytes(vec![7; EACH])).await;
                        tokio::time::sleep(SENDS).await;
                    };
                    tokio::select! {
                        () = ends => true,
                        () = sends => false,
                    }
                }));
            }
        }
        let mut closed = 0;
        for one in sending {
            closed += usize::from(one.await.unwrap());
        }
        let after = resident(daemon);
        println!(
            "{} channels sent up to {} KiB each: {before} KiB before, {after} KiB after, {closed} were closed",
            CLIENTS * CHANNELS,
            EACH / 1024
        );
        assert!(after.saturating_sub(before) < MOST, "{before} -> {after} KiB");
        honest.write(b"goes on\n");
        honest.prints("begun\ngoes on\n");
        both.sgw.operator(["resume", "token:ci"]).ok();
        // Who was too much is told where there is a place for it.
        let (client, _) = &clients[CLIENTS - 1];
        let mut channel = client.handle.channel_open_session().await.unwrap();
        channel.exec(true, "echo on").await.unwrap();
        let mut said = Vec::new();
        while let Some(message) = answer(&mut channel).await {
            if let ChannelMsg::ExtendedData { data, .. } = message {
                said.extend_from_slice(&data);
            }
        }
        let said = String::from_utf8(said).unwrap();
        assert!(closed == 0 || said.contains("limit.streams"), "{closed}: {said}");
    });
    honest.close_stdin();
    honest.ends().ok();
    eventually("nothing is held any more", || both.connections() <= 4);
}
