//! `grantry doctor`: one real fault after another.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::place::*;

/// A report, and what the process ended with.
struct Report {
    code: i32,
    findings: Vec<Value>,
}

impl Report {
    fn of(ended: Ended) -> Self {
        let report: Value = serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", ended.stdout, ended.stderr));
        let findings = report["findings"].as_array().unwrap().clone();
        let failed = findings.iter().filter(|one| one["level"] == "fail").count();
        assert_eq!(report["fail"], failed);
        assert_eq!(ended.code, i32::from(failed > 0), "{}", ended.stderr);
        Self {
            code: ended.code,
            findings,
        }
    }

    /// The worst finding of `code` is of this level and says these words, in message or fix.
    #[track_caller]
    fn assert(&self, code: &str, level: &str, words: &[&str]) {
        let found: Vec<&Value> = self
            .findings
            .iter()
            .filter(|one| one["code"] == code)
            .collect();
        let worst = found.iter().find(|one| one["level"] == level);
        let Some(worst) = worst else {
            panic!("no {level} of {code}: {found:?}");
        };
        let text = format!("{} {}", worst["message"], worst["fix"]);
        for word in words {
            assert!(text.contains(word), "{word:?} is not in: {text}");
        }
    }
}

fn doctor(place: &Place, variables: &[(&str, &str)], line: &str) -> Report {
    let line = format!("doctor --json --data-dir data {line}");
    Report::of(place.run_with(variables, &line))
}

/// A free port; nobody listens there.
fn free_port() -> u16 {
    #[expect(clippy::disallowed_methods, reason = "a port that nobody holds")]
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn sound_data_passes_with_and_without_its_server() {
    let place = Place::new();
    let port = free_port();
    let listen = format!("--listen 127.0.0.1:{port}");
    doctor(&place, &[], &listen).assert("data.directory", "warn", &["grantry serve"]);
    let server = Server::start(place.command(&format!("serve --data-dir data {listen}")));
    let beside = doctor(&place, &[], &listen);
    assert_eq!(beside.code, 0, "{:?}", beside.findings);
    let pid = server.child.id().to_string();
    for (code, words) in [
        ("server.running", &[pid.as_str()][..]),
        ("server.ready", &[]),
        ("server.version", &[env!("CARGO_PKG_VERSION")]),
        ("listen.address", &["the running server's"]),
        ("key.present", &["data/master.key"]),
        ("key.right", &[]),
        ("database.integrity", &["sound"]),
        ("database.schema", &[]),
        ("process.core_dumps", &["running server"]),
        ("clock.data", &[]),
        ("spool.waiting", &["nothing"]),
    ] {
        beside.assert(code, "ok", words);
    }
    let elsewhere = format!("--listen 127.0.0.1:{}", free_port());
    let elsewhere = doctor(&place, &[], &elsewhere);
    elsewhere.assert("listen.address", "warn", &["does not listen at"]);
    beside.assert("data.first_key", "warn", &["rm data/first-server-key"]);
    beside.assert("key.apart", "warn", &["--master-key-file"]);
    assert_eq!(server.stop(), Some(0));

    let alone = doctor(&place, &[], &listen);
    assert_eq!(alone.code, 0, "{:?}", alone.findings);
    alone.assert("server.running", "warn", &["grantry serve"]);
    alone.assert("listen.address", "ok", &["is free"]);
    // What it looked at can be served as before.
    assert_eq!(serve(&place).stop(), Some(0));

    let people = place.run("doctor --data-dir data --listen 127.0.0.1:0");
    people.assert(0, &["warn", "key.apart", "to be looked at, 0 failed"]);
    assert!(!people.stdout.contains("ok "), "{}", people.stdout);
    place
        .run("doctor --data-dir data --listen 127.0.0.1:0 --all")
        .assert(0, &["clock.boot"]);
}

#[test]
fn a_wrong_configuration_is_told_with_what_would_be_right() {
    let place = Place::new();
    place.write("typo.toml", "listn = '127.0.0.1:1'");
    let report = doctor(&place, &[], "--config typo.toml");
    report.assert("config.file", "fail", &["listn", "is listen meant?"]);
    report.assert("clock.wall", "ok", &[]);
    doctor(&place, &[], "--public-url http://grantry.example").assert(
        "config.file",
        "fail",
        &["plain http"],
    );
    doctor(
        &place,
        &[],
        "--listen 0.0.0.0:0 --public-url http://localhost:1",
    )
    .assert(
        "config.public_url",
        "warn",
        &["links lead others to their own machine"],
    );
    doctor(
        &place,
        &[],
        "--listen 0.0.0.0:0 --public-url https://grantry.example",
    )
    .assert("config.public_url", "ok", &["https"]);
}

#[test]
fn a_master_key_that_is_missing_open_or_wrong_is_found() {
    let place = Place::new();
    used(&place);
    let free = "--listen 127.0.0.1:0";
    let key = place.path("data/master.key");
    let text = fs::read_to_string(&key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    doctor(&place, &[], free).assert("key.present", "fail", &["chmod 600 data/master.key"]);
    fs::remove_file(&key).unwrap();
    doctor(&place, &[], free).assert("key.present", "fail", &["backup"]);
    place.write("data/master.key", "no key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    doctor(&place, &[], free).assert("key.present", "fail", &["base64"]);
    fs::remove_file(&key).unwrap();
    let other = "FS+b/VhLEI6wcUQ26v3Jk8iW1p5DTmz7hXg0sOaAyNE=";
    let wrong = doctor(&place, &[("GRANTRY_MASTER_KEY", other)], free);
    wrong.assert("key.right", "fail", &["sealed under", "backup"]);
    let right = doctor(&place, &[("GRANTRY_MASTER_KEY", text.trim())], free);
    right.assert("key.right", "ok", &[]);
    place.write("apart.key", &text);
    fs::set_permissions(place.path("apart.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let apart = doctor(
        &place,
        &[],
        "--listen 127.0.0.1:0 --master-key-file apart.key",
    );
    apart.assert("key.apart", "ok", &[]);
    assert_eq!(apart.code, 0);
}

#[test]
fn a_damaged_database_and_an_open_directory_are_found() {
    let place = Place::new();
    used(&place);
    let free = "--listen 127.0.0.1:0";
    let data = place.path("data");
    let database = data.join("grantry.db");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o770)).unwrap();
    doctor(&place, &[], free).assert("data.directory", "fail", &["chmod 700 data"]);
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(&database, fs::Permissions::from_mode(0o644)).unwrap();
    doctor(&place, &[], free).assert("data.directory", "fail", &["chmod 600 data/grantry.db"]);
    fs::set_permissions(&database, fs::Permissions::from_mode(0o600)).unwrap();

    let sound = fs::read(&database).unwrap();
    let mut damaged = sound.clone();
    // Not the pages that are read already to open it.
    let from = damaged.len() / 2;
    damaged[from..from + 8192].fill(0xA5);
    fs::write(&database, damaged).unwrap();
    doctor(&place, &[], free).assert("database.integrity", "fail", &["damaged", "backup"]);
    fs::write(&database, "no database ".repeat(1000)).unwrap();
    doctor(&place, &[], free).assert("database.reachable", "fail", &["not a database", "backup"]);
    fs::write(&database, sound).unwrap();
    assert_eq!(doctor(&place, &[], free).code, 0);

    let key = (
        "GRANTRY_MASTER_KEY",
        "FS+b/VhLEI6wcUQ26v3Jk8iW1p5DTmz7hXg0sOaAyNE=",
    );
    let url = format!(
        "--database-url postgres://u:hidden@127.0.0.1:{}/d",
        free_port()
    );
    let remote = doctor(&place, &[key], &format!("{url} --listen 127.0.0.1:0"));
    remote.assert("database.reachable", "fail", &["psql"]);
    let all = format!("{:?}", remote.findings);
    assert!(!all.contains("hidden"), "{all}");
}

#[test]
fn what_the_machine_lacks_is_found() {
    let place = Place::new();
    used(&place);
    #[expect(
        clippy::disallowed_methods,
        reason = "a port that doctor must find taken"
    )]
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let pid = std::process::id().to_string();
    doctor(&place, &[], &format!("--listen {address}")).assert(
        "listen.address",
        "fail",
        &[&address, &pid],
    );
    let metrics = format!("--listen 127.0.0.1:0 --metrics-listen {address}");
    doctor(&place, &[], &metrics).assert("metrics.address", "fail", &[&address, &pid]);
    let same = format!(
        "--listen 127.0.0.1:{0} --metrics-listen 127.0.0.1:{0}",
        free_port()
    );
    doctor(&place, &[], &same).assert("metrics.address", "fail", &["another port"]);
    place.write(
        "tls.toml",
        "[tls]\ncert_file = 'absent.pem'\nkey_file = 'absent.pem'",
    );
    doctor(&place, &[], "--listen 127.0.0.1:0 --config tls.toml").assert(
        "tls.files",
        "fail",
        &["absent.pem"],
    );

    let free = "--listen 127.0.0.1:0";
    let proxy = [("HTTPS_PROXY", "http://proxy.example:3128")];
    doctor(&place, &proxy, free).assert("egress.proxy", "warn", &["HTTPS_PROXY"]);
    place.write("data/spool/ts_1.json", "{}");
    doctor(&place, &[], free).assert(
        "spool.waiting",
        "warn",
        &["1 token pairs", "Start the server"],
    );
    fs::remove_file(place.path("data/spool/ts_1.json")).unwrap();

    let line = "doctor --json --data-dir data --listen 127.0.0.1:0";
    let mut few = std::process::Command::new("/bin/sh");
    few.args([
        "-c",
        "ulimit -n 900; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_grantry"),
    ])
    .args(line.split_whitespace())
    .env_clear()
    .current_dir(place.folder.path());
    let report = Report::of(Ended::of(few.output().unwrap()));
    report.assert("limits.files", "warn", &["900", "LimitNOFILE=10256"]);

    // Memory that is mounted as a disk, where the system has some.
    if let Ok(folder) = tempfile::tempdir_in("/dev/shm") {
        let there = folder.path().join("data");
        let there = there.display();
        let served =
            Server::start(place.command(&format!("serve --listen 127.0.0.1:0 --data-dir {there}")));
        assert_eq!(served.stop(), Some(0));
        let line = format!("doctor --json --listen 127.0.0.1:0 --data-dir {there}");
        Report::of(place.run(&line)).assert("spool.disk", "warn", &["tmpfs", "--data-dir"]);
    }
}

/// A provider whose clock stands at the beginning of 2026, for one request.
fn late_provider() -> (u16, std::thread::JoinHandle<()>) {
    #[expect(clippy::disallowed_methods, reason = "a provider that doctor asks")]
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let read = stream.read(&mut request).unwrap();
        assert!(request[..read].starts_with(b"GET "));
        stream
            .write_all(b"HTTP/1.1 405 Method Not Allowed\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
    });
    (port, serving)
}

#[test]
fn providers_that_cannot_be_reached_are_named_with_their_connectors() {
    let place = Place::new();
    used(&place);
    let (port, serving) = late_provider();
    let connector = |team: &str, name: &str, issuer: &str| {
        format!(
            "[[connectors]]\nteam = 'team_{team}'\nuid = 'oauth/{name}'\nname = '{name}'\ntype = 'oauth'\nservice = '{name}'\n\
             [connectors.data]\nclientId = 'me'\nclientSecret = 'secret'\n\
             serverConfig = {{ issuer = '{issuer}', authorization_endpoint = '{issuer}/a', token_endpoint = '{issuer}/t' }}\n\
             userAuthorization = {{ enabled = true }}\n"
        )
    };
    let teams = ["one", "two"].map(|team| {
        format!(
            "[[teams]]\nid = 'team_{team}'\naccount = 'acc'\nslug = '{team}'\nname = '{team}'\n"
        )
    });
    place.write(
        "teams.toml",
        &[
            "[[accounts]]\nid = 'acc'\nname = 'A'\n".to_owned(),
            teams.concat(),
            connector("one", "late", &format!("http://127.0.0.1:{port}")),
            connector("one", "gone", &format!("http://127.0.0.1:{}", free_port())),
            connector("two", "private", "https://10.1.2.3"),
            connector("two", "nameless", "https://idp.invalid"),
        ]
        .concat(),
    );
    place
        .run("apply -f teams.toml --data-dir data")
        .assert(0, &[]);
    place.write("ca.pem", "no certificate");
    place.write("ca.toml", "[egress]\nextra_ca_file = 'ca.pem'");
    doctor(&place, &[], "--listen 127.0.0.1:0 --config ca.toml").assert(
        "egress.setup",
        "fail",
        &["CA"],
    );
    place.write("local.toml", "[egress]\nallow = ['127.0.0.0/8']");
    let offline = doctor(
        &place,
        &[],
        "--listen 127.0.0.1:0 --config local.toml --offline",
    );
    assert!(
        offline
            .findings
            .iter()
            .all(|one| one["code"] != "egress.reach")
    );
    let report = doctor(&place, &[], "--listen 127.0.0.1:0 --config local.toml");
    serving.join().unwrap();
    report.assert(
        "egress.policy",
        "fail",
        &["oauth/private", "allow = [\\\"10.1.2.3:443\\\"]"],
    );
    report.assert("egress.dns", "fail", &["oauth/nameless", "idp.invalid"]);
    report.assert("egress.reach", "fail", &["connection", "curl"]);
    report.assert("egress.reach", "ok", &[&port.to_string()]);
    report.assert(
        "clock.provider",
        "fail",
        &["behind this machine's", "timedatectl"],
    );
    report.assert(
        "config.redirect_uri",
        "warn",
        &["2 teams", "/callback/TEAM"],
    );
}
