//! `sgw init --service`: shown to anybody, done by root, as often as they like.

use std::{fs, os::unix::fs::MetadataExt, process::Command};

use crate::support::{Running, Service, Sgw};

fn undone(service: &Service) -> Vec<String> {
    let shown = Running::start(&mut service.installer(&["--json"])).ends().ok().json();
    let steps = shown["steps"].as_array().unwrap().clone();
    let open = steps.iter().filter(|step| step["done"] == false);
    open.map(|step| step["what"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn it_shows_all_and_changes_nothing_and_then_does_exactly_that() {
    let service = Service::new();
    let text = Running::start(&mut service.installer(&[])).ends().ok().stdout();
    let [daemon, operators, agents] = &service.names;
    let prefix = service.prefix.display();
    for line in [
        format!("to do group {operators} (system)"),
        format!("to do user {daemon} (system"),
        format!("to do user {} joins group {agents}", service.agent.name),
        format!("to do directory {prefix}/var/lib/sgw (owner {daemon}:{daemon}, mode 0700)"),
        format!("to do program {prefix}/bin/sgw (owner root:{operators}, mode 2755: setgid)"),
        format!("ExecStart={prefix}/bin/sgw daemon run --service"),
        format!("operator = {}", service.operator.uid),
        "SocketMode=0660".to_owned(),
    ] {
        assert!(text.contains(&line), "no {line:?} in\n{text}");
    }
    assert_eq!(fs::read_dir(&service.prefix).unwrap().count(), 0, "it changed something");
    let said = service.apply().ok().stderr();
    assert!(said.contains(&format!("done: group {operators}")), "{said}");
    assert_eq!(undone(&service), Vec::<String>::new());
    let program = fs::metadata(service.program()).unwrap();
    let is = (program.uid(), program.gid(), program.mode() & 0o7777);
    assert_eq!(is, (0, service.gid(operators), 0o2755));
    // Again: there is nothing to do.
    let again = service.apply().ok().stderr();
    assert!(!again.contains("done:"), "{again}");
    // What somebody changed is mended, and nothing else is touched.
    fs::write(service.path("etc/sgw/service.toml"), "operator = 0\n").unwrap();
    std::os::unix::fs::chown(service.program(), Some(service.agent.uid), None).unwrap();
    assert_eq!(undone(&service).len(), 2, "{:?}", undone(&service));
    service.apply().ok();
    assert_eq!(undone(&service), Vec::<String>::new());
}

#[test]
fn a_step_that_fails_says_what_is_done_and_the_next_try_goes_on() {
    let service = Service::new();
    // Something else lies where a directory has to be.
    fs::write(service.path("run"), "").unwrap();
    let failed = service.apply().fails_as(1, &["service.failed", "service.unfit"]);
    assert!(failed.stderr().contains("run"), "{failed:?}");
    fs::remove_file(service.path("run")).unwrap();
    // The daemon's name is taken by a group that is a step's already: made before, and kept.
    service.apply().ok();
    assert_eq!(undone(&service), Vec::<String>::new());
}

#[test]
fn only_root_can_have_it_done_and_only_in_a_place_that_is_roots() {
    let service = Service::new();
    let program = service.path("sgw");
    fs::copy(env!("CARGO_BIN_EXE_sgw"), &program).unwrap();
    let words = [
        "init",
        "--service",
        "--apply",
        "--operator",
        &service.operator.name,
        "--prefix",
        "/opt/x",
    ];
    let mut as_agent = service.command_of(&service.agent, &program, words);
    Running::start(&mut as_agent).ends().fails(1, "service.root");
    let mut nobody = Command::new(&program);
    nobody.args(["init", "--service", "--prefix", "/opt/x"]).env_remove("SUDO_USER");
    Running::start(&mut nobody).ends().fails(2, "usage.arguments");
    let mut open = service.installer(&["--apply", "--prefix", "/tmp/sgw-in-an-open-place"]);
    // The flag is given twice: clap takes none of it.
    Running::start(&mut open).ends().exits(2);
    let sgw = Sgw::new();
    let place = sgw.path("below").display().to_string();
    let mut open = Command::new(&program);
    open.args(["init", "--service", "--apply", "--no-start", "--prefix", &place]);
    open.args(["--operator", &service.operator.name]);
    Running::start(&mut open).ends().fails(1, "service.unfit");
    assert!(!sgw.path("below").exists());
}

#[test]
fn systemd_understands_the_units() {
    let analyze = "/usr/bin/systemd-analyze";
    if !std::path::Path::new(analyze).exists() {
        eprintln!("left out: systemd-analyze is not installed");
        return;
    }
    let service = Service::new();
    service.apply().ok();
    let units = service.path("etc/systemd/system");
    let mut verify = Command::new(analyze);
    verify.args(["verify", "--man=no"]);
    verify.args(
        ["sgw.service", "sgw-agent.socket", "sgw-operator.socket"].map(|unit| units.join(unit)),
    );
    let verified = Running::start(&mut verify).ends();
    let said = verified.stderr();
    let ours = said.lines().filter(|line| line.contains("sgw")).collect::<Vec<_>>();
    assert!(verified.code() == 0 && ours.is_empty(), "{verified:?}");
}
