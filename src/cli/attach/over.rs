//! After an end that the operator did not ask for: what is just being typed was meant for the server,
//! perhaps a password, and must not reach the shell that reads next.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Attached;
use crate::cli::ui::terminal::{canvas::Picture, model::Model, window::Input};

/// Nobody is typing who has pressed no key for so long.
const LATELY: Duration = Duration::from_secs(1);
/// Whoever is typing has noticed: no key for so long. Only then an Enter is an answer.
const QUIET: Duration = Duration::from_millis(500);
/// Nobody is there any more: no key for so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes what is typed, for nobody, until the operator has seen that it is over and pressed Enter.
/// Returns at once where nobody is typing.
pub async fn swallow(attached: &mut Attached<'_>, why: &str) {
    let Some(mut typed_at) = attached.typed_at.filter(|at| at.elapsed() < LATELY) else { return };
    let mut quiet = false;
    attached.window.changed();
    loop {
        let by = typed_at + if quiet { PATIENCE } else { QUIET };
        tokio::select! {
            biased;
            input = attached.window.next(true) => match input {
                Input::Keys(keys) => {
                    if quiet && matches!(keys.as_slice(), [b'\r' | b'\n' | 3]) {
                        return;
                    }
                    (typed_at, quiet) = (Instant::now(), false);
                    attached.window.changed();
                }
                Input::Draw => draw(attached, quiet, why),
                Input::Resized => {}
                Input::Quit => return,
                Input::Gone => {
                    attached.end.window_gone = true;
                    return;
                }
            },
            () = sleep_until(by) => {
                if quiet {
                    return;
                }
                quiet = true;
                attached.window.changed();
            }
        }
    }
}

fn draw(attached: &mut Attached<'_>, quiet: bool, why: &str) {
    let what = if quiet { "press Enter" } else { "your keys go nowhere" };
    let status = format!(" ENDED - {what}  {why}");
    let screen = attached.model.as_ref().map(Model::screen);
    attached.window.draw(&Picture { screen, status: &status, ..Picture::default() });
}
