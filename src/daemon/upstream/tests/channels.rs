//! One exec, as its caller sees it.

use super::*;
use crate::domain::terminal::{Size, Wanted};

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_status_come_apart_and_bytes_are_kept() {
    let sshd = Sshd::start("");
    let pool = sshd.pool().await;
    let ran = run(&pool, r"printf '\000\377out'; printf '\001err' >&2; exit 7").await;
    assert_eq!(ran.stdout, b"\0\xffout");
    assert_eq!(ran.stderr, b"\x01err");
    assert_eq!((ran.status, ran.end), (Some(7), Some(Event::Closed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_a_signal_ended_says_which() {
    let sshd = Sshd::start("");
    let pool = sshd.pool().await;
    let ran = run(&pool, "kill -SEGV $$").await;
    assert_eq!((ran.signal.as_deref(), ran.status), (Some("SEGV"), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_megabytes_go_in_and_come_back_as_they_were() {
    let sshd = Sshd::start("");
    let pool = sshd.pool().await;
    let (mut reader, writer) = pool.exec(b"cat").await.unwrap();
    let sent: Vec<u8> = (0..10 << 20).map(|place: u32| (place * 7 + place / 251) as u8).collect();
    let copy = sent.clone();
    let writing = tokio::spawn(async move {
        for chunk in copy.chunks(100_000) {
            writer.write(chunk.to_vec()).await.unwrap();
        }
        writer.eof().await.unwrap();
    });
    let ran = read_all(&mut reader).await;
    soon(writing).await.unwrap();
    assert_eq!(ran.status, Some(0));
    assert!(ran.stdout == sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_to_a_command_that_does_not_read_waits_and_ends_with_the_channel() {
    let sshd = Sshd::start("");
    let pool = sshd.pool().await;
    let (mut reader, writer) = pool.exec(b"sleep 0.5; exit 3").await.unwrap();
    let writing = tokio::spawn(async move { writer.write(vec![0; 64 << 20]).await });
    assert_eq!(read_all(&mut reader).await.status, Some(3));
    assert!(soon(writing).await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_brings_the_reader_to_its_end_and_frees_its_place() {
    let sshd = Sshd::start("");
    let pool = sshd.pool().await;
    let (mut reader, writer) = pool.exec(b"exec sleep 1000").await.unwrap();
    writer.signal("TERM").await.unwrap();
    writer.close().await;
    assert_eq!(soon(reader.next()).await, Event::Closed);
    assert_eq!(soon(reader.next()).await, Event::Closed);
    assert_eq!(writer.write("x").await, Err(ChannelError::Closed));
    assert_eq!(run(&pool, "echo on").await.stdout, b"on\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_is_not_an_end_of_the_command() {
    let sshd = Sshd::start("");
    let relay = Relay::to(sshd.port, Duration::ZERO).await;
    let pool = sshd::pool(sshd.plan_for(&sshd::me(), relay.port), true).await;
    let (mut reader, writer) = pool.exec(b"echo on; cat").await.unwrap();
    assert_eq!(soon(reader.next()).await, Event::Stdout("on\n".into()));
    relay.cut();
    assert_eq!(soon(reader.next()).await, Event::Lost);
    assert!(writer.write("x").await.is_err());
    soon(pool.lost()).await;
    assert!(pool.is_lost());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_flood_holds_up_nobody_but_itself() {
    let sshd = Sshd::start("");
    let pool = sshd.pool().await;
    let (mut flood, _writer) = pool.exec(b"yes").await.unwrap();
    assert!(matches!(soon(flood.next()).await, Event::Stdout(_)));
    assert!(flood.is_alone());
    assert!(flood.seclude());
    // Far more than the queue and the window take: its connection stands still.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for round in 0..3 {
        assert_eq!(
            run(&pool, &format!("echo {round}")).await.stdout,
            format!("{round}\n").as_bytes()
        );
    }
    assert!(pool.connections() >= 2);
    drop(flood);
    assert_eq!(run(&pool, "echo after").await.stdout, b"after\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_shares_its_connection_knows() {
    let sshd = Sshd::start("");
    let pool = sshd::pool(sshd.plan(), false).await;
    let (mut one, _writer) = pool.exec(b"echo; cat").await.unwrap();
    let (mut two, writer) = pool.exec(b"echo; cat").await.unwrap();
    soon(one.next()).await;
    soon(two.next()).await;
    assert!(!one.is_alone() && !two.is_alone());
    assert!(!one.seclude(), "the only connection can't be left to one channel");
    writer.eof().await.unwrap();
    read_all(&mut two).await;
    until("the first is alone", || one.is_alone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exec_costs_one_round_trip() {
    let round_trip = Duration::from_millis(100);
    let sshd = Sshd::start("");
    let relay = Relay::to(sshd.port, round_trip / 2).await;
    let pool = sshd::pool(sshd.plan_for(&sshd::me(), relay.port), true).await;
    // The first was opened on the way in; the refill takes a round trip.
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = std::time::Instant::now();
        assert_eq!(run(&pool, "true").await.status, Some(0));
        times.push(start.elapsed());
        tokio::time::sleep(round_trip * 2).await;
    }
    times.sort();
    println!("round trip {round_trip:?}, execs {times:?}");
    assert!(times[2] < round_trip * 17 / 10, "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_has_its_size_and_hears_of_another() {
    let sshd = Sshd::start("");
    let pool = sshd.pool().await;
    let size = Size::new(7, 33).unwrap();
    let command = b"trap 'stty size; exit' WINCH; stty size; tty -s && echo $TERM; while :; do sleep 0.1; done";
    let (mut reader, writer) = pool.terminal(&Wanted::ours(size), command).await.unwrap();
    let mut shown = Vec::new();
    while !shown.ends_with(b"xterm-256color\r\n") {
        let Event::Stdout(bytes) = soon(reader.next()).await else { panic!("{shown:?}") };
        shown.extend_from_slice(&bytes);
    }
    assert_eq!(shown, b"7 33\r\nxterm-256color\r\n");
    writer.resize(Size::new(50, 200).unwrap().into()).await.unwrap();
    assert_eq!(read_all(&mut reader).await.stdout, b"50 200\r\n");
    // It had its connection for itself.
    until("another connection", || pool.connections() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_the_server_does_not_give_is_refused() {
    let sshd = Sshd::start("PermitTTY no");
    let pool = sshd.pool().await;
    let (mut reader, _writer) = pool.terminal(&Wanted::ours(Size::USUAL), b"cat").await.unwrap();
    assert_eq!(soon(reader.next()).await, Event::Refused);
    assert_eq!(run(&pool, "echo on").await.stdout, b"on\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_goes_to_the_foreground_of_the_marked_terminal_alone() {
    let sshd = Sshd::start("");
    let pool = sshd.pool().await;
    let (marker, another) = ("s-2-0123456789abcdef", "s-3-0123456789abcdef");
    let job = "sh -c 'echo on; exec sleep 600'; echo status \\$?";
    let command = format!("export SGW_EXEC={marker}; exec bash --norc -ic \"{job}\"");
    let (mut reader, _writer) =
        pool.terminal(&Wanted::ours(Size::USUAL), command.as_bytes()).await.unwrap();
    let command = format!("export SGW_EXEC={another}; sleep 601");
    let (mut other, _typed) =
        pool.terminal(&Wanted::ours(Size::USUAL), command.as_bytes()).await.unwrap();
    assert_eq!(soon(reader.next()).await, Event::Stdout("on\r\n".into()));
    assert!(pool.signal_foreground(marker, "USR1").await);
    let shown = read_all(&mut reader).await.stdout;
    assert!(String::from_utf8_lossy(&shown).contains("status 138"), "{shown:?}");
    assert!(!pool.signal_foreground(marker, "USR1").await, "there is nobody any more");
    assert!(!pool.signal_foreground("s-2-'; id; '0", "USR1").await);
    let pending = timeout(Duration::from_millis(100), other.next()).await;
    assert!(pending.is_err(), "the other one got it: {pending:?}");
}
