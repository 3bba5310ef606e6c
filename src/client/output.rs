//! Writes a command's output on a thread, so that a reader who has stopped reading holds up neither
//! Ctrl-C nor the other stream. What counts as written is what the sink has taken.

use std::{
    io::{ErrorKind, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
};

use tokio::sync::Notify;

use crate::protocol::frame::Frame;

/// Frames that wait to be written: half a megabyte.
const QUEUE: usize = 8;

pub type Sink = Box<dyn Write + Send>;

/// One stream's way out. The thread starts with the first byte: most commands write little.
pub struct Writer {
    idle: Option<Sink>,
    queue: Option<SyncSender<Frame>>,
    progress: Arc<Progress>,
}

struct Progress {
    written: AtomicU64,
    state: Mutex<State>,
    wake: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    /// The sink takes no more; what comes is dropped.
    Broken(ErrorKind),
    /// All is written, or dropped.
    Finished(Option<ErrorKind>),
}

impl Writer {
    /// `wake` is notified after each write.
    pub fn new(sink: Sink, wake: Arc<Notify>) -> Self {
        let state = Mutex::new(State::Open);
        let progress = Progress { written: AtomicU64::new(0), state, wake };
        Self { idle: Some(sink), queue: None, progress: Arc::new(progress) }
    }

    /// Where the stream goes on, when it does not begin at 0.
    pub fn start_at(&self, offset: u64) {
        self.progress.written.store(offset, Ordering::Release);
    }

    /// Gives the frame back where there is no room for it yet.
    pub fn push(&mut self, frame: Frame) -> Result<(), Frame> {
        if let Some(sink) = self.idle.take() {
            let (queue, frames) = sync_channel(QUEUE);
            let progress = self.progress.clone();
            std::thread::spawn(move || write_all(sink, &frames, &progress));
            self.queue = Some(queue);
        }
        let Some(queue) = &self.queue else { return Ok(()) };
        match queue.try_send(frame) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
            Err(TrySendError::Full(frame)) => Err(frame),
        }
    }

    /// The offset up to which the sink has taken everything.
    pub fn written(&self) -> u64 {
        self.progress.written.load(Ordering::Acquire)
    }

    pub fn state(&self) -> State {
        self.progress.state()
    }

    /// Nothing more comes. The state becomes `Finished` once the sink has it all.
    pub fn finish(&mut self) {
        self.queue = None;
        if let Some(mut sink) = self.idle.take() {
            let flushed = sink.flush().err().map(|error| error.kind());
            self.progress.set(State::Finished(flushed));
        }
    }
}

impl Progress {
    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.wake.notify_one();
    }
}

fn write_all(mut sink: Sink, frames: &Receiver<Frame>, progress: &Progress) {
    let mut broken = None;
    for frame in frames {
        let Some((offset, bytes)) = frame.as_output() else { continue };
        if broken.is_none()
            && let Err(error) = sink.write_all(bytes)
        {
            broken = Some(error.kind());
            progress.set(State::Broken(error.kind()));
        }
        progress.written.store(offset + bytes.len() as u64, Ordering::Release);
        progress.wake.notify_one();
    }
    if broken.is_none() {
        broken = sink.flush().err().map(|error| error.kind());
    }
    progress.set(State::Finished(broken));
}
