//! A TCP proxy that makes loopback as slow as a real network: every byte takes half the round-trip
//! time in each direction. Stands alone, so that `benches/` can include it too.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

/// Chunks under way in one direction of one connection.
const CHUNKS_UNDER_WAY: usize = 4096;

/// Where to connect to reach `target` with this round-trip time. It lasts as long as the process.
pub fn delayed(target: SocketAddr, round_trip: Duration) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if let Ok(server) = TcpStream::connect(target) {
                relay(&client, &server, round_trip / 2);
                relay(&server, &client, round_trip / 2);
            }
        }
    });
    address
}

fn relay(from: &TcpStream, to: &TcpStream, delay: Duration) {
    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
    let _ = to.set_nodelay(true);
    let (departures, arrivals) = sync_channel(CHUNKS_UNDER_WAY);
    thread::spawn(move || depart(from, &departures, delay));
    thread::spawn(move || arrive(to, &arrivals));
}

fn depart(mut from: TcpStream, departures: &SyncSender<(Instant, Vec<u8>)>, delay: Duration) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        if departures.send((Instant::now() + delay, chunk[..length].to_vec())).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Read);
}

fn arrive(mut to: TcpStream, arrivals: &Receiver<(Instant, Vec<u8>)>) {
    for (due, chunk) in arrivals {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&chunk).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_takes_the_round_trip_and_the_stream_stays_whole() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let target = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut copy = stream.try_clone().unwrap();
            std::io::copy(&mut stream, &mut copy).unwrap();
            copy.shutdown(Shutdown::Write).unwrap();
        });
        let mut stream = TcpStream::connect(delayed(target, Duration::from_millis(60))).unwrap();
        let start = Instant::now();
        stream.write_all(b"ping").unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(60));

        let sent: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        let (mut writer, bytes) = (stream.try_clone().unwrap(), sent.clone());
        thread::spawn(move || {
            writer.write_all(&bytes).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert!(received == sent);
    }
}
