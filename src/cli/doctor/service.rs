//! sgw as a service of the machine: what root has set up, and whether anybody could go around it.

use std::{fs, os::unix::fs::MetadataExt};

use super::{Check, Finding, Ground, own, quoted, shown};
use crate::{
    cli::installation::{PROGRAM_MODE, accounts},
    home::service::Service,
};

const MODE: Check = Check {
    id: "service.mode",
    why: "daemon, operator and agents are three users: none reads or replaces what is another's",
};
const FILES: Check = Check {
    id: "service.files",
    why: "what others than root can write there they can put in the place of sgw's",
};
const GROUP: Check = Check {
    id: "service.group",
    why: "the operator's socket takes whoever has this group: the installed program alone should",
};
const SHARED: Check = Check {
    id: "service.shared",
    why: "an agent of the operator's own uid can start the installed program, and type and read as they do",
};

pub fn check(ground: &Ground) -> Vec<Finding> {
    let service = match &ground.service {
        None => return vec![MODE.ok("personal: the daemon and its agents are of your own uid")],
        Some(Err(why)) => return vec![MODE.fail(why.clone(), "sudo sgw init --service --apply")],
        Some(Ok(service)) => service,
    };
    let mut found = vec![mode(ground, service), files(service), group(service), shared(service)];
    if ground.account.uid == service.who.operator {
        found.extend(own::daemon(ground));
    }
    found
}

fn mode(ground: &Ground, service: &Service) -> Finding {
    let who = service.who;
    let you = match ground.account.uid {
        uid if uid == who.operator => "you are the operator",
        uid if uid == who.daemon => "you are the daemon's user",
        _ => "you are not the operator",
    };
    let (daemon, operator) = (who.daemon, who.operator);
    MODE.ok(format!("service: the daemon is uid {daemon}, the operator uid {operator}; {you}"))
}

fn files(service: &Service) -> Finding {
    let program = &service.layout.program;
    if let Err(error) = service.check_way() {
        return FILES.fail(error.to_string(), "sudo sgw init --service --apply");
    }
    let above = program.parent().map(crate::home::service::roots_alone);
    if let Some(Err(error)) = above {
        return FILES.fail(error.to_string(), "sudo sgw init --service --apply --prefix /usr");
    }
    let wanted = (0, service.who.operator_group, PROGRAM_MODE);
    let is = fs::symlink_metadata(program)
        .map(|is| (is.uid(), is.gid(), is.mode() & 0o7777))
        .unwrap_or_default();
    match is == wanted {
        true => FILES.ok(format!("{} and the way to its sockets are root's", shown(program))),
        false => FILES.fail(
            format!("{} does not give the operator's group", shown(program)),
            format!(
                "sudo chown 0:{} {2}; sudo chmod {1:o} {2}",
                wanted.1,
                wanted.2,
                quoted(program)
            ),
        ),
    }
}

fn group(service: &Service) -> Finding {
    let gid = service.who.operator_group;
    let has = |user: &String| format!("user {user} has the operator's group {gid} without it");
    let members = accounts::group(&gid.to_string()).map(|group| group.members).unwrap_or_default();
    match members.first() {
        Some(user) => GROUP
            .fail(has(user), format!("sudo gpasswd -d {user} $(getent group {gid} | cut -d: -f1)")),
        None => GROUP.ok("the operator's group has no members"),
    }
}

fn shared(service: &Service) -> Finding {
    let who = service.who;
    let operator = accounts::user(&who.operator.to_string());
    let agents = accounts::group(&who.agents_group.to_string());
    let shares = operator.zip(agents).filter(|(operator, agents)| {
        operator.gid == who.agents_group || agents.members.contains(&operator.name)
    });
    match shares {
        Some((operator, _)) => SHARED.warn(
            format!(
                "{} is the operator and may ask as an agent: such a yes is personal-grade",
                operator.name
            ),
            format!(
                "sudo gpasswd -d {} $(getent group {} | cut -d: -f1)",
                operator.name, who.agents_group
            ),
        ),
        None => SHARED.ok("the operator's uid is no agent's"),
    }
}
