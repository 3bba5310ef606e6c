//! `sgw target add` and `edit`: from what was said to what is kept.

use super::{Add, Edit, call, open, said, shown, test};
use crate::{
    cli::{Context, Outcome, Stop, resolve::account::Account, ui::exit::Exit},
    client::Connection,
    domain::{
        secret::Secret,
        target::named::{Credential, Guard, Surroundings, Target},
    },
    protocol::{
        error::{Code, Failure},
        operator::target::{Draft, Request, Shown},
    },
};

/// The number of the secret frame with a credential's value.
const SECRET: u32 = 1;

pub async fn add(context: &Context, add: Add) -> Outcome {
    let name = said::name(&add.name)?;
    let dest = said::destination(&add.dest)?;
    let mut target = Target {
        name,
        host: dest.host,
        port: dest.port.unwrap_or(22),
        user: dest.user.unwrap_or_else(|| Account::current().name),
        jump: None,
        proxy_command: None,
        credential: Credential::Asked,
        host_keys: Vec::new(),
        host_ca: Vec::new(),
        surroundings: Surroundings::default(),
        pty: true,
        guard: Guard::default(),
        prod: false,
    };
    let (proven, mut connection) = open(context, &add.proof).await?;
    let value = add.said.put_into(context, &proven, &mut target).await?;
    check(&target)?;
    let draft = Box::new(draft(&mut connection, target, value).await?);
    let one: Shown = call(&mut connection, Request::Add(draft)).await?;
    if one.target.credential == Credential::Asked {
        let name = &one.target.name;
        context.ui.note(&format!(
            "nothing that logs in there is kept: you choose at each approval. To keep a key: sgw \
             target edit {name} --identity FILE"
        ));
    }
    shown::sessions(context, one.target.name.as_str(), &one.sessions);
    if add.test {
        let name = &one.target.name;
        let tested = test::test(context, &mut connection, name.as_str()).await;
        if !matches!(tested, Ok(Exit::DONE)) {
            context.ui.note(&format!(
                "{name} is kept all the same: sgw target edit {name}, or rm {name}"
            ));
        }
        return tested;
    }
    context.ui.result(&one, || shown::one(&one));
    Ok(Exit::DONE)
}

pub async fn edit(context: &Context, edit: Edit) -> Outcome {
    let (proven, mut connection) = open(context, &edit.proof).await?;
    let before: Shown = call(&mut connection, Request::Show { name: edit.name.clone() }).await?;
    let mut target = before.target.clone();
    if let Some(dest) = &edit.dest {
        let dest = said::destination(dest)?;
        target.host = dest.host;
        target.port = dest.port.unwrap_or(target.port);
        target.user = dest.user.unwrap_or(target.user);
    }
    edit.changes.apply(&mut target);
    let value = edit.said.put_into(context, &proven, &mut target).await?;
    if target == before.target && value.is_none() {
        let message = format!("nothing was said that {} is not already", target.name);
        return Err(Failure::new(Code::UsageArguments, message, "sgw target edit --help").into());
    }
    check(&target)?;
    let version = edit.if_version.unwrap_or(before.version);
    let draft = Box::new(draft(&mut connection, target, value).await?);
    let one: Shown = call(&mut connection, Request::Edit { version, draft }).await?;
    shown::sessions(context, one.target.name.as_str(), &one.sessions);
    context.ui.result(&one, || shown::one(&one));
    Ok(Exit::DONE)
}

fn check(target: &Target) -> Result<(), Failure> {
    target.check().map_err(|error| {
        Failure::new(Code::TargetUnfit, error.to_string(), "sgw target add --help")
    })
}

async fn draft(
    connection: &mut Connection,
    target: Target,
    value: Option<Secret<Vec<u8>>>,
) -> Result<Draft, Stop> {
    let secret = match &value {
        Some(value) => {
            connection.send_secret(0, SECRET, value.expose()).await?;
            Some(SECRET)
        }
        None => None,
    };
    Ok(Draft { target, secret })
}
