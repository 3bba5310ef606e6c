//! Our own standard input, read on a thread: a read that blocks must not hold up a Ctrl-C.

use std::io::Read;

use tokio::sync::mpsc;

use crate::protocol::frame::MAX_CHUNK;

/// The chunks as they come; the channel ends where the input does.
pub fn start() -> mpsc::Receiver<Vec<u8>> {
    let (to, chunks) = mpsc::channel(1);
    // It ends with its input, or with the process.
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; MAX_CHUNK];
        loop {
            match stdin.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => {
                    if to.blocking_send(buffer[..count].to_vec()).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    chunks
}
