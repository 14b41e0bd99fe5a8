use std::time::Duration;

use super::file::SAMPLE;
use super::*;
use crate::failure::Exit;

/// The sample without the keys that exclude others.
fn file() -> File {
    File {
        database_url: None,
        master_key_fd: None,
        ..File::parse("sample", SAMPLE).unwrap()
    }
}

fn merged(flags: &Flags, file: File) -> Config {
    Config::merge(flags, file, None).ok().unwrap()
}

#[test]
fn a_flag_beats_the_file_and_the_file_beats_the_default() {
    let flags = Flags {
        data_dir: Some("from-flag".into()),
        settings: Settings {
            listen: Some("127.0.0.1:2".parse().unwrap()),
            public_url: Some("https://flag.example".parse().unwrap()),
            master_key_file: Some("flag.key".into()),
            ..Settings::default()
        },
    };
    let shown = |config: &Config| {
        let key = match &config.master_key {
            MasterKeySource::File(path) => path.display().to_string(),
            _ => "default".to_owned(),
        };
        let url = config.public_url(config.listen).unwrap();
        format!(
            "{} {} {url} {key}",
            config.listen,
            config.data_dir.display()
        )
    };
    for (flags, file, wanted) in [
        (
            &flags,
            file(),
            "127.0.0.1:2 from-flag https://flag.example/ flag.key",
        ),
        (
            &Flags::default(),
            file(),
            "127.0.0.1:1 from-file https://file.example/ file.key",
        ),
        (
            &Flags::default(),
            File::default(),
            "127.0.0.1:8787 ./grantry-data http://127.0.0.1:8787/ default",
        ),
    ] {
        assert_eq!(shown(&merged(flags, file)), wanted);
    }
}

#[test]
fn the_sections_reach_their_users() {
    let config = merged(&Flags::default(), file());
    assert_eq!(config.egress.allow, ["127.0.0.0/8"]);
    assert_eq!(config.connections_max.get(), 9);
    assert_eq!(config.egress.per_host_max.unwrap().get(), 8);
    assert_eq!(config.refresh.lease, Duration::from_secs(40));
    assert_eq!(config.refresh.spacing, Duration::from_secs(60));
    assert_eq!(config.refresh.keep_alive, None);
    let default = merged(&Flags::default(), File::default());
    assert_eq!(default.connections_max, CONNECTIONS_MAX);
    assert_eq!(
        default.refresh.keep_alive,
        RefreshSettings::default().keep_alive
    );
}

#[test]
fn what_cannot_work_is_refused_with_what_would() {
    let flags = |change: fn(&mut Settings)| {
        let mut flags = Flags::default();
        change(&mut flags.settings);
        flags
    };
    for (flags, word) in [
        (
            flags(|f| f.listen = "0.0.0.0:80".parse().ok()),
            "public_url is missing",
        ),
        (
            flags(|f| f.public_url = "http://grantry.example".parse().ok()),
            "plain http",
        ),
        (
            flags(|f| f.public_url = "ftp://grantry.example".parse().ok()),
            "no https URL",
        ),
        (
            flags(|f| f.public_url = "https://u:p@grantry.example".parse().ok()),
            "user name",
        ),
        (
            flags(|f| f.public_url = "https://grantry.example/?x".parse().ok()),
            "query",
        ),
        (
            flags(|f| {
                f.master_key_file = Some("a".into());
                f.master_key_fd = Some(3);
            }),
            "master_key_file and master_key_fd",
        ),
    ] {
        let failure = Config::merge(&flags, File::default(), None).err().unwrap();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.contains(word), "{}", failure.message);
        assert!(failure.hint.is_some(), "{}", failure.message);
    }
    for url in [
        "http://127.0.0.1:1",
        "http://localhost:1",
        "http://[::1]:1",
        "https://a.example/sub",
    ] {
        let flags = flags(|_| ());
        let flags = Flags {
            settings: Settings {
                public_url: url.parse().ok(),
                ..flags.settings
            },
            ..flags
        };
        assert!(
            Config::merge(&flags, File::default(), None).is_ok(),
            "{url}"
        );
    }
}

#[test]
fn a_database_of_several_nodes_asks_for_a_master_key_that_they_share() {
    let mut flags = Flags::default();
    flags.settings.database_url = Some("postgres://x".to_owned());
    let failure = Config::merge(&flags, File::default(), None).err().unwrap();
    assert_eq!(failure.exit, Exit::MasterKey);
    assert!(
        failure.message.contains("a master key has to be given"),
        "{}",
        failure.message
    );
    assert!(failure.hint.is_some());
    let given = Some(Secret::new("key"));
    assert!(Config::merge(&flags, File::default(), given).is_ok());
}

#[test]
fn a_master_key_from_the_environment_excludes_a_file() {
    let key = || Some(Secret::new("key"));
    let alone = Config::merge(&Flags::default(), File::default(), key());
    assert!(matches!(
        alone.ok().unwrap().master_key,
        MasterKeySource::Environment(_)
    ));
    let both = Config::merge(&Flags::default(), file(), key())
        .err()
        .unwrap();
    assert!(
        both.message
            .contains("master_key_file and GRANTRY_MASTER_KEY"),
        "{}",
        both.message
    );
}

#[test]
fn a_profile_reads_back_and_a_broken_one_keeps_its_key_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.toml");
    assert!(Profile::read(&path).unwrap().is_none());
    let profile = Profile {
        url: "http://127.0.0.1:8787".parse().unwrap(),
        key: Secret::new("grk_secret"),
        team: Some("team_demo".to_owned()),
    };
    std::fs::write(&path, profile.to_toml().unwrap()).unwrap();
    let read = Profile::read(&path).unwrap().unwrap();
    assert_eq!(
        (read.url, read.key.expose(), read.team),
        (profile.url, "grk_secret", profile.team)
    );
    std::fs::write(&path, "url = 'http://x'\nkey = 'grk_secret").unwrap();
    let failure = Profile::read(&path).err().unwrap();
    assert!(
        !failure.message.contains("grk_secret"),
        "{}",
        failure.message
    );
}
