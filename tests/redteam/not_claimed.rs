//! Not claimed: these attacks succeed, and SECURITY.md says so. When one fails, the table is wrong.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    process::Command,
    rc::Rc,
};

use rustix::process::Signal;
use serde_json::json;

use super::copy;
use crate::support::{
    Live, PASSPHRASE, Person, Pty, Running, Sgw, Sshd, eventually,
    frames::{JSON, frame, hello},
    is_alive, processes_naming, signal, still_serves,
};

#[test]
fn whoever_replaces_the_program_gets_the_passphrase() {
    let sgw = Sgw::unlocked();
    let loot = sgw.path("loot");
    let fake = sgw.path("bin");
    fs::create_dir(&fake).unwrap();
    let script = format!(
        "#!/bin/sh\nprintf 'Passphrase: '; stty -echo; read p; printf %s \"$p\" > {}\n",
        loot.display()
    );
    fs::write(fake.join("sgw"), script).unwrap();
    fs::set_permissions(fake.join("sgw"), fs::Permissions::from_mode(0o755)).unwrap();
    // A line in the shell's rc file is enough to put it first.
    let mut shell = Command::new("sh");
    shell.args(["-c", "sgw unlock"]).env("PATH", format!("{}:/usr/bin:/bin", fake.display()));
    let mut terminal = Pty::start(&shell);
    terminal.wait_for("Passphrase");
    terminal.send(&format!("{PASSPHRASE}\r"));
    terminal.ends();
    assert_eq!(fs::read_to_string(loot).unwrap(), PASSPHRASE);
}

#[test]
fn whoever_types_into_the_operators_terminal_is_the_operator() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let identity = sshd.key.path.display().to_string();
    let fingerprint = sshd.host_key_fingerprint();
    let mut approve = vec!["approve", &request, "--identity", &identity];
    approve.extend(["--accept-host-key", &fingerprint]);
    let mut terminal = sgw.terminal(approve);
    terminal.wait_for("(?i)passphrase");
    // The person proves who they are; the rest is typed by whoever holds the terminal's other end.
    terminal.send(&format!("{PASSPHRASE}\r"));
    terminal.wait_for("a test");
    for _ in 0..5 {
        if terminal.has_ended() {
            break;
        }
        terminal.settle();
        terminal.send("y\r");
    }
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    sgw.agent(["wait", &request]).ok();
}

#[test]
fn what_hides_on_the_target_stays_there() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session(&sshd);
    let number = 700_000 + std::process::id();
    // Its environment is cleared and its command line its own: no marker leads to it.
    let line = format!("env -i setsid sleep {number} >/dev/null 2>&1 </dev/null & echo left");
    sgw.agent(["exec", &s, "--", &line]).ok().prints("left\n");
    sgw.agent(["close", &s]).ok();
    let name = number.to_string();
    let left: Vec<u32> = processes_naming(&name)
        .into_iter()
        .filter(|pid| fs::read(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == b"sleep\n"))
        .collect();
    assert_eq!(left.len(), 1, "it was found after all");
    left.into_iter().for_each(|pid| signal(pid, Signal::KILL));
}

#[test]
fn a_borrowed_key_is_the_agents_too() {
    // A key file that the agent's user can read needs no sgw: only what the vault holds is held.
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    sgw.session(&sshd);
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]);
    ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-i"]).arg(&sshd.key.path);
    ssh.args(["-p", &sshd.port().to_string(), &format!("{}@127.0.0.1", sshd.user), "echo in"]);
    assert_eq!(ssh.output().unwrap().stdout, b"in\n");
}

#[test]
fn within_one_uid_a_token_is_a_label_that_others_can_wear() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    sgw.target("web1", &sshd);
    let token = sgw.token("ci", &[]);
    sgw.grant(&["--token", "ci", "--target", "web1"]);
    let agent = Running::start(Command::new("sleep").arg("600").env("SGW_TOKEN", &token.text));
    // Another agent of this uid reads the environment of the first.
    let mut worn = String::new();
    eventually("its environment is there to read", || {
        let environment = fs::read(format!("/proc/{}/environ", agent.pid())).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        let shown = variables.find_map(|one| one.strip_prefix(b"SGW_TOKEN="));
        worn = String::from_utf8_lossy(shown.unwrap_or_default()).into_owned();
        !worn.is_empty()
    });
    let me = sgw.by_text(&worn, ["whoami", "--json"]).ok().json();
    assert_eq!(me["token"], "ci");
    sgw.by_text(&worn, ["exec", "web1", "--", "echo", "as ci"]).ok().prints("as ci\n");
    agent.signal(Signal::KILL);
    agent.ends();
}

#[test]
fn whoever_traces_the_operators_start_reads_the_passphrase() {
    if Command::new("strace").arg("-V").output().is_err() {
        return eprintln!("left out: there is no strace");
    }
    let person = Rc::new(Person::ordinary());
    let sgw = Sgw::of(&person);
    sgw.init();
    sgw.unlock();
    let loot = sgw.path("operator/loot");
    let plain = sgw.operator_command(["config", "list"]);
    // A line in the shell's rc file is enough: who is there from the start keeps it from
    // becoming undumpable.
    let mut traced = Command::new("strace");
    traced
        .args(["-f", "-e", "trace=read,prctl", "-e", "inject=prctl:retval=0"])
        .args(["-s", "400", "-o"])
        .arg(&loot);
    traced.arg(plain.get_program()).args(plain.get_args());
    traced.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    sgw.run(person.runs(&mut traced)).ok();
    assert!(fs::read_to_string(loot).unwrap().contains(PASSPHRASE));
}

#[test]
fn what_a_person_types_to_a_program_on_the_target_is_its_accounts() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session(&sshd);
    let (loot, secret) = (sshd.directory().join("loot"), "typed-for-sudo-on-the-target");
    // The agent has replaced what its person is going to start.
    let fake = format!(
        "sudo() {{ printf 'pass''word: '; stty -echo; read -r p; stty echo; echo $p >{}; }}",
        loot.display()
    );
    sgw.agent(["input", &s, &fake]).ok();
    let mut seat = Live::attach(&sgw, &s, Some(true));
    seat.control_is("operator", true);
    seat.types("sudo true\r");
    seat.shows("password:");
    seat.types(&format!("{secret}\r"));
    eventually("it is typed", || fs::read_to_string(&loot).is_ok_and(|read| !read.is_empty()));
    seat.says(&json!({"type": "return", "session": s, "message": null}));
    let cat = format!("cat {}", loot.display());
    sgw.agent(["exec", &s, "--", &cat]).ok().prints(&format!("{secret}\n"));
}

#[test]
fn a_command_that_takes_a_part_of_what_is_typed_behind_it_makes_another_line() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session(&sshd);
    let file = sshd.directory().join("file");
    fs::write(&file, "").unwrap();
    let line = format!("chmod 4755 {}", file.display());
    sgw.agent(["input", &s, &line, "--no-ask"]).fails(77, "approval.required");
    // Five bytes are the first command's, and what is left is no echo any more.
    let two = format!("dd bs=1 count=5 of=/dev/null\necho {line}");
    sgw.agent(["input", &s, &two, "--no-ask"]).ok();
    let mode = || fs::metadata(&file).unwrap().permissions().mode();
    eventually("it ran", || mode() & 0o4000 != 0);
}

#[test]
fn whoever_has_an_older_copy_and_its_passphrase_has_what_was_in_it() {
    let sgw = Sgw::unlocked();
    sgw.operator(["config", "set", "notify", "/bin/true"]).ok();
    sgw.lock();
    let older = sgw.path("older");
    copy(&sgw.home(), &older);
    sgw.unlock();
    let another = "granite-lantern-otter-meadow-quartz-5512";
    sgw.plant(another.as_bytes());
    let file = sgw.write_private("another", another);
    let file = file.to_str().unwrap();
    sgw.operator(["vault", "passphrase", "--new-passphrase-file", file]).ok();
    let old = sgw.passphrase_file();
    let proof = ["--passphrase-file", old.to_str().unwrap(), "--i-am-the-operator"];
    sgw.operator(["config", "list"]).fails(77, "operator.proof");
    sgw.write_private("passphrase", another);
    sgw.operator(["vault", "rotate"]).ok();
    sgw.write_private("passphrase", PASSPHRASE);
    sgw.agent(["lock"]).ok();
    let elsewhere = |words: &[&str]| {
        let mut command = sgw.command(words.iter().chain(&proof));
        sgw.run(command.env("SGW_HOME", &older)).ok().stdout()
    };
    elsewhere(&["unlock"]);
    assert!(elsewhere(&["config", "list", "--json"]).contains("/bin/true"));
    elsewhere(&["lock"]);
}

#[test]
fn whoever_takes_the_sockets_place_can_say_that_sgw_is_locked() {
    // A lock takes no proof, so its answer is none. The next unlock tells that the daemon lives.
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session(&sshd);
    let daemon = sgw.daemon().unwrap();
    let socket = sgw.find("operator.sock");
    let welcome = {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(&frame(JSON, 0, &hello(1))).unwrap();
        let mut bytes = vec![0; 4096];
        let length = stream.read(&mut bytes).unwrap();
        bytes.truncate(length);
        bytes
    };
    let real = sgw.path("real");
    fs::rename(&socket, &real).unwrap();
    let fake = UnixListener::bind(&socket).unwrap();
    let answers = std::thread::spawn(move || {
        let (mut stream, _) = fake.accept().unwrap();
        let mut chunk = [0; 4096];
        let _hello = stream.read(&mut chunk);
        stream.write_all(&welcome).unwrap();
        let _lock = stream.read(&mut chunk);
    });
    sgw.agent(["lock"]).ok();
    answers.join().unwrap();
    assert!(is_alive(daemon));
    still_serves(&sgw, &s);
    fs::rename(&real, &socket).unwrap();
}

#[test]
fn a_sandboxed_program_opens_the_operators_files_to_others() {
    // Landlock asks nothing of chmod(2): what the program can't read, others of the machine then can.
    let sgw = Sgw::unlocked();
    let work = sgw.path("work");
    fs::create_dir(&work).unwrap();
    let key = sgw.write_in_user_home(".ssh/id_mode", "a key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let line = format!("cat {0} || chmod 666 {0}", key.display());
    let mut command =
        sgw.operator_command(["run", "--sandbox", "--", "/bin/sh", "-c", line.as_str()]);
    let outcome = sgw.run(command.current_dir(&work)).ok().prints("");
    assert!(outcome.stderr().contains("modes, times and attributes"), "it was not told");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o666);
}
