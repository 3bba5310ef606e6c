//! Output under clients that come, stall, acknowledge in part and vanish; under floods; on a full disk.

use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{history::Piece, *};
use crate::daemon::session::spool::{Allowance, SESSION_BUDGET};
use Stream::{Stderr, Stdout};

struct Setup {
    _home: tempfile::TempDir,
    spool: Spool,
    output: Output<i32>,
}

fn setup() -> Setup {
    with_budget(SESSION_BUDGET, 16 << 20)
}

fn with_budget(budget: u64, recent: usize) -> Setup {
    let home = tempfile::tempdir().unwrap();
    let spool = Spool::new(home.path(), budget, Allowance::new(recent));
    let output = Output::new(&spool);
    Setup { _home: home, spool, output }
}

/// What stands at an offset of a stream, so that every chunk can be checked by itself. The pattern
/// repeats after a prime, so that it fits no block.
fn bytes_from(stream: Stream, offset: u64, len: usize) -> Vec<u8> {
    const PERIOD: usize = 65_521;
    static PATTERN: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0..PERIOD).map(|at| (at * 31 + (at >> 8)) as u8).collect());
    let start = (offset as usize + stream.index() * 1000) % PERIOD;
    let mut bytes = PATTERN[start..].to_vec();
    while bytes.len() < len {
        bytes.extend_from_slice(&PATTERN);
    }
    bytes.truncate(len);
    bytes
}

async fn print(output: &Output<i32>, stream: Stream, len: usize) {
    let bytes = bytes_from(stream, output.printed(stream), len);
    output.push(stream, &bytes).await.unwrap();
}

fn check(chunk: &Chunk) {
    assert!((1..=CHUNK).contains(&chunk.bytes.len()));
    assert!(
        chunk.bytes == bytes_from(chunk.stream, chunk.offset, chunk.bytes.len()),
        "at {}",
        chunk.offset
    );
}

/// `None` when nothing is ready.
async fn poll_next(attachment: &mut Attachment<i32>) -> Option<Next<i32>> {
    // Reading a block takes another thread and a moment; waiting for a client's word takes for ever.
    tokio::time::timeout(Duration::from_millis(300), attachment.next())
        .await
        .ok()
        .map(Result::unwrap)
}

/// Everything until the end, acknowledged as it comes.
async fn collect(attachment: &mut Attachment<i32>) -> ([Vec<u8>; 2], i32) {
    let mut got = [Vec::new(), Vec::new()];
    loop {
        match attachment.next().await.unwrap() {
            Next::Chunk(chunk) => {
                check(&chunk);
                got[chunk.stream.index()].extend_from_slice(&chunk.bytes);
                attachment.ack(chunk.stream, chunk.offset + chunk.bytes.len() as u64).unwrap();
            }
            Next::Gone(_) => panic!("gone"),
            Next::Ended(result) => return (got, result),
        }
    }
}

async fn settled(output: &Output<i32>) {
    let start = Instant::now();
    while output.0.lock().sealing {
        assert!(start.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn read_history(output: &Output<i32>) -> Vec<Piece> {
    let mut history = output.history(0);
    let mut pieces = Vec::new();
    while let Some(piece) = history.next().await.unwrap() {
        pieces.push(piece);
    }
    pieces
}

#[tokio::test]
async fn a_small_output_touches_no_file() {
    let Setup { _home, spool, output, .. } = setup();
    print(&output, Stdout, 20).await;
    print(&output, Stderr, SMALL - 100).await;
    output.finish(3);
    let ([out, err], result) = collect(&mut output.attach().await).await;
    assert_eq!((out.len(), err.len(), result), (20, SMALL - 100, 3));
    settled(&output).await;
    assert_eq!(spool.used(), 0);
    assert_eq!(read_history(&output).await.len(), 2);
}

#[tokio::test]
async fn order_between_the_streams_is_kept() {
    let Setup { _home, output, .. } = setup();
    for (stream, len) in [(Stdout, 3), (Stderr, 2), (Stdout, 1), (Stdout, 1)] {
        print(&output, stream, len).await;
    }
    let mut attachment = output.attach().await;
    let mut seen = Vec::new();
    while let Some(Next::Chunk(chunk)) = poll_next(&mut attachment).await {
        seen.push((chunk.stream, chunk.offset, chunk.bytes.len()));
    }
    assert_eq!(seen, [(Stdout, 0, 3), (Stderr, 0, 2), (Stdout, 3, 2)]);
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_and_the_rest_does_not() {
    let Setup { _home, output, .. } = setup();
    for _ in 0..3 {
        print(&output, Stdout, 10).await;
        print(&output, Stderr, 10).await;
    }
    let mut first = output.attach().await;
    while poll_next(&mut first).await.is_some() {}
    first.ack(Stderr, 25).unwrap();
    first.ack(Stdout, 5).unwrap();
    first.ack(Stdout, 2).unwrap();
    drop(first);
    output.finish(0);
    let mut second = output.attach().await;
    let mut seen = Vec::new();
    while let Next::Chunk(chunk) = second.next().await.unwrap() {
        check(&chunk);
        seen.push((chunk.stream, chunk.offset, chunk.bytes.len()));
    }
    assert_eq!(seen, [(Stdout, 5, 5), (Stdout, 10, 10), (Stdout, 20, 10), (Stderr, 25, 5)]);
    second.ack(Stdout, 30).unwrap();
    second.ack(Stderr, 30).unwrap();
    drop(second);
    assert_eq!(output.attach().await.next().await, Ok(Next::Ended(0)));
    assert_eq!(output.result(), Some(0));
}

#[tokio::test]
async fn nobody_can_acknowledge_what_was_not_sent() {
    let Setup { _home, output, .. } = setup();
    print(&output, Stdout, 10).await;
    let mut attachment = output.attach().await;
    assert_eq!(attachment.ack(Stdout, 1), Err(NotSent));
    attachment.next().await.unwrap();
    assert_eq!(attachment.ack(Stdout, 11), Err(NotSent));
    assert_eq!(attachment.ack(Stderr, u64::MAX), Err(NotSent));
    assert_eq!(attachment.ack(Stdout, 10), Ok(()));
    assert_eq!(output.pending(), 0);
}

#[tokio::test]
async fn a_client_that_does_not_acknowledge_gets_one_mebibyte() {
    let Setup { _home, output, .. } = setup();
    print(&output, Stderr, 1).await;
    for _ in 0..30 {
        print(&output, Stdout, 100_000).await;
    }
    let mut attachment = output.attach().await;
    let mut handed = 0;
    let mut last = 0;
    while let Some(Next::Chunk(chunk)) = poll_next(&mut attachment).await {
        handed += chunk.bytes.len() as u64;
        last = chunk.offset + chunk.bytes.len() as u64;
    }
    assert_eq!(handed, WINDOW);
    // Half an acknowledgement is none: the other stream's byte keeps the window shut, and what lies
    // behind it bounded.
    attachment.ack(Stdout, last).unwrap();
    assert_eq!(poll_next(&mut attachment).await, None);
    attachment.ack(Stderr, 1).unwrap();
    assert!(poll_next(&mut attachment).await.is_some());
}

#[tokio::test]
async fn one_client_at_a_time_in_the_order_they_came() {
    let Setup { _home, output, .. } = setup();
    let first = output.attach().await;
    assert!(output.try_attach().is_none());
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    for number in 0..3 {
        let (output, order) = (output.clone(), Arc::clone(&order));
        waiting.push(tokio::spawn(async move {
            let _attachment = output.attach().await;
            order.lock().unwrap().push(number);
        }));
        tokio::task::yield_now().await;
    }
    waiting.remove(1).abort();
    drop(first);
    for task in waiting {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 2]);
    assert!(!output.attached());
}

#[tokio::test]
async fn room_depends_on_who_listens_and_on_who_shares_the_connection() {
    let Setup { _home, output, .. } = setup();
    let mut push = Vec::new();
    push.resize(1 << 20, b'x');
    assert_eq!((output.room(true), output.room(false)), (Room::Open, Room::Open));
    output.push(Stdout, &push).await.unwrap();
    assert_eq!((output.room(true), output.room(false)), (Room::Open, Room::Open));
    output.push(Stdout, b"y").await.unwrap();
    assert_eq!((output.room(true), output.room(false)), (Room::Behind, Room::Behind));
    let attachment = output.attach().await;
    assert_eq!((output.room(true), output.room(false)), (Room::Full, Room::Behind));
    drop(attachment);
    let most = vec![b'x'; (FULL_SHARED + WINDOW) as usize];
    assert_eq!(output.push(Stdout, &most).await, Err(Overflow));
    assert_eq!(output.pending(), (1 << 20) + 1);
}

#[test]
fn each_cap_is_where_it_is_said_to_be() {
    let (hold, attached) = (true, true);
    for (hold, attached, full) in [
        (hold, attached, FULL_ATTACHED),
        (hold, false, FULL_ABSENT),
        (false, attached, FULL_SHARED),
        (false, false, FULL_SHARED),
    ] {
        assert_eq!(room(0, hold, attached), Room::Open);
        assert_eq!(room(full, hold, attached), Room::Full);
        let just_under = if full > BEHIND { Room::Behind } else { Room::Open };
        assert_eq!(room(full - 1, hold, attached), just_under);
    }
    assert_eq!(
        (room(BEHIND, hold, false), room(BEHIND + 1, hold, false)),
        (Room::Open, Room::Behind)
    );
}

#[tokio::test]
async fn the_producer_wakes_when_the_client_has_caught_up() {
    let Setup { _home, output, .. } = setup();
    for _ in 0..20 {
        print(&output, Stdout, 100_000).await;
    }
    let mut attachment = output.attach().await;
    assert_eq!(output.room(true), Room::Full);
    let waiting = tokio::spawn({
        let output = output.clone();
        async move { output.wait_for_room(true).await }
    });
    let mut acked = 0;
    while acked < 1_000_000 {
        let Next::Chunk(chunk) = attachment.next().await.unwrap() else { panic!() };
        check(&chunk);
        acked = chunk.offset + chunk.bytes.len() as u64;
        attachment.ack(chunk.stream, acked).unwrap();
    }
    assert_eq!(waiting.await.unwrap(), Room::Open);
}

/// The reader stalls first, so that all caps are met, and acknowledges late throughout. Returns the
/// most that was in memory.
async fn flood(output: &Output<i32>, total: u64) -> usize {
    let producer = tokio::spawn({
        let output = output.clone();
        async move {
            let piece: Vec<u8> = (0..32_768u32).map(|at| (at >> 3) as u8).collect();
            let mut most = 0;
            for number in 0..total / piece.len() as u64 {
                output.wait_for_room(true).await;
                let stream = if number % 97 == 0 { Stderr } else { Stdout };
                output.push(stream, &piece).await.unwrap();
                most = most.max(output.held_in_memory());
            }
            output.finish(0);
            most
        }
    });
    while output.room(true) != Room::Full {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut attachment = output.attach().await;
    let mut unacked = Vec::new();
    let (mut got, mut next) = (0, [0, 0]);
    loop {
        let Next::Chunk(chunk) = attachment.next().await.unwrap() else { break };
        let end = chunk.offset + chunk.bytes.len() as u64;
        assert_eq!(std::mem::replace(&mut next[chunk.stream.index()], end), chunk.offset);
        for at in (0..chunk.bytes.len()).step_by(997) {
            assert_eq!(chunk.bytes[at], (((chunk.offset + at as u64) % 32_768) >> 3) as u8);
        }
        got += chunk.bytes.len() as u64;
        unacked.push((chunk.stream, end));
        if unacked.len() >= 8 {
            for (stream, end) in unacked.drain(..) {
                attachment.ack(stream, end).unwrap();
            }
        }
    }
    assert_eq!(got, total);
    for (stream, end) in unacked {
        attachment.ack(stream, end).unwrap();
    }
    settled(output).await;
    assert_eq!(output.held_in_memory(), 0);
    producer.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_goes_through_in_flat_memory() {
    let Setup { _home, spool, output } = setup();
    let most = flood(&output, 1 << 30).await;
    // The window in memory, as much in flight to the disk, and the tail of history in its allowance.
    assert!(most <= 2 * MEMORY + HISTORY_TAIL as usize + 6 * CHUNK, "{most}");
    assert!(spool.used() <= HISTORY_HEAD + HISTORY_TAIL + 4 * CHUNK as u64, "{}", spool.used());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_disk_a_flood_goes_through_at_the_pace_of_its_client() {
    for recent in [0, 16 << 20] {
        let spool =
            Spool::new(Path::new("/nonexistent/dir"), SESSION_BUDGET, Allowance::new(recent));
        let most = flood(&Output::new(&spool), 50 << 20).await;
        assert!(most <= 2 * MEMORY + recent + 6 * CHUNK, "{most}");
    }
}

#[tokio::test]
async fn history_is_head_and_tail_and_says_what_is_missing() {
    for recent in [0, 16 << 20] {
        let Setup { _home, output, .. } = with_budget(SESSION_BUDGET, recent);
        let mut attachment = output.attach().await;
        let total = 11_400_000;
        for number in 0..114 {
            print(&output, if number % 2 == 0 { Stdout } else { Stderr }, 100_000).await;
            while output.pending() > 0 {
                let Next::Chunk(chunk) = attachment.next().await.unwrap() else { panic!() };
                let end = chunk.offset + chunk.bytes.len() as u64;
                attachment.ack(chunk.stream, end).unwrap();
            }
        }
        output.finish(0);
        settled(&output).await;
        let pieces = read_history(&output).await;
        let (mut end, mut gaps, mut head) = (0, Vec::new(), 0);
        for piece in &pieces {
            if piece.position != end {
                head = end;
                gaps.push(piece.position - end);
            }
            // 100,000 of each stream in turn.
            let (round, rest) = (piece.position / 200_000, piece.position % 200_000);
            let stream = if rest < 100_000 { Stdout } else { Stderr };
            assert_eq!(piece.stream, stream);
            let offset = round * 100_000 + rest % 100_000;
            assert!(piece.bytes == bytes_from(stream, offset, piece.bytes.len()));
            end = piece.position + piece.bytes.len() as u64;
        }
        assert_eq!((end, gaps.len()), (total, 1));
        assert!(head >= HISTORY_HEAD && total - head - gaps[0] >= HISTORY_TAIL);
        assert!(gaps[0] >= total - HISTORY_HEAD - HISTORY_TAIL - 3 * CHUNK as u64);
        assert!(gaps[0] > 0);
        let from = total - 150_000;
        assert_eq!(output.history(from).next().await.unwrap().unwrap().position, from);
        assert_eq!(output.held_in_memory(), 0);
    }
}

#[tokio::test]
async fn history_goes_on_while_the_command_prints() {
    let Setup { _home, output, .. } = setup();
    let mut history = output.history(0);
    assert_eq!(history.next().await, Ok(None));
    for position in 0..3 {
        print(&output, Stdout, 1).await;
        assert_eq!(history.next().await.unwrap().unwrap().position, position);
        assert_eq!(history.next().await, Ok(None));
    }
}

#[tokio::test]
async fn without_a_disk_delivery_is_exact_and_bounded_and_history_is_not_pretended() {
    let spool = Spool::new(Path::new("/nonexistent/dir"), SESSION_BUDGET, Allowance::new(0));
    let output = Output::new(&spool);
    let mut printed = 0;
    while output.room(false) != Room::Full {
        print(&output, Stdout, 30_000).await;
        printed += 30_000;
        settled(&output).await;
        assert!(printed < 2 * MEMORY);
    }
    assert_eq!(output.trouble(), Some(SpoolError::Disk(std::io::ErrorKind::NotFound)));
    output.finish(0);
    let ([out, _], _) = collect(&mut output.attach().await).await;
    assert_eq!(out.len(), printed);
    settled(&output).await;
    assert_eq!(read_history(&output).await, []);
}

#[tokio::test]
async fn a_full_spool_takes_the_history_of_finished_commands_first() {
    let setup = with_budget(2 << 20, 0);
    let old = &setup.output;
    print(old, Stdout, 1 << 20).await;
    old.finish(0);
    collect(&mut old.attach().await).await;
    settled(old).await;
    assert!(setup.spool.used() >= 1 << 20);
    assert!(!old.history_gone());
    let new = Output::new(&setup.spool);
    print(&new, Stdout, 5 << 19).await;
    settled(&new).await;
    assert!(old.history_gone());
    assert_eq!(read_history(old).await, []);
    assert_eq!(old.result(), Some(0));
    new.finish(1);
    let ([out, _], _) = collect(&mut new.attach().await).await;
    assert_eq!(out.len(), 5 << 19);
}

#[tokio::test]
async fn what_nobody_came_for_in_a_day_is_told_as_gone() {
    let Setup { _home, spool, output, .. } = setup();
    print(&output, Stdout, 3 << 20).await;
    let mut first = output.attach().await;
    let Next::Chunk(chunk) = first.next().await.unwrap() else { panic!() };
    first.ack(Stdout, chunk.bytes.len() as u64).unwrap();
    output.finish(7);
    spool.forget_finished_before(Instant::now());
    assert!(first.next().await.is_ok_and(|next| matches!(next, Next::Chunk(_))));
    drop(first);
    settled(&output).await;
    spool.forget_finished_before(Instant::now());
    assert_eq!((spool.used(), output.held_in_memory()), (0, 0));
    for _ in 0..2 {
        let mut later = output.attach().await;
        let gone = (3 << 20) - chunk.bytes.len() as u64;
        assert_eq!(later.next().await, Ok(Next::Gone(gone)));
        assert_eq!(later.next().await, Ok(Next::Ended(7)));
    }
}

#[tokio::test]
async fn a_next_that_was_given_up_has_handed_out_nothing() {
    let Setup { _home, output, .. } = setup();
    print(&output, Stdout, 4 << 20).await;
    settled(&output).await;
    output.finish(0);
    let mut attachment = output.attach().await;
    let mut expected = 0;
    loop {
        // Polled once and dropped: in the middle of reading where the block is on disk.
        let once = {
            let next = attachment.next();
            tokio::pin!(next);
            futures::poll!(next)
        };
        let next = match once {
            std::task::Poll::Ready(next) => next.unwrap(),
            std::task::Poll::Pending => attachment.next().await.unwrap(),
        };
        let Next::Chunk(chunk) = next else { break };
        check(&chunk);
        assert_eq!(chunk.offset, expected);
        expected += chunk.bytes.len() as u64;
        attachment.ack(Stdout, expected).unwrap();
    }
    assert_eq!(expected, 4 << 20);
}

#[derive(Clone, Debug)]
enum Op {
    Print(bool, usize),
    Read(usize),
    AckAll,
    AckHalf(bool),
    Leave,
    LetGo,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let size = prop_oneof![0usize..50, 0usize..5_000, 60_000usize..70_000, 0usize..700_000];
    let op = prop_oneof![
        8 => (any::<bool>(), size).prop_map(|(err, len)| Op::Print(err, len)),
        8 => (0usize..40).prop_map(Op::Read),
        2 => Just(Op::AckAll),
        3 => any::<bool>().prop_map(Op::AckHalf),
        1 => Just(Op::Leave),
        1 => Just(Op::LetGo),
    ];
    prop::collection::vec(op, 0..60)
}

/// Whatever happens, each client gets each stream from the acknowledged offset on, without a hole.
async fn play(ops: Vec<Op>) {
    let Setup { _home, output, .. } = with_budget(SESSION_BUDGET, 1 << 20);
    let mut attachment = output.attach().await;
    let (mut acked, mut got) = ([0u64; 2], [0u64; 2]);
    for op in ops {
        match op {
            Op::Print(err, len) => print(&output, if err { Stderr } else { Stdout }, len).await,
            Op::Read(count) => {
                for _ in 0..count {
                    let next = tokio::time::timeout(Duration::from_millis(1), attachment.next());
                    let Ok(Ok(Next::Chunk(chunk))) = next.await else { break };
                    check(&chunk);
                    let got = &mut got[chunk.stream.index()];
                    assert_eq!(chunk.offset, *got);
                    *got += chunk.bytes.len() as u64;
                }
            }
            Op::AckAll => {
                acked = got;
                attachment.ack(Stdout, got[0]).unwrap();
                attachment.ack(Stderr, got[1]).unwrap();
            }
            Op::AckHalf(err) => {
                let (stream, at) = if err { (Stderr, 1) } else { (Stdout, 0) };
                acked[at] += (got[at] - acked[at]).div_ceil(2);
                attachment.ack(stream, acked[at]).unwrap();
            }
            Op::Leave => {
                drop(attachment);
                attachment = output.attach().await;
                got = acked;
            }
            Op::LetGo => {
                output.0.let_go(LetGo::History);
            }
        }
        assert_eq!(
            output.pending(),
            output.printed(Stdout) + output.printed(Stderr) - acked[0] - acked[1]
        );
    }
    attachment.ack(Stdout, got[0]).unwrap();
    attachment.ack(Stderr, got[1]).unwrap();
    output.finish(0);
    let (rest, _) = collect(&mut attachment).await;
    assert_eq!(got[0] + rest[0].len() as u64, output.printed(Stdout));
    assert_eq!(got[1] + rest[1].len() as u64, output.printed(Stderr));
    settled(&output).await;
    let memory = output.held_in_memory();
    assert!(memory <= SMALL, "{memory}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn every_client_gets_every_byte_from_where_the_last_one_was(ops in ops()) {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
            .block_on(play(ops));
    }
}
