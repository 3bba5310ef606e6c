//! What ten thousand standing grants cost: unlocking, the daemon's memory, and a command among them.

use std::{fs, process::Command, time::Instant};

use serde_json::{Value, json};
use sgw::domain::{
    id::{Id, Kind},
    seal::{
        export::{read, write},
        open, seal,
    },
    secret::Secret,
};

use super::{
    ground::Server,
    memory::{resident, row},
    series::{Series, alternate, print},
    support::{Destination, PASSPHRASE, Sgw},
};

const GRANTS: u64 = 10_000;
const UNLOCKS: usize = 10;
const COMMANDS: usize = 100;

/// An instance with an agent that holds a grant among so many.
struct Instance {
    sgw: Sgw,
    token: String,
}

pub fn figure() {
    let server = Server::start(&[]);
    let (few, many) = (Instance::new(&server, 1), Instance::new(&server, GRANTS));
    println!("| | all | anonymous |\n|---|---|---|");
    let [one, all] = [&few, &many].map(|instance| resident(instance.sgw.unlock()));
    row("the daemon with one grant", one, 1);
    row(&format!("… {GRANTS} more take"), one.to(all), 1);
    println!();

    let unlock = |instance: &Instance| {
        instance.sgw.lock();
        let started = Instant::now();
        instance.sgw.unlock();
        started.elapsed()
    };
    let mut unlocks = [
        Series::new("with 10,000 records", || unlock(&many)),
        Series::new("with a few", || unlock(&few)),
    ];
    alternate(UNLOCKS, &mut unlocks);
    print("unlock, and the daemon answers", &unlocks);
    let mut commands =
        [Series::of("among 10,000 grants", many.exec()), Series::of("with one grant", few.exec())];
    alternate(COMMANDS, &mut commands);
    print("`sgw exec web1 -- true`", &commands);
}

impl Instance {
    fn new(server: &Server, grants: u64) -> Self {
        let sgw = Sgw::unlocked();
        let key = sgw.write_private("identity", fs::read(server.identity()).unwrap());
        let (destination, fingerprint) = (server.destination(), server.fingerprint());
        let add = ["target", "add", "web1", &destination, "--identity", key.to_str().unwrap()];
        sgw.operator(add.into_iter().chain(["--accept-host-key", &fingerprint])).ok();
        let made = sgw.operator(["token", "create", "ci", "--json"]).ok().json();
        sgw.operator(["grant", "add", "--token", "ci", "--target", "web1"]).ok();
        let me = Self { sgw, token: made["token"].as_str().unwrap().to_owned() };
        me.fill(grants);
        me
    }

    fn exec(&self) -> Command {
        let mut command = self.sgw.command(["exec", "web1", "--", "true"]);
        command.env("SGW_TOKEN", &self.token);
        command
    }

    /// So many grants in all, by way of an export: giving each would take a passphrase each.
    fn fill(&self, grants: u64) {
        let file = self.sgw.path("export");
        let path = file.to_str().unwrap();
        self.sgw.operator(["vault", "export", path, "--vault-passphrase"]).ok();
        let exported = fs::read(&file).unwrap();
        let parts = read(&exported).unwrap();
        let key = parts.envelope.key(&Secret::new(PASSPHRASE.to_owned())).unwrap();
        let plain = open(&key, parts.head, parts.sealed).unwrap();
        let mut vault: Value = serde_json::from_slice(plain.expose()).unwrap();
        let given = vault["records"]["grant"].as_object_mut().unwrap();
        let one = given.values().next().unwrap().clone();
        for number in 1..grants {
            let id = Id::from_number(Kind::Grant, 1_000_000 + number).to_string();
            let mut grant = one.clone();
            (grant["id"], grant["target"]) = (json!(id), json!(format!("web-{number}")));
            if number % 4 == 0 {
                grant["target"] = json!(format!("db-{number}-*"));
            }
            given.insert(id, grant);
        }
        vault["next_id"] = json!(2_000_000);
        let sealed = seal(&key, [7; 24], parts.head, vault.to_string().as_bytes());
        fs::write(&file, write(parts.head, &sealed)).unwrap();
        self.sgw.operator(["vault", "import", path, "--vault-passphrase"]).ok();
        self.sgw.lock();
    }
}
