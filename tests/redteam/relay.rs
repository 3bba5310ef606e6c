//! An agent between the operator and the daemon: it takes the socket's place, listens, and meddles.

use std::{
    fs,
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A squatter on one of the daemon's sockets.
pub struct Relay {
    /// What clients said, one entry a connection.
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    socket: PathBuf,
    real: PathBuf,
}

/// What the squatter does with what it hears.
#[derive(Clone, Copy, PartialEq)]
pub enum Meddling {
    /// Answers nothing.
    Silent,
    /// Passes everything on.
    Listens,
    /// Passes everything on, but the n-th byte from the client with a bit flipped.
    FlipsBit(usize),
}

impl Relay {
    pub fn on(socket: &Path, meddling: Meddling) -> Self {
        let real = socket.with_extension("real");
        fs::rename(socket, &real).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (all, to) = (Arc::clone(&heard), real.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let number = all.lock().unwrap().len();
                all.lock().unwrap().push(Vec::new());
                let (all, to) = (Arc::clone(&all), to.clone());
                thread::spawn(move || serve(client, &to, meddling, &all, number));
            }
        });
        Self { heard, socket: socket.to_owned(), real }
    }

    pub fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap().clone()
    }
}

/// The daemon gets its place back.
impl Drop for Relay {
    fn drop(&mut self) {
        let _ = fs::rename(&self.real, &self.socket);
    }
}

fn serve(
    mut client: UnixStream,
    real: &Path,
    meddling: Meddling,
    heard: &Mutex<Vec<Vec<u8>>>,
    number: usize,
) {
    let mut chunk = [0; 16 * 1024];
    let mut server = None;
    if meddling != Meddling::Silent
        && let Ok(stream) = UnixStream::connect(real)
    {
        let (mut from, mut to) = (stream.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        server = Some(stream);
    }
    let place = AtomicUsize::new(0);
    while let Ok(length @ 1..) = client.read(&mut chunk) {
        let bytes = &mut chunk[..length];
        heard.lock().unwrap()[number].extend_from_slice(bytes);
        let start = place.fetch_add(length, Ordering::SeqCst);
        if let Meddling::FlipsBit(at) = meddling
            && (start..start + length).contains(&at)
        {
            bytes[at - start] ^= 1;
        }
        if let Some(server) = &mut server
            && server.write_all(bytes).is_err()
        {
            break;
        }
    }
    if let Some(server) = server {
        let _ = server.shutdown(Shutdown::Write);
    }
}
