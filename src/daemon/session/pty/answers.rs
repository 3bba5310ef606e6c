//! What programs are told of the terminal that they asked about: beside the reading, so that a program
//! that reads nothing stops nothing, and seldom enough that a flood of questions is not one of answers.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::Pty;

/// Answers that wait to be typed; further ones are dropped.
const WAITING: usize = 4;
/// How long to rest between two.
const REST: Duration = Duration::from_millis(10);

/// Where answers go. The task ends when this is dropped.
pub struct Answers(mpsc::Sender<Vec<u8>>);

impl Answers {
    pub fn start(pty: Arc<Pty>) -> Self {
        let (sender, mut waiting) = mpsc::channel::<Vec<u8>>(WAITING);
        tokio::spawn(async move {
            while let Some(answer) = waiting.recv().await {
                // In one message: no piece of what somebody types is cut in two by it.
                if pty.writer.write(answer).await.is_err() {
                    return;
                }
                tokio::time::sleep(REST).await;
            }
        });
        Self(sender)
    }

    pub fn give(&self, answer: Vec<u8>) {
        if !answer.is_empty() && self.0.try_send(answer).is_err() {
            tracing::debug!("a terminal's question stays unanswered: there are too many");
        }
    }
}
