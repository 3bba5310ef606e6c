//! The spool under its budget, against a meddled file, and with a disk that is full.

use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;

fn spool(slots: u64) -> (tempfile::TempDir, Spool) {
    let home = tempfile::tempdir().unwrap();
    let spool = Spool::new(home.path(), slots * SLOT as u64, Allowance::new(0));
    (home, spool)
}

struct Keeper {
    slots: Mutex<Vec<Slot>>,
    undelivered: Mutex<Vec<Slot>>,
    asked: AtomicUsize,
}

impl Keeper {
    fn new(spool: &Spool, history: usize, undelivered: usize) -> (Arc<Self>, Weak<dyn Holder>) {
        let fill = |count| (0..count).map(|_| spool.keep(b"x", Need::History).unwrap()).collect();
        let keeper = Arc::new(Self {
            slots: Mutex::new(fill(history)),
            undelivered: Mutex::new(fill(undelivered)),
            asked: AtomicUsize::new(0),
        });
        let weak: Weak<dyn Holder> = Arc::downgrade(&keeper) as Weak<dyn Holder>;
        spool.hold(weak.clone());
        (keeper, weak)
    }

    fn held(&self) -> (usize, usize) {
        (lock(&self.slots).len(), lock(&self.undelivered).len())
    }
}

impl Holder for Keeper {
    fn let_go(&self, what: LetGo) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        lock(&self.slots).clear();
        if what == LetGo::Everything {
            lock(&self.undelivered).clear();
        }
        !lock(&self.undelivered).is_empty()
    }
}

#[test]
fn what_is_kept_comes_back_and_has_no_name_on_disk() {
    let (home, spool) = spool(4);
    let full = vec![7; SLOT];
    let slots = [
        (spool.keep(b"abc", Need::History).unwrap(), b"abc".to_vec()),
        (spool.keep(&full, Need::History).unwrap(), full),
        (spool.keep(b"", Need::History).unwrap(), Vec::new()),
    ];
    for (slot, bytes) in &slots {
        assert_eq!(&slot.read().unwrap(), bytes);
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn nothing_readable_reaches_the_disk() {
    let (_home, spool) = spool(4);
    let _slot = spool.keep(&b"canary-".repeat(1000), Need::History).unwrap();
    let file = spool.0.open().unwrap();
    let mut raw = vec![0; 7016];
    file.file.read_exact_at(&mut raw, 0).unwrap();
    assert!(!raw.windows(7).any(|part| part == b"canary-"));
}

#[test]
fn a_slot_that_is_written_again_uses_another_nonce() {
    let (_home, spool) = spool(1);
    let raw = |spool: &Spool| {
        let mut raw = vec![0; 19];
        spool.0.open().unwrap().file.read_exact_at(&mut raw, 0).unwrap();
        raw
    };
    let first = spool.keep(b"abc", Need::History).unwrap();
    let before = raw(&spool);
    drop(first);
    let _second = spool.keep(b"abc", Need::History).unwrap();
    assert_ne!(before, raw(&spool));
}

#[test]
fn a_meddled_swapped_or_cut_file_is_noticed() {
    let (_home, spool) = spool(4);
    let (one, two) =
        (spool.keep(b"one", Need::History).unwrap(), spool.keep(b"two", Need::History).unwrap());
    let file = &spool.0.open().unwrap().file;
    let mut raw = vec![0; 19];
    file.read_exact_at(&mut raw, 0).unwrap();
    file.write_all_at(&raw, start_of(1)).unwrap();
    assert_eq!(two.read(), Err(SpoolError::Damaged));
    raw[0] ^= 1;
    file.write_all_at(&raw, 0).unwrap();
    assert_eq!(one.read(), Err(SpoolError::Damaged));
    file.set_len(0).unwrap();
    assert_eq!(one.read(), Err(SpoolError::Damaged));
}

#[test]
fn the_budget_holds_and_dropped_slots_are_used_again() {
    let (_home, spool) = spool(2);
    let one = spool.keep(b"1", Need::Delivery).unwrap();
    let two = spool.keep(b"2", Need::Delivery).unwrap();
    assert_eq!(spool.keep(b"3", Need::Delivery).err(), Some(SpoolError::Budget));
    assert_eq!(spool.used(), 2 * SLOT as u64);
    drop(one);
    let three = spool.keep(b"3", Need::Delivery).unwrap();
    assert_eq!((two.read().unwrap(), three.read().unwrap()), (b"2".to_vec(), b"3".to_vec()));
    assert!(matches!(spool.keep(&[0; SLOT + 1], Need::Delivery), Err(SpoolError::Disk(_))));
}

#[test]
fn the_oldest_finished_history_goes_first_and_running_ones_only_for_delivery() {
    let (_home, spool) = spool(6);
    let (running, _) = Keeper::new(&spool, 2, 0);
    let (old, old_weak) = Keeper::new(&spool, 1, 1);
    let (new, new_weak) = Keeper::new(&spool, 2, 0);
    spool.finished(&old_weak, Instant::now());
    spool.finished(&new_weak, Instant::now());

    let mut mine = vec![spool.keep(b"h", Need::History).unwrap()];
    assert_eq!((running.held(), old.held(), new.held()), ((2, 0), (0, 1), (2, 0)));
    mine.push(spool.keep(b"h", Need::History).unwrap());
    mine.push(spool.keep(b"h", Need::History).unwrap());
    assert_eq!((running.held(), new.held()), ((2, 0), (0, 0)));
    assert_eq!(spool.keep(b"h", Need::History).err(), Some(SpoolError::Budget));

    mine.push(spool.keep(b"d", Need::Delivery).unwrap());
    assert_eq!((running.held(), old.held()), ((0, 0), (0, 1)));
    mine.push(spool.keep(b"d", Need::Delivery).unwrap());
    mine.push(spool.keep(b"d", Need::Delivery).unwrap());
    assert_eq!(old.held(), (0, 0));
    assert_eq!(spool.keep(b"d", Need::Delivery).err(), Some(SpoolError::Budget));
}

#[test]
fn after_a_day_finished_ones_let_go() {
    let (_home, spool) = spool(6);
    let (running, _) = Keeper::new(&spool, 1, 0);
    let (old, old_weak) = Keeper::new(&spool, 1, 1);
    let (new, new_weak) = Keeper::new(&spool, 1, 1);
    let start = Instant::now();
    spool.finished(&old_weak, start);
    spool.finished(&new_weak, start + Duration::from_secs(10));
    spool.forget_finished_before(start + Duration::from_secs(5));
    assert_eq!((running.held(), old.held(), new.held()), ((1, 0), (0, 0), (1, 1)));
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error() {
    let spool = Spool::new(Path::new("/nonexistent/dir"), 1 << 20, Allowance::new(0));
    let error = spool.keep(b"x", Need::Delivery).err();
    assert_eq!(error, Some(SpoolError::Disk(io::ErrorKind::NotFound)));
    assert_eq!(spool.used(), 0);
}

/// `/dev/full` answers every write with ENOSPC (full(4)).
#[test]
fn a_full_disk_is_told_and_takes_no_room() {
    let (_home, spool) = spool(4);
    let key = Key::<XChaCha20Poly1305>::try_generate().unwrap();
    *lock(&spool.0.file) = Some(Arc::new(Sealed {
        file: File::options().read(true).write(true).open("/dev/full").unwrap(),
        cipher: XChaCha20Poly1305::new(&key),
        next_nonce: AtomicU64::new(0),
    }));
    let error = spool.keep(b"x", Need::Delivery).err();
    assert_eq!(error, Some(SpoolError::Disk(io::ErrorKind::StorageFull)));
    assert_eq!(spool.used(), 0);
}
