//! The built binary, as operators and scripts meet it: exit codes, precedence, files, signals.

// So that the lints know this file for what it is.
#![cfg(test)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A folder to work in, and commands that see nothing of the developer's own environment.
struct Place {
    folder: TempDir,
}

/// What a command left behind.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grantry"));
        command
            .args(line.split_whitespace())
            .env_clear()
            .current_dir(self.folder.path());
        command
    }

    fn run(&self, line: &str) -> Ended {
        Ended::of(self.command(line).output().unwrap())
    }

    fn run_with(&self, variables: &[(&str, &str)], line: &str) -> Ended {
        let mut command = self.command(line);
        Ended::of(command.envs(variables.iter().copied()).output().unwrap())
    }
}

impl Ended {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn assert(&self, code: i32, words: &[&str]) {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert_eq!(self.code, code, "{all}");
        for word in words {
            assert!(all.contains(word), "{word:?} is not in: {all}");
        }
    }
}

/// `grantry serve` on a free port; killed when a test ends early.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut lines = log.lines().map_while(Result::ok);
        let url = lines.by_ref().find_map(|line| {
            let (_, rest) = line.split_once("\"url\":\"")?;
            Some(rest.split_once("/\"")?.0.to_owned())
        });
        // Whoever writes to a pipe that nobody reads stops for ever.
        std::thread::spawn(move || lines.for_each(drop));
        let url = url.expect("a line of the log names the URL");
        Self { child, url }
    }

    fn stop(mut self) -> Option<i32> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn serve(place: &Place) -> Server {
    Server::start(place.command("serve --listen 127.0.0.1:0 --data-dir data"))
}

/// Data of a server that ran once and ended.
fn used(place: &Place) {
    assert_eq!(serve(place).stop(), Some(0));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn team() -> String {
    include_str!("../src/commands/dev/demo.toml").replace("ISSUER", "http://127.0.0.1:1")
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_would_be_right() {
    let place = Place::new();
    place.write("typo.toml", "listn = '127.0.0.1:1'");
    place.write("wrong.toml", "[refresh]\nlease = 30");
    place.write("rule.toml", "[egress]\nallow = ['http://x']");
    for (line, words) in [
        ("serve --lisen 1", &["--listen"][..]),
        ("serve --config absent.toml", &["absent.toml"]),
        (
            "serve --config typo.toml",
            &["typo.toml", "listn", "Is listen meant?"],
        ),
        ("serve --config wrong.toml", &["wrong.toml", "line 2"]),
        (
            "serve --config rule.toml --listen 127.0.0.1:0",
            &["http://x"],
        ),
        ("serve --listen 0.0.0.0:0", &["public_url", "--public-url"]),
        ("serve --listen localhost:8000", &["127.0.0.1:8000"]),
        ("sandbox --listen localhost:8000", &["127.0.0.1:8000"]),
        ("token a --key bogus", &["--key", "--url"]),
        ("token a --key bogus --data-dir data", &["--key", "--url"]),
        ("token a --user u --app", &["--app"]),
        ("token a --url http://127.0.0.1:1", &["GRANTRY_KEY"]),
        ("run a --as 1X -- true", &["letters"]),
    ] {
        place.run(line).assert(2, words);
    }
    let key = ("GRANTRY_KEY", "bogus");
    for variables in [&[key][..], &[key, ("GRANTRY_DATA_DIR", "data")]] {
        place
            .run_with(variables, "keys list")
            .assert(2, &["GRANTRY_KEY", "GRANTRY_URL"]);
    }
    place
        .run("serve --database-url postgres://x")
        .assert(3, &["master key", "--master-key-file"]);
    let odd = [("GRANTRY_LOG", "=loud=")];
    place
        .run_with(&odd, "serve --listen 127.0.0.1:0")
        .assert(2, &["GRANTRY_LOG"]);
}

#[test]
fn a_flag_beats_the_environment_and_the_environment_beats_the_file() {
    let place = Place::new();
    #[expect(
        clippy::disallowed_methods,
        reason = "ports that the server must find taken"
    )]
    let taken = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [file, environment, flag] = taken
        .each_ref()
        .map(|one| one.local_addr().unwrap().to_string());
    place.write("grantry.toml", &format!("listen = '{file}'"));
    let config = ("GRANTRY_CONFIG", "grantry.toml");
    let listen = ("GRANTRY_LISTEN", environment.as_str());
    let by_flag = format!("serve --listen {flag}");
    for (variables, line, wanted) in [
        (&[config][..], "serve", &file),
        (&[config, listen], "serve", &environment),
        (&[config, listen], &by_flag, &flag),
    ] {
        place
            .run_with(variables, line)
            .assert(5, &[wanted, "--listen"]);
    }
}

#[test]
fn a_server_keeps_its_files_to_itself_and_ends_cleanly() {
    let place = Place::new();
    let server = serve(&place);
    let data = place.path("data");
    assert_eq!(mode(&data), 0o700);
    for file in [
        "grantry.db",
        "master.key",
        "first-server-key",
        "control.sock",
    ] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    let second = place.run("serve --listen 127.0.0.1:0 --data-dir data");
    let pid = format!("process {}", server.child.id());
    second.assert(6, &[&pid, "--data-dir"]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.child.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(
        core.split_whitespace().filter(|word| *word == "0").count(),
        2,
        "{core}"
    );
    assert_eq!(server.stop(), Some(0));
    assert!(!data.join("control.sock").exists());
}

#[test]
fn a_killed_server_leaves_nothing_that_stops_the_next() {
    let place = Place::new();
    let mut server = serve(&place);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    assert!(place.path("data/control.sock").exists());
    place
        .run("keys list --data-dir data --team t")
        .assert(8, &["grantry serve"]);
    let server = serve(&place);
    place
        .run("keys list --data-dir data --team t")
        .assert(1, &["team not found"]);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn data_is_never_opened_without_its_master_key() {
    let place = Place::new();
    used(&place);
    let again = "serve --listen 127.0.0.1:0 --data-dir data";
    let key = place.path("data/master.key");
    let text = fs::read_to_string(&key).unwrap();

    fs::remove_file(&key).unwrap();
    place
        .run(again)
        .assert(3, &["master.key is missing", "backup"]);
    assert!(!key.exists());
    let other = [(
        "GRANTRY_MASTER_KEY",
        "FS+b/VhLEI6wcUQ26v3Jk8iW1p5DTmz7hXg0sOaAyNE=",
    )];
    place
        .run_with(&other, again)
        .assert(3, &["sealed under master key", "Nothing has been changed"]);
    place
        .run_with(&[("GRANTRY_MASTER_KEY", "short")], again)
        .assert(3, &["GRANTRY_MASTER_KEY"]);

    fs::write(&key, &text).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    place.run(again).assert(3, &["chmod 600"]);
    fs::remove_file(&key).unwrap();
    let mut command = place.command(again);
    command.env("GRANTRY_MASTER_KEY", &text);
    assert_eq!(Server::start(command).stop(), Some(0));
    assert!(!key.exists());
}

#[test]
fn a_broken_database_ends_with_4() {
    let place = Place::new();
    used(&place);
    place.write("data/grantry.db", &"no database ".repeat(1000));
    place
        .run("serve --listen 127.0.0.1:0 --data-dir data")
        .assert(4, &["database"]);
}

#[test]
fn a_file_is_applied_to_resting_data_through_the_socket_and_through_the_api() {
    let place = Place::new();
    place.write("team.toml", &team());
    place.write(
        "key.toml",
        "[[keys]]\nteam = 'team_demo'\nlevel = 'team'\nrole = 'admin'\ntoken_env = 'ADMIN'",
    );
    place.write(
        "generated.toml",
        "[[keys]]\nteam = 'team_demo'\nlevel = 'team'\nrole = 'member'",
    );
    place.write("wrong.toml", "[[teams]]\nslug = 'x'\nnmae = 'X'");
    let data = ("GRANTRY_DATA_DIR", "data");

    place
        .run_with(&[data], "apply -f team.toml")
        .assert(8, &["no data in data"]);
    used(&place);
    let dry = place.run_with(&[data], "apply -f team.toml --dry-run");
    dry.assert(0, &["created", "team_demo", "would change"]);
    place
        .run_with(&[data], "apply -f team.toml")
        .assert(0, &["scl_demo", "declared rows changed"]);
    place
        .run_with(&[data], "apply -f team.toml")
        .assert(0, &["0 of 5 declared rows"]);

    let server = serve(&place);
    place
        .run_with(&[data], "apply -f team.toml")
        .assert(0, &["0 of 5"]);
    place
        .run_with(&[data], "apply -f key.toml")
        .assert(2, &["key.toml", "keys[0].token_env", "ADMIN"]);
    let with_key = [data, ("ADMIN", "tok_from_the_environment")];
    place
        .run_with(&with_key, "apply -f key.toml")
        .assert(0, &["1 of 1"]);
    place
        .run_with(&[data], "apply -f wrong.toml")
        .assert(2, &["wrong.toml", "[[teams]] row 1", "nmae"]);
    place
        .run_with(&[data], "apply -f absent.toml")
        .assert(2, &["absent.toml"]);
    let generated = place.run_with(&[data], "apply -f generated.toml");
    generated.assert(0, &["shown only now"]);
    let made = generated.stdout.lines().last().unwrap();

    let url = ("GRANTRY_URL", server.url.as_str());
    for key in ["tok_from_the_environment", made] {
        let admin = [url, ("GRANTRY_KEY", key)];
        place
            .run_with(&admin, "connectors list")
            .assert(0, &["scl_demo"]);
        place
            .run_with(&admin, "apply -f team.toml")
            .assert(1, &["forbidden"]);
    }
    let first = fs::read_to_string(place.path("data/first-server-key")).unwrap();
    let operator = [url, ("GRANTRY_KEY", first.trim())];
    place
        .run_with(&operator, "apply -f team.toml --json")
        .assert(0, &["\"unchanged\""]);
    place
        .run_with(&operator, "connectors list")
        .assert(1, &["team"]);
    place
        .run_with(&operator, "connectors list --team demo")
        .assert(0, &["scl_demo"]);
    place
        .run_with(&[url, ("GRANTRY_KEY", "wrong")], "connectors list")
        .assert(1, &["GRANTRY_KEY"]);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn rows_are_made_shown_and_removed_from_the_command_line() {
    let place = Place::new();
    place.write("team.toml", &team());
    let server = serve(&place);
    let on = [
        ("GRANTRY_DATA_DIR", "data"),
        ("GRANTRY_TEAM", "demo"),
        ("CLIENT_SECRET", "s3cret-value"),
    ];
    place.run_with(&on, "apply -f team.toml").assert(0, &[]);

    let create = "connectors create --name Crm --uid crm/one --service sandbox --client-id me --client-secret-env CLIENT_SECRET";
    let made = place.run_with(&on, create);
    made.assert(0, &["crm/one"]);
    assert!(!made.stdout.contains("s3cret-value"), "{}", made.stdout);
    place
        .run_with(&on, "connectors show crm/one --json")
        .assert(0, &["\"Crm\""]);
    place
        .run_with(&on, "connectors delete crm/one")
        .assert(0, &["is deleted"]);
    place
        .run_with(&on, "connectors show crm/one")
        .assert(1, &["not_found"]);
    place
        .run_with(&on, "connections list")
        .assert(0, &["There are none"]);
    place
        .run_with(&on, "events list --kind connector.deleted")
        .assert(0, &["connector.deleted"]);

    let key = place.run_with(&on, "keys create --name ci --role member");
    key.assert(0, &["shown only now"]);
    let id = key
        .stderr
        .split_whitespace()
        .nth(1)
        .unwrap()
        .trim_end_matches(',');
    let member = [
        ("GRANTRY_URL", server.url.as_str()),
        ("GRANTRY_KEY", key.stdout.trim()),
    ];
    place
        .run_with(&member, "connectors list")
        .assert(0, &["scl_demo"]);
    place
        .run_with(&member, "keys list")
        .assert(1, &["forbidden"]);
    place
        .run_with(&on, &format!("keys revoke {id}"))
        .assert(0, &["is revoked"]);
    place
        .run_with(&member, "connectors list")
        .assert(1, &["unauthenticated"]);

    let (url, data) = (("GRANTRY_URL", server.url.as_str()), on[0]);
    // Where there is one team, it is meant; else they are listed.
    place
        .run_with(&on[..1], "connectors list")
        .assert(0, &["scl_demo"]);
    place.write(
        "more.toml",
        "[[teams]]\nid = 'team_2'\naccount = 'acc_demo'\nslug = 'second'\nname = 'Second'",
    );
    place.run_with(&on, "apply -f more.toml").assert(0, &[]);
    place
        .run_with(&on[..1], "connectors list")
        .assert(1, &["demo, second", "--team", "GRANTRY_TEAM"]);
    place
        .run_with(&[url], "keys list")
        .assert(2, &["GRANTRY_KEY"]);
    place
        .run_with(&[url, data], "keys list --team demo")
        .assert(0, &[]);

    // At the control socket the project alone tells the team.
    let no_team = &on[..1];
    let minted = place.run_with(
        no_team,
        "workload-token --project prj_demo --environment preview",
    );
    minted.assert(0, &[]);
    assert_eq!(minted.stdout.matches('.').count(), 2, "{}", minted.stdout);
    let workload = [
        ("GRANTRY_URL", server.url.as_str()),
        ("GRANTRY_KEY", minted.stdout.trim()),
    ];
    let wanted = place.run_with(&workload, "token sandbox/demo --user bob");
    wanted.assert(7, &["bob has to connect", &server.url]);
    assert_eq!(
        wanted.stdout, "",
        "a script must not take the link for a token"
    );
    place
        .run_with(&workload, "run sandbox/demo --user bob --as T -- true")
        .assert(7, &["bob"]);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn resting_data_is_changed_with_the_key_that_its_server_is_started_with() {
    let place = Place::new();
    place.write("team.toml", &team());
    place.write("other.key", "TfMubj4yLhuT1vtK8JaYwwGGBqknPt7gx98tv/Q9nDg=");
    let key = place.path("other.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    place.write(
        "grantry.toml",
        "data_dir = 'data'\nmaster_key_file = 'other.key'",
    );
    let serve = "serve --listen 127.0.0.1:0 --config grantry.toml";
    let server = Server::start(place.command(serve));
    assert_eq!(server.stop(), Some(0));
    place
        .run("apply -f team.toml --data-dir data")
        .assert(3, &["master.key is missing"]);
    let wrong = [(
        "GRANTRY_MASTER_KEY",
        "FS+b/VhLEI6wcUQ26v3Jk8iW1p5DTmz7hXg0sOaAyNE=",
    )];
    let refused = place.run_with(&wrong, "apply -f team.toml --data-dir data");
    refused.assert(3, &["Nothing has been changed"]);
    assert_eq!(refused.stderr.matches("it was made with").count(), 1);
    for line in [
        "apply -f team.toml --config grantry.toml",
        "apply -f team.toml --data-dir data --master-key-file other.key",
    ] {
        place.run(line).assert(0, &["of 5 declared rows"]);
    }
    let variable = [
        ("GRANTRY_DATA_DIR", "data"),
        ("GRANTRY_MASTER_KEY_FILE", "other.key"),
    ];
    place
        .run_with(&variable, "apply -f team.toml")
        .assert(0, &["0 of 5 declared rows"]);
}

#[test]
fn the_example_of_the_apply_file_can_be_applied() {
    let place = Place::new();
    used(&place);
    place.write(
        "example.toml",
        include_str!("../../../docs/apply-example.toml"),
    );
    place
        .run("apply -f example.toml --dry-run --data-dir data")
        .assert(0, &["would change"]);
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let place = Place::new();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let ended = place.command("completions bash").stdout(full).output();
    let ended = Ended::of(ended.unwrap());
    ended.assert(1, &["standard output"]);
}

#[test]
fn a_command_that_cannot_be_run_ends_as_in_a_shell() {
    let place = Place::new();
    place.write("team.toml", &team());
    place.write(
        "grant.toml",
        "[[connections]]\nteam = 'team_demo'\nconnector = 'scl_demo'\nenvironment = 'production'\n\
         subject = { type = 'user', id = 'u1' }\naccess_token = 'at_1'\nexpires_in = 3600",
    );
    place.write("plain", "no program");
    let server = serve(&place);
    let data = [("GRANTRY_DATA_DIR", "data")];
    for file in ["team.toml", "grant.toml"] {
        place
            .run_with(&data, &format!("apply -f {file}"))
            .assert(0, &[]);
    }
    for (command, code) in [("absent", 127), ("./plain", 126), ("true", 0)] {
        let line = format!("run sandbox/demo --user u1 --as T -- {command}");
        let mut run = place.command(&line);
        run.envs(data).env("PATH", "/usr/bin:/bin");
        Ended::of(run.output().unwrap()).assert(code, &[]);
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_second_interrupt_ends_a_server_that_waits_for_its_requests() {
    let place = Place::new();
    let mut server = serve(&place);
    let address = server.url.trim_start_matches("http://");
    #[expect(clippy::disallowed_methods, reason = "the test is the client")]
    let mut slow = TcpStream::connect(address).unwrap();
    // A body that never comes; the server says so once it waits for it.
    slow.write_all(
        b"POST /authorize/sca_1 HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
    )
    .unwrap();
    slow.read_exact(&mut [0; 12]).unwrap();
    let pid = Pid::from_child(&server.child);
    let ended = loop {
        kill_process(pid, Signal::INT).unwrap();
        std::thread::yield_now();
        if let Some(ended) = server.child.try_wait().unwrap() {
            break ended;
        }
    };
    assert_eq!(ended.code(), Some(130));
}

#[test]
fn dev_shows_a_token_every_time_and_its_commands_work() {
    let place = Place::new();
    let first = place.run("dev --once");
    first.assert(0, &["Her access token", "dev` keeps it running"]);
    assert!(!first.stdout.contains("--user alice"), "{}", first.stdout);
    assert_eq!(mode(&place.path("grantry-dev/profile.toml")), 0o600);
    assert_eq!(
        fs::read_to_string(place.path("grantry-dev/.gitignore")).unwrap(),
        "*\n"
    );
    let profile = fs::read_to_string(place.path("grantry-dev/profile.toml")).unwrap();
    place.run("dev --once").assert(0, &["Her access token"]);
    let again = fs::read_to_string(place.path("grantry-dev/profile.toml")).unwrap();
    let key = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("key"))
            .map(str::to_owned)
    };
    assert_eq!(key(&profile), key(&again));
    // What has ended does not draw the commands to it.
    place
        .run("token sandbox/demo --user alice")
        .assert(8, &["no server runs on ./grantry-data", "grantry dev"]);
    place.write("team.toml", &team());
    let server = Server::start(place.command("serve --listen 127.0.0.1:0"));
    place.run("apply -f team.toml").assert(0, &["5 of 5"]);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_needs_no_server_needs_none() {
    let place = Place::new();
    place.run("--version").assert(0, &["grantry 0."]);
    place
        .run("--help")
        .assert(0, &["Exit codes:", "workload-token"]);
    place.run("completions bash").assert(0, &["workload-token"]);
    place
        .run("openapi")
        .assert(0, &["/v1/connect/connectors", "http://127.0.0.1:8787"]);
    place.run("sandbox --help").assert(0, &["demo-secret"]);
    place.run("apply --help").assert(0, &["Server:"]);
    place
        .run("sandbox --list-faults")
        .assert(0, &["FAULT", "lost"]);
    place
        .run("sandbox --list-faults --json")
        .assert(0, &["\"requirements\""]);
    place
        .run("connectors list")
        .assert(8, &["grantry-data", "GRANTRY_URL"]);
}
