//! `sgw target accept-key`: which host keys a target is taken by from now on.

use super::{call, lend::lend, shown};
use crate::{
    cli::{
        Context, Outcome,
        ui::{self, exit::Exit, prompt},
    },
    client::Connection,
    domain::{escape::exact, target::named::Credential},
    protocol::{
        error::{Code, Failure},
        operator::target::{Accepted, Request, Shown},
    },
};

pub async fn accept(
    context: &Context,
    connection: &mut Connection,
    name: String,
    mut fingerprints: Vec<String>,
) -> Outcome {
    if fingerprints.is_empty() {
        let lent = lend(context, connection, &name).await?;
        let look = Request::AcceptKey { name: name.clone(), fingerprints: Vec::new(), lent };
        let seen: Accepted = call(connection, look).await?;
        let shows = seen.shows.clone().unwrap_or_default();
        if seen.host_keys.contains(&shows) {
            context.ui.result(&seen, || format!("{name} shows the key that is known: {shows}"));
            return Ok(Exit::DONE);
        }
        let known = known(&seen.before);
        if context.ui.json || !ui::can_prompt() {
            let message = format!("{name} shows the host key {}, known is {known}", word(&shows));
            let code = match seen.before.is_empty() {
                true => Code::HostkeyUnknown,
                false => Code::HostkeyChanged,
            };
            let hint = format!(
                "compare it with the server's own, then: sgw target accept-key {name} {}",
                word(&shows)
            );
            return Err(Failure::new(code, message, hint).into());
        }
        context.ui.say(&format!("{name} shows  {}\nknown is  {known}", word(&shows)));
        if !prompt::confirm("Is it the right machine? Take this key from now on, and no other?")
            .await?
        {
            return Ok(Exit::FAILED);
        }
        fingerprints = vec![shows];
    }
    let request = Request::AcceptKey { name, fingerprints, lent: Vec::new() };
    let accepted: Accepted = call(connection, request).await?;
    shown::sessions(context, &accepted.name, &accepted.sessions);
    let show = Request::Show { name: accepted.name.clone() };
    let target = call::<Shown>(connection, show).await?.target;
    if let Credential::Password { bound } = &target.credential
        && !bound.is_empty()
        && !bound.iter().any(|key| accepted.host_keys.contains(key))
    {
        let name = &accepted.name;
        context.ui.note(&format!(
            "its password was given for another key, and stays with that one; to give it to this: sgw \
             target edit {name} --password-file FILE"
        ));
    }
    context.ui.result(&accepted, || {
        let (name, keys) = (&accepted.name, accepted.host_keys.join(", "));
        format!("{name} is taken by {keys}; before: {}", known(&accepted.before))
    });
    Ok(Exit::DONE)
}

fn known(keys: &[String]) -> String {
    match keys.is_empty() {
        true => "none".to_owned(),
        false => keys.iter().map(|key| word(key)).collect::<Vec<_>>().join(", "),
    }
}

fn word(text: &str) -> String {
    exact(text.as_bytes(), 120)
}
