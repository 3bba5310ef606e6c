//! How far a transfer is: a bar where a person looks on, lines of JSON where a program does.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Ui, stderr_is_terminal};

/// How often a program is told how far it is, where nothing else is told.
const OFTEN: Duration = Duration::from_secs(1);

/// Shared by those who move bytes; each call is cheap.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    ui: Ui,
    so_far: Arc<SoFar>,
}

#[derive(Debug)]
struct SoFar {
    files: AtomicU64,
    bytes: AtomicU64,
    all_files: u64,
    all_bytes: u64,
    told: Mutex<Instant>,
}

impl Progress {
    /// So many bytes in so many files are to come.
    pub fn new(ui: Ui, files: u64, bytes: u64) -> Self {
        let shown = !ui.json && !ui.quiet && stderr_is_terminal() && files > 0;
        let bar = shown.then(|| {
            let bar = ProgressBar::new(bytes);
            let form = "{msg} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
            // The form is a constant; a bar in its own form is one, too.
            let style = ProgressStyle::with_template(form);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar.set_message(format!("0/{files} files"));
            bar
        });
        let so_far = SoFar {
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            all_files: files,
            all_bytes: bytes,
            told: Mutex::new(Instant::now()),
        };
        Self { bar, ui, so_far: Arc::new(so_far) }
    }

    pub fn bytes(&self, bytes: u64) {
        let all = self.so_far.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(bar) = &self.bar {
            bar.set_position(all);
        }
        if self.ui.json && self.is_time() {
            let SoFar { files, all_files, all_bytes, .. } = &*self.so_far;
            let files = files.load(Ordering::Relaxed);
            self.ui.object(&json!({
                "kind": "progress", "files": files, "of_files": all_files, "bytes": all,
                "of_bytes": all_bytes,
            }));
        }
    }

    /// A file is done, or failed; so many are done by now.
    pub fn file(&self, told: &serde_json::Value, done: u64) {
        self.files(done);
        if self.ui.json {
            self.ui.object(told);
            *self.so_far.told.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    /// A file of so many bytes was there already.
    pub fn had(&self, bytes: u64, done: u64) {
        self.files(done);
        self.bytes(bytes);
    }

    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn files(&self, done: u64) {
        self.so_far.files.store(done, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{done}/{} files", self.so_far.all_files));
        }
    }

    fn is_time(&self) -> bool {
        let mut told = self.so_far.told.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.elapsed() >= OFTEN;
        if due {
            *told = Instant::now();
        }
        due
    }
}
