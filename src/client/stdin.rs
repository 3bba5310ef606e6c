//! Our own standard input, read on a thread: a read that blocks must not hold up a Ctrl-C.

use std::io::Read;

use tokio::sync::mpsc;

use crate::protocol::frame::MAX_CHUNK;

/// What a request is fed.
#[derive(Debug)]
pub enum Feed {
    Nothing,
    /// Our own standard input.
    Ours,
    Content(Vec<u8>),
}

/// A content's chunks. Needs a runtime.
pub fn of(content: Vec<u8>) -> mpsc::Receiver<Vec<u8>> {
    let (to, chunks) = mpsc::channel(1);
    tokio::spawn(async move {
        for chunk in content.chunks(MAX_CHUNK) {
            if to.send(chunk.to_vec()).await.is_err() {
                return;
            }
        }
    });
    chunks
}

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
