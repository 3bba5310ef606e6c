//! Honest ends understand each other however the bytes are cut; nobody else gets a word in.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use proptest::prelude::*;
use tokio::io::{DuplexStream, ReadBuf, ReadHalf, WriteHalf, duplex, split};

use super::*;

type End = Session<ReadHalf<DuplexStream>, WriteHalf<DuplexStream>>;

const SOON: Duration = Duration::from_secs(10);

fn key(byte: u8) -> Key {
    session_key(&DataKey::new([byte; 32]))
}

async fn client(stream: DuplexStream, key: &Key, hellos: &[u8]) -> Result<End, NoiseError> {
    let (reader, writer) = split(stream);
    initiate(reader, writer, key, hellos, SOON).await
}

async fn daemon(stream: DuplexStream, key: &Key, hellos: &[u8]) -> Result<End, NoiseError> {
    let (reader, writer) = split(stream);
    respond(reader, writer, key, hellos, SOON).await
}

async fn proven(buffer: usize) -> (End, End) {
    let (near, far) = duplex(buffer);
    let key = key(1);
    let (client, daemon) = tokio::join!(client(near, &key, b"hi"), daemon(far, &key, b"hi"));
    (client.unwrap(), daemon.unwrap())
}

/// A client and a daemon with all that the client sent after the handshake caught in between, as it
/// is on the wire: one message for each of `texts`.
async fn caught(
    texts: &[&[u8]],
) -> (Vec<Vec<u8>>, NoiseReader<ReadHalf<DuplexStream>>, WriteHalf<DuplexStream>) {
    let (near, mut near_wire) = duplex(1 << 20);
    let (far, mut far_wire) = duplex(1 << 20);
    let key = key(1);
    let relay = async {
        copy_message(&mut near_wire, &mut far_wire).await;
        copy_message(&mut far_wire, &mut near_wire).await;
        copy_message(&mut near_wire, &mut far_wire).await;
    };
    let (client, daemon, ()) =
        tokio::join!(client(near, &key, b"hi"), daemon(far, &key, b"hi"), relay);
    let mut writer = client.unwrap().writer;
    let mut messages = Vec::new();
    for text in texts {
        writer.write_all(text).await.unwrap();
        writer.flush().await.unwrap();
        messages.push(take_message(&mut near_wire).await);
    }
    let (_, to_daemon) = split(far_wire);
    (messages, daemon.unwrap().reader, to_daemon)
}

async fn take_message(from: &mut DuplexStream) -> Vec<u8> {
    let length = from.read_u16().await.unwrap();
    let mut message = length.to_be_bytes().to_vec();
    message.resize(2 + usize::from(length), 0);
    from.read_exact(&mut message[2..]).await.unwrap();
    message
}

async fn copy_message(from: &mut DuplexStream, to: &mut DuplexStream) {
    let message = take_message(from).await;
    to.write_all(&message).await.unwrap();
}

async fn read_error(reader: &mut NoiseReader<ReadHalf<DuplexStream>>) -> io::ErrorKind {
    reader.read_to_end(&mut Vec::new()).await.unwrap_err().kind()
}

#[tokio::test]
async fn both_ways_at_once_and_to_the_end() {
    let (client, daemon) = proven(1000).await;
    let text: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
    let echo = async {
        let End { mut reader, mut writer } = daemon;
        tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let End { mut reader, mut writer } = client;
    let mut back = Vec::new();
    let say = async {
        writer.write_all(&text).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let hear = async { reader.read_to_end(&mut back).await.unwrap() };
    tokio::join!(echo, say, hear);
    assert_eq!(back, text);
}

#[tokio::test]
async fn nothing_crosses_in_clear() {
    let (messages, _, _) = caught(&[b"canary canary canary"]).await;
    assert!(!messages[0].windows(6).any(|window| window == b"canary"));
}

#[tokio::test]
async fn another_key_fails_on_both_sides() {
    let (near, far) = duplex(1000);
    let (mine, other) = (key(1), key(2));
    let (client, daemon) = tokio::join!(client(near, &mine, b"hi"), daemon(far, &other, b"hi"));
    assert!(matches!(client.unwrap_err(), NoiseError::Unproven));
    assert!(matches!(daemon.unwrap_err(), NoiseError::Unproven));
}

#[tokio::test]
async fn a_daemon_without_the_key_learns_nothing_and_is_refused() {
    let (near, mut far) = duplex(1000);
    let fake = async {
        take_message(&mut far).await;
        far.write_all(&[&[0, 48][..], &[9; 48]].concat()).await.unwrap();
        // Not even the confirmation comes.
        far.read_to_end(&mut Vec::new()).await.unwrap()
    };
    let key = key(1);
    let (client, after) = tokio::join!(client(near, &key, b"hi"), fake);
    assert!(matches!(client.unwrap_err(), NoiseError::Unproven));
    assert_eq!(after, 0);
}

#[tokio::test]
async fn a_hello_that_was_changed_on_the_way_fails() {
    let (near, far) = duplex(1000);
    let key = key(1);
    let (client, daemon) = tokio::join!(client(near, &key, b"v2"), daemon(far, &key, b"v1"));
    assert!(client.is_err() && daemon.is_err());
}

#[tokio::test]
async fn a_replayed_first_message_proves_nothing() {
    let (near, mut wire) = duplex(1000);
    let key = key(1);
    let first = {
        let mut client = std::pin::pin!(client(near, &key, b"hi"));
        tokio::select! {
            _ = &mut client => unreachable!(),
            first = take_message(&mut wire) => first,
        }
    };
    for after in [vec![], vec![0, 16], [&[0, 16][..], &[0; 16]].concat(), first.clone()] {
        let (far, mut attacker) = duplex(1000);
        let attack = async {
            attacker.write_all(&first).await.unwrap();
            take_message(&mut attacker).await;
            attacker.write_all(&after).await.unwrap();
            drop(attacker);
        };
        let (daemon, ()) = tokio::join!(daemon(far, &key, b"hi"), attack);
        assert!(matches!(daemon.unwrap_err(), NoiseError::Unproven));
    }
}

#[tokio::test]
async fn a_silent_other_end_is_not_waited_for() {
    let key = key(1);
    let soon = Duration::from_millis(20);
    let (near, _silent) = duplex(1000);
    let (reader, writer) = split(near);
    let error = initiate(reader, writer, &key, b"hi", soon).await.unwrap_err();
    assert!(matches!(error, NoiseError::Late));
    let (far, mut half) = duplex(1000);
    half.write_all(&[0, 48, 1, 2, 3]).await.unwrap();
    let (reader, writer) = split(far);
    let error = respond(reader, writer, &key, b"hi", soon).await.unwrap_err();
    assert!(matches!(error, NoiseError::Late));
}

#[tokio::test]
async fn odd_first_messages_are_refused_at_once() {
    for odd in [&[0, 0][..], &[0xff, 0xff], &[0, 47], b"GET / HTTP/1.1\r\n"] {
        let (far, mut attacker) = duplex(1000);
        attacker.write_all(odd).await.unwrap();
        assert!(matches!(daemon(far, &key(1), b"hi").await.unwrap_err(), NoiseError::Unproven));
    }
}

#[tokio::test]
async fn repeated_reordered_dropped_and_empty_messages_end_the_session() {
    let texts: [&[u8]; 3] = [b"one", b"two", b"three"];
    for (order, heard) in [(&[0, 0][..], 3), (&[1], 0), (&[0, 2], 3), (&[0, 1, 2, 1], 11)] {
        let (messages, mut reader, mut wire) = caught(&texts).await;
        for index in order {
            wire.write_all(&messages[*index]).await.unwrap();
        }
        let mut text = Vec::new();
        let error = reader.read_to_end(&mut text).await.unwrap_err();
        assert_eq!((error.kind(), text.len()), (io::ErrorKind::InvalidData, heard), "{order:?}");
        // And stays ended.
        wire.write_all(&messages[0]).await.unwrap();
        assert_eq!(read_error(&mut reader).await, io::ErrorKind::InvalidData);
    }
    for length in [0u16, 1, 16] {
        let (_, mut reader, mut wire) = caught(&[]).await;
        wire.write_u16(length).await.unwrap();
        assert_eq!(read_error(&mut reader).await, io::ErrorKind::InvalidData);
    }
}

#[tokio::test]
async fn a_message_cut_short_is_an_error_and_a_whole_one_an_end() {
    let (messages, mut reader, mut wire) = caught(&[b"one", b"two"]).await;
    wire.write_all(&messages[0]).await.unwrap();
    wire.write_all(&messages[1][..10]).await.unwrap();
    wire.shutdown().await.unwrap();
    let mut text = Vec::new();
    let error = reader.read_to_end(&mut text).await.unwrap_err();
    assert_eq!((error.kind(), &text[..]), (io::ErrorKind::UnexpectedEof, &b"one"[..]));

    let (messages, mut reader, mut wire) = caught(&[b"one"]).await;
    wire.write_all(&messages[0]).await.unwrap();
    wire.shutdown().await.unwrap();
    let mut text = Vec::new();
    reader.read_to_end(&mut text).await.unwrap();
    assert_eq!(text, b"one");
}

#[tokio::test]
async fn the_largest_message_fits_and_more_is_cut() {
    let text = vec![7; MAX_PLAIN_BYTES];
    let (messages, mut reader, mut wire) = caught(&[&text]).await;
    assert_eq!(messages[0].len(), 2 + MAX_MESSAGE_BYTES);
    wire.write_all(&messages[0]).await.unwrap();
    let mut back = vec![0; text.len()];
    reader.read_exact(&mut back).await.unwrap();
    assert_eq!(back, text);
    assert!(reader.plain.iter().all(|byte| *byte == 0), "wiped once it was given out");
    let (mut client, _daemon) = proven(1 << 20).await;
    assert_eq!(client.writer.write(&vec![7; MAX_PLAIN_BYTES + 1]).await.unwrap(), MAX_PLAIN_BYTES);
}

/// Gives the bytes in pieces of the given sizes, over and over.
struct Pieces {
    bytes: Vec<u8>,
    sizes: Vec<usize>,
    turn: usize,
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.turn += 1;
        let size = self.sizes[self.turn % self.sizes.len()];
        if size == 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let size = size.min(self.bytes.len()).min(buffer.remaining());
        let rest = self.bytes.split_off(size);
        buffer.put_slice(&self.bytes);
        self.bytes = rest;
        Poll::Ready(Ok(()))
    }
}

/// The stream state that both ends would have, and what the client wrote, for readers over `Pieces`.
async fn written(texts: &[Vec<u8>]) -> (Vec<u8>, Arc<StatelessTransportState>) {
    let (mut client, daemon) = proven(8 << 20).await;
    for text in texts {
        client.writer.write_all(text).await.unwrap();
    }
    client.writer.shutdown().await.unwrap();
    let mut wire = Vec::new();
    let NoiseReader { mut reader, state, .. } = daemon.reader;
    reader.read_to_end(&mut wire).await.unwrap();
    (wire, state)
}

fn reader_over(
    bytes: Vec<u8>,
    sizes: Vec<usize>,
    state: Arc<StatelessTransportState>,
) -> NoiseReader<Pieces> {
    // 1: the handshake's confirmation was 0.
    let mut reader = NoiseReader::new(Pieces { bytes, sizes, turn: 0 }, state);
    reader.nonce = 1;
    reader
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn texts_of_any_size_cut_anywhere_come_back(
        lengths in prop::collection::vec(0usize..200_000, 0..6),
        mut sizes in prop::collection::vec(0usize..70_000, 1..8),
    ) {
        sizes.push(1);
        let texts: Vec<Vec<u8>> = lengths.iter().map(|length| vec![*length as u8; *length]).collect();
        let back = block_on(async {
            let (wire, state) = written(&texts).await;
            let mut back = Vec::new();
            reader_over(wire, sizes, state).read_to_end(&mut back).await.map(|_| back)
        });
        prop_assert!(back.unwrap() == texts.concat());
    }

    #[test]
    fn any_byte_changed_ends_the_session_before_it_is_believed(
        lengths in prop::collection::vec(1usize..500, 1..6),
        place: prop::sample::Index, flip in 1u8..,
    ) {
        let texts: Vec<Vec<u8>> = lengths.iter().map(|length| vec![*length as u8; *length]).collect();
        let (result, back) = block_on(async {
            let (mut wire, state) = written(&texts).await;
            let place = place.index(wire.len());
            wire[place] ^= flip;
            let mut back = Vec::new();
            (reader_over(wire, vec![7], state).read_to_end(&mut back).await, back)
        });
        prop_assert!(result.is_err());
        let whole = texts.concat();
        prop_assert!(whole.starts_with(&back) && back.len() < whole.len());
    }
}
