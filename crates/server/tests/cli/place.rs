//! Where a test works, and the binary in it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A folder to work in, and commands that see nothing of the developer's own environment.
pub struct Place {
    pub folder: TempDir,
}

/// What a command left behind.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grantry"));
        command
            .args(line.split_whitespace())
            .env_clear()
            .current_dir(self.folder.path());
        command
    }

    pub fn run(&self, line: &str) -> Ended {
        Ended::of(self.command(line).output().unwrap())
    }

    pub fn run_with(&self, variables: &[(&str, &str)], line: &str) -> Ended {
        let mut command = self.command(line);
        Ended::of(command.envs(variables.iter().copied()).output().unwrap())
    }
}

impl Ended {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub fn assert(&self, code: i32, words: &[&str]) {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert_eq!(self.code, code, "{all}");
        for word in words {
            assert!(all.contains(word), "{word:?} is not in: {all}");
        }
    }
}

/// `grantry serve` on a free port; killed when a test ends early.
pub struct Server {
    pub child: Child,
    pub url: String,
}

impl Server {
    pub fn start(mut command: Command) -> Self {
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

    pub fn stop(mut self) -> Option<i32> {
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

pub fn serve(place: &Place) -> Server {
    Server::start(place.command("serve --listen 127.0.0.1:0 --data-dir data"))
}

/// Data of a server that ran once and ended.
pub fn used(place: &Place) {
    assert_eq!(serve(place).stop(), Some(0));
}

pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

pub fn team() -> String {
    include_str!("../../src/commands/dev/demo.toml").replace("ISSUER", "http://127.0.0.1:1")
}
