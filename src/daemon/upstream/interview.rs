//! What a server asks at login (`keyboard-interactive`, RFC 4256), answered with the password that was
//! given for it, and else by a person. However much it asks, it comes to an end.

use std::time::Duration;

use russh::client::{self, KeyboardInteractiveAuthResponse as Interactive, Prompt};
use tokio::time::timeout;

use super::{
    AskOperator, ConnectFault, Step, Typed,
    auth::{ANSWER, Outcome, answer},
    handler::Handler,
    wire::Lookout,
};
use crate::domain::{secret::Secret, target::Hop};

/// For each answer of a person. Servers give up sooner as a rule (sshd_config(5): LoginGraceTime).
const PERSON: Duration = Duration::from_secs(600);
/// For the server's word on a person's answer, which may mean a telephone in that person's pocket.
const CHECKING: Duration = Duration::from_secs(120);
/// A server that asks more rounds of questions than this is not going to end; nor one that asks more
/// questions.
const ROUNDS: usize = 16;
const QUESTIONS: usize = 32;
/// Of what goes with one question this much is passed on, in bytes.
const WORDS: usize = 8 * 1024;
/// Of one answer this much is taken, in bytes.
const LONGEST: usize = 8 * 1024;

/// The person behind an approval, at one machine.
pub(super) struct Person<'a> {
    pub ask: &'a dyn AskOperator,
    pub hop: &'a Hop,
    /// russh does not read while it waits for an answer.
    pub lookout: Lookout,
    /// Whether anything was answered: then this login can't be repeated without the person.
    pub answered: bool,
}

/// What was said in one conversation.
#[derive(Clone, Copy, Default)]
pub(super) struct Said {
    pub password: bool,
    pub person: bool,
}

impl Person<'_> {
    async fn answer(&mut self, text: &str, echo: bool) -> Result<String, ConnectFault> {
        let typed = tokio::select! {
            typed = timeout(PERSON, self.ask.answers(self.hop, text, echo)) => typed,
            () = self.lookout.ended() => {
                return Err(ConnectFault::Closed { at: Step::Login, words: None });
            }
        };
        match typed {
            Ok(Typed::Text(answer)) if answer.expose().len() <= LONGEST => {
                self.answered = true;
                Ok(String::clone(answer.expose()))
            }
            Ok(Typed::Text(_) | Typed::No) => Err(ConnectFault::LoginDeclined),
            Ok(Typed::NotAsked) => Err(ConnectFault::LoginInteractive),
            Err(_) => Err(ConnectFault::LoginUnanswered(PERSON)),
        }
    }
}

/// One conversation, to the server's yes or no.
pub(super) async fn converse(
    handle: &mut client::Handle<Handler>,
    user: &str,
    password: Option<&Secret<String>>,
    mut person: Option<&mut Person<'_>>,
) -> Result<(Outcome, Said), ConnectFault> {
    let patience = if person.is_some() { CHECKING } else { ANSWER };
    let mut said = Said::default();
    let (mut questions, mut remarks) = (0, Vec::new());
    let mut reply =
        answer(ANSWER, handle.authenticate_keyboard_interactive_start(user, None)).await?;
    for _ in 0..ROUNDS {
        let prompts = match reply {
            Interactive::Success => return Ok((Outcome::Granted, said)),
            Interactive::Failure { remaining_methods, partial_success: true } => {
                return Ok((Outcome::Partial(remaining_methods), said));
            }
            Interactive::Failure { remaining_methods, .. } => {
                return Ok((Outcome::Refused(remaining_methods), said));
            }
            Interactive::InfoRequest { name, instructions, prompts } => {
                remarks.extend([name, instructions]);
                prompts
            }
        };
        questions += prompts.len();
        if questions > QUESTIONS {
            let message = format!("more than {QUESTIONS} questions; it was given up");
            return Err(ConnectFault::LoginEndless(message));
        }
        let mut answers = Vec::with_capacity(prompts.len());
        for prompt in &prompts {
            let fits = match person {
                Some(_) => asks_for_a_password(prompt),
                None => prompts.len() == 1 && !prompt.echo,
            };
            answers.push(match (password, &mut person) {
                (Some(password), _) if fits && !said.password => {
                    said.password = true;
                    String::clone(password.expose())
                }
                (_, Some(person)) => {
                    let text = words(&mut remarks, &prompt.prompt);
                    let typed = person.answer(&text, prompt.echo).await?;
                    said.person = true;
                    typed
                }
                _ => return Err(ConnectFault::LoginInteractive),
            });
        }
        reply = answer(patience, handle.authenticate_keyboard_interactive_respond(answers)).await?;
    }
    let message = format!("more than {ROUNDS} rounds of questions; it was given up");
    Err(ConnectFault::LoginEndless(message))
}

/// A question with what was remarked before it, which may have come without a question of its own.
fn words(remarks: &mut Vec<String>, prompt: &str) -> String {
    let said = remarks.drain(..).filter(|text| !text.trim().is_empty());
    let whole = said.chain([prompt.to_owned()]).collect::<Vec<_>>().join("\n");
    if whole.len() <= WORDS {
        return whole;
    }
    // The question stands at the end, so that is what must be left.
    let head = whole.floor_char_boundary(WORDS / 2);
    let tail = whole.ceil_char_boundary(whole.len() - WORDS / 2);
    format!("{}\n… ({} bytes left out)\n{}", &whole[..head], tail - head, &whole[tail..])
}

/// Whether the account's password is the answer: a guess from the question's last line, which errs
/// towards asking the person.
fn asks_for_a_password(prompt: &Prompt) -> bool {
    const OTHERS: [&str; 12] = [
        "new", "again", "retype", "repeat", "confirm", "change", "one-time", "one time", "otp",
        "code", "token", "current",
    ];
    let text = prompt.prompt.trim().to_lowercase();
    let last = text.lines().last().unwrap_or_default();
    !prompt.echo && last.contains("password") && !OTHERS.iter().any(|other| last.contains(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_hidden_question_for_the_password_gets_it() {
        let asks =
            |prompt: &str, echo| asks_for_a_password(&Prompt { prompt: prompt.to_owned(), echo });
        for prompt in ["Password:", "me@web1's password: ", "(me@web1) Password for me: "] {
            assert!(asks(prompt, false), "{prompt}");
            assert!(!asks(prompt, true), "{prompt}");
        }
        for prompt in [
            "Verification code: ",
            "One-time password: ",
            "One-time password (OATH) for `me': ",
            "New password: ",
            "Retype new password: ",
            "Current password: ",
            "Password expired. Change it:",
            "Password was right.\nPasscode: ",
            "",
        ] {
            assert!(!asks(prompt, false), "{prompt}");
        }
    }

    #[test]
    fn what_a_server_says_is_bounded_and_the_question_stays() {
        let mut remarks = vec![String::new(), "Two factors".to_owned()];
        assert_eq!(words(&mut remarks, "Code: "), "Two factors\nCode: ");
        assert!(remarks.is_empty());
        let mut remarks = vec!["\u{6771}".repeat(100_000)];
        let text = words(&mut remarks, "Code: ");
        assert!(text.len() < WORDS + 100, "{}", text.len());
        assert!(text.ends_with("Code: ") && text.contains("bytes left out"));
    }
}
