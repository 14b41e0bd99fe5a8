//! Which server a command talks to: what is named, then what runs here.

use std::path::{Path, PathBuf};

use grantry_core::Secret;
use url::Url;

use super::{Client, Key};
use crate::config::{DATA_DIR, Profile, stated};
use crate::control;
use crate::data_dir::CONTROL_SOCKET;
use crate::failure::{Exit, Failure};

/// Where `grantry dev` keeps its data.
pub const DEV_DIR: &str = "./grantry-dev";
/// The profile in it.
pub const PROFILE_PATH: &str = "./grantry-dev/profile.toml";

/// Above the flags of [`Flags`] in every help.
const HEADING: &str = "Server";

/// Flags of every command that talks to a server.
#[derive(clap::Args, Clone, Default)]
pub struct Flags {
    /// The server [env: GRANTRY_URL] [default: the one of ./grantry-dev or ./grantry-data]
    #[arg(long, value_name = "URL", global = true, help_heading = HEADING)]
    pub url: Option<Url>,
    /// A key for it; the environment is the safer place [env: GRANTRY_KEY]
    #[arg(long, value_name = "KEY", global = true, help_heading = HEADING)]
    pub key: Option<String>,
    /// Data directory of a server on this machine, to act as its operator [env: GRANTRY_DATA_DIR]
    #[arg(long, value_name = "DIR", global = true, help_heading = HEADING)]
    pub data_dir: Option<PathBuf>,
    /// Certificate authorities (PEM) that the server's certificate may be of, beside the system's [env: GRANTRY_CA_FILE]
    #[arg(long, value_name = "FILE", global = true, help_heading = HEADING)]
    pub ca_file: Option<PathBuf>,
    /// The team to act in, by id or slug; a team's key knows its own [env: GRANTRY_TEAM]
    #[arg(long, value_name = "TEAM", global = true, help_heading = HEADING)]
    pub team: Option<String>,
}

/// Where the server is.
pub enum Place {
    /// At a URL, with a key.
    Url(Url, Key),
    /// At the control socket of this data directory, if one runs.
    DataDir(PathBuf),
}

impl Flags {
    /// Finds the server: what is named, then what `grantry dev` or `serve` left here.
    pub fn find(&self) -> Result<Place, Failure> {
        if let Some(place) = self.named()? {
            return Ok(place);
        }
        Ok(match dev_profile()? {
            Some(profile) => Place::Url(profile.url, Key::new(profile.key, PROFILE_PATH)),
            None => Place::DataDir(DATA_DIR.into()),
        })
    }

    /// The flag that names a server elsewhere, if one does.
    pub fn names_server(&self) -> Option<&'static str> {
        let url = self.url.as_ref().map(|_| "--url");
        url.or(self.key.as_ref().map(|_| "--key"))
    }

    /// The server that flags or, after them, the environment name. A key without a server is a
    /// mistake: nobody shall act as the operator who meant to act with that key.
    pub fn named(&self) -> Result<Option<Place>, Failure> {
        let flag = self
            .key
            .clone()
            .map(|key| Key::new(Secret::new(key), "--key"));
        let variable = || {
            let key = stated("GRANTRY_KEY")?;
            Ok::<_, Failure>(key.map(|key| Key::new(Secret::new(key), "GRANTRY_KEY")))
        };
        if let Some(url) = &self.url {
            let key = match flag {
                Some(key) => Some(key),
                None => variable()?,
            };
            return with_key(url.clone(), key).map(Some);
        }
        if flag.is_none()
            && let Some(directory) = &self.data_dir
        {
            return Ok(Some(Place::DataDir(directory.clone())));
        }
        let key = match flag {
            Some(key) => Some(key),
            None => variable()?,
        };
        match (env_url("GRANTRY_URL")?, key, stated("GRANTRY_DATA_DIR")?) {
            (None, Some(key), _) => {
                let message = format!("{} is given, and no server that it is for", key.from);
                Err(Failure::usage(message).hint("Set GRANTRY_URL, or give --url."))
            }
            // A URL without a key may be there for others: SDKs that are pointed at this server.
            (_, None, Some(directory)) => Ok(Some(Place::DataDir(directory.into()))),
            (Some(url), key, _) => with_key(url, key).map(Some),
            (None, None, None) => Ok(None),
        }
    }

    /// The team that is named, or that the profile of `grantry dev` names for its own server.
    fn team(&self, place: &Place) -> Result<Option<String>, Failure> {
        let team = match &self.team {
            Some(team) => Some(team.clone()),
            None => stated("GRANTRY_TEAM")?,
        };
        if team.is_some() {
            return Ok(team);
        }
        let Place::Url(url, _) = place else {
            return Ok(None);
        };
        let profile = dev_profile()?.filter(|profile| profile.url == *url);
        Ok(profile.and_then(|profile| profile.team))
    }

    /// A client of the server that [`Flags::find`] finds. There must be one.
    pub fn client(&self) -> Result<Client, Failure> {
        let place = self.find()?;
        let team = self.team(&place)?;
        match place {
            Place::Url(url, key) => self.at_url(&url, key, team),
            Place::DataDir(directory) => match Client::at_socket(&directory, team)? {
                Some(client) => Ok(client),
                None => Err(Failure::new(
                    Exit::NoServer,
                    format!("no server runs on {}", directory.display()),
                )
                .hint(
                    "Start one (`grantry dev`, `grantry serve`), name its --data-dir, or set GRANTRY_URL and GRANTRY_KEY.",
                )),
            },
        }
    }
}

impl Flags {
    /// A client of the server at `url`, which may be of an authority that these flags name.
    ///
    /// # Errors
    /// [`Exit::Usage`] when the authorities cannot be read.
    pub fn at_url(&self, url: &Url, key: Key, team: Option<String>) -> Result<Client, Failure> {
        let file = match &self.ca_file {
            Some(file) => Some(file.clone()),
            None => stated("GRANTRY_CA_FILE")?.map(PathBuf::from),
        };
        let read = |file: PathBuf| {
            std::fs::read(&file).map_err(|error| {
                Failure::usage(format!("cannot read --ca-file {}: {error}", file.display()))
            })
        };
        Client::at_url(url, key, team, file.map(read).transpose()?.as_deref())
    }
}

fn env_url(name: &str) -> Result<Option<Url>, Failure> {
    let parse = |text: String| {
        Url::parse(&text).map_err(|error| Failure::usage(format!("{name} is {text:?}: {error}")))
    };
    stated(name)?.map(parse).transpose()
}

fn with_key(url: Url, key: Option<Key>) -> Result<Place, Failure> {
    match key {
        Some(key) => Ok(Place::Url(url, key)),
        None => {
            Err(Failure::usage(format!("no key for {url}")).hint("Set GRANTRY_KEY, or give --key."))
        }
    }
}

/// The profile of the `grantry dev` that runs in this folder. One that has ended must not draw the
/// commands to it.
fn dev_profile() -> Result<Option<Profile>, Failure> {
    if control::answers(&Path::new(DEV_DIR).join(CONTROL_SOCKET)) {
        Profile::read(Path::new(PROFILE_PATH))
    } else {
        Ok(None)
    }
}
