//! The log file: capped, turned over once, and never a reason for anything else to stop.

use std::{
    fs::File,
    io::{self, Write},
    sync::Arc,
};

use rustix::fs::OFlags;

use crate::home::{Home, HomeError, LOG, OLD_LOG};

/// Two files of at most this size.
pub const MAX_LOG_BYTES: u64 = 1024 * 1024;

/// `sgw.log`. In a `Mutex` it is a writer for `tracing-subscriber`, which writes an event at a time.
/// What can't be written (a full disk) is dropped: work goes on, and the audit says what it must.
#[derive(Debug)]
pub struct CappedLog {
    home: Arc<Home>,
    file: File,
    length: u64,
    limit: u64,
}

impl CappedLog {
    pub fn open(home: Arc<Home>) -> Result<Self, HomeError> {
        let file = open(&home)?;
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        Ok(Self { home, file, length, limit: MAX_LOG_BYTES })
    }

    fn turn_over(&mut self) {
        let turned = self.home.rename(LOG, OLD_LOG).and_then(|()| open(&self.home));
        match turned {
            Ok(file) => self.file = file,
            // Rather lose the old half than outgrow the cap.
            Err(_) if self.file.set_len(0).is_ok() => {}
            Err(_) => return,
        }
        self.length = 0;
    }
}

fn open(home: &Home) -> Result<File, HomeError> {
    home.open_file(LOG, OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND)
}

impl Write for CappedLog {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let more = event.len() as u64;
        if self.length > 0 && self.length + more > self.limit {
            self.turn_over();
        }
        if self.length + more <= self.limit && self.file.write_all(event).is_ok() {
            self.length += more;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn log(limit: u64) -> (tempfile::TempDir, Arc<Home>, CappedLog) {
        let outer = tempfile::tempdir().unwrap();
        let home = Arc::new(Home::open_or_create(&outer.path().join("home")).unwrap());
        let log = CappedLog { limit, ..CappedLog::open(home.clone()).unwrap() };
        (outer, home, log)
    }

    #[test]
    fn the_log_turns_over_once_and_stays_under_its_cap() {
        let (_outer, home, mut log) = log(100);
        for number in 0..1_000 {
            writeln!(log, "event {number}").unwrap();
        }
        let [new, old] = [LOG, OLD_LOG].map(|name| fs::read_to_string(home.path_of(name)).unwrap());
        assert!(new.len() <= 100 && old.len() <= 100);
        assert!(new.ends_with("event 999\n"), "{new}");
        let lines: Vec<&str> = old.lines().chain(new.lines()).collect();
        let last: Vec<String> =
            (1_000 - lines.len()..1_000).map(|number| format!("event {number}")).collect();
        assert_eq!(lines, last);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_log_that_was_there_is_continued() {
        let (_outer, home, mut first) = log(100);
        writeln!(first, "before").unwrap();
        let mut second = CappedLog { limit: 100, ..CappedLog::open(home.clone()).unwrap() };
        writeln!(second, "after").unwrap();
        assert_eq!(fs::read_to_string(home.path_of(LOG)).unwrap(), "before\nafter\n");
        assert_eq!(second.length, 13);
    }

    #[test]
    fn an_event_over_the_cap_is_dropped_and_the_next_one_written() {
        let (_outer, home, mut log) = log(100);
        log.write_all(&[b'x'; 101]).unwrap();
        log.write_all(b"next\n").unwrap();
        assert_eq!(fs::read_to_string(home.path_of(LOG)).unwrap(), "next\n");
    }

    #[test]
    fn a_log_that_others_could_write_is_not_opened() {
        let (outer, home, _) = log(100);
        fs::remove_file(home.path_of(LOG)).unwrap();
        std::os::unix::fs::symlink(outer.path().join("elsewhere"), home.path_of(LOG)).unwrap();
        assert!(matches!(CappedLog::open(home).unwrap_err(), HomeError::Symlink(_)));
    }
}
