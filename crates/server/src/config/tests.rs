use super::*;

const SAMPLE: &str = r#"
listen = "127.0.0.1:1"
data_dir = "from-file"
public_url = "https://file.example"
master_key_file = "file.key"
[egress]
allow = ["127.0.0.0/8"]
extra_ca_file = "ca.pem"
[tls]
cert_file = "cert.pem"
key_file = "key.pem"
[proxy]
trusted = ["10.0.0.0/8", "192.0.2.7"]
[log]
requests = "all"
[refresh]
lease = "40s"
wait = "10s"
spacing = "1m"
keep_alive = "off"
[limits]
connections_max = 9
body_bytes_max = "2 MiB"
provider_time_max = "20s"
"#;

/// From flags, variables and a file.
fn load(flags: &Settings, variables: &[(&str, &str)], file: &str) -> Result<Config, Failure> {
    let flags = Flags {
        settings: flags.clone(),
        ..Flags::default()
    };
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let file = file::parse("grantry.toml", file)?;
    Config::of(&Found::merge(&flags.given(None), &variable, file))
}

fn refused(flags: &Settings, variables: &[(&str, &str)], file: &str) -> Failure {
    load(flags, variables, file).err().unwrap()
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let flags = Settings {
        listen: Some("127.0.0.1:3".to_owned()),
        ..Settings::default()
    };
    let none = Settings::default();
    let variables = [
        ("GRANTRY_LISTEN", "127.0.0.1:2"),
        ("GRANTRY_LIMITS_CONNECTIONS_MAX", "8"),
        ("GRANTRY_EGRESS_ALLOW", "idp.internal, 10.0.0.0/8"),
    ];
    for (flags, variables, file, listen, connections, allowed) in [
        (&flags, &variables[..], SAMPLE, "127.0.0.1:3", 8, 2),
        (&none, &variables[..], SAMPLE, "127.0.0.1:2", 8, 2),
        (&none, &[], SAMPLE, "127.0.0.1:1", 9, 1),
        (&none, &[], "", "127.0.0.1:8787", 10_000, 0),
    ] {
        let config = load(flags, variables, file).ok().unwrap();
        assert_eq!(config.listen.to_string(), listen);
        assert_eq!(config.limits.connections_max, connections);
        assert_eq!(config.egress.allow.len(), allowed);
    }
}

#[test]
fn every_value_reaches_its_user() {
    let config = load(&Settings::default(), &[], SAMPLE).ok().unwrap();
    assert_eq!(config.data_dir.to_str(), Some("from-file"));
    assert_eq!(
        config.egress.extra_ca_file.unwrap().to_str(),
        Some("ca.pem")
    );
    assert_eq!(config.tls.unwrap().key.to_str(), Some("key.pem"));
    assert_eq!(config.front.trusted[1].to_string(), "192.0.2.7/32");
    assert!(config.front.logged);
    assert_eq!(config.refresh.lease, Duration::from_secs(40));
    assert_eq!(config.refresh.wait, Duration::from_secs(10));
    assert_eq!(config.refresh.spacing, Duration::from_secs(60));
    assert_eq!(config.refresh.keep_alive, None);
    assert_eq!(config.refresh.deadline, Duration::from_secs(20));
    assert_eq!(config.limits.body_bytes_max, 2 << 20);
    assert!(matches!(config.master_key, MasterKeySource::File(path) if path.ends_with("file.key")));
}

#[test]
fn hosts_are_read_from_the_file_and_from_a_variable() {
    let none = Settings::default();
    let file = "[hosts]\n'API.Datagrid.com.' = 'datagrid'\n'api.vercel.com' = 'vercel'\n";
    let variable = "api.datagrid.com = datagrid, api.vercel.com=vercel";
    let by_variable = [("GRANTRY_HOSTS", variable)];
    for config in [load(&none, &[], file), load(&none, &by_variable, "")] {
        let hosts = config.ok().unwrap().front.hosts;
        let hosts: Vec<_> = hosts
            .iter()
            .map(|(host, prefix)| (host.as_str(), *prefix))
            .collect();
        assert_eq!(
            hosts,
            [("api.datagrid.com", "/datagrid"), ("api.vercel.com", "")]
        );
    }
    for (file, words) in [
        (
            "[hosts]\n'api.x.com' = 'datagird'",
            "\"datagird\"; there are vercel, datagrid",
        ),
        ("[hosts]\n'api.x.com' = 7", "host names and dialects"),
        (
            "[hosts]\n'api.x.com/v1' = 'cohere'",
            "host names and dialects",
        ),
        ("hosts = 'x'", "host names and dialects"),
        (
            "public_url = 'https://me.example'\n[hosts]\n'me.example' = 'cohere'",
            "me.example is the public URL's host",
        ),
    ] {
        let failure = refused(&none, &[], file);
        assert!(
            failure.message.contains(words),
            "{file}: {}",
            failure.message
        );
    }
}

#[test]
fn the_defaults_are_those_of_the_code() {
    let config = Config::defaults().ok().unwrap();
    let refresh = RefreshSettings::default();
    assert_eq!(config.listen, LISTEN);
    assert_eq!(config.data_dir.to_str(), Some(DATA_DIR));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.refresh.lease, refresh.lease);
    assert_eq!(config.refresh.wait, refresh.wait);
    assert_eq!(config.refresh.spacing, refresh.spacing);
    assert_eq!(config.refresh.keep_alive, refresh.keep_alive);
    assert_eq!(config.refresh.deadline, refresh.deadline);
    let url = config.public_url(config.listen).unwrap();
    assert_eq!(url.as_str(), "http://127.0.0.1:8787/");
}

#[test]
fn every_wrong_value_is_shown_at_once_where_it_was_given_with_what_would_be_right() {
    let none = Settings::default();
    for (file, words) in [
        (
            "listen = 8787",
            "line 1: listen is 8787; an IP address and a port",
        ),
        ("public_url = 'example.com'", "\"example.com\"; a whole URL"),
        (
            "[refresh]\nlease = '-5s'",
            "line 2: refresh.lease is \"-5s\"; a time, such as \"30s\"",
        ),
        ("[refresh]\nlease = 30", "line 2"),
        (
            "[refresh]\nkeep_alive = 'never'",
            "or \"off\" would be right",
        ),
        (
            "[egress]\nallow = '127.0.0.0/8'\nextra_ca_file = ''",
            "line 3",
        ),
        (
            "[limits]\nbody_bytes_max = '1MB'",
            "\"1MB\"; bytes from 64KiB to 64MiB",
        ),
        (
            "[limits]\nbody_bytes_max = '1GiB'",
            "bytes from 64KiB to 64MiB",
        ),
        (
            "[limits]\nconnections_max = 0",
            "limits.connections_max is 0; a whole number from 1 to 1000000",
        ),
        ("[limits]\nheader_time_max = 10", "a time from 1s to 10m"),
        ("listen = ", "line 1"),
    ] {
        let failure = refused(&none, &[], file);
        assert_eq!(failure.exit, Exit::Usage);
        assert!(
            failure.message.starts_with("grantry.toml, line"),
            "{}",
            failure.message
        );
        assert!(
            failure.message.contains(words),
            "{file}: {}",
            failure.message
        );
    }
    let variables = [
        ("GRANTRY_LISTEN", "x"),
        ("GRANTRY_LIMITS_BODY_TIME_MAX", "soon"),
    ];
    let failure = refused(&none, &variables, "data_dir = 1");
    let lines: Vec<&str> = failure.message.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[0].starts_with("GRANTRY_LISTEN: listen is \"x\""),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].starts_with("grantry.toml, line 1: data_dir"),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].starts_with("GRANTRY_LIMITS_BODY_TIME_MAX"),
        "{}",
        lines[2]
    );
}

#[test]
fn what_cannot_work_together_is_refused_with_what_would() {
    let given = |name: &'static str, value: &'static str| [(name, value)];
    for (variables, file, words) in [
        (
            &given("GRANTRY_LISTEN", "0.0.0.0:80"),
            "",
            "public_url is missing",
        ),
        (
            &given("GRANTRY_PUBLIC_URL", "http://grantry.example"),
            "",
            "plain http",
        ),
        (
            &given("GRANTRY_PUBLIC_URL", "ftp://grantry.example"),
            "",
            "no https URL",
        ),
        (
            &given("GRANTRY_PUBLIC_URL", "https://u:p@grantry.example"),
            "",
            "user name",
        ),
        (
            &given("GRANTRY_PUBLIC_URL", "https://grantry.example/?x"),
            "",
            "query",
        ),
        (
            &given("GRANTRY_MASTER_KEY_FD", "3"),
            "master_key_file = 'a'",
            "master_key_file and master_key_fd",
        ),
        (
            &given("GRANTRY_MASTER_KEY", "key"),
            "master_key_file = 'a'",
            "master_key_file and GRANTRY_MASTER_KEY",
        ),
        (
            &given("GRANTRY_TLS_CERT_FILE", "cert.pem"),
            "",
            "tls.cert_file is given without tls.key_file",
        ),
        (
            &given("GRANTRY_REFRESH_LEASE", "19s"),
            "",
            "refresh.lease is 19 s",
        ),
        (
            &given("GRANTRY_LIMITS_PROVIDER_TIME_MAX", "26s"),
            "",
            "limits.provider_time_max, 26 s",
        ),
    ] {
        let failure = refused(&Settings::default(), variables, file);
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.contains(words), "{}", failure.message);
        assert!(failure.hint.is_some(), "{}", failure.message);
    }
    for url in [
        "http://127.0.0.1:1",
        "http://localhost:1",
        "http://[::1]:1",
        "https://a.example/sub",
    ] {
        let variables = [("GRANTRY_PUBLIC_URL", url)];
        assert!(load(&Settings::default(), &variables, "").is_ok(), "{url}");
    }
}

#[test]
fn a_database_of_several_nodes_asks_for_a_master_key_that_they_share() {
    let database = ("GRANTRY_DATABASE_URL", "postgres://x");
    let failure = refused(&Settings::default(), &[database], "");
    assert_eq!(failure.exit, Exit::MasterKey);
    assert!(
        failure.message.contains("a master key has to be given"),
        "{}",
        failure.message
    );
    assert!(failure.hint.is_some());
    let key = ("GRANTRY_MASTER_KEY", "key");
    let config = load(&Settings::default(), &[database, key], "")
        .ok()
        .unwrap();
    assert!(matches!(config.master_key, MasterKeySource::Environment(_)));
}

#[test]
fn a_wrong_secret_is_not_quoted() {
    let failure = refused(&Settings::default(), &[], "database_url = 31415926");
    assert!(!failure.message.contains("31415926"), "{}", failure.message);
}
