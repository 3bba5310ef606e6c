//! `sgw target test`: how far one gets, and how long each step takes.

use super::{call, lend::lend, shown};
use crate::{
    cli::{
        Context, Outcome,
        ui::exit::{self, Exit},
    },
    client::Connection,
    protocol::operator::target::{Request, Tested},
};

pub async fn test(context: &Context, connection: &mut Connection, name: &str) -> Outcome {
    let lent = lend(context, connection, name).await?;
    let request = Request::Test { name: name.to_owned(), lent };
    let tested: Tested = call(connection, request).await?;
    context.ui.result(&tested, || shown::tested(&tested));
    let failed = tested.steps.iter().find_map(|step| step.error.as_ref());
    if let Some(failure) = failed.filter(|_| !context.ui.json) {
        context.ui.failure_text(failure);
    }
    Ok(match failed {
        None => Exit::DONE,
        Some(failure) => exit::of(failure.code.class(), exit::Owner::Sgw),
    })
}
