//! `sgw init`: sets the passphrase, and with it the vault.

mod machine;

use std::path::PathBuf;

use serde_json::json;

use crate::{
    cli::{
        Context, Outcome, Run, Stop, person,
        proof::Proof,
        ui::{exit::Exit, prompt},
    },
    client::{Error, Place, service},
    domain::{
        passphrase,
        pin::{self, PinCheck},
        seal::{Cost, DataKey, Header, HeaderSeed},
        secret::Secret,
    },
    home::{Home, HomeError, random},
    protocol::error::{Code, Failure},
};

/// Set up sgw: choose the passphrase that proves that you are the operator
///
/// Makes the vault, once. The passphrase can't be recovered: without it the vault stays closed. The PIN,
/// if you want one, is what the desk asks for where somebody else could type; `sgw pin` sets it later too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw init
  sgw init --passphrase-file ~/.sgw-passphrase     # asks nothing
  sgw init --service --operator alice --agent claude            # shows what would be done
  sudo sgw init --service --operator alice --agent claude --apply")]
pub struct Init {
    /// Set the PIN in this file, which nobody else may read (-: standard input) [default: none where
    /// the passphrase comes from a file, else asked for]
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// Show what makes sgw a service of this machine, with a user of its own: users, groups, directories,
    /// files, the program; --apply does it. Afterwards the operator runs sgw init
    #[arg(long)]
    service: bool,
    #[command(flatten)]
    machine: machine::Machine,
    #[command(flatten)]
    proof: Proof,
}

impl Run for Init {
    fn run(self, context: &Context) -> Outcome {
        if self.service {
            return self.machine.run(context);
        }
        person::not_under_an_agent(context.globals.i_am_the_operator)?;
        let place = context.place()?;
        refuse_a_second_time(context, &place)?;
        let pin = self.pin_file.as_deref().map(super::pin::read).transpose()?;
        let (passphrase, pin) = match self.proof.given()? {
            Some(passphrase) => (checked(passphrase)?, pin),
            None => {
                self.proof.can_ask(context, "the passphrase")?;
                context.interactive(async {
                    let ui = context.ui;
                    ui.say(
                        "The passphrase proves that you are the operator. sgw can't recover it.",
                    );
                    let passphrase = choose(context).await?;
                    let pin = match pin {
                        None => choose_pin(context).await?,
                        given => given,
                    };
                    Ok((passphrase, pin))
                })?
            }
        };
        let path = place.path();
        if place.service().is_some() {
            let made = Made::of(&passphrase)?;
            let making = service::set_up(&place, &made.header, &made.data_key, pin.as_ref());
            context.block_on(making)?;
        } else {
            let home = Home::open_or_create(path).map_err(Error::Home)?;
            // With it comes that a limit on files' sizes is an error.
            let _runtime = crate::client::runtime().map_err(Error::local("start"))?;
            create(&home, &passphrase, pin.as_ref())?;
        }
        let next = ["sgw unlock", "sgw request USER@HOST --reason 'a first try'"];
        if !context.ui.json {
            context.ui.note(&format!("the vault is ready in {}", path.display()));
            context.ui.note("next, type the first line; the second is what an agent types:");
        }
        context.ui.result(&json!({ "home": path, "next": next }), || next.join("\n"));
        Ok(Exit::DONE)
    }
}

fn refuse_a_second_time(context: &Context, place: &Place) -> Result<(), Failure> {
    let there = match place.service() {
        Some(_) => context.block_on(service::is_set_up(place))?,
        None => has_header(place)?,
    };
    match there {
        false => Ok(()),
        true => {
            let message = format!("there is a vault in {} already", place.path().display());
            Err(Failure::new(Code::OperatorExists, message, "sgw unlock"))
        }
    }
}

fn has_header(place: &Place) -> Result<bool, Failure> {
    let header = match Home::open(place.path()) {
        Ok(home) => home.header().map_err(Error::Home)?,
        Err(HomeError::Missing(_)) => None,
        Err(error) => return Err(Error::Home(error).into()),
    };
    Ok(header.is_some())
}

/// A new vault's header, and the key that it holds.
struct Made {
    header: Header,
    data_key: DataKey,
}

impl Made {
    fn of(passphrase: &Secret<String>) -> Result<Self, Failure> {
        let seed = || -> std::io::Result<_> {
            Ok(HeaderSeed { data_key: random()?, salt: random()?, nonce: random()? })
        };
        let seed = seed().map_err(Error::local("draw random bytes"))?;
        let (header, data_key) = Header::create(passphrase, Cost::USUAL, seed)
            .map_err(crate::client::operator::cannot_open)?;
        Ok(Self { header, data_key })
    }
}

fn create(
    home: &Home,
    passphrase: &Secret<String>,
    pin: Option<&Secret<String>>,
) -> Result<(), Stop> {
    let drawn = || -> std::io::Result<_> { Ok((random()?, random()?)) };
    let (nonce, salt) = drawn().map_err(Error::local("draw random bytes"))?;
    let Made { header, data_key } = Made::of(passphrase)?;
    let key = pin::key(&data_key);
    let pin = pin.map(|pin| PinCheck::new(&key, salt, pin.expose().as_bytes()));
    Ok(home.create_vault(&header, &data_key, nonce, pin.as_ref()).map_err(Error::Home)?)
}

/// A passphrase that is not too weak.
pub fn checked(passphrase: Secret<String>) -> Result<Secret<String>, Failure> {
    passphrase::judge(&passphrase)
        .map(|()| passphrase)
        .map_err(|weak| Failure::new(Code::OperatorPassphrase, weak.to_string(), weak.help))
}

/// Asks for a new passphrase, or draws one.
pub async fn choose(context: &Context) -> Result<Secret<String>, Stop> {
    let ui = context.ui;
    let ways = ["six words that sgw draws (strong, and easy to type)", "a passphrase of my own"];
    if prompt::choose("Which passphrase", &ways.map(str::to_owned)).await? == 0 {
        return draw(context).await;
    }
    let judge = |chosen: &Secret<String>| {
        passphrase::judge(chosen).map_err(|weak| format!("{weak}. Try: {}", weak.help))
    };
    prompt::new_password(ui, "Passphrase", "Once more", judge).await
}

async fn choose_pin(context: &Context) -> Result<Option<Secret<String>>, Stop> {
    context.ui.say(
        "A PIN is what the desk asks for after 15 minutes without a key, and under tmux and its like; \
         without one it asks for the passphrase there.",
    );
    match prompt::confirm("Set a PIN?").await? {
        true => super::pin::ask(context).await.map(Some),
        false => Ok(None),
    }
}

async fn draw(context: &Context) -> Result<Secret<String>, Stop> {
    let ui = context.ui;
    loop {
        let words = passphrase::six_words(&random().map_err(Error::local("draw random bytes"))?);
        if passphrase::judge(&words).is_err() {
            continue;
        }
        ui.say(&format!("\n    {}\n\nWrite them down before you go on.", ui.bold(words.expose())));
        loop {
            let typed = prompt::password("Type them once").await?;
            let same = typed.expose().split_whitespace().eq(words.expose().split(' '));
            if same {
                return Ok(words);
            }
            ui.say("Those are not the words above.");
        }
    }
}
