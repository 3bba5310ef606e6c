//! Many at once, few places, and connections that go away.

use futures::future::join_all;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_all_run() {
    let sshd = Sshd::start("");
    let pool = sshd.pool().await;
    let start = std::time::Instant::now();
    let all = join_all((0..50).map(|number| {
        let pool = Arc::clone(&pool);
        async move { run(&pool, &format!("sleep 2; echo {number}")).await }
    }));
    for (number, ran) in all.await.iter().enumerate() {
        assert_eq!(ran.stdout, format!("{number}\n").as_bytes());
    }
    println!("{:?} with {} connections", start.elapsed(), pool.connections());
    assert!((6..=16).contains(&pool.connections()), "{}", pool.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_one_session_a_connection_is_enough() {
    let sshd = Sshd::start("MaxSessions 1");
    let pool = sshd.pool().await;
    let all = join_all((0..5).map(|number| {
        let pool = Arc::clone(&pool);
        async move { run(&pool, &format!("sleep 1; echo {number}")).await }
    }));
    for (number, ran) in all.await.iter().enumerate() {
        assert_eq!(ran.stdout, format!("{number}\n").as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_and_one_place_are_used_in_turn() {
    let sshd = Sshd::start("MaxSessions 1");
    let pool = sshd::pool(sshd.plan(), false).await;
    let all = join_all((0..4).map(|_| run(&pool, "sleep 0.3; echo x")));
    assert!(all.await.iter().all(|ran| ran.stdout == b"x\n"));
    assert_eq!(pool.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_not_learned_from_channels_that_are_just_closing() {
    let sshd = Sshd::start("MaxSessions 3");
    let pool = sshd::pool(sshd.plan(), false).await;
    for _ in 0..10 {
        join_all((0..4).map(|_| run(&pool, "true"))).await;
    }
    // Two for work, one kept.
    let one = soon(pool.exec(b"cat")).await.unwrap();
    let two = soon(pool.exec(b"cat")).await.unwrap();
    assert_eq!(
        pool.end_processes(&[String::from("x-4fk-0123456789abcdef")]).await,
        RemoteEnd::Ended
    );
    drop((one, two));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_exec_after_another_needs_one_connection() {
    let sshd = Sshd::start("");
    let pool = sshd.pool().await;
    for _ in 0..20 {
        assert_eq!(run(&pool, "echo x").await.stdout, b"x\n");
    }
    assert_eq!(pool.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_execs_spread_over_connections() {
    let sshd = Sshd::start("");
    let pool = sshd.pool().await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(pool.exec(b"cat").await.unwrap());
    }
    until("a second connection", || pool.connections() == 2).await;
    let (reader, _writer) = pool.exec(b"cat").await.unwrap();
    until("nothing else is opened there", || reader.is_alone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_pool_connects_again_and_stale_channels_are_not_handed_out() {
    let sshd = Sshd::start("");
    let relay = Relay::to(sshd.port, Duration::ZERO).await;
    let pool = sshd::pool(sshd.plan_for(&sshd::me(), relay.port), true).await;
    for _ in 0..3 {
        relay.cut();
        soon(pool.lost()).await;
        assert_eq!(run(&pool, "echo again").await.stdout, b"again\n");
    }
    relay.shut();
    soon(pool.lost()).await;
    let Err(OpenError::Connect(error)) = soon(pool.open()).await else { panic!("it opened") };
    assert!(matches!(error.cause, ConnectFault::Unreachable(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_for_one_connection_is_not_used_twice() {
    let sshd = Sshd::start("");
    let relay = Relay::to(sshd.port, Duration::ZERO).await;
    let pool = sshd::pool(sshd.plan_for(&sshd::me(), relay.port), false).await;
    relay.cut();
    soon(pool.lost()).await;
    assert!(matches!(soon(pool.open()).await, Err(OpenError::Lost)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_not_tried_again_until_somebody_needs_it() {
    let sshd = Sshd::start("");
    let relay = Relay::to(sshd.port, Duration::ZERO).await;
    let pool = sshd::pool(sshd.plan_for(&sshd::me(), relay.port), true).await;
    let (reader, _writer) = soon(pool.exec(b"cat")).await.unwrap();
    relay.refuse();
    // The only connection becomes one channel's own, and the next can't be made: five tries.
    assert!(reader.seclude());
    until("the next was tried", || relay.taken() == 6).await;
    until("it was given up", || pool.being_made() == 0).await;
    assert_eq!(relay.taken(), 6);
    // Nor is what is lost.
    relay.cut();
    soon(pool.lost()).await;
    assert_eq!(pool.being_made(), 0);
    assert_eq!(relay.taken(), 6);
    assert!(matches!(soon(pool.open()).await, Err(OpenError::Connect(_))));
    assert_eq!(relay.taken(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_channel_with_a_connection_of_its_own_one_stays_for_the_next() {
    let sshd = Sshd::start("");
    let relay = Relay::to(sshd.port, Duration::ZERO).await;
    let pool = sshd::pool(sshd.plan_for(&sshd::me(), relay.port), true).await;
    let (reader, _writer) = soon(pool.exec(b"cat")).await.unwrap();
    assert!(reader.seclude());
    until("a second connection", || pool.connections() == 2).await;
    // However long nobody uses it: given back, it would be made anew at once.
    for _ in 0..50 {
        assert!(pool.surplus(Duration::ZERO).is_empty());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(run(&pool, "echo x").await.stdout, b"x\n");
    assert_eq!((pool.connections(), relay.taken()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn further_connections_go_by_the_pins() {
    let sshd = Sshd::start("");
    let relay = Relay::to(sshd.port, Duration::ZERO).await;
    let plan = Arc::new(sshd.plan_for(&sshd::me(), relay.port));
    let first = connect(&plan, Judge::trusting()).await.unwrap();
    let elsewhere = Judge::pinned(&[sshd::new_key().public_key().clone()]);
    let pool = Pool::new(plan, elsewhere, first, PoolOptions { ahead: 1 });
    relay.cut();
    soon(pool.lost()).await;
    let Err(OpenError::Connect(error)) = soon(pool.open()).await else { panic!("it opened") };
    assert!(matches!(error.cause, ConnectFault::HostKey(HostKeyRefusal::Changed { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_went_silent_is_noticed() {
    let sshd = Sshd::start("");
    let relay = Relay::to(sshd.port, Duration::ZERO).await;
    let idle = sshd::pool(sshd.plan_for(&sshd::me(), relay.port), false).await;
    let pool = sshd::pool(sshd.plan_for(&sshd::me(), relay.port), false).await;
    let (mut reader, writer) = pool.exec(b"echo; cat > /dev/null").await.unwrap();
    soon(reader.next()).await;
    relay.hold();
    // Enough to get stuck in: then russh is past sending keepalives.
    let writing = tokio::spawn(async move { writer.write(vec![0; 64 << 20]).await });
    assert_eq!(soon(reader.next()).await, Event::Lost);
    assert!(soon(writing).await.unwrap().is_err());
    soon(idle.lost()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_connection_keeps_a_place_for_ending_processes() {
    let sshd = Sshd::start("");
    let pool = sshd::pool(sshd.plan(), false).await;
    let mut held = Vec::new();
    for _ in 0..9 {
        held.push(soon(pool.exec(b"echo; cat")).await.unwrap());
    }
    let marker = String::from("x-4fk-0123456789abcdef");
    assert_eq!(pool.end_processes(&[marker]).await, RemoteEnd::Ended);
    let waiting = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { run(&pool, "echo at last").await }
    });
    for (reader, _writer) in &mut held {
        assert!(matches!(soon(reader.next()).await, Event::Stdout(_)));
    }
    assert!(!waiting.is_finished());
    held.pop();
    held.pop();
    assert_eq!(soon(waiting).await.unwrap().stdout, b"at last\n");
    assert_eq!(pool.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_ends_every_reader() {
    let sshd = Sshd::start("");
    let pool = sshd.pool().await;
    let (mut reader, _writer) = pool.exec(b"cat").await.unwrap();
    let start = std::time::Instant::now();
    pool.close().await;
    assert!(start.elapsed() < Duration::from_secs(3));
    assert_eq!(soon(reader.next()).await, Event::Closed);
    assert!(pool.is_lost());
    assert!(matches!(pool.open().await, Err(OpenError::Closed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pool_has_forgotten_how_to_log_in() {
    let sshd = Sshd::start("");
    let relay = Relay::to(sshd.port, Duration::from_millis(200)).await;
    let plan = Arc::new(sshd.plan_for(&sshd::me(), relay.port));
    let credentials: Vec<_> = plan.hops[0].credentials.iter().map(Arc::downgrade).collect();
    let first = connect(&plan, Judge::trusting()).await.unwrap();
    let options = PoolOptions { ahead: 1 };
    let pool = Pool::new(plan, Judge::trusting(), first, options);
    // Two that share a connection make it log in on another, which the end must cut off.
    let _held = (soon(pool.exec(b"cat")).await.unwrap(), soon(pool.exec(b"cat")).await.unwrap());
    assert!(!credentials.is_empty() && credentials.iter().all(|one| one.upgrade().is_some()));
    soon(pool.close()).await;
    until("no credential is left", || credentials.iter().all(|one| one.upgrade().is_none())).await;
    assert!(matches!(pool.exec(b"true").await, Err(OpenError::Closed)));
}
