//! Claims about the keyboard: what races a takeover, who sits at it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::*;
use crate::domain::id::Kind;

fn session() -> Id {
    Id::from_number(Kind::Session, 1)
}

/// Where bytes go, with how many came in all.
#[derive(Default)]
struct Wire(AtomicU64);

impl Wire {
    fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    async fn write(&self) {
        // A writer may stand anywhere when the keyboard is taken.
        for _ in 0..3 {
            tokio::task::yield_now().await;
            // Between its last look and the byte: here it can't be stopped.
            for _ in 0..2000 {
                std::hint::spin_loop();
            }
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn not_a_byte_of_a_thousand_writers_comes_after_a_takeover() {
    for _ in 0..50 {
        let (keyboard, wire) = (Arc::new(Keyboard::default()), Arc::new(Wire::default()));
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..1000 {
            let (keyboard, wire) = (keyboard.clone(), wire.clone());
            writers.spawn(async move { keyboard.write(&session(), wire.write()).await.is_ok() });
        }
        while wire.count() < 20 {
            std::hint::spin_loop();
        }
        keyboard.take().await.unwrap();
        let then = wire.count();
        let written = writers.join_all().await.into_iter().filter(|written| *written).count();
        assert_eq!(wire.count(), then, "bytes slipped behind the takeover");
        assert!(then >= written as u64 * 3, "a write was said to be done and was not");
        assert!(keyboard.write(&session(), wire.write()).await.is_err());
        keyboard.give_back(None);
        keyboard.write(&session(), wire.write()).await.unwrap();
        assert_eq!(wire.count(), then + 3);
    }
}

#[tokio::test]
async fn a_write_that_waits_for_ever_does_not_hold_up_a_takeover() {
    let keyboard = Arc::new(Keyboard::default());
    let writer = tokio::spawn({
        let keyboard = keyboard.clone();
        async move { keyboard.write(&session(), std::future::pending::<()>()).await }
    });
    while keyboard.lock().turns == 0 {
        tokio::task::yield_now().await;
    }
    keyboard.take().await.unwrap();
    let refused = writer.await.unwrap().unwrap_err();
    assert_eq!(refused.code, Code::ControlOperator);
    assert_eq!(refused.id.as_deref(), Some(session().as_str()));
}

#[tokio::test]
async fn a_takeover_is_complete_when_the_last_turn_has_ended() {
    let keyboard = Keyboard::default();
    let turn = keyboard.turn(&session()).unwrap();
    let taking = keyboard.take();
    tokio::pin!(taking);
    assert!(futures::poll!(taking.as_mut()).is_pending(), "a write was still in progress");
    assert!(keyboard.turn(&session()).is_err(), "no further one begins");
    drop(turn);
    taking.await.unwrap();
}

#[tokio::test]
async fn one_sits_at_it_at_a_time_and_an_old_seat_frees_no_new_one() {
    let keyboard = Arc::new(Keyboard::default());
    assert!(keyboard.sit_down(&session()).is_err(), "it is the agent's");
    keyboard.take().await.unwrap();
    assert!(keyboard.only_handed_over());
    let first = keyboard.sit_down(&session()).unwrap();
    assert_eq!(keyboard.sit_down(&session()).err().unwrap().code, Code::ControlOperator);
    assert!(!keyboard.only_handed_over());
    keyboard.give_back(Some("done".into()));
    assert_eq!(keyboard.last().unwrap().word.as_deref(), Some("done"));
    keyboard.take().await.unwrap();
    let second = keyboard.sit_down(&session()).unwrap();
    drop(first);
    assert!(keyboard.is_attached());
    drop(second);
    assert!(!keyboard.is_attached());
    assert!(!keyboard.only_handed_over(), "a closed window keeps control");
}

#[tokio::test]
async fn what_was_private_is_remembered_until_it_is_given_back() {
    let keyboard = Keyboard::default();
    assert!(!keyboard.set_private(true), "the agent has it");
    keyboard.take().await.unwrap();
    assert!(keyboard.set_private(true) && !keyboard.set_private(true));
    assert!(keyboard.control().is_private());
    assert!(keyboard.set_private(false));
    assert!(keyboard.held().unwrap().was_private);
    keyboard.give_back(None);
    assert_eq!(keyboard.held(), None);
    keyboard.take().await.unwrap();
    assert!(!keyboard.held().unwrap().was_private);
}

#[tokio::test]
async fn an_operator_who_came_keeps_it_though_a_write_goes_on() {
    let keyboard = Keyboard::default();
    let turn = keyboard.turn(&session()).unwrap();
    assert!(keyboard.take_in_person().await.is_err(), "the write has not stopped");
    assert!(!keyboard.control().is_agents() && !keyboard.only_handed_over());
    drop(turn);
    keyboard.give_back(None);
    keyboard.take().await.unwrap();
    assert!(keyboard.only_handed_over());
    keyboard.take_in_person().await.unwrap();
    assert!(!keyboard.only_handed_over());
}
