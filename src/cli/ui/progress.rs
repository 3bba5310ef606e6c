//! How far a transfer is: a bar where a person looks on, lines of JSON where a program does.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Ui, stderr_is_terminal};

/// Shared by those who move bytes; each call is cheap.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    ui: Ui,
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
        Self { bar, ui }
    }

    pub fn bytes(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// A file is done, or failed.
    pub fn file(&self, told: &serde_json::Value, done: u64, files: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{done}/{files} files"));
        }
        if self.ui.json {
            self.ui.object(&json!(told));
        }
    }

    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
