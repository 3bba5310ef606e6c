//! A TCP relay in front of a server: it can delay what passes, and drop every connection at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

pub struct Relay {
    pub port: u16,
    cut: Arc<watch::Sender<u32>>,
    open: Arc<watch::Sender<bool>>,
    accepting: tokio::task::JoinHandle<()>,
    taken: Arc<AtomicUsize>,
    refuses: Arc<AtomicBool>,
}

impl Relay {
    /// `delay` is for each direction: half a round trip.
    pub async fn to(port: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let cut = Arc::new(watch::Sender::new(0));
        let cuts = Arc::clone(&cut);
        let open = Arc::new(watch::Sender::new(true));
        let gate = Arc::clone(&open);
        let (taken, refuses) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, refusing) = (taken.clone(), refuses.clone());
        let accepting = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                if refusing.load(Ordering::SeqCst) {
                    continue;
                }
                let mut cut = cuts.subscribe();
                let (up, down) = (gate.subscribe(), gate.subscribe());
                tokio::spawn(async move {
                    let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    near.set_nodelay(true).unwrap();
                    far.set_nodelay(true).unwrap();
                    let (near_read, near_write) = near.into_split();
                    let (far_read, far_write) = far.into_split();
                    tokio::select! {
                        _ = async { tokio::join!(pass(near_read, far_write, delay, up), pass(far_read, near_write, delay, down)) } => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { port: own, cut, open, accepting, taken, refuses }
    }

    /// How many connections came.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// Hangs up on every further one.
    pub fn refuse(&self) {
        self.refuses.store(true, Ordering::SeqCst);
    }

    /// Ends all connections that pass now.
    pub fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    /// Lets nothing pass any more, and tells nobody.
    pub fn hold(&self) {
        self.open.send_replace(false);
    }

    /// Ends them, and takes no more.
    pub fn shut(&self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
    mut gate: watch::Receiver<bool>,
) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let reading = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let due = Instant::now() + delay;
            if sender.send((due, buffer[..count].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((due, bytes)) = receiver.recv().await {
            sleep_until(due).await;
            let _ = gate.wait_for(|open| *open).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}
