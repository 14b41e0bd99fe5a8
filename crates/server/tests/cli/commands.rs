//! Commands that talk to a server, or work without one.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::{Pid, Signal, kill_process};

use super::place::*;

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
    // The only team needs no name.
    place
        .run_with(&operator, "connectors list")
        .assert(0, &["scl_demo"]);
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
        .assert(0, &["no connections yet", "grantry token"]);
    // A script's variable that is not set must not mean "all".
    for flag in ["connector", "user", "environment", "search"] {
        let (list, revoke) = (
            format!("connections list --{flag}="),
            format!("connections revoke --{flag}="),
        );
        for line in [list, revoke] {
            place
                .run_with(&on, &line)
                .assert(2, &[&format!("--{flag} is empty")]);
        }
    }
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
    // Data that is named is meant, whatever server the environment names.
    let elsewhere = [("GRANTRY_URL", "http://127.0.0.1:1"), ("GRANTRY_KEY", "k")];
    let database = "apply -f team.toml --data-dir new --database-url postgres://u@127.0.0.1:1/d --master-key-file other.key";
    place
        .run_with(&elsewhere, database)
        .assert(4, &["database"]);
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
        include_str!("../../../../docs/apply-example.toml"),
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
fn who_follows_the_log_does_not_hold_up_a_stop() {
    let place = Place::new();
    place.write("team.toml", &team());
    let mut command = place.command("serve --listen 127.0.0.1:0 --data-dir data");
    // Shorter than the wait: an answer that came late would be cut off.
    command.env("GRANTRY_LIMITS_STOP_TIME_MAX", "3s");
    let server = Server::start(command);
    let on = [("GRANTRY_DATA_DIR", "data"), ("GRANTRY_TEAM", "demo")];
    place.run_with(&on, "apply -f team.toml").assert(0, &[]);
    let key = place.run_with(&on, "keys create --name tail --role admin");
    let key = key.stdout.trim().to_owned();
    let address = server.url.trim_start_matches("http://");
    #[expect(clippy::disallowed_methods, reason = "the test is the client")]
    let mut tail = TcpStream::connect(address).unwrap();
    // Both are read at once, so the second has begun when the first is answered.
    let ask = format!(
        "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n\
         GET /api/v1/events?wait_ms=10000 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n"
    );
    tail.write_all(ask.as_bytes()).unwrap();
    tail.read_exact(&mut [0; 12]).unwrap();
    assert_eq!(server.stop(), Some(0));
    let mut answer = String::new();
    tail.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("next_cursor"), "{answer}");
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
    place.run("man").assert(0, &[".TH", "Exit codes:"]);
    place.run("man pages").assert(0, &["pages"]);
    assert!(place.path("pages/grantry-connectors-attach.1").exists());
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
