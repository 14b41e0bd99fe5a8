//! Configuration, files, keys and the life of a server.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use super::place::*;

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
            &["typo.toml", "listn", "is listen meant?"],
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
    // A variable that a script meant to fill chooses no other place.
    let place = Place::new();
    for (variable, line) in [
        ("GRANTRY_DATABASE_URL", "serve --listen 127.0.0.1:0"),
        ("GRANTRY_MASTER_KEY", "serve --listen 127.0.0.1:0"),
        ("GRANTRY_CONFIG", "config show"),
        ("GRANTRY_DATA_DIR", "keys list"),
        ("GRANTRY_URL", "keys list"),
        ("GRANTRY_KEY", "keys list --url http://127.0.0.1:1"),
    ] {
        place
            .run_with(&[(variable, "")], line)
            .assert(2, &[&format!("{variable} is set and empty")]);
    }
    assert!(!place.path("grantry-data").exists());
    place.write("typo.toml", "");
    for flag in ["--url http://127.0.0.1:1 --key k", "--key k"] {
        let line = format!("apply -f typo.toml --database-url postgres://x/y {flag}");
        place.run(&line).assert(2, &["--database-url", "either"]);
    }
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
